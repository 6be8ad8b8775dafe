"""Schedules: due again and again, by one worker at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ironworks.shared.db import Database
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from ironworks.shared.schedules import Schedule, schedule_of, schedules
from tests.shared.boxes import Boxes


async def workers(boxes: Boxes, schedule: Schedule, count: int = 1, **injected: Any) -> list[ReconcileRuntime]:
    return [await boxes.worker(schedules=[schedule], poll=0.02, **injected) for _ in range(count)]


def marked(function: Any) -> Schedule:
    found = schedule_of(function)
    assert found is not None
    return found


async def test_one_worker_at_a_time_runs_it_again_and_again(boxes: Boxes) -> None:
    runs, inside = 0, 0

    @schedules(every=0.05)
    async def tick(db: Database) -> None:
        nonlocal runs, inside
        inside += 1
        assert inside == 1
        await db.pool.fetchval("select pg_sleep(0.02)")
        inside -= 1
        runs += 1

    tick.__annotations__["db"] = Database
    both = await workers(boxes, marked(tick), 2)
    running = [asyncio.create_task(worker.run()) for worker in both]
    async with asyncio.timeout(60):
        while runs < 10:
            await asyncio.sleep(0.01)
    for worker in both:
        worker.stop()
    await asyncio.gather(*running)


async def test_the_next_time_survives_a_restart(boxes: Boxes) -> None:
    runs = 0

    @schedules(every=3600)
    async def hourly() -> None:
        nonlocal runs
        runs += 1

    for _ in range(3):
        [worker] = await workers(boxes, marked(hourly))
        await worker.plan()
        await worker.run_until_idle()
    assert runs == 1
    [item] = await boxes.items()
    assert item["kind"] == "schedule:tests.shared.test_schedules.hourly"


async def test_a_shorter_period_takes_effect_at_the_next_start(boxes: Boxes) -> None:
    async def act() -> None: ...

    for every in (86_400.0, 60.0):
        [worker] = await workers(boxes, Schedule("a", every, act))
        await worker.plan()
        await worker.run_until_idle()
    [item] = await boxes.items()
    assert await boxes.admin.fetchval("select $1 < now() + interval '61 s'", item["due_at"])


async def test_a_run_that_fails_is_tried_again_with_backoff_and_never_given_up(boxes: Boxes) -> None:
    runs = 0

    @schedules(every=3600)
    async def broken() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise RuntimeError("token=hunter2hunter2")

    [worker] = await workers(boxes, marked(broken))
    await worker.plan()
    for attempt in range(1, 4):
        await boxes.hurry()
        await worker.run_until_idle()
        [item] = await boxes.items()
        assert (item["attempts"], item["last_error"]) == (attempt, "RuntimeError")
    await boxes.hurry()
    await worker.run_until_idle()
    [item] = await boxes.items()
    assert (runs, item["attempts"], item["last_error"]) == (4, 0, None)


async def test_a_run_that_hangs_is_ended(boxes: Boxes) -> None:
    async def hang() -> None:
        await asyncio.sleep(60)

    [worker] = await workers(boxes, Schedule("hang", 60, hang, timeout=0.1))
    await worker.plan()
    await worker.run_until_idle(within=60)
    [item] = await boxes.items()
    assert item["last_error"] == "TimeoutError"


def test_what_cannot_be_injected_is_refused_at_the_start() -> None:
    class Missing: ...

    async def act(missing: Missing) -> None: ...

    act.__annotations__["missing"] = Missing
    with pytest.raises(LookupError, match="missing"):
        ReconcileRuntime(None, (), {}, schedules=[Schedule("a", 1, act)])  # type: ignore[arg-type]


def test_a_period_is_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        schedules(every=0)
