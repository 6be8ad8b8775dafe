"""Values: sealed in place, readable by who must use them, bound to where they belong."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID, uuid4

import asyncpg
import pytest

from ironworks.platform import secrets
from ironworks.platform.secrets.model import Place
from ironworks.shared.context import Actor
from ironworks.shared.errors import Forbidden, Invalid
from tests.platform.secrets.conftest import have_bucket
from tests.support.lower import LowerWorld
from tests.support.postgres import Role

VALUE = "s3cr3t-value-ü"


async def tenant_admin(world: LowerWorld, scope: str = "acme.shop.eu") -> Actor:
    return await world.subject("ada", {"bucket:update": [scope]})


async def put(world: LowerWorld, actor: Actor, owner: UUID, scope: str = "acme.shop.eu", **values: str) -> None:
    await have_bucket(world, owner, scope)
    async with world.acting(actor) as ctx:
        await ctx.services.vault.put(ctx, scope, owner, values)


async def get(world: LowerWorld, owner: UUID, role: Role = "worker") -> dict[str, str]:
    async with world.system(role) as ctx:
        return await ctx.services.vault.get(ctx, owner)


async def test_what_the_api_puts_the_worker_and_the_gateway_get(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, **{"auth.password": VALUE, "upstreams[eu].credential": "", "big": "x" * 65_536})
    expected = {"auth.password": VALUE, "upstreams[eu].credential": "", "big": "x" * 65_536}
    assert await get(world, owner) == expected
    assert await get(world, owner, "gateway") == expected
    assert await get(world, uuid4()) == {}


async def test_putting_again_replaces_and_removing_removes(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, a="1", b="2", c="3")
    await put(world, ada, owner, b="two")
    assert await get(world, owner) == {"a": "1", "b": "two", "c": "3"}
    async with world.acting(ada) as ctx:
        await ctx.services.vault.remove(ctx, owner, ["a", "none"])
    assert await get(world, owner) == {"b": "two", "c": "3"}
    async with world.system("worker") as ctx:
        await ctx.services.vault.remove(ctx, owner)
    assert await get(world, owner) == {}


async def test_the_api_cannot_read_a_value_back(world: LowerWorld) -> None:
    operator, owner = await world.subject("op", {"secrets:rotate": [""], "bucket:update": [""]}), uuid4()
    await put(world, operator, owner, password=VALUE)
    for statement in (
        "select ciphertext from platform_secrets.secret",
        "select nonce from platform_secrets.secret",
        "select * from platform_secrets.secret",
        "select wrapped from platform_secrets.data_key",
        "update platform_secrets.secret set ciphertext = ciphertext",
        "delete from platform_secrets.secret returning ciphertext",
        "delete from platform_secrets.secret where ciphertext > ''",
        "update platform_secrets.data_key set wrapped = ''",
        "update platform_secrets.secret set owner = gen_random_uuid()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.acting(operator) as ctx:
                await ctx.db.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(operator) as ctx:
            await ctx.services.vault.get(ctx, owner)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.system("gateway") as ctx:
            await ctx.services.vault.put(ctx, "acme.shop.eu", owner, {"password": "x"})


async def test_a_stranger_neither_writes_nor_removes(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, password=VALUE)
    eve = await world.subject("eve", {"bucket:update": ["other.shop"]})
    with pytest.raises(Forbidden):
        await put(world, eve, owner, password="eve's")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await put(world, eve, owner, scope="other.shop", password="eve's")
    async with world.acting(eve) as ctx:
        await ctx.services.vault.remove(ctx, owner)
    assert await get(world, owner) == {"password": VALUE}


async def test_who_sees_a_scope_does_not_write_what_is_kept_there(world: LowerWorld) -> None:
    """Above and below one's own scope, and where one may only read."""
    operator, owners = await world.subject("op", {"bucket:update": [""]}), {}
    for scope in ("", "acme", "acme.shop.eu", "acme.shop.eu.north"):
        await put(world, operator, owners.setdefault(scope, uuid4()), scope, password=VALUE)
    subjects = {
        "reader": ({"bucket:read": [""]}, ("", "acme", "acme.shop.eu")),
        "tenant": ({"bucket:update": ["acme.shop.eu"], "bucket:read": [""]}, ("", "acme")),
        "new": ({"bucket:update": ["acme.shop.us"]}, ("", "acme")),
    }
    for name, (grants, scopes) in subjects.items():
        eve = await world.subject(name, grants)
        for scope in scopes:
            with pytest.raises((Forbidden, asyncpg.InsufficientPrivilegeError)):
                await put(world, eve, owners[scope], scope, password="eve's")
            async with world.acting(eve) as ctx:
                await ctx.services.vault.remove(ctx, owners[scope])
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.acting(eve) as ctx:
                    await ctx.db.execute(
                        "insert into platform_secrets.data_key (scope, version, wrapped, master_key_id)"
                        " values ($1::text::ltree, 9, decode(repeat('00', 60), 'hex'), 'mine')",
                        scope,
                    )
    assert all([await get(world, owner) == {"password": VALUE} for owner in owners.values()])


