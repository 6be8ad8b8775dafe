"""Contexts for the tests of domains that lie below iam and tenancy, on the real database with a plain table of grants.

The hooks through which policies ask about grants are bound late; here they read `test_grant` instead of what iam
would answer, so that a lower domain's tests do not need the domains above it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import uuid4

import asyncpg

from ironworks.platform import audit, registry
from ironworks.shared.context import Actor, Context, Services, Vault, system_actor, utc_now
from ironworks.shared.db import Database
from ironworks.shared.declarations import Declarations
from tests.support.postgres import Role, TestDatabase

_GRANTS = """
create schema if not exists platform_iam;
grant usage on schema platform_iam to public;
create table public.test_grant (subject uuid not null, permission text not null, scope ltree not null);
create or replace function platform_iam.granted(permission text) returns ltree[]
language sql stable security definer set search_path = pg_catalog, public, pg_temp as
$$ select coalesce(array_agg(g.scope), '{}') from public.test_grant g
   where g.subject = shared.subject() and g.permission = granted.permission $$;
create or replace function platform_iam.visible(scope ltree) returns boolean
language sql stable security definer set search_path = pg_catalog, public, pg_temp as
$$ select exists (select from public.test_grant g where g.subject = shared.subject()
                  and (visible.scope <@ g.scope or visible.scope @> g.scope)) $$;
alter function platform_iam.granted(text) owner to current_user;
alter function platform_iam.visible(ltree) owner to current_user;
grant execute on function platform_iam.granted(text), platform_iam.visible(ltree) to public;
"""


class NoVault:
    """Stands where a test needs no vault; using it fails."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"this test has no vault, {name} was called")


class LowerWorld:
    """One database, a pool per role, and subjects that hold what `grant` gave them."""

    def __init__(self, place: TestDatabase, vault: Vault | None) -> None:
        self.place = place
        self.services = Services(audit.append_record, vault or NoVault())  # type: ignore[arg-type]
        self.databases: dict[Role, Database] = {}
        self.clock: Callable[[], datetime] = utc_now

    async def open(self, declared: dict[str, Declarations]) -> None:
        """Install the grants and sync the registry with `declared`."""
        await self.admin(_GRANTS)
        async with self.system("worker") as ctx:
            await registry.sync_registry(ctx, declared.items())

    async def close(self) -> None:
        for database in self.databases.values():
            await database.close()

    async def database(self, role: Role) -> Database:
        if role not in self.databases:
            self.databases[role] = await Database.connect(
                self.place.url(role), self.services, clock=lambda: self.clock(), max_size=20
            )
        return self.databases[role]

    async def admin(self, script: str, *args: object) -> None:
        """Run SQL as the superuser, who sees past every policy; several statements when there are no arguments."""
        conn = await asyncpg.connect(self.place.admin)
        try:
            await conn.execute(script, *args)
        finally:
            await conn.close()

    async def query(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """The rows that the superuser gets."""
        conn = await asyncpg.connect(self.place.admin)
        try:
            return list(await conn.fetch(sql, *args))
        finally:
            await conn.close()

    async def settle(self) -> None:
        """Wait until every transaction has ended that runs now, those of other tests on the same server too: what a
        horizon of transactions covers is certain only then."""
        (row,) = await self.query("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as now")
        async with asyncio.timeout(60):
            while not (
                await self.query(
                    "select from (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint) s (x) where x >= $1",
                    row["now"],
                )
            ):
                await asyncio.sleep(0.05)

    async def subject(self, name: str, grants: dict[str, list[str]]) -> Actor:
        """A new user who holds each permission at each of its scopes."""
        actor = Actor(uuid4(), "user", name, "127.0.0.1")
        for permission, scopes in grants.items():
            for scope in scopes:
                await self.admin(
                    "insert into public.test_grant values ($1, $2, $3::text::ltree)", actor.uid, permission, scope
                )
        return actor

    @asynccontextmanager
    async def acting(self, actor: Actor, role: Role = "api") -> AsyncIterator[Context]:
        """One transaction of `actor`."""
        async with (await self.database(role)).transaction(actor) as ctx:
            yield ctx

    @asynccontextmanager
    async def system(self, role: Role) -> AsyncIterator[Context]:
        """One transaction of the process itself."""
        async with self.acting(system_actor(f"test-{role}"), role) as ctx:
            yield ctx


@asynccontextmanager
async def lower_world(
    place: TestDatabase, declared: dict[str, Declarations], vault: Vault | None = None
) -> AsyncIterator[LowerWorld]:
    """A `LowerWorld` that is closed at the end."""
    world = LowerWorld(place, vault)
    try:
        await world.open(declared)
        yield world
    finally:
        await asyncio.wait_for(world.close(), 60)


__all__ = ["LowerWorld", "lower_world"]
