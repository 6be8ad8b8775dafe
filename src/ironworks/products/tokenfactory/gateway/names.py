"""What a key at a scope can call, for who has no key at hand: the names that `GET /v1/models` tells, found by the same
table as the gateway finds them in, from what the caller may read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ironworks.platform import tenancy
from ironworks.products.tokenfactory import limits
from ironworks.products.tokenfactory.routing import (
    EXTERNAL_ENDPOINT,
    ROUTE,
    DeclaredRoute,
    EndpointHealth,
    ExternalEndpoint,
    OwnModel,
    Route,
    RouteTable,
    public_name,
    route_of_model,
    split_reference,
)
from ironworks.shared.context import Context
from ironworks.shared.lookup import find_around
from ironworks.shared.path import covers

INVOKE: Final = "endpoint:invoke"
"""Declared by whoever runs endpoints: to call models at a scope."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedModel:
    """A model that a key can name.

    Args:
        route: its identity; no legs. kind: what of ours it is. name: that resource's own.
        task: what it is for; None where only the provider knows. id: what callers write.
        allowed: whether a key of the caller's may call it.
    """

    route: Route
    kind: Literal["route", "endpoint", "external"]
    name: str
    phase: str
    task: str | None = None
    id: str = ""
    allowed: bool = False


async def list_models(ctx: Context, path: str, endpoints: EndpointHealth) -> list[NamedModel]:
    """What a key at `path` can call, by the names that `GET /v1/models` tells it, as far as the caller may read that.

    What limits forbid to every key there is left out. Raises NotFound for a scope that never was, or is another's.
    """
    named = [_of_endpoint(model) for model in await endpoints.at(ctx, path)]
    for external in await find_around(ctx, EXTERNAL_ENDPOINT, path):
        named += _of_external(external)
    named += [_of_route(route, named) for route in await find_around(ctx, ROUTE, path)]
    if not named:
        await ctx.require("route:read", path)
        await tenancy.require_scope(ctx, path)
    allowed = await limits.models_allowed(ctx, path)
    by_route = {one.route: one for one in named}
    found = [
        replace(by_route[route], id=name)
        for name, route in RouteTable(by_route).names(path)
        if allowed(route.uid, route.scope, route.name)
    ]
    return await _with_rights(ctx, path, found)


def _of_endpoint(model: OwnModel) -> NamedModel:
    return NamedModel(Route(model.uid, model.scope, model.name, ()), "endpoint", model.name, model.phase, model.task)


def _of_external(external: ExternalEndpoint) -> list[NamedModel]:
    exposed = sorted({model for upstream in external.spec.upstreams for model in upstream.model_mapping})
    uid, phase = external.metadata.uid, external.status.phase
    return [
        NamedModel(route_of_model(uid, external.path, external.name, model), "external", external.name, phase)
        for model in exposed
    ]


def _of_route(route: DeclaredRoute, others: Sequence[NamedModel]) -> NamedModel:
    tasks = {(one.route.scope, one.name): one.task for one in others if one.kind == "endpoint"}
    found = {
        tasks.get(split_reference(target.endpoint, route.path)) if target.endpoint else None
        for target in route.spec.targets
    }
    made = Route(route.metadata.uid, route.path, public_name(route), (), inherited=True)
    return NamedModel(made, "route", route.name, route.status.phase, found.pop() if len(found) == 1 else None)


async def _with_rights(ctx: Context, path: str, models: Sequence[NamedModel]) -> list[NamedModel]:
    """Rights reach a route at its own scope, or at the key's for one that is handed down."""
    places = {one: path if one.route.inherited and covers(one.route.scope, path) else one.route.scope for one in models}
    may = {place: await ctx.allows(INVOKE, place) for place in sorted(set(places.values()))}
    return [replace(one, allowed=may[place]) for one, place in places.items()]
