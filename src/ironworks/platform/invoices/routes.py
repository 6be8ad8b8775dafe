"""Invoices over HTTP: lists, documents, what is behind a line, and the operator's hand."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

from ironworks.platform import billing
from ironworks.platform.invoices import documents, finalizing, paper, service, settling
from ironworks.platform.invoices.model import BillingDetails, Document, LineKind
from ironworks.platform.invoices.shapes import (
    BehindPage,
    BehindView,
    CloseOpened,
    ClosePage,
    CloseRequest,
    CloseView,
    CreditNoteRequest,
    CreditNoteView,
    DocumentQuery,
    InvoiceDetail,
    InvoiceLinePage,
    InvoiceLineView,
    InvoicePage,
    InvoicesQuery,
    InvoiceView,
    NoteDocumentQuery,
    OnInvoiceList,
    OnInvoiceView,
    ReasonRequest,
)
from ironworks.shared.context import Context
from ironworks.shared.http import Call, Raw, Router
from ironworks.shared.listing import PageQuery, bad_cursor, decode_cursor, decode_newest, encode_cursor
from ironworks.shared.path import parse_path

router = Router("platform.invoices")
_DRAWING = asyncio.Semaphore(1)
"""One document at a time, and without a transaction: however many are asked for, other requests go on beside it."""


@router.get("/api/v1/scopes/{path}/invoices", permission="invoice:read")
async def list_invoices(ctx: Context, path: str, query: InvoicesQuery) -> InvoicePage:
    """List an account's invoices, newest first ('-': everybody's)."""
    states = [query.state] if query.state else []
    found = await service.list_invoices(ctx, path, states, decode_newest(query.cursor), query.limit + 1)
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return InvoicePage(
        items=[InvoiceView.of(invoice) for invoice in page],
        next_cursor=encode_cursor(last.created_at.isoformat(), str(last.id)) if last else None,
    )


@router.get("/api/v1/invoices/{invoice}", permission="invoice:read")
async def get_invoice(ctx: Context, invoice: str) -> InvoiceDetail:
    """Show an invoice, by its number or id, with what was paid and credited."""
    return InvoiceDetail.of(await service.get_document(ctx, await service.find_invoice(ctx, invoice), lines=False))


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


@router.get("/api/v1/invoices/{invoice}/document", permission="invoice:read", calls_out=True)
async def get_document(call: Call, invoice: str, query: DocumentQuery) -> Raw:
    """Get an invoice as PDF, HTML, CSV or JSON."""
    async with _DRAWING:
        async with call.transaction() as ctx:
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
        items=[BehindView.of(each) for each in page],
        transfers=[] if found.kind is LineKind.USAGE else [UUID(found.reference)],
        next_cursor=encode_cursor(str(last.transfer_id), last.usage_event_id) if last else None,
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
    found = await service.list_closes(ctx, path, decode_newest(query.cursor), query.limit + 1)
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
    return InvoiceView.of(await finalizing.finalize_invoice(ctx, found.id))


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


@router.get("/api/v1/invoices/{invoice}/credit-notes/{number}/document", permission="invoice:read")
async def get_note_document(ctx: Context, invoice: str, number: str, query: NoteDocumentQuery) -> Raw:
    """Get a credit note as PDF or HTML."""
    found = await service.find_invoice(ctx, invoice)
    note = await service.find_note(ctx, found, number)
    if query.format == "html":
        content, media_type = documents.note_to_html(found, note).encode(), "text/html; charset=utf-8"
    else:
        content, media_type = await asyncio.to_thread(paper.note_to_pdf, found, note), "application/pdf"
    name = f"{note.number}.{query.format}"
    return Raw(content, media_type, headers={"content-disposition": f'inline; filename="{name}"'})


@router.get("/api/v1/scopes/{path}/billing-details", permission="invoice:read")
async def get_details(ctx: Context, path: str) -> BillingDetails:
    """Show how an account is addressed and taxed ('-': who issues)."""
    return await service.get_details(ctx, parse_path(path))


@router.put("/api/v1/scopes/{path}/billing-details", permission="invoice:manage")
async def set_details(ctx: Context, path: str, body: BillingDetails) -> BillingDetails:
    """Replace how an account is addressed and taxed ('-': who issues); finalized invoices keep theirs."""
    await service.require_manager(ctx)
    return await service.set_details(ctx, parse_path(path), body)


def _after_line(cursor: str | None) -> tuple[str, UUID] | None:
    if not cursor:
        return None
    scope, ident = decode_cursor(cursor)
    try:
        return scope, UUID(ident)
    except ValueError:
        raise bad_cursor() from None


def _after_rated(cursor: str | None) -> tuple[UUID, str]:
    if not cursor:
        return UUID(int=0), ""
    transfer, event = decode_cursor(cursor)
    try:
        return UUID(transfer), event
    except ValueError:
        raise bad_cursor() from None
