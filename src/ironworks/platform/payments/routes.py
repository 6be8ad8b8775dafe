"""Payments, payment methods, refunds and differences over HTTP, and the address that a provider calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import invoices
from ironworks.platform.payments import service
from ironworks.platform.payments.model import Payment, PaymentState
from ironworks.platform.payments.provider import Method, PaymentProvider, RefundState
from ironworks.platform.payments.service import parse_id
from ironworks.shared.context import Context
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Call, Raw, Router
from ironworks.shared.listing import PageQuery, decode_newest, encode_cursor
from ironworks.shared.path import parse_path
from ironworks.shared.shapes import Shape

router = Router("platform.payments")

_MOST_NANO = 2**63 - 1


class PaymentView(Shape):
    """A payment; what it is for stands on its invoice."""

    id: UUID
    account: str
    invoice_id: UUID
    invoice_number: str | None = Field(description="Null for who may not see the invoice.")
    provider: str = Field(description="`stripe`, or `manual` for what the operator recorded.")
    method: str = Field(description="The payment method, or how money came in.")
    amount_nano: int = Field(description="Whole nano-units (10⁻⁹) of the currency.")
    currency: str
    state: PaymentState
    attempt: int = Field(description="How often the provider was asked to charge.")
    reference: str | None = Field(description="The provider's id, or the receipt's.")
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    finished_at: datetime | None
    recorded_at: datetime | None = Field(description="When the invoice knew of it.")
    next_attempt_at: datetime | None

    @classmethod
    def of(cls, payment: Payment, invoice_number: str | None) -> PaymentView:
        waits = payment.state in (PaymentState.PLANNED, PaymentState.FAILED)
        due = payment.due_at if waits else None
        return cls.show(payment, invoice_number=invoice_number, next_attempt_at=due)


async def _view(ctx: Context, payment: Payment) -> PaymentView:
    return (await _views(ctx, [payment]))[0]


async def _views(ctx: Context, payments: Sequence[Payment]) -> list[PaymentView]:
    numbers = await invoices.list_numbers(ctx, {payment.invoice_id for payment in payments})
    return [PaymentView.of(payment, numbers.get(payment.invoice_id)) for payment in payments]


class RefundView(Shape):
    id: UUID
    payment_id: UUID
    amount_nano: int
    reason: str
    state: RefundState
    reference: str | None
    failure_message: str | None
    created_at: datetime
    finished_at: datetime | None
    recorded_at: datetime | None


class PaymentDetail(BaseModel):
    payment: PaymentView
    refunds: list[RefundView]


class PaymentsPage(BaseModel):
    items: list[PaymentView]
    next_cursor: str | None


class PaymentsQuery(PageQuery):
    account: str | None = Field(None, max_length=63, description="Only this account's.")
    invoice: str | None = Field(None, max_length=100, description="Only of this invoice: its number or id.")


class PayRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    invoice: str = Field(min_length=1, max_length=100, description="Its number or id.")


class ReceiptRequest(BaseModel):
    """Money that came in by itself."""

    model_config = ConfigDict(extra="forbid")
    invoice: str = Field(min_length=1, max_length=100, description="Its number or id.")
    amount_nano: int = Field(gt=0, le=_MOST_NANO, description="What came in, in whole nano-units of its currency.")
    method: str = Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$", description="`bank_transfer`, say.")
    reference: str = Field(min_length=1, max_length=200, description="The bank's, or a receipt's: each counts once.")


class RefundRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount_nano: int = Field(gt=0, le=_MOST_NANO)
    reason: str = Field("", max_length=500)


class MethodView(Shape):
    reference: str
    kind: str
    label: str
    expires_on: date | None
    default: bool


class MethodsView(BaseModel):
    provider: str | None = Field(description="Who takes them; null: nobody, and money is recorded by hand.")
    items: list[MethodView]

    @classmethod
    def of(cls, provider: PaymentProvider, methods: Sequence[Method]) -> MethodsView:
        items = [MethodView.show(method) for method in methods]
        return cls(provider=provider.name if provider.enabled else None, items=items)


class CheckoutRequest(BaseModel):
    """Where the provider sends the customer afterwards."""

    model_config = ConfigDict(extra="forbid")
    success_url: str = Field(max_length=2000, pattern=r"^https?://")
    cancel_url: str = Field(max_length=2000, pattern=r"^https?://")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Which methods are offered depends on it.")


class CheckoutView(Shape):
    url: str = Field(description="Send the customer there.")
    expires_at: datetime


class DifferenceView(Shape):
    id: UUID
    reference: str
    kind: str = Field(description="unknown, missing, state, amount, refunds or dispute")
    ours: str
    theirs: str
    payment_id: UUID | None
    found_at: datetime
    gone_at: datetime | None


class DifferencesPage(BaseModel):
    compared_on: date | None = Field(description="The last day on which the books were compared.")
    compared: int = Field(description="How many charges were compared then.")
    items: list[DifferenceView]
    next_cursor: str | None


class DifferencesQuery(PageQuery):
    gone: bool = Field(False, description="Also those that are no more.")


@router.get("/api/v1/payments", permission=AUTHENTICATED)
async def list_payments(ctx: Context, query: PaymentsQuery) -> PaymentsPage:
    """List the payments that the caller may see, newest first."""
    before = decode_newest(query.cursor)
    account = parse_path(query.account) if query.account else None
    invoice = await service.find_invoice(ctx, query.invoice) if query.invoice else None
    found = await service.list_payments(ctx, account, invoice, before, query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return PaymentsPage(
        items=await _views(ctx, page),
        next_cursor=encode_cursor(page[-1].created_at.isoformat(), str(page[-1].id)) if more else None,
    )


@router.get("/api/v1/payments/{payment}", permission=AUTHENTICATED)
async def get_payment(ctx: Context, payment: str) -> PaymentDetail:
    """Show a payment and what of it went back."""
    found, refunds = await service.show_payment(ctx, parse_id(payment))
    return PaymentDetail(payment=await _view(ctx, found), refunds=[RefundView.show(r) for r in refunds])


@router.post("/api/v1/payments", permission=AUTHENTICATED, status=202)
async def pay_invoice(ctx: Context, body: PayRequest) -> PaymentView:
    """Have an invoice charged to its account's payment method; one that failed is tried again."""
    return await _view(ctx, await service.pay_invoice(ctx, await service.find_invoice(ctx, body.invoice)))