async def test_nothing_in_the_database_holds_the_value(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, password=VALUE)
    for table in ("platform_secrets.secret", "platform_secrets.data_key", "platform_audit.pending",
                  "shared.change_pending", "shared.change_log"):  # fmt: skip
        for row in await world.query(f"select t::text as line from {table} t"):
            assert VALUE not in row["line"]
            assert VALUE.encode().hex() not in row["line"]


async def test_a_value_moved_to_another_place_does_not_open(world: LowerWorld) -> None:
    ada, owner, other = await tenant_admin(world), uuid4(), uuid4()
    await put(world, ada, owner, password=VALUE)
    for change in (
        f"owner = '{other}'",
        "pointer = 'passwore'",
        "ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)",
        "nonce = set_byte(nonce, 11, get_byte(nonce, 11) # 1)",
    ):
        await world.admin("create table kept as select * from platform_secrets.secret")
        await world.admin(f"update platform_secrets.secret set {change}")
        with pytest.raises(secrets.TamperedSecret) as refused:
            await get(world, other if "owner" in change else owner)
        assert VALUE not in f"{refused.value.message}{refused.value.details}"
        await world.admin(
            "truncate platform_secrets.secret; insert into platform_secrets.secret select * from kept; drop table kept"
        )
    assert await get(world, owner) == {"password": VALUE}


async def test_a_value_moved_to_another_scope_with_its_key_does_not_open(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, password=VALUE)
    await world.admin("""
        insert into platform_secrets.data_key (scope, version, wrapped, master_key_id)
          select 'evil.shop', version, wrapped, master_key_id from platform_secrets.data_key;
        update platform_secrets.secret set scope = 'evil.shop'""")
    with pytest.raises(secrets.TamperedSecret):
        await get(world, owner)


async def test_the_same_value_twice_looks_different(world: LowerWorld) -> None:
    ada = await tenant_admin(world)
    await put(world, ada, uuid4(), a=VALUE, b=VALUE)
    rows = await world.query("select distinct ciphertext, nonce from platform_secrets.secret")
    assert len({r["ciphertext"] for r in rows}) == len({r["nonce"] for r in rows}) == 2


async def test_each_scope_has_its_own_key_made_once(world: LowerWorld) -> None:
    ada = await world.subject("ada", {"bucket:update": ["acme"]})
    owners = [uuid4() for _ in range(16)]
    await asyncio.gather(*(put(world, ada, o, f"acme.shop.t{i % 2}", v=str(i)) for i, o in enumerate(owners)))
    rows = await world.query("select scope::text, version from platform_secrets.data_key order by scope")
    assert [(r["scope"], r["version"]) for r in rows] == [("acme.shop.t0", 1), ("acme.shop.t1", 1)]
    assert [await get(world, owner) for owner in owners] == [{"v": str(i)} for i in range(16)]


