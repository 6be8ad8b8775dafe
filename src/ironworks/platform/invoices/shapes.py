"""What is said about invoices over HTTP."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import pricing
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
)
from ironworks.platform.invoices.money import show_exact
from ironworks.shared.listing import PageQuery
from ironworks.shared.shapes import Shape


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


class InvoiceLineView(Shape):
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
        return cls.show(
            line,
            meter=line.meter or None,
            model=line.model or None,
            quantity=None if line.quantity is None else f"{line.quantity:f}",
            unit=line.unit or None,
            unit_price=None if line.unit_price is None else f"{line.unit_price:f}",
            amount=InvoiceAmount.of(line.currency, line.amount_nano),
        )


class InvoicePaymentView(Shape):
    id: UUID
    amount: InvoiceAmount = Field(description="Negative: a refund.")
    to_credit: InvoiceAmount = Field(description="What was too much, and is prepaid credit.")
    method: str
    reference: str
    recorded_at: datetime

    @classmethod
    def of(cls, payment: Payment, currency: str) -> InvoicePaymentView:
        return cls.show(
            payment,
            amount=InvoiceAmount.of(currency, payment.amount_nano),
            to_credit=InvoiceAmount.of(currency, payment.to_credit_nano),
        )


class CreditNoteView(Shape):
    id: UUID
    number: str
    amount: InvoiceAmount
    tax: InvoiceAmount = Field(description="The part of the amount that is tax.")
    to_credit: InvoiceAmount
    reason: str
    issued_at: datetime

    @classmethod
    def of(cls, note: CreditNote, currency: str) -> CreditNoteView:
        return cls.show(
            note,
            amount=InvoiceAmount.of(currency, note.amount_nano),
            tax=InvoiceAmount.of(currency, note.tax_nano),
            to_credit=InvoiceAmount.of(currency, note.to_credit_nano),
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


class CloseView(Shape):
    id: UUID
    account: str
    period_start: date
    period_end: date
    state: CloseState
    subscription_id: UUID | None
    opened_at: datetime
    problem: str = Field(description="Why it failed the last time; it is tried again, later each time.")

    @classmethod
    def of(cls, close: Close) -> CloseView:
        return cls.show(close, period_start=close.start, period_end=close.end)


class BehindView(Shape):
    """One rated line behind an invoice line: a request's quantity at a price version."""

    request_id: str
    transfer_id: UUID
    price_id: UUID
    day: date
    quantity: int
    amount: InvoiceAmount

    @classmethod
    def of(cls, rated: pricing.RatedLine) -> BehindView:
        assert rated.transfer_id is not None
        return cls.show(
            rated,
            request_id=rated.usage_event_id,
            amount=InvoiceAmount.of(rated.currency, rated.amount_nano),
        )


class InvoicesQuery(PageQuery):
    state: InvoiceState | None = None


class DocumentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal["pdf", "html", "csv", "json"] = "pdf"


class NoteDocumentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal["pdf", "html"] = "pdf"


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
