"""Meters that are not added up: levels by the time they hold, largest ones, different ones; exact in any order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ironworks.platform import billing, metering
from ironworks.platform.billing.controller import charge_settled_readings
from ironworks.platform.metering.model import next_month, seconds_per
from ironworks.shared.declarations import Declarations, Meter
from tests.support import money
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, check_books, money_world, usage
from tests.support.postgres import TestDatabase

METERS = Declarations(
    meters=(
        Meter("gpus", "second", "time_weighted", "GPUs held"),
        Meter("stored", "GiB-month", "time_weighted", "GiB stored"),
        Meter("seats", "seat", "unique", "People who came"),
        Meter("peak", "connection", "max", "Most connections at once"),
    )
)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
async def world(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LowerWorld]:
    monkeypatch.setitem(money._DECLARED, "test.meters", METERS)
    async with money_world(database) as world:
        world.clock = lambda: NOON
        yield world


def reading(number: int, at: datetime, meter: str, value: int | str, resource: str = "vm-1", **more: Any) -> Any:
    return usage(
        f"r{number}", occurred_at=at, quantities={}, readings={meter: value}, resource=resource, key_uid=None, **more
    )


async def record(world: LowerWorld, *events: metering.UsageEvent) -> list[str]:
    async with world.system("gateway") as ctx:
        return [event.id for event in await metering.record_usage(ctx, events)]


async def settle(world: LowerWorld, now: datetime) -> None:
    world.clock = lambda: now
    await charge_settled_readings(await world.database("worker"))


async def charged(world: LowerWorld, meter: str) -> int:
    (row,) = await world.query(
        "select coalesce(sum((quantities ->> $1)::bigint), 0)::bigint as sum from platform_metering.usage_event", meter
    )
    return int(row["sum"])


async def test_a_level_counts_for_as_long_as_it_holds(world: LowerWorld) -> None:
    world.clock = lambda: NOON + timedelta(hours=2)
    await record(
        world,
        reading(1, NOON, "gpus", 8, model="h100"),
        reading(2, NOON + timedelta(minutes=10), "gpus", 4, model="h100"),
        reading(3, NOON + timedelta(minutes=30), "gpus", 0, model="h100"),
        reading(4, NOON, "gpus", 1, "vm-2", model="h100"),
    )
    await settle(world, NOON + timedelta(minutes=20))
    assert await charged(world, "gpus") == 8 * 600 + 4 * 600 + 1200
    await settle(world, NOON + timedelta(hours=1))
    await settle(world, NOON + timedelta(hours=1))
    assert await charged(world, "gpus") == 8 * 600 + 4 * 1200 + 3600
    await check_books(world)


async def test_a_level_that_holds_over_the_end_of_a_month_is_charged_in_both(world: LowerWorld) -> None:
    last = datetime(2026, 2, 28, 23, tzinfo=UTC)
    world.clock = lambda: last
    await record(world, reading(1, last, "gpus", 2))
    await settle(world, BEGIN + timedelta(hours=3))
    rows = await world.query("select month, quantity from platform_metering.settled order by month")
    assert [tuple(row) for row in rows] == [(date(2026, 2, 1), 7200), (date(2026, 3, 1), 21_600)]
    days = await world.query("select (occurred_at at time zone 'UTC')::date as day from platform_metering.usage_event"
                             " where event_id ~ '^settled' order by 1")  # fmt: skip
    assert [row["day"] for row in days] == [date(2026, 2, 28), date(2026, 3, 1)]


async def test_a_month_of_a_gib_is_one_however_long_the_month(world: LowerWorld) -> None:
    january = datetime(2026, 1, 1, tzinfo=UTC)
    world.clock = lambda: january
    await record(world, reading(1, january, "stored", 10))
    await settle(world, january + timedelta(days=3))
    assert await charged(world, "stored") == 0
    await settle(world, january + timedelta(days=4))
    assert await charged(world, "stored") == 1
    for days in (20, 32, 60):
        await settle(world, january + timedelta(days=days))
    assert await charged(world, "stored") == 20


def test_what_a_unit_is() -> None:
    assert seconds_per("GiB-month", date(2028, 2, 1)) == 29 * 86_400
    assert (seconds_per("GPU·h", date(2026, 2, 1)), seconds_per("second", date(2026, 2, 1))) == (3600, 1)
    assert next_month(date(2026, 12, 1)) == date(2027, 1, 1)


async def test_the_largest_and_the_different_ones_of_a_month(world: LowerWorld) -> None:
    later = NOON + timedelta(days=2)
    world.clock = lambda: later
    await record(
        world,
        *(reading(n, NOON + timedelta(hours=n), "peak", level) for n, level in enumerate((5, 9, 7))),
        *(reading(10 + n, NOON + timedelta(hours=n), "seats", who) for n, who in enumerate(("ann", "bob", "ann"))),
    )
    await settle(world, NOON + timedelta(minutes=30))
    assert (await charged(world, "peak"), await charged(world, "seats")) == (5, 1)
    await settle(world, later)
    assert (await charged(world, "peak"), await charged(world, "seats")) == (9, 2)
    world.clock = lambda: BEGIN + timedelta(days=35)
    await record(world, reading(20, datetime(2026, 4, 2, tzinfo=UTC), "seats", "ann"))
    await settle(world, BEGIN + timedelta(days=35))
    assert await charged(world, "seats") == 3


async def test_the_order_in_which_readings_come_changes_nothing(world: LowerWorld) -> None:
    generator = random.Random(3)
    moments = sorted(NOON + timedelta(seconds=generator.randrange(80_000)) for _ in range(40))
    levels = [generator.randrange(5) for _ in moments]
    exact = sum(
        level * (until - at).total_seconds()
        for at, until, level in zip(moments, [*moments[1:], NOON + timedelta(days=1)], levels, strict=True)
    )
    events = [reading(n, at, "gpus", level) for n, (at, level) in enumerate(zip(moments, levels, strict=True))]
    world.clock = lambda: NOON + timedelta(days=1)
    for event in generator.sample(events, len(events)):
        await record(world, event)
    await settle(world, NOON + timedelta(days=1))
    assert await charged(world, "gpus") == int(exact)


async def test_an_end_that_is_told_late_is_set_against_what_follows(world: LowerWorld) -> None:
    await record(world, reading(1, NOON, "gpus", 1))
    await settle(world, NOON + timedelta(hours=2))
    assert await charged(world, "gpus") == 7200
    await record(world, reading(2, NOON + timedelta(hours=1), "gpus", 0))
    await record(world, reading(3, NOON + timedelta(hours=2), "gpus", 1))
    await settle(world, NOON + timedelta(hours=2, minutes=30))
    assert await charged(world, "gpus") == 7200
    await settle(world, NOON + timedelta(hours=4))
    assert await charged(world, "gpus") == 3 * 3600


async def test_a_reading_that_fits_no_meter_is_set_aside(world: LowerWorld) -> None:
    bad = [
        reading(1, NOON, "gpus", -1),
        reading(2, NOON, "gpus", "many"),
        reading(3, NOON, "gpus", 1, ""),
        reading(4, NOON, "seats", 7),
        reading(5, NOON, "seats", ""),
        reading(6, NOON, "input_tokens", 7),
        reading(7, NOON, "bananas", 7),
    ]
    assert await record(world, *bad, reading(8, NOON, "seats", "ann")) == ["r8"]
    rows = await world.query("select event_id, reason from platform_metering.set_aside order by event_id")
    assert [row["reason"] for row in rows] == ["bad_reading"] * 6 + ["unknown_meter"]


async def test_settled_usage_is_priced_and_explained_like_any_other(world: LowerWorld) -> None:
    await record(world, reading(1, NOON, "gpus", 3))
    await settle(world, NOON + timedelta(minutes=1))
    async with world.system("worker") as ctx:
        (settled,) = [
            one.event.id
            for one in await metering.list_usage(ctx, TENANT, NOON, NOON + timedelta(days=1), 10)
            if one.event.quantities
        ]
        explained = await billing.explain_request(ctx, settled)
    assert [(line.measured.meter, line.measured.quantity) for line in explained.unrated] == [("gpus", 180)]


async def test_a_level_that_nobody_has_is_charged_piece_by_piece(world: LowerWorld) -> None:
    """What one event may not hold is not set aside again at each settling, and never charged: it comes in pieces."""
    await record(world, reading(1, NOON, "gpus", 10**9))
    for hours in range(1, 4):
        await settle(world, NOON + timedelta(hours=hours))
        assert await charged(world, "gpus") == hours * metering.MAX_QUANTITY
    assert not await world.query("select from platform_metering.set_aside")
    await check_books(world)
