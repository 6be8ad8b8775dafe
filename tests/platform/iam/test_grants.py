"""What subjects hold: roles reach down, keys never exceed their owners, and nobody gives what he does not hold."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironworks.platform import iam, registry, tenancy
from ironworks.shared.context import ANONYMOUS, Actor
from ironworks.shared.declarations import PERMISSION
from ironworks.shared.errors import Conflict, Forbidden, Invalid, NotFound
from ironworks.shared.path import covers
from tests.support.postgres import TestDatabase
from tests.support.world import World, scope_world

READ = "tenant:read"


async def test_a_role_reaches_down_and_nowhere_else(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("acme.lab")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/viewer", "acme.shop")
    assert await world.granted(alice, READ) == ["acme.shop"]
    assert [await world.sees(alice, p) for p in ("", "acme", "acme.shop.eu", "acme.lab")] == [True, True, True, False]
    async with world.acting(alice) as ctx:
        assert await ctx.allows(READ, "acme.shop.eu")
        assert not await ctx.allows(READ, "acme")
        assert not await ctx.allows("tenant:create", "acme.shop")


async def test_only_topmost_paths_are_told(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("acme-2.shop")
    alice = await world.user("alice@example.com")
    for path in ("acme.shop.eu", "acme-2", "acme.shop", "acme-2.shop", "acme.shop.eu"):
        await world.grant("user:alice@example.com", "-/viewer", path)
    assert await world.granted(alice, READ) == ["acme.shop", "acme-2"]


async def test_nobody_holds_nothing(world: World) -> None:
    assert await world.granted(ANONYMOUS, READ) == []
    assert not await world.sees(ANONYMOUS, "")


async def test_addresses_are_one_whatever_their_case(world: World) -> None:
    await world.user("Alice@Example.com")
    with pytest.raises(Conflict, match="exists already"):
        await world.user("alice@example.COM")
    await world.scope("acme")
    await world.grant("user:ALICE@example.com", "-/viewer", "acme")


async def test_a_disabled_permission_grants_nothing_until_enabled_again(world: World) -> None:
    await world.scope("acme")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/viewer", "acme")
    async with world.acting(world.operator) as ctx:
        await registry.disable_entry(ctx, PERMISSION, READ)
    assert await world.granted(alice, READ) == []
    assert await world.granted(world.operator, READ) == []
    async with world.acting(world.operator) as ctx:
        await registry.enable_entry(ctx, PERMISSION, READ)
    assert await world.granted(alice, READ) == ["acme"]


async def test_a_permission_that_nobody_declared_is_in_no_role(world: World) -> None:
    assert await world.granted(world.operator, "tenant:levitate") == []
    with pytest.raises(Invalid, match="unknown or disabled"):
        await world.role("", "magician", ["tenant:levitate"])
    alice = await world.user("alice@example.com")
    with pytest.raises(Invalid, match="unknown or disabled"):
        await world.key("", "wand", world.operator, permissions=["tenant:levitate"])
    assert await world.granted(alice, READ) == []


# --- keys --------------------------------------------------------------------------------------------------------


async def test_a_key_holds_what_its_owner_holds_inside_its_scope(world: World) -> None:
    await world.scope("acme.shop.eu")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    key = await world.key("acme.shop.eu", "k", alice)
    narrow = await world.key("acme.shop", "n", alice, permissions=["tenant:create"])
    assert await world.granted(key, READ) == ["acme.shop.eu"]
    assert not await world.sees(key, "acme.lab")
    assert await world.granted(narrow, READ) == []
    assert await world.granted(narrow, "tenant:create") == ["acme.shop"]


async def test_a_key_above_its_owners_grants_reaches_only_where_the_owner_does(world: World) -> None:
    await world.scope("acme.shop.eu")
    robot = await world.service_account("acme", "robot")
    await world.grant("service-account:acme/robot", "-/viewer", "acme.shop.eu")
    key = await world.key("acme", "k", world.operator, owner="service-account:acme/robot")
    assert await world.granted(key, READ) == ["acme.shop.eu"] == await world.granted(robot, READ)


async def test_a_key_loses_at_once_what_its_owner_loses(world: World) -> None:
    await world.scope("acme.shop")
    alice = await world.user("alice@example.com")
    assignment = await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    key = await world.key("acme.shop", "k", alice)
    assert await world.granted(key, READ) == ["acme.shop"]
    await world.delete(iam.ROLE_ASSIGNMENT, "acme.shop", assignment)
    assert await world.granted(key, READ) == [] == await world.granted(alice, READ)
    assert not await world.sees(key, "acme.shop")


@pytest.mark.parametrize("how", ["disabled", "expired", "owner disabled", "owner deleted", "key deleted"])
async def test_a_dead_key_holds_nothing(world: World, how: str) -> None:
    await world.scope("acme.shop")
    await world.service_account("acme", "robot")
    await world.grant("service-account:acme/robot", "-/tenant-admin", "acme.shop")
    key = await world.key("acme.shop", "k", world.operator, owner="service-account:acme/robot")
    assert await world.granted(key, READ) == ["acme.shop"]
    match how:
        case "disabled":
            await world.change(iam.API_KEY, "acme.shop", "k", {"disabled": True})
        case "expired":
            past = (world.now() - timedelta(seconds=1)).isoformat()
            await world.change(iam.API_KEY, "acme.shop", "k", {"expires_at": past})
        case "owner disabled":
            await world.change(iam.SERVICE_ACCOUNT, "acme", "robot", {"disabled": True})
        case "owner deleted":
            await world.delete(iam.SERVICE_ACCOUNT, "acme", "robot")
        case "key deleted":
            await world.delete(iam.API_KEY, "acme.shop", "k")
    assert await world.granted(key, READ) == []
    assert not await world.sees(key, "acme.shop")


async def test_who_goes_takes_assignments_and_keys_along_and_a_namesake_inherits_nothing(world: World) -> None:
    await world.scope("acme.shop")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    await world.key("acme.shop", "k", alice)
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", alice.uid)
    await world.delete(iam.USER, "", name)
    await world.settle()
    for table in ("role_assignment", "api_key"):
        assert await world.admin.fetchval(f"select count(*) from platform_iam.{table} where path <> ''") == 0
    namesake = await world.user("alice@example.com")
    assert await world.granted(namesake, READ) == []


async def test_the_owner_of_a_key_that_a_key_makes_is_the_owner_and_it_is_no_wider(world: World) -> None:
    await world.scope("acme.shop.eu")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    soon = (world.now() + timedelta(hours=1)).isoformat()
    maker = await world.key(
        "acme.shop", "maker", alice, permissions=["api-key:create", "api-key:read", READ], expires_at=soon
    )
    with pytest.raises(Invalid, match="more than itself"):
        await world.key("acme.shop.eu", "a", maker)
    with pytest.raises(Invalid, match="more than itself"):
        await world.key("acme.shop.eu", "b", maker, permissions=["tenant:delete"])
    with pytest.raises(Invalid, match="outlives"):
        await world.key("acme.shop.eu", "c", maker, permissions=[READ])
    made = await world.key("acme.shop.eu", "d", maker, permissions=[READ], expires_at=soon)
    assert await world.granted(made, READ) == ["acme.shop.eu"]
    with pytest.raises(Forbidden):
        await world.key("acme", "e", await world.key("acme.shop.eu", "x", alice), permissions=[READ])


async def test_a_key_in_somebody_elses_name_needs_all_that_he_holds(world: World) -> None:
    await world.scope("acme.shop")
    alice = await world.user("alice@example.com")
    await world.user("bob@example.com")
    await world.service_account("acme.shop", "strong")
    await world.service_account("acme.shop", "weak")
    await world.grant("user:alice@example.com", "-/developer", "acme.shop")
    await world.grant("user:bob@example.com", "-/viewer", "acme.shop")
    await world.grant("service-account:acme.shop/strong", "-/tenant-admin", "acme.shop")
    await world.grant("service-account:acme.shop/weak", "-/viewer", "acme.shop")
    with pytest.raises(Forbidden, match="made by that user"):
        await world.key("acme.shop", "a", alice, owner="user:bob@example.com")
    with pytest.raises(Forbidden, match="do not hold"):
        await world.key("acme.shop", "b", alice, owner="service-account:acme.shop/strong")
    await world.key("acme.shop", "c", alice, owner="service-account:acme.shop/weak")
    await world.key("acme.shop", "d", alice, owner="service-account:acme.shop/strong", permissions=[READ])
    with pytest.raises(Invalid, match="names nobody"):
        await world.key("acme.shop", "e", alice, owner="user:nobody@example.com")


async def test_rotating_a_key_of_somebody_stronger_is_refused(world: World) -> None:
    await world.scope("acme.shop")
    weak = await world.user("weak@example.com")
    await world.grant("user:weak@example.com", "-/developer", "acme.shop")
    await world.grant("user:weak@example.com", await world.role("", "keeper", ["api-key:manage"]), "acme.shop")
    await world.service_account("acme.shop", "strong")
    await world.grant("service-account:acme.shop/strong", "-/tenant-admin", "acme.shop")
    await world.key("acme.shop", "k", world.operator, owner="service-account:acme.shop/strong")
    await world.key("acme.shop", "o", world.operator)
    for name in ("k", "o"):
        with pytest.raises(Forbidden):
            async with world.acting(weak) as ctx:
                await iam.rotate_key(ctx, "acme.shop", name)
    with pytest.raises(Forbidden, match="do not hold"):
        await world.change(
            iam.API_KEY,
            "acme.shop",
            "k",
            {"permissions": None, "disabled": False, "expires_at": "2099-01-01T00:00:00Z"},
            weak,
        )


# --- nobody gives what he does not hold --------------------------------------------------------------------------


async def test_a_tenant_admin_cannot_make_an_operator(world: World) -> None:
    await world.scope("acme.shop.eu")
    alice = await world.user("alice@example.com")
    await world.user("bob@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    for role, path in (
        ("-/operator", "acme.shop"),
        ("-/platform-admin", "acme.shop.eu"),
    ):
        with pytest.raises(Forbidden, match="do not hold"):
            await world.grant("user:bob@example.com", role, path, alice)
    with pytest.raises(Forbidden):
        await world.grant("user:bob@example.com", "-/viewer", "acme", alice)
    await world.grant("user:bob@example.com", "-/developer", "acme.shop.eu", alice)


async def test_direct_sql_as_the_api_is_refused_alike(world: World) -> None:
    await world.scope("acme.shop")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/tenant-admin", "acme.shop")
    with pytest.raises(Forbidden):
        async with world.acting(alice) as ctx:
            await ctx.db.execute(
                "insert into platform_iam.role_assignment (scope, name, spec) values ('acme.shop', 'x', $1::jsonb)",
                '{"subject": "user:alice@example.com", "role": "-/operator"}',
            )
    for table in ("principal", "binding", "role_permission", "password", "key_material", "session", "signing_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.acting(alice) as ctx:
                await ctx.db.execute(f"select * from platform_iam.{table}")


async def test_an_unknown_subject_or_role_is_named(world: World) -> None:
    await world.scope("acme")
    with pytest.raises(Invalid, match="names nobody"):
        await world.grant("user:nobody@example.com", "-/viewer", "acme")
    await world.user("alice@example.com")
    with pytest.raises(Invalid, match="does not exist"):
        await world.grant("user:alice@example.com", "-/emperor", "acme")


async def test_a_role_grows_only_by_what_its_changer_holds_wherever_it_is_assigned(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("rival.shop")
    alice = await world.user("alice@example.com")
    await world.user("bob@example.com")
    await world.grant("user:alice@example.com", "-/platform-admin", "acme")
    await world.role("acme", "helper", [READ], alice)
    await world.grant("user:bob@example.com", "acme/helper", "acme.shop", alice)
    with pytest.raises(Forbidden, match="do not hold"):
        await world.change(iam.ROLE, "acme", "helper", {"permissions": [READ, "platform:suspend"]}, alice)
    await world.change(iam.ROLE, "acme", "helper", {"permissions": [READ, "tenant:create"]}, alice)
    bob = Actor(
        await world.admin.fetchval("select uid from platform_iam.principal where name = 'bob@example.com'"), "user", "b"
    )
    assert await world.granted(bob, "tenant:create") == ["acme.shop"]
    await world.change(iam.ROLE, "acme", "helper", {"permissions": [READ]}, alice)
    assert await world.granted(bob, "tenant:create") == []
    # assigned where alice holds nothing, the role is out of her hands
    await world.grant("user:bob@example.com", "acme/helper", "rival.shop")
    with pytest.raises(Forbidden, match="do not hold"):
        await world.change(iam.ROLE, "acme", "helper", {"permissions": [READ, "tenant:create"]}, alice)


async def test_presets_cannot_be_changed_or_deleted(world: World) -> None:
    with pytest.raises(Forbidden, match="preset"):
        await world.change(iam.ROLE, "", "viewer", {"permissions": [READ]})
    with pytest.raises((Forbidden, Conflict)):
        await world.delete(iam.ROLE, "", "billing-admin")
    assert (await world.get(iam.ROLE, "", "viewer")).status.preset


async def test_syncing_presets_again_changes_nothing(world: World) -> None:
    before = await world.admin.fetch("select name, resource_version from platform_iam.role order by name")
    async with world.system() as ctx:
        await iam.sync_presets(ctx, world.catalogue.permissions)
        assert await iam.ensure_operator(ctx, "operator@localhost") is None
    assert await world.admin.fetch("select name, resource_version from platform_iam.role order by name") == before


async def test_another_users_password_is_set_only_by_who_holds_all_that_user_holds(world: World) -> None:
    clerk = await world.user("clerk@example.com")
    await world.user("alice@example.com")
    await world.role("", "clerk", ["user:set-password", "user:read"])
    await world.grant("user:clerk@example.com", "-/clerk", "")
    names = {
        r["email"]: r["name"]
        for r in await world.admin.fetch("select spec ->> 'email' as email, name from platform_iam.user")
    }
    async with world.acting(clerk) as ctx:
        await iam.set_password(ctx, names["alice@example.com"], "hash")
    with pytest.raises(Forbidden, match="do not hold"):
        async with world.acting(clerk) as ctx:
            await iam.set_password(ctx, "operator", "hash")


# --- hostile text ------------------------------------------------------------------------------------------------

HOSTILE = (
    "'; drop table platform_iam.user; --",
    "a\r\nBcc: x@y.example",
    "{evil}",
    "%s%s",
    '"><script>',
    "\\x00",
    "'||'",
)


async def test_hostile_text_is_refused_or_kept_as_text(world: World) -> None:
    await world.scope("acme")
    for n, text in enumerate(HOSTILE):
        with pytest.raises(Invalid):
            await world.grant(f"user:{text}@example.com", "-/viewer", "acme")
        with pytest.raises(Invalid):
            await world.key("acme", "k", world.operator, owner=f"service-account:acme/{text}")
        with pytest.raises(Invalid):
            await world.role("acme", "r", [f"tenant:{text}"])
        with suppress(Invalid):
            user = await world.make(iam.USER, "", f"u{n}", {"email": f"{text}@example.com"})
            assert user.spec.email == f"{text}@example.com"
        made = await world.make(iam.SERVICE_ACCOUNT, "acme", f"robot{n}", {"description": text})
        assert made.spec.description == text


# --- the algebra -------------------------------------------------------------------------------------------------

PATHS = ("", "a", "a.b", "a.b.c", "a.b.d", "a-b", "a-b.c", "e", "e.f")
PERMISSIONS = (READ, "tenant:create", "api-key:read")
assignments = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(range(3))), max_size=6)
ROLES = ((READ,), (READ, "tenant:create"), ("api-key:read", "tenant:create"))


def topmost(paths: set[str]) -> set[str]:
    return {p for p in paths if not any(q != p and covers(q, p) for q in paths)}


def test_grants_are_what_the_assignments_say(database: TestDatabase) -> None:
    """Against a model of a few lines: the topmost assigned paths, and for a key their common part with its scope."""
    with asyncio.Runner() as runner:
        opened = scope_world(database)
        world = runner.run(opened.__aenter__())
        for n, permissions in enumerate(ROLES):
            runner.run(world.role("", f"role-{n}", permissions))

        @settings(max_examples=60, deadline=None)
        @given(
            held=assignments, key_at=st.sampled_from(PATHS), listed=st.none() | st.sets(st.sampled_from(PERMISSIONS))
        )
        def check(held: list[tuple[str, int]], key_at: str, listed: set[str] | None) -> None:
            runner.run(_check_grants(world, held, key_at, listed))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def _check_grants(world: World, held: list[tuple[str, int]], key_at: str, listed: set[str] | None) -> None:
    user, key = uuid4(), uuid4()
    await world.admin.execute("insert into platform_iam.principal values ($1, 'user', '', $2, true)", user, str(user))
    await world.admin.execute(
        "insert into platform_iam.principal values ($1, 'api_key', $2::text::ltree, 'k', true, $3, $4)",
        key, key_at, user, None if listed is None else sorted(listed),
    )  # fmt: skip
    for path, role in held:
        await world.admin.execute(
            "insert into platform_iam.binding select gen_random_uuid(), $1, $2::text::ltree, uid"
            " from platform_iam.role where name = $3",
            user, path, f"role-{role}",
        )  # fmt: skip
    for permission in PERMISSIONS:
        owns = {path for path, role in held if permission in ROLES[role]}
        common = {p if covers(key_at, p) else key_at for p in owns if covers(p, key_at) or covers(key_at, p)}
        of_key = topmost(common) if listed is None or permission in listed else set()
        assert sorted(await world.granted(Actor(user, "user", "u"), permission)) == sorted(topmost(owns))
        assert sorted(await world.granted(Actor(key, "api_key", "k"), permission)) == sorted(of_key)


async def test_tenancy_comes_first(world: World) -> None:
    """A key in a suspended platform holds nothing, though its owner does."""
    await world.scope("acme.shop")
    await world.settle()
    key = await world.key("acme.shop", "k", world.operator)
    async with world.acting(world.operator) as ctx:
        await tenancy.suspend_platform(ctx, "acme", "shop", "")
    assert await world.granted(key, READ) == []


async def test_keys_of_others_are_left_alone_without_the_right_to_manage_them(world: World) -> None:
    await world.scope("acme.shop")
    alice, bob, ada = [await world.user(f"{name}@example.com") for name in ("alice", "bob", "ada")]
    for name, role in (("alice", "developer"), ("bob", "developer"), ("ada", "tenant-admin")):
        await world.grant(f"user:{name}@example.com", f"-/{role}", "acme.shop")
    mine = await world.key("acme.shop", "mine", alice)

    async def rotate(actor: Actor) -> None:
        async with world.acting(actor) as ctx:
            await iam.rotate_key(ctx, "acme.shop", "mine", timedelta())

    await rotate(alice)
    with pytest.raises(Forbidden, match="api-key:manage"):
        await world.change(iam.API_KEY, "acme.shop", "mine", {"disabled": True}, bob)
    with pytest.raises(Forbidden, match="api-key:manage"):
        await world.delete(iam.API_KEY, "acme.shop", "mine", bob)
    with pytest.raises(Forbidden, match="api-key:manage"):
        await rotate(bob)
    await world.change(iam.API_KEY, "acme.shop", "mine", {"disabled": True}, ada)
    await world.change(iam.API_KEY, "acme.shop", "mine", {"disabled": False}, alice)
    await world.key("acme.shop", "second", alice)
    await world.change(iam.API_KEY, "acme.shop", "second", {"disabled": True}, mine)  # a key acts for its owner
    await world.delete(iam.API_KEY, "acme.shop", "mine", alice)


async def test_a_key_ends_with_its_owner_whoever_ends_that(world: World) -> None:
    await world.scope("acme.shop")
    await world.service_account("acme.shop", "robot")
    await world.grant("service-account:acme.shop/robot", "-/viewer", "acme.shop")
    await world.key("acme.shop", "robots", world.operator, owner="service-account:acme.shop/robot")
    role = await world.role("", "cleaner", ["service-account:read", "service-account:delete", "tenant:read"])
    cleaner = await world.user("cleaner@example.com")
    await world.grant("user:cleaner@example.com", role, "acme.shop")
    await world.delete(iam.SERVICE_ACCOUNT, "acme.shop", "robot", cleaner)
    await world.settle()
    with pytest.raises(NotFound):
        await world.get(iam.API_KEY, "acme.shop", "robots")
