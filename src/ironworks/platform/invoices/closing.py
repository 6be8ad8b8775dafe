"""The close of a period: charge what it adds, claim what was used, finalize.

A close is a row that says what comes next; each step is one transaction, so that whatever dies in between goes on where
it was, and nothing happens twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from ironworks.platform import ledger, pricing, subscriptions
from ironworks.platform.invoices import closes, settling, store
from ironworks.platform.invoices.events import InvoiceFinalized
from ironworks.platform.invoices.model import (
    BooksDiffer,
    Close,
    CloseState,
    Invoice,
    InvoiceState,
    LineKind,
    NewCharge,
    Totals,
    WrongState,
    coin_of,
    month_of,
    number_of,
    total_up,
)
from ironworks.shared.context import Context
from ironworks.shared.path import OPERATOR

PAGE: Final = 2000
"""Transfers that one step claims: it keeps the transaction short."""
CLOSE_DELAY: Final = timedelta(hours=1)
"""A period is closed so long after its end: usage is still on its way."""
_LINE_OF: Final = {
    ledger.TransferKind.USAGE: LineKind.USAGE,
    ledger.TransferKind.FEE: LineKind.FEE,
    ledger.TransferKind.ADJUSTMENT: LineKind.ADJUSTMENT,
}
_TRANSFER_OF: Final = {
    LineKind.FEE: ledger.TransferKind.FEE,
    LineKind.ADJUSTMENT: ledger.TransferKind.ADJUSTMENT,
}


def next_month(last_end: date | None, today: date) -> tuple[date, date] | None:
    """The calendar period to close next, [start, end): from where the last close ended to the end of that month.

    None while it is not over. Without a close before, it is the month before the one that holds `today`.
    """
    start, end = month_of(today)
    if last_end is None:
        return start, end
    its_end = (last_end.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (last_end, its_end) if its_end <= end else None


def settled_day(now: datetime) -> date:
    """The latest day before which periods are closed at `now`."""
    return (now - CLOSE_DELAY).astimezone(UTC).date()


async def open_months(ctx: Context, accounts: Sequence[str]) -> int:
    """Open the next calendar close of each of these accounts where one is due; returns how many.

    The periods of an account with a subscription are that one's.
    """
    today = settled_day(ctx.now())
    last = await closes.last_closes(ctx, accounts)
    subscribed = await subscriptions.list_subscribed(ctx, accounts)
    opened = 0
    for account in accounts:
        end, done = last.get(account, (None, True))
        period = next_month(end, today) if done else None
        if period and account not in subscribed and await closes.open_close(ctx, account, *period):
            opened += 1
    return opened


async def open_subscribed(ctx: Context, limit: int) -> None:
    """Open the closes of subscriptions whose periods are over, each when those before it are done."""
    due = await subscriptions.due_periods(ctx, ctx.now() - CLOSE_DELAY, limit)
    last = await closes.last_closes(ctx, [period.account for period in due])
    for period in due:
        if last.get(period.account, (None, True))[1]:
            subscription = (period.subscription_id, period.currency)
            await closes.open_close(ctx, period.account, period.start, period.end, subscription)


async def advance_close(ctx: Context, close_id: UUID) -> bool:
    """Take a close one step further; False when there is nothing to do: it is done, or another worker holds it."""
    close = await closes.lock_close(ctx, close_id)
    if close is None:
        return False
    if close.state is CloseState.CHARGING:
        await _charge(ctx, close)
    elif close.state is CloseState.COLLECTING:
        await _collect(ctx, close)
    else:
        await _finish(ctx, close)
    return True


async def _charge(ctx: Context, close: Close) -> None:
    """Post what the period adds to its usage, or takes from it."""
    charges = [*await _plan_charges(ctx, close), *await _adjustments(ctx, close)]
    await charge(ctx, close.account, close.end - timedelta(days=1), charges)
    await closes.move_close(ctx, close, CloseState.COLLECTING)


def _period(close: Close) -> subscriptions.DuePeriod | None:
    """What the subscription calls this close, where it is one's."""
    if close.subscription_id is None:
        return None
    return subscriptions.DuePeriod(close.subscription_id, close.account, close.currency, close.start, close.end)


