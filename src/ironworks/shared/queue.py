"""The work queue's runner: claims due items for a process, hands them to lanes, and keeps its lease alive.

Controllers and schedules are lanes. A lane takes at most `concurrency` items at a time, so a kind whose steps hang
cannot slow another's. The queue itself lives in Postgres (`sql/0003_work_queue.sql`) and is shared by any number of
runners. A wake-up makes a runner look at once; polling is the guarantee that it looks at all.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol, TypeAlias, get_type_hints
from uuid import UUID, uuid4

from ironworks.shared import telemetry
from ironworks.shared.context import Context
from ironworks.shared.db import Database
from ironworks.shared.notify import dedicated, keep_trying, listen

log = telemetry.logger(__name__)

CHANNEL: Final = "ironworks_queue"
"""Where wake-ups are notified, after the commit that enqueued."""
TAKEN_OVER: Final = "IW423"
"""The SQL state of a write whose item belongs to another worker by now."""
POLL = 1.0
"""Seconds between looks when nobody wakes us."""
LEASE = 6.0
"""Seconds without a heartbeat after which a worker's items are taken over."""
GRACE = 10.0
"""Seconds that steps under way may take to end when a runner stops."""

WAITED = telemetry.histogram("ironworks_queue_wait_seconds", "From due to claimed.", ("kind",))
HELD = telemetry.gauge("ironworks_queue_held", "Items being worked on by this process.", ("kind",))
TAKEN = telemetry.counter("ironworks_queue_taken_over_total", "Items freed from workers that died.")


@dataclass(frozen=True, slots=True)
class Item:
    """One claimed piece of work. `attempts`: failures in a row before this one; `waited`: seconds it was due."""

    kind: str
    uid: UUID
    token: UUID
    wanted: int
    attempts: int
    waited: float


Job: TypeAlias = Callable[[], Awaitable[float | None]]
"""Works on one item and finishes it; returns the seconds after which the item is due again, None for never."""


class Lane(Protocol):
    """What works on the items of one kind."""

    @property
    def kind(self) -> str: ...

    @property
    def concurrency(self) -> int: ...

    async def take(self, items: Sequence[Item]) -> Sequence[Job]:
        """One job per item; what can be read for all of them at once is read here."""


