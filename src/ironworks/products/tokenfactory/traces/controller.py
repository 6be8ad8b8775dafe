"""Keys for policies that are on, none for others; and the end of traces whose time is over."""

from __future__ import annotations

from ironworks.platform import secrets, tenancy
from ironworks.products.tokenfactory.traces import service
from ironworks.products.tokenfactory.traces.model import TRACE_POLICY, TracePolicy
from ironworks.shared.changelog import LoggedChange
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile import Outcome, Step, reconciles
from ironworks.shared.schedules import schedules


@reconciles(TRACE_POLICY)
async def reconcile_trace_policy(step: Step[TracePolicy], keyring: secrets.Keyring) -> Outcome:
    """A policy that is on has a key; one that is off or going has none, and its traces go with the key."""
    policy = step.resource
    if policy.spec.enabled and not policy.deleting:
        step.also(lambda ctx: service.give_key(ctx, keyring, policy.uid, policy.path))
        return step.ready(message=f"{policy.spec.sample_rate:.0%} of the requests are kept")
    step.also(lambda ctx: service.end_policy(ctx, policy.uid))
    return step.gone() if policy.deleting else step.ready(phase="Off", reason="Off", message="nothing is kept")


@consumes(tenancy.TENANT, name="tokenfactory.traces.forget_tenant")
async def forget_tenant(ctx: Context, change: LoggedChange) -> None:
    """The traces of a tenant that is gone go too, whoever's policy kept them."""
    if change.op == "deleted":
        await service.forget_scope(ctx, f"{change.scope}.{change.name}")


@schedules(every=300)
async def purge_expired_traces(db: Database) -> None:
    """Delete traces whose retention is over."""
    done = service.BATCH
    while done >= service.BATCH:
        async with db.transaction(system_actor("schedule/purge_expired_traces")) as ctx:
            done = await service.purge_expired(ctx)


@schedules(every=60)
async def rewrap_trace_keys(db: Database, keyring: secrets.Keyring) -> None:
    """Follow a change of the master key."""
    done = service.BATCH
    while done >= service.BATCH:
        async with db.transaction(system_actor("schedule/rewrap_trace_keys")) as ctx:
            done = await service.rewrap_keys(ctx, keyring)
