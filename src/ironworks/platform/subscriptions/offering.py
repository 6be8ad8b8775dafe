"""What one can subscribe to: versions of plans, which the operator adds and withdraws."""

from __future__ import annotations

from ironworks.platform import pricing, registry
from ironworks.platform.subscriptions import store
from ironworks.platform.subscriptions.model import Plan, PlanWithdrawn
from ironworks.platform.subscriptions.plans import DEFAULT_PLANS, DEFAULT_PRICES, NewPlan, check_plan
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER
from ironworks.shared.errors import Conflict, Forbidden, NotFound
from ironworks.shared.path import OPERATOR


async def list_plans(ctx: Context, *, latest: bool = True) -> list[Plan]:
    """The plans that one can subscribe to, or every version of them; by currency, fee, name and version."""
    return await store.list_plans(ctx, latest=latest)


async def create_plan(ctx: Context, name: str, plan: NewPlan) -> Plan:
    """Add a version of a plan, for who subscribes or changes from now on; who is on an older one stays on it.

    The same as the latest version adds nothing. Needs `plan:create` at the operator's scope. Raises Forbidden, Invalid,
    UnknownEntry and DisabledEntry (a meter).
    """
    await _require_operator(ctx)
    check_plan(name, plan)
    for meter in sorted(plan.included):
        await registry.require(ctx, METER, meter)
    latest = await store.find_plan(ctx, name, plan.currency)
    return latest if latest is not None and plan.is_like(latest) else await _add(ctx, name, plan)


async def withdraw_plan(ctx: Context, name: str, currency: str = pricing.CURRENCY) -> Plan:
    """Offer a plan no more: a version by which nobody subscribes or changes to it; who is on it stays on it.

    A later version offers it again. Withdrawn twice, it adds nothing. Needs `plan:create` at the operator's scope.
    Raises Forbidden and NotFound.
    """
    await _require_operator(ctx)
    latest = await _find(ctx, name, currency)
    return latest if latest.withdrawn else await _add(ctx, name, NewPlan.withdrawing(latest))


async def find_offer(ctx: Context, name: str, currency: str, present: Plan | None = None) -> Plan:
    """The version of a plan that one gets now; who is on a withdrawn one keeps that (`present`).

    Raises NotFound and PlanWithdrawn.
    """
    plan = await _find(ctx, name, currency)
    if not plan.withdrawn:
        return plan
    if present is not None and present.name == name:
        return present
    raise PlanWithdrawn(f"plan {name} in {currency} is offered no more: choose one that `ironworks plans list` lists")


async def seed_plans(ctx: Context) -> None:
    """Add each default plan of which there is no version, and prices of the meters of plans that have none at all."""
    known = {plan.name for plan in await store.list_plans(ctx, latest=False)}
    for name, plan in DEFAULT_PLANS.items():
        if name not in known:
            await store.save_plan(ctx, name, plan)
    await pricing.seed_default_prices(ctx, DEFAULT_PRICES)


async def _require_operator(ctx: Context) -> None:
    if not await ctx.allows("plan:create", OPERATOR):
        raise Forbidden("this needs the permission 'plan:create' at '-': plans are the operator's")


async def _find(ctx: Context, name: str, currency: str) -> Plan:
    plan = await store.find_plan(ctx, name, currency)
    if plan is None:
        raise NotFound(f"no plan {name[:80]!r} in {currency}: `ironworks plans list` lists them")
    return plan


async def _add(ctx: Context, name: str, plan: NewPlan) -> Plan:
    made = await store.save_plan(ctx, name, plan)
    if made is None:
        raise Conflict(f"another version of plan {name!r} was added at the same time: look at it, then try again")
    told = {"name": name, "version": made.version, "withdrawn": made.withdrawn}
    await ctx.audit("subscription.plan_version", "plan", str(made.id), after=told)
    return made