async def _plan_charges(ctx: Context, close: Close) -> list[NewCharge]:
    period = _period(close)
    if period is None:
        return []
    included = subscriptions.ChargeKind.INCLUDED
    return [
        NewCharge(
            c.scope,
            LineKind.ADJUSTMENT if c.kind is included else LineKind.FEE,
            c.reference,
            c.description,
            c.amount_nano,
            period.currency,
            Decimal(c.quantity),
            c.unit,
        )
        for c in await subscriptions.period_charges(ctx, period)
    ]


async def _adjustments(ctx: Context, close: Close) -> list[NewCharge]:
    """What terms add or take off, on the days that no earlier close did: one by hand may lie in a subscription's."""
    start = max(close.start, await closes.lock_adjusted(ctx, close))
    own = await pricing.find_currency(ctx, close.account, datetime.combine(start, time.min, UTC))
    currencies = {b.currency for b in await ledger.get_balances(ctx, close.account)} | {own}
    found = []
    for currency in sorted(currencies):
        steps = await pricing.list_adjustments(ctx, close.account, start, close.end, currency)
        for position, step in enumerate(steps):
            if step.amount_nano:
                found.append(_adjusting(step, currency, f"terms:{step.terms_id}:{close.id}:{position}"))
    return found


def _adjusting(step: pricing.Adjustment, currency: str, reference: str) -> NewCharge:
    return NewCharge(
        step.scope,
        LineKind.ADJUSTMENT,
        reference,
        step.description,
        step.amount_nano,
        currency,
        meter=step.meter,
        model=step.model,
    )


async def charge(ctx: Context, account: str, day: date, charges: Sequence[NewCharge]) -> int:
    """Post fees and adjustments of an account, each once by its reference; returns how many were new.

    They wait for the next close of a period that holds `day`.
    """
    made = {transfer.id: (transfer, each) for each in charges if (transfer := _transfer(each, day))}
    if not made:
        return 0
    new = await closes.save_charges(ctx, account, {id_: each for id_, (_, each) in made.items()})
    await ledger.post_transfers(ctx, [transfer for id_, (transfer, _) in made.items() if id_ in new])
    return len(new)


def _transfer(charge: NewCharge, day: date) -> ledger.NewTransfer | None:
    """What a charge moves, None for nothing; what it takes off moves the other way."""
    if not charge.amount_nano:
        return None
    owed = ledger.AccountName(charge.scope, ledger.Purpose.RECEIVABLE, charge.currency)
    earned = ledger.AccountName(OPERATOR, ledger.Purpose.REVENUE, charge.currency)
    debit, credit = (owed, earned) if charge.amount_nano > 0 else (earned, owed)
    return ledger.NewTransfer(
        debit=debit,
        credit=credit,
        amount_nano=abs(charge.amount_nano),
        kind=_TRANSFER_OF[charge.kind],
        correlation=charge.reference,
        day=day,
    )


async def _collect(ctx: Context, close: Close) -> None:
    """Claim one page of transfers, and let the drafts' lines grow by them."""
    found = await ledger.list_postings(ctx, close.account, close.since, close.end, close.cursor, PAGE)
    if found:
        await _claim(ctx, close, [(p, _LINE_OF.get(p.kind, LineKind.CORRECTION)) for p in found])
    last = (found[-1].scope, found[-1].posted_at, found[-1].transfer_id) if found else close.cursor
    await closes.move_close(ctx, close, CloseState.COLLECTING if len(found) == PAGE else CloseState.FINALIZING, last)


async def _claim(ctx: Context, close: Close, postings: Sequence[tuple[ledger.Posting, LineKind]]) -> None:
    taken = await store.find_claims(ctx, [p.transfer_id for p, _ in postings])
    free = [(p, kind) for p, kind in postings if p.transfer_id not in taken]
    if not free:
        return
    drafts = {c: await closes.find_draft(ctx, close, c) for c in sorted({p.currency for p, _ in free})}
    claimed = await closes.claim(ctx, drafts, free)
    ours = [(p, kind) for p, kind in free if p.transfer_id in claimed]
    used = [p.transfer_id for p, kind in ours if kind is LineKind.USAGE]
    if used:
        await closes.add_usage(ctx, drafts, await pricing.group_transfer_lines(ctx, used))
    if others := [(p, kind) for p, kind in ours if kind is not LineKind.USAGE]:
        await closes.add_charged(ctx, drafts, others)


