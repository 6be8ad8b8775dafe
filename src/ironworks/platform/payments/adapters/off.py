"""No provider: invoices are paid by bank transfer or the like, and the operator records what came in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from ironworks.platform.payments.provider import (
    BadSignature,
    Charge,
    ChargeOrder,
    Checkout,
    Method,
    Notice,
    PaymentsOff,
    RefundAnswer,
    RefundOrder,
)


class NoProvider:
    """Refuses everything with PaymentsOff."""

    name: Final = "none"
    enabled: Final = False

    def smallest_charge(self, currency: str) -> int:
        return 0

    async def create_customer(self, account: str, key: str) -> str:
        raise PaymentsOff

    async def open_checkout(
        self, customer: str, currency: str, success_url: str, cancel_url: str, key: str
    ) -> Checkout:
        raise PaymentsOff

    async def list_methods(self, customer: str) -> list[Method]:
        raise PaymentsOff

    async def set_default_method(self, customer: str, method: str) -> None:
        raise PaymentsOff

    async def forget_method(self, method: str) -> None:
        raise PaymentsOff

    async def open_charge(self, order: ChargeOrder) -> Charge:
        raise PaymentsOff

    async def confirm_charge(self, reference: str, method: str, key: str) -> Charge:
        raise PaymentsOff

    async def get_charge(self, reference: str) -> Charge:
        raise PaymentsOff

    async def cancel_charge(self, reference: str) -> Charge:
        raise PaymentsOff

    async def refund(self, order: RefundOrder) -> RefundAnswer:
        raise PaymentsOff

    def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[Charge]:
        raise PaymentsOff

    def read_notice(self, body: bytes, signature: str | None) -> Notice:
        raise BadSignature("no payment provider is configured here, so nothing can be signed by one")
