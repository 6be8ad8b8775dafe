"""From drafts to invoices: number, taxes and total, what the ledger moves, and what prepaid credit pays.

Of many drafts at once, in the same statements; the order of invoices is that of account and currency everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from ironworks.platform import audit, ledger
from ironworks.platform.invoices import closes, settling, store
from ironworks.platform.invoices.events import InvoiceFinalized
from ironworks.platform.invoices.model import (
    BillingDetails,
    BooksDiffer,
    FinalInvoice,
    Invoice,
    InvoiceState,
    Smallest,
    Totals,
    WrongState,
    any_amount,
    number_of,
    total_up,
)
from ironworks.platform.invoices.money import step_of
from ironworks.shared.context import Context
from ironworks.shared.path import OPERATOR

_NOTHING: Final = "another close took all that it was for"
_CARRIED: Final = "too small to be charged: what it was for comes on the next invoice"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A draft that is about to be final; `scopes`: what each tenant's lines come to."""

    invoice: Invoice
    scopes: Mapping[str, int]
    totals: Totals
    payer: BillingDetails


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
    (final,) = await _finalize(ctx, [invoice], await store.list_details(ctx, [invoice.account]), any_amount)
    return final


async def finalize_drafts(
    ctx: Context, close_ids: Collection[UUID], payers: Mapping[str, BillingDetails], smallest: Smallest = any_amount
) -> None:
    """Finalize the drafts of closes that are collected, but for those of which less than `smallest` would be left to
    pay: these are void, and the next close takes what they were for. Raises BooksDiffer, and then finalizes none."""
    if drafts := await store.lock_drafts(ctx, close_ids):
        await _finalize(ctx, drafts, payers, smallest)


async def _finalize(
    ctx: Context, invoices: Sequence[Invoice], payers: Mapping[str, BillingDetails], smallest: Smallest
) -> list[Invoice]:
    """A draft that another close left nothing for is void: nobody is sent an invoice of nothing."""
    scopes = await _checked(ctx, invoices)
    empty = [invoice for invoice in invoices if not scopes[invoice.id]]
    voided = [await store.save_state(ctx, invoice, InvoiceState.VOID, _NOTHING) for invoice in empty]
    drafts = []
    for invoice in (each for each in invoices if scopes[each.id]):
        payer = payers[invoice.account]
        totals = total_up(sum(scopes[invoice.id].values()), invoice.currency, payer.taxes)
        drafts.append(_Draft(invoice, scopes[invoice.id], totals, payer))
    carried = await _carry_over(ctx, drafts, smallest)
    drafts = [draft for draft in drafts if draft.invoice.id not in {invoice.id for invoice in carried}]
    return voided + carried + (await _issue(ctx, drafts, smallest) if drafts else [])


async def _carry_over(ctx: Context, drafts: Sequence[_Draft], smallest: Smallest) -> list[Invoice]:
    """Void the drafts of which so little would be left to pay that nobody can be charged it."""
    small = [d for d in drafts if 0 < d.totals.total_nano < smallest(d.invoice.currency)]
    granted = await ledger.list_credited(ctx, {draft.invoice.account for draft in small}) if small else set()
    found = []
    for invoice, total in ((draft.invoice, draft.totals.total_nano) for draft in small):
        of = invoice.account, invoice.currency
        if of in granted and await ledger.usable_credit(ctx, *of) >= total:
            continue
        await store.release_claims(ctx, invoice.id)
        found.append(await store.save_state(ctx, invoice, InvoiceState.VOID, _CARRIED))
    return found


async def _issue(ctx: Context, drafts: Sequence[_Draft], smallest: Smallest) -> list[Invoice]:
    """Number, post, use credit, save and tell."""
    numbers = await _number(ctx, [draft.invoice for draft in drafts])
    await _post(ctx, drafts)
    credit = await _use_credit(ctx, drafts, smallest)
    final = await store.save_finals(
        ctx,
        [
            FinalInvoice(
                d.invoice.id, numbers[d.invoice.id], d.totals, d.payer, credit[d.invoice.id], _due_at(ctx, d.payer)
            )
            for d in drafts
        ],
        (await store.list_details(ctx, [OPERATOR]))[OPERATOR],
    )
    for invoice in final:
        await settling.credit_negative_total(ctx, invoice)
    await _tell(ctx, final)
    return [await settling.settle(ctx, invoice) for invoice in final]


