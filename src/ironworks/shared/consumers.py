"""Consumers: what a domain does when something was logged, exactly once.

    @consumes("platform.tenancy.*", name="billing.open_ledger_accounts")
    async def on_tenancy(ctx: Context, event: LoggedEvent) -> None: ...

    @consumes("Endpoint", name="analytics.endpoint_inventory")
    async def on_endpoint(ctx: Context, change: LoggedChange) -> None: ...

Each consumer has a cursor, a row that moves in the transaction of the effects: whatever dies, an effect is committed
together with the cursor or not at all. The row's lock lets any number of workers share a consumer. What fails again
and again is set aside as a dead letter (`dead_letters.py`), which an operator can replay, and stops no one else. An
effect is writes to the database only: the transaction may be rolled back and run again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal, TypeAlias, TypeVar

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.changelog import LOG_COLUMNS, LoggedChange, LoggedEvent, Notice, Tail, logged
from ironworks.shared.context import Connection, Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Conflict, Unavailable
from ironworks.shared.kind import Kind
from ironworks.shared.notify import CHANGED, keep_trying
from ironworks.shared.queue import CHANNEL

log = telemetry.logger(__name__)
_handled = telemetry.counter("ironworks_consumer_handled_total", "Log entries whose effect is committed", ["consumer"])
_failed = telemetry.counter("ironworks_consumer_failures_total", "Attempts that failed", ["consumer"])
_set_aside = telemetry.counter("ironworks_consumer_dead_letters_total", "Entries set aside", ["consumer"])

Entry: TypeAlias = LoggedEvent | LoggedChange
Handler: TypeAlias = Callable[[Context, Any], Awaitable[None]]
F = TypeVar("F", bound=Handler)
Start: TypeAlias = Literal["beginning", "now"]

_MARK = "__ironworks_consumer__"
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_PATTERN = re.compile(r"[a-z0-9_*]+(\.[a-z0-9_*]+)*")

_PASSING = (
    ConnectionError,
    Unavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.CrashShutdownError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
)
"""The database's troubles, not the entry's: tried again without being counted."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A handler and what it wants.

    Args:
        name: of its cursor; a new name starts again, and repeats the effects.
        patterns: event types, `*` standing for any characters, dots included.
        kinds: names of kinds whose changes it wants.
        start: where a consumer without a cursor begins: at what the log still holds, or with what comes.
    """

    name: str
    handler: Handler
    patterns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    start: Start = "beginning"

    def wants(self, notice: Notice) -> bool:
        if notice.event_type is None:
            return notice.kind in self.kinds
        return any(_regex(pattern).fullmatch(notice.event_type) for pattern in self.patterns)


def consumes(*what: str | Kind, name: str, start: Start = "beginning") -> Callable[[F], F]:
    """Mark an async function in `controller.py` as a consumer of event types or kinds; wiring collects it.

    Args:
        what: event patterns (`platform.iam.*`), names of kinds (`Endpoint`) or Kinds.
        name: of its cursor, `<domain>.<what it does>`; keep it for ever.
        start: see `Consumer`.

    Raises ValueError, at import, for something that is neither.
    """
    words = [one.name if isinstance(one, Kind) else one for one in what]
    kinds = tuple(word for word in words if _KIND.fullmatch(word))
    patterns = tuple(word for word in words if _PATTERN.fullmatch(word))
    if not words or len(kinds) + len(patterns) != len(words):
        raise ValueError(f"consumer {name!r}: {words} are not all event patterns or names of kinds")

    def mark(handler: F) -> F:
        setattr(handler, _MARK, Consumer(name, handler, patterns, kinds, start))
        return handler

    return mark


def consumer_of(candidate: object) -> Consumer | None:
    """The consumer that `candidate` was marked as."""
    found = getattr(candidate, _MARK, None)
    return found if isinstance(found, Consumer) else None


class ConsumerRunner:
    """Runs consumers in a worker; `run` is a background task. Workers share them, no two at the same entry.

    Args:
        db: as the worker role.
        poke: `Notifier.poke`, for what the effects themselves write.
        batch: entries per transaction.
        attempts: how often an entry may fail before it is set aside.
        pause: seconds before the second attempt; doubles each time.
        poll: seconds between looks without news.
        limit: seconds that one entry's effect may take.
    """

    def __init__(
        self,
        db: Database,
        consumers: Sequence[Consumer],
        tail: Tail,
        poke: Callable[[str], None] = lambda channel: None,
        *,
        batch: int = 100,
        attempts: int = 6,
        pause: float = 0.5,
        poll: float = 2.0,
        limit: float = 60.0,
    ) -> None:
        names = [consumer.name for consumer in consumers]
        if len(set(names)) != len(names):
            raise ValueError(f"two consumers share a name: {sorted(names)}")
        self.db = db
        self.consumers = tuple(consumers)
        self.tail = tail
        self.poke = poke
        self.batch = batch
        self.attempts = attempts
        self.pause = pause
        self.poll = poll
        self.limit = limit

    async def run(self) -> None:
        """Run them all until cancelled, also where there are none."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_for_ever())
            for consumer in self.consumers:
                group.create_task(keep_trying(partial(self._follow, consumer), f"consumer {consumer.name}"))

    async def _follow(self, consumer: Consumer) -> None:
        await self._register(consumer)
        with self.tail.subscribe(consumer.wants, limit=1) as news:
            size = self.batch
            while True:
                news.clear()
                step = await self._advance(consumer, size)
                size = step.size or self.batch
                if step.more or await self._replay_one(consumer):
                    continue
                await news.wait(self.poll if step.pause is None else step.pause)

    async def _register(self, consumer: Consumer) -> None:
        async with self.db.transaction(system_actor(consumer.name)) as ctx:
            await register_cursor(ctx.db, consumer.name, consumer.start)

    async def _advance(self, consumer: Consumer, size: int) -> _Step:
        """Commit the effects of at most `size` entries together with the cursor."""
        entries: list[Entry] = []
        done = 0
        try:
            async with self.db.transaction(system_actor(consumer.name)) as ctx:
                cursor = await _take_cursor(ctx.db, consumer.name)
                if cursor is None or cursor["wait"] > 0:
                    return _Step(pause=cursor["wait"] if cursor else None)
                entries, upto = await read_entries(ctx.db, cursor["position"], size, consumer.patterns, consumer.kinds)
                for entry in entries:
                    await self._handle(ctx, consumer, entry)
                    done += 1
                await move_cursor(ctx.db, consumer.name, cursor["position"], upto)
        except Exception as problem:
            if not entries or isinstance(problem, _PASSING):
                raise
            return await self._isolate(consumer, entries, done, problem)
        if entries:
            _handled.labels(consumer.name).inc(done)
            self.poke(CHANGED)
            self.poke(CHANNEL)
        return _Step(more=done == size)

    async def _isolate(self, consumer: Consumer, entries: list[Entry], done: int, problem: Exception) -> _Step:
        """Commit what comes before the culprit; where the commit itself failed, find it one by one."""
        if done == 0 or len(entries) == 1:
            return await self._note_failure(consumer, entries[0], problem)
        return _Step(more=True, size=done if done < len(entries) else 1)

    async def _handle(self, ctx: Context, consumer: Consumer, entry: Entry) -> None:
        if isinstance(entry, LoggedEvent):
            ctx = replace(ctx, request_id=entry.correlation_id)
        async with asyncio.timeout(self.limit):
            await consumer.handler(ctx, entry)

    async def _note_failure(self, consumer: Consumer, entry: Entry, problem: Exception) -> _Step:
        """Count it; the last attempt sets the entry aside."""
        _failed.labels(consumer.name).inc()
        async with self.db.transaction(system_actor(consumer.name)) as ctx:
            row = await ctx.db.fetchrow(
                "select position, attempts + 1 as attempts from shared.change_consumer where name = $1 for update",
                consumer.name,
            )
            if row is None or row["position"] >= entry.position:
                return _Step(more=True)  # another worker went past it meanwhile
            if row["attempts"] >= self.attempts:
                await set_aside(ctx.db, consumer.name, entry, problem, row["attempts"])
                await move_cursor(ctx.db, consumer.name, row["position"], entry.position)
                return _Step(more=True)
            pause = self.pause * 2 ** (row["attempts"] - 1)
            await ctx.db.execute(
                "update shared.change_consumer set attempts = $2, error = $3,"
                " retry_at = clock_timestamp() + make_interval(secs => $4) where name = $1",
                consumer.name, row["attempts"], describe(problem), pause,
            )  # fmt: skip
        log.warning(
            "a consumer failed on an entry", consumer=consumer.name, position=entry.position, error=str(problem)
        )
        return _Step(size=1, pause=pause)

    async def _replay_one(self, consumer: Consumer) -> bool:
        """Try a dead letter that an operator wants replayed; whether there was one."""
        letter = None
        try:
            async with self.db.transaction(system_actor(consumer.name)) as ctx:
                if await _take_cursor(ctx.db, consumer.name) is None:
                    return False
                letter = await wanted_letter(ctx.db, consumer.name)
                if letter is None:
                    return False
                await self._replay(ctx, consumer, letter)
        except Exception as problem:
            if letter is None or isinstance(problem, _PASSING):
                raise
            async with self.db.transaction(system_actor(consumer.name)) as ctx:
                await set_aside(ctx.db, consumer.name, letter, problem, 1)
        return True

    async def _replay(self, ctx: Context, consumer: Consumer, letter: Entry) -> None:
        """Once, whatever comes of it: a failure is filed under the same lock, or another worker would try it too."""
        await ctx.db.execute("savepoint effect")
        try:
            await self._handle(ctx, consumer, letter)
            await settle_letter(ctx.db, consumer.name, letter.position)
        except Exception as problem:
            if isinstance(problem, _PASSING):
                raise
            await ctx.db.execute("rollback to savepoint effect")
            await set_aside(ctx.db, consumer.name, letter, problem, 1)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class _Step:
    """What to do next: at once if `more`, else after `pause` seconds or when news come; `size` of the next batch."""

    more: bool = False
    size: int | None = None
    pause: float | None = None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"))


