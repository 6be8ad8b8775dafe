"""A whole world of subjects and scopes on the real database: everything up to notification, as the processes run it.

async with scope_world(database) as world:
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    async with world.acting(alice) as ctx: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
from argon2 import PasswordHasher

from ironworks.app.domains import Catalogue, collect
from ironworks.platform import audit, iam, policy, registry, tenancy
from ironworks.shared import lookup, resources
from ironworks.shared.context import Actor, Context, Services, system_actor, utc_now
from ironworks.shared.db import Database
from ironworks.shared.http import Call
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.support.lower import NoVault
from tests.support.postgres import Role, TestDatabase

DOMAINS = (
    "platform.registry",
    "platform.audit",
    "platform.tenancy",
    "platform.iam",
    "platform.policy",
    "platform.notification",
)
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashing that costs a test nothing."""


@dataclass
class World:
    """Databases by role, the operator, and short ways to make things. `ahead` moves the clock."""

    place: TestDatabase
    catalogue: Catalogue
    services: Services
    admin: asyncpg.Connection[asyncpg.Record]
    identity: iam.Identity = field(default_factory=lambda: iam.Identity(iam.PasswordHashing(CHEAP)))
    ahead: timedelta = timedelta(0)
    databases: dict[Role, Database] = field(default_factory=dict)
    operator: Actor = field(default_factory=lambda: system_actor("nobody yet"))
    operator_key: str = ""
    _names: Any = field(default_factory=count)

    def now(self) -> datetime:
        return utc_now() + self.ahead

    async def database(self, role: Role = "api") -> Database:
        if role not in self.databases:
            self.databases[role] = await Database.connect(
                self.place.url(role), self.services, clock=self.now, max_size=10
            )
        return self.databases[role]

    @asynccontextmanager
    async def acting(self, actor: Actor, role: Role = "api") -> AsyncIterator[Context]:
        """One transaction of `actor`."""
        async with (await self.database(role)).transaction(actor) as ctx:
            yield ctx

    @asynccontextmanager
    async def system(self, role: Role = "worker") -> AsyncIterator[Context]:
        """One transaction of a process."""
        async with self.acting(system_actor("test"), role) as ctx:
            yield ctx

    async def call(self, actor: Actor | None = None, address: str = "192.0.2.1") -> Call:
        """A request whose use case opens its own transactions."""
        return Call(await self.database(), actor or Actor(None, "anonymous", "anonymous", address), "req_test")

    async def begin(self) -> None:
        """What `ironworks.app` does at a first start."""
        async with self.system() as ctx:
            await registry.sync_registry(ctx, self.catalogue.declarations.items())
        async with self.system() as ctx:
            await iam.sync_presets(ctx, self.catalogue.permissions)
            issued = await iam.ensure_operator(ctx, "operator@localhost")
        assert issued is not None
        self.operator_key = issued.text
        uid = await self.admin.fetchval("select uid from platform_iam.user where name = 'operator'")
        self.operator = Actor(uid, "user", "operator@localhost", "127.0.0.1")

    # --- making things -------------------------------------------------------------------------------------------

    async def make(
        self, kind: Kind, path: str, name: str, spec: dict[str, Any] | None = None, actor: Actor | None = None
    ) -> Resource[Any, Any]:
        """Create a resource as `actor`, or as the operator."""
        body = {"api_version": "v1", "kind": kind.name, "metadata": {"name": name}, "spec": spec or {}}
        async with self.acting(actor or self.operator) as ctx:
            return kind.parse((await resources.create_resource(ctx, kind, path, body)).json)

    async def change(self, kind: Kind, path: str, name: str, spec: dict[str, Any], actor: Actor | None = None) -> None:
        """Merge into a resource's spec."""
        async with self.acting(actor or self.operator) as ctx:
            await resources.patch_resource(ctx, kind, path, name, {"spec": spec})

    async def delete(self, kind: Kind, path: str, name: str, actor: Actor | None = None) -> None:
        async with self.acting(actor or self.operator) as ctx:
            await resources.delete_resource(ctx, kind, path, name)

    async def get(self, kind: Kind, path: str, name: str, actor: Actor | None = None) -> Resource[Any, Any]:
        async with self.acting(actor or self.operator) as ctx:
            return await lookup.load(ctx, kind, path, name)

    async def scope(self, path: str) -> str:
        """Make every node on the way to `path` that is missing; returns `path`."""
        labels = path.split(".")
        for depth in range(1, len(labels) + 1):
            upper, name = ".".join(labels[: depth - 1]), labels[depth - 1]
            kind = (tenancy.ACCOUNT, tenancy.PLATFORM, tenancy.TENANT)[min(depth, 3) - 1]
            known = await self.admin.fetchval(f"select 1 from {kind.table} where path = $1 and name = $2", upper, name)
            if not known:
                await self.make(kind, upper, name)
        return path

    async def user(self, email: str) -> Actor:
        made = await self.make(iam.USER, "", f"user-{next(self._names)}", {"email": email})
        return Actor(made.uid, "user", email, "192.0.2.7")

    async def service_account(self, path: str, name: str) -> Actor:
        made = await self.make(iam.SERVICE_ACCOUNT, path, name)
        return Actor(made.uid, "service_account", f"{path or '-'}/{name}")

    async def role(self, path: str, name: str, permissions: Sequence[str], actor: Actor | None = None) -> str:
        """Make a role; returns how it is referred to."""
        await self.make(iam.ROLE, path, name, {"permissions": list(permissions)}, actor)
        return f"{path or '-'}/{name}"

    async def grant(self, subject: str, role: str, path: str, actor: Actor | None = None) -> str:
        """Assign a role; returns the assignment's name."""
        name = f"assignment-{next(self._names)}"
        await self.make(iam.ROLE_ASSIGNMENT, path, name, {"subject": subject, "role": role}, actor)
        return name

    async def key(self, path: str, name: str, actor: Actor, **spec: Any) -> Actor:
        """Make a key as `actor`; without a secret, which the database does not need to know its rights."""
        made = await self.make(iam.API_KEY, path, name, spec, actor)
        return Actor(made.uid, "api_key", f"{path or '-'}/{name}")

    async def granted(self, actor: Actor, permission: str) -> list[str]:
        """Topmost paths at which a subject holds a permission."""
        async with self.acting(actor) as ctx:
            found: list[str] = await ctx.db.fetchval("select shared.granted($1)::text[]", permission)
            return found

    async def sees(self, actor: Actor, path: str) -> bool:
        async with self.acting(actor) as ctx:
            found: bool = await ctx.db.fetchval("select shared.sees($1::text::ltree)", path)
            return found

    # --- what runs without a caller ------------------------------------------------------------------------------

    async def runtime(self, **injected: Any) -> ReconcileRuntime:
        return ReconcileRuntime(await self.database("worker"), self.catalogue.reconcilers, injected)

    async def settle(self) -> None:
        """Let every controller run until nothing is due."""
        await (await self.runtime()).run_until_idle()

    async def consume(self) -> None:
        """Give every event that is committed to its consumers, each once."""
        from ironworks.shared.changelog import LOG_COLUMNS, LoggedEvent, logged

        await self.admin.execute("select shared.sequence_changes(10000)")
        done = getattr(self, "_consumed", 0)
        rows = await self.admin.fetch(
            f"select {LOG_COLUMNS} from shared.change_log where position > $1 order by position", done
        )
        for row in rows:
            entry = logged(row)
            for consumer in self.catalogue.consumers:
                if isinstance(entry, LoggedEvent) and entry.event_type in consumer.patterns:
                    async with self.system() as ctx:
                        await consumer.handler(ctx, entry)
            self._consumed = entry.position

    async def uid(self, kind: Kind, path: str, name: str) -> UUID:
        return (await self.get(kind, path, name)).uid


@asynccontextmanager
async def scope_world(place: TestDatabase, more: Sequence[str] = ()) -> AsyncIterator[World]:
    """A world with its words declared, its presets made and its operator there; `more` domains than the usual ones."""
    catalogue = collect((*DOMAINS, *more))
    vault: Any = NoVault()
    services = Services(audit.append_record, vault, catalogue.admissions, policy.check_quota)
    admin = await asyncpg.connect(place.admin)
    world = World(place, catalogue, services, admin)
    try:
        await world.begin()
        yield world
    finally:
        for database in world.databases.values():
            await asyncio.wait_for(database.close(), 60)
        await admin.close()
        world.identity.hashing.close()
