"""Payments, refunds and their states; what a payment provider can do; when a failed payment is tried again.

Amounts are whole nano-units (10⁻⁹) of the currency here and whole smallest units (cents) at a provider.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from ironworks.platform.payments.currencies import minor_units
from ironworks.shared.errors import Conflict, Invalid, Unavailable

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


class RefundState(StrEnum):
    """How far a refund is."""

    PLANNED = "planned"
    SENDING = "sending"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ChargeState(StrEnum):
    """What a provider says of one charge."""

    OPEN = "open"
    """Nothing has moved; it may be confirmed, or confirmed again."""
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


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
class Customer:
    """An account at the provider.

    `incarnation`: how many customers of the account's were deleted there before.
    """

    account: str
    provider: str
    reference: str | None
    default_method: str | None
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """What a customer can be charged by, as people recognise it: `label` is `visa •••• 4242`."""

    reference: str
    kind: str
    label: str
    expires_on: date | None = None
    default: bool = False


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page of the provider's on which a customer leaves a payment method."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """What to charge; the provider keeps `payment_id` beside it, so that it can be found by it.

    `attempt` is part of the key: within a day a provider answers a key as it did before, also where the customer, or
    another reason to refuse, is not the same any more.
    """

    payment_id: UUID
    attempt: int
    customer: str
    amount_minor: int
    currency: str
    description: str


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as the provider tells it. `refunded_minor` is of what was received."""

    reference: str
    state: ChargeState
    amount_minor: int
    currency: str
    payment_id: UUID | None = None
    refunded_minor: int = 0
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What to give back of a charge."""

    refund_id: UUID
    charge: str
    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """A refund as the provider tells it."""

    reference: str
    state: RefundState
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """That something happened at the provider to `object_id`; what it is like now is asked, not read from here.

    `related_id` is the object it belongs to, for instance a refund's charge or a method's customer.
    """

    id: str
    type: str
    object_id: str
    related_id: str | None
    told_at: datetime


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


class PaymentsOff(Conflict):
    """No payment provider is configured."""

    code = "PAYMENTS_OFF"

    def __init__(self) -> None:
        super().__init__("no payment provider is configured here: pay by bank transfer, or ask the operator")


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or not with a decision: whether something happened is to be asked again."""

    code = "PROVIDER_UNAVAILABLE"


class ProviderRefused(Conflict):
    """The provider says that this cannot be done, and would say so again."""

    code = "PROVIDER_REFUSED"


class CustomerGone(ProviderRefused):
    """The customer was deleted at the provider: nothing can be charged, or left, there; another one may be made."""

    code = "CUSTOMER_GONE"


class BadSignature(Invalid):
    """What came to the webhook is not signed by the provider, or was signed too long ago."""

    status, code = 400, "BAD_SIGNATURE"


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


class PaymentProvider(Protocol):
    """What takes money; `adapters/stripe.py` is one. Every method may raise ProviderUnavailable or ProviderRefused.

    Opening a charge moves no money, and one charge is paid at most once however often it is confirmed: that, not a key
    that the provider may forget, is why nobody is charged twice. Keys only keep repetitions from leaving litter.
    """

    @property
    def name(self) -> str:
        """Under which payments are kept."""

    @property
    def enabled(self) -> bool:
        """Whether there is a provider at all."""

    def smallest_charge(self, currency: str) -> int:
        """Nano-units below which it charges nothing."""

    async def create_customer(self, account: str, key: str) -> str:
        """The id of a new customer for `account`."""

    async def open_checkout(
        self, customer: str, currency: str, success_url: str, cancel_url: str, key: str
    ) -> Checkout:
        """A page on which the customer leaves a payment method to be charged by later."""

    async def list_methods(self, customer: str) -> list[Method]:
        """What the customer can be charged by; at most one of them is the default."""

    async def set_default_method(self, customer: str, method: str) -> None:
        """Charge by this one from now on."""

    async def forget_method(self, method: str) -> None:
        """Never charge by this one again; done already is fine."""

    async def open_charge(self, order: ChargeOrder) -> Charge:
        """A charge that nobody pays yet."""

    async def confirm_charge(self, reference: str, method: str, key: str) -> Charge:
        """Charge the method, without its owner being there. A refusal by the bank is an answer, not an error."""

    async def get_charge(self, reference: str) -> Charge:
        """What has become of a charge."""

    async def cancel_charge(self, reference: str) -> Charge:
        """See that nobody can pay it any more; one that is paid stays so, and the answer says it."""

    async def refund(self, order: RefundOrder) -> RefundAnswer:
        """Give back; once, however often it is asked for the same `refund_id`."""

    def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        """Charges of ours that were opened in that time."""

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        """What the body of a webhook's call tells. Raises BadSignature."""


@dataclass(frozen=True, slots=True)
class ProviderSecrets:
    """How to reach Stripe. `webhook_secrets` may be several while one replaces another."""

    key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    url: str | None = None


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
