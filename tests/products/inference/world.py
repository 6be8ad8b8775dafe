"""An installation's inference part for tests: a database with a tenant, workers, and clusters that do as they are told.

Time stands still unless a test moves it, so no rule about seconds is tested by waiting.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from ironworks.platform import secrets
from ironworks.products.inference import clusters, endpoints, engines, models
from ironworks.products.inference.clusters import controller as clusters_controller
from ironworks.products.inference.clusters.model import ClusterFacts, NodeView, ResourceInfo
from ironworks.products.inference.endpoints import controller as endpoints_controller
from ironworks.products.inference.engines import controller as engines_controller
from ironworks.products.inference.models import controller as models_controller
from ironworks.shared.context import Services, utc_now
from ironworks.shared.db import Database
from ironworks.shared.kind import Kind
from ironworks.shared.reconcile import Reconciler, reconciler_of
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.support.postgres import Role, TestDatabase

TENANT = "demo.app.dev"
BUILTINS = ((engines.ENGINE, engines), (models.MODEL_REGISTRY, models), (clusters.CLUSTER, clusters))


@dataclass
class ScriptedCluster:
    """A cluster that remembers what it runs. `dies_after` names the method after which the worker is dead."""

    replicas: dict[str, clusters.Replica] = field(default_factory=dict)
    plans: dict[str, clusters.ReplicaPlan] = field(default_factory=dict)
    placement: models.Placement = field(default_factory=lambda: models.Placed(Path("/models/model.gguf")))
    unavailable: bool = False
    crashing: bool = False
    dies_after: str = ""
    free: clusters.Resources = field(default_factory=lambda: clusters.Resources(cpu=2, memory=2**33))
    calls: list[str] = field(default_factory=list)
    serving: list[int] = field(default_factory=list)
    """How many replicas served, after each change."""

    def driver(self, cluster: clusters.Cluster) -> ScriptedCluster:
        return self

    def _called(self, method: str, name: str = "") -> None:
        self.calls.append(f"{method} {name}".strip())
        if self.unavailable:
            raise clusters.ClusterUnavailable("the cluster does not answer")

    def _done(self, method: str) -> None:
        self.serving.append(sum(r.phase == "ready" for r in self.replicas.values()))
        if self.dies_after == method:
            self.dies_after = ""
            raise RuntimeError(f"the worker dies after {method}")

    async def inspect(self) -> ClusterFacts:
        self._called("inspect")
        node = NodeView(name="here", address="127.0.0.1", state="Ready", resources=self.free)
        return ClusterFacts((node,), ResourceInfo(allocatable=self.free, available=self.free))

    async def place_model(self, source: models.ModelSource) -> models.Placement:
        self._called("place_model", source.name)
        return self.placement

    async def list_replicas(self, group: UUID) -> list[clusters.Replica]:
        self._called("list_replicas")
        return [r for n, r in sorted(self.replicas.items()) if self.plans[n].group == group]

    async def start_replica(self, plan: clusters.ReplicaPlan) -> None:
        self._called("start_replica", plan.name)
        if plan.name not in self.replicas:
            port = 7100 + len(self.plans)
            self.plans[plan.name] = plan
            self.replicas[plan.name] = clusters.Replica(
                plan.name, plan.revision, plan.ordinal, "starting", "127.0.0.1", port
            )
        self._done("start_replica")

    async def stop_replica(self, name: str) -> None:
        self._called("stop_replica", name)
        if name in self.replicas:
            self.replicas[name] = replace(self.replicas[name], phase="stopping")
        self._done("stop_replica")

    async def open_log(self, group: UUID, name: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[bytes]:
        async def lines() -> AsyncIterator[bytes]:
            yield f"log of {name}\n".encode()

        return lines()

    async def list_groups(self) -> set[UUID]:
        return {self.plans[n].group for n in self.replicas}

    async def clean_up(self) -> None:
        self._called("clean_up")

    def tick(self) -> None:
        """What starts becomes ready (or crashes), what stops is gone."""
        self.replicas = {n: self._next(r) for n, r in self.replicas.items() if r.phase != "stopping"}
        self._done("tick")

    def _next(self, replica: clusters.Replica) -> clusters.Replica:
        if self.crashing and replica.phase in ("starting", "crashed"):
            return replace(replica, phase="crashed", restarts=replica.restarts + 1, message="backoff, exit 3")
        return replace(replica, phase="ready") if replica.phase in ("starting", "crashed") else replica

    def revisions(self) -> set[str]:
        return {r.revision for r in self.replicas.values()}


async def _no_audit(*_: Any, **__: Any) -> None: ...


def _reconcilers() -> list[Reconciler]:
    marked: list[object] = [
        engines_controller.reconcile_engine,
        models_controller.reconcile_registry,
        clusters_controller.reconcile_cluster,
        endpoints_controller.reconcile_endpoint,
    ]
    return [reconciler for each in marked if (reconciler := reconciler_of(each))]


@dataclass
class World:
    """One database with the builtins and a tenant, and the workers on it."""

    database: TestDatabase
    admin: asyncpg.Connection[asyncpg.Record]
    drivers: clusters.Drivers
    services: Services
    now: datetime = field(default_factory=utc_now)
    frozen: bool = True
    databases: list[Database] = field(default_factory=list)

    async def connect(self, role: Role) -> Database:
        """A pool of its own, as another process would have."""
        clock: Callable[[], datetime] = lambda: self.now if self.frozen else utc_now()  # noqa: E731
        db = await Database.connect(self.database.url(role), self.services, clock=clock, max_size=5, name="test")
        self.databases.append(db)
        return db

    async def worker(self) -> ReconcileRuntime:
        injected: Mapping[type, object] = {
            clusters.Drivers: self.drivers,
            endpoints.GatewayAddress: endpoints.GatewayAddress("http://127.0.0.1:7080"),
        }
        return ReconcileRuntime(await self.connect("worker"), _reconcilers(), injected)

    async def insert(self, kind: Kind, path: str, name: str, spec: Mapping[str, Any]) -> UUID:
        """Store a resource as the superuser, with defaults materialised, past admission."""
        whole = kind.spec.model_validate(dict(spec)).model_dump(mode="json")
        uid: UUID = await self.admin.fetchval(
            f"insert into {kind.table} (scope, name, spec) values ($1::text::ltree, $2, $3) returning uid",
            path, name, json.dumps(whole),
        )  # fmt: skip
        return uid

    async def endpoint(self, name: str = "chat", **spec: Any) -> UUID:
        return await self.insert(endpoints.ENDPOINT, TENANT, name, {"model": {"name": "smollm2"}, **spec})

    async def change(self, uid: UUID, **spec: Any) -> None:
        """Replace top-level fields of an endpoint's spec."""
        stored = json.loads(
            await self.admin.fetchval(f"select spec from {endpoints.ENDPOINT.table} where uid = $1", uid)
        )
        whole = endpoints.ENDPOINT.spec.model_validate({**stored, **spec}).model_dump(mode="json")
        await self.admin.execute(
            f"update {endpoints.ENDPOINT.table} set spec = $2 where uid = $1", uid, json.dumps(whole)
        )

    async def delete(self, uid: UUID) -> None:
        await self.admin.execute(
            f"update {endpoints.ENDPOINT.table} set deletion_timestamp = now() where uid = $1", uid
        )

    async def status(self, uid: UUID, kind: Kind = endpoints.ENDPOINT) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            await self.admin.fetchval(f"select status from {kind.table} where uid = $1", uid)
        )
        return found

    async def condition(self, uid: UUID, kind: Kind = endpoints.ENDPOINT, type_: str = "Ready") -> dict[str, Any]:
        [condition] = [c for c in (await self.status(uid, kind))["conditions"] if c["type"] == type_]
        return dict(condition)

    async def exists(self, uid: UUID) -> bool:
        found = await self.admin.fetchval(f"select exists (select from {endpoints.ENDPOINT.table} where uid = $1)", uid)
        return bool(found)

    async def run(self, worker: ReconcileRuntime, cluster: ScriptedCluster, rounds: int = 12) -> None:
        """Let the controllers look and the cluster move in turns; each round is two seconds."""
        for _ in range(rounds):
            await self.admin.execute("update shared.work_item set due_at = now() where token is null")
            await worker.run_until_idle()
            cluster.tick()
            self.now += timedelta(seconds=2)

    async def close(self) -> None:
        for db in self.databases:
            await db.close()
        await self.admin.close()


async def make_world(database: TestDatabase, drivers: clusters.Drivers) -> World:
    """A world with the builtins at the operator's scope and the tenant demo.app.dev."""
    keyring = secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))
    admin = await asyncpg.connect(database.admin)
    world = World(database, admin, drivers, Services(audit=_no_audit, vault=secrets.EnvelopeVault(keyring)))
    for kind, domain in BUILTINS:
        for manifest in domain.builtins():
            await world.insert(kind, "", manifest["metadata"]["name"], manifest["spec"])
    for table, path, name in (("account", "", "demo"), ("platform", "demo", "app"), ("tenant", "demo.app", "dev")):
        await admin.execute(
            f"insert into platform_tenancy.{table} (scope, name, spec) values ($1::text::ltree, $2, '{{}}')", path, name
        )
    return world
