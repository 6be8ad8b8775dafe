"""Invoices: what a customer is asked to pay for a period, and what becomes of it.

Owns: closes, which claim transfers; invoices, their lines, numbers and documents; taxes; what was recorded as paid,
refunded, credited or written off. `closing.py` takes periods to their drafts, `finalizing.py` drafts to invoices,
`closes.py` and `adjusted.py` hold their statements, `settling.py` what happens to an invoice afterwards,
`documents.py` and `paper.py` what people and programs get of it, `shapes.py` what is said over HTTP.
Never: rates usage (pricing did), keeps balances (the ledger does), or calls a payment provider (payments do).
Invariants: a transfer is on one invoice; what an invoice's lines come to is what it claimed, tenant by tenant, and is
moved to what the account owes with the same sum; only the total is rounded, once, and the residue is posted; an
account's numbers have no gap; a finalized invoice never changes, it is paid, credited, voided or written off; what is
charged after a period was closed comes on the next invoice, with what the terms of its own period make of it.
"""

from ironworks.platform.invoices.closing import charge
from ironworks.platform.invoices.events import (
    CreditNoteIssued,
    InvoiceFinalized,
    InvoiceOverdue,
    InvoicePaid,
    InvoiceReopened,
    InvoiceUncollectible,
    InvoiceVoided,
)
from ironworks.platform.invoices.finalizing import finalize_invoice
from ironworks.platform.invoices.model import (
    BillingDetails,
    Charger,
    Invoice,
    InvoiceState,
    Line,
    LineKind,
    NewCharge,
    ReferenceInUse,
    Tax,
    WrongState,
)
from ironworks.platform.invoices.service import (
    find_invoice,
    get_invoice,
    list_invoices,
    list_lines,
    list_numbers,
    list_open,
    set_details,
)
from ironworks.platform.invoices.settling import (
    check_coins,
    issue_credit_note,
    record_payment,
    record_refund,
    void_invoice,
    write_off,
)

__all__ = [
    "BillingDetails",
    "Charger",
    "CreditNoteIssued",
    "Invoice",
    "InvoiceFinalized",
    "InvoiceOverdue",
    "InvoicePaid",
    "InvoiceReopened",
    "InvoiceState",
    "InvoiceUncollectible",
    "InvoiceVoided",
    "Line",
    "LineKind",
    "NewCharge",
    "ReferenceInUse",
    "Tax",
    "WrongState",
    "charge",
    "check_coins",
    "finalize_invoice",
    "find_invoice",
    "get_invoice",
    "issue_credit_note",
    "list_invoices",
    "list_lines",
    "list_numbers",
    "list_open",
    "record_payment",
    "record_refund",
    "set_details",
    "void_invoice",
    "write_off",
]
