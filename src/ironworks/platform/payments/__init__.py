"""Payments: how money for invoices comes in, and goes back.

Owns: payments, refunds, payment methods, the notices of payment providers, and the comparison with their books.
`collecting.py` moves money, `reconciling.py` compares and takes notices, whose statements `notices.py` holds;
`currencies.py` is how card networks count.
Never: decides what is owed (invoices does) or posts to the ledger itself; keeps a card's number; calls a provider
inside a transaction.
Invariants:
  - what a provider is asked for is written down before, and an invoice has one live payment at most;
  - a payment is one charge at the provider, which is paid at most once however often a dying worker asks;
  - what a notice says is not believed: it names a charge, and the provider is asked what that is now.
"""

from ironworks.platform.payments.adapters import open_provider
from ironworks.platform.payments.events import PaymentFailed, PaymentSucceeded, RefundSucceeded
from ironworks.platform.payments.model import Payment, PaymentState, Refund
from ironworks.platform.payments.provider import PaymentProvider, PaymentsOff, ProviderSecrets, ProviderUnavailable

__all__ = [
    "Payment",
    "PaymentFailed",
    "PaymentProvider",
    "PaymentState",
    "PaymentSucceeded",
    "PaymentsOff",
    "ProviderSecrets",
    "ProviderUnavailable",
    "Refund",
    "RefundSucceeded",
    "open_provider",
]
