"""The change log: what happened to resources and what domains published, in one gap-free order.

Writers append rows without a number, in the transaction of the change (`Context.emit`, the triggers of every kind).
One `Sequencer` among all processes gives committed rows their positions; one `Tail` per process learns of them and
tells whoever in the process wants to know. Payloads are read by consumers in the worker alone (`shared.consumers`);
a `Notice` says only that something changed, and the reader looks at it under its own policies (`shared.watch`).

The tables, and why the order can be trusted, are in `sql/0002_change_log.sql`.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.context import Connection, Event, system_actor
from ironworks.shared.db import Database
from ironworks.shared.notify import CHANGED, LOGGED, LOST, Wake, dedicated, keep_trying, listen

log = telemetry.logger(__name__)
_positions = telemetry.gauge("ironworks_change_log_position", "Newest position of the change log that this process saw")

RETENTION: Final = timedelta(days=7)
"""How long a change stays readable. A watch that was away for longer lists again; consumers keep what they need."""

_LEADER = 0x49524F53  # "IROS": the session-level lock of the one sequencer

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Notice:
    """That something changed: a resource (`kind` is set) or an event (`event_type` is set); `scope` is its path."""

    position: int
    kind: str | None
    uid: UUID | None
    scope: str
    name: str | None
    op: str | None
    resource_version: int | None
    event_type: str | None


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change of a resource.

    Args:
        op: `created`, `updated` (spec or metadata), `status` (status alone) or `deleted` (the row is gone).
        resource_version: the version it made; the last one where the row is gone.
    """

    position: int
    kind: str
    uid: UUID
    scope: str
    name: str
    op: str
    resource_version: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A published event in its envelope; `scope` is the path it belongs to, empty for the operator's."""

    position: int
    event_id: UUID
    event_type: str
    version: int
    scope: str
    payload: Mapping[str, Any]
    correlation_id: str
    registry_version: int | None
    occurred_at: datetime

    def payload_as(self, model: type[E]) -> E:
        """The event as its domain declares it; raises pydantic's ValidationError where the payload does not fit."""
        return model.model_validate(self.payload)


def logged(row: asyncpg.Record) -> LoggedChange | LoggedEvent:
    """A row of `LOG_COLUMNS`."""
    if row["event_type"] is None:
        return LoggedChange(
            row["position"], row["kind"], row["uid"], row["scope"], row["name"], row["op"],
            row["resource_version"], row["occurred_at"],
        )  # fmt: skip
    return LoggedEvent(
        row["position"], row["event_id"], row["event_type"], row["version"], row["scope"], json.loads(row["payload"]),
        row["correlation_id"], row["registry_version"], row["occurred_at"],
    )  # fmt: skip


LOG_COLUMNS: Final = (
    "position, kind, uid, ltree2text(scope) as scope, name, op, resource_version,"
    " event_id, event_type, version, payload, correlation_id, registry_version, occurred_at"
)


async def prune_changes(db: Database, older_than: timedelta = RETENTION, batch: int = 10_000) -> int:
    """Remove what is past retention and needed by no consumer; returns how many rows went. For the worker, hourly."""
    gone = 0
    while True:
        async with db.transaction(system_actor("retention")) as ctx:
            floor = await ctx.db.fetchval("select floor from shared.change_bounds()")
            gone += int(await ctx.db.fetchval("select shared.prune_changes($1, $2)", older_than, batch))
            if await ctx.db.fetchval("select floor from shared.change_bounds()") == floor:
                return gone


class Sequencer:
    """Numbers committed changes. Run one in every API and worker process; one of them leads.

    The leader holds a session-level lock, so another takes over when it dies, and also when it is stopped and says
    nothing for a while. Two that both believe they lead would do no harm: each batch takes a lock of its own.

    Args:
        url: database of an API or worker login.
        also: statements run after each batch, with the batch's size as `$1`, that return how many rows they handled;
            for instance `select platform_audit.seal($1)`. One that fails stops neither the others nor the log.
        poll: seconds between looks without a wake-up.
        standby: seconds between attempts to become leader.
        patience: seconds without a word after which the server ends a leader's session.
    """

    def __init__(
        self,
        url: str,
        also: Sequence[str] = (),
        *,
        batch: int = 1_000,
        poll: float = 0.2,
        standby: float = 0.5,
        patience: float = 10.0,
    ) -> None:
        self.url = url
        self.also = tuple(also)
        self.batch = batch
        self.poll = poll
        self.standby = standby
        self.patience = patience
        self.leading = False

    async def run(self) -> None:
        """Lead, or wait to; until cancelled."""
        await keep_trying(self._session, "the sequencer")

    async def _session(self) -> None:
        settings = {"idle_session_timeout": str(int(self.patience * 1000))}
        async with dedicated(self.url, "ironworks-sequencer", **settings) as connection:
            await lead(connection, _LEADER, self.standby)
            wake = await listen(connection, CHANGED)
            self.leading = True
            log.info("this process numbers the change log")
            try:
                while True:
                    wake.clear()
                    if not await self._round(connection):
                        await wake.wait(self.poll)
            finally:
                self.leading = False

    async def _round(self, connection: Connection) -> bool:
        """One batch of each; whether any was full, so that there may be more."""
        moved: int = await connection.fetchval("select shared.sequence_changes($1)", self.batch)
        if moved:
            await connection.execute(f"notify {LOGGED}")
        counts = [moved] + [await self._run_also(connection, statement) for statement in self.also]
        return any(count >= self.batch for count in counts)

    async def _run_also(self, connection: Connection, statement: str) -> int:
        try:
            return int(await connection.fetchval(statement, self.batch) or 0)
        except LOST as problem:
            if connection.is_closed():
                raise
            log.error("a statement beside the sequencer failed", statement=statement, error=str(problem))
            return 0


