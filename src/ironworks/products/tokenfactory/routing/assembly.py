"""From what is declared to what the gateway holds: routes with their targets, replicas and credentials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from uuid import UUID, uuid5

from ironworks.products.tokenfactory.routing.addresses import AddressPolicy, parse_base
from ironworks.products.tokenfactory.routing.model import (
    DeclaredRoute,
    ExternalEndpoint,
    RouteTarget,
    Upstream,
    UpstreamCheck,
    credential_pointer,
    public_name,
    split_reference,
)
from ironworks.products.tokenfactory.routing.table import (
    CachePolicy,
    HealthCheck,
    Leg,
    Replica,
    Route,
    Target,
    route_to,
)

Place: TypeAlias = tuple[str, str]
"""(path, name) of a resource."""
Exposed: TypeAlias = Mapping[str, tuple[Target, ...]]
"""An external endpoint's models: name → one target per upstream that has it."""


@dataclass(frozen=True, slots=True)
class Declared:
    """All that is declared here: routes, and external endpoints with their credentials by pointer."""

    routes: Sequence[DeclaredRoute]
    externals: Sequence[tuple[ExternalEndpoint, Mapping[str, str]]] = field(repr=False)


def build_routes(
    declared: Declared, endpoints: Iterable[Target], policy: AddressPolicy, processes: int = 1
) -> list[Route]:
    """Every route there is: one for each endpoint and each model of an external endpoint, then the declared ones.

    A target that is not there (halted, being deleted) is left out of a route; a route without any is still a name. Caps
    count for a host; each of its `processes` keeps to an equal part of them.
    """
    own = {(target.scope, target.name): target for target in endpoints}
    others = {
        (external.path, external.name): _expose(external, credentials, policy, processes)
        for external, credentials in declared.externals
    }
    return [
        *map(route_to, own.values()),
        *(_own_name(place, name, targets) for place, models in others.items() for name, targets in models.items()),
        *(_declared(route, own, others, processes) for route in declared.routes),
    ]


def share_of(cap: int, processes: int) -> int:
    """One process's part of a host's cap: together they never exceed it, unless it is less than one each."""
    return max(1, cap // processes) if cap else 0


def _expose(
    external: ExternalEndpoint, credentials: Mapping[str, str], policy: AddressPolicy, processes: int
) -> dict[str, tuple[Target, ...]]:
    found: dict[str, tuple[Target, ...]] = {}
    for upstream in external.spec.upstreams:
        replica = _replica(upstream, credentials.get(credential_pointer(upstream)), policy)
        for exposed, served_as in upstream.model_mapping.items():
            target = Target(
                uid=external.uid,
                scope=external.path,
                name=external.name,
                model=exposed,
                served_as=served_as,
                replicas=(replica,),
                created_at=int(external.metadata.creation_timestamp.timestamp()),
                dialect=upstream.dialect,
                gate=f"{external.uid}/{upstream.name}",
                max_concurrency=share_of(upstream.max_concurrency, processes),
                max_queue=share_of(upstream.max_queue, processes),
                timeout=upstream.timeout_seconds or external.spec.timeout_seconds,
                max_output_tokens=upstream.max_output_tokens,
            )
            found[exposed] = (*found.get(exposed, ()), target)
    return found


def _replica(upstream: Upstream, credential: str | None, policy: AddressPolicy) -> Replica:
    base = parse_base(upstream.url)
    return Replica(
        base.address,
        credential,
        tls=base.tls,
        prefix=base.prefix,
        auth="bearer" if upstream.auth.type == "bearer" else "x-api-key",
        guarded=not policy.allows_everything,
        check=_check(upstream.check, base.prefix) if upstream.check is not None else None,
    )


def _check(declared: UpstreamCheck, prefix: str) -> HealthCheck:
    return HealthCheck(
        prefix + declared.path or "/",
        declared.interval_seconds,
        declared.timeout_seconds,
        tuple(sorted(set(declared.expected_status))),
        declared.failures,
    )


def _own_name(place: Place, exposed: str, targets: tuple[Target, ...]) -> Route:
    """The route by which a model of an external endpoint is called without a Route: `<external endpoint>/<model>`.

    Its identity is made of both: what is said about one model, to keep its texts for instance, is not about the others.
    """
    path, name = place
    first = targets[0]
    legs = tuple(Leg(target, target.served_as, target.model) for target in targets)
    return replace(route_of_model(first.uid, path, name, exposed), legs=legs, created_at=first.created_at)


def route_of_model(external: UUID, path: str, name: str, exposed: str) -> Route:
    """By what a model of an external endpoint is called and told from others; without what serves it."""
    return Route(uuid5(external, exposed), path, f"{name}/{exposed}", (), inherited=True)


def _declared(
    route: DeclaredRoute, own: Mapping[Place, Target], others: Mapping[Place, Exposed], processes: int
) -> Route:
    spec = route.spec
    found = [_targets(target, route.path, own, others) for target in spec.targets]
    times = math.lcm(*(len(targets) or 1 for targets in found))  # a model with two upstreams keeps its one share
    legs = tuple(
        _leg(target, declared, declared.weight * times // len(targets), f"{route.uid}/{index}", processes)
        for index, (declared, targets) in enumerate(zip(spec.targets, found, strict=True))
        for target in targets
    )
    cache = CachePolicy(spec.cache.ttl_seconds, spec.cache.max_bytes) if spec.cache else None
    return Route(
        route.uid,
        route.path,
        public_name(route),
        legs,
        strategy=spec.strategy,
        inherited=True,
        tries=spec.tries,
        cache=cache,
        created_at=int(route.metadata.creation_timestamp.timestamp()),
    )


def _targets(
    target: RouteTarget, scope: str, own: Mapping[Place, Target], others: Mapping[Place, Exposed]
) -> tuple[Target, ...]:
    if target.endpoint is not None:
        found = own.get(split_reference(target.endpoint, scope))
        return (found,) if found else ()
    return others.get(split_reference(target.external or "", scope), {}).get(target.model or "", ())


def _leg(target: Target, declared: RouteTarget, weight: int, gate: str, processes: int) -> Leg:
    if declared.timeout_seconds is not None:
        target = replace(target, timeout=declared.timeout_seconds)
    return Leg(
        target,
        declared.served_as or target.served_as,
        declared.price_as or target.model,
        weight,
        gate,
        share_of(declared.max_concurrency, processes),
        share_of(declared.max_queue, processes),
    )
