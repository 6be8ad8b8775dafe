"""Quotas over HTTP: what may be, what is, and the operator's word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform.policy import service
from ironworks.platform.policy.model import MAX_LIMIT, OVERRIDE, READ, EffectiveQuota
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.listing import PageQuery, decode_cursor, encode_cursor
from ironworks.shared.path import show_path
from ironworks.shared.shapes import Shape

router = Router("platform.policy")

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]


class NewOverride(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int | None = Field(ge=0, le=MAX_LIMIT, description="How many there may be; null for no limit.")
    expires_at: Moment | None = Field(None, description="From then on the plan's limit counts again; null: never.")
    reason: str = Field("", max_length=500, description="Shown with the quota and in the audit trail.")


class QuotaView(Shape):
    quota: str
    scope: str = Field(description="The account or platform whose limit it is: all in it count together.")
    limit: int | None = Field(description="Null: no limit.")
    used: int | None = Field(description="Null for what this installation does not count.")
    plan: str | None
    overridden: bool = Field(description="The operator's limit counts, not the plan's.")
    expires_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, quota: EffectiveQuota) -> QuotaView:
        return cls.show(quota, quota=quota.name, scope=show_path(quota.scope))


class QuotaList(BaseModel):
    items: list[QuotaView]
    next_cursor: str | None


@router.get("/api/v1/scopes/{path}/quotas", permission=READ)
async def list_quotas(ctx: Context, path: str, query: PageQuery) -> QuotaList:
    """List the limits that count in a scope, with what is used of them; what has none has no limit."""
    after = decode_cursor(query.cursor)[1] if query.cursor else ""
    found = await service.list_quotas(ctx, path, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor("", page[-1].name) if len(found) > query.limit else None
    return QuotaList(items=[QuotaView.of(quota) for quota in page], next_cursor=more)


@router.put("/api/v1/scopes/{path}/quotas/{name}", permission=OVERRIDE)
async def override_quota(ctx: Context, path: str, name: str, body: NewOverride) -> QuotaView:
    """Let another limit count in an account or platform, for a time or for ever."""
    return QuotaView.of(await service.override_quota(ctx, path, name, body.limit, body.expires_at, body.reason))


@router.delete("/api/v1/scopes/{path}/quotas/{name}", permission=OVERRIDE)
async def remove_override(ctx: Context, path: str, name: str) -> None:
    """Let the plan's limit count again."""
    await service.remove_override(ctx, path, name)
