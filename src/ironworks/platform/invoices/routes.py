"""Invoices over HTTP: lists, documents, what is behind a line, and the operator's hand."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import billing, pricing
from ironworks.platform.invoices import closing, documents, paper, service, settling
from ironworks.platform.invoices.model import (
    BillingDetails,
    Close,
    CloseState,
    CreditNote,
    Document,
    Invoice,
    InvoiceState,
    Line,
    LineKind,
    Payment,
    show_exact,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Raw, Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor
from ironworks.shared.path import parse_path

router = Router("platform.invoices")


class InvoiceAmount(BaseModel):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""

    currency: str
    nano: int
    amount: str

    @classmethod
    def of(cls, currency: str, nano: int) -> InvoiceAmount:
        return cls(currency=currency, nano=nano, amount=show_exact(nano, currency).replace(",", ""))


class InvoiceView(BaseModel):
    id: UUID
    number: str | None = Field(description="Null while it is a draft.")
    account: str
    state: InvoiceState
    period_start: date
    period_end: date = Field(description="The first day after it.")
    total: InvoiceAmount = Field(description="With taxes, in whole coins; zero while it is a draft.")
    tax: InvoiceAmount
    rounding: InvoiceAmount = Field(description="What was added to the sum of the lines for whole coins.")
    credit: InvoiceAmount = Field(description="Paid by prepaid credit.")
    paid: InvoiceAmount
    noted: InvoiceAmount = Field(description="Taken off by credit notes.")
    due: InvoiceAmount
    due_at: datetime | None
    created_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    reason: str = Field(description="Why it was voided or written off.")

    @classmethod
    def of(cls, invoice: Invoice) -> InvoiceView:
        def amount(nano: int) -> InvoiceAmount:
            return InvoiceAmount.of(invoice.currency, nano)

        return cls(
            id=invoice.id,
            number=invoice.number,
            account=invoice.account,
            state=invoice.state,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            total=amount(invoice.total_nano),
            tax=amount(invoice.tax_nano),
            rounding=amount(invoice.rounding_nano),
            credit=amount(invoice.credit_nano),
            paid=amount(invoice.paid_nano),
            noted=amount(invoice.noted_nano),
            due=amount(invoice.due_nano),
            due_at=invoice.due_at,
            created_at=invoice.created_at,
            finalized_at=invoice.finalized_at,
            paid_at=invoice.paid_at,
            reason=invoice.reason,
        )


class InvoiceLineView(BaseModel):
    id: UUID
    invoice_id: UUID
    scope: str
    kind: LineKind
    description: str
    meter: str | None
    model: str | None
    quantity: str | None
    unit: str | None
    unit_price: str | None = Field(description="Exact decimal, for one unit.")
    amount: InvoiceAmount

    @classmethod
    def of(cls, line: Line) -> InvoiceLineView:
        return cls(
            id=line.id,
            invoice_id=line.invoice_id,
            scope=line.scope,
            kind=line.kind,
            description=line.description,
            meter=line.meter or None,
            model=line.model or None,
            quantity=None if line.quantity is None else f"{line.quantity:f}",
            unit=line.unit or None,
            unit_price=None if line.unit_price is None else f"{line.unit_price:f}",
            amount=InvoiceAmount.of(line.currency, line.amount_nano),
        )


class InvoicePaymentView(BaseModel):
    id: UUID
    amount: InvoiceAmount = Field(description="Negative: a refund.")
    to_credit: InvoiceAmount = Field(description="What was too much, and is prepaid credit.")
    method: str
    reference: str
    recorded_at: datetime

    @classmethod
    def of(cls, payment: Payment, currency: str) -> InvoicePaymentView:
        return cls(
            id=payment.id,
            amount=InvoiceAmount.of(currency, payment.amount_nano),
            to_credit=InvoiceAmount.of(currency, payment.to_credit_nano),
            method=payment.method,
            reference=payment.reference,
            recorded_at=payment.recorded_at,
        )


class CreditNoteView(BaseModel):
    id: UUID
    number: str
    amount: InvoiceAmount
    tax: InvoiceAmount = Field(description="The part of the amount that is tax.")
    to_credit: InvoiceAmount
    reason: str
    issued_at: datetime

    @classmethod
    def of(cls, note: CreditNote, currency: str) -> CreditNoteView:
        return cls(
            id=note.id,
            number=note.number,
            amount=InvoiceAmount.of(currency, note.amount_nano),
            tax=InvoiceAmount.of(currency, note.tax_nano),
            to_credit=InvoiceAmount.of(currency, note.to_credit_nano),
            reason=note.reason,
            issued_at=note.issued_at,
        )


class InvoiceDetail(BaseModel):
    invoice: InvoiceView
    issuer: BillingDetails
    payer: BillingDetails
    payments: list[InvoicePaymentView]
    credit_notes: list[CreditNoteView]

    @classmethod
    def of(cls, document: Document) -> InvoiceDetail:
        invoice = document.invoice
        return cls(
            invoice=InvoiceView.of(invoice),
            issuer=invoice.issuer,
            payer=invoice.payer,
            payments=[InvoicePaymentView.of(payment, invoice.currency) for payment in document.payments],
            credit_notes=[CreditNoteView.of(note, invoice.currency) for note in document.notes],
        )


class CloseView(BaseModel):
    id: UUID
    account: str
    period_start: date
    period_end: date
    state: CloseState
    subscription_id: UUID | None
    opened_at: datetime

    @classmethod
    def of(cls, close: Close) -> CloseView:
        return cls(
            id=close.id,
            account=close.account,
            period_start=close.start,
            period_end=close.end,
            state=close.state,
            subscription_id=close.subscription_id,
            opened_at=close.opened_at,
        )


class BehindView(BaseModel):
    """One rated line behind an invoice line: a request's quantity at a price version."""

    request_id: str
    transfer_id: UUID
    price_id: UUID
    day: date
    quantity: int
    amount: InvoiceAmount


class PageQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)


class InvoicesQuery(PageQuery):
    state: InvoiceState | None = None


class DocumentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal["pdf", "html", "csv", "json"] = "pdf"


class InvoicePage(BaseModel):
    items: list[InvoiceView]
    next_cursor: str | None


class InvoiceLinePage(BaseModel):
    items: list[InvoiceLineView]
    next_cursor: str | None


class ClosePage(BaseModel):
    items: list[CloseView]
    next_cursor: str | None


class BehindPage(BaseModel):
    line: InvoiceLineView
    items: list[BehindView] = Field(description="Empty behind a fee, an adjustment or a correction.")
    transfers: list[UUID] = Field(description="Behind a fee, an adjustment or a correction: its transfer.")
    next_cursor: str | None


class OnInvoiceView(BaseModel):
    meter: str
    invoice_number: str | None = Field(description="Null for a draft, and for who may not see the whole invoice.")
    line: InvoiceLineView


class OnInvoiceList(BaseModel):
    items: list[OnInvoiceView] = Field(description="Nothing while the request is not on an invoice.")


class CloseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    until: date | None = Field(None, description="The first day that is left out; default: the month's beginning.")


class CloseOpened(BaseModel):
    close_id: UUID


class ReasonRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=500)


class CreditNoteRequest(ReasonRequest):
    amount_nano: int = Field(gt=0, description="Taxes included, in whole coins.")
    reference: str = Field(min_length=1, max_length=200, description="The same one again issues nothing more.")
    refund: bool = Field(False, description="What was paid already will go back; else it becomes prepaid credit.")


@router.get("/api/v1/scopes/{path}/invoices", permission="invoice:read")
async def list_invoices(ctx: Context, path: str, query: InvoicesQuery) -> InvoicePage:
    """List an account's invoices, newest first ('-': everybody's)."""
    states = [query.state] if query.state else []
    found = await service.list_invoices(ctx, path, states, _before(query.cursor), query.limit + 1)
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return InvoicePage(
        items=[InvoiceView.of(invoice) for invoice in page],
        next_cursor=encode_cursor(last.created_at.isoformat(), str(last.id)) if last else None,
    )


