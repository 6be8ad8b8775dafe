"""Key rotation over HTTP. Values have no route: a resource's owner writes them, controllers read them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.secrets import service
from ironworks.platform.secrets.model import ROTATE, KeyReport
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.path import parse_path, show_path

router = Router("platform.secrets")


class KeyReportView(BaseModel):
    """How far rotations are. A master key may be taken away once it wraps no data key."""

    data_keys_by_master_key: dict[str, int]
    rotations_requested: int
    retired_data_keys: int
    settled: bool

    @classmethod
    def of(cls, report: KeyReport) -> KeyReportView:
        return cls(
            data_keys_by_master_key=report.by_master_key,
            rotations_requested=report.requested,
            retired_data_keys=report.retired,
            settled=report.settled,
        )


class RotationRequest(BaseModel):
    """Whose data keys to replace."""

    model_config = ConfigDict(extra="forbid")
    scope: str = Field("-", max_length=511, description="This scope and all below; `-` is the whole installation.")


class RotationView(BaseModel):
    """What was asked for; the worker does it within a minute or so."""

    scope: str
    data_keys: int


@router.get("/api/v1/secrets/keys", permission=ROTATE, summary="Show how far key rotations are")
async def show_keys(ctx: Context) -> KeyReportView:
    return KeyReportView.of(await service.report_keys(ctx))


@router.post("/api/v1/secrets:rotate", permission=ROTATE, status=202, summary="Have data keys replaced")
async def rotate(ctx: Context, body: RotationRequest) -> RotationView:
    scope = parse_path(body.scope)
    return RotationView(scope=show_path(scope), data_keys=await service.request_rotation(ctx, scope))
