"""The read model says what metering and the ledger say, whatever came in whichever order; and who may read it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ironworks.platform import billing, metering, pricing
from ironworks.platform.billing.controller import charge_waiting_usage
from ironworks.products.tokenfactory import analytics
from ironworks.products.tokenfactory.analytics.controller import count_history, count_late_charges, forget_old_rows
from ironworks.products.tokenfactory.analytics.model import METERS
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.context import Actor
from ironworks.shared.errors import Invalid, NotFound
from ironworks.shared.topics import read_touched
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, money_world, usage
from tests.support.postgres import Server, TestDatabase

OTHER_KEY = UUID("00000000-0000-4000-8000-000000000002")
HOUR = timedelta(hours=1)


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON + HOUR
        yield world


async def reader(world: LowerWorld, *scopes: str, money: bool = True) -> Actor:
    rights = {"usage:read": list(scopes)} | ({"billing:read": list(scopes)} if money else {})
    return await world.subject("reader", rights)


async def count(
    world: LowerWorld, *batch: metering.UsageEvent, latency: float | None = 200.0, first: float | None = 50.0
) -> None:
    """Charge and count as the gateway does."""
    async with world.system("gateway") as ctx:
        charged = await billing.charge_usage(ctx, batch)
        await analytics.add_usage(ctx, [analytics.answered_of(c.event, c.cost_nano, latency, first) for c in charged])


async def ask(world: LowerWorld, actor: Actor, path: str = "acme", **changes: Any) -> analytics.Report:
    question: dict[str, Any] = {"path": path, "since": NOON - HOUR, "until": NOON + 3 * HOUR} | changes
    async with world.acting(actor) as ctx:
        return await analytics.report_usage(ctx, analytics.Question(**question))


def told(event_id: str, status: int = 200, **changes: Any) -> metering.UsageEvent:
    return usage(event_id, dimensions={"operation": "/v1/chat/completions", "status": str(status)}, **changes)


async def test_sums_and_quantiles_by_each_group(world: LowerWorld) -> None:
    actor = await reader(world, "acme")
    await count(world, told("a"), told("b", scope="acme.shop.us", model="big", route="best", key_uid=OTHER_KEY))
    await count(world, told("c", 429, tokens=(0, 0, 0)), told("d", 503, tokens=(0, 0, 0)), told("e", 499))
    await count(world, told("f", occurred_at=NOON + HOUR), latency=4000.0, first=None)
    by = {name: await ask(world, actor, by=name) for name in ("tenant", "key", "route", "model", "endpoint", "hour")}
    requests = {name: {g.name: g.figures.numbers["requests"] for g in report.groups} for name, report in by.items()}
    assert requests == {
        "tenant": {TENANT: 5, "acme.shop.us": 1},
        "key": {"00000000-0000-4000-8000-000000000001": 5, str(OTHER_KEY): 1},
        "route": {"smollm2": 5, "best": 1},
        "model": {"smollm2": 5, "big": 1},
        "endpoint": {f"{TENANT}/smollm2": 6},
        "hour": {"2026-03-01T12:00Z": 5, "2026-03-01T13:00Z": 1},
    }
    total = by["model"].total
    assert {name: total.numbers[name] for name in ("requests", "client_errors", "server_errors", "cost_nano")} == {
        "requests": 6,
        "client_errors": 2,
        "server_errors": 1,
        "cost_nano": 4 * 23_000,
    }
    assert total.latency_ms == pytest.approx((200, 4000, 4000), rel=0.05)
    assert total.first_token_ms == pytest.approx((50, 50, 50), rel=0.05)


async def test_two_targets_of_one_provider_are_two_lines(world: LowerWorld) -> None:
    """Both are priced alike, so that nothing but the target tells them apart; an endpoint of ours is itself."""
    actor = await reader(world, "acme")
    route_uid = UUID(int=7)
    for name, target in (("a", "gpt-4o@eu"), ("b", "gpt-4o@us"), ("c", "gpt-4o@us"), ("d", "")):
        words = {"operation": "/v1/chat/completions", "status": "200"} | ({"target": target} if target else {})
        await count(world, usage(name, dimensions=words, route_uid=route_uid if name != "b" else None))
    report = await ask(world, actor, by="target")
    assert {g.name: g.figures.numbers["requests"] for g in report.groups} == {
        f"{TENANT}/smollm2:gpt-4o@us": 2, f"{TENANT}/smollm2:gpt-4o@eu": 1, f"{TENANT}/smollm2": 1,
    }  # fmt: skip
    own = await ask(world, actor, by="target", filters={"route_uid": str(route_uid)})
    assert {g.name.rpartition(":")[2]: g.figures.numbers["requests"] for g in own.groups} == {
        "gpt-4o@us": 1, "gpt-4o@eu": 1, f"{TENANT}/smollm2": 1,
    }  # fmt: skip


async def test_a_group_over_time_filtered_sorted_and_cut(world: LowerWorld) -> None:
    actor = await reader(world, "acme")
    for hour in range(3):
        at = NOON + hour * HOUR
        await count(world, *(told(f"m{hour}-{n}", model=f"m{n}", occurred_at=at) for n in range(3)))
    await count(world, told("dear", model="m2", tokens=(10**6, 0, 0)))
    report = await ask(world, actor, interval="hour", sort="cost", limit=2)
    assert [group.name for group in report.groups] == ["m2", "m0"]
    points = [[(at, figures.numbers["requests"]) for at, figures in group.series] for group in report.groups]
    assert points == [
        [(NOON, 2), (NOON + HOUR, 1), (NOON + 2 * HOUR, 1)],
        [(NOON, 1), (NOON + HOUR, 1), (NOON + 2 * HOUR, 1)],
    ]
    assert report.total.numbers["requests"] == 10
    assert report.groups[0].series[1][1].latency_ms == pytest.approx((200, 200, 200), rel=0.05)
    filtered = await ask(world, actor, by="day", interval="day", filters={"model": "m1", "route": "smollm2"})
    assert [(g.name, g.figures.numbers["requests"], len(g.series)) for g in filtered.groups] == [("2026-03-01", 3, 1)]
    assert (await ask(world, actor, filters={"key": "nobody's"})).groups == ()


async def test_minutes_are_told_while_they_are_kept(world: LowerWorld) -> None:
    actor = await reader(world, "acme")
    moments = [NOON - timedelta(hours=3), NOON, NOON + timedelta(seconds=61), NOON + timedelta(minutes=59)]
    for n, at in enumerate(moments):
        await count(world, told(f"r{n}", occurred_at=at))
    report = await ask(world, actor, since=NOON + timedelta(seconds=30), until=NOON + HOUR, interval="minute")
    assert [at.minute for at, _ in report.groups[0].series] == [0, 1, 59]
    assert report.since == NOON
    await ask(world, actor, since=NOON - 2 * HOUR - timedelta(seconds=5), by="minute")  # three hours when it was sent
    with pytest.raises(Invalid, match="minutes"):
        await ask(world, actor, since=NOON - 3 * HOUR, by="minute")
    await forget_old_rows(await world.database("worker"))
    kept = [row["bucket"] for row in await world.query("select bucket from tokenfactory_analytics.minutely order by 1")]
    assert kept == [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=59)]
    assert len(await world.query("select 1 from tokenfactory_analytics.hourly")) == 2
    world.clock = lambda: NOON + timedelta(days=400)
    await forget_old_rows(await world.database("worker"))
    assert [r["bucket"] for r in await world.query("select bucket from tokenfactory_analytics.hourly")] == [NOON]


async def test_users_and_metadata_are_answered_from_metering_with_their_cost(world: LowerWorld) -> None:
    actor = await reader(world, "acme")
    await count(world, told("a", user="ann", metadata={"team": "red"}), told("b", metadata={"team": "red"}), told("c"))
    report = await ask(world, actor, by="metadata:team", sort="cost")
    assert report.source == "usage"
    found = {g.name: (g.figures.numbers["requests"], g.figures.numbers["cost_nano"]) for g in report.groups}
    assert found == {"red": (2, 46_000), "": (1, 23_000)}
    assert report.total.numbers["cost_nano"] == 69_000
    assert report.total.numbers["client_errors"] is None
    assert [g.name for g in (await ask(world, actor, by="user")).groups] == ["", "ann"]
    with pytest.raises(Invalid):
        await ask(world, actor, by="user", interval="hour")


async def test_who_sees_what(world: LowerWorld) -> None:
    await count(world, told("ours"), told("theirs", scope="rival.shop"))
    frugal = await reader(world, "acme", money=False)
    for by in ("tenant", "user"):
        report = await ask(world, frugal, "", by=by)
        assert report.total.numbers["requests"] == 1
        assert report.total.numbers["cost_nano"] is None
        assert [g.figures.numbers["cost_nano"] for g in report.groups] == [None]
    nobody = await world.subject("nobody", {"billing:read": [""]})
    assert (await ask(world, nobody, "")).groups == ()
    with pytest.raises(NotFound):
        await ask(world, frugal, "no.where")


async def test_what_is_charged_late_is_counted_with_its_cost(database: TestDatabase) -> None:
    async with money_world(database, prices=False) as world:
        world.clock = lambda: NOON + HOUR
        operator = await world.subject("operator", {"price:create": [""], "billing:read": [""], "usage:read": [""]})
        await count(world, *(told(f"r{n}", scope=f"acme.shop.t{n}") for n in range(3)))
        assert (await ask(world, operator)).total.numbers["cost_nano"] == 0
        async with world.acting(operator) as ctx:
            await pricing.create_price(ctx, pricing.PriceKey("output_tokens", "*", "USD"), Decimal(1), NOON - HOUR)
        await charge_waiting_usage(await world.database("worker"))
        for _ in range(2):  # an event that is handled twice counts once
            await consume_late_charges(world)
            report = await ask(world, operator)
            assert report.total.numbers["cost_nano"] == 3 * 30 * 10**9
            assert report.total.latency_ms == pytest.approx((200, 200, 200), rel=0.05)
        await check_against_metering(world)


async def consume_late_charges(world: LowerWorld) -> None:
    rows = await world.query(
        "select payload from shared.change_pending where event_type = $1", billing.UsageChargedLate.type
    )
    assert rows
    for row in rows:
        payload = billing.UsageChargedLate.model_validate_json(row["payload"]).model_dump()
        event = LoggedEvent(1, OTHER_KEY, billing.UsageChargedLate.type, 1, "", payload, "", None, NOON)
        async with world.system("worker") as ctx:
            await count_late_charges(ctx, event)


async def check_against_metering(world: LowerWorld) -> None:
    """Asserts that every hour's sums are those of its usage events and rated lines, by every grouping together."""
    sums = ", ".join(f"sum({meter})::bigint as {meter}" for meter in METERS)
    counted = await world.query(
        f"select path, model, date_trunc('hour', bucket, 'UTC') as hour, sum(requests)::bigint as requests,"
        f" sum(cost_nano)::bigint as cost, {sums} from tokenfactory_analytics.hourly group by 1, 2, 3 order by 1, 2, 3"
    )
    metered = ", ".join(f"coalesce(sum((quantities ->> '{meter}')::bigint), 0)::bigint as {meter}" for meter in METERS)
    recorded = await world.query(
        f"""
        select path, model, date_trunc('hour', occurred_at, 'UTC') as hour, count(*) as requests,
               coalesce(sum(cost), 0)::bigint as cost, {metered}
        from platform_metering.usage_event left join (
          select usage_event_id as event_id, sum(amount_nano) as cost from platform_pricing.rated_line group by 1) l
          using (event_id)
        group by 1, 2, 3 order by 1, 2, 3
        """
    )
    assert [tuple(row) for row in counted] == [tuple(row) for row in recorded]


