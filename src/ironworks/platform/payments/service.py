"""What people ask of payments: pay, record, give back, and leave a payment method."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID, uuid4

from ironworks.platform import invoices, tenancy
from ironworks.platform.payments import notices, store
from ironworks.platform.payments.currencies import minor_units
from ironworks.platform.payments.events import PaymentSucceeded, RefundSucceeded
from ironworks.platform.payments.model import (
    KEPT_METHODS,
    MANUAL,
    Difference,
    NoPaymentMethod,
    NotPayable,
    Payment,
    PaymentState,
    PaymentUnderWay,
    ReferenceUsed,
    Refund,
)
from ironworks.platform.payments.provider import (
    Checkout,
    Customer,
    CustomerGone,
    Method,
    Notice,
    PaymentProvider,
    PaymentsOff,
    RefundState,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound, invalid
from ironworks.shared.http import Call
from ironworks.shared.path import level

PAYABLE = (invoices.InvoiceState.FINALIZED, invoices.InvoiceState.UNCOLLECTIBLE)


async def pay_invoice(ctx: Context, invoice_id: UUID) -> Payment:
    """Have an invoice paid by its account's payment method, soon; one that failed is tried again at once.

    Needs `payment:create` at the account. Raises NotFound, NotPayable, NoPaymentMethod, PaymentUnderWay.
    """
    invoice, wanted = await look_up(ctx, invoice_id)
    await ctx.require("payment:create", invoice.account)
    if wanted <= 0:
        raise NotPayable(f"this invoice is {invoice.state} and nothing of it is to pay", open_nano=wanted)
    customer = await chargeable(ctx, invoice.account)
    if live := await store.find_live_payment(ctx, invoice_id):
        return await retry_payment(ctx, live.id)
    payment = await plan_payment(ctx, invoice, wanted, customer)
    if payment is None:
        raise PaymentUnderWay("another payment of this invoice began just now; look at it")
    await ctx.audit("payment.create", "Payment", str(payment.id), payment.account)
    return payment


async def look_up(ctx: Context, invoice_id: UUID) -> tuple[invoices.Invoice, int]:
    """An invoice, and what is to be charged for it now, in nano-units; 0 for one that nobody is to pay.

    Money that came in counts before the invoice knows of it. It is read first: should the invoice learn of it in
    between, too little is found, which is found out, and never too much.
    """
    on_its_way = await store.sum_unrecorded(ctx, invoice_id)
    invoice = await invoices.get_invoice(ctx, invoice_id)
    return invoice, max(0, invoice.open_nano - on_its_way) if invoice.state in PAYABLE else 0


async def plan_payment(ctx: Context, invoice: invoices.Invoice, amount_nano: int, customer: Customer) -> Payment | None:
    """Write down that the invoice's customer is to be charged; None where a live payment does it already."""
    payment = Payment(
        id=uuid4(),
        account=invoice.account,
        invoice_id=invoice.id,
        provider=customer.provider,
        method=customer.default_method or "",
        amount_nano=amount_nano,
        currency=invoice.currency,
        state=PaymentState.PLANNED,
        created_at=ctx.now(),
        due_at=ctx.now(),
    )
    return payment if await store.insert_payment(ctx, payment) else None


async def retry_payment(ctx: Context, payment_id: UUID) -> Payment:
    """Try a failed payment again now. Raises NotFound, PaymentUnderWay for one that is not waiting to be."""
    payment = await get_payment(ctx, payment_id)
    await ctx.require("payment:create", payment.account)
    if not await store.retry_payment(ctx, payment_id):
        raise PaymentUnderWay(f"this payment is {payment.state}: only a failed one can be tried again")
    await ctx.audit("payment.retry", "Payment", str(payment_id), payment.account)
    return await get_payment(ctx, payment_id)


async def record_receipt(ctx: Context, invoice_id: UUID, amount_nano: int, method: str, reference: str) -> Payment:
    """Record money that came in without a provider; what is too much becomes the account's credit.

    Needs `receipt:create` at the operator's scope. The same again records nothing more. Raises NotFound, NotPayable for
    a draft, Invalid, ReferenceUsed.
    """
    await ctx.require("receipt:create", "")
    invoice = await invoices.get_invoice(ctx, invoice_id)
    if invoice.state is invoices.InvoiceState.DRAFT:
        raise NotPayable("a draft cannot be paid: finalize it first")
    if method in KEPT_METHODS:
        raise invalid("method", f"{method!r} is kept for payment providers", "say how it came in, say bank_transfer")
    invoices.check_coins(amount_nano, invoice.currency)
    now = ctx.now()
    receipt = Payment(
        uuid4(), invoice.account, invoice_id, MANUAL, method, amount_nano, invoice.currency, PaymentState.SUCCEEDED,
        created_at=now, finished_at=now, reference=reference,
    )  # fmt: skip
    if not await store.insert_payment(ctx, receipt):
        known = await store.find_receipt(ctx, MANUAL, reference)
        if known and (known.invoice_id, known.amount_nano, known.method) == (invoice_id, amount_nano, method):
            return known
        raise ReferenceUsed(f"{reference!r} named another receipt before; use a reference of its own")
    await ctx.emit(succeeded(receipt), receipt.account)
    after = {"amount_nano": amount_nano, "method": method, "reference": reference, "invoice": str(invoice_id)}
    await ctx.audit("payment.record", "Payment", str(receipt.id), receipt.account, after=after)
    return receipt


