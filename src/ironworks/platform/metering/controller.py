"""What metering does without a caller: add up, make the months ahead, forget what is past retention."""

from __future__ import annotations

from typing import Final

from ironworks.platform.metering import service
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

_MAX_BATCHES: Final = 200


@schedules(every=3600)
async def keep_usage(db: Database) -> None:
    """Add up, say what is forgotten, then make and drop months, then delete, each in a transaction of its own."""
    actor = system_actor("metering")
    async with db.transaction(actor) as ctx:
        await service.roll_usage(ctx)
    async with db.transaction(actor) as ctx:
        await service.forget_usage(ctx)
    async with db.transaction(actor) as ctx:
        await service.keep_months(ctx)
    for _ in range(_MAX_BATCHES):
        async with db.transaction(actor) as ctx:
            if await service.remove_forgotten(ctx) == 0:
                return


@schedules(every=60, timeout=3600)
async def roll_usage(db: Database) -> None:
    """Add what was recorded to the sums by hour and day."""
    async with db.transaction(system_actor("metering")) as ctx:
        await service.roll_usage(ctx)
