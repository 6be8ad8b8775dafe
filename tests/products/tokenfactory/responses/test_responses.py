"""Stored responses on Postgres: kept for one scope, read in their order, and gone when they should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from ironworks.platform import secrets
from ironworks.products.tokenfactory import responses
from ironworks.products.tokenfactory.responses import model, service
from ironworks.shared.context import Services, system_actor, utc_now
from ironworks.shared.db import Database
from tests.support.postgres import Role, TestDatabase

SCOPE, OTHER = "demo.app.dev", "other.app.dev"
ACTOR = system_actor("test")
MONTH = timedelta(days=30)
ROLES: tuple[Role, ...] = ("gateway", "worker")


async def _no_audit(*_: Any, **__: Any) -> None: ...


def a_keyring() -> secrets.Keyring:
    return secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))


@dataclass
class World:
    """What a gateway process and a worker do with responses."""

    gateway: Database
    worker: Database
    admin: asyncpg.Connection[asyncpg.Record]
    keyring: secrets.Keyring
    now: list[datetime]

    async def save(self, response_id: str, said: str = "Hello", scope: str = SCOPE, **more: Any) -> None:
        new = responses.NewResponse(
            scope=scope,
            key_uid=uuid4(),
            response_id=response_id,
            model="chat",
            items=[{"type": "message", "role": "user", "content": said}],
            response={"id": response_id, "output": [{"type": "message", "role": "assistant", "content": f"{said}!"}]},
            **more,
        )
        async with self.gateway.transaction(ACTOR) as ctx:
            await responses.save_response(ctx, self.keyring, new, MONTH)

    async def fetch(self, response_id: str, scope: str = SCOPE) -> responses.StoredResponse:
        async with self.gateway.transaction(ACTOR) as ctx:
            return await responses.fetch_response(ctx, self.keyring, scope, response_id)

    async def chain(self, response_id: str, scope: str = SCOPE) -> list[str]:
        """What was said in the conversation that this response ends."""
        async with self.gateway.transaction(ACTOR) as ctx:
            found = await responses.load_chain(ctx, self.keyring, scope, response_id)
        return [item["content"] for stored in found for item in stored.turn]

    async def delete(self, response_id: str, scope: str = SCOPE) -> None:
        async with self.gateway.transaction(ACTOR) as ctx:
            await responses.delete_response(ctx, scope, response_id)

    async def count(self) -> int:
        return int(await self.admin.fetchval("select count(*) from tokenfactory_responses.response"))


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    admin = await asyncpg.connect(database.admin)
    keyring, now = a_keyring(), [utc_now()]
    services = Services(audit=_no_audit, vault=secrets.EnvelopeVault(keyring))
    gateway, worker = [
        await Database.connect(database.url(role), services, clock=lambda: now[0], max_size=3) for role in ROLES
    ]
    yield World(gateway, worker, admin, keyring, now)
    for each in (gateway, worker):
        await each.close()
    await admin.close()


async def test_a_response_is_what_was_kept(world: World) -> None:
    await world.save("resp_1", "Tell me a story")
    stored = await world.fetch("resp_1")
    assert stored.items == [{"type": "message", "role": "user", "content": "Tell me a story"}]
    assert stored.response["output"][0]["content"] == "Tell me a story!"
    assert stored.previous_id is None


async def test_a_conversation_comes_back_in_its_order(world: World) -> None:
    await world.save("resp_1", "one")
    await world.save("resp_2", "two", previous_id="resp_1")
    await world.save("resp_2b", "two, differently", previous_id="resp_1")
    await world.save("resp_3", "three", previous_id="resp_2")
    assert await world.chain("resp_3") == ["one", "one!", "two", "two!", "three", "three!"]
    assert await world.chain("resp_2b") == ["one", "one!", "two, differently", "two, differently!"]


async def test_another_scope_finds_nothing_of_it(world: World) -> None:
    await world.save("resp_1")
    await world.save("resp_2", scope=OTHER, previous_id="resp_1")
    for scope in (OTHER, "demo.app", "demo.app.dev.eu", ""):
        with pytest.raises(responses.ResponseNotFound):
            await world.fetch("resp_1", scope)
        with pytest.raises(responses.ResponseNotFound):
            await world.chain("resp_1", scope)
        with pytest.raises(responses.ResponseNotFound):
            await world.delete("resp_1", scope)
    with pytest.raises(responses.ResponseNotFound):
        await world.chain("resp_2", OTHER)
    assert await world.count() == 2


async def test_the_policies_alone_keep_scopes_apart(world: World) -> None:
    await world.save("resp_1")
    await world.save("resp_2", scope=OTHER)
    async with world.gateway.transaction(ACTOR) as ctx:
        assert await ctx.db.fetch("select * from tokenfactory_responses.response") == []
        await ctx.db.execute("select set_config('ironworks.place', $1, true)", OTHER)
        found = await ctx.db.fetch("select response_id from tokenfactory_responses.response")
        assert [row["response_id"] for row in found] == ["resp_2"]
        assert await ctx.db.execute("delete from tokenfactory_responses.response") == "DELETE 1"
    async with world.gateway.transaction(ACTOR) as ctx:
        assert await ctx.db.fetch("select * from tokenfactory_responses.response_key") == []
    assert await world.count() == 1


async def test_what_is_stored_says_nothing(world: World) -> None:
    await world.save("resp_1", "a well-kept secret")
    row = await world.admin.fetchrow("select * from tokenfactory_responses.response")
    assert row is not None
    assert b"well-kept" not in b"".join(value for value in row.values() if isinstance(value, bytes))
    async with world.worker.transaction(ACTOR) as ctx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ctx.db.fetch("select ciphertext from tokenfactory_responses.response")


async def test_one_that_was_moved_does_not_open(world: World) -> None:
    await world.save("resp_1")
    await world.save("resp_2", scope=OTHER)
    await world.admin.execute("delete from tokenfactory_responses.response where response_id = 'resp_2'")
    await world.admin.execute("update tokenfactory_responses.response set scope = $1::text::ltree", OTHER)
    with pytest.raises(secrets.TamperedSecret):
        await world.fetch("resp_1", OTHER)


async def test_a_deleted_one_is_gone_and_so_is_what_goes_on_from_it(world: World) -> None:
    await world.save("resp_1")
    await world.save("resp_2", previous_id="resp_1")
    await world.delete("resp_1")
    with pytest.raises(responses.ResponseNotFound, match="resp_1"):
        await world.fetch("resp_1")
    with pytest.raises(responses.ResponseNotFound, match="resp_1"):
        await world.chain("resp_2")
    assert (await world.fetch("resp_2")).previous_id == "resp_1"
    with pytest.raises(responses.ResponseNotFound):
        await world.delete("resp_1")


async def test_retention_ends_it_before_the_purge_does(world: World) -> None:
    await world.save("resp_1")
    world.now[0] += MONTH
    with pytest.raises(responses.ResponseNotFound):
        await world.fetch("resp_1")
    await world.save("resp_2")
    async with world.worker.transaction(ACTOR) as ctx:
        assert await service.purge_expired(ctx) == 1
    assert await world.count() == 1


async def test_too_much_is_refused_with_the_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(responses.ResponseTooLarge, match=str(model.MAX_BYTES)):
        await world.save("resp_1", "x" * model.MAX_BYTES)
    monkeypatch.setattr(service, "MAX_CHAIN", 2)
    for n in range(1, 4):
        await world.save(f"resp_{n}", previous_id=f"resp_{n - 1}" if n > 1 else None)
    assert len(await world.chain("resp_2")) == 4
    with pytest.raises(responses.ResponseTooLarge, match="'input'"):
        await world.chain("resp_3")


async def test_a_scope_that_is_gone_takes_its_key_with_it(world: World) -> None:
    await world.save("resp_1")
    await world.save("resp_2", scope=OTHER)
    async with world.worker.transaction(ACTOR) as ctx:
        await service.forget_scope(ctx, SCOPE)
    assert await world.count() == 1
    keys = await world.admin.fetch("select scope::text from tokenfactory_responses.response_key")
    assert [row["scope"] for row in keys] == [OTHER]


async def test_keys_follow_the_master_key(world: World) -> None:
    await world.save("resp_1")
    before = world.keyring
    text = secrets.new_master_key()
    newer = secrets.parse_master_keys(text.replace(text.partition(":")[0], "newer", 1))
    both = secrets.MasterKeys("newer", {**newer.keys, **before._master.keys})
    world.keyring = secrets.Keyring(both)
    async with world.worker.transaction(ACTOR) as ctx:
        assert await service.rewrap_keys(ctx, world.keyring) == 1
        assert await service.rewrap_keys(ctx, world.keyring) == 0
    world.keyring = secrets.Keyring(newer)
    assert (await world.fetch("resp_1")).response["id"] == "resp_1"


def test_nothing_of_a_response_is_shown_by_its_repr() -> None:
    new = responses.NewResponse(SCOPE, UUID(int=0), "resp_1", "chat", [{"content": "secret"}], {"output": "secret"})
    assert "secret" not in repr(new)
