"""What analytics does without a caller: count late charges and what came before it, and forget what is old."""

from __future__ import annotations

from typing import Final

from ironworks.platform import billing
from ironworks.products.tokenfactory.analytics import service
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

_MAX_BATCHES: Final = 200
_ACTOR: Final = system_actor("analytics")


@consumes(billing.UsageChargedLate.type, name="analytics.late_charges")
async def count_late_charges(ctx: Context, event: LoggedEvent) -> None:
    """What waited for a price was counted without a cost; its hours are made anew."""
    await service.recount_events(ctx, event.payload_as(billing.UsageChargedLate).usage_event_ids)


@schedules(every=300)
async def forget_old_rows(db: Database) -> None:
    """Remove minutes and hours that are past their time, a batch per transaction."""
    for _ in range(_MAX_BATCHES):
        async with db.transaction(_ACTOR) as ctx:
            if await service.forget_rows(ctx) == 0:
                return


@schedules(every=600, timeout=86_400)
async def count_history(db: Database) -> None:
    """Count what was charged before analytics was there, once: a day of a scope per transaction."""
    while True:
        async with db.transaction(_ACTOR) as ctx:
            history = await service.next_history(ctx)
        if history is None:
            return
        for since, until in history.days:
            async with db.transaction(_ACTOR) as ctx:
                await service.rebuild_hours(ctx, history.path, since, until)
        async with db.transaction(_ACTOR) as ctx:
            await service.end_history(ctx, history)
