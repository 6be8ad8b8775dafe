"""The operator's look at the gateway's processes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.products.tokenfactory.gateway import service
from ironworks.products.tokenfactory.gateway.declarations import READ
from ironworks.shared.context import Context
from ironworks.shared.http import Router

router = Router("tokenfactory.gateway")


class TroubleView(BaseModel):
    component: str
    state: Literal["degraded", "failing"] = Field(description="`degraded`: requests are served all the same.")
    reason: str
    message: str
    meanwhile: str = Field(description="What happens to requests until it is mended.")


class GatewayProcess(BaseModel):
    """One process, as it said itself when it last reported."""

    uid: UUID
    host: str
    pid: int
    started_at: datetime
    reported_at: datetime
    stopped_at: datetime | None
    status: Literal["ok", "degraded", "unavailable", "silent", "stopped"]
    troubles: list[TroubleView]


class GatewayProcesses(BaseModel):
    items: list[GatewayProcess]


class IncidentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(100, ge=1, le=500)


class IncidentView(BaseModel):
    """Something that was wrong with a process; `until` is null while it lasts."""

    process: UUID
    host: str
    pid: int
    component: str
    reason: str
    message: str
    since: datetime
    until: datetime | None


class Incidents(BaseModel):
    items: list[IncidentView]


@router.get("/api/v1/gateway/processes", permission=READ)
async def list_processes(ctx: Context) -> GatewayProcesses:
    """List the gateway's processes of the last day and how they are."""
    return GatewayProcesses(items=[GatewayProcess(**found) for found in await service.list_processes(ctx)])


@router.get("/api/v1/gateway/incidents", permission=READ)
async def list_incidents(ctx: Context, query: IncidentQuery) -> Incidents:
    """List what was wrong with the gateway's processes, newest first."""
    return Incidents(items=[IncidentView(**found) for found in await service.list_incidents(ctx, query.limit)])
