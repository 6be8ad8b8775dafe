"""Which upstream takes the next request: by the route's strategy, among those that are well.

The load of two drawn at random is compared where nothing else decides: that is nearly as even as asking all
(Mitzenmacher, "The power of two choices", 2001) and does not herd every gateway process onto the one replica that just
became idle. `prefix_affine` is consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016): equal
beginnings of a conversation meet at one replica, whose cache holds them, unless it has a quarter more than its share.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from ironworks.products.tokenfactory.routing.health import ReplicaState
from ironworks.products.tokenfactory.routing.table import Leg, Replica, Route

VIRTUAL_NODES: Final = 100
LOAD_FACTOR: Final = 1.25
EXPLORE: Final = 0.05
"""Share of requests by which `lowest_latency` learns how fast the others are."""
PANIC: Final = 0.5
"""Where fewer than this share of upstreams is left, those set aside for broken answers are used again: rather some
failures than all requests on the few that are well. What refuses connections stays aside."""

Identity: TypeAlias = tuple[UUID, str, str, str, bool, str]


class Pick(NamedTuple):
    """What a request is sent to: a route's use of a target, and one of its replicas."""

    leg: Leg
    state: ReplicaState


class _Plan:
    """A route's picks, worked out once per table. `credit` belongs to the weighted turns and outlives the table."""

    __slots__ = ("credit", "only", "picks", "place", "reserve", "ring")

    def __init__(self, route: Route, picks: list[Pick], credit: list[int]) -> None:
        self.picks = picks
        self.only = picks[0] if len(picks) == 1 else None
        self.reserve = any(leg.weight == 0 for leg in route.legs) and any(leg.weight for leg in route.legs)
        self.credit = credit
        self.place = {id(leg): place for place, leg in enumerate(route.legs)}
        self.ring: tuple[list[int], list[int]] | None = None


