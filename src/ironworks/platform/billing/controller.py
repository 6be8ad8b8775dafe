"""What billing does without a caller: charge usage from outside, and what had no price when it came."""

from __future__ import annotations

from typing import Final

from ironworks.platform.billing import service
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

_MAX_BATCHES: Final = 100


@schedules(every=60)
async def charge_waiting_usage(db: Database) -> None:
    """Rate and post waiting lines that have a price by now, a batch per transaction."""
    for _ in range(_MAX_BATCHES):
        async with db.transaction(system_actor("billing")) as ctx:
            if await service.charge_waiting(ctx) == 0:
                return


@schedules(every=1)
async def charge_ingested_usage(db: Database) -> None:
    """Rate and post what came from outside, a batch per transaction."""
    for _ in range(_MAX_BATCHES):
        async with db.transaction(system_actor("billing")) as ctx:
            if await service.charge_ingested(ctx) == 0:
                return


@schedules(every=900)
async def charge_settled_readings(db: Database) -> None:
    """Rate and post what levels by the time they held, largest levels and different things came to since."""
    async with db.transaction(system_actor("billing")) as ctx:
        await service.charge_readings(ctx)
