"""How the targets of Routes stand at this process: told to the control plane, for whoever looks at a route.

Nothing is noted for it while requests are served: what the balancer knows anyway is read, once a second. Of targets
that are well and serve nobody nothing is told, so a thousand routes that work are no word.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ironworks.products.tokenfactory.routing import Balancer, Gates, Leg, ReplicaState, Route, Standing

MOST: Final = 1000
"""States that one process tells of; those that are not well come first."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """One upstream of a Route's target, as one process sees it.

    Args:
        route, scope: the Route's. place: the target's among those that it declares, from 0.
        upstream: its name at the external endpoint, or a replica's address. upstreams: how many the target has.
        until: when `standing` ends at the latest, seconds since the epoch; None where that is not known.
        fault, failed_at: what went wrong at last, in our own words, and when.
        in_flight: requests that it has from this process. queued: how many wait for a turn at it.
        latency_ms: a moving average of the time to the first byte.
    """

    route: UUID
    scope: str
    place: int
    upstream: str
    upstreams: int
    standing: Standing
    until: float | None
    fault: str
    failed_at: float | None
    in_flight: int
    queued: int
    latency_ms: float | None

    @property
    def news(self) -> tuple[object, ...]:
        """What is told at once where it is new; counts can wait."""
        return self.route, self.place, self.upstream, self.standing, self.until and int(self.until), self.fault


def look_at_targets(balancer: Balancer, gates: Gates, now: float) -> tuple[TargetState, ...]:
    """Those that are not plainly well, or serve somebody at this moment; `now` is on the loop's clock."""
    epoch = time.time() - now
    states = (_state(gates, now, epoch, *each) for each in balancer.noteworthy(now))
    found = list({(state.route, state.place, state.upstream): state for state in states}.values())
    if len(found) > MOST:
        found.sort(key=lambda state: state.standing == "healthy")
    return tuple(found[:MOST])


def _state(gates: Gates, now: float, epoch: float, route: Route, leg: Leg, state: ReplicaState) -> TargetState:
    standing, until = state.standing(now)
    capped = leg.max_concurrency or leg.target.max_concurrency
    return TargetState(
        route=UUID(int=route.uid.int),
        scope=route.scope,
        place=leg.place or 0,
        upstream=leg.upstream or state.replica.address,
        upstreams=sum(len(each.target.replicas) for each in route.legs if each.place == leg.place),
        standing=standing,
        until=None if until is None else epoch + until,
        fault=state.fault,
        failed_at=epoch + state.failed_at if state.fault else None,
        in_flight=state.in_flight,
        queued=gates.queued(leg) if capped else 0,
        latency_ms=state.latency * 1000 or None,
    )
