"""Stripe, by its own SDK.

A payment is one PaymentIntent, opened unconfirmed, then confirmed off session; Stripe pays one at most once. Our id
stands in its metadata. Every call is asynchronous, has a time limit, and is tried again by the SDK where that is safe;
whoever holds a transaction must not call (docs.stripe.com/payments/paymentintents/lifecycle).
"""

from __future__ import annotations

import calendar
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import stripe

from ironworks.platform.payments.currencies import smallest_charge_nano
from ironworks.platform.payments.provider import (
    BadSignature,
    Charge,
    ChargeOrder,
    ChargeState,
    Checkout,
    CustomerGone,
    Method,
    Notice,
    ProviderRefused,
    ProviderSecrets,
    ProviderUnavailable,
    RefundAnswer,
    RefundOrder,
    RefundState,
)
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

TIMEOUT: Final = 20.0
"""Seconds for one call; the SDK makes three of them at most."""
TOLERANCE: Final = 300
"""Seconds by which a webhook's signature may be old, against replays."""
PAGE: Final = 100
MOST_CHARGES: Final = 1_000_000
"""Ends a listing by a server whose pages never end."""
PAYMENT: Final = "ironworks_payment"
REFUND: Final = "ironworks_refund"
ACCOUNT: Final = "ironworks_account"
_STATES: Final = {
    "succeeded": ChargeState.SUCCEEDED,
    "processing": ChargeState.PROCESSING,
    "canceled": ChargeState.CANCELED,
}
_GONE: Final = {("resource_missing", "customer"), ("resource_missing", "id")}
"""How Stripe says that there is no such customer; of no other object that is asked for here is the parameter `id`."""
_REFUND_STATES: Final = {
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


class StripeProvider:
    """One Stripe account."""

    name: Final = "stripe"
    enabled: Final = True

    def __init__(self, secrets: ProviderSecrets) -> None:
        stripe.enable_telemetry = False
        self._webhook_secrets = secrets.webhook_secrets
        self._client = stripe.StripeClient(
            secrets.key,
            http_client=stripe.HTTPXClient(timeout=TIMEOUT),
            base_addresses={"api": secrets.url} if secrets.url else None,
            max_network_retries=2,
        )

    def smallest_charge(self, currency: str) -> int:
        return smallest_charge_nano(currency)

    async def create_customer(self, account: str, key: str) -> str:
        with _translated():
            made = await self._client.v1.customers.create_async(
                {"name": account, "metadata": {ACCOUNT: account}}, {"idempotency_key": key}
            )
        return made.id

    async def open_checkout(
        self, customer: str, currency: str, success_url: str, cancel_url: str, key: str
    ) -> Checkout:
        with _translated():
            made = await self._client.v1.checkout.sessions.create_async(
                {
                    "mode": "setup",
                    "customer": customer,
                    "currency": currency.lower(),
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                },
                {"idempotency_key": key},
            )
        if not made.url:
            raise ProviderRefused("Stripe opened a Checkout session without an address")
        return Checkout(made.url, datetime.fromtimestamp(made.expires_at, UTC))

    async def list_methods(self, customer: str) -> list[Method]:
        with _translated():
            owner = await self._client.v1.customers.retrieve_async(customer)
            if getattr(owner, "deleted", False):
                raise CustomerGone("this customer was deleted at Stripe")
            found = await self._client.v1.payment_methods.list_async({"customer": customer, "limit": PAGE})
        settings = getattr(owner, "invoice_settings", None)
        default = _id(getattr(settings, "default_payment_method", None))
        return [_method(method, default) for method in found.data]

    async def set_default_method(self, customer: str, method: str) -> None:
        with _translated():
            await self._client.v1.customers.update_async(
                customer, {"invoice_settings": {"default_payment_method": method}}
            )

    async def forget_method(self, method: str) -> None:
        try:
            with _translated():
                await self._client.v1.payment_methods.detach_async(method)
        except ProviderRefused:
            log.info("a payment method was gone already", method=method)

    async def open_charge(self, order: ChargeOrder) -> Charge:
        with _translated():
            made = await self._client.v1.payment_intents.create_async(
                {
                    "amount": order.amount_minor,
                    "currency": order.currency.lower(),
                    "customer": order.customer,
                    "description": order.description,
                    "metadata": {PAYMENT: str(order.payment_id)},
                    "expand": ["latest_charge"],
                },
                {"idempotency_key": f"open-{order.payment_id}-{order.attempt}"},
            )
        return _charge(made)

    async def confirm_charge(self, reference: str, method: str, key: str) -> Charge:
        try:
            made = await self._client.v1.payment_intents.confirm_async(
                reference,
                {"payment_method": method, "off_session": True, "expand": ["latest_charge"]},
                {"idempotency_key": key},
            )
        except (stripe.CardError, stripe.InvalidRequestError) as refused:
            # the intent itself knows whether money moved: it may have been paid before, or by somebody else
            charge = await self.get_charge(reference)
            if charge.state is not ChargeState.OPEN or charge.failure_code:
                return charge
            return replace(charge, failure_code=refused.code or "refused", failure_message=refused.user_message)
        except stripe.StripeError as problem:
            raise _meaning(problem) from problem
        return _charge(made)

    async def get_charge(self, reference: str) -> Charge:
        with _translated():
            return _charge(
                await self._client.v1.payment_intents.retrieve_async(reference, {"expand": ["latest_charge"]})
            )

    async def cancel_charge(self, reference: str) -> Charge:
        try:
            made = await self._client.v1.payment_intents.cancel_async(reference, {"expand": ["latest_charge"]})
        except stripe.InvalidRequestError:
            return await self.get_charge(reference)
        except stripe.StripeError as problem:
            raise _meaning(problem) from problem
        return _charge(made)

    async def refund(self, order: RefundOrder) -> RefundAnswer:
        with _translated():
            refunds = self._client.v1.refunds
            made = await refunds.list_async({"payment_intent": order.charge, "limit": PAGE})
            for known in made.data:
                if _metadata(known).get(REFUND) == str(order.refund_id):
                    return _refund(known)
            return _refund(
                await refunds.create_async(
                    {
                        "payment_intent": order.charge,
                        "amount": order.amount_minor,
                        "metadata": {REFUND: str(order.refund_id), "reason": order.reason[:500]},
                    },
                    {"idempotency_key": f"refund-{order.refund_id}"},
                )
            )

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        seen = 0
        with _translated():
            page = await self._client.v1.payment_intents.list_async(
                {
                    "created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())},
                    "limit": PAGE,
                    "expand": ["data.latest_charge"],
                }
            )
            async for intent in page.auto_paging_iter():
                if PAYMENT in _metadata(intent):
                    yield _charge(intent)
                seen += 1
                if seen >= MOST_CHARGES:
                    raise ProviderUnavailable(f"Stripe listed {seen} payments for one day: something is wrong there")

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        if not any(_signed(body, signature, secret) for secret in self._webhook_secrets):
            raise BadSignature("the body is not signed by Stripe with this endpoint's secret, or was long ago")
        try:
            event = json.loads(body)
            about = event["data"]["object"]
            return Notice(
                id=str(event["id"]),
                type=str(event["type"]),
                object_id=str(about.get("id", "")),
                related_id=_id(about.get("payment_intent")) or _id(about.get("customer")),
                told_at=datetime.fromtimestamp(int(event["created"]), UTC),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
            raise BadSignature("the body is signed, and is no event of Stripe's") from problem


def _signed(body: bytes, signature: str | None, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE))
    except (stripe.SignatureVerificationError, ValueError):
        return False


@contextmanager
def _translated() -> Iterator[None]:
    """Stripe's errors as the domain's."""
    try:
        yield
    except stripe.StripeError as problem:
        raise _meaning(problem) from problem


def _meaning(problem: stripe.StripeError) -> ProviderUnavailable | ProviderRefused:
    """A decision, or none. The words are Stripe's for people; they hold no secret, as its own log lines may."""
    if isinstance(problem, stripe.InvalidRequestError) and (problem.code, problem.param) in _GONE:
        return CustomerGone("this customer was deleted at Stripe", provider_request=problem.request_id)
    if isinstance(problem, stripe.CardError | stripe.InvalidRequestError | stripe.IdempotencyError):
        words = problem.user_message or problem.code or type(problem).__name__
        return ProviderRefused(
            f"Stripe refuses: {words}", provider_code=problem.code, provider_request=problem.request_id
        )
    if isinstance(problem, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderUnavailable("Stripe does not accept the key of this installation; tell the operator")
    return ProviderUnavailable(f"Stripe does not answer ({type(problem).__name__}); it is tried again")


def _charge(intent: stripe.PaymentIntent) -> Charge:
    error = intent.last_payment_error
    latest = intent.latest_charge
    payment_id = _metadata(intent).get(PAYMENT)
    waits = intent.status == "requires_action"
    return Charge(
        reference=intent.id,
        state=_STATES.get(intent.status, ChargeState.OPEN),
        amount_minor=intent.amount,
        currency=intent.currency.upper(),
        payment_id=_uuid(payment_id),
        refunded_minor=latest.amount_refunded if isinstance(latest, stripe.Charge) else 0,
        failure_code=(getattr(error, "decline_code", None) or getattr(error, "code", None) if error else None)
        or ("authentication_required" if waits else None),
        failure_message=getattr(error, "message", None) if error else None,
        customer=_id(intent.customer),
    )


def _refund(refund: stripe.Refund) -> RefundAnswer:
    state = _REFUND_STATES.get(refund.status or "", RefundState.PENDING)
    return RefundAnswer(refund.id, state, getattr(refund, "failure_reason", None))


def _method(method: stripe.PaymentMethod, default: str | None) -> Method:
    details = getattr(method, method.type, None)
    name = getattr(details, "brand", None) or getattr(details, "bank_name", None) or method.type
    last4 = getattr(details, "last4", None)
    return Method(
        reference=method.id,
        kind=method.type,
        label=f"{name} •••• {last4}" if last4 else str(name),
        expires_on=_last_day(getattr(details, "exp_year", None), getattr(details, "exp_month", None)),
        default=method.id == default,
    )


def _last_day(year: int | None, month: int | None) -> date | None:
    if not year or not month:
        return None
    return date(year, month, calendar.monthrange(year, month)[1])


def _id(value: Any) -> str | None:
    """The id of something that is told by its id or whole."""
    if isinstance(value, Mapping):
        value = value.get("id")
    found = value if isinstance(value, str) else getattr(value, "id", None)
    return found or None


def _metadata(thing: Any) -> dict[str, str]:
    kept = getattr(thing, "metadata", None)
    return kept.to_dict() if kept else {}


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
