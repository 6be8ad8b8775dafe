"""What invoices do without a caller: close what is due, and say what is overdue."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from ironworks.platform import ledger
from ironworks.platform.invoices import closes, closing, store
from ironworks.platform.invoices.events import InvoiceOverdue
from ironworks.shared import telemetry
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unavailable
from ironworks.shared.schedules import schedules

log = telemetry.logger(__name__)
ACTOR: Final = system_actor("invoices")
_ACCOUNTS: Final = 1000
_AT_ONCE: Final = 4
_BATCH: Final = 500
_DUE: Final = 10_000


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
async def run_closes(db: Database) -> None:
    """Take open closes to their ends, a few at once; one that fails keeps no other from its own."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(close_id: UUID) -> bool:
        async with gate:
            return await _run(db, close_id)

    while True:
        async with db.transaction(ACTOR) as ctx:
            open_ones = await closes.list_unfinished(ctx, _BATCH)
        moved = await asyncio.gather(*(one(close_id) for close_id in open_ones))
        if len(open_ones) < _BATCH or not any(moved):
            return


async def _run(db: Database, close_id: UUID) -> bool:
    """Whether it came to its end, or anywhere."""
    moved = False
    try:
        while True:
            async with db.transaction(ACTOR) as ctx:
                if not await closing.advance_close(ctx, close_id):
                    return moved
            moved = True
    except Unavailable:
        raise
    except Exception:
        log.exception("a close failed, and is tried again", close=str(close_id))
        return False


@schedules(every=60)
async def tell_overdue(db: Database) -> None:
    """Say of each invoice once that it was not paid in time."""
    while True:
        async with db.transaction(ACTOR) as ctx:
            found = await store.take_overdue(ctx, _BATCH)
            for invoice in found:
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
        if len(found) < _BATCH:
            return
