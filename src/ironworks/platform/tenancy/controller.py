"""Shows each node's phase, moves new platforms through provisioning, and ends those whose notice is over."""

from __future__ import annotations

from typing import Any

from ironworks.platform.tenancy.model import ACCOUNT, PLATFORM, TENANT, Account, Node, Platform, Tenant
from ironworks.platform.tenancy.service import advance_platform, end_cancelled_platforms, find_node
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile import Outcome, Step, reconciles
from ironworks.shared.schedules import schedules

_REST = 3600.0
"""Seconds between looks at a platform that only a person can move on."""


@reconciles(ACCOUNT)
async def reconcile_account(step: Step[Account]) -> Outcome:
    """An account is active, or waits for its e-mail address."""
    if step.resource.deleting:
        return step.gone()
    node = await _node(step)
    if node.phase == "pending":
        return step.again(
            _REST, phase="pending", reason="EmailUnverified", message="open the link that was mailed to the address"
        )
    return step.ready(phase=node.phase)


@reconciles(TENANT)
async def reconcile_tenant(step: Step[Tenant]) -> Outcome:
    """A tenant needs nothing made for it."""
    return step.gone() if step.resource.deleting else step.ready(phase="active")


@reconciles(PLATFORM)
async def reconcile_platform(step: Step[Platform]) -> Outcome:
    """One step along the lifecycle, or what a person decided about it."""
    if step.resource.deleting:
        return step.gone()
    node = await _node(step)
    shown: dict[str, Any] = {"id": node.external_id, "cause": node.reason, "ends_at": node.ends_at}
    match node.phase:
        case "pending" | "provisioning":

            async def advance(ctx: Context) -> None:
                await advance_platform(ctx, node)

            step.also(advance)
            return step.again(0, phase=node.phase, reason="Provisioning", message="is being prepared", **shown)
        case "active":
            return step.ready(phase="active", **shown)
        case "pending_cancellation":
            return step.ready(phase=node.phase, reason="Ending", message=f"works until {node.ends_at}", **shown)
        case _:
            reason = "Suspended" if node.phase == "suspended" else "Cancelled"
            remedy = "resume it to go on" if node.phase == "suspended" else "it may now be deleted"
            return step.again(_REST, phase=node.phase, reason=reason, message=remedy, **shown)


@schedules(every=30)
async def end_cancellations(db: Database) -> None:
    """Platforms whose notice is over are cancelled, a hundred at a time."""
    async with db.transaction(system_actor("tenancy")) as ctx:
        await end_cancelled_platforms(ctx)


async def _node(step: Step[Account] | Step[Platform]) -> Node:
    async with step.read() as ctx:
        node = await find_node(ctx, step.resource.uid)
    assert node is not None, "a node's register outlives it"
    return node
