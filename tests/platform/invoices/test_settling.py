"""What becomes of an invoice: paid, paid too much, refunded, credited, voided, written off; and its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from ironworks.platform import invoices, ledger
from ironworks.platform.invoices.model import number_of, total_up
from ironworks.platform.invoices.money import round_to_coin, show_exact, show_money
from ironworks.shared.context import Context
from ironworks.shared.errors import Invalid, NotFound
from tests.support.invoicing import (
    APRIL,
    CENT,
    DOLLAR,
    check_invoices,
    close_all,
    everything,
    invoice_world,
    list_all,
    only,
)
from tests.support.lower import LowerWorld
from tests.support.money import charge, check_books, usage
from tests.support.postgres import TestDatabase

VAT = invoices.Tax(name="VAT", rate=Decimal("0.19"))


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        async with world.system("worker") as ctx:
            await invoices.set_details(ctx, "acme", invoices.BillingDetails(taxes=(VAT,)))
        await charge(world, usage("a", (90 * 10**6, 0, 0)), usage("b", (10**7, 0, 0), scope="acme.shop.us"))
        await close_all(world)
        yield world


async def balance(world: LowerWorld, purpose: ledger.Purpose, path: str = "acme") -> int:
    async with world.system("worker") as ctx:
        found = await ledger.get_balances(ctx, path)
    return sum(b.amount_nano for b in found if b.purpose is purpose)


async def pay(world: LowerWorld, nano: int, reference: str = "p1") -> invoices.Invoice:
    invoice = await only(world)
    async with world.system("worker") as ctx:
        return await invoices.record_payment(ctx, invoice.id, nano, "bank", reference)


async def test_paid_in_parts_and_too_much(world: LowerWorld) -> None:
    assert (await only(world)).total_nano == 1190 * CENT
    assert (await pay(world, 500 * CENT)).due_nano == 690 * CENT
    before = await everything(world)
    assert (await pay(world, 500 * CENT)).due_nano == 690 * CENT
    assert await everything(world) == before
    with pytest.raises(invoices.ReferenceInUse):
        await pay(world, 400 * CENT)
    paid = await pay(world, 700 * CENT, "p2")
    assert (paid.state, paid.due_nano, paid.paid_nano) == ("paid", 0, 1190 * CENT)
    assert await balance(world, ledger.Purpose.CREDIT) == -10 * CENT
    assert await balance(world, ledger.Purpose.DUE) == 0
    await check_invoices(world)
    await check_books(world)


async def test_the_same_payment_from_many_at_once_counts_once(world: LowerWorld) -> None:
    await asyncio.gather(*(pay(world, 1190 * CENT) for _ in range(5)))
    assert (await only(world)).paid_nano == 1190 * CENT
    assert await balance(world, ledger.Purpose.CREDIT) == 0
    await check_invoices(world)


async def test_no_amount_that_is_not_in_coins(world: LowerWorld) -> None:
    for nano in (0, -CENT, CENT + 1, 2**63):
        with pytest.raises(Invalid):
            await pay(world, nano)


async def test_a_payment_that_is_returned_is_due_again(world: LowerWorld) -> None:
    invoice = await pay(world, 1190 * CENT)
    async with world.system("worker") as ctx:
        again = await invoices.record_refund(ctx, invoice.id, 1190 * CENT, "bank", "returned")
        assert (again.state, again.due_nano) == ("finalized", 1190 * CENT)
        with pytest.raises(invoices.WrongState):
            await invoices.record_refund(ctx, invoice.id, CENT, "bank", "more")
    await check_invoices(world)


async def test_a_credit_note_takes_off_what_is_open_then_becomes_credit(world: LowerWorld) -> None:
    await pay(world, 1000 * CENT)
    invoice = await only(world)
    async with world.system("worker") as ctx:
        note = await invoices.issue_credit_note(ctx, invoice.id, 238 * CENT, "an outage", "n1")
        assert await invoices.issue_credit_note(ctx, invoice.id, 238 * CENT, "an outage", "n1") == note
        with pytest.raises(invoices.WrongState):
            await invoices.issue_credit_note(ctx, invoice.id, 953 * CENT, "more than there is", "n2")
    assert (note.number, note.tax_nano, note.to_credit_nano) == ("ACME-CN-000001", 38 * CENT, 48 * CENT)
    assert (await only(world)).state == "paid"
    assert await balance(world, ledger.Purpose.CREDIT) == -48 * CENT
    assert await balance(world, ledger.Purpose.TAX, "") == -(190 - 38) * CENT
    await check_invoices(world)


async def test_a_credit_note_that_is_refunded(world: LowerWorld) -> None:
    invoice = await pay(world, 1190 * CENT)
    async with world.system("worker") as ctx:
        note = await invoices.issue_credit_note(ctx, invoice.id, 119 * CENT, "an outage", "n1", refund=True)
        back = await invoices.record_refund(ctx, invoice.id, 119 * CENT, "bank", "r1")
    assert (note.to_credit_nano, back.state, back.open_nano) == (0, "paid", 0)
    assert await balance(world, ledger.Purpose.DUE) == 0
    await check_invoices(world)


async def test_a_voided_invoice_comes_again_as_the_next_one(world: LowerWorld) -> None:
    first = await only(world)
    async with world.system("worker") as ctx:
        voided = await invoices.void_invoice(ctx, first.id, "wrong address")
        assert await invoices.void_invoice(ctx, first.id, "again") == voided
    assert (voided.state, voided.number, voided.due_nano) == ("void", "ACME-000001", 0)
    await check_invoices(world)
    world.clock = lambda: APRIL.replace(month=5)
    await close_all(world)
    second = (await list_all(world))[1]
    assert (second.number, second.total_nano) == ("ACME-000002", 1190 * CENT)
    await check_invoices(world)
    await check_books(world)


async def test_what_was_paid_is_not_voided(world: LowerWorld) -> None:
    invoice = await pay(world, CENT)
    async with world.system("worker") as ctx:
        with pytest.raises(invoices.WrongState):
            await invoices.void_invoice(ctx, invoice.id, "too late")


async def test_written_off_and_paid_all_the_same(world: LowerWorld) -> None:
    invoice = await only(world)
    async with world.system("worker") as ctx:
        gone = await invoices.write_off(ctx, invoice.id, "bankrupt")
    assert (gone.state, gone.due_nano) == ("uncollectible", 0)
    assert await balance(world, ledger.Purpose.LOSS, "") == 1190 * CENT
    await check_invoices(world)
    assert (await pay(world, 1190 * CENT)).state == "paid"
    assert await balance(world, ledger.Purpose.LOSS, "") == 0
    await check_invoices(world)


async def test_prepaid_credit_pays_first_and_comes_back_with_a_void(database: TestDatabase) -> None:
    async with invoice_world(database) as world:
        async with world.system("worker") as ctx:
            await ledger.grant_credit(ctx, "acme", "USD", 2 * DOLLAR, ledger.CreditSource.PROMOTION, "welcome")
        await charge(world, usage("a", (10**7, 0, 0)))
        await close_all(world)
        invoice = await only(world)
        assert (invoice.state, invoice.credit_nano, invoice.due_nano) == ("paid", DOLLAR, 0)
        world.clock = lambda: APRIL.replace(month=5)
        await charge(world, usage("b", (3 * 10**7, 0, 0), occurred_at=APRIL))
        await close_all(world)
        second = (await list_all(world))[1]
        assert (second.credit_nano, second.due_nano) == (DOLLAR, 2 * DOLLAR)
        async with world.system("worker") as ctx:
            await invoices.void_invoice(ctx, second.id, "a test")
        assert await balance(world, ledger.Purpose.CREDIT) == -DOLLAR
        await check_invoices(world)


async def test_a_draft_is_not_paid_and_nobody_elses_invoice_is_seen(world: LowerWorld) -> None:
    invoice = await only(world)
    rival = await world.subject("rival", {"invoice:read": ["rival"], "billing:read": ["rival"]})
    async with world.acting(rival) as ctx:
        with pytest.raises(NotFound):
            await invoices.get_invoice(ctx, invoice.id)
        with pytest.raises(NotFound):
            await invoices.record_payment(ctx, invoice.id, CENT, "bank", "x")
    reader = await world.subject("one-tenant", {"invoice:read": ["acme.shop.us"]})
    async with world.acting(reader) as ctx:
        assert {line.scope for line in await invoices.list_lines(ctx, invoice.id)} == {"acme.shop.us"}
        with pytest.raises(NotFound):
            await invoices.get_invoice(ctx, invoice.id)


async def test_numbers_have_no_gap_whoever_fails(world: LowerWorld) -> None:
    async def give(ctx: Context, fails: bool) -> None:
        from ironworks.platform.invoices import store

        await store.next_number(ctx, "rival", "invoice")
        if fails:
            raise ZeroDivisionError

    async def one(n: int) -> None:
        try:
            async with world.system("worker") as ctx:
                await give(ctx, n % 3 == 0)
        except ZeroDivisionError:
            pass

    await asyncio.gather(*(one(n) for n in range(30)))
    (row,) = await world.query("select last from platform_invoices.numbering where path = 'rival'")
    assert row["last"] == 20


async def test_what_was_sent_never_changes_even_for_our_own_processes(world: LowerWorld) -> None:
    from asyncpg import InsufficientPrivilegeError

    for statement in (
        "update platform_invoices.invoice set total_nano = 1",
        "update platform_invoices.invoice set number = 'X-1'",
        "delete from platform_invoices.invoice",
        "update platform_invoices.line set amount_nano = 1",
        "delete from platform_invoices.line",
        "update platform_invoices.posting set kind = 'x'",
        "delete from platform_invoices.payment",
    ):
        with pytest.raises(InsufficientPrivilegeError):
            await world.admin(statement)


def test_rounding_and_words() -> None:
    assert [round_to_coin(n, "USD") for n in (15_000_000, 25_000_000, -15_000_000)] == [2 * CENT, 2 * CENT, -2 * CENT]
    assert round_to_coin(1_499_999_999, "JPY") == DOLLAR
    assert (show_money(1_234_560_000_000, "USD"), show_money(5 * DOLLAR, "JPY")) == ("1,234.56", "5")
    assert (show_exact(1_234_500, "USD"), show_exact(DOLLAR, "USD"), show_exact(-1, "USD")) == (
        "0.0012345",
        "1.00",
        "-0.000000001",
    )
    totals = total_up(10_004_999_999, "USD", (VAT, invoices.Tax(name="City", rate=Decimal("0.005"))))
    assert (totals.rounding_nano, [t.amount_nano for t in totals.taxes]) == (-4_999_999, [190 * CENT, 5 * CENT])
    assert number_of("acme", 1234567) == "ACME-1234567"
