"""From a period to its invoice: once, whole or not at all, however often it is begun and wherever it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ironworks.platform import billing, invoices, ledger
from ironworks.platform.invoices import closing, service
from ironworks.platform.invoices.controller import tell_overdue
from ironworks.shared.errors import Invalid
from tests.support.invoicing import (
    APRIL,
    CENT,
    check_invoices,
    close_all,
    everything,
    invoice_world,
    lines_of,
    list_all,
    only,
)
from tests.support.lower import LowerWorld
from tests.support.money import NOON, charge, check_books, usage
from tests.support.postgres import TestDatabase


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        yield world


def big(event_id: str, millions: int = 1, **changes: object) -> object:
    """Usage of `millions` of input tokens, each 0.10 USD."""
    return usage(event_id, (millions * 10**6, 0, 0), **changes)


async def test_a_month_becomes_an_invoice_whose_lines_are_the_ledger(world: LowerWorld) -> None:
    await charge(
        world, usage("a"), usage("b", (10**6, 0, 0)), usage("c", scope="acme.shop.us"), usage("d", model="big")
    )
    await charge(world, usage("e", (5 * 10**6, 1, 7), occurred_at=NOON + timedelta(days=29)))
    await charge(world, usage("april", occurred_at=APRIL), usage("theirs", scope="rival.app"))
    await close_all(world)
    invoice = await only(world)
    assert (invoice.number, invoice.state, invoice.currency) == ("ACME-000001", "finalized", "USD")
    assert (invoice.period_start, invoice.period_end) == (date(2026, 3, 1), date(2026, 4, 1))
    lines = await lines_of(world, invoice.id)
    assert {line.scope for line in lines} == {"acme.shop.eu", "acme.shop.us"}
    (found,) = [n for n in lines if (n.scope, n.model, n.meter) == ("acme.shop.eu", "smollm2", "input_tokens")]
    assert (found.quantity, found.unit_price, found.amount_nano) == (6_000_100, Decimal("0.0000001"), 600_010_000)
    assert sum(line.amount_nano for line in lines) == invoice.lines_nano == 600_000_000 + 3 * 23_000 + 2_850
    assert (invoice.total_nano, invoice.rounding_nano) == (60 * CENT, 60 * CENT - invoice.lines_nano)
    assert invoice.due_nano == invoice.total_nano
    await check_invoices(world)
    await check_books(world)


async def test_what_is_invoiced_and_not_paid_is_still_owed(world: LowerWorld) -> None:
    await charge(world, big("march", 3), big("april", 2, occurred_at=APRIL))
    await close_all(world)
    async with world.system("worker") as ctx:
        found = await billing.get_scope_balance(ctx, "acme")
        tenant = await billing.get_scope_balance(ctx, "acme.shop.eu")
    assert (found.unbilled_nano, found.due_nano) == ({"USD": 20 * CENT}, {"USD": 30 * CENT})
    assert (found.owed_nano, tenant.owed_nano) == ({"USD": 50 * CENT}, {"USD": 20 * CENT})


async def test_closing_again_changes_nothing(world: LowerWorld) -> None:
    await charge(world, usage("a"), usage("b", scope="rival.app"))
    await close_all(world)
    before = await everything(world)
    await close_all(world)
    await asyncio.gather(close_all(world), close_all(world))
    assert await everything(world) == before
    async with world.system("worker") as ctx:
        await invoices.finalize_invoice(ctx, (await only(world)).id)
    assert await everything(world) == before


async def test_two_workers_close_the_same_accounts_at_once(world: LowerWorld) -> None:
    await world.admin(
        "insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)"
        " select ('c' || n)::ltree, gen_random_uuid(), 'Account', null, 'active' from generate_series(1, 12) n"
    )
    await charge(world, *(usage(f"r{n}", (10**6, 0, 0), scope=f"c{n % 12 + 1}.shop.eu") for n in range(48)))
    await asyncio.gather(*(close_all(world) for _ in range(4)))
    await close_all(world)
    for n in range(1, 13):
        assert (await only(world, f"c{n}")).total_nano == 40 * CENT
    await check_invoices(world)


async def test_what_comes_late_is_on_the_next_invoice(world: LowerWorld) -> None:
    await charge(world, big("in_time"))
    await close_all(world)
    await charge(world, big("late", 2), big("of_april", 4, occurred_at=APRIL))
    await close_all(world)
    assert len(await list_all(world)) == 1
    world.clock = lambda: datetime(2026, 5, 1, 3, tzinfo=UTC)
    await close_all(world)
    first, second = await list_all(world)
    assert (first.total_nano, second.total_nano) == (10 * CENT, 60 * CENT)
    assert (second.number, second.period_start, second.period_end) == (
        "ACME-000002",
        date(2026, 4, 1),
        date(2026, 5, 1),
    )
    await check_invoices(world)


async def test_a_period_is_not_closed_before_its_end_and_an_hour(world: LowerWorld) -> None:
    await charge(world, big("a"))
    world.clock = lambda: datetime(2026, 4, 1, 0, 59, tzinfo=UTC)
    await close_all(world)
    assert [i for i in await list_all(world) if i.period_end > date(2026, 3, 1)] == []
    world.clock = lambda: datetime(2026, 4, 1, 1, 0, tzinfo=UTC)
    await close_all(world)
    assert (await only(world)).period_end == date(2026, 4, 1)


async def test_months_that_nobody_closed_are_closed_one_by_one(world: LowerWorld) -> None:
    await charge(world, big("march"))
    await close_all(world)
    world.clock = lambda: datetime(2026, 7, 1, 2, tzinfo=UTC)
    for month in (4, 5, 6):
        await charge(world, big(f"m{month}", month, occurred_at=datetime(2026, month, 30, tzinfo=UTC)))
    for _ in range(3):
        await close_all(world)
    found = [(i.period_start.month, i.period_end.month, i.total_nano // CENT) for i in await list_all(world)]
    assert found == [(3, 4, 10), (4, 5, 40), (5, 6, 50), (6, 7, 60)]
    await check_invoices(world)


async def test_a_customer_who_leaves_is_closed_with_today_and_what_comes_later_is_on_the_next_invoice(
    world: LowerWorld,
) -> None:
    tomorrow = APRIL.date() + timedelta(days=1)
    await charge(world, big("march"), big("so_far", 2, occurred_at=APRIL))
    async with world.system("worker") as ctx:
        await service.close_account(ctx, "acme", tomorrow)
        with pytest.raises(Invalid):
            await service.close_account(ctx, "rival", tomorrow + timedelta(days=1))
    await close_all(world)
    assert (await only(world)).total_nano == 30 * CENT
    await charge(world, big("later", 4, occurred_at=APRIL + timedelta(hours=1)))
    world.clock = lambda: datetime(2026, 5, 1, 3, tzinfo=UTC)
    await close_all(world)
    first, second = await list_all(world)
    assert (first.period_end, second.period_start, second.total_nano) == (tomorrow, tomorrow, 40 * CENT)
    await check_invoices(world)


@pytest.mark.parametrize(
    ("last", "today", "wanted"),
    [
        (None, date(2024, 3, 31), (date(2024, 2, 1), date(2024, 3, 1))),
        (date(2024, 2, 1), date(2024, 2, 29), None),
        (date(2024, 2, 1), date(2024, 3, 1), (date(2024, 2, 1), date(2024, 3, 1))),
        (date(2023, 12, 1), date(2024, 1, 1), (date(2023, 12, 1), date(2024, 1, 1))),
        (date(2024, 1, 31), date(2024, 3, 31), (date(2024, 1, 31), date(2024, 2, 1))),
        (date(2024, 2, 29), date(2024, 3, 15), (date(2024, 2, 29), date(2024, 3, 1))),
        (date(2024, 3, 15), date(2024, 3, 31), None),
    ],
)
def test_the_next_calendar_period(last: date | None, today: date, wanted: tuple[date, date] | None) -> None:
    assert closing.next_month(last, today) == wanted


async def test_a_quantity_of_many_batches_is_one_line(world: LowerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "PAGE", 3)
    for n in range(8):
        await charge(world, big(f"r{n}"), big(f"s{n}", scope="acme.shop.us"))
    await close_all(world)
    lines = await lines_of(world, (await only(world)).id)
    assert [(line.scope, line.quantity) for line in lines] == [("acme.shop.eu", 8 * 10**6), ("acme.shop.us", 8 * 10**6)]
    await check_invoices(world)


async def test_a_correction_is_a_line_of_its_own(world: LowerWorld) -> None:
    await charge(world, big("a", 3))
    (transfer,) = await world.query("select id from platform_ledger.transfer")
    async with world.system("worker") as ctx:
        await ledger.reverse_transfer(ctx, transfer["id"], "test")
    # the correction is posted today: it belongs to the day on which it was
    world.clock = lambda: datetime.now(UTC) + timedelta(days=40)
    for _ in range(40):
        await close_all(world)
    found = await list_all(world)
    kinds = {line.kind: line.amount_nano for i in found for line in await lines_of(world, i.id)}
    assert kinds == {invoices.LineKind.USAGE: 30 * CENT, invoices.LineKind.CORRECTION: -30 * CENT}
    await check_invoices(world)


async def test_an_invoice_that_is_overdue_is_told_once(world: LowerWorld) -> None:
    await charge(world, big("a"))
    await close_all(world)
    worker = await world.database("worker")
    await tell_overdue(worker)
    world.clock = lambda: APRIL + timedelta(days=15)
    await asyncio.gather(tell_overdue(worker), tell_overdue(worker))
    await tell_overdue(worker)
    told = await world.query(
        "select 1 from shared.change_pending where event_type = 'platform.invoices.invoice_overdue.v1'"
    )
    assert len(told) == 1


async def test_drafts_wait_for_a_person_where_they_are_reviewed(world: LowerWorld) -> None:
    async with world.system("worker") as ctx:
        await invoices.set_details(ctx, "acme", invoices.BillingDetails(review=True, due_days=30))
    await charge(world, big("a"))
    await close_all(world)
    draft = await only(world)
    assert (draft.state, draft.number, draft.due_nano) == ("draft", None, 0)
    async with world.system("worker") as ctx:
        final = await invoices.finalize_invoice(ctx, draft.id)
    assert (final.state, final.due_at) == ("finalized", datetime(2026, 5, 2, 23, 59, 59, tzinfo=UTC))
    await check_invoices(world)
