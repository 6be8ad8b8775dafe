"""Amounts that a card network does not take, currencies that count otherwise, and customers deleted at Stripe."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import invoices, ledger, payments
from ironworks.platform.invoices import controller
from ironworks.platform.invoices.money import round_to_coin, show_money
from ironworks.platform.payments import collecting, service
from ironworks.platform.payments.currencies import (
    NO_DECIMALS,
    THREE_DECIMALS,
    WHOLE_BUT_WRITTEN_WITH_TWO,
    minor_units,
    nano_units,
)
from ironworks.shared.errors import Invalid
from tests.platform.payments.paying import ACCOUNT, PayingWorld
from tests.support.invoicing import APRIL, CENT, DOLLAR, check_invoices, list_all
from tests.support.money import charge, usage

ALL = (*NO_DECIMALS, *THREE_DECIMALS, *WHOLE_BUT_WRITTEN_WITH_TWO, "USD", "EUR", "HUF", "TWD")
SEEN = count()


# --- currencies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "nano", "minor"),
    [
        ("USD", 12_340_000_000, 1234),
        ("JPY", 500 * DOLLAR, 500),
        ("MGA", 500 * DOLLAR, 500),
        ("ISK", 5 * DOLLAR, 500),
        ("UGX", 5 * DOLLAR, 500),
        ("KWD", 5_120_000_000, 5120),
        ("IQD", 5_120_000_000, 5120),
        ("LYD", 5_120_000_000, 5120),
        ("HUF", 1_450_000_000, 145),
        ("TWD", 8_005_000_000_000, 800_500),
    ],
)
def test_an_amount_in_the_units_that_stripe_counts(currency: str, nano: int, minor: int) -> None:
    assert minor_units(nano, currency) == minor
    assert nano_units(minor, currency) == nano


@pytest.mark.parametrize(
    ("currency", "nano"), [("ISK", 5_500_000_000), ("UGX", 1), ("KWD", 5_124_000_000), ("JPY", 500_000_000), ("USD", 0)]
)
def test_what_cannot_be_charged_to_the_last_digit_is_refused(currency: str, nano: int) -> None:
    with pytest.raises(Invalid, match=currency):
        minor_units(nano, currency)


@given(st.sampled_from(ALL), st.integers(1, 10**15))
def test_every_total_of_an_invoice_can_be_charged(currency: str, nano: int) -> None:
    total = round_to_coin(nano, currency)
    show_money(total, currency)
    if total:
        assert nano_units(minor_units(total, currency), currency) == total


# --- less than a card is charged ----------------------------------------------------------------------------------


async def close(world: PayingWorld) -> None:
    """Close months as the worker does, who knows what cards are charged at least."""
    worker = await world.world.database("worker")
    await controller.open_due_closes(worker)
    await controller.run_closes(worker, world.provider)


async def use(world: PayingWorld, nano: int) -> None:
    """Use as many nano-units' worth now."""
    await charge(world.world, usage(f"small_{next(SEEN)}", (nano // 100, 0, 0), occurred_at=world.world.clock()))


async def next_month(world: PayingWorld) -> None:
    world.move_to((world.world.clock().replace(day=1) + timedelta(days=32)).replace(day=2))


async def test_an_invoice_too_small_to_be_charged_comes_with_the_next_one(world: PayingWorld) -> None:
    world.move_to(APRIL)
    await world.card()
    for nano in (20 * CENT, 29 * CENT, 1 * CENT):
        await use(world, nano)
        await next_month(world)
        await close(world)
    *carried, sent = (await list_all(world.world))[1:]
    assert [i.state for i in carried] == [invoices.InvoiceState.VOID] * 2
    assert {i.number for i in carried} == {None}
    assert "next invoice" in carried[0].reason
    assert (sent.number, sent.total_nano, sent.state) == ("ACME-000002", 50 * CENT, "finalized")
    await check_invoices(world.world)
    await world.consume()
    await world.work()
    assert (await list_all(world.world))[-1].state is invoices.InvoiceState.PAID
    assert 50 in [minor for _, minor in world.stripe.moved]


async def test_credit_pays_a_small_invoice_and_leaves_of_another_what_can_be_charged(world: PayingWorld) -> None:
    world.move_to(APRIL)
    async with world.world.system("worker") as ctx:
        await ledger.grant_credit(ctx, ACCOUNT, "USD", 30 * CENT, ledger.CreditSource.PROMOTION, "little")
    for nano, credit in ((20 * CENT, 20 * CENT), (55 * CENT, 5 * CENT), (3 * CENT, 3 * CENT)):
        await use(world, nano)
        await next_month(world)
        await close(world)
        last = (await list_all(world.world))[-1]
        assert (last.total_nano, last.credit_nano) == (nano, credit)
    await check_invoices(world.world)


async def test_a_rest_too_small_to_be_charged_is_not_tried_and_not_told_overdue(world: PayingWorld) -> None:
    await world.card()
    async with world.world.acting(world.operator) as ctx:
        await service.record_receipt(ctx, (await world.invoice()).id, 5 * DOLLAR - 20 * CENT, "bank", "r1")
    await world.consume()
    await world.pay()
    await world.work()
    (tried,) = [p for p in await world.all_payments() if p.provider == "stripe"]
    assert (tried.state, tried.failure_code) == (payments.PaymentState.CANCELED, "amount_too_small")
    assert not world.stripe.moved
    world.wait(days=30)
    await controller.tell_overdue(await world.world.database("worker"), world.provider)
    assert invoices.InvoiceOverdue.type not in await world.consume()


# --- customers deleted at Stripe ----------------------------------------------------------------------------------


async def customer(world: PayingWorld) -> str | None:
    (found,) = await world.world.query("select reference from platform_payments.customer where account = $1", ACCOUNT)
    return found["reference"]


@pytest.mark.parametrize("told", [True, False])
async def test_who_was_deleted_at_stripe_leaves_a_card_again_at_once(world: PayingWorld, told: bool) -> None:
    """Within a day a key is answered as before: with the customer who is gone."""
    await world.card()
    gone = await customer(world)
    world.stripe.delete_customer(gone or "")
    world.wait(minutes=1)
    if told:
        await world.deliver()
        assert await customer(world) is None
    await world.card()
    assert await customer(world) not in (None, gone)
    await world.pay()
    await world.work()
    assert (await world.invoice()).state is invoices.InvoiceState.PAID


async def test_a_charge_is_opened_anew_for_the_customer_who_came_after(world: PayingWorld) -> None:
    """The first attempt was refused because he was gone; the next one is another request, under a key of its own."""
    await world.card()
    await world.pay()
    world.stripe.delete_customer(await customer(world) or "")
    await collecting.pay_due(await world.world.database("worker"), world.provider)
    assert (await world.only_payment()).state is payments.PaymentState.FAILED
    world.wait(minutes=1)
    await world.card()
    await world.work()
    assert (await world.only_payment()).state is payments.PaymentState.SUCCEEDED
    assert len(world.stripe.moved) == 1


@pytest.mark.parametrize("told", [True, False])
async def test_a_charge_of_who_was_deleted_is_left_and_another_one_opened(world: PayingWorld, told: bool) -> None:
    """Stripe lets nobody else pay it; nor does it wait for a person."""
    await world.card("declines")
    await world.pay()
    await world.work()
    left = await world.only_payment()
    assert left.state is payments.PaymentState.FAILED
    await world.forget_customer()
    await world.card()
    if told:
        about = {"object": {"id": left.reference}}
        await world.deliver(
            {"id": "evt_again", "object": "event", "type": "payment_intent.created", "created": 1, "data": about}
        )
        await world.work()
    await world.work()
    paid = await world.only_payment()
    assert (paid.state, paid.attempt) == (payments.PaymentState.SUCCEEDED, 2)
    assert world.stripe.moved == [(paid.reference, 500)]
    assert world.stripe.things[left.reference or ""]["status"] == "canceled"


async def test_a_charge_of_who_was_deleted_that_was_paid_all_the_same_counts(world: PayingWorld) -> None:
    await world.card("declines")
    await world.pay()
    await world.work()
    left = await world.only_payment()
    await world.forget_customer()
    await world.card()
    world.stripe.decide(left.reference or "", "succeeds")
    await world.work()
    paid = await world.only_payment()
    assert (paid.state, paid.reference) == (payments.PaymentState.SUCCEEDED, left.reference)
    assert len(world.stripe.moved) == 1
