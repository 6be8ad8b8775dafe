"""What a person decides about a platform."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform.tenancy import service
from ironworks.platform.tenancy.model import CANCEL, RESUME, SUSPEND, Node, Phase
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.shapes import Shape

router = Router("platform.tenancy")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonRequest(_Body):
    reason: str = Field("", max_length=500, description="Shown in the platform's status and the audit trail.")


class CancelRequest(ReasonRequest):
    ends_at: AwareDatetime | None = Field(
        None, description="Until when it goes on working; 30 days when left out, a past time means at once."
    )


class PlatformState(Shape):
    """Where the platform's life stands; its status says the same a moment later."""

    path: str
    id: str | None
    phase: Phase
    reason: str
    ends_at: datetime | None

    @classmethod
    def of(cls, node: Node) -> PlatformState:
        return cls.show(node, id=node.external_id)


@router.post("/api/v1/scopes/{path}/platforms/{name}:suspend", permission=SUSPEND, rows_decide=True)
async def suspend_platform(ctx: Context, path: str, name: str, body: ReasonRequest) -> PlatformState:
    """Suspend a platform: its keys stop within a second."""
    return PlatformState.of(await service.suspend_platform(ctx, path, name, body.reason))


@router.post("/api/v1/scopes/{path}/platforms/{name}:resume", permission=RESUME, rows_decide=True)
async def resume_platform(ctx: Context, path: str, name: str) -> PlatformState:
    """Resume a suspended platform."""
    return PlatformState.of(await service.resume_platform(ctx, path, name))


@router.post("/api/v1/scopes/{path}/platforms/{name}:cancel", permission=CANCEL, rows_decide=True)
async def cancel_platform(ctx: Context, path: str, name: str, body: CancelRequest) -> PlatformState:
    """Cancel a platform, at a time or at once."""
    return PlatformState.of(await service.cancel_platform(ctx, path, name, body.reason, body.ends_at))
