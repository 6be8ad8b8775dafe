"""Schedules: work that is due again and again, done by one worker at a time.

    @schedules(every=60)
    async def expire_sessions(db: Database) -> None: ...

A schedule is an item of the work queue that never goes away, so that its next time is kept across restarts, a dead
worker's run is taken over, and a run that fails is tried again with backoff but no later than its next time. The
marked function opens its own transactions; it may run twice for one period and must bear that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from ironworks.shared import telemetry
from ironworks.shared.db import Database
from ironworks.shared.queue import Item, Job, backoff, finish, injected

log = telemetry.logger(__name__)

F = TypeVar("F", bound=Callable[..., Awaitable[None]])
ONLY: Final = UUID(int=0)
"""A schedule's kind holds one item."""
_MARK = "__ironworks_schedule__"

RUNS = telemetry.counter("ironworks_schedule_runs_total", "Runs of schedules.", ("schedule", "result"))


@dataclass(frozen=True, slots=True)
class Schedule:
    """`run` every so many seconds; `timeout` ends a run that hangs."""

    name: str
    every: float
    run: Callable[..., Awaitable[None]]
    timeout: float = 600.0

    @property
    def kind(self) -> str:
        """Under which it is queued."""
        return f"schedule:{self.name}"


def schedules(*, every: float, timeout: float = 600.0) -> Callable[[F], F]:
    """Mark a coroutine function of a `controller.py` as due every `every` seconds.

    Its parameters are injected by type, as a reconciler's are; `db: Database` is always there.
    """
    if every <= 0:
        raise ValueError("every must be positive")

    def mark(function: F) -> F:
        name = f"{_domain(function.__module__)}.{function.__name__}"
        setattr(function, _MARK, Schedule(name, every, function, timeout))
        return function

    return mark


def _domain(module: str) -> str:
    """`ironworks.platform.audit.controller` → `platform.audit`."""
    return module.removeprefix("ironworks.").removesuffix(".controller")


def schedule_of(candidate: object) -> Schedule | None:
    """The schedule that `candidate` was marked as."""
    found = getattr(candidate, _MARK, None)
    return found if isinstance(found, Schedule) else None


class ScheduleLane:
    """Runs one schedule. Raises LookupError when a parameter of it is not wired."""

    concurrency = 1

    def __init__(self, db: Database, schedule: Schedule, available: Mapping[type, object]) -> None:
        self._db = db
        self._schedule = schedule
        self._arguments = injected(schedule.run, {Database: db, **available})

    @property
    def kind(self) -> str:
        return self._schedule.kind

    async def plan(self) -> None:
        """Make sure that it is queued, and no later than one period from now."""
        await self._db.fetch(
            "insert into shared.work_item as i (kind, uid, due_at) values ($1, $2, now())"
            " on conflict (kind, uid) do update set due_at = excluded.due_at + $3"
            " where i.token is null and i.due_at > excluded.due_at + $3",
            self.kind, ONLY, timedelta(seconds=self._schedule.every),
        )  # fmt: skip

    async def take(self, items: Sequence[Item]) -> Sequence[Job]:
        return [partial(self._run, item) for item in items]

    async def _run(self, item: Item) -> float:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._schedule.timeout):
                await self._schedule.run(**self._arguments)
        except Exception as problem:
            log.exception("a schedule failed", schedule=self._schedule.name)
            RUNS.labels(self._schedule.name, "failed").inc()
            delay = min(backoff(item.attempts + 1), self._schedule.every)
            await finish(self._db, item, delay, failed=True, error=type(problem).__name__)
            return delay
        RUNS.labels(self._schedule.name, "ok").inc()
        delay = max(0.0, self._schedule.every - (time.monotonic() - began))
        await finish(self._db, item, delay)
        return delay
