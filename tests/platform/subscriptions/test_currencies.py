"""A plan is in the currency in which its account's usage is rated: nothing is converted, and nothing included lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest

from ironworks.platform import pricing, subscriptions
from ironworks.platform.subscriptions.controller import roll_subscriptions
from ironworks.shared.errors import Conflict
from tests.platform.subscriptions.conftest import Subscribers


async def test_an_account_subscribes_in_its_own_currency(world: Subscribers) -> None:
    included = subscriptions.NewPlan("Euro", 10**9, included={"worker_invocations": 5}, currency="EUR")
    async with world.lower.acting(world.operator) as ctx:
        await subscriptions.create_plan(ctx, "euro", included)
    with pytest.raises(Conflict, match="charged in USD"):
        await world.start("euro", currency="EUR")
    async with world.lower.acting(world.operator) as ctx:
        await pricing.set_currency(ctx, "acme", "EUR")
    world.on(date(2026, 4, 2))
    with pytest.raises(Conflict, match="charged in EUR"):
        await world.start("starter")
    subscriber = await world.lower.subject("subscriber", {"subscription:update": ["acme"]})
    async with world.lower.acting(subscriber) as ctx:
        made = await subscriptions.start_subscription(ctx, "acme", "euro", currency="EUR")
    assert made.currency == "EUR"


async def test_the_currency_of_an_account_on_a_plan_does_not_change_under_it(world: Subscribers) -> None:
    await world.start(trial=False)
    async with world.lower.acting(world.operator) as ctx:
        await pricing.set_currency(ctx, "rival", "EUR")
        await pricing.set_currency(ctx, "acme", "USD")
    for later in (None, datetime(2026, 9, 1, tzinfo=UTC)):
        with pytest.raises(Conflict, match="on plan 'starter', which is in USD: end the subscription") as refused:
            async with world.lower.acting(world.operator) as ctx:
                await pricing.set_currency(ctx, "acme", "EUR", later)
        assert refused.value.code == "CURRENCY_OF_PLAN"
    async with world.lower.acting(world.payer) as ctx:
        await subscriptions.cancel_subscription(ctx, "acme", subscriptions.When.NOW)
    world.on(date(2026, 4, 2))
    await roll_subscriptions(await world.lower.database("worker"))
    async with world.lower.acting(world.operator) as ctx:
        assert (await pricing.set_currency(ctx, "acme", "EUR")).currency == "EUR"


async def test_nobody_subscribes_in_a_currency_that_ends(world: Subscribers) -> None:
    async with world.lower.acting(world.operator) as ctx:
        await pricing.set_currency(ctx, "acme", "EUR", datetime(2026, 4, 10, tzinfo=UTC))
    with pytest.raises(Conflict, match="charged in EUR from 2026-04-10 00:00 UTC on"):
        await world.start()


async def test_a_plan_and_a_currency_at_the_same_moment_are_one_after_the_other(world: Subscribers) -> None:
    async def set_euros() -> None:
        async with world.lower.acting(world.operator) as ctx:
            await pricing.set_currency(ctx, "acme", "EUR")

    ends = await asyncio.gather(world.start(), set_euros(), return_exceptions=True)
    assert [isinstance(end, Conflict) for end in ends].count(True) == 1, ends
