"""The gateway and endpoints that sleep: it says which ones serve somebody, and wakes those that somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ironworks.products.inference import endpoints
from ironworks.products.tokenfactory import gateway, routing
from ironworks.shared import telemetry
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

log = telemetry.logger(__name__)

ACTOR: Final = system_actor("gateway")
TELL_EVERY: Final = 5.0
"""Seconds between two reports of what is in use; an endpoint sleeps after no less than twice that."""


@dataclass(frozen=True, slots=True)
class Waking:
    """The gateway's `Waker`. `poke` wakes the workers of the queue."""

    database: Database
    poke: Callable[[], None]

    async def wake(self, target: routing.Target) -> None:
        async with self.database.transaction(ACTOR) as ctx:
            asked = await endpoints.wake_endpoint(ctx, target.uid)
        if asked:
            self.poke()


@dataclass(slots=True)
class Uses:
    """A `Charge` that also remembers which endpoints served the requests that it charges."""

    database: Database
    charge: gateway.Charge
    _served: set[UUID] = field(default_factory=set, init=False)

    async def __call__(self, records: Sequence[gateway.UsageRecord]) -> None:
        self._served.update(UUID(record.endpoint_uid) for record in records if not record.cached_answer)
        await self.charge(records)

    async def tell_forever(self, in_flight: Callable[[], set[UUID]]) -> None:
        """Report what served somebody since the last time, and what does now; cancel to stop."""
        while True:
            await asyncio.sleep(TELL_EVERY)
            served, self._served = self._served, set()
            try:
                await self._tell(served | in_flight())
            except Exception as problem:
                self._served |= served
                log.warning("the use of endpoints cannot be reported; trying again", problem=repr(problem))

    async def _tell(self, used: set[UUID]) -> None:
        if used:
            async with self.database.transaction(ACTOR) as ctx:
                await endpoints.note_use(ctx, used)