def _like(pattern: str) -> str:
    return pattern.replace("_", r"\_").replace("*", "%")


def describe(problem: BaseException) -> str:
    """One line for an operator, without what looks like a credential."""
    return telemetry.redact_text(f"{type(problem).__name__}: {problem}")[:2_000]


async def register_cursor(db: Connection, name: str, start: Start) -> None:
    """Give a consumer its cursor, unless it has one."""
    await db.execute(
        "insert into shared.change_consumer (name, position)"
        " select $1, case when $2 then floor else head end from shared.change_bounds() on conflict do nothing",
        name, start == "beginning",
    )  # fmt: skip


async def _take_cursor(db: Connection, name: str) -> asyncpg.Record | None:
    """The cursor, locked, and the seconds to wait before it may move; None while another worker has it."""
    return await db.fetchrow(
        "select position, coalesce(extract(epoch from retry_at - clock_timestamp()), 0)::float8 as wait"
        " from shared.change_consumer where name = $1 for update skip locked",
        name,
    )


async def move_cursor(db: Connection, name: str, old: int, new: int) -> None:
    """Move a cursor that is at `old`. Raises Conflict where it is not."""
    if new == old:
        return
    moved = await db.execute(
        "update shared.change_consumer set position = $3, attempts = 0, retry_at = null, error = null,"
        " updated_at = clock_timestamp() where name = $1 and position = $2",
        name, old, new,
    )  # fmt: skip
    if moved != "UPDATE 1":
        raise Conflict(f"the cursor of {name} was moved by another worker")


