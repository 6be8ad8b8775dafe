"""A plan is in the currency in which its account's usage is rated: nothing is converted, and nothing included lost."""

from __future__ import annotations

from datetime import date

import pytest

from ironworks.platform import pricing, subscriptions
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
