"""Invoices in Postgres: reading them, and what becomes of one. The close's own statements are in `closes`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from ironworks.platform import pricing
from ironworks.platform.invoices.model import (
    BillingDetails,
    CreditNote,
    FinalInvoice,
    Invoice,
    InvoiceState,
    Line,
    LineKind,
    Payment,
    read_taxes,
    stored_taxes,
)
from ironworks.shared.context import Context, to_json

_NO_DETAILS: Final = BillingDetails()


async def get_details(ctx: Context, path: str) -> BillingDetails:
    """Billing details of an account, or of who issues (the operator's scope); empty ones where none were given."""
    return (await list_details(ctx, [path]))[path]


async def list_details(ctx: Context, paths: Collection[str]) -> dict[str, BillingDetails]:
    """The same of several."""
    rows = await ctx.db.fetch(
        "select path, details from platform_invoices.billing_details where path = any($1::text[])", list(paths)
    )
    given = {row["path"]: BillingDetails.model_validate_json(row["details"]) for row in rows}
    return {path: given.get(path, _NO_DETAILS) for path in paths}


async def save_details(ctx: Context, path: str, details: BillingDetails) -> None:
    """Replace billing details."""
    await ctx.db.execute(
        "insert into platform_invoices.billing_details (scope, details, updated_at)"
        " values ($1::text::ltree, $2::jsonb, $3)"
        " on conflict (scope) do update set details = excluded.details, updated_at = excluded.updated_at",
        path, details.model_dump_json(), ctx.now(),
    )  # fmt: skip


async def get_invoice(ctx: Context, invoice_id: UUID, *, lock: bool = False) -> Invoice | None:
    """One invoice, if the caller may see it; `lock` keeps it still until the transaction ends."""
    row = await ctx.db.fetchrow(
        "select * from platform_invoices.invoice where id = $1" + (" for no key update" if lock else ""), invoice_id
    )
    return _invoice(row) if row else None


async def find_number(ctx: Context, number: str) -> UUID | None:
    """The invoice that has this number."""
    found: UUID | None = await ctx.db.fetchval("select id from platform_invoices.invoice where number = $1", number)
    return found


async def list_numbers(ctx: Context, invoice_ids: Collection[UUID]) -> dict[UUID, str]:
    """id → number of those that have one and that the caller may see."""
    rows = await ctx.db.fetch(
        "select id, number from platform_invoices.invoice where id = any($1::uuid[]) and number is not null",
        list(invoice_ids),
    )
    return {row["id"]: row["number"] for row in rows}


async def list_invoices(
    ctx: Context, path: str, states: Sequence[str], before: tuple[datetime, UUID] | None, limit: int
) -> list[Invoice]:
    """One page of the invoices of accounts at and below `path`, newest first."""
    rows = await ctx.db.fetch(
        """
        select * from platform_invoices.invoice
        where ($1 = '' or path = $1) and (cardinality($2::text[]) = 0 or state = any($2))
          and ($3::timestamptz is null or (created_at, id) < ($3, $4))
        order by created_at desc, id desc limit $5
        """,
        path, list(states), before and before[0], before and before[1], limit,
    )  # fmt: skip
    return [_invoice(row) for row in rows]


async def list_due(ctx: Context, after: tuple[datetime, UUID], limit: int) -> list[Invoice]:
    """Finalized invoices, those that are due first first, past `after` (due at, id)."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.invoice where state = 'finalized' and (due_at, id) > ($1, $2)"
        " order by due_at, id limit $3",
        *after, limit,
    )  # fmt: skip
    return [_invoice(row) for row in rows]


async def take_overdue(ctx: Context, limit: int) -> list[Invoice]:
    """Invoices that are overdue and were not told; they are marked as told, so nobody else tells them."""
    rows = await ctx.db.fetch(
        """
        update platform_invoices.invoice set overdue_told_at = $1 where id in (
          select id from platform_invoices.invoice
          where state = 'finalized' and due_at < $1 and overdue_told_at is null
          order by due_at, id limit $2 for no key update skip locked)
        returning *
        """,
        ctx.now(), limit,
    )  # fmt: skip
    return [_invoice(row) for row in rows]


async def count_lines(ctx: Context, invoice_id: UUID, most: int) -> int:
    """How many lines an invoice has, as far as `most`."""
    found: int = await ctx.db.fetchval(
        "select count(*) from (select from platform_invoices.line where invoice_id = $1 limit $2) l", invoice_id, most
    )
    return found


async def list_lines(
    ctx: Context, invoice_id: UUID, after: tuple[str, UUID] | None = None, limit: int | None = None
) -> list[Line]:
    """An invoice's lines by tenant, kind, meter, model and price; with `limit` one page, by tenant and id."""
    order = "path, id" if limit else "path, kind, meter, model, unit_price, description, id"
    rows = await ctx.db.fetch(
        "select * from platform_invoices.line where invoice_id = $1 and ($2::text is null or (path, id) > ($2, $3))"
        f" order by {order} limit $4",
        invoice_id, after and after[0], after and after[1], limit,
    )  # fmt: skip
    return [_line(row) for row in rows]


async def get_line(ctx: Context, line_id: UUID) -> Line | None:
    """One line, if the caller may see it."""
    row = await ctx.db.fetchrow("select * from platform_invoices.line where id = $1", line_id)
    return _line(row) if row else None


async def find_usage_line(ctx: Context, invoice_id: UUID, rated: pricing.RatedLine) -> Line | None:
    """The line of an invoice that a rated line went into."""
    row = await ctx.db.fetchrow(
        "select * from platform_invoices.line where invoice_id = $1 and path = $2 and kind = 'usage' and meter = $3"
        " and model = $4 and unit_price = $5",
        invoice_id, rated.scope, rated.meter, rated.model or "", rated.unit_price,
    )  # fmt: skip
    return _line(row) if row else None


async def list_claimed(ctx: Context, line: Line, after: UUID, limit: int) -> list[UUID]:
    """Transfers that may be behind a line, past `after`, also where the invoice was voided since."""
    rows = await ctx.db.fetch(
        """
        select transfer_id from (
          select transfer_id from platform_invoices.claim
          where invoice_id = $1 and path = $2 and kind = $3 and transfer_id > $4
          union all
          select transfer_id from platform_invoices.released_claim
          where invoice_id = $1 and path = $2 and kind = $3 and transfer_id > $4) c
        order by transfer_id limit $5
        """,
        line.invoice_id, line.scope, line.kind, after, limit,
    )  # fmt: skip
    return [row["transfer_id"] for row in rows]


async def find_claims(ctx: Context, transfer_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Transfer → the invoice that it is on."""
    rows = await ctx.db.fetch(
        "select transfer_id, invoice_id from platform_invoices.claim where transfer_id = any($1::uuid[])",
        list(transfer_ids),
    )
    return {row["transfer_id"]: row["invoice_id"] for row in rows}


async def lock_drafts(ctx: Context, close_ids: Collection[UUID]) -> list[Invoice]:
    """The drafts of these closes, by account and currency, held until the transaction ends."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.invoice where close_id = any($1::uuid[]) and state = 'draft'"
        " order by path, currency, id for no key update",
        list(close_ids),
    )
    return [_invoice(row) for row in rows]


async def save_finals(ctx: Context, final: Sequence[FinalInvoice], issuer: BillingDetails) -> list[Invoice]:
    """Finalize drafts, which the caller has locked; returns them in their order."""
    rows = await ctx.db.fetch(
        """
        update platform_invoices.invoice i
        set state = 'finalized', number = f.number, lines_nano = f.lines, rounding_nano = f.rounding,
            taxes = f.taxes::jsonb, total_nano = f.total, issuer = $9::jsonb, payer = f.payer::jsonb,
            credit_nano = f.credit, finalized_at = $10, due_at = f.due_at
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
                    $8::bigint[], $11::timestamptz[])
          as f (id, number, lines, rounding, taxes, total, payer, credit, due_at)
        where i.id = f.id and i.state = 'draft' returning i.*
        """,
        [f.invoice_id for f in final], [f.number for f in final], [f.totals.lines_nano for f in final],
        [f.totals.rounding_nano for f in final], [to_json(stored_taxes(f.totals.taxes)) for f in final],
        [f.totals.total_nano for f in final], [f.payer.model_dump_json() for f in final],
        [f.credit_nano for f in final], issuer.model_dump_json(), ctx.now(), [f.due_at for f in final],
    )  # fmt: skip
    made = {row["id"]: _invoice(row) for row in rows}
    return [made[f.invoice_id] for f in final]


async def save_state(ctx: Context, invoice: Invoice, state: InvoiceState, reason: str = "") -> Invoice:
    """Move an invoice to another state; it is locked by the caller."""
    row = await ctx.db.fetchrow(
        "update platform_invoices.invoice set state = $2, reason = $3,"
        " paid_at = case when $2 = 'paid' then $4 when $2 = 'finalized' then null else paid_at end,"
        " overdue_told_at = case when $2 = 'finalized' then null else overdue_told_at end"
        " where id = $1 returning *",
        invoice.id, state, reason or invoice.reason, ctx.now(),
    )  # fmt: skip
    assert row is not None, "the invoice is locked"
    return _invoice(row)


async def add_up(ctx: Context, invoice: Invoice, *, paid_nano: int = 0, noted_nano: int = 0) -> Invoice:
    """Add to what was paid or taken off."""
    row = await ctx.db.fetchrow(
        "update platform_invoices.invoice set paid_nano = paid_nano + $2, noted_nano = noted_nano + $3"
        " where id = $1 returning *",
        invoice.id, paid_nano, noted_nano,
    )  # fmt: skip
    assert row is not None, "the invoice is locked"
    return _invoice(row)


async def next_number(ctx: Context, account: str, series: str) -> int:
    """Count one up; the row stays locked until the transaction ends, so no other gives a number meanwhile."""
    return (await count_up(ctx, [account], series))[account]


async def count_up(ctx: Context, accounts: Sequence[str], series: str) -> dict[str, int]:
    """Count up by one for each time that an account is named; returns their last numbers. Locked in their order."""
    rows = await ctx.db.fetch(
        """
        insert into platform_invoices.numbering as n (scope, series, last)
        select account::ltree, $2, count(*)::int from unnest($1::text[]) as a (account)
        group by account order by account
        on conflict (path, series) do update set last = n.last + excluded.last returning path, last
        """,
        list(accounts), series,
    )  # fmt: skip
    return {row["path"]: row["last"] for row in rows}


async def save_postings(ctx: Context, postings: Sequence[tuple[Invoice, UUID, str]], *, reversible: bool) -> None:
    """Remember which transfers (id, kind) invoices made; voiding one takes back those that are reversible."""
    await ctx.db.execute(
        """
        insert into platform_invoices.posting (transfer_id, invoice_id, scope, kind, reversible)
        select id, invoice, account::ltree, kind, $5
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as p (id, invoice, account, kind)
        """,
        [transfer_id for _, transfer_id, _ in postings], [invoice.id for invoice, _, _ in postings],
        [invoice.account for invoice, _, _ in postings], [kind for _, _, kind in postings], reversible,
    )  # fmt: skip


async def list_postings(ctx: Context, invoice_id: UUID, kind: str | None = None) -> list[UUID]:
    """The reversible transfers that an invoice made, oldest first."""
    rows = await ctx.db.fetch(
        "select transfer_id from platform_invoices.posting"
        " where invoice_id = $1 and reversible and ($2::text is null or kind = $2) order by transfer_id",
        invoice_id, kind,
    )  # fmt: skip
    return [row["transfer_id"] for row in rows]


async def save_payment(
    ctx: Context, invoice: Invoice, amount_nano: int, to_credit_nano: int, method: str, reference: str
) -> None:
    """Keep a payment, or a refund. Raises UniqueViolationError for a reference that exists."""
    await ctx.db.execute(
        "insert into platform_invoices.payment"
        " (invoice_id, scope, amount_nano, to_credit_nano, method, reference, recorded_at, recorded_by)"
        " values ($1, $2::text::ltree, $3, $4, $5, $6, $7, $8)",
        invoice.id, invoice.account, amount_nano, to_credit_nano, method, reference, ctx.now(), ctx.actor.name,
    )  # fmt: skip


async def lock_reference(ctx: Context, method: str, reference: str) -> Payment | None:
    """The payment that has this reference; nobody else records one with it until the transaction ends."""
    await ctx.db.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"invoices.payment:{method}:{reference}"
    )
    row = await ctx.db.fetchrow(
        "select * from platform_invoices.payment where method = $1 and reference = $2", method, reference
    )
    return _payment(row) if row else None


