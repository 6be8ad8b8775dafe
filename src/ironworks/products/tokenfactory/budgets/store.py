"""Budgets in Postgres. What moves money is a function there (`sql/policy.sql`): the gateway may do nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from ironworks.products.tokenfactory.budgets.forecasting import Spent
from ironworks.products.tokenfactory.budgets.model import (
    Ask,
    BudgetView,
    Charge,
    Crossing,
    Lease,
    LeaseState,
    Standing,
    Terms,
    parse_amount,
)
from ironworks.shared.context import Context, to_json

_LEASE = (
    "id, period_start, holder, host, epoch, granted_nano, used_nano, state, granted_at, expires_at, closed_at"
    " from tokenfactory_budgets.lease"
)


async def list_views(ctx: Context) -> list[BudgetView]:
    """Every budget that is not being deleted."""
    rows = await ctx.db.fetch(
        "select uid, name, path, spec ->> 'amount' as amount, spec ->> 'period' as period, spec ->> 'mode' as mode,"
        " spec ->> 'on_failure' as on_failure, ref_key, coalesce(ref_route, ref_endpoint) as route"
        " from tokenfactory_budgets.budget where deletion_timestamp is null order by path, name"
    )
    return [_view(row) for row in rows]


async def adjust_lease(ctx: Context, ask: Ask) -> Terms:
    """One lease, changed under the lock of its period."""
    row = await ctx.db.fetchrow(
        "select outcome, lease, epoch, granted, left_nano, tight, poke from tokenfactory_budgets.adjust_lease("
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        ask.budget, ask.start, ask.holder, ask.host, ask.epoch, ask.keep, ask.wanted, ask.full, ask.least, ask.hold,
        timedelta(seconds=ask.ttl), ask.close,
    )  # fmt: skip
    assert row is not None
    return Terms(*row.values())


async def recalled_leases(ctx: Context, holder: str) -> list[tuple[UUID, datetime]]:
    """(budget, period start) of the holder's leases that are recalled."""
    rows = await ctx.db.fetch("select budget, period_start from tokenfactory_budgets.recalled_leases($1)", holder)
    return [(row["budget"], row["period_start"]) for row in rows]


async def close_leases(ctx: Context, holder: str) -> int:
    """Close every lease of `holder`; returns how many."""
    closed: int = await ctx.db.fetchval("select tokenfactory_budgets.close_leases($1)", holder)
    return closed


async def settle_usage(ctx: Context, charges: Sequence[Charge]) -> list[Crossing]:
    """Count charges; the thresholds that they reached first."""
    usage = [
        {
            "key": str(charge.key_uid),
            "key_scope": charge.key_scope,
            "route": str(charge.route_uid),
            "at": charge.admitted_at,
            "cost": charge.cost_nano,
            "leases": [int(lease) for lease in charge.leases],
        }
        for charge in charges
    ]
    rows = await ctx.db.fetch("select * from tokenfactory_budgets.settle_usage($1::text::jsonb)", to_json(usage))
    return [Crossing(*row.values()) for row in rows]


async def find_standing(ctx: Context, budget: UUID, start: datetime) -> Standing:
    """How the budget stands in the period that begins at `start`; its frozen leases are those of all periods."""
    row = await ctx.db.fetchrow(
        "select p.spent_nano, p.unreserved_nano,"
        " coalesce((select sum(greatest(l.granted_nano - l.used_nano, 0)) from tokenfactory_budgets.lease l"
        "  where l.budget = p.budget and l.period_start = p.period_start and l.state in ('open', 'frozen')), 0)::bigint"
        " as leased_nano, p.short_of from tokenfactory_budgets.budget_period p"
        " where p.budget = $1 and p.period_start = $2",
        budget,
        start,
    )
    frozen = await ctx.db.fetch(f"select {_LEASE} where budget = $1 and state = 'frozen' order by id", budget)
    spent, unreserved, leased, short_of = row.values() if row else (0, 0, 0, None)
    return Standing(spent, unreserved, leased, short_of, tuple(_lease(each) for each in frozen))


async def list_spending(ctx: Context, budget: UUID, start: datetime) -> list[Spent]:
    """What was spent in the period that begins at `start`, by when."""
    rows = await ctx.db.fetch(
        "select at, spent_nano from tokenfactory_budgets.spending where budget = $1 and period_start = $2 order by at",
        budget,
        start,
    )
    return [Spent(row["at"], row["spent_nano"]) for row in rows]


async def list_recent(ctx: Context, budget: UUID, since: datetime, start: datetime) -> list[Spent]:
    """What was spent since a moment, in any period that begins at `start` or later."""
    rows = await ctx.db.fetch(
        "select at, spent_nano from tokenfactory_budgets.spending"
        " where budget = $1 and period_start >= $2 and at >= $3 order by at",
        budget,
        start,
        since,
    )
    return [Spent(row["at"], row["spent_nano"]) for row in rows]


async def list_told(ctx: Context, budget: UUID, start: datetime) -> dict[int, datetime]:
    """Percents of the period that begins at `start` that were told, and when."""
    rows = await ctx.db.fetch(
        "select percent, told_at from tokenfactory_budgets.threshold_told where budget = $1 and period_start = $2",
        budget,
        start,
    )
    return {row["percent"]: row["told_at"] for row in rows}


async def merge_spending(ctx: Context, before: datetime, limit: int) -> int:
    """Merge up to `limit` rows of tens of minutes from before a moment into hours; returns how many."""
    merged: int = await ctx.db.fetchval("select tokenfactory_budgets.merge_spending($1, $2)", before, limit)
    return merged


async def list_leases(ctx: Context, budget: UUID, before: int, limit: int, state: LeaseState | None) -> list[Lease]:
    """A page of a budget's leases with ids below `before`, newest first."""
    rows = await ctx.db.fetch(
        f"select {_LEASE} where budget = $1 and id < $2 and ($4::text is null or state = $4) order by id desc limit $3",
        budget, before, limit, state,
    )  # fmt: skip
    return [_lease(row) for row in rows]


async def release_lost(ctx: Context, budget: UUID, holder: str | None, host: str | None) -> list[tuple[str, str, int]]:
    """Close frozen leases; (holder, host, nano-units freed) of each."""
    rows = await ctx.db.fetch(
        "select holder, host, freed_nano from tokenfactory_budgets.release_lost($1, $2, $3) order by id",
        budget,
        holder,
        host,
    )
    return [(row["holder"], row["host"], row["freed_nano"]) for row in rows]


async def freeze_leases(ctx: Context) -> int:
    """Mark what nobody renews; returns of how many budgets."""
    frozen: int = await ctx.db.fetchval("select tokenfactory_budgets.freeze_leases()")
    return frozen


async def prune_leases(ctx: Context, older_than: timedelta) -> int:
    """Forget leases that were closed so long ago; returns how many."""
    gone: int = await ctx.db.fetchval("select tokenfactory_budgets.prune_leases($1)", older_than)
    return gone


def _view(row: asyncpg.Record) -> BudgetView:
    key, route = row["ref_key"], row["route"]
    return BudgetView(
        uid=_plain(row["uid"]),
        name=row["name"],
        scope=row["path"],
        amount_nano=parse_amount(row["amount"]),
        period=row["period"],
        hard=row["mode"] == "hard",
        closed=row["on_failure"] == "closed",
        key=_plain(key) if key else None,
        route=_plain(route) if route else None,
    )


def _plain(uid: UUID) -> UUID:
    """The standard library's UUID of the driver's, whose hash takes longer."""
    return UUID(int=uid.int)


def _lease(row: asyncpg.Record) -> Lease:
    return Lease(*row.values())
