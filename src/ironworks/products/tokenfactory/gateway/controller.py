"""Housekeeping of what processes reported."""

from __future__ import annotations

from ironworks.products.tokenfactory.gateway import service
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules


@schedules(every=3600)
async def forget_gateway_processes(db: Database) -> None:
    """Forget processes that ended long ago, and what was wrong with them."""
    async with db.transaction(system_actor("schedule/forget_gateway_processes")) as ctx:
        await service.forget_processes(ctx)
