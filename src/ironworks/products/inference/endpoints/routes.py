"""Logs of replicas, over HTTP. Everything else about endpoints is what every kind has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ironworks.products.inference import clusters
from ironworks.products.inference.endpoints import service
from ironworks.products.inference.endpoints.declarations import LOGS
from ironworks.shared.http import Call, Router, Stream


class LogQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    follow: bool = Field(False, description="Go on as lines are written.")
    replica: str | None = Field(None, max_length=128, description="One replica, by its name or its end.")
    tail: int | None = Field(None, ge=0, le=100_000, description="Begin with the last so many lines.")


router = Router("inference.endpoints")


@router.get(
    "/api/v1/scopes/{path}/endpoints/{name}/logs",
    permission=LOGS,
    calls_out=True,
    streams="text/plain",
    summary="Read the logs of an endpoint's replicas",
)
async def read_logs(call: Call, path: str, name: str, query: LogQuery, drivers: clusters.Drivers) -> Stream:
    async with call.transaction() as ctx:
        endpoint, cluster = await service.find_for_logs(ctx, path, name)
    lines = await service.open_logs(drivers, endpoint, cluster, query.replica, follow=query.follow, tail=query.tail)
    return Stream(lines, "text/plain; charset=utf-8")