def backoff(attempts: int, *, base: float = 0.25, cap: float = 300.0) -> float:
    """Seconds to wait after `attempts` failures in a row: doubling from `base` to `cap`, half of it random."""
    longest = min(cap, base * 2.0 ** min(max(attempts - 1, 0), 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


async def enqueue(ctx: Context, kind: str, uid: UUID, due_in: float = 0.0) -> None:
    """Have `uid` looked at in `due_in` seconds at the latest; part of the caller's transaction."""
    await ctx.db.execute("select shared.enqueue($1, $2, $3)", kind, uid, timedelta(seconds=due_in))


async def finish(
    db: Database, item: Item, delay: float | None, *, failed: bool = False, error: str | None = None
) -> bool:
    """Let go of `item`, due again after `delay` seconds or never; False if it was taken over."""
    due = None if delay is None else timedelta(seconds=delay)
    [row] = await db.fetch(
        "select shared.finish_work($1, $2, $3, $4, $5, $6, $7)",
        item.kind, item.uid, item.token, item.wanted, due, failed, error,
    )  # fmt: skip
    return bool(row[0])


def injected(function: Callable[..., Any], available: Mapping[type, object], *, given: int = 0) -> dict[str, object]:
    """What to pass for `function`'s parameters, found by their annotated types.

    `given`: how many leading parameters the caller passes itself. Raises LookupError where nothing was wired.
    """
    hints = get_type_hints(function)
    found = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[given:]:
        wanted: Any = hints.get(name)
        if wanted in available:
            found[name] = available[wanted]
        elif parameter.default is inspect.Parameter.empty:
            raise LookupError(f"{function.__module__}.{function.__qualname__}: nothing was wired for {name}: {wanted}")
    return found


class QueueRunner:
    """Works on the items of some lanes until told to stop. One per process.

    Args:
        db: logged in as the worker; its pool should have a connection or two more than steps touch at once.
        lanes: what it works on; items of other kinds are left to others.
        runner: the host's name; items pinned to it are claimed by its workers alone.
        url: of the same login, to listen for wake-ups on a session of its own; None polls only.
        poll, lease: seconds, see `POLL` and `LEASE`.
    """

    def __init__(
        self,
        db: Database,
        lanes: Sequence[Lane],
        *,
        runner: str = "",
        url: str | None = None,
        poll: float = POLL,
        lease: float = LEASE,
    ) -> None:
        self.db = db
        self.runner = runner
        self.worker = uuid4()
        self._lanes = {lane.kind: lane for lane in lanes}
        if len(self._lanes) != len(lanes):
            raise ValueError("two lanes work on the same kind")
        self._held: dict[str, set[UUID]] = {kind: set() for kind in self._lanes}
        self._crowded: set[str] = set()
        """Lanes whose last claim was filled to the brim, so that there may be more for them."""
        self._jobs: set[asyncio.Task[None]] = set()
        self._url = url
        self._poll = poll
        self._lease = lease
        self._look = asyncio.Event()
        self._stopping = False
        self._unsure = False
        """Whether the database may hold items for us that we do not know of, or no longer work on."""

    def wake(self) -> None:
        """Look at the queue now."""
        self._look.set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when the steps under way have ended."""
        self._stopping = True
        self._look.set()

    async def run(self) -> None:
        """Work until `stop`. Trouble with the database is logged and outlived."""
        background: list[asyncio.Task[None]] = []
        try:
            await self._until_it_works(self._beat)
            background.append(asyncio.create_task(self._keep_beating()))
            if self._url is not None:
                background.append(asyncio.create_task(keep_trying(self._hear, "the work queue")))
            while not self._stopping:
                self._look.clear()
                await self._until_it_works(self.claim)
                await self._wait()
            await self._drain()
        finally:
            for task in background:
                task.cancel()
            await self._leave()

    async def run_until_idle(self, within: float = 30.0) -> None:
        """Work until nothing is due and nothing is under way; for tests. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._beat()
            try:
                while await self.claim() or self._jobs:
                    if self._jobs:
                        await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._leave()

    async def claim(self) -> int:
        """Claim what is due and there is room for, and start on it; returns how many items."""
        wanted = {kind: room for kind in self._lanes if (room := self._room(kind)) > 0}
        if not wanted:
            return 0
        if self._unsure:
            await self._release_lost()
        try:
            rows = await self.db.fetch(
                "select kind, uid, token, wanted, attempts, waited from shared.claim_work($1, $2, $3, $4)",
                self.worker, self.runner, list(wanted), list(wanted.values()),
            )  # fmt: skip
        except BaseException:
            self._unsure = True  # it may have been committed
            raise
        batches: dict[str, list[Item]] = {}
        for row in rows:
            batches.setdefault(row["kind"], []).append(Item(*row))
        self._crowded -= wanted.keys()
        self._crowded |= {kind for kind, items in batches.items() if len(items) == wanted[kind]}
        for kind, items in batches.items():
            self._start(self._lanes[kind], items)
        if any(self._room(kind) > 0 for kind in self._crowded):
            self._look.set()  # room was made while we were asking
        return len(rows)

    def _room(self, kind: str) -> int:
        return self._lanes[kind].concurrency - len(self._held[kind])

    def _start(self, lane: Lane, items: list[Item]) -> None:
        self._held[lane.kind].update(item.token for item in items)
        HELD.labels(lane.kind).set(len(self._held[lane.kind]))
        for item in items:
            WAITED.labels(lane.kind).observe(max(0.0, item.waited))
        self._spawn(self._work(lane, items))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _work(self, lane: Lane, items: list[Item]) -> None:
        try:
            jobs = await lane.take(items)
        except Exception:
            log.exception("work could not be taken", kind=lane.kind, items=len(items))
            await asyncio.sleep(self._poll)
            for item in items:
                self._let_go(item, lost=True)
            return
        except BaseException:
            for item in items:
                self._let_go(item, lost=True)
            raise
        for item, job in zip(items[1:], jobs[1:], strict=True):
            self._spawn(self._run_job(item, job))
        await self._run_job(items[0], jobs[0])

    async def _run_job(self, item: Item, job: Job) -> None:
        lost = True
        try:
            again = await job()
            lost = False
        except Exception:
            log.exception("work could not be finished", kind=item.kind, uid=item.uid)
        else:
            if again is not None and again < 10 * self._poll:
                asyncio.get_running_loop().call_later(again + 0.001, self.wake)
        finally:
            self._let_go(item, lost)

    def _let_go(self, item: Item, lost: bool) -> None:
        self._held[item.kind].discard(item.token)
        HELD.labels(item.kind).set(len(self._held[item.kind]))
        self._unsure = self._unsure or lost
        if item.kind in self._crowded:
            self._look.set()

    async def _release_lost(self) -> None:
        """Free what the database holds for us and we do not work on: finishing it failed, or its claim got lost."""
        active = [token for tokens in self._held.values() for token in tokens]
        self._unsure = False  # what gets lost from now on is for the next time
        try:
            await self.db.fetch("select shared.release_lost($1, $2)", self.worker, active)
        except BaseException:
            self._unsure = True
            raise

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._look.wait()

    async def _until_it_works(self, act: Callable[[], Awaitable[int]]) -> int:
        """`act` until it succeeds or we stop."""
        pause = 0.1
        while not self._stopping:
            try:
                return await act()
            except Exception:
                log.exception("the queue does not answer", retry_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)
        return 0

    async def _beat(self) -> int:
        await self.db.fetch("select shared.beat($1, $2)", self.worker, self.runner)
        [row] = await self.db.fetch("select shared.take_over_work($1)", timedelta(seconds=self._lease))
        taken = int(row[0])
        if taken:
            TAKEN.labels().inc(taken)
            log.warning("took over the work of workers that died", items=taken)
            self.wake()
        return taken

    async def _hear(self) -> None:
        """Pass wake-ups on until the session ends."""
        assert self._url is not None
        async with dedicated(self._url, "ironworks-queue") as connection:
            wake = await listen(connection, CHANNEL)
            while not connection.is_closed():
                self.wake()
                await wake.wait(60)
                wake.clear()

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                await self._beat()
            except Exception:
                log.exception("no heartbeat", retry_seconds=self._lease / 4)

    async def _drain(self) -> None:
        if self._jobs:
            _, late = await asyncio.wait(self._jobs, timeout=GRACE)
            if late:
                log.warning("steps did not end in time and are left to others", steps=len(late))

    async def _leave(self) -> None:
        for job in list(self._jobs):
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)
        with suppress(Exception):  # the lease ends by itself
            await self.db.fetch("select shared.leave_queue($1)", self.worker)


async def depth(db: Database) -> dict[str, dict[str, int]]:
    """Per kind, how many items are due, held, failing or waiting; for metrics and `ironworks status`."""
    rows = await db.fetch(
        """
        select kind,
               count(*) filter (where token is null and due_at <= now()) as due,
               count(*) filter (where token is not null) as held,
               count(*) filter (where attempts > 0) as failing,
               count(*) filter (where token is null and due_at > now()) as waiting
        from shared.work_item group by kind order by kind
        """
    )
    return {r["kind"]: {name: r[name] for name in ("due", "held", "failing", "waiting")} for r in rows}
