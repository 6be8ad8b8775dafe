"""Closes and invoices at their edges: accounts that are named alike, closes that overlap, money that goes back late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ironworks.platform import invoices, ledger, pricing, registry, subscriptions
from ironworks.platform.invoices import closes, closing, service, store
from ironworks.platform.invoices.controller import open_due_closes, tell_overdue
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.context import Context
from tests.support.books import check_purposes
from tests.support.invoicing import (
    APRIL,
    CENT,
    DOLLAR,
    check_invoices,
    close_all,
    invoice_world,
    lines_of,
    list_all,
    only,
)
from tests.support.lower import LowerWorld
from tests.support.money import NOON, charge, check_books, usage
from tests.support.postgres import TestDatabase

VAT = invoices.Tax(name="VAT", rate=Decimal("0.19"))
MAY = datetime(2026, 5, 2, 9, tzinfo=UTC)
FOREVER = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        yield world


async def use_dollars(world: LowerWorld, name: str, dollars: int = 1, **changes: object) -> None:
    await charge(world, usage(name, (dollars * 10**7, 0, 0), **changes))


async def balance(world: LowerWorld, purpose: ledger.Purpose, path: str = "acme") -> int:
    async with world.system("worker") as ctx:
        found = await ledger.get_balances(ctx, path)
    return sum(b.amount_nano for b in found if b.purpose is purpose)


async def set_terms(world: LowerWorld, terms: pricing.PriceTerms, currency: str = "USD", scope: str = "") -> None:
    """Terms for all input tokens, from before anything was used."""
    operator = await world.subject("operator", {"price:create": [""]})
    now, world.clock = world.clock, lambda: FOREVER
    async with world.acting(operator) as ctx:
        await pricing.create_terms(ctx, pricing.PriceKey("input_tokens", "*", currency, scope), terms)
    world.clock = now


# --- who is closed ------------------------------------------------------------------------------------------------


async def test_accounts_whose_names_begin_alike_are_all_closed(world: LowerWorld) -> None:
    """In the order of paths `a`, `a-b` and `a.shop`, what is below `a` comes after another account."""
    names = ["a", "a-b", "a-b-c", "a0", "ab"]
    await world.admin(
        "insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)"
        f" select path::ltree, gen_random_uuid(), 'Account', null, 'active' from unnest(array{names}) as path"
    )
    await charge(world, *(usage(f"{n}{s}", scope=f"{n}{s}") for n in names for s in ("", ".shop", ".shop.eu")))
    async with world.system("worker") as ctx:
        assert await ledger.list_payers(ctx) == names
        assert await ledger.list_payers(ctx, "a", 2) == ["a-b", "a-b-c"]
    await close_all(world)
    assert [len(await list_all(world, name)) for name in names] == [1] * len(names)
    await check_invoices(world)


# --- closes that overlap ------------------------------------------------------------------------------------------


async def test_a_day_is_adjusted_by_one_close_alone(world: LowerWorld) -> None:
    """A subscription's period that a close by hand was in the middle of: neither discounts what the other did."""
    await set_terms(world, pricing.PriceTerms(discount=Decimal(10)))
    await use_dollars(world, "early", 100, occurred_at=NOON)
    await use_dollars(world, "later", 200, occurred_at=NOON + timedelta(days=20))
    async with world.system("worker") as ctx:
        await finish(ctx, pricing.Period("acme", date(2026, 3, 1), date(2026, 3, 10), "USD"))
    async with world.system("worker") as ctx:
        await finish(ctx, pricing.Period("acme", date(2026, 3, 1), date(2026, 4, 1), "USD"))
    assert [i.total_nano for i in await list_all(world)] == [90 * DOLLAR, 180 * DOLLAR]
    await check_invoices(world)


async def finish(ctx: Context, period: pricing.Period) -> None:
    opened = await closes.open_closes(ctx, [(period, None)])
    while await closing.advance_closes(ctx, opened):
        pass


