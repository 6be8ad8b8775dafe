"""Money that moves at the same moment: payments, voids, credit notes, grants and closes of one account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ironworks.platform import invoices, ledger, payments
from ironworks.platform.payments import service
from ironworks.shared.errors import Conflict, Invalid, NotFound
from tests.platform.payments.paying import DOLLARS_5, PayingWorld
from tests.support.invoicing import CENT, DOLLAR, check_invoices, close_all
from tests.support.money import charge, check_books, usage

STATE = payments.PaymentState


async def refused(call: Awaitable[Any]) -> BaseException | None:
    """What it was refused with, None where it went through; anything else fails, a deadlock too."""
    try:
        await call
    except (Conflict, Invalid, NotFound) as problem:
        return problem
    return None


async def test_two_who_pay_one_invoice_at_once_pay_it_once(world: PayingWorld) -> None:
    await world.card()
    outcomes = await asyncio.gather(*(refused(world.pay()) for _ in range(8)))
    assert sum(outcome is None for outcome in outcomes) == 1
    await asyncio.gather(*(world.work() for _ in range(2)))
    assert world.stripe.moved == [((await world.only_payment()).reference, 500)]
    assert await world.balance("cash") == DOLLARS_5


async def test_a_receipt_and_a_card_at_once_leave_what_was_too_much_as_credit(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    invoice = await world.invoice()

    async def receive() -> None:
        async with world.world.acting(world.operator) as ctx:
            await service.record_receipt(ctx, invoice.id, DOLLARS_5, "bank_transfer", "R-1")

    await asyncio.gather(world.work(), receive())
    await world.work()
    moved = sum(amount for _, amount in world.stripe.moved) * CENT
    assert await world.balance("cash") == DOLLARS_5 + moved
    assert await world.balance("due") == 0
    assert await world.balance("credit") == -moved
    assert (await world.invoice()).state is invoices.InvoiceState.PAID


async def test_a_void_during_a_payment_leaves_the_money_as_credit(world: PayingWorld) -> None:
    await world.card()
    await world.pay()
    invoice = await world.invoice()

    async def void() -> None:
        async with world.world.system("worker") as ctx:
            await invoices.void_invoice(ctx, invoice.id, "a mistake")

    voided, _ = await asyncio.gather(refused(void()), world.work())
    await world.work()
    paid = DOLLARS_5 if world.stripe.moved else 0
    assert await world.balance("cash") == paid
    after = await world.invoice()
    if voided is None:
        assert after.state is invoices.InvoiceState.VOID
        assert await world.balance("credit") == -paid
    else:
        assert after.state is invoices.InvoiceState.PAID
    await check_invoices(world.world)


async def test_credit_is_used_once_by_closes_at_once(world: PayingWorld) -> None:
    """Of two accounts, several closes of each, while credit is granted and taken: no amount twice, no deadlock."""
    low = world.world
    for account, tenant in (("acme", "acme.shop.eu"), ("rival", "rival.app")):
        await charge(low, usage(f"late_{account}", (30 * 10**6, 0, 0), scope=tenant))
        async with low.system("worker") as ctx:
            await ledger.grant_credit(ctx, account, "USD", 2 * DOLLAR, ledger.CreditSource.PAID, "first")

    async def grant(account: str, n: int) -> None:
        async with low.system("worker") as ctx:
            await ledger.grant_credit(ctx, account, "USD", CENT, ledger.CreditSource.PROMOTION, f"more-{n}")

    async def receive(n: int) -> None:
        async with low.system("worker") as ctx:
            await invoices.record_payment(ctx, (await world.invoice()).id, DOLLAR, "bank", f"R-{n}")

    world.wait(days=31)
    with suppress(Invalid):
        await asyncio.gather(
            *(close_all(low) for _ in range(3)), *(grant("acme", n) for n in range(5)),
            *(grant("rival", n) for n in range(5)), *(receive(n) for n in range(3)),
        )  # fmt: skip
    await close_all(low)
    rows = await low.query(
        "select g.path, sum(d.amount_nano)::bigint as used, max(g.total)::bigint as granted"
        " from (select *, sum(amount_nano) over (partition by path) as total from platform_ledger.credit_grant) g"
        " join platform_ledger.credit_draw d on d.grant_id = g.id group by g.path"
    )
    assert rows
    assert all(row["used"] <= row["granted"] for row in rows)
    await check_books(low)
    await check_invoices(low)


async def test_everything_at_once_deadlocks_nowhere(world: PayingWorld) -> None:
    """Payments, credit notes, refunds, retries and closes of one invoice, many times over, in random order."""
    await world.card()
    low, invoice = world.world, await world.invoice()

    async def as_worker(act: Callable[[Any], Awaitable[Any]]) -> None:
        async with low.system("worker") as ctx:
            await act(ctx)

    def acts(n: int) -> list[Awaitable[Any]]:
        return [
            as_worker(lambda ctx: invoices.record_payment(ctx, invoice.id, CENT, "bank", f"R-{n}")),
            as_worker(lambda ctx: invoices.record_refund(ctx, invoice.id, CENT, "bank", f"B-{n}")),
            as_worker(lambda ctx: invoices.issue_credit_note(ctx, invoice.id, CENT, "a cent", f"N-{n}")),
            as_worker(lambda ctx: ledger.grant_credit(ctx, "acme", "USD", CENT, ledger.CreditSource.PAID, f"G-{n}")),
            as_worker(lambda ctx: ledger.use_credit(ctx, "acme", "USD", CENT, str(uuid4()))),
            as_worker(lambda ctx: invoices.write_off(ctx, invoice.id, "no hope")),
            close_all(low),
        ]

    found = await asyncio.gather(*(refused(act) for n in range(8) for act in acts(n)), return_exceptions=True)
    assert [problem for problem in found if isinstance(problem, asyncpg.PostgresError)] == []
    assert [problem for problem in found if problem and not isinstance(problem, Conflict | Invalid | NotFound)] == []
    await check_books(low)


@pytest.mark.parametrize("times", [50])
async def test_a_payment_is_planned_once_by_many_processes(world: PayingWorld, times: int) -> None:
    await world.card()
    await asyncio.gather(*(refused(world.pay()) for _ in range(times)))
    assert len(await world.all_payments()) == 1
    assert (await world.only_payment()).state is STATE.PLANNED
