"""Posting transfers, and adding them up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC
from uuid import UUID

from ironworks.platform import tenancy
from ironworks.platform.ledger import snapshots, store
from ironworks.platform.ledger.declarations import POST
from ironworks.platform.ledger.events import SnapshotMismatch
from ironworks.platform.ledger.model import (
    AlreadyReversed,
    Balance,
    LedgerAccount,
    Mismatch,
    NewTransfer,
    Posting,
    PostingQuery,
    Purpose,
    Transfer,
    TransferKind,
    TransferQuery,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import Forbidden, NotFound
from ironworks.shared.path import OPERATOR


async def check_may_post(ctx: Context) -> None:
    """Raises Forbidden unless the caller may move money by hand: `ledger:post` at the operator's scope."""
    if not await ctx.allows(POST, OPERATOR):
        raise Forbidden(f"this needs the permission {POST!r} at '-': who moves money by hand is the operator")


async def post_transfers(ctx: Context, transfers: Sequence[NewTransfer]) -> None:
    """Append transfers, opening the ledger accounts that they name for the first time.

    Whoever posts makes it happen once, by a claim in the same transaction (usage) or by what a transfer corrects.
    """
    if not transfers:
        return
    await store.open_accounts(ctx, {name for transfer in transfers for name in (transfer.debit, transfer.credit)})
    await store.save_transfers(ctx, transfers)


async def post_transfer(ctx: Context, transfer: NewTransfer) -> UUID:
    """Append one transfer; returns its id."""
    await post_transfers(ctx, [transfer])
    return transfer.id


async def reverse_transfer(ctx: Context, transfer_id: UUID, correlation: str) -> UUID:
    """Take a transfer back by one that moves the same amount the other way; returns the new one's id.

    Raises NotFound, and AlreadyReversed when it was taken back before.
    """
    await store.lock_transfer(ctx, transfer_id)
    found = await store.list_transfers(ctx, [transfer_id])
    if not found:
        raise NotFound(f"no transfer {transfer_id} for this caller")
    if correction := await store.find_correction(ctx, transfer_id):
        raise AlreadyReversed(f"transfer {transfer_id} was taken back by {correction.id}")
    wrong = found[0]
    reversal = NewTransfer(
        debit=wrong.credit,
        credit=wrong.debit,
        amount_nano=wrong.amount_nano,
        kind=TransferKind.REVERSAL,
        correlation=correlation,
        corrects=wrong.id,
        day=ctx.now().astimezone(UTC).date(),
    )
    return await post_transfer(ctx, reversal)


async def list_transfers(ctx: Context, ids: Collection[UUID]) -> list[Transfer]:
    """Those of these transfers that the caller may see, oldest first."""
    return await store.list_transfers(ctx, ids)


async def find_correction(ctx: Context, transfer_id: UUID) -> Transfer | None:
    """The transfer that takes this one back, if there is one that the caller may see."""
    return await store.find_correction(ctx, transfer_id)


async def find_transfers(ctx: Context, query: TransferQuery, limit: int) -> list[Transfer]:
    """Up to `limit` transfers, newest first. Raises NotFound for a scope that never was."""
    found = await store.find_transfers(ctx, query, limit)
    if not found:
        await tenancy.require_scope(ctx, query.path)
    return found


async def list_accounts(
    ctx: Context, path: str, purpose: Purpose | None, after: tuple[str, str, str], limit: int
) -> list[LedgerAccount]:
    """Ledger accounts at and below `path` with their balances, by (path, purpose, currency) past `after`.

    Raises NotFound for a scope that never was.
    """
    found = await store.list_accounts(ctx, path, purpose, after, limit)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found


async def list_postings(ctx: Context, queries: Sequence[PostingQuery], limit: int) -> list[list[Posting]]:
    """What was put on, or taken off, what accounts owe for usage, fees and the like: of each query one page of at most
    `limit`, in the order of its cursor.
    """
    return await store.list_postings(ctx, queries, limit)


async def list_currencies(ctx: Context, accounts: Collection[str]) -> set[tuple[str, str]]:
    """(account, currency) of everything that was ever owed at or below these accounts."""
    return await store.list_currencies(ctx, accounts)


async def list_payers(ctx: Context, after: str = "", limit: int = 1000) -> list[str]:
    """Accounts at or below which anything was ever owed, by name, past `after`."""
    return await store.list_payers(ctx, after, limit)


async def get_balances(ctx: Context, path: str) -> list[Balance]:
    """What the ledger accounts at and below `path` add up to, per purpose and currency, as the caller may see them."""
    return await store.sum_balances(ctx, path)


async def take_snapshots(ctx: Context) -> int:
    """Keep the balance of every ledger account that moved since the last time; returns how many. As the worker."""
    return await snapshots.save_snapshots(ctx)


async def forget_snapshots(ctx: Context) -> None:
    """Remove snapshots that newer ones replaced more than a day ago. As the worker."""
    await snapshots.delete_superseded(ctx)


async def verify_snapshots(
    ctx: Context, after: UUID = UUID(int=0), limit: int = 100
) -> tuple[UUID | None, list[Mismatch]]:
    """Compare the kept balances of the next `limit` ledger accounts with their transfers. As the worker.

    Nothing is mended: a mismatch is told once, and from then on the account's balance is added up from its transfers.
    Returns the last one that was checked (None after the end), and what does not agree.
    """
    last, found = await snapshots.check_snapshots(ctx, after, limit)
    for mismatch in found:
        if await snapshots.save_mismatch(ctx, mismatch):
            await ctx.emit(_alarm(mismatch), mismatch.scope)
    return last, found


def _alarm(mismatch: Mismatch) -> SnapshotMismatch:
    return SnapshotMismatch(
        ledger_account=mismatch.ledger_account,
        scope=mismatch.scope,
        kept_nano=mismatch.kept_nano,
        summed_nano=mismatch.summed_nano,
    )
