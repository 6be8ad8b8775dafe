"""Our books and the provider's, held against each other: what differs is told, and never mended in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ironworks.platform.payments import notices, store
from ironworks.platform.payments.collecting import ACTOR
from ironworks.platform.payments.currencies import minor_units
from ironworks.platform.payments.events import DifferenceFound
from ironworks.platform.payments.model import Difference, Payment, PaymentState
from ironworks.platform.payments.provider import (
    Charge,
    ChargeState,
    Customer,
    CustomerGone,
    Notice,
    PaymentProvider,
    ProviderRefused,
    ProviderUnavailable,
    RefundState,
)
from ironworks.shared import telemetry
from ironworks.shared.context import Context
from ironworks.shared.db import Database

log = telemetry.logger(__name__)

LOOKS_BACK: Final = timedelta(days=35)
"""Refunds and late decisions of bank debits are seen for so long after a payment began."""
SETTLES_IN: Final = timedelta(hours=1)
"""Younger payments may be on their way."""
_MONEY_MOVED: Final = (ChargeState.SUCCEEDED, ChargeState.PROCESSING)
_NOTICES: Final = 100


async def reconcile(db: Database, provider: PaymentProvider, now: datetime) -> int:
    """Compare what began in the last 35 days; returns how many differences are new.

    Each new one becomes an event and a line in the log; one that is gone at the next comparison is marked so.
    """
    since, until = now - LOOKS_BACK, now - SETTLES_IN
    theirs = {charge.reference: charge async for charge in provider.list_charges(since, until)}
    async with db.transaction(ACTOR) as ctx:
        ours = await store.list_settled(ctx, provider.name, list(theirs), since, until)
        refunds = await store.list_refunds(ctx, [payment.id for payment in ours])
        back: dict[UUID, int] = {}
        for refund in refunds:
            if refund.state in (RefundState.SUCCEEDED, RefundState.PENDING):
                back[refund.payment_id] = back.get(refund.payment_id, 0) + refund.amount_nano
        found = list(compare(ours, back, theirs, now))
        compared = {payment.reference for payment in ours if payment.reference} | set(theirs)
        await notices.end_differences(ctx, compared, found)
        new = [difference for difference in found if await _tell(ctx, difference)]
        await store.look_at(ctx, [difference.reference for difference in found])
        await notices.note_reconciled(ctx, now.date(), len(compared))
    return len(new)


def compare(
    ours: Sequence[Payment], refunded_nano: Mapping[UUID, int], theirs: Mapping[str, Charge], now: datetime
) -> Iterator[Difference]:
    """Everything that the two tell differently about money that moved.

    Args:
        refunded_nano: by payment, what we gave back.
        theirs: by their references.
    """
    known = {payment.reference: payment for payment in ours if payment.reference}
    for reference, charge in theirs.items():
        if reference not in known and charge.state in _MONEY_MOVED:
            yield Difference(reference, "unknown", "nothing", _shown(charge), charge.payment_id, now)
    for reference, payment in known.items():
        other = theirs.get(reference)
        if other is None:
            if payment.state is PaymentState.SUCCEEDED:
                yield Difference(reference, "missing", _told(payment), "nothing", payment.id, now)
            continue
        if (payment.state is PaymentState.SUCCEEDED) != (other.state is ChargeState.SUCCEEDED):
            yield Difference(reference, "state", payment.state, other.state, payment.id, now)
        amount = minor_units(payment.amount_nano, payment.currency)
        if (amount, payment.currency) != (other.amount_minor, other.currency):
            yield Difference(reference, "amount", _told(payment), _shown(other), payment.id, now)
        back = refunded_nano.get(payment.id, 0)
        back_minor = minor_units(back, payment.currency) if back else 0
        if back_minor != other.refunded_minor:
            yield Difference(reference, "refunds", str(back_minor), str(other.refunded_minor), payment.id, now)


def _told(payment: Payment) -> str:
    return f"{minor_units(payment.amount_nano, payment.currency)} {payment.currency} {payment.state}"


def _shown(charge: Charge) -> str:
    return f"{charge.amount_minor} {charge.currency} {charge.state}"


async def _tell(ctx: Context, difference: Difference) -> bool:
    if not await notices.add_difference(ctx, difference):
        return False
    log.error("our books and the provider's differ", reference=difference.reference, kind=difference.kind)
    told = DifferenceFound(
        reference=difference.reference, kind=difference.kind, ours=difference.ours, theirs=difference.theirs
    )
    await ctx.emit(told)
    return True


# --- notices ------------------------------------------------------------------------------------------------------


async def take_notices(db: Database, provider: PaymentProvider) -> int:
    """Turn what was told into looks, at most a hundred notices; returns how many.

    Their order and repetitions do not matter: each only says what is to be asked about. Where the provider does not
    answer, notices about customers are left for the next time; the others are taken.
    """
    async with db.transaction(ACTOR) as ctx:
        new = await notices.list_new_notices(ctx, _NOTICES)
        customers = await store.list_customers(ctx, _customers_of(new))
    try:
        for customer in customers:
            await _sync_methods(db, provider, customer)
    except ProviderUnavailable as problem:
        log.warning("notices about customers wait for the provider", error=problem.message)
        new = [notice for notice in new if not _customers_of([notice])]
    async with db.transaction(ACTOR) as ctx:
        await store.look_at(ctx, charges_of(new))
        for notice in new:
            await _note_dispute(ctx, notice)
        await notices.note_handled(ctx, [notice.id for notice in new])
    return len(new)


def charges_of(new: Sequence[Notice]) -> Collection[str]:
    """The charges that these are about."""
    own = {n.object_id for n in new if n.type.startswith("payment_intent.")}
    return own | {n.related_id for n in new if n.related_id and n.type.startswith(("charge.", "refund."))}


def _customers_of(new: Sequence[Notice]) -> Collection[str]:
    """Customers, or methods of theirs, whose payment methods may have changed."""
    about = ("customer.", "checkout.session.", "payment_method.", "setup_intent.")
    told = [n for n in new if n.type.startswith(about)]
    return {n.object_id for n in told} | {n.related_id for n in told if n.related_id}


async def _sync_methods(db: Database, provider: PaymentProvider, customer: Customer) -> None:
    """Take over what the customer can be charged by; with a new way to pay, what failed is tried again.

    One that was deleted there is forgotten: nothing is charged until the account leaves a payment method again.
    """
    try:
        methods = await provider.list_methods(customer.reference or "")
    except CustomerGone:
        log.warning("a customer was deleted at the provider", account=customer.account)
        async with db.transaction(ACTOR) as ctx:
            await store.forget_customer(ctx, customer)
        return
    except ProviderRefused as refused:
        log.error("the provider refuses to tell of a customer", account=customer.account, error=refused.message)
        methods = []
    default = next((m.reference for m in methods if m.default), None)
    if default is None:
        known = customer.default_method
        default = next((m.reference for m in methods if m.reference == known), None)
        default = default or next((m.reference for m in methods), None)
    async with db.transaction(ACTOR) as ctx:
        await store.replace_methods(ctx, customer.account, methods, default)
        if default and default != customer.default_method:
            await store.retry_account(ctx, customer.account)


async def _note_dispute(ctx: Context, notice: Notice) -> None:
    """A bank takes a payment back, or wants to: that is for a person, who has days to answer."""
    if notice.related_id is None:
        return
    if notice.type == "charge.dispute.created":
        await _tell(ctx, Difference(notice.related_id, "dispute", "paid", "disputed", None, ctx.now()))
    elif notice.type == "charge.dispute.closed":
        await notices.end_disputes(ctx, [notice.related_id])