async def list_payments(ctx: Context, invoice_id: UUID) -> list[Payment]:
    """Payments and refunds of an invoice, oldest first."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.payment where invoice_id = $1 order by recorded_at, id", invoice_id
    )
    return [_payment(row) for row in rows]


async def find_note(ctx: Context, invoice_id: UUID, reference: str) -> CreditNote | None:
    """The credit note of an invoice with this reference."""
    row = await ctx.db.fetchrow(
        "select * from platform_invoices.credit_note where invoice_id = $1 and reference = $2", invoice_id, reference
    )
    return _note(row) if row else None


async def save_note(ctx: Context, invoice: Invoice, note: CreditNote, reference: str) -> None:
    """Keep a credit note."""
    await ctx.db.execute(
        "insert into platform_invoices.credit_note (id, invoice_id, scope, number, reference, amount_nano, tax_nano,"
        " to_credit_nano, reason, issued_at, issued_by)"
        " values ($1, $2, $3::text::ltree, $4, $5, $6, $7, $8, $9, $10, $11)",
        note.id, invoice.id, invoice.account, note.number, reference, note.amount_nano, note.tax_nano,
        note.to_credit_nano, note.reason, note.issued_at, ctx.actor.name,
    )  # fmt: skip


async def list_notes(ctx: Context, invoice_id: UUID) -> list[CreditNote]:
    """Credit notes of an invoice, oldest first."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.credit_note where invoice_id = $1 order by issued_at, id", invoice_id
    )
    return [_note(row) for row in rows]


