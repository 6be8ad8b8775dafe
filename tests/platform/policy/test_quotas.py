"""Quotas where things are created: exact whoever creates at once, by plan, by override, and until it expires."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from ironworks.platform import policy, tenancy
from ironworks.shared.context import Actor
from ironworks.shared.errors import QuotaExceeded
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
