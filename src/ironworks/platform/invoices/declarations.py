"""What invoices register."""

from ironworks.platform.invoices.events import (
    CreditNoteIssued,
    InvoiceFinalized,
    InvoiceOverdue,
    InvoicePaid,
    InvoiceReopened,
    InvoiceUncollectible,
    InvoiceVoided,
)
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission("invoice:read", "See invoices, their documents and what is behind their lines"),
        Permission("invoice:manage", "Close periods, finalize and void invoices, record payments, issue credit notes"),
    ),
    audit_actions=(
        AuditAction("invoices.details.update", "Billing details were changed"),
        AuditAction("invoices.invoice.finalize", "An invoice got its number"),
        AuditAction("invoices.invoice.void", "An invoice was taken back"),
        AuditAction("invoices.invoice.uncollectible", "An invoice was written off"),
        AuditAction("invoices.payment.record", "A payment was recorded"),
        AuditAction("invoices.payment.refund", "A refund was recorded"),
        AuditAction("invoices.credit-note.issue", "A credit note was issued"),
    ),
    events=(
        EventClass("platform.invoices.invoice_finalized.v1", InvoiceFinalized),
        EventClass("platform.invoices.invoice_paid.v1", InvoicePaid),
        EventClass("platform.invoices.invoice_reopened.v1", InvoiceReopened),
        EventClass("platform.invoices.invoice_overdue.v1", InvoiceOverdue),
        EventClass("platform.invoices.invoice_voided.v1", InvoiceVoided),
        EventClass("platform.invoices.invoice_uncollectible.v1", InvoiceUncollectible),
        EventClass("platform.invoices.credit_note_issued.v1", CreditNoteIssued),
    ),
    topics=(
        Topic("invoices", "invoice:read", "Invoices, what is paid of them, credit notes, closes, billing details"),
    ),
)
