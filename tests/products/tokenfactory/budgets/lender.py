"""A lender in memory that keeps the ledger's rules, with clocks that a test turns and a network that it breaks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from ironworks.products.tokenfactory.budgets import Ask, Terms
from ironworks.products.tokenfactory.gateway import UsageRecord


@dataclass
class Held:
    """A lease as the ledger has it."""

    id: str
    granted: int = 0
    used: int = 0
    epoch: int = 0
    live: bool = True


@dataclass
class FakeLender:
    """`Lender` over dictionaries. `down`: it raises. `losing`: it does what is asked and the answer is lost."""

    amounts: dict[UUID, int] = field(default_factory=dict)
    spent: dict[tuple[UUID, datetime], int] = field(default_factory=dict)
    leases: dict[tuple[UUID, datetime, str], Held] = field(default_factory=dict)
    recalls: set[tuple[UUID, datetime]] = field(default_factory=set)
    asks: list[Ask] = field(default_factory=list)
    down: bool = False
    losing: int = 0
    pause: float = 0.0
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def adjust(self, ask: Ask) -> Terms:
        await asyncio.sleep(self.pause)
        if self.down:
            raise ConnectionError("the database is down")
        self.asks.append(ask)
        terms = self._adjust(ask)
        if self.losing:
            self.losing -= 1
            raise TimeoutError
        return terms

    def _adjust(self, ask: Ask) -> Terms:
        if ask.budget not in self.amounts:
            return Terms("gone")
        place = (ask.budget, ask.start)
        lease = self.leases.get((*place, ask.holder))
        if lease is not None and not lease.live:
            lease = None
        if lease is None and ask.epoch:
            return Terms("closed")
        left = self.amounts[ask.budget] - self.spent.get(place, 0)
        if lease is not None and lease.epoch != ask.epoch:
            return Terms("stale", lease.id, lease.epoch, lease.granted, left)
        keep = 0 if lease is None else lease.used if ask.close else min(ask.keep, lease.granted)
        others = sum(
            max(0, each.granted - each.used)
            for where, each in self.leases.items()
            if where[:2] == place and each.live and each is not lease
        )
        free = left - others - max(0, keep - (lease.used if lease else 0))
        need = ask.full if left >= ask.full else ask.least
        given = 0
        if ask.wanted > 0 and free > 0 and free >= need and not ask.close:
            given = min(ask.wanted, free, max(ask.full, free // 8))
        elif need > free:
            self.recalls.add(place)
        if lease is None and given:
            lease = self.leases[*place, ask.holder] = Held(str(next(self._ids)))
        if lease is not None:
            lease.granted, lease.epoch, lease.live = keep + given, lease.epoch + 1, not ask.close
        tight = place in self.recalls or (free - given) // 8 < ask.hold
        return Terms(
            "granted", lease.id if lease else "", lease.epoch if lease else 0, keep + given, left, tight, need > free
        )

    async def recalled(self, holder: str) -> Collection[tuple[UUID, datetime]]:
        if self.down:
            raise ConnectionError("the database is down")
        return [place for place in self.recalls if (*place, holder) in self.leases]

    async def close_leases(self, holder: str) -> None:
        for where, lease in self.leases.items():
            if where[2] == holder:
                lease.granted, lease.live = lease.used, False

    def charge(self, lease_id: str, cost: int) -> None:
        """A request that the lease paid for is charged."""
        where, lease = next((where, each) for where, each in self.leases.items() if each.id == lease_id)
        lease.used += cost
        self.spent[where[:2]] = self.spent.get(where[:2], 0) + cost

    def count(self, record: UsageRecord) -> None:
        """A gateway's record, charged at what its caller was told."""
        for lease_id, _ in record.holds:
            self.charge(lease_id, max(0, record.cost_nano))

    def outstanding(self) -> int:
        """What live leases may still spend."""
        return sum(max(0, each.granted - each.used) for each in self.leases.values() if each.live)


class Clock:
    """Wall and monotonic seconds, moved together or apart."""

    def __init__(self, at: datetime = datetime(2026, 3, 4, 12, tzinfo=UTC)) -> None:
        self.moment = at.timestamp()
        self.ticks = 1000.0

    def wall(self) -> float:
        return self.moment

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.moment += seconds
        self.ticks += seconds