@router.get("/api/v1/invoices/{invoice}", permission="invoice:read")
async def get_invoice(ctx: Context, invoice: str) -> InvoiceDetail:
    """Show an invoice, by its number or id, with what was paid and credited."""
    return InvoiceDetail.of(await service.get_document(ctx, await service.find_invoice(ctx, invoice)))


@router.get("/api/v1/invoices/{invoice}/lines", permission="invoice:read")
async def list_lines(ctx: Context, invoice: str, query: PageQuery) -> InvoiceLinePage:
    """List an invoice's lines, by tenant."""
    found = await service.find_invoice(ctx, invoice)
    lines = await service.list_lines(ctx, found.id, _after_line(query.cursor), query.limit + 1)
    page = lines[: query.limit]
    last = page[-1] if len(lines) > query.limit else None
    return InvoiceLinePage(
        items=[InvoiceLineView.of(line) for line in page],
        next_cursor=encode_cursor(last.scope, str(last.id)) if last else None,
    )


@router.get("/api/v1/invoices/{invoice}/document", permission="invoice:read")
async def get_document(ctx: Context, invoice: str, query: DocumentQuery) -> Raw:
    """Get an invoice as PDF, HTML, CSV or JSON."""
    document = await service.get_document(ctx, await service.find_invoice(ctx, invoice))
    content, media_type = await asyncio.to_thread(_render, document, query.format)
    name = f"{document.invoice.number or document.invoice.id}.{query.format}"
    return Raw(content, media_type, headers={"content-disposition": f'inline; filename="{name}"'})


def _render(document: Document, format_: str) -> tuple[bytes, str]:
    if format_ == "pdf":
        return paper.to_pdf(document), "application/pdf"
    if format_ == "html":
        return documents.to_html(document).encode(), "text/html; charset=utf-8"
    if format_ == "csv":
        return documents.to_csv(document).encode(), "text/csv; charset=utf-8"
    return json.dumps(documents.to_json(document)).encode(), "application/json"


@router.get("/api/v1/invoice-lines/{line}", permission="invoice:read")
async def open_line(ctx: Context, line: str, query: PageQuery) -> BehindPage:
    """Open a line into the rated lines, and so the requests, that it is made of."""
    line_id = service.parse_id(line, "invoice line")
    found, rated = await service.open_line(ctx, line_id, _after_rated(query.cursor), query.limit + 1)
    page = rated[: query.limit]
    last = page[-1] if len(rated) > query.limit else None
    return BehindPage(
        line=InvoiceLineView.of(found),
        items=[_behind(each) for each in page],
        transfers=[] if found.kind is LineKind.USAGE else [UUID(found.reference)],
        next_cursor=encode_cursor(str(last.transfer_id), last.usage_event_id) if last else None,
    )


def _behind(rated: pricing.RatedLine) -> BehindView:
    assert rated.transfer_id is not None
    return BehindView(
        request_id=rated.usage_event_id,
        transfer_id=rated.transfer_id,
        price_id=rated.price_id,
        day=rated.day,
        quantity=rated.quantity,
        amount=InvoiceAmount.of(rated.currency, rated.amount_nano),
    )


@router.get("/api/v1/billing/requests/{request_id}/invoice-lines", permission="invoice:read")
async def explain_on_invoice(ctx: Context, request_id: str) -> OnInvoiceList:
    """Show the invoice lines that a request is part of."""
    explained = await billing.explain_request(ctx, request_id)
    found = await service.find_lines_of(ctx, explained.lines)
    numbers = await service.list_numbers(ctx, {line.invoice_id for line in found.values()})
    return OnInvoiceList(
        items=[
            OnInvoiceView(meter=meter, invoice_number=numbers.get(line.invoice_id), line=InvoiceLineView.of(line))
            for (_, meter), line in sorted(found.items())
        ]
    )


