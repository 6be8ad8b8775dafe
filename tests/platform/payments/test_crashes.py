"""Death at every step of a payment and of a refund: nobody is ever charged twice, and nothing is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from ironworks.platform import invoices, payments
from ironworks.platform.payments import collecting, service
from ironworks.platform.payments.model import LEASE
from ironworks.shared.context import Actor, Context
from ironworks.shared.db import Database
from tests.platform.payments.paying import DOLLARS_5, PayingWorld

STATE = payments.PaymentState
CALLS = ("open_charge", "confirm_charge", "get_charge", "cancel_charge", "refund")


class Died(BaseException):
    """The process is gone: nothing after this line runs."""


class Fate:
    """Dies at the n-th step; a step is the edge of a transaction or of a call, on both sides."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.died = False

    def step(self) -> None:
        if self.left == 0:
            self.died = True
            raise Died
        self.left -= 1


class MortalProvider:
    """A provider whose caller may die before it asks, or after it was heard and before it hears."""

    def __init__(self, real: payments.PaymentProvider, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._mortal(found) if name in CALLS else found

    def _mortal(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def asked(*arguments: Any) -> Any:
            self._fate.step()
            answer = await call(*arguments)
            self._fate.step()
            return answer

        return asked


class MortalDatabase:
    """A database whose user may die before a commit, which then never was, or after it."""

    def __init__(self, real: Database, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    @asynccontextmanager
    async def transaction(self, actor: Actor) -> AsyncIterator[Context]:
        async with self._real.transaction(actor) as ctx:
            yield ctx
            self._fate.step()
        self._fate.step()


async def _die_at_each_step(
    world: PayingWorld, work: Callable[[Any, Any], Any], begin: Callable[[], Any], check: Callable[[], Any]
) -> int:
    """Runs `work` once for each step, dying there; then another worker comes, after the lease. Returns the steps."""
    for last in range(100):
        await begin()
        fate = Fate(last)
        db: Any = MortalDatabase(await world.world.database("worker"), fate)
        with suppress(Died):
            await work(db, MortalProvider(world.provider, fate))
        world.wait(seconds=(LEASE + timedelta(seconds=1)).total_seconds())
        await world.work()
        await check()
        if not fate.died:
            return last
    raise AssertionError("it never ended")


async def test_death_at_each_step_of_a_payment_charges_once(world: PayingWorld) -> None:
    """Between the worker and Stripe, on both sides of each call and of each commit."""
    await world.card()
    invoice = await world.invoice()

    async def begin() -> None:
        world.stripe.moved.clear()
        await world.world.admin("delete from platform_payments.payment")
        await world.pay()

    async def check() -> None:
        payment = await world.only_payment()
        assert payment.state is STATE.SUCCEEDED
        assert world.stripe.moved == [(payment.reference, 500)]
        assert payment.attempt == 1
        assert await world.balance("cash") == DOLLARS_5
        assert (await world.invoice()).state is invoices.InvoiceState.PAID
        await _give_back(world, invoice, payment)

    steps = await _die_at_each_step(world, collecting.pay_due, begin, check)
    assert steps >= 10


async def _give_back(world: PayingWorld, invoice: invoices.Invoice, payment: payments.Payment) -> None:
    """The invoice is due again, so that the next death finds it as this one did."""
    async with world.world.system("worker") as ctx:
        await invoices.record_refund(ctx, invoice.id, payment.amount_nano, "test", str(payment.id))


async def test_death_at_each_step_of_a_refund_gives_back_once(world: PayingWorld) -> None:
    await world.card()
    payment = await world.pay()
    await world.work()
    given = 0

    async def begin() -> None:
        async with world.world.acting(world.operator) as ctx:
            await service.refund_payment(ctx, payment.id, 10**7, "a cent")

    async def check() -> None:
        nonlocal given
        given += 1
        assert world.stripe.moved[1:] == [(world.stripe.moved[0][0], -1)] * given
        assert await world.balance("cash") == DOLLARS_5 - given * 10**7

    assert await _die_at_each_step(world, collecting.refund_due, begin, check) >= 4


async def test_death_at_each_step_of_beginning_anew_for_another_customer_charges_once(world: PayingWorld) -> None:
    """The charge was opened for one who was deleted at Stripe since: nobody could pay it any more."""
    invoice = await world.invoice()
    refused = ""

    async def begin() -> None:
        nonlocal refused
        world.stripe.moved.clear()
        await world.world.admin("delete from platform_payments.payment")
        await world.forget_customer()
        await world.card("declines")
        await world.pay()
        await world.work()
        refused = (await world.only_payment()).reference or ""
        await world.forget_customer()
        await world.card()

    async def check() -> None:
        payment = await world.only_payment()
        assert payment.state is STATE.SUCCEEDED
        assert payment.reference != refused
        assert world.stripe.things[refused]["status"] == "canceled"
        assert world.stripe.moved == [(payment.reference, 500)]
        await _give_back(world, invoice, payment)

    assert await _die_at_each_step(world, collecting.pay_due, begin, check) >= 16


async def test_a_day_after_a_death_stripe_has_forgotten_the_key_and_charges_once_all_the_same(
    world: PayingWorld,
) -> None:
    await world.card()
    await world.pay()
    fate = Fate(9)  # the confirmation was heard, its answer was not
    db: Any = MortalDatabase(await world.world.database("worker"), fate)
    with suppress(Died):
        await collecting.pay_due(db, MortalProvider(world.provider, fate))  # type: ignore[arg-type]
    assert len(world.stripe.moved) == 1
    world.stripe.keys.clear()
    world.wait(days=2)
    await world.work()
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert len(world.stripe.moved) == 1


async def test_two_workers_at_once_charge_once(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    await asyncio.gather(*(world.work() for _ in range(2)))
    assert len(world.stripe.moved) == 1


async def test_a_worker_taken_for_dead_that_goes_on_changes_nothing(world: PayingWorld) -> None:
    """Its lease ends while it waits for Stripe; the next one pays; then it wakes up with an answer of its own."""
    await world.card()
    await world.pay()
    real = world.provider.confirm_charge

    class Slow(MortalProvider):
        async def confirm_charge(self, *arguments: Any) -> Any:
            world.wait(hours=1)
            await world.work()
            return await real(*arguments)

    db = await world.world.database("worker")
    await collecting.pay_due(db, Slow(world.provider, Fate(99)))  # type: ignore[arg-type]
    await world.consume()
    assert len(world.stripe.moved) == 1
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert await world.balance("cash") == DOLLARS_5


async def test_answers_that_get_lost_and_servers_in_trouble(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    world.stripe.lose_answers = 2
    await world.work()
    world.stripe.fail_with = [500] * 6
    world.wait(minutes=2)
    await world.work()
    world.wait(minutes=2)
    await world.work()
    world.wait(minutes=2)
    await world.work()
    assert (await world.only_payment()).state is STATE.SUCCEEDED
    assert len(world.stripe.moved) == 1