async def lead(connection: Connection, lock: int, pause: float) -> None:
    """Wait until this session is the one that holds `lock`.

    It asks again and again instead of waiting in the database, where a waiting statement's snapshot would keep
    vacuum from cleaning anything.
    """
    while not await connection.fetchval("select pg_try_advisory_lock($1)", lock):  # noqa: ASYNC110
        await asyncio.sleep(pause)


class Lagged(Exception):
    """A subscriber was told more than it kept up with, or than the log still holds: it must start anew."""


class Subscription:
    """What one reader in this process is told; `with tail.subscribe(…) as news`.

    Args:
        limit: how many untaken notices it may hold before it is told that it lags.
    """

    def __init__(self, tail: Tail, match: Callable[[Notice], bool], kinds: frozenset[str] | None, limit: int) -> None:
        self.match = match
        self.kinds = kinds
        self.limit = limit
        self._tail = tail
        self._held: list[Notice] = []
        self._lagged = False
        self._wake = Wake()

    async def wait(self, seconds: float) -> bool:
        """Whether there is something to take, waiting at most so long for it."""
        return await self._wake.wait(seconds)

    def wake(self) -> None:
        """End a wait: the reader has something to take elsewhere."""
        self._wake.set()

    def take(self) -> tuple[list[Notice], int]:
        """What came since the last call, and the position up to which that is everything. Raises Lagged."""
        self._wake.clear()
        held, self._held = self._held, []
        if self._lagged:
            self._lagged = False
            raise Lagged
        return held, self._tail.position

    def clear(self) -> None:
        """Drop what came; for readers that the news only wake."""
        self._wake.clear()
        self._held.clear()
        self._lagged = False

    def offer(self, notice: Notice) -> None:
        if self._lagged or not self.match(notice):
            return
        if len(self._held) >= self.limit:
            self.overrun()
            return
        self._held.append(notice)
        self._wake.set()

    def overrun(self) -> None:
        self._held.clear()
        self._lagged = True
        self._wake.set()

    def __enter__(self) -> Subscription:
        self._tail.join(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._tail.leave(self)


class Tail:
    """Learns new positions, and tells this process's subscribers. One per process; `run` is a background task.

    It listens for the sequencer's wake-up and looks anyway every `poll` seconds.
    """

    def __init__(self, url: str, *, poll: float = 1.0, batch: int = 1_000) -> None:
        self.url = url
        self.poll = poll
        self.batch = batch
        self.position = -1
        """Everything up to here has been told; -1 before the first look."""
        self._looked_at = -math.inf
        self._ready = asyncio.Event()
        self._subscribers: dict[str | None, set[Subscription]] = {}

    async def run(self) -> None:
        """Follow the log until cancelled."""
        await keep_trying(self._session, "the change log's tail")

    async def ready(self) -> None:
        """Wait for the first look at the log."""
        await self._ready.wait()

    def age(self) -> float:
        """Seconds since this process last saw the log for sure: how stale what it knows may be."""
        return time.monotonic() - self._looked_at

    def subscribe(
        self, match: Callable[[Notice], bool], *, kinds: Iterable[str] | None = None, limit: int = 5_000
    ) -> Subscription:
        """News from now on that `match`; `kinds`, where only changes of these can, spares looking at the others."""
        return Subscription(self, match, None if kinds is None else frozenset(kinds), limit)

    def join(self, subscription: Subscription) -> None:
        for key in self._keys(subscription):
            self._subscribers.setdefault(key, set()).add(subscription)

    def leave(self, subscription: Subscription) -> None:
        for key in self._keys(subscription):
            members = self._subscribers[key]
            members.discard(subscription)
            if not members:
                del self._subscribers[key]

    @staticmethod
    def _keys(subscription: Subscription) -> Iterable[str | None]:
        return (None,) if subscription.kinds is None else subscription.kinds

    async def _session(self) -> None:
        async with dedicated(self.url, "ironworks-tail") as connection:
            wake = await listen(connection, LOGGED)
            await self._check_bounds(connection)
            while True:
                wake.clear()
                looked_at = time.monotonic()
                rows = await connection.fetch("select * from shared.tail_changes($1, $2)", self.position, self.batch)
                self._tell([Notice(*row.values()) for row in rows])
                if len(rows) < self.batch:
                    self._looked_at = looked_at
                    await wake.wait(self.poll)

    async def _check_bounds(self, connection: Connection) -> None:
        """Begin at the head; after a gap that retention or a restored backup made, tell everybody to start anew."""
        bounds = await connection.fetchrow("select floor, head from shared.change_bounds()")
        assert bounds is not None
        if bounds["floor"] <= self.position <= bounds["head"]:
            return
        self.position = bounds["head"]
        for subscription in {s for members in self._subscribers.values() for s in members}:
            subscription.overrun()
        self._ready.set()

    def _tell(self, notices: list[Notice]) -> None:
        everyone = self._subscribers.get(None, set())
        for notice in notices:
            for subscription in everyone:
                subscription.offer(notice)
            if notice.kind is not None:
                for subscription in self._subscribers.get(notice.kind, ()):
                    subscription.offer(notice)
        if notices:
            self.position = notices[-1].position
            _positions.labels().set(self.position)