async def refund_payment(ctx: Context, payment_id: UUID, amount_nano: int, reason: str) -> Refund:
    """Give back a part of a payment, or all of it. What came in by hand goes back by hand: it counts at once.

    Needs `refund:create` at the operator's scope. Raises NotFound, Invalid, NotPayable for more than is left of it.
    """
    await ctx.require("refund:create", "")
    payment = await get_payment(ctx, payment_id)
    await store.lock_refunds(ctx, payment.invoice_id)
    if payment.provider == MANUAL:
        invoices.check_coins(amount_nano, payment.currency)
    else:
        minor_units(amount_nano, payment.currency)
    await _check_refundable(ctx, payment, amount_nano)
    refund = Refund(
        uuid4(), payment.id, payment.account, amount_nano, reason, RefundState.PLANNED, ctx.now()
    )  # fmt: skip
    await store.insert_refund(ctx, refund)
    after = {"amount_nano": amount_nano, "refund": str(refund.id), "reason": reason}
    await ctx.audit("payment.refund", "Payment", str(payment.id), payment.account, after=after)
    return refund


async def _check_refundable(ctx: Context, payment: Payment, amount_nano: int) -> None:
    if payment.state is not PaymentState.SUCCEEDED:
        raise NotPayable(f"this payment is {payment.state}: nothing of it can go back")
    refunds = await store.list_refunds(ctx, [payment.id])
    left = payment.amount_nano - sum(r.amount_nano for r in refunds if r.state is not RefundState.FAILED)
    if amount_nano > left:
        raise NotPayable("more would go back than was paid", left_nano=left)
    going_back = await store.sum_going_back(ctx, payment.invoice_id)
    invoice = await invoices.get_invoice(ctx, payment.invoice_id)
    if amount_nano > invoice.paid_nano - going_back:
        raise NotPayable(
            "more would go back than was paid for the invoice; the rest became credit", paid_nano=invoice.paid_nano
        )


def succeeded(payment: Payment) -> PaymentSucceeded:
    """The event of a payment that has a reference."""
    assert payment.reference is not None
    return PaymentSucceeded(
        payment_id=payment.id,
        invoice_id=payment.invoice_id,
        account=payment.account,
        provider=payment.provider,
        method=payment.method if payment.provider == MANUAL else payment.provider,
        reference=payment.reference,
        amount_nano=payment.amount_nano,
        currency=payment.currency,
    )


def refunded(refund: Refund, payment: Payment, reference: str) -> RefundSucceeded:
    """The event of a refund that arrived, or that will surely."""
    return RefundSucceeded(
        refund_id=refund.id,
        payment_id=payment.id,
        invoice_id=payment.invoice_id,
        account=payment.account,
        reference=reference,
        amount_nano=refund.amount_nano,
        currency=payment.currency,
    )


async def get_payment(ctx: Context, payment_id: UUID) -> Payment:
    """Raises NotFound."""
    payment = await store.find_payment(ctx, payment_id)
    if payment is None:
        raise NotFound(f"no payment {payment_id} for this caller")
    return payment


async def show_payment(ctx: Context, payment_id: UUID) -> tuple[Payment, list[Refund]]:
    """A payment and its refunds. Raises NotFound."""
    payment = await get_payment(ctx, payment_id)
    return payment, await store.list_refunds(ctx, [payment_id])


async def list_payments(
    ctx: Context, account: str | None, invoice_id: UUID | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Payment]:
    """What the caller may see, newest first, from `before` (created at, id) on."""
    return await store.list_payments(ctx, account, invoice_id, before, limit)


async def list_differences(
    ctx: Context, *, gone: bool, before: tuple[datetime, UUID] | None, limit: int
) -> tuple[tuple[date, int, datetime] | None, list[Difference]]:
    """The last comparison (day, charges compared, when), and what it found. Needs `reconciliation:read`."""
    await ctx.require("reconciliation:read", "")
    return await notices.last_reconciled(ctx), await notices.list_differences(
        ctx, gone=gone, before=before, limit=limit
    )


async def find_invoice(ctx: Context, text: str) -> UUID:
    """The id of the invoice with this number or id. Raises NotFound."""
    return (await invoices.find_invoice(ctx, text)).id


