"""How the installation is, for the people who run it: what runs on this machine, queues, consumers, workers."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from ironworks.shared.declarations import Permission
from ironworks.shared.http import Call, Router
from ironworks.shared.kind_routes import ReadParameters
from ironworks.shared.supervision import ProgramStatus, SupervisorClient, SupervisorUnavailable

_PATIENCE = 5.0
"""Seconds that the supervisor has to answer."""
READ = Permission("system:read", "See how the parts, the queues and the workers of the installation are")


class PartView(BaseModel):
    """A program that the supervisor of this machine runs."""

    name: str
    state: str
    since: datetime
    restarts: int
    address: str
    message: str

    @classmethod
    def of(cls, status: ProgramStatus) -> PartView:
        since = datetime.fromtimestamp(status.since, UTC)
        return cls(
            name=status.name, state=status.state, since=since, restarts=status.restarts, address=status.address,
            message=status.message or ("" if status.up else status.last_exit or ""),
        )  # fmt: skip


class ChangeLogView(BaseModel):
    position: int
    floor: int = Field(description="Entries up to here may be gone.")
    unnumbered: int = Field(description="Committed and not yet in order; at most 100,000 are counted.")


class ConsumerView(BaseModel):
    name: str
    behind: int = Field(description="Entries of the change log that it has not handled.")
    attempts: int = Field(description="How often the next one has failed.")
    retry_at: datetime | None
    error: str | None
    updated_at: datetime


class QueueView(BaseModel):
    kind: str
    due: int
    working: int
    failing: int
    oldest_due_seconds: float | None = Field(description="How long the item has waited that has waited longest.")
    last_error: str | None


class WorkerView(BaseModel):
    id: UUID
    host: str
    heartbeat_at: datetime


class SystemView(BaseModel):
    """The gateway's processes tell of themselves in `GET /api/v1/gateway/processes`."""

    parts: list[PartView] = Field(description="Empty where no supervisor runs them.")
    change_log: ChangeLogView
    consumers: list[ConsumerView]
    queues: list[QueueView]
    workers: list[WorkerView]
    dead_letters: int


def add_routes(router: Router) -> None:
    """Declare the operation among the installation's others."""

    @router.get("/api/v1/system", permission=READ.name, calls_out=True, summary="Tell how the installation is.")
    async def describe_system(call: Call, query: ReadParameters, supervisor: SupervisorClient) -> SystemView:
        async with call.transaction() as ctx:
            facts = json.loads(await ctx.db.fetchval("select shared.describe_system()::text"))
        try:
            async with asyncio.timeout(_PATIENCE):
                parts = [PartView.of(status) for status in await supervisor.list()]
        except (SupervisorUnavailable, TimeoutError):
            parts = []
        return SystemView(parts=parts, **facts)
