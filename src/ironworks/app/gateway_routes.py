"""Where the gateway's routes come from: endpoints of ours, external endpoints, and the Routes over both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ironworks.platform import tenancy
from ironworks.products.inference import endpoints
from ironworks.products.tokenfactory import gateway, routing
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import NotFound
from ironworks.shared.lookup import find_around, load
from ironworks.shared.path import covers

ACTOR = system_actor("gateway")


@dataclass(slots=True)
class Routes:
    """`RouteSource` and `ChangedRoutes` over the database.

    `skipped`: what the last load could not read. Caps of targets are shared among `processes` gateway processes of this
    host. What was loaded is held, so that a change of one endpoint, the commonest by far, reads one.
    """

    database: Database
    policy: routing.AddressPolicy
    processes: int = 1
    single: frozenset[str] = frozenset({endpoints.ENDPOINT.name})
    skipped: tuple[str, ...] = field(default=(), init=False)
    _halted: Sequence[str] = field(default=(), init=False)
    _targets: dict[UUID, routing.Target] = field(default_factory=dict, init=False)
    _declared: routing.Declared = field(default_factory=lambda: routing.Declared((), ()), init=False)

    @property
    def kinds(self) -> frozenset[str]:
        names = (endpoints.ENDPOINT, routing.ROUTE, routing.EXTERNAL_ENDPOINT, tenancy.PLATFORM, tenancy.ACCOUNT)
        return frozenset(kind.name for kind in names)

    async def load_routes(self) -> Sequence[routing.Route]:
        """Everything that may be called: nothing in or through what is suspended, whoever asks."""
        async with self.database.transaction(ACTOR) as ctx:
            halted = await tenancy.list_halted_scopes(ctx)
            skipped: list[str] = []
            found = await endpoints.list_targets(ctx, unreadable=skipped)
            declared = await routing.list_declared(ctx, skipped)
        self.skipped = tuple(skipped)
        self._halted, self._declared = halted, declared
        self._targets = {target.endpoint: target_of(target) for target in found}
        return self._build()

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[routing.Route]:
        async with self.database.transaction(ACTOR) as ctx:
            skipped: list[str] = []
            found = await endpoints.list_targets(ctx, uids, skipped)
        self.skipped = tuple(sorted({*self.skipped, *skipped}))
        kept = {uid: target for uid, target in self._targets.items() if uid not in uids}
        self._targets = {**kept, **{target.endpoint: target_of(target) for target in found}}
        return self._build()

    def _build(self) -> Sequence[routing.Route]:
        def working(path: str) -> bool:
            return not any(covers(scope, path) for scope in self._halted)

        kept = routing.Declared(
            [route for route in self._declared.routes if working(route.path)],
            [each for each in self._declared.externals if working(each[0].path)],
        )
        targets = [target for target in self._targets.values() if working(target.scope)]
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
        replicas=tuple(
            routing.Replica(f"{host}:{port}", endpoint.bearer, check=routing.OWN_CHECK)
            for host, port in endpoint.replicas
        ),
        task=endpoint.task,
        wakes=endpoint.wakes,
    )


@dataclass(frozen=True, slots=True)
class GatewaySights:
    """`routing.TargetSights` by what gateways report."""

    async def set_aside(self, ctx: Context, route: UUID) -> Mapping[int, str]:
        return await gateway.list_set_aside(ctx, route)


@dataclass(frozen=True, slots=True)
class EndpointPhases:
    """`routing.EndpointHealth` by what endpoints' controllers report."""

    async def at(self, ctx: Context, path: str) -> Sequence[routing.OwnModel]:
        found: list[endpoints.Endpoint] = await find_around(ctx, endpoints.ENDPOINT, path)
        return [
            routing.OwnModel(
                one.metadata.uid, one.path, one.name, endpoints.task_of(one), one.status.phase,
                one.metadata.creation_timestamp,
            )
            for one in found
        ]  # fmt: skip

    async def of(self, ctx: Context, path: str, name: str) -> tuple[bool, str]:
        try:
            endpoint: endpoints.Endpoint = await load(ctx, endpoints.ENDPOINT, path, name)
        except NotFound as problem:
            return False, problem.message
        if endpoint.status.ready_replicas or endpoint.status.idle_since is not None:  # who sleeps wakes when asked
            return True, ""
        told = next((c.message for c in endpoint.status.conditions if c.type == "Ready" and c.message), "")
        return False, f"{endpoint.full_name} is {endpoint.status.phase}" + (f": {told}" if told else "")
