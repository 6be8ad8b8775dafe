"""Subscriptions on the database: who may, what a close takes and when, entitlements, payments and suggestions."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest

from ironworks.platform import pricing, subscriptions
from ironworks.platform.subscriptions import controller, service
from ironworks.platform.subscriptions.model import (
    WORKER_INVOCATIONS,
    AlreadyOnPlan,
    AlreadySubscribed,
    NoSubscription,
    PlanWithdrawn,
    PreviewStale,
)
from ironworks.platform.subscriptions.plans import NewPlan
from ironworks.shared.errors import Forbidden, Invalid, NotFound
from tests.platform.subscriptions.conftest import Subscribers

CALLS = WORKER_INVOCATIONS
MILLION = 10**6
STARTER, GROWTH = 49 * 10**9, 199 * 10**9


def amounts(charges: list[subscriptions.Charge]) -> list[int]:
    return [charge.amount_nano for charge in charges]


async def subscribed(world: Subscribers) -> bool:
    async with world.lower.system("worker") as ctx:
        return "acme" in await subscriptions.list_subscribed(ctx, ["acme", "rival"])


async def test_a_year_of_an_account(world: Subscribers) -> None:
    """Trial, growth at once, usage beyond what is included, a downgrade, and the end: every charge in its close."""
    world.on(date(2027, 12, 17))
    made = await world.start()
    assert (made.status, made.trial_end) == (subscriptions.Status.TRIALING, date(2027, 12, 31))
    assert await world.quotas() == {"platforms": 1, "tenants": 2, "features": 3}
    await world.use({CALLS: 6 * MILLION})
    assert [(p.start, p.end, amounts(c)) for p, c in await world.close_all()] == [
        (date(2027, 12, 1), date(2027, 12, 17), [])
    ]

    world.on(date(2027, 12, 31))
    ((trial, charges),) = await world.close_all()
    assert (trial.start, trial.end) == (date(2027, 12, 17), date(2027, 12, 31))
    assert amounts(charges) == [-5 * MILLION * 500, STARTER]
    assert charges[0].quantity == 5 * MILLION

    world.on(date(2028, 1, 16))
    await world.change("growth")
    assert (await world.quotas())["platforms"] == 3
    world.on(date(2028, 2, 29))
    first, second = await world.close_all()
    assert (first[0].end, second[0].end) == (date(2028, 1, 31), date(2028, 2, 29))
    assert amounts(first[1]) == [STARTER * 16 // 31 - STARTER, GROWTH - GROWTH * 16 // 31, GROWTH]
    assert amounts(second[1]) == [GROWTH]

    await world.change("starter")
    assert (await world.quotas())["platforms"] == 3
    world.on(date(2028, 3, 31))
    await controller.roll_subscriptions(await world.lower.database("worker"))
    assert (await world.quotas())["platforms"] == 1
    assert [amounts(charges) for _, charges in await world.close_all()] == [[STARTER]]

    async with world.lower.acting(world.payer) as ctx:
        assert (await subscriptions.cancel_subscription(ctx, "acme", reason="enough")).ends_on == date(2028, 4, 30)
    world.on(date(2028, 6, 1))
    ((last, charges),) = await world.close_all()
    assert (last.end, charges) == (date(2028, 4, 30), [])
    assert await world.quotas() == {"platforms": 0, "tenants": 0, "features": 0}
    async with world.lower.acting(world.payer) as ctx:
        assert (await subscriptions.get_standing(ctx, "acme")).subscription.status is subscriptions.Status.CANCELED
    assert not await subscribed(world)
    again = await world.start()
    assert (again.status, again.closed_to) == (subscriptions.Status.ACTIVE, date(2028, 6, 1))
    assert not await subscribed(world), "May is closed by calendar"
    world.on(date(2028, 7, 1))
    assert await subscribed(world)


async def test_usage_is_charged_beyond_what_is_included_and_late_usage_too(world: Subscribers) -> None:
    await world.start(trial=False)
    world.on(date(2026, 4, 20))
    await world.use({CALLS: 4 * MILLION})
    await world.use({CALLS: 3 * MILLION, "gpu_seconds": 10}, scope="acme.shop.us")
    await world.use({CALLS: 9 * MILLION}, scope="rival.app")
    world.on(date(2026, 5, 1))
    opening, april = await world.close_all()
    assert amounts(opening[1]) == [STARTER]
    assert amounts(april[1]) == [-5 * MILLION * 500, STARTER]
    world.on(date(2026, 4, 21))
    await world.use({CALLS: 7 * MILLION, "kv_reads": 1000})
    world.on(date(2026, 6, 1))
    ((_, charges),) = await world.close_all()
    assert amounts(charges) == [-1000 * 600, STARTER]
    assert "2026-04-01 to 2026-04-30" in charges[0].description
    world.on(date(2026, 12, 1))
    assert all(amounts(charges) == [STARTER] for _, charges in await world.close_all())


async def test_what_is_beyond_costs_what_the_plan_says_that_was_in_force_when_it_was_used(world: Subscribers) -> None:
    """A cheaper plan on the last day makes nothing of before cheaper, and what it includes is free first of all."""
    dear, cheap = Decimal("0.000001"), Decimal("0.0000001")
    async with world.lower.acting(world.operator) as ctx:
        for name, fee, price in (("dear", 3, dear), ("cheap", 6, cheap)):
            await subscriptions.create_plan(
                ctx, name, NewPlan(name, fee * 10**9, included={CALLS: 30 * MILLION}, overage={CALLS: price})
            )
    await world.start("dear")
    await world.use({CALLS: 40 * MILLION})
    world.on(date(2026, 4, 30))
    await world.change("cheap")
    await world.use({CALLS: MILLION})
    world.on(date(2026, 5, 1))
    _, april = await world.close_all()
    beyond = 10 * MILLION * 1000 + MILLION * 100
    assert [c.amount_nano for c in april[1] if c.unit == CALLS] == [beyond - 41 * MILLION * 500]
    world.on(date(2026, 4, 29))
    await world.use({CALLS: MILLION})
    world.on(date(2026, 6, 1))
    ((_, charges),) = await world.close_all()
    assert [c.amount_nano for c in charges if c.unit == CALLS] == [MILLION * (1000 - 500)], "late, and on the dear plan"


async def test_terms_of_the_accounts_own_go_before_what_its_plan_includes(world: Subscribers) -> None:
    await world.start(trial=False)
    key = pricing.PriceKey(CALLS, pricing.ANY_MODEL, "USD", "acme")
    async with world.lower.acting(world.operator) as ctx:
        await pricing.create_terms(ctx, key, pricing.PriceTerms(included=1000))
    await world.use({CALLS: 2000, "kv_reads": 1000})
    world.on(date(2026, 5, 1))
    _, april = await world.close_all()
    assert [(c.unit, c.amount_nano) for c in april[1]] == [("kv_reads", -600_000), ("month", STARTER)]
    async with world.lower.system("worker") as ctx:
        (own,) = await pricing.list_adjustments(ctx, "acme", april[0].start, april[0].end, "USD")
        assert own.amount_nano == -1000 * 500
        assert await pricing.list_adjustments(ctx, "acme", april[0].start, april[0].start, "USD") == []


async def test_a_change_during_a_close_counts_in_the_next_one(world: Subscribers) -> None:
    await world.start(trial=False)
    await world.close_all()
    world.on(date(2026, 5, 1))
    async with world.lower.system("worker") as ctx:
        (period,) = await subscriptions.due_periods(ctx, world.at, 10)
        (settled,) = await subscriptions.period_charges(ctx, [period])
    await world.use({CALLS: 1})
    await world.change("growth")
    async with world.lower.system("worker") as ctx:
        assert await subscriptions.due_periods(ctx, world.at, 10) == [period]
        assert await subscriptions.period_charges(ctx, [period]) == [settled]
        await subscriptions.advance(ctx, [period])
        await subscriptions.advance(ctx, [period])
        assert await subscriptions.due_periods(ctx, world.at, 10) == []
    assert amounts(list(settled)) == [STARTER]
    world.on(date(2026, 6, 1))
    ((_, charges),) = await world.close_all()
    assert amounts(charges) == [-STARTER, GROWTH, -500, GROWTH]


async def test_a_change_before_a_late_close_keeps_its_own_period(world: Subscribers) -> None:
    await world.start(trial=False)
    world.on(date(2026, 5, 16))
    await world.change("growth")
    opening, april = await world.close_all()
    assert (amounts(opening[1]), amounts(april[1])) == ([STARTER], [STARTER])


async def test_a_period_is_not_closed_before_its_charges_are_settled(world: Subscribers) -> None:
    await world.start(trial=False)
    async with world.lower.system("worker") as ctx:
        (period,) = await subscriptions.due_periods(ctx, world.at, 10)
        with pytest.raises(ValueError, match="is not settled"):
            await subscriptions.advance(ctx, [period])
    unknown = subscriptions.DuePeriod(uuid4(), "acme", "USD", date(2026, 4, 1), date(2026, 5, 1))
    async with world.lower.system("worker") as ctx:
        assert await subscriptions.period_charges(ctx, [unknown]) == [[]]
        await subscriptions.advance(ctx, [unknown])


async def test_a_period_that_closes_is_over_by_any_clock(world: Subscribers) -> None:
    """One worker opens a close, another whose clock is a day behind settles it: the next fee is on it all the same."""
    await world.start(trial=False)
    await world.close_all()
    world.on(date(2026, 5, 1))
    async with world.lower.system("worker") as ctx:
        due = await subscriptions.due_periods(ctx, world.at, 10)
    world.on(date(2026, 4, 30))
    async with world.lower.system("worker") as ctx:
        (charges,) = await subscriptions.period_charges(ctx, due)
        await subscriptions.advance(ctx, due)
    assert amounts(charges) == [STARTER]


async def test_two_changes_at_once_are_one(world: Subscribers) -> None:
    started = await asyncio.gather(*(world.start(trial=False) for _ in range(3)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in started) == ["AlreadySubscribed", "AlreadySubscribed", "Subscription"]
    changed = await asyncio.gather(*(world.change("growth") for _ in range(3)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in changed) == ["AlreadyOnPlan", "AlreadyOnPlan", "Subscription"]
    rows = await world.lower.query(
        "select kind, amount_nano from platform_subscriptions.charge order by created_at, kind"
    )
    assert sorted(row["amount_nano"] for row in rows) == [-STARTER, STARTER, GROWTH]


async def test_two_closes_at_once_settle_the_same(world: Subscribers) -> None:
    await world.start(trial=False)

    async def close() -> list[subscriptions.Charge]:
        async with world.lower.system("worker") as ctx:
            period = subscriptions.DuePeriod(made.id, "acme", "USD", date(2026, 4, 1), date(2026, 4, 1))
            (charges,) = await subscriptions.period_charges(ctx, [period])
            await subscriptions.advance(ctx, [period])
            return charges

    async with world.lower.acting(world.payer) as ctx:
        made = (await subscriptions.get_standing(ctx, "acme")).subscription
    found = await asyncio.gather(*(close() for _ in range(4)))
    assert all(amounts(charges) == [STARTER] for charges in found)


async def test_a_preview_changes_nothing_and_is_kept_to(world: Subscribers) -> None:
    await world.start(trial=False)
    world.on(date(2026, 4, 16))
    before = await world.lower.query("select * from platform_subscriptions.subscription")
    async with world.lower.acting(world.payer) as ctx:
        shown = await subscriptions.preview_plan_change(ctx, "acme", "growth")
    assert await world.lower.query("select * from platform_subscriptions.subscription") == before
    assert (shown.due_nano, shown.next_fee_nano) == ((GROWTH - STARTER) // 2, GROWTH)
    with pytest.raises(PreviewStale):
        await world.change("growth", expected_nano=shown.due_nano + 1)
    await world.change("growth", expected_nano=shown.due_nano)


async def test_who_may_not_cannot(world: Subscribers) -> None:
    await world.start(trial=False)
    lower = world.lower
    reader = await lower.subject("reader", {"subscription:read": ["acme"]})
    for actor, error in ((world.rival, NotFound), (reader, Forbidden)):
        with pytest.raises(error):
            async with lower.acting(actor) as ctx:
                await subscriptions.change_subscription(ctx, "acme", "growth")
    for name in ("subscription", "plan_span", "charge", "settled_period", "suggestion"):
        async with lower.acting(world.rival) as ctx:
            assert not await ctx.db.fetch(f"select 1 from platform_subscriptions.{name}")
    for statement in (
        "delete from platform_subscriptions.charge",
        "update platform_subscriptions.charge set amount_nano = 1",
        "update platform_subscriptions.subscription set closed_to = '2030-01-01'",
        "insert into platform_subscriptions.suggestion select from platform_subscriptions.suggestion",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with lower.acting(world.payer) as ctx:
                await ctx.db.execute(statement)
    async with lower.acting(reader) as ctx:
        assert await ctx.db.execute("update platform_subscriptions.subscription set status = 'active'") == "UPDATE 0"


async def test_what_cannot_be_is_refused(world: Subscribers) -> None:
    for place, error in (("acme.shop", Invalid), ("nowhere", NotFound)):
        with pytest.raises(error):
            async with world.lower.acting(world.operator) as ctx:
                await subscriptions.start_subscription(ctx, place, "starter")
    for plan, currency in (("gold", "USD"), ("starter", "EUR")):
        with pytest.raises(NotFound):
            await world.start(plan, currency=currency)
    with pytest.raises(NoSubscription):
        await world.change("growth")
    with pytest.raises(NoSubscription):
        async with world.lower.acting(world.payer) as ctx:
            await subscriptions.get_standing(ctx, "acme")
    await world.start()
    with pytest.raises(AlreadyOnPlan):
        await world.change("starter")
    with pytest.raises(AlreadySubscribed):
        await world.start("growth")


async def test_a_version_of_a_plan_is_for_who_comes_later(world: Subscribers) -> None:
    old = await world.start(trial=False)
    dearer = subscriptions.NewPlan("Starter", 59 * 10**9, included={CALLS: 1})
    with pytest.raises(Forbidden):
        async with world.lower.acting(world.payer) as ctx:
            await subscriptions.create_plan(ctx, "starter", dearer)
    async with world.lower.acting(world.operator) as ctx:
        made = await subscriptions.create_plan(ctx, "starter", dearer)
        assert await subscriptions.create_plan(ctx, "starter", dearer) == made  # the same again adds nothing
    assert made.version == 2
    world.on(date(2026, 5, 1))
    assert [amounts(charges) for _, charges in await world.close_all()] == [[STARTER], [STARTER]]
    assert (await world.change("starter", when=subscriptions.When.PERIOD_END)).plan_id == old.plan_id
    world.on(date(2026, 6, 1))
    assert [amounts(charges) for _, charges in await world.close_all()] == [[59 * 10**9]]


async def test_a_withdrawn_plan_is_for_who_is_on_it(world: Subscribers) -> None:
    """Nobody comes to it, who is on it stays and may come back to it, and a later version offers it again."""
    async with world.lower.acting(world.payer) as ctx:
        with pytest.raises(Forbidden):
            await subscriptions.withdraw_plan(ctx, "growth")
    here = await world.start("growth", trial=False)
    async with world.lower.acting(world.operator) as ctx:
        with pytest.raises(NotFound):
            await subscriptions.withdraw_plan(ctx, "gold")
        gone = await subscriptions.withdraw_plan(ctx, "growth")
        assert (gone.version, gone.withdrawn, gone.base_fee_nano) == (2, True, GROWTH)
        assert await subscriptions.withdraw_plan(ctx, "growth") == gone  # the same again adds nothing
        assert [plan.name for plan in await subscriptions.list_plans(ctx)] == ["starter", "scale"]
        assert gone in await subscriptions.list_plans(ctx, latest=False)
        on_growth = await service.list_subscriptions(ctx, plan_name="growth")
        assert [found.account for found in on_growth] == ["acme"]
        assert await service.list_subscriptions(ctx, plan_name="starter") == []
    async with world.lower.system("worker") as ctx:
        await subscriptions.seed_plans(ctx)  # as each start of the API does
        assert "growth" not in {plan.name for plan in await subscriptions.list_plans(ctx)}
    with pytest.raises(PlanWithdrawn):
        async with world.lower.acting(world.rival) as ctx:
            await subscriptions.start_subscription(ctx, "rival", "growth")
    assert (await world.change("starter")).next_plan_id is not None
    assert (await world.change("growth")).next_plan_id is None
    world.on(date(2026, 5, 1))
    assert [amounts(charges) for _, charges in await world.close_all()] == [[GROWTH], [GROWTH]]
    await world.change("scale")
    with pytest.raises(PlanWithdrawn):
        await world.change("growth")
    async with world.lower.acting(world.operator) as ctx:
        again = await subscriptions.create_plan(ctx, "growth", NewPlan("Growth", GROWTH))
    assert (again.version, again.withdrawn) == (3, False)
    assert (await world.change("growth")).next_plan_id == again.id != here.plan_id


async def test_an_unpaid_subscription_ends_after_its_grace_and_what_was_not_used_is_taken_back(
    world: Subscribers,
) -> None:
    await world.start(trial=False)
    invoice = uuid4()

    async def note(paid: bool) -> None:
        async with world.lower.system("worker") as ctx:
            await (service.note_settled if paid else service.note_unpaid)(ctx, "acme", invoice)

    async def status() -> str:
        async with world.lower.acting(world.payer) as ctx:
            return (await subscriptions.get_standing(ctx, "acme")).subscription.status

    for paid, expected in (
        (False, "past_due"),
        (False, "past_due"),
        (True, "active"),
        (True, "active"),
        (False, "past_due"),
    ):
        await note(paid)
        assert await status() == expected
    world.at += timedelta(days=13)
    database = await world.lower.database("worker")
    await controller.end_unpaid_subscriptions(database)
    assert not await world.lower.query("select from platform_subscriptions.subscription where ends_on is not null")
    world.at += timedelta(days=1)
    await controller.end_unpaid_subscriptions(database)
    await controller.end_unpaid_subscriptions(database)
    world.on(date(2026, 5, 1))
    closed = await world.close_all()
    assert sum(sum(amounts(charges)) for _, charges in closed) == STARTER * 15 // 30
    assert closed[-1][0].end == date(2026, 4, 16)
    assert await status() == "canceled"


async def test_a_suggestion_is_recorded_once_for_each_threshold(world: Subscribers) -> None:
    async def look() -> list[tuple[str, int, str]]:
        await controller.suggest_upgrades(await world.lower.database("worker"))
        rows = await world.lower.query("select * from platform_subscriptions.suggestion order by meter, percent")
        events = await world.lower.query(
            "select 1 from shared.change_pending where event_type = 'platform.subscriptions.upgrade_suggested.v1'"
        )
        assert len(events) == len(rows)
        return [(row["meter"], row["percent"], row["plan"]) for row in rows]

    await world.start(trial=False)
    await world.use({CALLS: 4 * MILLION - 1})
    assert await look() == []
    await world.use({CALLS: 1})
    assert await look() == await look() == [(CALLS, 80, "growth")]
    await world.use({CALLS: 40 * MILLION})
    assert await look() == await look() == [(CALLS, 80, "growth"), (CALLS, 100, "growth")]
    await world.change("growth")
    assert len(await look()) == 2
    world.on(date(2026, 5, 2))
    assert len(await look()) == 2