async def release_claims(ctx: Context, invoice_id: UUID) -> None:
    """Set free what an invoice claimed, keeping what it was beside."""
    await ctx.db.execute(
        """
        with freed as (delete from platform_invoices.claim where invoice_id = $1 returning *)
        insert into platform_invoices.released_claim (transfer_id, invoice_id, scope, kind, amount_nano)
        select transfer_id, invoice_id, scope, kind, amount_nano from freed
        """,
        invoice_id,
    )


def _invoice(row: asyncpg.Record) -> Invoice:
    return Invoice(
        id=row["id"],
        account=row["path"],
        currency=row["currency"],
        period_start=row["period_start"],
        period_end=row["period_end"],
        state=InvoiceState(row["state"]),
        number=row["number"],
        lines_nano=row["lines_nano"],
        rounding_nano=row["rounding_nano"],
        taxes=read_taxes(json.loads(row["taxes"])),
        total_nano=row["total_nano"],
        credit_nano=row["credit_nano"],
        paid_nano=row["paid_nano"],
        noted_nano=row["noted_nano"],
        issuer=BillingDetails.model_validate_json(row["issuer"]),
        payer=BillingDetails.model_validate_json(row["payer"]),
        created_at=row["created_at"],
        finalized_at=row["finalized_at"],
        due_at=row["due_at"],
        paid_at=row["paid_at"],
        reason=row["reason"],
    )


def _line(row: asyncpg.Record) -> Line:
    return Line(
        row["id"], row["invoice_id"], row["path"], LineKind(row["kind"]), row["meter"], row["model"],
        row["unit_price"], row["reference"], row["description"], row["quantity"], row["unit"], row["amount_nano"],
        row["currency"],
    )  # fmt: skip


def _columns(row: asyncpg.Record, *names: str) -> list[Any]:
    return [row[name] for name in names]


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(
        *_columns(row, "id", "invoice_id", "amount_nano", "to_credit_nano", "method", "reference", "recorded_at")
    )


def _note(row: asyncpg.Record) -> CreditNote:
    return CreditNote(
        *_columns(row, "id", "invoice_id", "number", "amount_nano", "tax_nano", "to_credit_nano", "reason", "issued_at")
    )
