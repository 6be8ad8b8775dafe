"""Usage that comes after its period was closed is charged on the next invoice, by the terms of its own period."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ironworks.platform import invoices, pricing
from ironworks.platform.invoices import closing, service
from ironworks.platform.pricing import PriceTerms, Tier
from tests.platform.invoices.test_hard_cases import set_terms, use_dollars
from tests.support.invoicing import (
    APRIL,
    DOLLAR,
    check_invoices,
    close_all,
    everything,
    invoice_world,
    lines_of,
    list_all,
)
from tests.support.lower import LowerWorld
from tests.support.money import NOON
from tests.support.postgres import TestDatabase

TIERS = PriceTerms(tiers=(Tier(20 * 10**6, Decimal("0.0000001")), Tier(None, Decimal("0.00000005"))))
"""The first two dollars' worth at base price, all further tokens at half of it."""


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        yield world


async def close_month(world: LowerWorld, month: int) -> None:
    world.clock = lambda: datetime(2026, month, 2, 9, tzinfo=UTC)
    await close_all(world)


async def totals(world: LowerWorld) -> list[int]:
    return [invoice.total_nano for invoice in await list_all(world)]


@pytest.mark.parametrize(
    ("terms", "march", "april"),
    [
        (PriceTerms(discount=Decimal(10)), 90, 180),
        (PriceTerms(included=10 * 10**6), 0, 200),
        (PriceTerms(minimum=Decimal(2)), 200, 100),
        (PriceTerms(minimum=Decimal(5)), 500, 0),
        (TIERS, 100, 150),
        (PriceTerms(package=pricing.Package(25 * 10**6, Decimal(1))), 100, 100),
    ],
)
async def test_what_came_late_makes_a_period_cost_what_it_would_have_in_time(
    world: LowerWorld, terms: PriceTerms, march: int, april: int
) -> None:
    """A dollar's worth in March, and two more of March that come in April; in cents."""
    await set_terms(world, terms)
    await use_dollars(world, "in_time")
    await close_month(world, 4)
    await use_dollars(world, "late", 2)
    if terms.minimum:  # April has the minimum too
        april += int(terms.minimum * 100)
    await close_month(world, 5)
    assert await totals(world) == [nano * DOLLAR // 100 for nano in (march, april)]
    await check_invoices(world)
    before = await everything(world)
    await close_all(world)
    assert await everything(world) == before


async def test_the_terms_of_the_day_of_its_use_count_not_those_of_the_day_it_came(world: LowerWorld) -> None:
    await set_terms(world, PriceTerms(discount=Decimal(50)))
    operator = await world.subject("prices", {"price:create": [""]})
    world.clock = lambda: datetime(2026, 3, 20, tzinfo=UTC)
    async with world.acting(operator) as ctx:
        await pricing.create_terms(
            ctx, pricing.PriceKey("input_tokens", "*", "USD", ""), PriceTerms(discount=Decimal(20)), date(2026, 4, 1)
        )
    await use_dollars(world, "in_time", occurred_at=datetime(2026, 3, 1, tzinfo=UTC))
    await close_month(world, 4)
    await use_dollars(world, "of_march")
    await use_dollars(world, "of_april", occurred_at=APRIL)
    await close_month(world, 5)
    assert await totals(world) == [50 * DOLLAR // 100, 130 * DOLLAR // 100]
    _, invoice = await list_all(world)
    late = [n for n in await lines_of(world, invoice.id) if "came late" in n.description]
    assert [(n.amount_nano, n.description) for n in late] == [
        (-DOLLAR // 2, "input tokens that came late, 2026-03-01 to 2026-03-31")
    ]


async def test_what_comes_later_and_later_is_corrected_each_time(world: LowerWorld) -> None:
    await set_terms(world, TIERS)
    for month in (4, 5, 6):
        await use_dollars(world, f"before_{month}")
        await close_month(world, month)
    assert await totals(world) == [DOLLAR, DOLLAR, DOLLAR // 2]
    await use_dollars(world, "after_62_days")
    await close_month(world, 7)
    assert (await totals(world))[-1] == DOLLAR
    await check_invoices(world)


async def test_the_first_usage_of_an_account_has_the_terms_of_its_month_though_it_came_late(world: LowerWorld) -> None:
    """Nothing of March was there when March was closed; it is closed seconds after something is."""
    await set_terms(world, PriceTerms(included=10 * 10**6))
    await close_month(world, 4)
    assert await totals(world) == []
    await use_dollars(world, "late", 2)
    await use_dollars(world, "april", 3, occurred_at=APRIL)
    await close_all(world)
    await close_month(world, 5)
    assert [(i.period_end, i.total_nano) for i in await list_all(world)] == [
        (date(2026, 4, 1), DOLLAR),
        (date(2026, 5, 1), 2 * DOLLAR),
    ]
    await check_invoices(world)


async def test_what_is_used_after_a_close_by_hand_has_the_terms_of_that_day(world: LowerWorld) -> None:
    await set_terms(world, PriceTerms(discount=Decimal(10)))
    manager = await world.subject("manager", {"invoice:manage": [""], "ledger:post": [""], "invoice:read": [""]})
    world.clock = lambda: NOON
    await use_dollars(world, "morning")
    async with world.acting(manager) as ctx:
        await service.close_account(ctx, "acme", NOON.date() + timedelta(days=1))
    await close_all(world)
    await use_dollars(world, "evening", occurred_at=NOON + timedelta(hours=5))
    await close_month(world, 4)
    assert await totals(world) == [90 * DOLLAR // 100] * 2
    await check_invoices(world)


async def test_a_void_invoice_is_asked_for_again_with_what_came_late(world: LowerWorld) -> None:
    await set_terms(world, TIERS)
    await use_dollars(world, "in_time", 3)
    await close_month(world, 4)
    (first,) = await list_all(world)
    async with world.system("worker") as ctx:
        await invoices.void_invoice(ctx, first.id, "wrong address")
    await use_dollars(world, "late", 2)
    await close_month(world, 5)
    assert (await totals(world))[-1] == 350 * DOLLAR // 100
    await check_invoices(world)
    assert closing.settled_day(APRIL) == APRIL.date()