async def _finish(ctx: Context, close: Close) -> None:
    """Finalize the drafts, unless a person is to look at them first; the close is done."""
    details = await store.get_details(ctx, close.account)
    if not details.review:
        for invoice_id in await closes.list_drafts(ctx, close.id):
            await finalize_invoice(ctx, invoice_id)
    if period := _period(close):
        await subscriptions.advance(ctx, period)
    await closes.move_close(ctx, close, CloseState.DONE)


async def finalize_invoice(ctx: Context, invoice_id: UUID) -> Invoice:
    """Give a draft its number, taxes and total; the customer owes it from now on, less what prepaid credit pays.

    Finalizing again changes nothing. Raises NotFound, WrongState (void, or its close still collects), and BooksDiffer
    where its lines are not what it claimed.
    """
    invoice = await settling.lock_invoice(ctx, invoice_id)
    if invoice.state not in (InvoiceState.DRAFT, InvoiceState.VOID):
        return invoice
    if invoice.state is InvoiceState.VOID or not await closes.is_collected(ctx, invoice.id):
        raise WrongState(
            f"this invoice cannot be finalized: it is {invoice.state}, or its period is still being closed"
        )
    scopes = await _checked(ctx, invoice)
    payer = await store.get_details(ctx, invoice.account)
    totals = total_up(sum(scopes.values()), invoice.currency, payer.taxes)
    number = number_of(invoice.account, await store.next_number(ctx, invoice.account, "invoice"))
    await _post(ctx, invoice, scopes, totals)
    credit = await ledger.use_credit(
        ctx, invoice.account, invoice.currency, max(totals.total_nano, 0), str(invoice.id), coin_of(invoice.currency)
    )
    due_at = datetime.combine(ctx.now().astimezone(UTC).date() + timedelta(days=payer.due_days), time.max, UTC)
    issuer = await store.get_details(ctx, OPERATOR)
    final = await store.save_final(
        ctx, invoice.id, number, totals, issuer, payer, credit, due_at.replace(microsecond=0)
    )
    await settling.credit_negative_total(ctx, final)
    await _tell(ctx, final)
    return await settling.settle(ctx, final)


async def _checked(ctx: Context, invoice: Invoice) -> dict[str, int]:
    """What each tenant's lines come to, which is what was claimed of it."""
    sums = await closes.sum_scopes(ctx, invoice.id)
    wrong = [path for path, claimed, lines in sums if claimed != lines]
    if wrong:
        raise BooksDiffer(f"the lines of invoice {invoice.id} do not come to what it claimed, at {', '.join(wrong)}")
    return {path: claimed for path, claimed, _ in sums}


async def _post(ctx: Context, invoice: Invoice, scopes: dict[str, int], totals: Totals) -> None:
    """Move what was used from `receivable` of each tenant to what the account owes, with rounding and taxes."""
    due, kinds, purposes = settling.due_of(invoice), ledger.TransferKind, ledger.Purpose
    moves = [
        (kinds.INVOICE, ledger.AccountName(path, purposes.RECEIVABLE, invoice.currency), nano)
        for path, nano in scopes.items()
    ]
    moves.append((kinds.ROUNDING, settling.operators(purposes.ROUNDING, invoice), totals.rounding_nano))
    moves += [(kinds.TAX, settling.operators(purposes.TAX, invoice), tax.amount_nano) for tax in totals.taxes]
    transfers = [
        settling.transfer_between(ctx, due, other, nano, kind, invoice.id) for kind, other, nano in moves if nano
    ]
    await ledger.post_transfers(ctx, transfers)
    await store.save_posting(ctx, invoice, [(t.id, t.kind) for t in transfers], reversible=True)


async def _tell(ctx: Context, invoice: Invoice) -> None:
    assert invoice.number is not None
    assert invoice.due_at is not None
    event = InvoiceFinalized(
        invoice_id=invoice.id,
        account=invoice.account,
        number=invoice.number,
        currency=invoice.currency,
        total_nano=invoice.total_nano,
        due_nano=max(invoice.open_nano, 0),
        due_at=invoice.due_at,
    )
    await ctx.emit(event, invoice.account)
    await ctx.audit(
        "invoices.invoice.finalize", "invoice", str(invoice.id), invoice.account, after=event.model_dump(mode="json")
    )
