"""The worker's part: one step of a payment or refund at a time, each written down before a provider is asked.

    planned ─▶ sending ─▶ succeeded | processing | failed ─▶ (1, 3, 5, 7 days) ─▶ sending … ─▶ exhausted

A worker that dies anywhere leaves a lease that ends. Whoever takes over opens the charge again under the same key, asks
what became of the one that is noted, and confirms only one that is still open. Two charges can be opened so; the noted
one alone is ever confirmed, and a provider pays one charge once. Where the customer was deleted there since, the charge
is canceled before another one is opened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from ironworks.platform.payments import store
from ironworks.platform.payments.currencies import minor_units
from ironworks.platform.payments.events import PaymentFailed
from ironworks.platform.payments.model import (
    LOOK_AGAIN,
    MANUAL,
    NoPaymentMethod,
    Outcome,
    Payment,
    PaymentState,
    Refund,
    check_amount,
    outcome_of,
)
from ironworks.platform.payments.provider import (
    Charge,
    ChargeOrder,
    ChargeState,
    Customer,
    PaymentProvider,
    ProviderRefused,
    ProviderUnavailable,
    RefundAnswer,
    RefundOrder,
    RefundState,
)
from ironworks.platform.payments.service import chargeable, look_up, plan_payment, refunded, succeeded
from ironworks.shared import telemetry
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Invalid, IronworksError

log = telemetry.logger(__name__)

ACTOR: Final = system_actor("payments")
PAUSE: Final = timedelta(minutes=1)
_BATCH: Final = 100
_TOO_SMALL: Final = (
    "amount_too_small",
    "less is open than a card is charged: record it where it comes in otherwise, or credit it",
)


async def pay_due(db: Database, provider: PaymentProvider) -> int:
    """Take every payment that is due a step further, at most a hundred; returns how many were taken up."""
    for done in range(_BATCH):
        async with db.transaction(ACTOR) as ctx:
            claimed = await store.claim_payment(ctx, provider.name)
        if claimed is None:
            return done
        payment, token = claimed
        try:
            await _advance(db, provider, payment, token)
        except Exception as problem:
            await _put_off(db, "payment", payment.id, token, problem)
    return _BATCH


async def _put_off(db: Database, what: str, row_id: UUID, token: UUID, problem: Exception) -> None:
    """Go on with the others: what was not answered is asked again soon, what went wrong otherwise in an hour."""
    waits = isinstance(problem, ProviderUnavailable)
    if waits:
        log.warning(f"a {what} waits for its provider", id=str(row_id), error=str(problem))
    else:
        log.exception(f"a {what} cannot go on, and is tried again", id=str(row_id))
    async with db.transaction(ACTOR) as ctx:
        await store.put_off(ctx, what, row_id, token, PAUSE if waits else LOOK_AGAIN)


async def _advance(db: Database, provider: PaymentProvider, payment: Payment, token: UUID) -> None:
    if payment.reference:
        charge = await provider.get_charge(payment.reference)
        left = await _is_left(db, payment, charge)
        if left and charge.state is ChargeState.OPEN:
            charge = await provider.cancel_charge(payment.reference)
        if left and charge.state is ChargeState.CANCELED:
            payment = await _begin_anew(db, payment, token)
        elif charge.state is not ChargeState.OPEN or payment.to_look_at:
            await _settle(db, payment, token, charge, tried=False)
            return
    if payment.amount_nano < provider.smallest_charge(payment.currency):
        await _give_up(db, provider, payment, token, _TOO_SMALL)
        return
    try:
        prepared = await _prepare(db, payment, token)
    except (NoPaymentMethod, ProviderRefused) as refused:
        await _settle(db, payment, token, _refusal(payment, refused), tried=True)
        return
    if prepared is None:
        await _give_up(db, provider, payment, token)
        return
    await _charge(db, provider, *prepared, token)


async def _is_left(db: Database, payment: Payment, charge: Charge) -> bool:
    """Whether nobody can pay the charge of a payment that is to be tried: its customer was deleted at the provider.

    One that is canceled already is so by a worker that died before it could say that it began anew.
    """
    tries = payment.state in (PaymentState.SENDING, PaymentState.FAILED)
    if not tries or charge.customer is None or (payment.to_look_at and charge.state is ChargeState.OPEN):
        return False
    async with db.transaction(ACTOR) as ctx:
        customer = await store.find_customer(ctx, payment.account)
    return customer is None or customer.reference != charge.customer


async def _begin_anew(db: Database, payment: Payment, token: UUID) -> Payment:
    """Have another charge opened, now that this one can never be paid."""
    async with db.transaction(ACTOR) as ctx:
        if not await store.leave_charge(ctx, payment.id, token):
            raise ProviderUnavailable("another worker took this payment over")
    return replace(payment, state=PaymentState.PLANNED, reference=None)


async def _prepare(db: Database, payment: Payment, token: UUID) -> tuple[Payment, Customer, str] | None:
    """Write down that the provider is asked now, who by, and for which invoice; None where that wants no such payment
    any more.

    An attempt that a dead worker began goes on as it was: same number, same method, so the same key.
    """
    async with db.transaction(ACTOR) as ctx:
        invoice, wanted = await look_up(ctx, payment.invoice_id)
        if wanted != payment.amount_nano:
            return None
        customer = await chargeable(ctx, payment.account)
        if payment.state is not PaymentState.SENDING:
            method = customer.default_method or ""
            payment = replace(payment, state=PaymentState.SENDING, attempt=payment.attempt + 1, method=method)
        if not await store.begin_attempt(ctx, payment, token, payment.method):
            raise ProviderUnavailable("another worker took this payment over")
    return payment, customer, invoice.number or ""


async def _charge(
    db: Database, provider: PaymentProvider, payment: Payment, customer: Customer, number: str, token: UUID
) -> None:
    try:
        if payment.reference is None:
            opened = await provider.open_charge(_order(payment, customer, number))
            payment = replace(payment, reference=opened.reference)
            async with db.transaction(ACTOR) as ctx:
                if not await store.keep_charge(ctx, payment.id, token, opened.reference):
                    return  # who took it over has a charge of its own, and this one is never confirmed
        assert payment.reference is not None
        key = f"confirm-{payment.id}-{payment.attempt}"
        charge = await provider.confirm_charge(payment.reference, payment.method, key)
    except (ProviderRefused, Invalid) as refused:
        charge = _refusal(payment, refused)
    await _settle(db, payment, token, charge, tried=True)


async def _give_up(
    db: Database, provider: PaymentProvider, payment: Payment, token: UUID, why: tuple[str, str] | None = None
) -> None:
    """See that the charge cannot be paid any more; one that was paid meanwhile counts."""
    code, message = why or (None, None)
    charge = Charge("", ChargeState.CANCELED, 0, payment.currency, failure_code=code, failure_message=message)
    if payment.reference:
        charge = await provider.cancel_charge(payment.reference)
    await _settle(db, payment, token, charge, tried=False)


async def _settle(db: Database, payment: Payment, token: UUID, charge: Charge, *, tried: bool) -> None:
    if charge.state is ChargeState.SUCCEEDED:
        check_amount(payment, charge)
    async with db.transaction(ACTOR) as ctx:
        outcome = outcome_of(payment, charge, ctx.now(), tried=tried)
        if not await store.settle_payment(ctx, payment, token, outcome):
            return
        if outcome.state is PaymentState.SUCCEEDED:
            await ctx.emit(succeeded(payment), payment.account)
        elif outcome.state is PaymentState.CANCELED:
            await _plan_rest(ctx, payment)
        elif outcome.state in (PaymentState.FAILED, PaymentState.EXHAUSTED) and (
            tried or payment.state is PaymentState.PROCESSING
        ):
            await ctx.emit(_failed(payment, outcome), payment.account)


async def _plan_rest(ctx: Context, payment: Payment) -> None:
    """Charge what is open now, where a part was paid otherwise while the payment waited."""
    invoice, wanted = await look_up(ctx, payment.invoice_id)
    if wanted in (0, payment.amount_nano):
        return
    try:
        await plan_payment(ctx, invoice, wanted, await chargeable(ctx, payment.account))
    except NoPaymentMethod:
        log.info("what is left of an invoice has no payment method", invoice=str(payment.invoice_id))


def _order(payment: Payment, customer: Customer, number: str) -> ChargeOrder:
    return ChargeOrder(
        payment_id=payment.id,
        attempt=payment.attempt,
        customer=customer.reference or "",
        amount_minor=minor_units(payment.amount_nano, payment.currency),
        currency=payment.currency,
        description=f"Invoice {number}",
    )


def _refusal(payment: Payment, refused: IronworksError) -> Charge:
    """A refusal before the bank was asked."""
    code = refused.details.get("provider_code") or refused.code.lower()
    return Charge(
        payment.reference or "", ChargeState.OPEN, 0, payment.currency,
        failure_code=str(code), failure_message=refused.message,
    )  # fmt: skip


def _failed(payment: Payment, outcome: Outcome) -> PaymentFailed:
    return PaymentFailed(
        payment_id=payment.id,
        invoice_id=payment.invoice_id,
        account=payment.account,
        attempt=payment.attempt,
        code=outcome.failure_code or "refused",
        message=outcome.failure_message or "",
        next_attempt_at=outcome.due_at,
    )


# --- refunds ------------------------------------------------------------------------------------------------------


async def refund_due(db: Database, provider: PaymentProvider) -> int:
    """Take every refund that is due a step further, at most a hundred; returns how many were taken up."""
    for done in range(_BATCH):
        async with db.transaction(ACTOR) as ctx:
            claimed = await store.claim_refund(ctx, provider.name)
            payment = await store.find_payment(ctx, claimed[0].payment_id) if claimed else None
        if claimed is None or payment is None:
            return done
        refund, token = claimed
        try:
            answer = await _ask_refund(provider, refund, payment)
            await _settle_refund(db, refund, payment, token, answer)
        except Exception as problem:
            await _put_off(db, "refund", refund.id, token, problem)
    return _BATCH


async def _ask_refund(provider: PaymentProvider, refund: Refund, payment: Payment) -> RefundAnswer:
    if payment.provider == MANUAL:
        return RefundAnswer(f"by-hand-{refund.id}", RefundState.SUCCEEDED)
    amount = minor_units(refund.amount_nano, payment.currency)
    try:
        return await provider.refund(RefundOrder(refund.id, payment.reference or "", amount, refund.reason))
    except ProviderRefused as refused:
        return RefundAnswer(refund.reference or "", RefundState.FAILED, refused.message)


async def _settle_refund(db: Database, refund: Refund, payment: Payment, token: UUID, answer: RefundAnswer) -> None:
    async with db.transaction(ACTOR) as ctx:
        again = ctx.now() + LOOK_AGAIN if answer.state is RefundState.PENDING else None
        if not await store.settle_refund(ctx, refund.id, token, answer, again):
            return
        if answer.state is RefundState.SUCCEEDED:
            await ctx.emit(refunded(refund, payment, answer.reference), payment.account)