async def test_two_closes_by_hand_at_once_are_one(world: LowerWorld) -> None:
    await set_terms(world, pricing.PriceTerms(minimum=Decimal(5)))
    await use_dollars(world, "a", occurred_at=NOON)

    async def close(day: int) -> bool:
        try:
            async with world.system("worker") as ctx:
                await service.close_account(ctx, "acme", date(2026, 3, day))
                await asyncio.sleep(0.05)
        except invoices.WrongState:
            return False
        return True

    assert sorted(await asyncio.gather(*(close(day) for day in (20, 21, 22)))) == [False, False, True]
    await close_all(world)
    await close_all(world)
    days = [(i.period_start, i.period_end) for i in await list_all(world)]
    assert len(days) == 2  # the rest of March is a period of its own
    assert days[0][1] == days[1][0]


async def test_two_closes_that_find_the_same_transfers_share_them(world: LowerWorld) -> None:
    """Each transfer is on one invoice, even where both looked before either had claimed."""
    await charge(world, *(usage(f"r{n}", (10**7, 0, 0), scope=f"acme.shop.t{n}") for n in range(20)))
    found: list[UUID] = []
    for day in (20, 21):
        async with world.system("worker") as ctx:
            period = pricing.Period("acme", date(2026, 3, 1), date(2026, 3, day), "USD")
            found += await closes.open_closes(ctx, [(period, None)])
            await closing.advance_closes(ctx, found[-1:])  # charging is over
    both = asyncio.Barrier(2)
    find = store.find_claims

    async def find_together(ctx: Context, transfers: Sequence[UUID]) -> dict[UUID, UUID]:
        free = await find(ctx, transfers)
        async with asyncio.timeout(60):
            await both.wait()
        return free

    async def collect(close_id: UUID) -> None:
        async with world.system("worker") as ctx:
            await closing.advance_closes(ctx, [close_id])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "find_claims", find_together)
        await asyncio.gather(*(collect(close_id) for close_id in found))
    await close_all(world)
    assert sum(i.total_nano for i in await list_all(world)) == 20 * DOLLAR
    await check_invoices(world)


async def test_a_charge_counts_once_by_its_reference(world: LowerWorld) -> None:
    one = invoices.NewCharge("acme", invoices.LineKind.FEE, "setup", "Setting up", 5 * DOLLAR, "USD")

    async def post() -> int:
        async with world.system("worker") as ctx:
            return await invoices.charge(ctx, NOON.date(), [one])

    assert sorted(await asyncio.gather(*(post() for _ in range(4)))) == [0, 0, 0, 1]
    assert await post() == 0
    assert await balance(world, ledger.Purpose.RECEIVABLE) == 5 * DOLLAR
    await close_all(world)
    (line,) = await lines_of(world, (await only(world)).id)
    assert (line.description, line.amount_nano) == ("Setting up", 5 * DOLLAR)
    await check_invoices(world)


async def test_one_payment_that_is_told_by_many_at_the_same_moment(taxed: LowerWorld) -> None:
    invoice = await only(taxed)
    all_here = asyncio.Barrier(4)

    async def pay() -> None:
        async with taxed.system("worker") as ctx:
            await ctx.db.execute("select 1")
            await all_here.wait()
            await invoices.record_payment(ctx, invoice.id, 1190 * CENT, "bank", "p")

    await asyncio.gather(*(pay() for _ in range(4)))
    assert (await only(taxed)).paid_nano == 1190 * CENT
    assert await balance(taxed, ledger.Purpose.CASH, "") == 1190 * CENT


