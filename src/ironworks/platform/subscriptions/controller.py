"""What subscriptions do without a caller: begin and end periods, suggest larger plans, follow payments."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ironworks.platform.subscriptions import service
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

_BATCH: Final = 100
_MAX_BATCHES: Final = 1000
_ACTOR: Final = system_actor("subscriptions")


@schedules(every=60)
async def roll_subscriptions(db: Database) -> None:
    """Trials end, scheduled changes take effect, fees fall due and cancelled subscriptions end, in small batches."""
    for _ in range(_MAX_BATCHES):
        async with db.transaction(_ACTOR) as ctx:
            if await service.roll_due(ctx, _BATCH) < _BATCH:
                break


@schedules(every=3600)
async def end_unpaid_subscriptions(db: Database) -> None:
    """What was not paid within the time of grace ends."""
    for _ in range(_MAX_BATCHES):
        async with db.transaction(_ACTOR) as ctx:
            if await service.end_unpaid(ctx, _BATCH) < _BATCH:
                break


@schedules(every=3600)
async def suggest_upgrades(db: Database) -> None:
    """Compare what is used with what is included."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with db.transaction(_ACTOR) as ctx:
            after = await service.suggest_upgrades(ctx, after, _BATCH)


@consumes(
    "platform.payments.payment_failed.v1", "platform.invoices.invoice_overdue.v1", name="subscriptions.note_unpaid"
)
async def on_unpaid(ctx: Context, event: LoggedEvent) -> None:
    """A payment failed, or none came in time."""
    await service.note_unpaid(ctx, event.payload["account"], UUID(event.payload["invoice_id"]))


@consumes("platform.invoices.invoice_paid.v1", "platform.invoices.invoice_voided.v1", name="subscriptions.note_settled")
async def on_settled(ctx: Context, event: LoggedEvent) -> None:
    """An invoice was paid, or taken back. What is written off as uncollectible stays unpaid: grace goes on."""
    await service.note_settled(ctx, event.payload["account"], UUID(event.payload["invoice_id"]))
