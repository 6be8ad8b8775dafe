"""What payments and invoices tell reaches a subscription by their events, whoever publishes them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from ironworks.platform import subscriptions
from ironworks.platform.subscriptions import controller
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumer_of
from tests.platform.subscriptions.conftest import Subscribers

INVOICE = str(uuid4())


def told(event_type: str, account: str = "acme") -> LoggedEvent:
    payload = {"invoice_id": INVOICE, "account": account}
    return LoggedEvent(1, uuid4(), event_type, 1, account, payload, "run", None, datetime.now(UTC))


async def test_a_failed_payment_and_a_paid_invoice(world: Subscribers) -> None:
    await world.start(trial=False)
    for event_type, account, expected in (
        ("platform.payments.payment_failed.v1", "rival", "active"),
        ("platform.payments.payment_failed.v1", "acme", "past_due"),
        ("platform.invoices.invoice_overdue.v1", "acme", "past_due"),
        ("platform.invoices.invoice_paid.v1", "acme", "active"),
        ("platform.invoices.invoice_overdue.v1", "acme", "past_due"),
        ("platform.invoices.invoice_voided.v1", "acme", "active"),
    ):
        async with world.lower.system("worker") as ctx:
            for handler in (controller.on_unpaid, controller.on_settled):
                consumer = consumer_of(handler)
                assert consumer is not None
                if event_type in consumer.patterns:
                    await handler(ctx, told(event_type, account))
        async with world.lower.acting(world.payer) as ctx:
            assert (await subscriptions.get_standing(ctx, "acme")).subscription.status == expected