async def test_a_draft_is_not_voided_while_its_close_still_collects(
    world: LowerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "PAGE", 1)
    await use_dollars(world, "a")
    await use_dollars(world, "b", scope="acme.shop.us")
    await open_due_closes(await world.database("worker"))
    async with world.system("worker") as ctx:
        opened = await closes.list_unfinished(ctx, (), 2)
        await closing.advance_closes(ctx, opened)
        await closing.advance_closes(ctx, opened)
    draft = await only(world)
    async with world.system("worker") as ctx:
        with pytest.raises(invoices.WrongState, match="still being closed"):
            await invoices.void_invoice(ctx, draft.id, "too early")
    await close_all(world)
    assert (await only(world)).total_nano == 2 * DOLLAR
    await check_invoices(world)


async def test_a_month_that_nobody_closed_before_a_subscription_began_has_its_own_terms(world: LowerWorld) -> None:
    """No worker ran from the end of February on, and the account subscribed in March."""
    async with world.system("worker") as ctx:
        declared = {"platform.policy": POLICY, "platform.subscriptions": SUBSCRIPTIONS}
        await registry.sync_registry(ctx, declared.items())
        await subscriptions.seed_plans(ctx)
    await set_terms(world, pricing.PriceTerms(discount=Decimal(10)))
    for name, month, dollars in (("february", 2, 100), ("march", 3, 200)):
        await use_dollars(world, name, dollars, occurred_at=datetime(2026, month, 9, tzinfo=UTC))
    payer = await world.subject("payer", {"subscription:update": ["acme"]})
    world.clock = lambda: datetime(2026, 3, 10, tzinfo=UTC)
    async with world.acting(payer) as ctx:
        await subscriptions.start_subscription(ctx, "acme", "starter", trial=False)
    world.clock = lambda: datetime(2026, 3, 12, tzinfo=UTC)
    for _ in range(3):
        await close_all(world)
    found = await list_all(world)
    assert sum(i.total_nano for i in found) == (90 + 180 + 49) * DOLLAR
    assert [i.period_end for i in found] == [date(2026, 3, 1), date(2026, 3, 10)]
    await check_invoices(world)


async def test_a_minimum_is_due_in_the_accounts_currency_alone(world: LowerWorld) -> None:
    """The operator's minimum in one currency is nothing to an account that is charged in another."""
    await set_terms(world, pricing.PriceTerms(minimum=Decimal(5)))
    await set_terms(world, pricing.PriceTerms(minimum=Decimal(7)), "EUR")
    operator = await world.subject("operator", {"price:create": [""]})
    now, world.clock = world.clock, lambda: FOREVER
    async with world.acting(operator) as ctx:
        await pricing.set_currency(ctx, "acme", "EUR")
        await pricing.create_price(ctx, pricing.PriceKey("input_tokens", "*", "EUR"), Decimal("0.0000001"))
    world.clock = now
    await use_dollars(world, "a", occurred_at=NOON)
    await close_all(world)
    assert [(i.currency, i.total_nano) for i in await list_all(world)] == [("EUR", 7 * DOLLAR)]


async def test_a_correction_belongs_to_the_day_on_which_it_is_made(world: LowerWorld) -> None:
    await use_dollars(world, "a", 3)
    await close_all(world)
    (transfer,) = await world.query("select id from platform_ledger.transfer where kind = 'usage'")
    async with world.system("worker") as ctx:
        back = await ledger.reverse_transfer(ctx, transfer["id"], "test")
        (found,) = await ledger.list_transfers(ctx, [back])
    assert found.day == APRIL.date()
    world.clock = lambda: MAY
    await close_all(world)
    assert [i.total_nano for i in await list_all(world)] == [3 * DOLLAR, -3 * DOLLAR]
    assert await balance(world, ledger.Purpose.CREDIT) == -3 * DOLLAR
    await check_invoices(world)
    await check_purposes(world)


# --- time ---------------------------------------------------------------------------------------------------------


