"""An account with a subscription is closed by its periods, with what its plan charges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest

from ironworks.platform import invoices, registry, subscriptions
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from tests.support.invoicing import (
    DOLLAR,
    INVOICES,
    LEDGER,
    check_invoices,
    close_all,
    everything,
    invoice_world,
    lines_of,
    list_all,
)
from tests.support.lower import LowerWorld
from tests.support.money import _DECLARED as MONEY
from tests.support.money import charge, usage
from tests.support.postgres import TestDatabase


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        async with world.system("worker") as ctx:
            declared = {
                **MONEY,
                "platform.ledger": LEDGER,
                "platform.invoices": INVOICES,
                "platform.policy": POLICY,
                "platform.subscriptions": SUBSCRIPTIONS,
            }
            await registry.sync_registry(ctx, declared.items())
            await subscriptions.seed_plans(ctx)
        yield world


async def test_fees_in_advance_usage_in_arrears_and_the_last_of_the_month(world: LowerWorld) -> None:
    payer = await world.subject("payer", {"subscription:read": ["acme"], "subscription:update": ["acme"]})
    world.clock = lambda: datetime(2026, 1, 31, 9, tzinfo=UTC)
    async with world.acting(payer) as ctx:
        await subscriptions.start_subscription(ctx, "acme", "starter", trial=False)
    for day in (date(2026, 2, 1), date(2026, 2, 28), date(2026, 3, 31)):
        at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        world.clock = lambda at=at: at  # type: ignore[misc]
        await close_all(world)
        await charge(world, usage(f"r{day}", (10**7, 0, 0), occurred_at=at))
    before = await everything(world)
    await asyncio.gather(close_all(world), close_all(world))
    assert await everything(world) == before
    found = await list_all(world)
    assert [i.period_end for i in found] == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
    fees = [
        (line.description, line.amount_nano)
        for i in found
        for line in await lines_of(world, i.id)
        if line.kind is invoices.LineKind.FEE
    ]
    assert [nano for _, nano in fees] == [49 * DOLLAR] * 3
    assert [i.total_nano for i in found] == [49 * DOLLAR, 50 * DOLLAR, 50 * DOLLAR]
    await check_invoices(world)
