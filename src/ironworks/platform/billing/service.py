"""From usage to money, and back from money to the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ironworks.platform import ledger, metering, pricing, tenancy
from ironworks.platform.billing.events import UsageChargedLate
from ironworks.platform.billing.model import Charged, Explanation, ScopeBalance, UsageInput, charges_of, transfers_for
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound

MAX_BATCH: Final = 10_000
"""Keeps a batch's sum far from a transfer's largest amount, and its transaction short."""
WAITING_BATCH: Final = 1000


async def charge_usage(ctx: Context, batch: Sequence[UsageInput]) -> list[Charged]:
    """Record, rate and post a batch, whole or not at all; what was charged before changes nothing.

    Returns what was charged now, in the batch's order: an event that was charged before, or was set aside, is absent.

    Runs as the gateway, for tenants of every kind in one batch; hundreds of events per call are cheapest. Safe from
    several processes at once with overlapping batches. Call it once per transaction (see metering.record_usage).
    Raises ValueError for more than MAX_BATCH events.
    """
    if len(batch) > MAX_BATCH:
        raise ValueError(f"{len(batch)} usage events at once: hand in at most {MAX_BATCH}")
    recorded = await metering.record_usage(ctx, batch)
    rating = await pricing.rate_usage(ctx, recorded)
    await _post(ctx, rating)
    return charges_of(recorded, rating)


async def charge_waiting(ctx: Context) -> int:
    """Charge lines that waited for a price and have one now; returns how many, at most a thousand."""
    rating = await pricing.rate_waiting(ctx, WAITING_BATCH)
    await _post(ctx, rating, waited=True)
    if rating.events:
        await ctx.emit(UsageChargedLate(usage_event_ids=sorted({event.usage_event_id for event in rating.events})))
    return len(rating.events)


async def charge_ingested(ctx: Context) -> int:
    """Charge events that came from outside; returns how many, at most a thousand."""
    events = await metering.take_uncharged(ctx, WAITING_BATCH)
    await _post(ctx, await pricing.rate_usage(ctx, events))
    return len(events)


async def charge_readings(ctx: Context) -> int:
    """Charge what readings of levels and of different things came to since the last time; returns how many events."""
    events = await metering.settle_readings(ctx)
    await _post(ctx, await pricing.rate_usage(ctx, events))
    return len(events)


async def _post(ctx: Context, rating: pricing.Rating, *, waited: bool = False) -> None:
    transfers = transfers_for(rating, ctx.request_id)
    await ledger.post_transfers(ctx, list(transfers.values()))
    await pricing.keep_rating(ctx, rating, {key: transfer.id for key, transfer in transfers.items()}, waited=waited)


async def explain_request(ctx: Context, request_id: str) -> Explanation:
    """Why a request cost what it cost: usage event → rated lines → transfers.

    Raises NotFound where the caller sees no such usage; a gateway ships its spool within seconds of the answer.
    """
    usage = await metering.find_usage(ctx, request_id)
    if usage is None:
        raise NotFound(f"no usage is recorded for request {request_id[:200]!r}; it may take some seconds to arrive")
    lines = await pricing.list_lines(ctx, request_id)
    ids = {line.transfer_id for line in lines if line.transfer_id}
    return Explanation(
        usage,
        lines,
        await pricing.list_unrated(ctx, request_id),
        await ledger.list_transfers(ctx, ids) if ids else [],
    )


def parse_id(text: str) -> UUID:
    """`text` as a transfer's id. Raises NotFound: no transfer is called anything else."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"no transfer {text[:80]!r}: its id is a UUID") from None


async def explain_transfer(
    ctx: Context, transfer_id: UUID, after: tuple[str, str] = ("", ""), limit: int = 100
) -> tuple[ledger.Transfer, list[pricing.RatedLine]]:
    """The way back: a transfer and one page of the rated lines that it moved, each naming its usage event.

    Raises NotFound.
    """
    found = await ledger.list_transfers(ctx, [transfer_id])
    if not found:
        raise NotFound(f"no transfer {transfer_id} for this caller")
    return found[0], await pricing.list_transfer_lines(ctx, transfer_id, after, limit)


async def get_scope_balance(ctx: Context, path: str) -> ScopeBalance:
    """What is owed at and below `path`, invoiced or not; an account's balance is that of everything under it.

    Raises NotFound for a scope that never existed.
    """
    balances = await ledger.get_balances(ctx, path)
    if not balances:
        await tenancy.require_scope(ctx, path)
    unbilled, due = (
        {b.currency: b.amount_nano for b in balances if b.purpose is purpose}
        for purpose in (ledger.Purpose.RECEIVABLE, ledger.Purpose.DUE)
    )
    return ScopeBalance(path, unbilled, due)