@router.get("/api/v1/scopes/{path}/closes", permission="invoice:read")
async def list_closes(ctx: Context, path: str, query: PageQuery) -> ClosePage:
    """List the closes of an account, newest first ('-': everybody's)."""
    found = await service.list_closes(ctx, path, _before(query.cursor), query.limit + 1)
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return ClosePage(
        items=[CloseView.of(close) for close in page],
        next_cursor=encode_cursor(last.opened_at.isoformat(), str(last.id)) if last else None,
    )


@router.post("/api/v1/scopes/{path}/closes", permission="invoice:manage", status=202)
async def close_account(ctx: Context, path: str, body: CloseRequest) -> CloseOpened:
    """Close an account's period now, for the operator; a worker runs it, and no usage is lost or invoiced twice."""
    await service.require_manager(ctx)
    return CloseOpened(close_id=await service.close_account(ctx, path, body.until))


@router.post("/api/v1/invoices/{invoice}:finalize", permission="invoice:manage")
async def finalize_invoice(ctx: Context, invoice: str) -> InvoiceView:
    """Give a draft its number; the customer owes it from now on."""
    await service.require_manager(ctx)
    found = await service.find_invoice(ctx, invoice)
    return InvoiceView.of(await closing.finalize_invoice(ctx, found.id))


@router.post("/api/v1/invoices/{invoice}:void", permission="invoice:manage")
async def void_invoice(ctx: Context, invoice: str, body: ReasonRequest) -> InvoiceView:
    """Take an invoice back; what it was for comes on the next one."""
    await service.require_manager(ctx)
    found = await service.find_invoice(ctx, invoice)
    return InvoiceView.of(await settling.void_invoice(ctx, found.id, body.reason))


@router.post("/api/v1/invoices/{invoice}:write-off", permission="invoice:manage")
async def write_off(ctx: Context, invoice: str, body: ReasonRequest) -> InvoiceView:
    """Give up on what is open of an invoice."""
    await service.require_manager(ctx)
    found = await service.find_invoice(ctx, invoice)
    return InvoiceView.of(await settling.write_off(ctx, found.id, body.reason))


@router.post("/api/v1/invoices/{invoice}/credit-notes", permission="invoice:manage", status=201)
async def issue_credit_note(ctx: Context, invoice: str, body: CreditNoteRequest) -> CreditNoteView:
    """Take back part of an invoice, or all of it."""
    await service.require_manager(ctx)
    found = await service.find_invoice(ctx, invoice)
    note = await settling.issue_credit_note(
        ctx, found.id, body.amount_nano, body.reason, body.reference, refund=body.refund
    )
    return CreditNoteView.of(note, found.currency)


@router.get("/api/v1/scopes/{path}/billing-details", permission="invoice:read")
async def get_details(ctx: Context, path: str) -> BillingDetails:
    """Show how an account is addressed and taxed ('-': who issues)."""
    return await service.get_details(ctx, parse_path(path))


@router.put("/api/v1/scopes/{path}/billing-details", permission="invoice:manage")
async def set_details(ctx: Context, path: str, body: BillingDetails) -> BillingDetails:
    """Replace how an account is addressed and taxed ('-': who issues); finalized invoices keep theirs."""
    await service.require_manager(ctx)
    return await service.set_details(ctx, parse_path(path), body)


def _before(cursor: str | None) -> tuple[datetime, UUID] | None:
    if not cursor:
        return None
    at, ident = decode_cursor(cursor)
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError
        return moment, UUID(ident)
    except ValueError:
        raise _no_cursor() from None


def _after_line(cursor: str | None) -> tuple[str, UUID] | None:
    if not cursor:
        return None
    scope, ident = decode_cursor(cursor)
    try:
        return scope, UUID(ident)
    except ValueError:
        raise _no_cursor() from None


def _after_rated(cursor: str | None) -> tuple[UUID, str]:
    if not cursor:
        return UUID(int=0), ""
    transfer, event = decode_cursor(cursor)
    try:
        return UUID(transfer), event
    except ValueError:
        raise _no_cursor() from None


def _no_cursor() -> Exception:
    return invalid("cursor", "is not one of ours", "take next_cursor from the page before, or leave it out")
