"""How the installation is, for the people who run it: what runs on this machine, queues, consumers, workers, gateways;
once, or as a stream that tells each change.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from ironworks.products.tokenfactory import gateway
from ironworks.shared import telemetry
from ironworks.shared.declarations import Permission
from ironworks.shared.errors import IronworksError, RateLimited
from ironworks.shared.http import Call, Router, Stream
from ironworks.shared.kind_routes import ReadParameters
from ironworks.shared.notify import LOST
from ironworks.shared.supervision import ProgramStatus, SupervisorClient, SupervisorUnavailable

_PATIENCE: Final = 5.0
"""Seconds that the supervisor has to answer."""
_EVERY: Final = 1.0
"""Seconds between two looks of a stream."""
_SILENCE: Final = 15.0
"""Seconds after which a stream says that it lives."""
_LIFETIME: Final = 900.0
"""Seconds after which it ends, so that the client comes back and its credential is checked."""
_AT_ONCE: Final = 50
"""Streams of one process."""
_INCIDENTS: Final = 50
READ = Permission("system:read", "See how the parts, the queues and the workers of the installation are")
log = telemetry.logger(__name__)


class PartView(BaseModel):
    """A program that the supervisor of this machine runs."""

    name: str
    state: str
    pid: int | None
    since: datetime = Field(description="When its state began.")
    restarts: int
    address: str
    message: str

    @classmethod
    def of(cls, status: ProgramStatus) -> PartView:
        since = datetime.fromtimestamp(status.since, UTC)
        return cls(
            name=status.name, state=status.state, pid=status.pid, since=since, restarts=status.restarts,
            address=status.address, message=status.message or ("" if status.up else status.last_exit or ""),
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
    oldest_due_at: datetime | None = Field(description="When that item was due that has waited longest.")
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
    dead_letters: int = Field(description="Entries that a consumer failed on and that wait for a replay.")
    dead_letters_changed_at: datetime | None = Field(description="When any of them came, was asked for or was settled.")


async def describe_system(call: Call, supervisor: SupervisorClient) -> SystemView:
    """How it is now. Raises Forbidden for who may not read it."""
    async with call.transaction() as ctx:
        facts = json.loads(await ctx.db.fetchval("select shared.describe_system()::text"))
    try:
        async with asyncio.timeout(_PATIENCE):
            parts = [PartView.of(status) for status in await supervisor.list()]
    except (SupervisorUnavailable, TimeoutError):
        parts = []
    return SystemView(parts=parts, **facts)


class GatewaysView(BaseModel):
    processes: list[gateway.GatewayProcess]
    incidents: list[gateway.IncidentView]


async def describe_gateways(call: Call) -> GatewaysView:
    """The gateway's processes and what was wrong with them last, as far as the caller may read that."""
    async with call.transaction() as ctx:
        processes = [gateway.GatewayProcess(**found) for found in await gateway.list_processes(ctx)]
        incidents = [gateway.IncidentView(**found) for found in await gateway.list_incidents(ctx, _INCIDENTS)]
    return GatewaysView(processes=processes, incidents=incidents)


async def follow_system(call: Call, supervisor: SupervisorClient) -> AsyncIterator[bytes]:
    """Server-sent events: `system` (SystemView) and `gateways` (GatewaysView), now and whenever one has changed.

    Ends where the right to read it does, where the database is lost, and after a quarter of an hour.
    """
    told: dict[str, str] = {}
    ends = time.monotonic() + _LIFETIME * random.uniform(0.9, 1.1)  # noqa: S311
    spoke = 0.0
    while time.monotonic() < ends:
        try:
            seen = {"system": await describe_system(call, supervisor), "gateways": await describe_gateways(call)}
        except (IronworksError, *LOST) as problem:
            log.info("a stream of the system's state ended", request_id=call.request_id, problem=str(problem))
            return
        for name, view in seen.items():
            text = view.model_dump_json()
            if told.get(name) != text:
                told[name], spoke = text, time.monotonic()
                yield f"event: {name}\ndata: {text}\n\n".encode()
        if time.monotonic() - spoke >= _SILENCE:
            spoke = time.monotonic()
            yield b": alive\n\n"
        await asyncio.sleep(_EVERY)


def add_routes(router: Router) -> None:
    """Declare the operations among the installation's others."""
    streams = asyncio.Semaphore(_AT_ONCE)

    @router.get("/api/v1/system", permission=READ.name, calls_out=True, summary="Tell how the installation is.")
    async def read_system(call: Call, query: ReadParameters, supervisor: SupervisorClient) -> SystemView:
        return await describe_system(call, supervisor)

    @router.get("/api/v1/system/watch", permission=READ.name, calls_out=True, streams="text/event-stream",
                summary="Stream how the installation is.")  # fmt: skip
    async def watch_system(call: Call, query: ReadParameters, supervisor: SupervisorClient) -> Stream:
        if streams.locked():
            raise RateLimited(f"at most {_AT_ONCE} look at once; end one", retry_after=5)
        return Stream(_counted(streams, follow_system(call, supervisor)))


async def _counted(streams: asyncio.Semaphore, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with streams:
        async for chunk in content:
            yield chunk