class Balancer:
    """The states of all upstreams, kept across changes of the table.

    Args:
        chance: draws lots. cost: what a model's answer costs, in any unit, for `lowest_cost`.
        full: whether a leg's cap is reached, so that others are better; all of them full is as good as none.
    """

    def __init__(
        self,
        chance: random.Random | None = None,
        cost: Callable[[str], float] = lambda model: 0.0,
        full: Callable[[Leg], bool] | None = None,
    ) -> None:
        self._states: dict[Identity, ReplicaState] = {}
        self._plans: dict[Route, _Plan] = {}
        self._credits: dict[tuple[UUID, str], list[int]] = {}
        self._uses: dict[ReplicaState, list[tuple[Route, Leg]]] = {}
        self.looked_at: dict[Replica, list[ReplicaState]] = {}
        """What is looked at between requests, with all that it is to routes: a provider's address has many models."""
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.cost = cost
        self.full = full

    def replace(self, routes: Iterable[Route]) -> None:
        """Know exactly the upstreams of `routes` from now on; those known before keep their state."""
        before, turns = self._states, self._credits
        self._states, self._plans, self._credits, self._uses = {}, {}, {}, {}
        looked_at: dict[Replica, list[ReplicaState]] = {}
        for route in routes:
            key = (route.uid, route.name)
            if key in turns:
                self._credits[key] = turns[key]
            for leg in route.legs:
                for replica in leg.target.replicas:
                    identity = _identity(leg, replica)
                    state = before.get(identity) or self._states.get(identity) or ReplicaState(replica)
                    state.replica = replica
                    if replica.check is None:
                        state.ill = False
                    elif identity not in self._states:
                        looked_at.setdefault(replica, []).append(state)
                    self._states[identity] = state
                    if leg.gate:
                        self._uses.setdefault(state, []).append((route, leg))
        self.looked_at = looked_at

    def pick(
        self, route: Route, now: float, tried: Collection[ReplicaState] = (), affinity: bytes = b""
    ) -> Pick | None:
        """The upstream to use, or None when there is none besides `tried` that may be asked now.

        `affinity` counts under `prefix_affine`. Where all are set aside the one whose time ends first is used: better a
        likely failure than a sure one. `now` is monotonic, in seconds.
        """
        plan = self._plans.get(route) or self._plan(route)
        only = plan.only
        if only is not None and not tried:
            return only if only.state.cooled_until <= now else None
        picks = [pick for pick in plan.picks if pick.state not in tried] if tried else plan.picks
        usable = self._usable(plan, picks, now)
        if len(usable) <= 1:
            return usable[0] if usable else None
        return _STRATEGIES[route.strategy](self, plan, usable, affinity)

    def resting(self, route: Route, now: float) -> float:
        """Seconds until one of those that asked to be left alone may be asked again; 0 where there is none."""
        plan = self._plans.get(route) or self._plan(route)
        left = [pick.state.cooled_until - now for pick in plan.picks if pick.state.cooled_until > now]
        return min(left, default=0.0)

    def ejected(self, now: float) -> int:
        """How many upstreams are set aside."""
        return len(self.set_aside(now))

    def set_aside(self, now: float) -> list[ReplicaState]:
        """Those that are, to be looked at."""
        return [state for state in self._states.values() if state.ejected_until > now]

    def noteworthy(self, now: float) -> Iterator[tuple[Route, Leg, ReplicaState]]:
        """Of the targets that Routes declare, the upstreams that are not plainly well or serve somebody now."""
        for state, uses in self._uses.items():
            if state.in_flight or state.ramp_until > now or state.cooled_until > now:
                for route, leg in uses:
                    yield route, leg, state

    def _plan(self, route: Route) -> _Plan:
        picks = []
        for leg in route.legs:
            for replica in leg.target.replicas:
                state = self._states.get(_identity(leg, replica))
                if state is not None:
                    picks.append(Pick(leg, state))
        credit = self._credits.setdefault((route.uid, route.name), [0] * len(route.legs))
        if len(credit) != len(route.legs):
            credit[:] = [0] * len(route.legs)
        plan = self._plans[route] = _Plan(route, picks, credit)
        return plan

    # who may be asked

    def _usable(self, plan: _Plan, picks: list[Pick], now: float) -> list[Pick]:
        rested = [pick for pick in picks if pick.state.cooled_until <= now]
        well = [pick for pick in rested if pick.state.ejected_until <= now]
        if len(well) < len(rested) * PANIC:
            well += [pick for pick in rested if pick.state.ejected_until > now and not pick.state.unreachable]
        if not well:
            return [min(rested, key=lambda pick: pick.state.ejected_until)] if rested else []
        if plan.reserve:
            well = [pick for pick in well if pick.leg.weight] or well
        if self.full is not None and any(pick.leg.max_concurrency or pick.leg.target.max_concurrency for pick in well):
            well = [pick for pick in well if not self.full(pick.leg)] or well
        if any(pick.state.ramp_until > now for pick in well):
            well = [pick for pick in well if self._chance.random() < pick.state.share(now)] or well
        return well

    # strategies

    def _less_loaded(self, picks: list[Pick]) -> Pick:
        if len(picks) == 1:
            return picks[0]
        first = int(self._chance.random() * len(picks))
        second = int(self._chance.random() * (len(picks) - 1))  # as random.sample does, which takes ten times as long
        one, other = picks[first], picks[second + (second >= first)]
        return one if one.state.in_flight <= other.state.in_flight else other

    def _least_loaded(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        return self._less_loaded(usable)

    def _weighted(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        """Smooth weighted turns (as nginx takes them): in any stretch each leg gets its share to within one request."""
        legs = {plan.place[id(pick.leg)]: pick.leg for pick in usable}
        credit = plan.credit
        total = 0
        best = next(iter(legs))
        for place, leg in legs.items():
            weight = leg.weight or 1
            total += weight
            credit[place] += weight
            if credit[place] > credit[best]:
                best = place
        credit[best] -= total
        return self._less_loaded([pick for pick in usable if pick.leg is legs[best]])

    def _prefix_affine(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        if not affinity:
            return self._less_loaded(usable)
        points, owners = plan.ring or _make_ring(plan)
        allowed = {id(pick.state) for pick in usable}
        total = sum(pick.state.in_flight for pick in usable)
        most = -(-LOAD_FACTOR * (total + 1) // len(usable))  # rounded up
        start = bisect_left(points, _hash(affinity))
        for step in range(len(owners)):
            pick = plan.picks[owners[(start + step) % len(owners)]]
            if id(pick.state) in allowed and pick.state.in_flight < most:
                return pick
        return self._less_loaded(usable)

    def _lowest_latency(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        unknown = [pick for pick in usable if not pick.state.latency and not pick.state.in_flight]
        if unknown:
            return unknown[0]
        if self._chance.random() < EXPLORE:
            return self._less_loaded(usable)
        known = [pick for pick in usable if pick.state.latency] or usable
        return min(known, key=lambda pick: (pick.state.latency, pick.state.in_flight))

    def _lowest_cost(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        costs = {id(pick.leg): self.cost(pick.leg.model) for pick in usable}
        least = min(costs.values())
        return self._less_loaded([pick for pick in usable if costs[id(pick.leg)] == least])

    def _ordered(self, plan: _Plan, usable: list[Pick], affinity: bytes) -> Pick:
        first = usable[0].leg  # picks are in the order of the route's targets
        return self._less_loaded([pick for pick in usable if pick.leg is first])


_STRATEGIES: Final[dict[str, Callable[[Balancer, _Plan, list[Pick], bytes], Pick]]] = {
    "weighted": Balancer._weighted,
    "least_loaded": Balancer._least_loaded,
    "prefix_affine": Balancer._prefix_affine,
    "lowest_latency": Balancer._lowest_latency,
    "lowest_cost": Balancer._lowest_cost,
    "ordered_fallback": Balancer._ordered,
}


def _identity(leg: Leg, replica: Replica) -> Identity:
    """What makes an upstream the same across changes. Two of one address with different credentials are two."""
    target = leg.target
    return target.uid, target.gate, target.model, replica.address, replica.tls, replica.prefix


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest())


def _make_ring(plan: _Plan) -> tuple[list[int], list[int]]:
    """(sorted points, index of the pick that each belongs to). The same in every process: nothing in it is random."""
    points = sorted(
        (_hash(f"{_identity(pick.leg, pick.state.replica)}#{node}".encode()), index)
        for index, pick in enumerate(plan.picks)
        for node in range(VIRTUAL_NODES)
    )
    plan.ring = [point for point, _ in points], [index for _, index in points]
    return plan.ring
