"""What metering does without a caller: make the months ahead, forget what is past retention."""

from __future__ import annotations

from typing import Final

from ironworks.platform.metering import service
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

_MAX_BATCHES: Final = 200


@schedules(every=3600)
async def keep_usage(db: Database) -> None:
    """Say what is forgotten, then make and drop months, then delete, each in a transaction of its own."""
    actor = system_actor("metering")
    async with db.transaction(actor) as ctx:
        await service.forget_usage(ctx)
    async with db.transaction(actor) as ctx:
        await service.keep_months(ctx)
    for _ in range(_MAX_BATCHES):
        async with db.transaction(actor) as ctx:
            if await service.remove_forgotten(ctx) == 0:
                return
