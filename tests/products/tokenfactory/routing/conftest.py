"""The real API over a real database, and a worker of the same installation."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ironworks.app.gateway_routes import EndpointPhases, GatewaySights
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory import routing
from ironworks.products.tokenfactory.routing import controller
from ironworks.products.tokenfactory.routing.model import Finding
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile import reconciler_of
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.support.api import ApiWorld, BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server

PLACE = "acme.shop"
ENDPOINT = {"model": {"name": "smollm2"}, "replicas": {"num": 0}}
HIDDEN = "hunter2-"
"""Every credential here begins with this; nothing that comes back, is stored or is logged may hold it."""


def upstream(name: str = "eu", **changes: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "url": "https://api.provider.example/v1",
        "auth": {"credential": f"{HIDDEN}{name}"},
        "model_mapping": {"gpt-4o": "gpt-4o-2024-08-06", "small": "gpt-4o-mini"},
    }
    return {**made, **changes}


def external(*upstreams: dict[str, Any]) -> dict[str, Any]:
    return {"upstreams": list(upstreams) or [upstream()]}


def named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


@dataclasses.dataclass
class Routing:
    """The world, with a worker that may open secrets."""

    world: ApiWorld
    worker: Database
    runtime: ReconcileRuntime
    prober: Prober

    async def secrets(self, uid: str) -> dict[str, str]:
        async with self.worker.transaction(system_actor("test")) as ctx:
            return await ctx.services.vault.get(ctx, UUID(uid))

    async def reconcile(self) -> None:
        """Look at everything there is."""
        await self.world.admin.execute(
            "update shared.work_item set due_at = now() where kind in ('Route', 'ExternalEndpoint')"
        )
        await self.runtime.run_until_idle()


class Prober:
    """A `routing.Prober` that finds what the test says: upstream URL → finding."""

    def __init__(self) -> None:
        self.findings: dict[str, Any] = {}
        self.seen: list[Any] = []

    async def look(self, probe: Any) -> Any:
        self.seen.append(probe)
        return self.findings.get(probe.url, Finding())


@pytest.fixture
def bootstrapped(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    place = bootstrapped_database(postgres, run_folder)
    yield place
    postgres.drop_database(place)


@pytest.fixture
async def here(bootstrapped: BootstrappedPlace) -> AsyncIterator[Routing]:
    prober = Prober()
    async with (
        api_world(bootstrapped) as world,
        open_process(bootstrapped.settings, "worker", connections=4) as worker,
    ):
        await world.scope(f"{PLACE}.eu")
        runtime = ReconcileRuntime(
            worker.database,
            [r for f in vars(controller).values() if (r := reconciler_of(f)) is not None],
            {
                routing.Prober: prober,
                routing.EndpointHealth: EndpointPhases(),
                routing.TargetSights: GatewaySights(),
            },
        )
        yield Routing(world, worker.database, runtime, prober)
