"""What a subject could do if it reached the database itself, as the API's role: no more than its grants say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from ironworks.shared.context import Actor, Context
from ironworks.shared.errors import Forbidden
from tests.support.api import ApiWorld, Caller

VERSIONS = {"versions": [{"version": "1.0", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]}
EU, US = "acme.shop.eu", "acme.shop.us"


@asynccontextmanager
async def directly(world: ApiWorld, caller: Caller) -> AsyncIterator[Context]:
    """A transaction of the API's role that acts for `caller`."""
    async with world.process.database.transaction(Actor(caller.uid, "api_key", "direct")) as ctx:
        yield ctx


async def holder(world: ApiWorld, path: str, name: str, *permissions: str) -> Caller:
    """A subject that holds exactly these permissions at `path`."""
    await world.operator.create("roles", "-", name, {"permissions": list(permissions)})
    return await world.subject(path, name, f"-/{name}")


async def uid_of(world: ApiWorld, path: str) -> Any:
    return (await world.operator.get(path))["metadata"]["uid"]


async def test_referrers_are_named_only_to_who_may_read_them(world: ApiWorld) -> None:
    for place in (EU, US):
        await world.scope(place)
    await world.operator.create("engines", "acme", "shared", VERSIONS)
    for place in (EU, US):
        spec = {"model": {"name": "smollm2"}, "engine": {"engine": "acme/shared"}}
        await world.operator.create("endpoints", place, "uses-it", spec)
    keeper = await holder(world, "acme", "keeper", "engine:read", "engine:delete")
    await world.grant("service-account:acme/keeper", "-/viewer", EU)
    stranger = await world.subject(US, "stranger", "-/tenant-admin")

    refusal = await keeper.expect(409, "DELETE", "scopes/acme/engines/shared")
    assert refusal["error"]["details"] == {"referrers": [f"Endpoint {EU}/uses-it"], "hidden": 1}

    ask = "select kind, path, name, visible from shared.referrers('Engine', $1) order by visible"
    engine = await uid_of(world, "scopes/acme/engines/shared")
    async with directly(world, keeper) as ctx:
        assert [tuple(r) for r in await ctx.db.fetch(ask, engine)] == [
            ("Endpoint", None, None, False), ("Endpoint", EU, "uses-it", True),
        ]  # fmt: skip
    async with directly(world, stranger) as ctx:
        assert not await ctx.db.fetch(ask, engine)


@pytest.mark.parametrize("question", ["shared.resources_below('acme')", "platform_tenancy.halted_scopes()"])
async def test_what_is_asked_for_ourselves_is_not_for_callers(world: ApiWorld, question: str) -> None:
    await world.scope(EU)
    stranger = await world.subject(EU, "stranger", "-/tenant-admin")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with directly(world, stranger) as ctx:
            await ctx.db.fetch(f"select * from {question}")


async def test_who_may_only_delete_changes_nothing_on_the_way(world: ApiWorld) -> None:
    await world.scope("acme")
    await world.operator.create("engines", "acme", "doomed", VERSIONS)
    remover = await holder(world, "acme", "remover", "engine:read", "engine:delete")
    delete = "update inference_engines.engine set deletion_timestamp = now()"
    for change in ("spec = '{\"versions\": []}'", 'labels = \'{"a": "b"}\'', "owner_references = '[{}]'"):
        with pytest.raises(asyncpg.PostgresError, match="being deleted"):
            async with directly(world, remover) as ctx:
                await ctx.db.execute(f"{delete}, {change} where path = 'acme'")
    async with directly(world, remover) as ctx:
        assert await ctx.db.execute(f"{delete} where path = 'acme'") == "UPDATE 1"


async def test_each_way_to_move_a_platform_needs_its_own_permission(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    resumer = await holder(world, "acme", "resumer", "platform:read", "platform:resume")
    move = "update platform_tenancy.node_path set phase = $1, reason = 'x' where path = 'acme.shop'"
    await world.admin.execute("update platform_tenancy.node_path set phase = 'active' where path = 'acme.shop'")
    for phase in ("suspended", "pending_cancellation", "cancelled", "deleted", "provisioning", "active"):
        with pytest.raises(Forbidden):
            async with directly(world, resumer) as ctx:
                await ctx.db.execute(move, phase)
    await world.operator.expect(200, "POST", "scopes/acme/platforms/shop:suspend", {"reason": "unpaid"})
    async with directly(world, resumer) as ctx:
        assert await ctx.db.execute(move, "active") == "UPDATE 1"