async def test_a_day_is_one_in_utc_whatever_clock_told_it(world: LowerWorld) -> None:
    """The last and first moments of a leap February and of a March whose clocks change, told by clocks far apart."""
    first, last = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    told = [
        ("february", first - moment, ZoneInfo("Pacific/Kiritimati")),  # March for 14 hours there
        ("leap_day", first - timedelta(hours=1), UTC),
        ("march", first, ZoneInfo("Pacific/Pago_Pago")),  # February for 11 hours more there
        ("skipped", datetime(2024, 3, 31, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin")),  # the hour that there was not
        ("march_too", last - moment, ZoneInfo("Europe/Berlin")),
        ("april", last, ZoneInfo("America/New_York")),
    ]
    await charge(world, *(usage(n, (10**7, 0, 0), occurred_at=at.astimezone(zone)) for n, at, zone in told))
    for month in (3, 4, 5):
        world.clock = lambda month=month: datetime(2024, month, 2, tzinfo=UTC)  # type: ignore[misc]
        await close_all(world)
    assert [(i.period_end.month, i.total_nano // DOLLAR) for i in await list_all(world)] == [(3, 2), (4, 3), (5, 1)]
    await check_invoices(world)


async def test_what_a_clock_a_day_ahead_told_is_on_the_invoice_of_its_day(world: LowerWorld) -> None:
    """Usage of April that was charged before March was over, while the database's clock was some seconds behind."""
    await use_dollars(world, "march", 1, occurred_at=NOON)
    await use_dollars(world, "ahead", 2, occurred_at=datetime(2026, 4, 1, tzinfo=UTC))
    await world.admin(
        "set session_replication_role = replica;"
        " update platform_ledger.transfer set posted_at = '2026-03-30T23:59:50Z' where day = '2026-04-01'"
    )
    await close_all(world)
    world.clock = lambda: MAY
    await close_all(world)
    assert [i.total_nano for i in await list_all(world)] == [DOLLAR, 2 * DOLLAR]


# --- credit, and money that goes back -----------------------------------------------------------------------------


async def test_credit_pays_whole_coins_so_that_what_is_left_can_be_paid(world: LowerWorld) -> None:
    async with world.system("worker") as ctx:
        await ledger.grant_credit(ctx, "acme", "USD", 25 * CENT + 3, ledger.CreditSource.PROMOTION, "odd")
    await use_dollars(world, "a")
    await close_all(world)
    invoice = await only(world)
    assert (invoice.credit_nano, invoice.open_nano) == (25 * CENT, 75 * CENT)
    assert await balance(world, ledger.Purpose.CREDIT) == -3
    async with world.system("worker") as ctx:
        paid = await invoices.record_payment(ctx, invoice.id, 75 * CENT, "bank", "p")
    assert (paid.state, paid.open_nano) == ("paid", 0)


@pytest.fixture
async def taxed(world: LowerWorld) -> LowerWorld:
    """With one invoice of 11.90 USD, of which 1.90 is tax."""
    async with world.system("worker") as ctx:
        await invoices.set_details(ctx, "acme", invoices.BillingDetails(taxes=(VAT,)))
    await use_dollars(world, "a", 10)
    await close_all(world)
    return world


async def test_notes_that_take_an_invoice_back_bit_by_bit_take_exactly_its_tax(taxed: LowerWorld) -> None:
    invoice = await only(taxed)
    async with taxed.system("worker") as ctx:
        notes = [
            await invoices.issue_credit_note(ctx, invoice.id, nano * CENT, "a part", f"n{n}")
            for n, nano in enumerate([1] * 40 + [333, 500, 317])
        ]
    assert sum(note.amount_nano for note in notes) == invoice.total_nano
    assert sum(note.tax_nano for note in notes) == 190 * CENT
    assert all(0 <= note.tax_nano <= note.amount_nano for note in notes)
    assert await balance(taxed, ledger.Purpose.TAX, "") == 0
    assert await balance(taxed, ledger.Purpose.REVENUE, "") == 0


async def test_what_prepaid_credit_paid_goes_back_to_it_and_not_to_a_bank(world: LowerWorld) -> None:
    """Of 10 USD, 6 were paid by credit and 4 by money: no more than these can be sent back."""
    async with world.system("worker") as ctx:
        await ledger.grant_credit(ctx, "acme", "USD", 6 * DOLLAR, ledger.CreditSource.PROMOTION, "welcome")
    await use_dollars(world, "a", 10)
    await close_all(world)
    invoice = await only(world)
    async with world.system("worker") as ctx:
        await invoices.record_payment(ctx, invoice.id, 4 * DOLLAR, "bank", "p")
        first = await invoices.issue_credit_note(ctx, invoice.id, DOLLAR, "an outage", "n1", refund=True)
        second = await invoices.issue_credit_note(ctx, invoice.id, 9 * DOLLAR, "all of it", "n2", refund=True)
    assert (first.to_credit_nano, second.to_credit_nano) == (0, 6 * DOLLAR)
    assert await balance(world, ledger.Purpose.DUE) == -4 * DOLLAR
    await check_invoices(world)
    async with world.system("worker") as ctx:
        back = await invoices.record_refund(ctx, invoice.id, 4 * DOLLAR, "bank", "r")
    assert (back.state, back.open_nano) == ("paid", 0)
    assert await balance(world, ledger.Purpose.DUE) == 0
    assert await balance(world, ledger.Purpose.CREDIT) == -6 * DOLLAR
    await check_invoices(world)


async def test_money_that_goes_back_after_the_rest_was_written_off_is_lost_too(taxed: LowerWorld) -> None:
    invoice = await only(taxed)
    async with taxed.system("worker") as ctx:
        await invoices.record_payment(ctx, invoice.id, 5 * DOLLAR, "card", "p")
        await invoices.write_off(ctx, invoice.id, "bankrupt")
        back = await invoices.record_refund(ctx, invoice.id, 5 * DOLLAR, "card", "charged back")
    assert (back.state, back.due_nano, back.open_nano) == ("uncollectible", 0, 1190 * CENT)
    assert await balance(taxed, ledger.Purpose.LOSS, "") == 1190 * CENT
    assert await balance(taxed, ledger.Purpose.DUE) == 0
    await check_purposes(taxed)
    async with taxed.system("worker") as ctx:
        paid = await invoices.record_payment(ctx, invoice.id, 1190 * CENT, "bank", "after all")
    assert paid.state == "paid"
    assert await balance(taxed, ledger.Purpose.LOSS, "") == 0
    await check_invoices(taxed)
    await check_books(taxed)


async def test_an_invoice_that_is_due_again_is_told_overdue_again(taxed: LowerWorld) -> None:
    invoice = await only(taxed)
    worker = await taxed.database("worker")
    taxed.clock = lambda: MAY
    await tell_overdue(worker)
    async with taxed.system("worker") as ctx:
        await invoices.record_payment(ctx, invoice.id, 1190 * CENT, "card", "p")
    await tell_overdue(worker)
    async with taxed.system("worker") as ctx:
        await invoices.record_refund(ctx, invoice.id, 1190 * CENT, "card", "charged back")
    await tell_overdue(worker)
    await tell_overdue(worker)
    told = await taxed.query(
        "select 1 from shared.change_pending where event_type = 'platform.invoices.invoice_overdue.v1'"
    )
    assert len(told) == 2


async def test_the_corrections_of_a_whole_line_leave_nothing_on_paper(world: LowerWorld) -> None:
    """A transfer and its reversal in one period: two lines, an invoice of nothing, paid at once."""
    await use_dollars(world, "a")
    (transfer,) = await world.query("select id from platform_ledger.transfer")
    world.clock = lambda: NOON + timedelta(days=1)
    async with world.system("worker") as ctx:
        await ledger.reverse_transfer(ctx, transfer["id"], "test")
    world.clock = lambda: APRIL
    await close_all(world)
    invoice = await only(world)
    assert (invoice.total_nano, invoice.state) == (0, "paid")
    assert sorted(line.amount_nano for line in await lines_of(world, invoice.id)) == [-DOLLAR, DOLLAR]
    await check_invoices(world)
