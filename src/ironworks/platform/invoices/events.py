"""What invoices publish."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class InvoiceFinalized(Event):
    """An invoice got its number: it is what the customer is asked to pay. `due_nano` is what prepaid credit left."""

    type: ClassVar[str] = "platform.invoices.invoice_finalized.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str
    currency: str
    total_nano: int
    due_nano: int
    due_at: datetime


class InvoicePaid(Event):
    """Nothing is due on an invoice any more."""

    type: ClassVar[str] = "platform.invoices.invoice_paid.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str
    currency: str
    total_nano: int


class InvoiceReopened(Event):
    """Money for a paid invoice went back, and it is due again."""

    type: ClassVar[str] = "platform.invoices.invoice_reopened.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str
    currency: str
    due_nano: int


class InvoiceOverdue(Event):
    """An invoice was not paid in time; told once."""

    type: ClassVar[str] = "platform.invoices.invoice_overdue.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str
    currency: str
    due_nano: int
    due_at: datetime


class InvoiceVoided(Event):
    """An invoice is taken back: what it claimed is unbilled again. A draft has no number."""

    type: ClassVar[str] = "platform.invoices.invoice_voided.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str | None
    reason: str


class InvoiceUncollectible(Event):
    """What is due on an invoice is written off."""

    type: ClassVar[str] = "platform.invoices.invoice_uncollectible.v1"
    governed: ClassVar[bool] = True
    invoice_id: UUID
    account: str
    number: str
    currency: str
    lost_nano: int
    reason: str


class CreditNoteIssued(Event):
    """Part of an invoice is taken back, or all of it."""

    type: ClassVar[str] = "platform.invoices.credit_note_issued.v1"
    governed: ClassVar[bool] = True
    credit_note_id: UUID
    invoice_id: UUID
    account: str
    number: str
    currency: str
    amount_nano: int
