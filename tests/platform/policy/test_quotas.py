"""Quotas where things are created: exact whoever creates at once, by plan, by override, and until it expires."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ironworks.platform import iam, policy, tenancy
from ironworks.platform.registry.model import UnknownEntry
from ironworks.shared import resources
from ironworks.shared.context import Actor
from ironworks.shared.errors import Forbidden, Invalid, NotFound, QuotaExceeded
from tests.support.world import World

ACCOUNT = "acme"


async def plan(world: World, quotas: policy.Quotas, name: str = "starter", account: str = ACCOUNT) -> None:
    async with world.system() as ctx:
        await policy.set_plan_quotas(ctx, account, quotas, name)


async def override(
    world: World, scope: str, quota: str, limit: int | None, *, hours: int = 0, actor: Actor | None = None
) -> policy.EffectiveQuota:
    async with world.acting(actor or world.operator) as ctx:
        until = ctx.now() + timedelta(hours=hours) if hours else None
        return await policy.override_quota(ctx, scope, quota, limit, until, "a pilot")


async def effective(world: World, scope: str, actor: Actor | None = None) -> dict[str, policy.EffectiveQuota]:
    async with world.acting(actor or world.operator) as ctx:
        return {quota.name: quota for quota in await policy.list_quotas(ctx, scope)}


async def makes(world: World, path: str, names: list[str]) -> list[Any]:
    """Creates tenants at once; what each attempt came to, None for one that was made."""

    async def make(name: str) -> None:
        await world.make(tenancy.TENANT, path, name)

    return [
        problem if isinstance(problem, BaseException) else None
        for problem in await asyncio.gather(*map(make, names), return_exceptions=True)
    ]


async def test_twenty_at_once_get_exactly_what_the_plan_allows(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("acme.lab")
    await plan(world, {"tenants": 5})
    outcomes = await asyncio.gather(
        makes(world, "acme.shop", [f"t{n}" for n in range(10)]), makes(world, "acme.lab", [f"t{n}" for n in range(10)])
    )
    refused = [problem for outcome in outcomes for problem in outcome if problem is not None]
    assert len(refused) == 15
    assert {type(problem) for problem in refused} == {QuotaExceeded}
    assert {problem.details["used"] for problem in refused} == {5}
    assert await world.admin.fetchval("select count(*) from platform_tenancy.tenant") == 5
    assert (await effective(world, "acme"))["tenants"].used == 5


async def test_a_refusal_says_what_would_help_and_leaves_nothing(world: World) -> None:
    await world.scope("acme.shop")
    await plan(world, {"platforms": 1})
    with pytest.raises(QuotaExceeded) as refused:
        await world.scope("acme.lab")
    assert refused.value.message == (
        "'acme' may have 1 platforms by plan 'starter' and has 1: delete one, or change to a plan that allows more"
    )
    assert refused.value.details == {
        "quota": "platforms", "scope": "acme", "limit": 1, "used": 1, "plan": "starter", "overridden": False,
        "remedy": "delete one, or change to a plan that allows more",
    }  # fmt: skip
    assert await world.admin.fetchval("select count(*) from platform_tenancy.node_path where path = 'acme.lab'") == 0
    await world.scope("rival.shop.eu")  # others are not limited by it, nor is anything that the plan does not name


async def test_what_was_deleted_gives_its_room_back_when_it_is_gone(world: World) -> None:
    await world.scope("acme.shop")
    await plan(world, {"tenants": 1, "service_accounts": 1})
    await world.scope("acme.shop.eu")
    await world.delete(tenancy.TENANT, "acme.shop", "eu")
    with pytest.raises(QuotaExceeded):  # its controller has not cleaned up
        await world.scope("acme.shop.us")
    await world.settle()
    await world.scope("acme.shop.us")
    await world.service_account("acme.shop.us", "bot")
    with pytest.raises(QuotaExceeded):
        await world.service_account("acme", "other")
    await world.delete(iam.SERVICE_ACCOUNT, "acme.shop.us", "bot")  # has no controller: gone at once
    await world.service_account("acme", "other")


async def test_a_failed_creation_takes_no_room(world: World) -> None:
    await world.scope("acme.shop")
    await plan(world, {"tenants": 1})

    body = {"api_version": "v1", "kind": "Tenant", "metadata": {"name": "eu"}, "spec": {}}
    with suppress(RuntimeError):
        async with world.acting(world.operator) as ctx:
            await resources.create_resource(ctx, tenancy.TENANT, "acme.shop", body)
            raise RuntimeError
    await world.scope("acme.shop.us")


async def test_applying_what_is_there_already_needs_no_room(world: World) -> None:
    await world.scope("acme.shop.eu")
    await plan(world, {"tenants": 1})
    body = {"api_version": "v1", "kind": "Tenant", "metadata": {"name": "eu"}, "spec": {"description": "Europe"}}
    async with world.acting(world.operator) as ctx:
        written = await resources.apply_resource(ctx, tenancy.TENANT, "acme.shop", "eu", body)
    assert written.action == "updated"


async def test_a_smaller_plan_takes_nothing_away(world: World) -> None:
    await world.scope("acme.shop")
    assert not any(await makes(world, "acme.shop", ["a", "b", "c"]))
    await plan(world, {"tenants": 2, "platforms": None}, "small")
    quotas = await effective(world, "acme.shop")
    assert (quotas["tenants"].limit, quotas["tenants"].used) == (2, 3)
    assert (quotas["platforms"].limit, quotas["platforms"].used) == (None, 1)
    with pytest.raises(QuotaExceeded) as refused:
        await world.scope("acme.shop.d")
    assert refused.value.details["used"] == 3
    await plan(world, {}, "small")
    assert await effective(world, "acme") == {}
    await world.scope("acme.shop.d")


async def test_a_platforms_override_counts_apart_until_it_expires(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("acme.lab")
    await plan(world, {"tenants": 1})
    given = await override(world, "acme.lab", "tenants", 2, hours=1)
    assert (given.scope, given.limit, given.used, given.plan) == ("acme.lab", 2, 0, "starter")
    assert not any(await makes(world, "acme.lab", ["a", "b"]))
    await world.scope("acme.shop.a")  # the account's own one is still free
    (over,) = await makes(world, "acme.lab.a", ["inner"])  # nested ones count too
    assert over is not None
    assert over.details["remedy"] == "delete one, or ask the operator for more"
    assert (over.details["scope"], over.details["limit"], over.details["overridden"]) == ("acme.lab", 2, True)
    assert (await effective(world, "acme"))["tenants"].used == 1
    world.ahead = timedelta(hours=1)
    after = (await effective(world, "acme.lab"))["tenants"]
    assert (after.scope, after.limit, after.used, after.overridden) == ("acme", 1, 3, False)
    (refused,) = await makes(world, "acme.lab", ["c"])
    assert isinstance(refused, QuotaExceeded)


async def test_an_override_raises_lowers_and_lifts(world: World) -> None:
    await world.scope("acme.shop")
    await plan(world, {"tenants": 5})
    await override(world, "acme", "tenants", 0)
    assert isinstance((await makes(world, "acme.shop", ["a"]))[0], QuotaExceeded)
    await override(world, "acme", "tenants", None)
    assert not any(await makes(world, "acme.shop", list("abcdefg")))
    async with world.acting(world.operator) as ctx:
        await policy.remove_override(ctx, "acme", "tenants")
    quota = (await effective(world, "acme"))["tenants"]
    assert (quota.limit, quota.used, quota.overridden, quota.reason) == (5, 7, False, None)
    await override(world, "acme", "api_keys", 0)  # without any plan's word about it
    assert (await effective(world, "acme"))["api_keys"].plan is None
    actions = await world.admin.fetch("select action from platform_audit.trail where action like 'policy.%'")
    assert {row["action"] for row in actions} == {"policy.plan.set", "policy.quota.override", "policy.quota.restore"}


async def test_overrides_are_the_operators_and_plans_are_of_who_pays(world: World) -> None:
    await world.scope("acme.shop")
    role = await world.role("", "generous", ["quota:override", "quota:read"])
    deputy, bookkeeper = await world.user("deputy@example.com"), await world.user("books@example.com")
    await world.grant("user:deputy@example.com", role, "acme")
    await world.grant("user:books@example.com", "-/billing-admin", "acme")
    with pytest.raises(Forbidden):
        await override(world, "", "tenants", 100, actor=deputy)
    with pytest.raises(Forbidden):
        await override(world, "acme", "tenants", 100, actor=deputy)
    async with world.acting(deputy) as ctx:  # nor past the use case
        with pytest.raises(Exception, match="row-level security"):
            await ctx.db.execute(
                "insert into platform_policy.quota_override (scope, quota, allowed, reason, set_by)"
                " values ('acme', 'tenants', 100, '', '')"
            )
        await ctx.db.execute("rollback; begin")
    with pytest.raises(Forbidden):
        async with world.acting(deputy) as ctx:
            await policy.set_plan_quotas(ctx, "acme", {"tenants": 100}, "mine")
    await plan(world, {"tenants": 2})
    assert (await effective(world, "acme", bookkeeper))["tenants"].limit == 2
    assert await effective(world, "acme", await world.user("nobody@example.com")) == {}


async def test_bad_input_is_refused_and_named(world: World) -> None:
    await world.scope("acme.shop.eu")
    for account, quotas, name in (
        ("acme.shop", {"tenants": 1}, "starter"),
        ("acme", {"tenants": -1}, "starter"),
        ("acme", {"tenants": 10**13}, "starter"),
        ("acme", {"tenants": True}, "starter"),
        ("acme", {"Tenants": 1}, "starter"),
        ("acme", {"tenants": 1}, ""),
        ("acme", {f"q{n}": 1 for n in range(101)}, "starter"),
    ):
        with pytest.raises(Invalid):
            await plan(world, quotas, name, account)
    with pytest.raises(NotFound):
        await plan(world, {"tenants": 1}, account="nobody")
    for scope, quota in (("acme.shop.eu", "tenants"), ("acme.shop", "platforms")):
        with pytest.raises(Invalid):
            await override(world, scope, quota, 1)
    with pytest.raises(UnknownEntry):
        await override(world, "acme", "unicorns", 1)
    with pytest.raises(NotFound):
        await override(world, "acme.nowhere", "tenants", 1)
    with pytest.raises(Invalid):
        await override(world, "acme", "tenants", 1, hours=-1)
    with pytest.raises(NotFound):
        async with world.acting(world.operator) as ctx:
            await policy.remove_override(ctx, "acme", "tenants")


async def test_a_plan_may_name_what_this_installation_does_not_have(world: World) -> None:
    await world.scope("acme")
    await plan(world, {"features": 3})
    features = (await effective(world, "acme"))["features"]
    assert (features.limit, features.used, features.plan) == (3, None, "starter")


async def test_two_plans_at_once_leave_one_of_them_whole(world: World) -> None:
    await world.scope("acme")
    small, large = {"platforms": 1, "tenants": 2}, {"platforms": 3, "tenants": 10, "api_keys": 5}
    await asyncio.gather(*(plan(world, wanted) for wanted in (small, large) * 5))
    found = {name: quota.limit for name, quota in (await effective(world, "acme")).items()}
    assert found in (small, large)


async def test_nobody_asks_what_another_account_has_room_for(world: World) -> None:
    """The question looks past policies and makes whoever asks wait: it is for who creates there."""
    await world.scope("acme.shop.eu")
    await plan(world, {"tenants": 1})
    rival = await world.user("rival@example.com")
    ask = "select * from platform_policy.refuse_over('Tenant', 'tenants', 'acme.shop', now())"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(rival) as ctx:
            await ctx.db.fetch(ask)
    async with world.acting(world.operator) as ctx:
        assert await ctx.db.fetch(ask) == []


async def test_what_every_account_may_have_counts_where_nothing_else_is_said(world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("rival.app")
    assert (await override(world, "", "tenants", 1)).scope == ""
    assert [await makes(world, path, ["a"]) for path in ("acme.shop", "rival.app")] == [[None], [None]]
    for path in ("acme.shop", "rival.app"):
        (refused,) = await makes(world, path, ["b"])
        assert isinstance(refused, QuotaExceeded)
        assert (refused.details["scope"], refused.details["limit"]) == (path.partition(".")[0], 1)
    shown = (await effective(world, "acme.shop"))["tenants"]
    assert (shown.scope, shown.limit, shown.used, shown.plan, shown.overridden) == ("acme", 1, 1, None, False)
    await plan(world, {"tenants": 2})
    await override(world, "rival.app", "tenants", None)
    assert (await effective(world, "acme"))["tenants"].limit == 2
    assert [await makes(world, path, ["b"]) for path in ("acme.shop", "rival.app")] == [[None], [None]]
    assert [(q.limit, q.overridden) for q in (await effective(world, "")).values()] == [(1, True)]
    async with world.acting(world.operator) as ctx:
        await policy.remove_override(ctx, "", "tenants")
        await policy.remove_override(ctx, "rival.app", "tenants")
    assert await effective(world, "") == await effective(world, "rival") == {}