async def test_many_processes_with_overlapping_batches_count_each_request_once(world: LowerWorld) -> None:
    events = [
        told(f"r{n:03}", scope=f"acme.shop.t{n % 4}", model=f"m{n % 3}", occurred_at=NOON + timedelta(minutes=n))
        for n in range(200)
    ]

    async def process(seed: int) -> None:
        order = random.Random(seed).sample(events, len(events))
        for start in range(0, len(order), 50):
            await count(world, *order[start : start + 50])

    await asyncio.gather(*(process(seed) for seed in range(6)))
    await check_against_metering(world)
    minutes = await world.query("select sum(requests)::int as n from tokenfactory_analytics.minutely")
    assert minutes[0]["n"] == 200
    histogram = await world.query("select sum(n)::int as n from tokenfactory_analytics.hourly, unnest(latency) as n")
    assert histogram[0]["n"] == 200


async def test_hours_are_made_anew_from_metering_while_others_count(world: LowerWorld) -> None:
    """As after an upgrade: what an older gateway charged was not counted."""
    async with world.system("gateway") as ctx:
        await billing.charge_usage(
            ctx, [told(f"old{n}", occurred_at=NOON + n * timedelta(minutes=7)) for n in range(30)]
        )
    await count(world, told("new"), latency=700.0)

    async def rebuild() -> int:
        async with world.system("worker") as ctx:
            return await analytics.rebuild_hours(ctx, TENANT, NOON, NOON + 4 * HOUR)

    await asyncio.gather(*(count(world, told(f"more{n}")) for n in range(8)), rebuild(), rebuild())
    api = await world.database("api")
    before = (await read_touched(api, None)).oldest
    await rebuild()
    assert ("usage", TENANT) in (await read_touched(api, before)).places
    await check_against_metering(world)
    actor = await reader(world, "acme")
    report = await ask(world, actor, until=NOON + 9 * HOUR)
    assert report.total.numbers["requests"] == 39
    assert report.total.latency_ms is not None


