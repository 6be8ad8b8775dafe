"""Events lie in months, go with their retention, and never count a second time after that; an upgrade loses nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ironworks.platform import metering
from ironworks.platform.metering.controller import keep_usage
from ironworks.shared.migrations import LOGIN_ROLES, PACKAGE, migrate
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, money_world, usage
from tests.support.postgres import PASSWORD, Server, TestDatabase

PARTS = """
select c.relname as part, count(e.*) as events
from pg_inherits i join pg_class c on c.oid = i.inhrelid
left join platform_metering.usage_event e on e.tableoid = c.oid
where i.inhparent = 'platform_metering.usage_event'::regclass group by c.relname order by c.relname
"""


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON
        yield world


async def record(world: LowerWorld, *events: metering.UsageEvent) -> list[str]:
    async with world.system("gateway") as ctx:
        return [event.id for event in await metering.record_usage(ctx, events)]


async def keep(world: LowerWorld, now: datetime) -> None:
    world.clock = lambda: now
    await world.settle()
    await keep_usage(await world.database("worker"))


async def parts(world: LowerWorld) -> dict[str, int]:
    return {row["part"]: row["events"] for row in await world.query(PARTS)}


async def test_events_lie_in_the_month_in_which_they_occurred(world: LowerWorld) -> None:
    await keep(world, NOON)
    leap = datetime(2026, 3, 31, 23, 59, 59, 999999, UTC)
    await record(world, usage("a"), usage("b", occurred_at=NOON - timedelta(days=2)))
    world.clock = lambda: leap
    await record(world, usage("c", occurred_at=leap), usage("d", occurred_at=leap + timedelta(microseconds=1)))
    assert await parts(world) == {
        "usage_2026_03": 2, "usage_2026_04": 1, "usage_2026_05": 0, "usage_2026_06": 0, "usage_rest": 1,
    }  # fmt: skip


async def test_a_month_that_began_without_its_partition_stays_in_the_rest(world: LowerWorld) -> None:
    await record(world, usage("a"))
    await keep(world, NOON)
    await keep(world, NOON)
    assert await record(world, usage("a"), usage("b")) == ["b"]
    found = await parts(world)
    assert found["usage_rest"] == 2
    assert "usage_2026_03" not in found
    assert "usage_2026_04" in found


async def test_partitions_are_closed_to_every_role_and_open_through_their_table(world: LowerWorld) -> None:
    await keep(world, NOON)
    rows = await world.query(
        """
        select c.relname, c.relrowsecurity and c.relforcerowsecurity as forced, r.role,
               has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate') as able
        from pg_inherits i join pg_class c on c.oid = i.inhrelid,
             unnest(array['ironworks_api', 'ironworks_worker', 'ironworks_gateway']) as r (role)
        where i.inhparent = 'platform_metering.usage_event'::regclass
        """
    )
    assert len(rows) == 15
    assert all(row["forced"] and not row["able"] for row in rows)


async def test_what_is_past_retention_is_gone_and_does_not_come_back(world: LowerWorld) -> None:
    await keep(world, NOON)
    await record(world, usage("kept-here"), usage("old", occurred_at=NOON - timedelta(days=39)), usage("new"))
    assert await record(world, usage("old", occurred_at=NOON - timedelta(days=39))) == []
    for days in (100, 200, 395, 420, 440):
        await keep(world, NOON + timedelta(days=days))
    assert "usage_2026_03" not in await parts(world)
    assert await world.query("select from platform_metering.usage_event") == []
    assert await world.query("select from platform_metering.usage_claim") == []
    assert await record(world, usage("new"), usage("kept-here")) == []
    reasons = await world.query("select event_id, reason from platform_metering.set_aside order by event_id")
    assert {row["event_id"]: row["reason"] for row in reasons}["new"] == "too_late"


async def test_claims_outlive_the_time_in_which_an_event_may_come_again(world: LowerWorld) -> None:
    ahead = NOON + timedelta(hours=20)
    await record(world, usage("a"), usage("ahead", occurred_at=ahead))
    await keep(world, NOON + timedelta(days=40, hours=1))
    claims = await world.query("select event_id from platform_metering.usage_claim")
    assert [row["event_id"] for row in claims] == ["ahead"]
    assert await record(world, usage("a"), usage("ahead", occurred_at=ahead)) == []
    assert await record(world, usage("late-not-too-late", occurred_at=ahead)) == ["late-not-too-late"]


async def test_forgetting_waits_for_who_records_old_events(world: LowerWorld) -> None:
    old = usage("old", occurred_at=NOON - timedelta(days=36))
    async with world.system("gateway") as ctx:
        assert await metering.record_usage(ctx, [old]) == [old]
        world.clock = lambda: NOON + timedelta(days=10)
        forgetting = asyncio.create_task(keep_usage(await world.database("worker")))
        await asyncio.sleep(0.2)
        assert not forgetting.done()
    await asyncio.wait_for(forgetting, 60)
    assert await record(world, old) == []


async def test_a_clock_of_ours_that_is_far_ahead_is_not_believed(world: LowerWorld) -> None:
    near, far = (usage(name, occurred_at=NOON + timedelta(hours=n)) for name, n in (("near", 23), ("far", 25)))
    assert await record(world, near, far) == ["near"]
    (row,) = await world.query("select event_id, reason from platform_metering.set_aside")
    assert tuple(row) == ("far", "in_future")


async def test_a_database_of_the_release_before_keeps_every_event(postgres: Server, tmp_path: Path) -> None:
    """Its events, claims and what was set aside; the same events handed in again are no news, and count in sums."""
    place = postgres.create_database(None)
    before = tmp_path / "before"
    shutil.copytree(PACKAGE, before, ignore=_newer)
    passwords = dict.fromkeys(LOGIN_ROLES, PASSWORD)
    await migrate(place.admin, passwords, before)
    rows = [usage(f"r{n}", occurred_at=NOON + timedelta(days=20 * n)) for n in range(5)]
    await _record_as_before(place, rows)
    await migrate(place.admin, passwords)
    async with money_world(place) as world:
        world.clock = lambda: NOON + timedelta(days=90)
        assert await record(world, *rows, usage("new")) == ["new"]
        assert await world.query("select from platform_metering.set_aside") == []
        await keep(world, NOON + timedelta(days=90))
        async with world.system("worker") as ctx:
            (total,) = await metering.summarize_usage(ctx, TENANT, NOON, NOON + timedelta(days=365), "tenant")
            assert (total.requests, total.quantities["output_tokens"]) == (6, 180)
            assert await metering.find_usage(ctx, "r3") is not None
    postgres.drop_database(place)


def _newer(folder: str, names: list[str]) -> set[str]:
    """What the release before did not have, and whatever is no SQL."""
    metering_sql = folder.endswith("metering/sql")
    return {
        name
        for name in names
        if (Path(folder) / name).is_file()
        and (not name.endswith(".sql") or (metering_sql and (name.startswith("policy") or name > "0062")))
    }


async def _record_as_before(place: TestDatabase, events: list[metering.UsageEvent]) -> None:
    import asyncpg

    conn = await asyncpg.connect(place.admin)
    for event in events:
        await conn.execute(
            "insert into platform_metering.usage_claim (event_id, digest) values ($1, $2)", event.id, event.digest()
        )
        await conn.execute(
            """
            insert into platform_metering.usage_event (event_id, occurred_at, scope, quantities, model, route,
              endpoint_name, endpoint_scope, counted, dimensions, key_uid)
            values ($1, $2, $3::text::ltree, '{"input_tokens": 100, "output_tokens": 30}', 'smollm2', 'smollm2',
                    'smollm2', $3::text::ltree, false, '{}', $4)
            """,
            event.id,
            event.occurred_at,
            event.scope,
            event.key_uid,
        )
    await conn.close()
