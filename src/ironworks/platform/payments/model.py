"""Payments, refunds and their states; when a failed payment is tried again. Amounts are whole nano-units (10⁻⁹)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from ironworks.platform.payments.currencies import minor_units
from ironworks.platform.payments.provider import Charge, ChargeState, RefundState
from ironworks.shared.errors import Conflict

RETRY_DAYS: Final = (1, 3, 5, 7)
"""Days after the first failure on which a payment is tried again; after the last it is a person's to decide."""
LOOK_AGAIN: Final = timedelta(hours=1)
"""How often a payment or refund under way is looked at, should no notice of it come."""
LEASE: Final = timedelta(minutes=5)
"""Longer than all calls of one step; after it a dead worker's payment is taken over."""
MANUAL: Final = "manual"
KEPT_METHODS: Final = frozenset({"stripe", "refund"})
"""Under which invoices keep what providers and refunds moved: a receipt of that name could pass for one of them."""
NOTICES_KEPT_FOR: Final = timedelta(days=60)
"""Stripe repeats one for 3 days, or for 30 when a person asks it to."""


class PaymentState(StrEnum):
    """How far a payment is."""

    PLANNED = "planned"
    """Written down; nobody was asked for money."""
    SENDING = "sending"
    """The provider is being asked, or was when a worker died: it is asked what came of it."""
    PROCESSING = "processing"
    """The provider has not decided yet, as with bank debits."""
    FAILED = "failed"
    """Refused; tried again at `due_at`."""
    EXHAUSTED = "exhausted"
    """Refused on every day of the schedule; a person decides."""
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


LIVE: Final = frozenset(PaymentState) - {PaymentState.SUCCEEDED, PaymentState.CANCELED}
"""States in which no second payment of the same invoice may begin."""


@dataclass(frozen=True, slots=True)
class Payment:
    """An amount that an account pays for an invoice. `reference` is the provider's id, or a receipt's number."""

    id: UUID
    account: str
    invoice_id: UUID
    provider: str
    method: str
    amount_nano: int
    currency: str
    state: PaymentState
    created_at: datetime
    attempt: int = 0
    reference: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    first_failed_at: datetime | None = None
    finished_at: datetime | None = None
    recorded_at: datetime | None = None
    due_at: datetime | None = None
    told: int = 0
    """How often the provider told that something happened to it."""
    looked: int = 0
    """How many of these are taken in."""

    @property
    def to_look_at(self) -> bool:
        """Whether the provider is to be asked what became of it, and nothing else of it."""
        return self.told > self.looked or self.state is PaymentState.PROCESSING


@dataclass(frozen=True, slots=True)
class Refund:
    """An amount of a payment that goes back."""

    id: UUID
    payment_id: UUID
    account: str
    amount_nano: int
    reason: str
    state: RefundState
    created_at: datetime
    reference: str | None = None
    failure_message: str | None = None
    finished_at: datetime | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that our books and the provider's tell differently, until `gone_at`."""

    reference: str
    kind: str
    ours: str
    theirs: str
    payment_id: UUID | None
    found_at: datetime
    gone_at: datetime | None = None
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a payment after an answer of the provider."""

    state: PaymentState
    due_at: datetime | None
    first_failed_at: datetime | None = None
    failure_code: str | None = None
    failure_message: str | None = None


class PaymentUnderWay(Conflict):
    """An invoice is paid by one payment at a time."""

    code = "PAYMENT_UNDER_WAY"


class NoPaymentMethod(Conflict):
    """The account has left nothing that it could be charged by."""

    code = "NO_PAYMENT_METHOD"


class NotPayable(Conflict):
    """Nothing is to pay, or to give back."""

    code = "NOT_PAYABLE"


class AmountDiffers(Conflict):
    """The provider was paid something else than was asked for: nothing counts until a person has looked."""

    code = "AMOUNT_DIFFERS"


class ReferenceUsed(Conflict):
    """A receipt counts once: its reference was recorded before, with other content."""

    code = "REFERENCE_USED"


def check_amount(payment: Payment, charge: Charge) -> None:
    """Raises AmountDiffers unless the charge is of the payment's amount."""
    wanted = minor_units(payment.amount_nano, payment.currency), payment.currency
    if (charge.amount_minor, charge.currency) != wanted:
        raise AmountDiffers(
            f"payment {payment.id} is of {wanted[0]} {wanted[1]}, and {charge.amount_minor} {charge.currency} were paid"
        )


def retry_at(first_failed_at: datetime, now: datetime) -> datetime | None:
    """When a payment that failed now is tried again; None when every day of the schedule is over.

    The days count from the first failure, so that a worker that was away for a week does not try four times in a row.
    """
    moments = (first_failed_at + timedelta(days=days) for days in RETRY_DAYS)
    return next((moment for moment in moments if moment > now), None)


def outcome_of(payment: Payment, charge: Charge, now: datetime, *, tried: bool) -> Outcome:
    """What becomes of a payment, now that the provider has told of its charge.

    Args:
        tried: the charge was confirmed just now, so that one still open means a refusal; else it was only looked at,
            and an open one changes nothing.
    """
    failure = (charge.failure_code, charge.failure_message)
    match charge.state:
        case ChargeState.SUCCEEDED:
            return Outcome(PaymentState.SUCCEEDED, None, payment.first_failed_at)
        case ChargeState.CANCELED:
            return Outcome(PaymentState.CANCELED, None, payment.first_failed_at, *failure)
        case ChargeState.PROCESSING:
            return Outcome(PaymentState.PROCESSING, now + LOOK_AGAIN, payment.first_failed_at)
    if not tried and payment.state is not PaymentState.PROCESSING:
        return Outcome(payment.state, payment.due_at, payment.first_failed_at, *failure)
    first = payment.first_failed_at or now
    again = retry_at(first, now)
    return Outcome(PaymentState.FAILED if again else PaymentState.EXHAUSTED, again, first, *failure)
