"""Which replica takes the next request: the less loaded of two drawn at random, skipping those that lately failed.

Two random choices are nearly as even as asking all (Mitzenmacher, "The power of two choices", 2001) and do not herd
every gateway process onto the one replica that just became idle.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ironworks.products.tokenfactory.routing.table import Leg, Replica, Route

FAILURES_BEFORE_EJECTION = 3
FIRST_EJECTION = 1.0
LONGEST_EJECTION = 30.0


class ReplicaState:
    """What one gateway process knows of a replica: its load from here and its recent failures."""

    __slots__ = ("ejected_until", "ejections", "failures", "in_flight", "replica")

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.in_flight = 0
        self.failures = 0
        self.ejections = 0
        self.ejected_until = 0.0

    def succeeded(self) -> None:
        """It answered: all is forgiven."""
        if self.failures or self.ejections:
            self.failures = self.ejections = 0
            self.ejected_until = 0.0

    def failed(self, now: float, *, unreachable: bool) -> None:
        """It refused the connection (set aside at once) or broke an exchange (set aside at the third in a row).

        The time aside doubles from 1 s to 30 s while it goes on failing. `now` is monotonic, in seconds.
        """
        self.failures += 1
        if unreachable or self.failures >= FAILURES_BEFORE_EJECTION:
            self.ejected_until = now + min(LONGEST_EJECTION, FIRST_EJECTION * 2**self.ejections)
            self.ejections = min(self.ejections + 1, 10)
            self.failures = 0


class Pick(NamedTuple):
    """What a request was sent to: a route's use of a target, and one of its replicas."""

    leg: Leg
    state: ReplicaState


class Balancer:
    """The states of all replicas, kept across changes of the table."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self._states: dict[str, ReplicaState] = {}
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing

    def replace(self, replicas: Iterable[Replica]) -> None:
        """Know exactly `replicas` from now on; those known before keep their state."""
        before = self._states
        self._states = {}
        for replica in replicas:
            state = before.get(replica.address) or ReplicaState(replica)
            state.replica = replica
            self._states[replica.address] = state

    def pick(self, route: Route, now: float, tried: Collection[str] = (), affinity: bytes = b"") -> Pick | None:
        """The upstream to use, or None when all of the route's addresses are in `tried` or there are none.

        When every replica is set aside the one whose time ends first is used: better a likely failure than a sure one.
        """
        picks = [
            Pick(leg, state)
            for leg in route.legs
            for replica in leg.target.replicas
            if (state := self._states.get(replica.address)) is not None and replica.address not in tried
        ]
        if len(picks) <= 1:
            return picks[0] if picks else None
        healthy = [pick for pick in picks if pick.state.ejected_until <= now]
        if not healthy:
            return min(picks, key=lambda pick: pick.state.ejected_until)
        if len(healthy) == 1:
            return healthy[0]
        one, other = self._draw_two(healthy)
        return one if one.state.in_flight <= other.state.in_flight else other

    def _draw_two(self, picks: list[Pick]) -> tuple[Pick, Pick]:
        """Two different ones; `random.sample` does the same ten times slower."""
        first = int(self._chance.random() * len(picks))
        second = int(self._chance.random() * (len(picks) - 1))
        return picks[first], picks[second + (second >= first)]

    def ejected(self, now: float) -> int:
        """How many replicas are set aside."""
        return sum(state.ejected_until > now for state in self._states.values())
