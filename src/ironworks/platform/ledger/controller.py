"""What the ledger does without a caller: keep balances and check them, let credit expire, watch who runs out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from uuid import UUID

from ironworks.platform.ledger import prepaid, service, standing
from ironworks.shared import telemetry
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules

log = telemetry.logger(__name__)
MISMATCHES: Final = telemetry.counter(
    "ironworks_ledger_snapshot_mismatches_total", "Kept balances that did not agree with their transfers."
)
_ACTOR: Final = system_actor("ledger")
_BATCH: Final = 100
Held: TypeAlias = tuple[str, str]
"""An account, and a currency that it has credit in."""


@schedules(every=30)
async def snapshot_balances(db: Database) -> None:
    """Keep the balances of what moved."""
    async with db.transaction(_ACTOR) as ctx:
        await service.take_snapshots(ctx)


@schedules(every=3600)
async def forget_old_snapshots(db: Database) -> None:
    """Remove what newer snapshots replaced."""
    async with db.transaction(_ACTOR) as ctx:
        await service.forget_snapshots(ctx)


@schedules(every=24 * 3600, timeout=4 * 3600)
async def verify_balances(db: Database) -> None:
    """Compare every kept balance with its transfers, a batch per transaction."""
    last: UUID | None = UUID(int=0)
    while last is not None:
        async with db.transaction(_ACTOR) as ctx:
            last, found = await service.verify_snapshots(ctx, last, _BATCH)
        for mismatch in found:
            MISMATCHES.labels().inc()
            log.error(
                "a kept balance does not agree with its transfers",
                ledger_account=str(mismatch.ledger_account),
                scope=mismatch.scope,
                kept_nano=mismatch.kept_nano,
                summed_nano=mismatch.summed_nano,
            )


@schedules(every=60)
async def expire_credit(db: Database) -> None:
    """Take what expired, an account per transaction."""
    await _each(db, prepaid.list_expiring, prepaid.expire_credit)


@schedules(every=30)
async def watch_credit(db: Database) -> None:
    """Find out where every prepaid account stands, one per transaction."""
    await _each(db, _list_prepaid, standing.review_credit)


async def _list_prepaid(ctx: Context, after: Held, limit: int) -> list[Held]:
    return [(found.account, found.currency) for found in await standing.list_prepaid(ctx, after, limit)]


async def _each(
    db: Database,
    find: Callable[[Context, Held, int], Awaitable[list[Held]]],
    act: Callable[[Context, str, str], Awaitable[object]],
) -> None:
    """Act on all that there are; one that fails keeps no other from its turn."""
    after = ("", "")
    while True:
        async with db.transaction(_ACTOR) as ctx:
            page = await find(ctx, after, _BATCH)
        for account, currency in page:
            try:
                async with db.transaction(_ACTOR) as ctx:
                    await act(ctx, account, currency)
            except Exception:
                log.exception("an account's credit cannot go on, and is tried again", account=account)
        if len(page) < _BATCH:
            return
        after = page[-1]