@router.post("/api/v1/payments:record", permission=AUTHENTICATED, status=201)
async def record_receipt(ctx: Context, body: ReceiptRequest) -> PaymentView:
    """Record money that came in without a payment provider."""
    invoice_id = await service.find_invoice(ctx, body.invoice)
    made = await service.record_receipt(ctx, invoice_id, body.amount_nano, body.method, body.reference)
    return await _view(ctx, made)


@router.post("/api/v1/payments/{payment}:retry", permission=AUTHENTICATED, status=202)
async def retry_payment(ctx: Context, payment: str) -> PaymentView:
    """Try a failed payment again now."""
    return await _view(ctx, await service.retry_payment(ctx, parse_id(payment)))


@router.post("/api/v1/payments/{payment}:refund", permission=AUTHENTICATED, status=202)
async def refund_payment(ctx: Context, payment: str, body: RefundRequest) -> RefundView:
    """Give back a payment, or a part of it."""
    made = await service.refund_payment(ctx, parse_id(payment), body.amount_nano, body.reason)
    return RefundView.show(made)


@router.get("/api/v1/scopes/{path}/payment-methods", permission="payment-method:read")
async def list_payment_methods(ctx: Context, provider: PaymentProvider, path: str) -> MethodsView:
    """List what an account can be charged by."""
    return MethodsView.of(provider, await service.list_methods(ctx, path))


@router.post(
    "/api/v1/scopes/{path}/payment-methods:checkout", permission="payment-method:create", calls_out=True, status=201
)
async def open_checkout(call: Call, provider: PaymentProvider, path: str, body: CheckoutRequest) -> CheckoutView:
    """Open a page of the payment provider's on which a payment method is left."""
    made = await service.open_checkout(call, provider, path, body.currency, body.success_url, body.cancel_url)
    return CheckoutView.show(made)


@router.post("/api/v1/scopes/{path}/payment-methods:refresh", permission="payment-method:create", status=202)
async def refresh_payment_methods(ctx: Context, provider: PaymentProvider, path: str) -> MethodsView:
    """Ask the provider again, soon; answers what is known so far."""
    await service.refresh_methods(ctx, path)
    return MethodsView.of(provider, await service.list_methods(ctx, path))


@router.post(
    "/api/v1/scopes/{path}/payment-methods/{method}:default",
    permission="payment-method:create",
    calls_out=True,
    status=204,
)
async def choose_payment_method(call: Call, provider: PaymentProvider, path: str, method: str) -> None:
    """Charge by this payment method from now on."""
    await service.choose_method(call, provider, path, method)


@router.delete(
    "/api/v1/scopes/{path}/payment-methods/{method}", permission="payment-method:delete", calls_out=True, status=204
)
async def remove_payment_method(call: Call, provider: PaymentProvider, path: str, method: str) -> None:
    """Remove a payment method."""
    await service.remove_method(call, provider, path, method)


@router.get("/api/v1/payment-differences", permission="reconciliation:read")
async def list_payment_differences(ctx: Context, query: DifferencesQuery) -> DifferencesPage:
    """List where our books and the payment provider's differ."""
    before = decode_newest(query.cursor)
    last, found = await service.list_differences(ctx, gone=query.gone, before=before, limit=query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return DifferencesPage(
        compared_on=last[0] if last else None,
        compared=last[1] if last else 0,
        items=[DifferenceView.show(difference) for difference in page],
        next_cursor=encode_cursor(page[-1].found_at.isoformat(), str(page[-1].id)) if more else None,
    )


@router.post("/api/v1/webhooks/stripe", permission=PUBLIC, calls_out=True)
async def receive_stripe_webhook(call: Call, provider: PaymentProvider, raw: bytes) -> Raw:
    """Take a notice that Stripe signed; 400 for any other."""
    await service.receive_notice(call, provider, raw, call.headers.get("stripe-signature"))
    return Raw(b"{}")