async def _checked(ctx: Context, invoices: Sequence[Invoice]) -> dict[UUID, dict[str, int]]:
    """What each tenant's lines come to on each invoice, which is what was claimed of it."""
    sums = await closes.sum_scopes(ctx, [invoice.id for invoice in invoices])
    for invoice_id, found in sums.items():
        if wrong := [path for path, claimed, lines in found if claimed != lines]:
            raise BooksDiffer(
                f"the lines of invoice {invoice_id} do not come to what it claimed, at {', '.join(wrong)}"
            )
    return {i.id: {path: claimed for path, claimed, _ in sums.get(i.id, ())} for i in invoices}


async def _number(ctx: Context, invoices: Sequence[Invoice]) -> dict[UUID, str]:
    accounts = [invoice.account for invoice in invoices]
    last = await store.count_up(ctx, accounts, "invoice")
    found = {}
    for invoice in reversed(invoices):
        found[invoice.id] = number_of(invoice.account, last[invoice.account])
        last[invoice.account] -= 1
    return found


def _due_at(ctx: Context, payer: BillingDetails) -> datetime:
    """The last second of the day on which an invoice of today is due."""
    day = ctx.now().astimezone(UTC).date() + timedelta(days=payer.due_days)
    return datetime.combine(day, time(23, 59, 59), UTC)


async def _post(ctx: Context, drafts: Sequence[_Draft]) -> None:
    """Move what was used from `receivable` of each tenant to what its account owes, with rounding and taxes."""
    made = [(draft.invoice, transfer) for draft in drafts for transfer in _moves(ctx, draft)]
    await ledger.post_transfers(ctx, [transfer for _, transfer in made])
    await store.save_postings(ctx, [(invoice, t.id, t.kind) for invoice, t in made], reversible=True)


def _moves(ctx: Context, draft: _Draft) -> list[ledger.NewTransfer]:
    invoice, kinds, purposes = draft.invoice, ledger.TransferKind, ledger.Purpose
    moves = [
        (kinds.INVOICE, ledger.AccountName(path, purposes.RECEIVABLE, invoice.currency), nano)
        for path, nano in draft.scopes.items()
    ]
    moves.append((kinds.ROUNDING, settling.operators(purposes.ROUNDING, invoice), draft.totals.rounding_nano))
    moves += [(kinds.TAX, settling.operators(purposes.TAX, invoice), tax.amount_nano) for tax in draft.totals.taxes]
    due = settling.due_of(invoice)
    return [settling.transfer_between(ctx, due, other, nano, kind, invoice.id) for kind, other, nano in moves if nano]


async def _use_credit(ctx: Context, drafts: Sequence[_Draft], smallest: Smallest) -> dict[UUID, int]:
    """Invoice → what its account's prepaid credit pays of it; few accounts have any. What is left can be charged."""
    granted = await ledger.list_credited(ctx, {draft.invoice.account for draft in drafts})
    used = {draft.invoice.id: 0 for draft in drafts}
    for draft in drafts:
        invoice, nano = draft.invoice, max(draft.totals.total_nano, 0)
        if (invoice.account, invoice.currency) in granted:
            used[invoice.id] = await ledger.use_credit(
                ctx, invoice.account, invoice.currency, nano, str(invoice.id), step_of(invoice.currency),
                smallest(invoice.currency),
            )  # fmt: skip
    return used


async def _tell(ctx: Context, final: Sequence[Invoice]) -> None:
    events = [(_finalized(invoice), invoice.account) for invoice in final]
    await ctx.emit_all(events)
    await audit.append_records(
        ctx,
        "invoices.invoice.finalize",
        [audit.NewRecord("invoice", str(e.invoice_id), e.account, e.model_dump(mode="json")) for e, _ in events],
    )


def _finalized(invoice: Invoice) -> InvoiceFinalized:
    assert invoice.number is not None
    assert invoice.due_at is not None
    return InvoiceFinalized(
        invoice_id=invoice.id,
        account=invoice.account,
        number=invoice.number,
        currency=invoice.currency,
        total_nano=invoice.total_nano,
        due_nano=max(invoice.open_nano, 0),
        due_at=invoice.due_at,
    )
