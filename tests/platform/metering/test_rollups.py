"""Sums by hour and day equal the events, in whatever order these come, before, during and after a roll."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ironworks.platform import metering
from ironworks.platform.metering.controller import keep_usage, roll_usage
from ironworks.platform.metering.rollups import RestoredElsewhere, roll
from ironworks.platform.metering.routes import router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Invalid
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, money_world, usage
from tests.support.postgres import TestDatabase

Points = dict[tuple[str, str], int]


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON + timedelta(days=1)
        yield world


async def record(world: LowerWorld, *events: metering.UsageEvent) -> None:
    async with world.system("gateway") as ctx:
        await metering.record_usage(ctx, events)


async def points(world: LowerWorld, every: metering.Every = "hour", by: str = "tenant", meter: str = "") -> Points:
    since, until = NOON - timedelta(days=60), NOON + timedelta(days=60)
    async with world.system("worker") as ctx:
        found = await metering.list_points(ctx, "acme", meter, since, until, every, [by])
    return {(f"{point.at:%m-%dT%H}", point.group[by]): point.quantity for point in found}


async def test_sums_are_the_same_before_and_after_a_roll(world: LowerWorld) -> None:
    worker = await world.database("worker")
    await record(
        world,
        usage("a", tokens=(1, 0, 5)),
        usage("b", tokens=(2, 0, 0), scope="acme.shop", dimensions={"sku": "a100"}),
        usage("c", tokens=(4, 0, 0), occurred_at=NOON + timedelta(minutes=59, seconds=59)),
        usage("theirs", scope="rival.app"),
    )
    expected = {("03-01T12", "acme.shop"): 2, ("03-01T12", TENANT): 5}
    assert await points(world, meter="input_tokens") == expected
    await roll_usage(worker)
    await roll_usage(worker)
    assert await points(world, meter="input_tokens") == expected
    late = [usage("late", tokens=(8, 0, 0)), usage("later", tokens=(16, 0, 0), occurred_at=NOON - timedelta(hours=13))]
    await record(world, *late)
    expected |= {("03-01T12", TENANT): 13, ("02-28T23", TENANT): 16}
    assert await points(world, meter="input_tokens") == expected
    await roll_usage(worker)
    assert await points(world, meter="input_tokens") == expected
    assert await points(world, "day", "dimension:sku") == {
        ("02-28T00", ""): 1, ("03-01T00", ""): 3, ("03-01T00", "a100"): 1,
    }  # fmt: skip
    assert await points(world, "day", "model", "output_tokens") == {("03-01T00", "smollm2"): 5}


async def test_rolls_at_any_moment_between_writers_lose_and_double_nothing(world: LowerWorld) -> None:
    """A writer whose transaction began before a roll and ended after it is counted by the next one."""
    worker = await world.database("worker")
    generator = random.Random(7)
    moments = [NOON + timedelta(minutes=generator.randrange(-2000, 1000)) for _ in range(200)]
    events = [usage(f"r{n:03}", tokens=(1, 0, 0), occurred_at=moment) for n, moment in enumerate(moments)]

    async def write(part: list[metering.UsageEvent]) -> None:
        for start in range(0, len(part), 5):
            async with world.system("gateway") as ctx:
                await metering.record_usage(ctx, part[start : start + 5])
                await asyncio.sleep(generator.random() / 50)

    async def keep_rolling() -> None:
        for _ in range(12):
            await roll_usage(worker)
            await asyncio.sleep(0.01)

    async with world.system("gateway") as slow:
        await metering.record_usage(slow, [usage("slow", tokens=(1, 0, 0))])
        await asyncio.gather(*(write(events[n::4]) for n in range(4)), keep_rolling(), keep_rolling())
    await world.settle()
    await roll_usage(worker)
    for table in ("hourly", "daily"):
        (row,) = await world.query(
            f"select sum(quantity)::int as sum from platform_metering.usage_{table} where meter = 'input_tokens'"
        )
        assert row["sum"] == 201
    assert sum((await points(world)).values()) == 201


async def test_days_outlive_the_events_and_hours_behind_them(world: LowerWorld) -> None:
    await record(world, usage("a"))
    await world.settle()
    for days in (1, 500):
        world.clock = lambda days=days: NOON + timedelta(days=days)  # type: ignore[misc]
        await keep_usage(await world.database("worker"))
    assert await world.query("select from platform_metering.usage_event") == []
    assert await points(world, "hour") == {}
    assert await points(world, "day") == {("03-01T00", TENANT): 1}


async def test_a_restore_into_another_server_is_noticed(world: LowerWorld) -> None:
    await world.admin("update platform_metering.rolled set upto = '99999999999'")
    with pytest.raises(RestoredElsewhere):
        async with world.system("worker") as ctx:
            await roll(ctx)


class Reader:
    """Asks the API as a subject."""

    def __init__(self, database: Database, subjects: dict[str, Actor]) -> None:
        async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
            return subjects[(authorization or "").removeprefix("Bearer ")]

        api = Api(database, RouteTable([*router.routes]), authenticate)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api")  # type: ignore[arg-type]

    async def __call__(self, who: str, path: str, status: int = 200) -> Any:
        answer = await self.client.get(f"/api/v1/scopes/{path}", headers={"authorization": f"Bearer {who}"})
        assert answer.status_code == status, answer.text
        return answer.json()


async def test_over_http_to_who_may_see_it(world: LowerWorld) -> None:
    subjects = {
        "ours": await world.subject("ours", {"usage:read": ["acme"]}),
        "theirs": await world.subject("theirs", {"usage:read": ["rival"]}),
    }
    ask = Reader(await world.database("api"), subjects)
    await record(world, usage("a"), usage("b", occurred_at=datetime(2026, 3, 1, 23, 59, tzinfo=UTC)))
    await roll_usage(await world.database("worker"))
    await record(world, usage("c"))
    period = "from=2026-03-01T13:00:00Z&to=2026-03-03T00:00:00Z"
    answer = await ask("ours", f"acme/usage/meters/input_tokens?{period}&group_by=tenant,model")
    assert answer["items"] == [
        {"at": "2026-03-01T00:00:00Z", "group": {"tenant": TENANT, "model": "smollm2"}, "quantity": 300}
    ]
    hours = await ask("ours", f"acme/usage/meters/events?{period}&every=hour")
    assert [(item["at"], item["quantity"]) for item in hours["items"]] == [("2026-03-01T23:00:00Z", 1)]
    await ask("theirs", f"acme/usage/meters/events?{period}", 404)
    assert (await ask("theirs", f"rival/usage/meters/events?{period}"))["items"] == []
    await ask("ours", f"acme/usage/meters/events?{period}&group_by=colour", 422)
    await ask("ours", "acme/usage/meters/events?from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422)
    await ask.client.aclose()


async def test_more_groups_than_anybody_can_hold_are_refused(
    world: LowerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who calls the gateway names end users and dimensions as he likes: an answer has an end all the same."""
    monkeypatch.setattr("ironworks.platform.metering.service.MAX_GROUPS", 2)
    await record(world, *(usage(f"u{n}", user=f"user-{n % 3}", dimensions={"sku": f"{n % 3}"}) for n in range(6)))
    since, until = NOON - timedelta(days=1), NOON + timedelta(days=1)
    async with world.system("worker") as ctx:
        assert len(await metering.summarize_usage(ctx, "acme", since, until, "model")) == 1
        with pytest.raises(Invalid, match="makes more than 2"):
            await metering.summarize_usage(ctx, "acme", since, until, "user")
        with pytest.raises(Invalid, match="makes more than 2"):
            await metering.list_points(ctx, "acme", "", since, until, "day", ["dimension:sku"])
