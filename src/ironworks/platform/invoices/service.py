"""Reading invoices, what is behind them, and the operator's word on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from ironworks.platform import ledger, pricing, tenancy
from ironworks.platform.invoices import adjusted, closes, store
from ironworks.platform.invoices.model import (
    BillingDetails,
    Close,
    CreditNote,
    Document,
    Invoice,
    InvoiceState,
    Line,
    LineKind,
    WrongState,
    month_of,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound, invalid
from ironworks.shared.path import OPERATOR, level, show_path

_CLAIMS: Final = 1000
"""Transfers whose lines are looked through at a time."""
MAX_LINES: Final = 50_000
"""What a document is made of is held in memory as a whole."""
_FIRST: Final = UUID(int=0)
_OLDEST: Final = timedelta(days=366)


async def get_invoice(ctx: Context, invoice_id: UUID) -> Invoice:
    """One invoice. Raises NotFound."""
    found = await store.get_invoice(ctx, invoice_id)
    if found is None:
        raise NotFound(f"no invoice {invoice_id} for this caller")
    return found


async def find_invoice(ctx: Context, text: str) -> Invoice:
    """The invoice with this id or number. Raises NotFound."""
    try:
        return await get_invoice(ctx, UUID(text))
    except ValueError:
        found = await store.find_number(ctx, text.upper()[:100])
    if found is None:
        raise NotFound(f"no invoice {text[:80]!r} for this caller: give its number or id")
    return await get_invoice(ctx, found)


async def list_invoices(
    ctx: Context,
    path: str,
    states: Sequence[InvoiceState] = (),
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[Invoice]:
    """One page of an account's invoices, or of all (the operator's path), newest first; `before` is the last one's
    (created at, id). Raises NotFound for a scope that never existed.
    """
    found = await store.list_invoices(ctx, path, states, before, limit)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found


async def list_numbers(ctx: Context, invoice_ids: Collection[UUID]) -> dict[UUID, str]:
    """id → number of these invoices; a draft has none, nor has one that the caller may not see."""
    return await store.list_numbers(ctx, invoice_ids)


async def list_open(
    ctx: Context, now: datetime, after: tuple[datetime, UUID] | None = None, limit: int = 500
) -> list[Invoice]:
    """One page of finalized invoices that are still to pay, those that are due first first; `after` is the last one's
    (due at, id). Those that were finalized after `now` are left out.
    """
    found = await store.list_due(ctx, after or (closes.BEGINNING, _FIRST), limit)
    return [invoice for invoice in found if invoice.finalized_at is not None and invoice.finalized_at <= now]


async def get_document(ctx: Context, invoice: Invoice, *, lines: bool = True) -> Document:
    """An invoice with all that its documents print; `lines` False leaves out those, which may be many.

    Raises Invalid for more than MAX_LINES.
    """
    if lines and await store.count_lines(ctx, invoice.id, MAX_LINES + 1) > MAX_LINES:
        raise invalid("invoice", f"has more than {MAX_LINES} lines", "take them page by page: /lines")
    return Document(
        invoice,
        await store.list_lines(ctx, invoice.id) if lines else [],
        await store.list_payments(ctx, invoice.id),
        await store.list_notes(ctx, invoice.id),
    )


async def find_note(ctx: Context, invoice: Invoice, number: str) -> CreditNote:
    """The credit note of an invoice that has this number. Raises NotFound."""
    for note in await store.list_notes(ctx, invoice.id):
        if note.number == number.upper():
            return note
    raise NotFound(f"invoice {invoice.number} has no credit note {number[:80]!r}")


async def list_lines(
    ctx: Context, invoice_id: UUID, after: tuple[str, UUID] | None = None, limit: int = 100
) -> list[Line]:
    """One page of an invoice's lines, by tenant; `after` is the last one's (scope, id)."""
    return await store.list_lines(ctx, invoice_id, after, limit)


async def get_details(ctx: Context, path: str) -> BillingDetails:
    """How an account is addressed and taxed, or who issues (the operator's path). Raises NotFound."""
    await tenancy.require_scope(ctx, path)
    return await store.get_details(ctx, path)


async def set_details(ctx: Context, path: str, details: BillingDetails) -> BillingDetails:
    """Replace billing details; invoices that are finalized keep theirs. Raises NotFound, Invalid."""
    if level(path) > 1:
        raise invalid("path", "is not an account", "billing details are an account's, or the operator's")
    await tenancy.require_scope(ctx, path)
    before = await store.get_details(ctx, path)
    await store.save_details(ctx, path, details)
    await ctx.audit(
        "invoices.details.update", "billing-details", show_path(path), path,
        before=before.model_dump(mode="json"), after=details.model_dump(mode="json"),
    )  # fmt: skip
    return details


async def close_account(ctx: Context, account: str, until: date | None = None) -> UUID:
    """Open a close of an account up to `until` (default: the last month's end); a worker runs it. Returns its id.

    With `until` tomorrow it takes what today has had so far; the rest of today comes on the next invoice. Raises
    NotFound, Invalid, and WrongState while another close runs, or where that day was closed before.
    """
    if level(account) != 1:
        raise invalid("path", "is not an account", "accounts are closed, with all that is below them")
    await tenancy.require_scope(ctx, account)
    today = ctx.now().astimezone(UTC).date()
    await adjusted.lock_accounts(ctx, [account])
    last = await closes.last_close(ctx, account)
    end = until or month_of(today)[1]
    tomorrow = today + timedelta(days=1)
    if end < today - _OLDEST:
        raise invalid("until", "is more than a year ago", "name the year anew: every month since then would be closed")
    if end > tomorrow:
        raise invalid("until", "is yet to come", f"use {tomorrow.isoformat()}, which takes all until now, or earlier")
    if last and not last[1]:
        raise WrongState("another close of this account is still running; wait for it")
    if last and end <= last[0]:
        raise WrongState(f"everything before {last[0].isoformat()} is closed already; name a later day")
    start = last[0] if last else month_of(end)[0]
    opened = await closes.open_closes(ctx, [(pricing.Period(account, start, end, pricing.CURRENCY), None)])
    assert opened, "no close of the account ends as late"
    return opened[0]


async def list_closes(
    ctx: Context, path: str, before: tuple[datetime, UUID] | None = None, limit: int = 100
) -> list[Close]:
    """One page of closes of an account, or of all, newest first; `before` is the last one's (opened at, id)."""
    found = await closes.list_closes(ctx, path, before, limit)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found


async def open_line(
    ctx: Context, line_id: UUID, after: tuple[UUID, str] = (_FIRST, ""), limit: int = 100
) -> tuple[Line, list[pricing.RatedLine]]:
    """A line, and one page of the rated lines, and so the requests, that it is made of; none behind a fee.

    `after` is the last one's (transfer, usage event). Raises NotFound.
    """
    line = await store.get_line(ctx, line_id)
    if line is None:
        raise NotFound(f"no invoice line {line_id} for this caller")
    if line.kind is not LineKind.USAGE or line.unit_price is None:
        return line, []
    group = pricing.LineGroup(line.scope, line.meter, line.model, line.unit_price, "", 0, 0)
    found: list[pricing.RatedLine] = []
    # the last transfer may hold more lines past the last one: it is looked at again
    walked = UUID(int=max(after[0].int - 1, 0))
    while len(found) < limit:
        claimed = await store.list_claimed(ctx, line, walked, _CLAIMS)
        if not claimed:
            break
        found += await pricing.list_group_lines(ctx, claimed, group, after, limit - len(found))
        walked = claimed[-1]
    return line, found


async def list_line_transfers(
    ctx: Context, line: Line, after: UUID = _FIRST, limit: int = 100
) -> list[ledger.Transfer]:
    """Transfers behind a line: for usage those of its tenant, each with lines of other models too; else its one."""
    if line.kind is not LineKind.USAGE:
        return await ledger.list_transfers(ctx, [UUID(line.reference)])
    return await ledger.list_transfers(ctx, await store.list_claimed(ctx, line, after, limit))


async def find_lines_of(ctx: Context, rated: Sequence[pricing.RatedLine]) -> dict[tuple[str, str], Line]:
    """(usage event, meter) → the invoice line that it is in, for those that are on one and that the caller may see."""
    claims = await store.find_claims(ctx, [line.transfer_id for line in rated if line.transfer_id])
    found: dict[tuple[str, str], Line] = {}
    for line in rated:
        invoice_id = claims.get(line.transfer_id) if line.transfer_id else None
        if invoice_id and (into := await store.find_usage_line(ctx, invoice_id, line)):
            found[line.usage_event_id, line.meter] = into
    return found


def parse_id(text: str, what: str) -> UUID:
    """`text` as an id. Raises NotFound: nothing is called anything else."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"no {what} {text[:80]!r}: its id is a UUID") from None


async def require_manager(ctx: Context) -> None:
    """Raises Forbidden, or NotFound, unless the caller may manage everybody's invoices."""
    await ctx.require("invoice:manage", OPERATOR)