async def test_what_was_charged_before_an_upgrade_is_counted_once(world: LowerWorld) -> None:
    events = [told(f"r{n}", scope=f"acme.shop.t{n % 3}", occurred_at=NOON - n * 20 * HOUR) for n in range(12)]
    ancient = told("ancient", occurred_at=NOON - timedelta(days=500))
    async with world.system("gateway") as ctx:
        await billing.charge_usage(ctx, [*events, told("root", scope=""), ancient])
    worker = await world.database("worker")
    [history] = await world.query("select before from tokenfactory_analytics.history")
    world.clock = lambda: history["before"] - HOUR / 2
    await count_history(worker)
    assert await world.query("select 1 from tokenfactory_analytics.hourly") == []
    world.clock = lambda: history["before"]
    await count_history(worker)
    counted = await world.query(
        "select path, sum(requests)::int as n from tokenfactory_analytics.hourly group by 1 order by 1"
    )
    assert [tuple(row) for row in counted] == [("", 1), *((f"acme.shop.t{n}", 4) for n in range(3))]
    before = await world.query("select * from tokenfactory_analytics.hourly order by series, bucket")
    await count_history(worker)
    assert await world.query("select * from tokenfactory_analytics.hourly order by series, bucket") == before


batches = st.lists(
    st.lists(
        st.builds(
            told,
            st.integers(0, 40).map("r{}".format),
            st.sampled_from([200, 400, 499, 500]),
            scope=st.sampled_from(["acme", "acme.shop", TENANT, "rival.app", ""]),
            model=st.sampled_from(["small", "big"]),
            tokens=st.tuples(*[st.integers(-1, 5)] * 3),
            occurred_at=st.integers(0, 300).map(lambda minutes: NOON + timedelta(minutes=minutes)),
        ),
        max_size=12,
    ),
    max_size=5,
)


def test_totals_are_those_of_metering_after_any_order_and_repetition(postgres: Server) -> None:
    @settings(
        max_examples=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],  # each story takes a database: shrinking one would take all day
    )
    @given(batches, st.integers(0, 2**16))
    def story(given: Sequence[Sequence[metering.UsageEvent]], seed: int) -> None:
        database = postgres.create_database()
        try:
            asyncio.run(tell(database, given, seed))
        finally:
            postgres.drop_database(database)

    async def tell(database: TestDatabase, given: Sequence[Sequence[metering.UsageEvent]], seed: int) -> None:
        async with money_world(database) as world:
            again = [*given, *given]
            random.Random(seed).shuffle(again)
            await asyncio.gather(*(count(world, *batch) for batch in again))
            for batch in again:
                await count(world, *batch)
            await check_against_metering(world)

    story()
