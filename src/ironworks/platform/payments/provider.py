"""What a payment provider can do, what it is asked and answers, and how it fails.

Amounts are whole smallest units (cents) of the currency.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from ironworks.shared.errors import Conflict, Invalid, Unavailable


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
    """A charge as the provider tells it. `refunded_minor` is of what was received; `customer` alone can pay it."""

    reference: str
    state: ChargeState
    amount_minor: int
    currency: str
    payment_id: UUID | None = None
    refunded_minor: int = 0
    failure_code: str | None = None
    failure_message: str | None = None
    customer: str | None = None


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
