"""Charges, the periods that took them, and suggestions in Postgres: rows that are added and never change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from uuid import UUID

import asyncpg

from ironworks.platform.subscriptions.model import (
    Charge,
    ChargeKind,
    DuePeriod,
    ListedCharge,
    NewCharge,
    Subscription,
    Suggestion,
)
from ironworks.shared.context import Context


async def save_charges(ctx: Context, made: Sequence[tuple[Subscription, NewCharge]]) -> None:
    """Append charges that no close has taken yet, each of its subscription."""
    if not made:
        return
    await ctx.db.execute(
        """
        insert into platform_subscriptions.charge
          (reference, subscription_id, scope, kind, description, quantity, unit, amount_nano, due_on, meter,
           period_start)
        select reference, subscription, account::ltree, kind, description, quantity, unit, amount_nano, due_on, meter,
               period_start
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
                    $9::date[], $10::text[], $11::date[])
          as c (subscription, account, reference, kind, description, quantity, unit, amount_nano, due_on, meter,
                period_start)
        """,
        [s.id for s, _ in made],
        [s.account for s, _ in made],
        [c.charge.reference for _, c in made],
        [c.charge.kind for _, c in made],
        [c.charge.description for _, c in made],
        [c.charge.quantity for _, c in made],
        [c.charge.unit for _, c in made],
        [c.charge.amount_nano for _, c in made],
        [c.due_on for _, c in made],
        [c.meter for _, c in made],
        [c.period_start for _, c in made],
    )


async def settle_periods(ctx: Context, wanted: Sequence[DuePeriod]) -> None:
    """Have each period take every charge that is due by its end and that no other took, unless it did before."""
    await ctx.db.execute(
        """
        with settled as (
          insert into platform_subscriptions.settled_period (subscription_id, scope, period_start, period_end)
          select id, account::ltree, first, last
          from unnest($1::uuid[], $2::text[], $3::date[], $4::date[]) as p (id, account, first, last)
          on conflict do nothing returning subscription_id, period_end)
        update platform_subscriptions.charge c set billed_on = s.period_end from settled s
        where c.subscription_id = s.subscription_id and c.due_on <= s.period_end and c.billed_on is null
        """,
        [p.subscription_id for p in wanted],
        [p.account for p in wanted],
        [p.start for p in wanted],
        [p.end for p in wanted],
    )


async def find_settled(ctx: Context, wanted: Sequence[DuePeriod]) -> set[tuple[UUID, date]]:
    """(subscription, end) of those of these periods whose charges are settled."""
    rows = await ctx.db.fetch(
        """
        select s.subscription_id, s.period_end from unnest($1::uuid[], $2::date[]) as p (id, last)
        join platform_subscriptions.settled_period s on s.subscription_id = p.id and s.period_end = p.last
        """,
        [p.subscription_id for p in wanted],
        [p.end for p in wanted],
    )
    return {(row["subscription_id"], row["period_end"]) for row in rows}


async def list_settled(ctx: Context, wanted: Sequence[tuple[UUID, date]]) -> dict[UUID, list[tuple[date, date]]]:
    """The settled periods (start, end) of each subscription that end on its day or later, oldest first."""
    rows = await ctx.db.fetch(
        """
        select s.subscription_id, s.period_start, s.period_end from unnest($1::uuid[], $2::date[]) as p (id, since)
        join platform_subscriptions.settled_period s on s.subscription_id = p.id and s.period_end >= p.since
        order by s.subscription_id, s.period_end
        """,
        [subscription_id for subscription_id, _ in wanted],
        [since for _, since in wanted],
    )
    found: dict[UUID, list[tuple[date, date]]] = {}
    for row in rows:
        found.setdefault(row["subscription_id"], []).append((row["period_start"], row["period_end"]))
    return found


async def sum_included(ctx: Context, wanted: Collection[tuple[UUID, date]]) -> dict[tuple[UUID, date, str], int]:
    """(subscription, a period's start, meter) → what charges adjusted so far of that period's usage, in nano-units."""
    rows = await ctx.db.fetch(
        """
        select c.subscription_id, c.period_start, c.meter, sum(c.amount_nano)::text as nano
        from unnest($1::uuid[], $2::date[]) as p (id, first)
        join platform_subscriptions.charge c on c.subscription_id = p.id and c.period_start = p.first
        where c.kind = 'included' group by 1, 2, 3
        """,
        [subscription_id for subscription_id, _ in wanted],
        [start for _, start in wanted],
    )
    return {(row["subscription_id"], row["period_start"], row["meter"]): int(row["nano"]) for row in rows}


async def list_billed(ctx: Context, wanted: Sequence[DuePeriod]) -> list[list[Charge]]:
    """The charges that the close of each period took: prorations, what is included, the fee; each by day."""
    rows = await ctx.db.fetch(
        """
        select p.n, c.* from unnest($1::uuid[], $2::date[]) with ordinality as p (id, last, n)
        join platform_subscriptions.charge c on c.subscription_id = p.id and c.billed_on = p.last
        order by p.n, array_position(array['proration', 'included', 'fee'], c.kind), c.due_on, c.amount_nano,
                 c.reference
        """,
        [p.subscription_id for p in wanted],
        [p.end for p in wanted],
    )
    found: list[list[Charge]] = [[] for _ in wanted]
    for row in rows:
        found[row["n"] - 1].append(_charge(row))
    return found


async def list_charges(ctx: Context, account: str, before: tuple[date, str], limit: int) -> list[ListedCharge]:
    """An account's charges, newest first, past `before` (day, reference)."""
    rows = await ctx.db.fetch(
        "select c.*, s.currency from platform_subscriptions.charge c"
        " join platform_subscriptions.subscription s on s.id = c.subscription_id"
        " where c.path = $1 and (c.due_on, c.reference) < ($2, $3) order by c.due_on desc, c.reference desc limit $4",
        account,
        *before,
        limit,
    )
    return [ListedCharge(_charge(row), row["currency"], row["due_on"], row["billed_on"]) for row in rows]


async def save_suggestion(ctx: Context, suggestion: Suggestion, now: datetime) -> bool:
    """Keep a suggestion; False when it was made before."""
    return bool(
        await ctx.db.fetchval(
            """
            insert into platform_subscriptions.suggestion
              (subscription_id, scope, period_start, meter, percent, used, included, plan, suggested_at)
            values ($1, $2::text::ltree, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing returning true
            """,
            suggestion.subscription_id,
            suggestion.account,
            suggestion.period_start,
            suggestion.meter,
            suggestion.percent,
            suggestion.used,
            suggestion.included,
            suggestion.plan,
            now,
        )
    )


async def list_suggestions(ctx: Context, account: str, before: tuple[datetime, str], limit: int) -> list[Suggestion]:
    """An account's suggestions, newest first, older than `before` (time, `meter:percent`)."""
    rows = await ctx.db.fetch(
        "select * from platform_subscriptions.suggestion"
        " where path = $1 and (suggested_at, meter || ':' || percent) < ($2, $3)"
        " order by suggested_at desc, meter || ':' || percent desc limit $4",
        account,
        *before,
        limit,
    )
    return [
        Suggestion(
            row["subscription_id"],
            row["path"],
            row["period_start"],
            row["meter"],
            row["percent"],
            int(row["used"]),
            row["included"],
            row["plan"],
            row["suggested_at"],
        )
        for row in rows
    ]


def _charge(row: asyncpg.Record) -> Charge:
    return Charge(
        row["path"],
        ChargeKind(row["kind"]),
        row["description"],
        row["quantity"],
        row["unit"],
        row["amount_nano"],
        row["reference"],
    )
