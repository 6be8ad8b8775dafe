"""Where the gateway's routes come from: endpoints of ours, external endpoints, and the Routes over both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ironworks.platform import tenancy
from ironworks.products.inference import endpoints
from ironworks.products.tokenfactory import routing
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import NotFound
from ironworks.shared.path import covers
from ironworks.shared.resources import load

ACTOR = system_actor("gateway")


@dataclass(frozen=True, slots=True)
class Routes:
    """`RouteSource` over the database. Caps of targets are shared among `processes` gateway processes of this host."""

    database: Database
    policy: routing.AddressPolicy
    processes: int = 1

    @property
    def kinds(self) -> frozenset[str]:
        names = (endpoints.ENDPOINT, routing.ROUTE, routing.EXTERNAL_ENDPOINT, tenancy.PLATFORM, tenancy.ACCOUNT)
        return frozenset(kind.name for kind in names)

    async def load_routes(self) -> Sequence[routing.Route]:
        """Everything that may be called: nothing in or through what is suspended, whoever asks."""
        async with self.database.transaction(ACTOR) as ctx:
            halted = await tenancy.list_halted_scopes(ctx)
            found = await endpoints.list_targets(ctx)
            declared = await routing.list_declared(ctx)

        def working(path: str) -> bool:
            return not any(covers(scope, path) for scope in halted)

        kept = routing.Declared(
            [route for route in declared.routes if working(route.path)],
            [each for each in declared.externals if working(each[0].path)],
        )
        targets = [target_of(endpoint) for endpoint in found if working(endpoint.path)]
        return routing.build_routes(kept, targets, self.policy, self.processes)


def target_of(endpoint: endpoints.Target) -> routing.Target:
    """An endpoint of ours as routing knows it."""
    return routing.Target(
        uid=UUID(int=endpoint.endpoint.int),  # the driver's own UUID is none that the spool's JSON encoder knows
        scope=endpoint.path,
        name=endpoint.name,
        model=endpoint.model,
        served_as=endpoint.model,
        created_at=int(endpoint.created_at.timestamp()),
        replicas=tuple(routing.Replica(f"{host}:{port}", endpoint.bearer) for host, port in endpoint.replicas),
        task=endpoint.task,
    )


@dataclass(frozen=True, slots=True)
class EndpointPhases:
    """`routing.EndpointHealth` by what endpoints' controllers report."""

    async def of(self, ctx: Context, path: str, name: str) -> tuple[bool, str]:
        try:
            endpoint: endpoints.Endpoint = await load(ctx, endpoints.ENDPOINT, path, name)
        except NotFound as problem:
            return False, problem.message
        if endpoint.status.ready_replicas:
            return True, ""
        told = next((c.message for c in endpoint.status.conditions if c.type == "Ready" and c.message), "")
        return False, f"{endpoint.full_name} is {endpoint.status.phase}" + (f": {told}" if told else "")
