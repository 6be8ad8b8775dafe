"""The end of responses: with their retention, or with their scope; and keys that follow the master key."""

from __future__ import annotations

from ironworks.platform import secrets, tenancy
from ironworks.products.tokenfactory.responses import service
from ironworks.shared.changelog import LoggedChange
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.path import parse_path
from ironworks.shared.schedules import schedules


@consumes(tenancy.TENANT, name="tokenfactory.responses.forget_tenant")
async def forget_tenant(ctx: Context, change: LoggedChange) -> None:
    """The responses of a tenant that is gone go too."""
    await _forget(ctx, change)


@consumes(tenancy.PLATFORM, name="tokenfactory.responses.forget_platform")
async def forget_platform(ctx: Context, change: LoggedChange) -> None:
    """Those that a platform's own keys made."""
    await _forget(ctx, change)


@consumes(tenancy.ACCOUNT, name="tokenfactory.responses.forget_account")
async def forget_account(ctx: Context, change: LoggedChange) -> None:
    """Those that an account's own keys made."""
    await _forget(ctx, change)


async def _forget(ctx: Context, change: LoggedChange) -> None:
    if change.op == "deleted":
        scope = parse_path(change.scope)
        await service.forget_scope(ctx, f"{scope}.{change.name}" if scope else change.name)


@schedules(every=300)
async def purge_expired_responses(db: Database) -> None:
    """Delete responses whose retention is over."""
    done = service.BATCH
    while done >= service.BATCH:
        async with db.transaction(system_actor("schedule/purge_expired_responses")) as ctx:
            done = await service.purge_expired(ctx)


@schedules(every=60)
async def rewrap_response_keys(db: Database, keyring: secrets.Keyring) -> None:
    """Follow a change of the master key."""
    done = service.BATCH
    while done >= service.BATCH:
        async with db.transaction(system_actor("schedule/rewrap_response_keys")) as ctx:
            done = await service.rewrap_keys(ctx, keyring)
