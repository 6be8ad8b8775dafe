"""What the gateway says of use: which endpoints serve somebody, so that others may sleep, and which keys call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ironworks.platform import iam
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
    """A `Charge` that also remembers which endpoints and keys the requests were that it charges."""

    database: Database
    charge: gateway.Charge
    tell_every: float = TELL_EVERY
    _served: set[UUID] = field(default_factory=set, init=False)
    _keys: set[UUID] = field(default_factory=set, init=False)

    async def __call__(self, records: Sequence[gateway.UsageRecord]) -> None:
        self._served.update(UUID(record.endpoint_uid) for record in records if not record.cached_answer)
        self._keys.update(UUID(record.key_uid) for record in records)
        await self.charge(records)

    async def tell_forever(self, in_flight: Callable[[], set[UUID]]) -> None:
        """Report what served somebody since the last time, and what does now; cancel to stop."""
        while True:
            await asyncio.sleep(self.tell_every)
            served, self._served = self._served, set()
            keys, self._keys = self._keys, set()
            try:
                await self._tell(served | in_flight(), keys)
            except Exception as problem:
                self._served |= served
                self._keys |= keys
                log.warning("what was used cannot be reported; trying again", problem=repr(problem))

    async def _tell(self, used: set[UUID], keys: set[UUID]) -> None:
        if not used and not keys:
            return
        async with self.database.transaction(ACTOR) as ctx:
            if used:
                await endpoints.note_use(ctx, used)
            if keys:
                await iam.touch_keys(ctx, sorted(keys))
