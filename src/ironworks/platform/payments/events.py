"""What payments publishes."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class PaymentSucceeded(Event):
    """Money came in for an invoice; `reference` is the provider's id, or the receipt's."""

    type: ClassVar[str] = "platform.payments.payment_succeeded.v1"
    governed: ClassVar[bool] = True
    payment_id: UUID
    invoice_id: UUID
    account: str
    provider: str
    method: str
    reference: str
    amount_nano: int
    currency: str


class PaymentFailed(Event):
    """An attempt was refused. Without `next_attempt_at` it was the last: a person decides about the invoice."""

    type: ClassVar[str] = "platform.payments.payment_failed.v1"
    governed: ClassVar[bool] = True
    payment_id: UUID
    invoice_id: UUID
    account: str
    attempt: int
    code: str
    message: str
    next_attempt_at: datetime | None


class RefundSucceeded(Event):
    """Money went back."""

    type: ClassVar[str] = "platform.payments.refund_succeeded.v1"
    governed: ClassVar[bool] = True
    refund_id: UUID
    payment_id: UUID
    invoice_id: UUID
    account: str
    reference: str
    amount_nano: int
    currency: str


class DifferenceFound(Event):
    """Our books and the provider's tell something differently."""

    type: ClassVar[str] = "platform.payments.difference_found.v1"
    governed: ClassVar[bool] = True
    reference: str
    kind: str
    ours: str
    theirs: str
