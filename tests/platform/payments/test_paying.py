"""An invoice is paid: by card, later, by hand, in parts, or not at all."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from ironworks.platform import invoices, payments
from ironworks.platform.payments import service
from ironworks.platform.payments.model import NoPaymentMethod, NotPayable, ReferenceUsed
from ironworks.shared.errors import Forbidden, Invalid, NotFound
from tests.platform.payments.paying import DOLLARS_5, PayingWorld

STATE = payments.PaymentState


async def test_an_invoice_is_charged_once_to_the_card_that_was_left(world: PayingWorld) -> None:
    await world.card()
    payment = await world.pay()
    assert (payment.state, payment.amount_nano) == (STATE.PLANNED, DOLLARS_5)
    assert world.stripe.moved == []
    await world.work()
    paid = await world.only_payment()
    assert (paid.state, paid.attempt) == (STATE.SUCCEEDED, 1)
    assert world.stripe.moved == [(paid.reference, 500)]
    assert (await world.invoice()).state is invoices.InvoiceState.PAID
    assert await world.balance("cash") == DOLLARS_5
    assert await world.balance("due") == 0
    await world.deliver()
    await world.work()
    assert len(world.stripe.moved) == 1
    assert (await world.only_payment()).recorded_at is not None


async def test_a_refused_card_is_tried_after_one_three_five_and_seven_days(world: PayingWorld) -> None:
    await world.card("declines")
    await world.pay()
    began = world.world.clock()
    waits = []
    for _ in range(5):
        await world.work()
        payment = await world.only_payment()
        waits.append((payment.due_at - began).days if payment.due_at else None)
        assert payment.failure_code == "insufficient_funds"
        if payment.due_at:
            world.move_to(payment.due_at - timedelta(seconds=1))
            await world.work()
            assert (await world.only_payment()).attempt == payment.attempt
            world.wait(seconds=1)
    assert waits == [1, 3, 5, 7, None]
    assert (payment.state, payment.attempt) == (STATE.EXHAUSTED, 5)
    assert world.stripe.moved == []
    told = await world.world.query(
        "select payload from shared.change_log where event_type = $1 order by position", payments.PaymentFailed.type
    )
    assert [json.loads(row["payload"])["next_attempt_at"] is None for row in told] == [False] * 4 + [True]


async def test_a_week_without_a_worker_is_one_attempt_and_not_four(world: PayingWorld) -> None:
    await world.card("declines")
    await world.pay()
    await world.work()
    world.wait(days=6)
    await world.work()
    payment = await world.only_payment()
    assert (payment.state, payment.attempt) == (STATE.FAILED, 2)


async def test_a_new_card_pays_what_failed_at_once(world: PayingWorld) -> None:
    await world.card("declines")
    await world.pay()
    await world.work()
    card = await world.card()
    async with world.world.acting(world.customer) as ctx:
        cards = await service.list_methods(ctx, "acme")
    assert {c.label for c in cards} == {"visa •••• 4242"}
    await service.choose_method(await world.call(), world.provider, "acme", card)
    async with world.world.acting(world.customer) as ctx:
        await service.pay_invoice(ctx, (await world.invoice()).id)
    await world.work()
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert len(world.stripe.moved) == 1


async def test_a_bank_that_takes_its_time(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    payment = await world.only_payment()
    assert payment.state is STATE.PROCESSING
    assert payment.reference is not None
    world.stripe.decide(payment.reference, "succeeds")
    await world.deliver()
    await world.work()
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert (await world.invoice()).state is invoices.InvoiceState.PAID


async def test_a_bank_that_refuses_in_the_end_and_no_notice_of_it(world: PayingWorld) -> None:
    await world.card("processing")
    await world.pay()
    await world.work()
    payment = await world.only_payment()
    world.stripe.decide(payment.reference or "", "declines")
    world.wait(hours=1)
    await world.work()
    failed = await world.only_payment()
    assert (failed.state, failed.failure_code) == (STATE.FAILED, "insufficient_funds")


async def test_what_is_paid_by_hand_meanwhile_is_not_charged_again(world: PayingWorld) -> None:
    await world.card("declines")
    await world.pay()
    await world.work()
    async with world.world.acting(world.operator) as ctx:
        await service.record_receipt(ctx, (await world.invoice()).id, 3 * 10**9, "bank_transfer", "R-1")
    await world.deliver()
    card = await world.card()
    await service.choose_method(await world.call(), world.provider, "acme", card)
    world.wait(days=1)
    await world.work()
    await world.work()
    assert [amount for _, amount in world.stripe.moved] == [200]
    assert (await world.invoice()).state is invoices.InvoiceState.PAID
    assert await world.balance("cash") == DOLLARS_5
    assert sorted(p.state for p in await world.all_payments()) == [STATE.CANCELED, STATE.SUCCEEDED, STATE.SUCCEEDED]


async def test_a_receipt_counts_once_and_needs_no_provider(world: PayingWorld) -> None:
    invoice = await world.invoice()
    async with world.world.acting(world.operator) as ctx:
        first = await service.record_receipt(ctx, invoice.id, 4 * 10**9, "bank_transfer", "R-1")
    async with world.world.acting(world.operator) as ctx:
        again = await service.record_receipt(ctx, invoice.id, 4 * 10**9, "bank_transfer", "R-1")
    assert again.id == first.id
    with pytest.raises(ReferenceUsed):
        async with world.world.acting(world.operator) as ctx:
            await service.record_receipt(ctx, invoice.id, 10**9, "bank_transfer", "R-1")
    with pytest.raises(Forbidden):
        async with world.world.acting(world.customer) as ctx:
            await service.record_receipt(ctx, invoice.id, 10**9, "bank_transfer", "R-2")
    await world.consume()
    assert (await world.invoice()).open_nano == 10**9
    async with world.world.acting(world.operator) as ctx:
        await service.record_receipt(ctx, invoice.id, 2 * 10**9, "bank_transfer", "R-3")
    await world.consume()
    assert (await world.invoice()).state is invoices.InvoiceState.PAID
    assert await world.balance("credit") == -(10**9)


async def test_refunds_never_exceed_what_was_paid(world: PayingWorld) -> None:
    await world.card()
    payment = await world.pay()
    await world.work()
    async with world.world.acting(world.operator) as ctx:
        await service.refund_payment(ctx, payment.id, 2 * 10**9, "half of it")
        with pytest.raises(NotPayable):
            await service.refund_payment(ctx, payment.id, 4 * 10**9, "too much")
        with pytest.raises(Invalid):
            await service.refund_payment(ctx, payment.id, 1, "no cent")
    await world.work()
    assert [amount for _, amount in world.stripe.moved] == [500, -200]
    assert await world.balance("cash") == 3 * 10**9
    await world.work()
    assert len(world.stripe.moved) == 2


async def test_an_invoice_without_a_method_or_of_somebody_else_is_not_charged(world: PayingWorld) -> None:
    with pytest.raises(NoPaymentMethod):
        await world.pay()
    rival = await world.world.subject("rival", {"payment:create": ["rival"], "invoice:read": ["rival"]})
    with pytest.raises(NotFound):
        async with world.world.acting(rival) as ctx:
            await service.pay_invoice(ctx, (await world.invoice()).id)


async def test_an_invoice_is_charged_when_it_is_finalized(world: PayingWorld) -> None:
    await world.card()
    invoice = await world.invoice()
    async with world.world.system("worker") as ctx:
        told = invoices.InvoiceFinalized(
            invoice_id=invoice.id, account="acme", number=invoice.number or "", currency="USD",
            total_nano=invoice.total_nano, due_nano=invoice.open_nano, due_at=invoice.due_at or ctx.now(),
        )  # fmt: skip
        await ctx.emit(told, "acme")
        await ctx.emit(told, "acme")
    await world.consume()
    await world.work()
    assert world.stripe.moved == [((await world.only_payment()).reference, 500)]