def parse_id(text: str) -> UUID:
    """`text` as the id of a payment. Raises NotFound: none is called anything else."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"nothing is called {text[:80]!r} here: an id is a UUID") from None


# --- payment methods ----------------------------------------------------------------------------------------------


async def open_checkout(
    call: Call, provider: PaymentProvider, path: str, currency: str, success_url: str, cancel_url: str
) -> Checkout:
    """A page of the provider's on which an account leaves a payment method.

    Needs `payment-method:create` at the account. Raises NotFound (no account, or one that is being deleted),
    PaymentsOff, ProviderUnavailable, ProviderRefused.
    """
    account = account_of(path)
    if not provider.enabled:
        raise PaymentsOff

    async def open_for(customer: Customer) -> Checkout:
        key = f"checkout-{call.request_id}-{customer.incarnation}"
        return await provider.open_checkout(customer.reference or "", currency, success_url, cancel_url, key)

    customer = await _customer(call, provider, account)
    try:
        return await open_for(customer)
    except CustomerGone:
        async with call.transaction() as ctx:
            await store.forget_customer(ctx, customer)
    return await open_for(await _customer(call, provider, account))


async def _customer(call: Call, provider: PaymentProvider, account: str) -> Customer:
    """Who the account is at the provider, made there if it is nobody yet.

    The key keeps two calls at once from making two; within a day it would be answered with a customer that was deleted
    since, so it counts those.
    """
    async with call.transaction() as ctx:
        if not await tenancy.is_open(ctx, account):
            raise NotFound(f"no account {account!r} for this caller, or it is being deleted")
        await store.insert_customer(ctx, account, provider.name)
        known = await store.find_customer(ctx, account)
    customer = known or Customer(account, provider.name, None, None)
    if customer.reference is not None:
        return customer
    made = await provider.create_customer(account, f"customer-{account}-{customer.incarnation}")
    async with call.transaction() as ctx:
        return replace(customer, reference=await store.keep_reference(ctx, account, made))


async def list_methods(ctx: Context, path: str) -> list[Method]:
    """What an account can be charged by, as it was when the provider last told of a change."""
    return await store.list_methods(ctx, account_of(path))


async def refresh_methods(ctx: Context, path: str) -> None:
    """Have the provider asked again what the account can be charged by; for where its webhooks do not come through."""
    customer = await store.find_customer(ctx, account_of(path))
    if customer is None or customer.reference is None:
        raise NoPaymentMethod("this account has not begun to leave a payment method: open a checkout")
    told = Notice(f"refresh-{ctx.request_id}", "customer.updated", customer.reference, None, ctx.now())
    await notices.insert_notice(ctx, told)


async def choose_method(call: Call, provider: PaymentProvider, path: str, reference: str) -> None:
    """Charge by this payment method from now on. Raises NotFound."""
    customer = await _owner(call, path, reference)
    await provider.set_default_method(customer.reference or "", reference)
    async with call.transaction() as ctx:
        await store.set_default(ctx, customer.account, reference)
        await ctx.audit("payment-method.default", "PaymentMethod", reference, customer.account)


async def remove_method(call: Call, provider: PaymentProvider, path: str, reference: str) -> None:
    """Never charge by this payment method again. Raises NotFound."""
    customer = await _owner(call, path, reference)
    await provider.forget_method(reference)
    async with call.transaction() as ctx:
        await store.delete_method(ctx, customer.account, reference)
        await ctx.audit("payment-method.delete", "PaymentMethod", reference, customer.account)


async def _owner(call: Call, path: str, reference: str) -> Customer:
    account = account_of(path)
    async with call.transaction() as ctx:
        customer = await store.find_customer(ctx, account)
        methods = await store.list_methods(ctx, account)
    if customer is None or reference not in {method.reference for method in methods}:
        raise NotFound(f"no payment method {reference[:80]!r} of {account}")
    return customer


async def chargeable(ctx: Context, account: str) -> Customer:
    """The account as a customer that can be charged. Raises NoPaymentMethod."""
    customer = await store.find_customer(ctx, account)
    if customer is None or customer.reference is None or customer.default_method is None:
        raise NoPaymentMethod(f"{account} has left no payment method: open a checkout first")
    return customer


def account_of(path: str) -> str:
    """`path` when it is an account. Raises Invalid."""
    if level(path) != 1:
        raise invalid("path", f"{path or '-'} is not an account", "name the account, for instance acme")
    return path


async def receive_notice(call: Call, provider: PaymentProvider, body: bytes, signature: str | None) -> None:
    """Keep what a provider tells, once; the worker then asks what it is about. Raises BadSignature."""
    notice = provider.read_notice(body, signature)
    async with call.transaction() as ctx:
        await notices.insert_notice(ctx, notice)
