"""Who is next where an upstream takes only so many requests at once: tenants in turn, each tenant's in their order.

A tenant that sends a thousand requests waits behind its own; another's first one is the next or next but one. When the
queue is full, a tenant with more than its part of it makes room. A place is held from the moment of entering until it
is left, whoever waits; leaving twice, or while waiting, is right.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from ironworks.products.tokenfactory.routing.table import Leg, Route


class QueueFull(Exception):
    """No place to wait is left, nor one that somebody else should give up."""


class Gate:
    """A cap: `limit` inside at once, `room` more in its queue."""

    __slots__ = ("inside", "lanes", "limit", "room", "waiting")

    def __init__(self, limit: int, room: int) -> None:
        self.limit = limit
        self.room = room
        self.inside = 0
        self.waiting = 0
        self.lanes: OrderedDict[str, deque[Place]] = OrderedDict()

    def admit_next(self) -> None:
        """Let in whoever is next while there is room."""
        while self.lanes and self.inside < self.limit:
            tenant, lane = next(iter(self.lanes.items()))
            place = lane.popleft()
            self.waiting -= 1
            if lane:
                self.lanes.move_to_end(tenant)
            else:
                del self.lanes[tenant]
            self.inside += 1
            place._entered()

    def leave(self) -> None:
        """One place inside is free."""
        self.inside -= 1
        self.admit_next()

    def wait(self, place: Place) -> None:
        """Queue it. Raises QueueFull."""
        if self.waiting >= self.room:
            self._make_room_for(place.tenant)
        self.lanes.setdefault(place.tenant, deque()).append(place)
        self.waiting += 1

    def forget(self, place: Place) -> None:
        """It waits no longer."""
        lane = self.lanes[place.tenant]
        lane.remove(place)
        self.waiting -= 1
        if not lane:
            del self.lanes[place.tenant]

    def _make_room_for(self, tenant: str) -> None:
        """Send away the last of the tenant with the most waiting, if that is fairer than sending the newcomer away."""
        if not self.lanes:
            raise QueueFull
        greedy = max(self.lanes, key=lambda each: len(self.lanes[each]))
        if len(self.lanes[greedy]) <= len(self.lanes.get(tenant, ())) + 1:
            raise QueueFull
        last = self.lanes[greedy][-1]
        last.leave()
        last.evicted()


class Place:
    """A request's place at its leg's gates: one after the other, the narrower first.

    Attributes:
        inside: it may be sent. Until then it waits, and `ready` is called once it may; `evicted` if it must give up its
            place in the queue, which it then has left.
    """

    __slots__ = ("_gates", "_passed", "_waits_at", "evicted", "inside", "ready", "tenant")

    def __init__(
        self, gates: tuple[Gate, ...], tenant: str, ready: Callable[[], None], evicted: Callable[[], None]
    ) -> None:
        self.tenant = tenant
        self.ready = ready
        self.evicted = evicted
        self.inside = False
        self._gates = gates
        self._passed = 0
        self._waits_at: Gate | None = None

    def leave(self) -> None:
        """Give back everything it holds."""
        waits_at, self._waits_at = self._waits_at, None
        if waits_at is not None:
            waits_at.forget(self)
        passed, self._passed = self._passed, 0
        self.inside = False
        for gate in self._gates[:passed]:
            gate.leave()
        self._gates = ()

    def _advance(self) -> None:
        """Through every gate that is open, up to the first that is not. Raises QueueFull there."""
        for gate in self._gates[self._passed :]:
            if gate.inside >= gate.limit or gate.waiting:
                self._waits_at = gate
                try:
                    gate.wait(self)
                except QueueFull:
                    self._waits_at = None
                    raise
                return
            gate.inside += 1
            self._passed += 1
        self.inside = True

    def _entered(self) -> None:
        """The gate it waited at counts it as inside."""
        self._waits_at = None
        self._passed += 1
        try:
            self._advance()
        except QueueFull:
            self.leave()
            self.evicted()
            return
        if self.inside:
            self.ready()


class Gates:
    """All gates of a process, by the key that legs and targets name."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def replace(self, routes: Iterable[Route]) -> None:
        """Know the caps of `routes` from now on; whoever is inside or waits stays so."""
        wanted: dict[str, tuple[int, int]] = {}
        for route in routes:
            for leg in route.legs:
                wanted.update(_caps(leg))
        for key, (limit, room) in wanted.items():
            gate = self._gates.setdefault(key, Gate(limit, room))
            gate.limit, gate.room = limit, room
            gate.admit_next()
        for key in [key for key, gate in self._gates.items() if key not in wanted]:
            gate = self._gates.pop(key)
            gate.limit = gate.inside + gate.waiting
            gate.admit_next()

    def full(self, leg: Leg) -> bool:
        """Whether a request for `leg` would have to wait."""
        return any(gate.inside >= gate.limit or gate.waiting for gate in self._of(leg))

    def enter(self, leg: Leg, tenant: str, ready: Callable[[], None], evicted: Callable[[], None]) -> Place:
        """A place: inside at once, or in the queue. Raises QueueFull. Leave it in any case."""
        place = Place(self._of(leg), tenant, ready, evicted)
        try:
            place._advance()
        except QueueFull:
            place.leave()
            raise
        return place

    def queued(self, leg: Leg) -> int:
        """How many wait for a turn at `leg`, or at the upstream that it shares with others."""
        return sum(gate.waiting for gate in self._of(leg))

    @property
    def waiting(self) -> int:
        """Requests in all queues."""
        return sum(gate.waiting for gate in self._gates.values())

    def _of(self, leg: Leg) -> tuple[Gate, ...]:
        found = []
        for key, (limit, room) in _caps(leg).items():
            gate = self._gates.get(key)
            if gate is None:
                gate = self._gates[key] = Gate(limit, room)
            found.append(gate)
        return tuple(found)


def _caps(leg: Leg) -> dict[str, tuple[int, int]]:
    """The gates of a leg, its own before its target's."""
    caps = {}
    if leg.max_concurrency:
        caps[leg.gate] = (leg.max_concurrency, leg.max_queue)
    if leg.target.max_concurrency:
        caps[leg.target.gate] = (leg.target.max_concurrency, leg.target.max_queue)
    return caps