async def read_entries(
    db: Connection, after: int, limit: int, patterns: Sequence[str], kinds: Sequence[str]
) -> tuple[list[Entry], int]:
    """At most `limit` entries after a position, and the position up to which these are all."""
    head: int = await db.fetchval("select head from shared.change_bounds()")
    wanted: list[tuple[str, list[str]]] = []
    if patterns:  # a condition for each, so that what wants events alone goes by their index
        wanted.append(("event_type is not null and event_type like any", [_like(pattern) for pattern in patterns]))
    if kinds:
        wanted.append(("kind = any", list(kinds)))
    either = " or ".join(f"({condition} (${number}))" for number, (condition, _) in enumerate(wanted, 4))
    rows = await db.fetch(
        f"select {LOG_COLUMNS} from shared.change_log"
        f" where position > $1 and position <= $2 and ({either}) order by position limit $3",
        after, head, limit, *(values for _, values in wanted),
    )  # fmt: skip
    return [logged(row) for row in rows], rows[-1]["position"] if len(rows) == limit else max(after, head)


async def set_aside(db: Connection, consumer: str, entry: Entry, problem: BaseException, attempts: int) -> None:
    """File `entry` as a dead letter of `consumer`, or file it anew after a replay that failed."""
    _set_aside.labels(consumer).inc()
    subject = entry.event_type if isinstance(entry, LoggedEvent) else f"{entry.kind} {entry.op}"
    await db.execute(
        "insert into shared.dead_letter as d (consumer, position, subject, scope, error, attempts)"
        " values ($1, $2, $3, $4::text::ltree, $5, $6)"
        " on conflict (consumer, position) do update set error = excluded.error, failed_at = clock_timestamp(),"
        " attempts = d.attempts + excluded.attempts, replay_requested_at = null where d.replayed_at is null",
        consumer, entry.position, subject, entry.scope, describe(problem), attempts,
    )  # fmt: skip
    log.error("an entry was set aside", consumer=consumer, position=entry.position, subject=subject, error=str(problem))


async def wanted_letter(db: Connection, consumer: str) -> Entry | None:
    """The oldest dead letter of `consumer` that is to be replayed, locked."""
    row = await db.fetchrow(
        f"select {LOG_COLUMNS} from shared.change_log where position ="
        " (select position from shared.dead_letter where consumer = $1 and replay_requested_at is not null"
        " and replayed_at is null order by position limit 1 for update)",
        consumer,
    )
    return None if row is None else logged(row)


async def settle_letter(db: Connection, consumer: str, position: int) -> None:
    """Mark a dead letter as replayed, in the transaction of its effect."""
    await db.execute(
        "update shared.dead_letter set replayed_at = clock_timestamp() where consumer = $1 and position = $2",
        consumer, position,
    )  # fmt: skip


async def forget_consumer(db: Database, name: str) -> None:
    """Remove the cursor of a consumer that is gone for good: until then the log keeps all that it has not seen."""
    async with db.transaction(system_actor("consumers")) as ctx:
        await ctx.db.execute("delete from shared.change_consumer where name = $1", name)
