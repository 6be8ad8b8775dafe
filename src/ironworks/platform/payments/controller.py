"""What payments does without a caller: charge, look, try again, compare, and tell invoices what came in."""

from __future__ import annotations

from ironworks.platform import invoices
from ironworks.platform.payments import collecting, notices, reconciling, service, store
from ironworks.platform.payments.events import PaymentSucceeded, RefundSucceeded
from ironworks.platform.payments.model import NOTICES_KEPT_FOR, NoPaymentMethod
from ironworks.platform.payments.provider import PaymentProvider
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules


@consumes(invoices.InvoiceFinalized.type, name="payments.charge_invoice")
async def on_invoice_finalized(ctx: Context, event: LoggedEvent) -> None:
    """An account with a payment method is charged at once; the others pay by themselves."""
    invoice, wanted = await service.look_up(ctx, event.payload_as(invoices.InvoiceFinalized).invoice_id)
    if wanted <= 0:
        return
    try:
        customer = await service.chargeable(ctx, invoice.account)
    except NoPaymentMethod:
        return
    await service.plan_payment(ctx, invoice, wanted, customer)


@consumes(PaymentSucceeded.type, name="payments.record_payment")
async def on_payment_succeeded(ctx: Context, event: LoggedEvent) -> None:
    """The invoice, and with it the ledger, learns of the money in the transaction that moves this cursor: once."""
    paid = event.payload_as(PaymentSucceeded)
    await invoices.record_payment(ctx, paid.invoice_id, paid.amount_nano, paid.method, paid.reference)
    await store.note_recorded(ctx, "payment", paid.payment_id)


@consumes(RefundSucceeded.type, name="payments.record_refund")
async def on_refund_succeeded(ctx: Context, event: LoggedEvent) -> None:
    """Likewise for money that went back."""
    back = event.payload_as(RefundSucceeded)
    await invoices.record_refund(ctx, back.invoice_id, back.amount_nano, "refund", back.reference)
    await store.note_recorded(ctx, "refund", back.refund_id)


@schedules(every=2)
async def move_money(db: Database, provider: PaymentProvider) -> None:
    """Take in what was told, then charge and give back what is due."""
    if provider.enabled:
        await reconciling.take_notices(db, provider)
        await collecting.pay_due(db, provider)
    await collecting.refund_due(db, provider)


@schedules(every=3600)
async def compare_books(db: Database, provider: PaymentProvider) -> None:
    """Once a day, and again within the hour when that failed."""
    if not provider.enabled:
        return
    async with db.transaction(collecting.ACTOR) as ctx:
        last = await notices.last_reconciled(ctx)
        now = ctx.now()
    if last is None or last[0] < now.date():
        await reconciling.reconcile(db, provider, now)


@schedules(every=86_400)
async def forget_notices(db: Database) -> None:
    """Remove notices that no provider repeats any more."""
    async with db.transaction(collecting.ACTOR) as ctx:
        await notices.delete_notices(ctx, ctx.now() - NOTICES_KEPT_FOR)
