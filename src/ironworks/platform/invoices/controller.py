"""What invoices do without a caller: close what is due, and say what is overdue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ironworks.platform import ledger
from ironworks.platform.invoices import closes, closing, store
from ironworks.platform.invoices.events import InvoiceOverdue
from ironworks.platform.invoices.model import AnyAmount, Charger, CloseState, Smallest
from ironworks.shared import telemetry
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unavailable
from ironworks.shared.schedules import schedules

log = telemetry.logger(__name__)
ACTOR: Final = system_actor("invoices")
ANY_AMOUNT: Final = AnyAmount()
_ACCOUNTS: Final = 1000
_AT_ONCE: Final = 4
_BATCH: Final = 100
"""Closes that share transactions; a failure costs as many of them as it takes to halve this to one."""
_LISTED: Final = 2000
_DUE: Final = 10_000
_OVERDUE: Final = 500


@schedules(every=10)
async def open_due_closes(db: Database) -> None:
    """A page of accounts per transaction; months first, since the ones before a subscription are closed before it."""
    after = ""
    while True:
        async with db.transaction(ACTOR) as ctx:
            accounts = await ledger.list_payers(ctx, after, _ACCOUNTS)
            await closing.open_months(ctx, accounts)
        if len(accounts) < _ACCOUNTS:
            break
        after = accounts[-1]
    async with db.transaction(ACTOR) as ctx:
        await closing.open_subscribed(ctx, _DUE)


@schedules(every=1)
async def run_closes(db: Database, charger: Charger = ANY_AMOUNT) -> None:
    """Take open closes to their ends, many in one transaction and a few of those at once.

    Where one fails, its batch is halved until it stands alone: no other waits for it.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(batch: Sequence[UUID]) -> set[UUID]:
        async with gate:
            return await _run(db, batch, charger.smallest_charge)

    left: set[UUID] = set()
    while True:
        async with db.transaction(ACTOR) as ctx:
            found = await closes.list_unfinished(ctx, left, _LISTED)
        if not found:
            return
        batches = [found[n : n + _BATCH] for n in range(0, len(found), _BATCH)]
        left = left.union(*await asyncio.gather(*(run(batch) for batch in batches)))


async def _run(db: Database, close_ids: Sequence[UUID], smallest: Smallest) -> set[UUID]:
    """Take closes to their ends; returns those that failed, or that another worker holds."""
    left, going = set[UUID](), list(close_ids)
    while going:
        try:
            async with db.transaction(ACTOR) as ctx:
                moved = await closing.advance_closes(ctx, going, smallest)
        except Unavailable:
            raise
        except Exception as problem:
            return left | await _isolate(db, going, smallest, problem)
        left.update(set(going) - moved.keys())
        going = [close_id for close_id in going if moved.get(close_id, CloseState.DONE) is not CloseState.DONE]
    return left


async def _isolate(db: Database, close_ids: Sequence[UUID], smallest: Smallest, problem: Exception) -> set[UUID]:
    """Take each half of closes that failed together, which left no trace; one that fails alone waits, and says why."""
    if len(close_ids) > 1:
        half = len(close_ids) // 2
        return await _run(db, close_ids[:half], smallest) | await _run(db, close_ids[half:], smallest)
    log.exception("a close failed, and is tried again", close=str(close_ids[0]))
    async with db.transaction(ACTOR) as ctx:
        await closes.delay_close(ctx, close_ids[0], f"{type(problem).__name__}: {problem}"[:1000])
    return set(close_ids)


@schedules(every=60)
async def tell_overdue(db: Database, charger: Charger = ANY_AMOUNT) -> None:
    """Say of each invoice once that it was not paid in time. A rest that nobody can be charged is no reason to."""
    while True:
        async with db.transaction(ACTOR) as ctx:
            found = await store.take_overdue(ctx, _OVERDUE)
            for invoice in (each for each in found if each.due_nano >= charger.smallest_charge(each.currency)):
                assert invoice.due_at is not None
                event = InvoiceOverdue(
                    invoice_id=invoice.id,
                    account=invoice.account,
                    number=invoice.number or "",
                    currency=invoice.currency,
                    due_nano=invoice.due_nano,
                    due_at=invoice.due_at,
                )
                await ctx.emit(event, invoice.account)
        if len(found) < _OVERDUE:
            return
