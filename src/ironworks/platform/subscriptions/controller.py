"""What subscriptions do without a caller: begin and end periods, suggest larger plans, follow payments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias
from uuid import UUID

from ironworks.platform.subscriptions import service
from ironworks.shared import telemetry
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

log = telemetry.logger(__name__)
_BATCH: Final = 100
_ACTOR: Final = system_actor("subscriptions")
Find: TypeAlias = Callable[[Context, UUID, int], Awaitable[list[UUID]]]
Act: TypeAlias = Callable[[Context, UUID], Awaitable[None]]


@schedules(every=60)
async def roll_subscriptions(db: Database) -> None:
    """Trials end, scheduled changes take effect, fees fall due and cancelled subscriptions end."""
    await _each(db, service.list_rolling, service.roll_one)


@schedules(every=3600)
async def end_unpaid_subscriptions(db: Database) -> None:
    """What was not paid within the time of grace ends."""
    await _each(db, service.list_out_of_grace, service.end_unpaid)


@schedules(every=3600)
async def suggest_upgrades(db: Database) -> None:
    """Compare what is used with what is included."""
    await _each(db, service.list_live, service.suggest_upgrade)


async def _each(db: Database, find: Find, act: Act) -> None:
    """Act on all that there are, a page per transaction."""
    after = UUID(int=0)
    while True:
        async with db.transaction(_ACTOR) as ctx:
            page = await find(ctx, after, _BATCH)
        if not page:
            return
        await _together(db, page, act)
        after = page[-1]


async def _together(db: Database, page: Sequence[UUID], act: Act) -> None:
    """In one transaction, or one by one where one of them fails: that one keeps no other from its turn."""
    try:
        async with db.transaction(_ACTOR) as ctx:
            for subscription_id in page:
                await act(ctx, subscription_id)
    except Exception:
        if len(page) == 1:
            log.exception("a subscription cannot go on, and is tried again", subscription=str(page[0]))
            return
        for subscription_id in page:
            await _together(db, [subscription_id], act)


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