async def test_a_key_whose_transaction_rolled_back_is_not_used_again(world: LowerWorld) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await have_bucket(world, owner, "acme.shop.eu")

    async def put_and_fail() -> None:
        async with world.acting(ada) as ctx:
            await ctx.services.vault.put(ctx, "acme.shop.eu", owner, {"v": "lost"})
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError):
        await put_and_fail()
    await put(world, ada, owner, v="kept")
    assert await get(world, owner) == {"v": "kept"}


async def test_values_that_cannot_be_kept_are_refused_without_showing_them(world: LowerWorld) -> None:
    ada = await tenant_admin(world)
    with pytest.raises(Invalid) as refused:
        await put(world, ada, uuid4(), a="hunter2" * 10_000, b="ok", c="hunter2\ud800")
    assert [f["field"] for f in refused.value.details["fields"]] == ["spec.a", "spec.c"]
    assert "hunter2" not in f"{refused.value.message}{refused.value.details}"
    assert await world.query("select from platform_secrets.secret") == []


async def test_a_missing_master_key_is_said_by_its_id_alone(world: LowerWorld, keyring: secrets.Keyring) -> None:
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, password=VALUE)
    missing = keyring.current_id
    keyring.replace(secrets.parse_master_keys(secrets.new_master_key()))
    with pytest.raises(secrets.MissingMasterKey, match=missing):
        await get(world, owner)


async def test_no_log_line_holds_a_value(world: LowerWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ada, owner = await tenant_admin(world), uuid4()
    await put(world, ada, owner, password=VALUE)
    await get(world, owner)
    await world.admin("update platform_secrets.secret set nonce = decode(repeat('00', 12), 'hex')")
    with pytest.raises(secrets.TamperedSecret):
        await get(world, owner)
    assert VALUE not in caplog.text


def test_the_memory_for_data_keys_is_bounded() -> None:
    keyring = secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()), capacity=3)
    place = Place(uuid4(), "p", "a")
    keys = [keyring.new_key("a", version) for version in range(1, 9)]
    sealed = [keyring.seal(key, place, str(key.version)) for key in keys]
    assert [keyring.open(secret) for secret in sealed] == [str(n) for n in range(1, 9)]
    assert len(keyring._unwrapped) == 3


def test_a_wrapped_key_opens_only_as_what_it_is() -> None:
    from dataclasses import replace

    keyring = secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))
    key = keyring.new_key("acme.shop", 1)
    for other in (replace(key, scope="acme.shoq"), replace(key, version=2), replace(key, wrapped=bytes(60))):
        with pytest.raises(secrets.TamperedSecret):
            keyring.rewrap(other)
    assert "wrapped" not in repr(key)


async def test_many_owners_are_read_at_once_and_one_that_does_not_open_hides_no_other(world: LowerWorld) -> None:
    ada, sound, broken, empty = await tenant_admin(world), uuid4(), uuid4(), uuid4()
    await put(world, ada, sound, password=VALUE, token="t")
    await put(world, ada, broken, password=VALUE)
    await world.admin(
        f"update platform_secrets.secret set nonce = decode(repeat('00', 12), 'hex') where owner = '{broken}'"
    )
    async with world.system("gateway") as ctx:
        found = await ctx.services.vault.get_many(ctx, [sound, broken, empty])
    assert found == {sound: {"password": VALUE, "token": "t"}, empty: {}}


def test_a_sealed_file_opens_for_its_purpose_and_with_its_master_key_alone() -> None:
    text = secrets.new_master_key()
    keyring = secrets.Keyring(secrets.parse_master_keys(text))
    sealed = keyring.seal_file("gateway.snapshot", b"the content")
    assert b"content" not in sealed
    assert secrets.Keyring(secrets.parse_master_keys(text)).open_file("gateway.snapshot", sealed) == b"the content"
    for purpose, data in (
        ("gateway.other", sealed),
        ("gateway.snapshot", sealed[:-1]),
        ("gateway.snapshot", sealed[:40]),
        ("gateway.snapshot", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(secrets.TamperedSecret):
            keyring.open_file(purpose, data)
    with pytest.raises((secrets.MissingMasterKey, secrets.TamperedSecret)):
        secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key())).open_file("gateway.snapshot", sealed)
