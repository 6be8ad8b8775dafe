"""Money that goes back of an invoice that was paid more than once, and a worker that hears the truth too late."""

from __future__ import annotations

import asyncio

import pytest

from ironworks.platform import payments
from ironworks.platform.payments import collecting, service
from ironworks.platform.payments.model import NotPayable
from ironworks.platform.payments.provider import Charge, ChargeState
from tests.platform.payments.paying import DOLLARS_5, PayingWorld

DOLLAR = 10**9


async def test_refunds_of_several_payments_never_exceed_what_counts_for_the_invoice(world: PayingWorld) -> None:
    """Of 4 and 3 dollars for an invoice of 5, two became credit: the second refund finds one left, however early."""
    invoice = await world.invoice()
    async with world.world.acting(world.operator) as ctx:
        first = await service.record_receipt(ctx, invoice.id, 4 * DOLLAR, "bank", "r1")
        second = await service.record_receipt(ctx, invoice.id, 3 * DOLLAR, "bank", "r2")
    await world.consume()
    assert ((await world.invoice()).paid_nano, await world.balance("credit")) == (DOLLARS_5, -2 * DOLLAR)

    async def refund(payment: payments.Payment, nano: int) -> bool:
        try:
            async with world.world.acting(world.operator) as ctx:
                await service.refund_payment(ctx, payment.id, nano, "all of it")
                await asyncio.sleep(0.05)
        except NotPayable:
            return False
        return True

    both = await asyncio.gather(refund(first, 4 * DOLLAR), refund(second, 3 * DOLLAR))
    assert sorted(both) == [False, True]
    await world.work()
    left = (await world.invoice()).paid_nano
    assert left in (DOLLAR, 2 * DOLLAR)
    assert await world.balance("cash") == left + 2 * DOLLAR
    with pytest.raises(NotPayable):
        async with world.world.acting(world.operator) as ctx:
            await service.refund_payment(ctx, (second if both[0] else first).id, left + 10**7, "too much")
    assert await refund(second if both[0] else first, left)
    await world.work()
    assert (await world.invoice()).paid_nano == 0


async def test_what_a_worker_hears_after_its_lease_changes_nothing(world: PayingWorld) -> None:
    """It was told of a refusal, slept over its lease, and meanwhile another worker was told that the card paid."""
    await world.card()
    await world.pay()

    class Late:
        def __getattr__(self, name: str) -> object:
            return getattr(world.provider, name)

        async def confirm_charge(self, reference: str, method: str, key: str) -> Charge:
            world.wait(hours=1)
            await world.work()
            return Charge(reference, ChargeState.OPEN, 0, "USD", failure_code="declined", failure_message="no")

    await collecting.pay_due(await world.world.database("worker"), Late())  # type: ignore[arg-type]
    told = await world.consume()
    assert (await world.only_payment()).state is payments.PaymentState.SUCCEEDED
    assert "platform.payments.payment_failed.v1" not in told
    assert len(world.stripe.moved) == 1
    assert await world.balance("cash") == DOLLARS_5
