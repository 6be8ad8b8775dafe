"""The tree of scopes: paths that are never used twice, nodes that are not deleted full, and a platform's life."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import iam, tenancy
from ironworks.platform.tenancy.model import TRANSITIONS, Phase, WrongPhase, check_transition
from ironworks.shared import lookup
from ironworks.shared.errors import Conflict, Forbidden, Invalid, NotFound
from tests.support.world import World


async def test_a_tree_grows_to_eight_levels_and_no_further(world: World) -> None:
    await world.scope("a.b.c.d.e.f.g.h")
    with pytest.raises(Invalid):
        await world.make(tenancy.TENANT, "a.b.c.d.e.f.g.h", "i")


async def test_a_node_needs_its_parent(world: World) -> None:
    for kind, path in ((tenancy.PLATFORM, "nobody"), (tenancy.TENANT, "nobody.home")):
        with pytest.raises(NotFound):
            await world.make(kind, path, "x")


async def test_a_deleted_path_is_never_used_again(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.delete(tenancy.TENANT, "acme.shop", "eu")
    await world.settle()
    with pytest.raises(NotFound):
        await world.get(tenancy.TENANT, "acme.shop", "eu")
    with pytest.raises(Conflict, match="never used again"):
        await world.make(tenancy.TENANT, "acme.shop", "eu")
    await world.make(tenancy.TENANT, "acme.shop", "eu2")


async def test_sql_as_the_api_cannot_reuse_a_path_either(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.delete(tenancy.TENANT, "acme.shop", "eu")
    await world.settle()
    with pytest.raises(Conflict):
        async with world.acting(world.operator) as ctx:
            await ctx.db.execute(
                "insert into platform_tenancy.tenant (scope, name, spec) values ('acme.shop', 'eu', '{}')"
            )
    for statement in (
        "delete from platform_tenancy.node_path",
        "insert into platform_tenancy.node_path (path, uid, kind, phase)"
        " values ('x', gen_random_uuid(), 'Account', 'active')",
        "update platform_tenancy.node_path set closed_at = null",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.acting(world.operator) as ctx:
                await ctx.db.execute(statement)


async def test_a_node_with_anything_below_is_not_deleted_and_says_what_is_left(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.make(iam.SERVICE_ACCOUNT, "acme.shop.eu", "robot")
    with pytest.raises(Conflict, match="1 ServiceAccount") as refused:
        await world.delete(tenancy.TENANT, "acme.shop", "eu")
    assert refused.value.details == {"living": {"ServiceAccount": 1}}
    assert not (await world.get(tenancy.TENANT, "acme.shop", "eu")).deleting
    await world.delete(iam.SERVICE_ACCOUNT, "acme.shop.eu", "robot")
    await world.delete(tenancy.TENANT, "acme.shop", "eu")


async def test_nothing_enters_a_node_that_is_being_deleted(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.delete(tenancy.TENANT, "acme.shop", "eu")
    with pytest.raises(NotFound):
        await world.make(iam.SERVICE_ACCOUNT, "acme.shop.eu", "robot")


async def test_a_deletion_and_a_creation_at_once_leave_no_orphan(world: World) -> None:
    for n in range(10):
        await world.scope(f"acme.shop.t{n}")
        await asyncio.gather(
            world.delete(tenancy.TENANT, "acme.shop", f"t{n}"),
            world.make(iam.SERVICE_ACCOUNT, f"acme.shop.t{n}", "robot"),
            return_exceptions=True,
        )
        closed = await world.admin.fetchval(
            "select closed_at is not null from platform_tenancy.node_path where path = $1::text::ltree",
            f"acme.shop.t{n}",
        )
        inside = await world.admin.fetchval(
            "select count(*) from platform_iam.service_account where path = $1", f"acme.shop.t{n}"
        )
        assert closed != bool(inside)


async def test_a_platform_is_provisioned_with_an_id_of_its_own(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("acme.lab")
    assert (await world.get(tenancy.PLATFORM, "acme", "shop")).status.phase == "pending"
    await world.settle()
    platforms = [await world.get(tenancy.PLATFORM, "acme", name) for name in ("shop", "lab")]
    assert [p.status.phase for p in platforms] == ["active", "active"]
    ids = {p.status.id for p in platforms}
    assert len(ids) == 2
    assert all(len(i) == 10 and i.isascii() and i.isalnum() and i == i.lower() for i in ids)


async def test_accounts_and_tenants_are_active_at_once(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.settle()
    assert (await world.get(tenancy.ACCOUNT, "", "acme")).status.phase == "active"
    assert (await world.get(tenancy.TENANT, "acme.shop", "eu")).status.phase == "active"


async def test_a_suspended_platform_stops_at_once_and_resumes_with_everything_in_it(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.settle()
    key = await world.key("acme.shop.eu", "k", world.operator)
    above = await world.key("acme", "k", world.operator)
    async with world.acting(world.operator) as ctx:
        node = await tenancy.suspend_platform(ctx, "acme", "shop", "unpaid")
    assert node.phase == "suspended"
    assert await world.granted(key, "tenant:read") == []
    assert not await world.sees(key, "acme.shop.eu")
    assert await world.granted(above, "tenant:read") == ["acme"], "what lies beside the platform goes on"
    assert await world.granted(world.operator, "tenant:read") == [""]
    async with world.system("gateway") as ctx:
        assert await tenancy.list_halted_scopes(ctx) == ["acme.shop"]
    await world.settle()
    platform = await world.get(tenancy.PLATFORM, "acme", "shop")
    assert (platform.status.phase, platform.status.cause) == ("suspended", "unpaid")
    async with world.acting(world.operator) as ctx:
        await tenancy.resume_platform(ctx, "acme", "shop")
    assert await world.granted(key, "tenant:read") == ["acme.shop.eu"]
    await world.settle()
    assert (await world.get(tenancy.PLATFORM, "acme", "shop")).status.phase == "active"


async def test_a_cancelled_platform_works_until_its_notice_is_over(world: World) -> None:
    await world.scope("acme.shop")
    await world.settle()
    key = await world.key("acme.shop", "k", world.operator)
    async with world.acting(world.operator) as ctx:
        node = await tenancy.cancel_platform(ctx, "acme", "shop", "closing", world.now() + timedelta(days=2))
    assert node.phase == "pending_cancellation"
    assert await world.granted(key, "platform:read") == ["acme.shop"]
    async with world.system() as ctx:
        assert await tenancy.end_cancelled_platforms(ctx) == 0
    world.ahead = timedelta(days=3)
    async with world.system() as ctx:
        assert await tenancy.end_cancelled_platforms(ctx) == 1
    assert await world.granted(key, "platform:read") == []
    with pytest.raises(WrongPhase):
        async with world.acting(world.operator) as ctx:
            await tenancy.resume_platform(ctx, "acme", "shop")


async def test_only_a_cancelled_platform_is_deleted(world: World) -> None:
    await world.scope("acme.shop")
    await world.settle()
    with pytest.raises(Conflict, match="cancel it before"):
        await world.delete(tenancy.PLATFORM, "acme", "shop")
    async with world.acting(world.operator) as ctx:
        node = await tenancy.cancel_platform(ctx, "acme", "shop", "", world.now())
    assert node.phase == "cancelled"
    await world.delete(tenancy.PLATFORM, "acme", "shop")
    await world.settle()
    phase = await world.admin.fetchval("select phase from platform_tenancy.node_path where path = 'acme.shop'")
    assert phase == "deleted"


async def test_moving_a_platform_needs_its_permission(world: World) -> None:
    await world.scope("acme.shop")
    await world.settle()
    admin = await world.user("admin@acme.example")
    stranger = await world.user("stranger@elsewhere.example")
    await world.grant("user:admin@acme.example", "-/platform-admin", "acme")
    with pytest.raises(Forbidden):
        async with world.acting(admin) as ctx:
            await tenancy.suspend_platform(ctx, "acme", "shop", "")
    with pytest.raises(NotFound):
        async with world.acting(stranger) as ctx:
            await tenancy.suspend_platform(ctx, "acme", "shop", "")
    async with world.acting(admin) as ctx:
        await tenancy.cancel_platform(ctx, "acme", "shop", "")


async def test_events_tell_of_every_step(world: World) -> None:
    await world.scope("acme.shop")
    await world.settle()
    async with world.acting(world.operator) as ctx:
        await tenancy.suspend_platform(ctx, "acme", "shop", "unpaid")
    async with world.acting(world.operator) as ctx:
        await tenancy.resume_platform(ctx, "acme", "shop")
    async with world.acting(world.operator) as ctx:
        await tenancy.cancel_platform(ctx, "acme", "shop", "", world.now())
    await world.admin.execute("select shared.sequence_changes(10000)")
    told = await world.admin.fetch(
        "select event_type from shared.change_log where event_type like 'platform.tenancy.%' order by position"
    )
    assert [row["event_type"].split(".")[2] for row in told] == [
        "platform_provisioned",
        "platform_suspended",
        "platform_resumed",
        "platform_cancellation_requested",
        "platform_cancelled",
    ]


async def test_two_movers_at_once_take_turns(world: World) -> None:
    await world.scope("acme.shop")
    await world.settle()

    async def suspend() -> None:
        async with world.acting(world.operator) as ctx:
            await tenancy.suspend_platform(ctx, "acme", "shop", "")

    outcomes = await asyncio.gather(suspend(), suspend(), return_exceptions=True)
    assert sorted(type(o).__name__ for o in outcomes) == ["NoneType", "WrongPhase"]


async def test_an_account_that_signs_up_waits(world: World) -> None:
    async with world.system("api") as ctx:
        account = await tenancy.open_account(ctx, "newco", "boss@newco.example", "New Co")
    await world.settle()
    shown = await world.get(tenancy.ACCOUNT, "", "newco")
    assert shown.status.phase == "pending"
    assert shown.status.conditions[0].reason == "EmailUnverified"
    assert not await world.admin.fetchval("select platform_tenancy.scope_running('newco.app')")
    async with world.system("api") as ctx:
        assert await tenancy.activate_account(ctx, account) == "newco"
    async with world.system("api") as ctx:
        assert await tenancy.activate_account(ctx, account) is None
    await world.settle()
    assert (await world.get(tenancy.ACCOUNT, "", "newco")).status.phase == "active"


async def test_a_taken_account_name_is_a_conflict(world: World) -> None:
    await world.scope("acme")
    with pytest.raises(Conflict):
        async with world.system("api") as ctx:
            await tenancy.open_account(ctx, "acme", "boss@newco.example")
    with pytest.raises(Invalid):
        async with world.system("api") as ctx:
            await tenancy.open_account(ctx, "'; drop table x; --", "boss@newco.example")


async def test_status_is_not_for_the_api_to_write(world: World) -> None:
    await world.scope("acme.shop")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(world.operator) as ctx:
            await ctx.db.execute("""update platform_tenancy.platform set status = '{"phase": "active"}'""")


PHASES: list[Phase] = list(TRANSITIONS)


@given(st.lists(st.sampled_from(PHASES), max_size=12))
def test_a_life_follows_the_table_and_ends(wanted: list[Phase]) -> None:
    now: Phase = "pending"
    for then in wanted:
        try:
            check_transition("acme.shop", now, then)
        except WrongPhase:
            assert then not in TRANSITIONS[now]
            continue
        assert then in TRANSITIONS[now]
        assert now != "deleted"
        now = then


async def test_reading_the_register_follows_grants(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("other.shop")
    viewer = await world.user("viewer@acme.example")
    await world.grant("user:viewer@acme.example", "-/viewer", "acme")
    async with world.acting(viewer) as ctx:
        rows = await ctx.db.fetch("select path::text from platform_tenancy.node_path order by 1")
        assert [row["path"] for row in rows] == ["acme", "acme.shop"]
        found = await lookup.find(ctx, tenancy.PLATFORM)
    assert [f.full_name for f in found] == ["acme/shop"]
