"""The gateway's limits, and the hosts that share them, from the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ironworks.products.tokenfactory import limits
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

ACTOR = system_actor("gateway")


@dataclass(frozen=True, slots=True)
class Limits:
    """The snapshot's source of limits. One that cannot be read keeps all as they were: none is ever left out."""

    database: Database
    kinds: frozenset[str] = frozenset({limits.LIMIT.name})
    row: type = limits.LimitView

    async def load(self) -> Sequence[limits.LimitView]:
        async with self.database.transaction(ACTOR) as ctx:
            return await limits.list_limits(ctx)

    async def count_hosts(self, host: UUID) -> int:
        """How many hosts run gateways now, this one among them."""
        async with self.database.transaction(ACTOR) as ctx:
            return await limits.count_hosts(ctx, host)
