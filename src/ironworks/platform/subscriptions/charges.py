"""Charges, the periods that took them, and suggestions in Postgres: rows that are added and never change."""

from __future__ import annotations

from collections.abc import Sequence
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


async def save_charges(ctx: Context, subscription: Subscription, charges: Sequence[NewCharge]) -> None:
    """Append charges that no close has taken yet."""
    if not charges:
        return
    await ctx.db.execute(
        """
        insert into platform_subscriptions.charge
          (reference, subscription_id, scope, kind, description, quantity, unit, amount_nano, due_on, meter,
           period_start)
        select reference, $1, $2::text::ltree, kind, description, quantity, unit, amount_nano, due_on, meter,
               period_start
        from unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::date[],
                    $10::text[], $11::date[])
          as c (reference, kind, description, quantity, unit, amount_nano, due_on, meter, period_start)
        """,
        subscription.id,
        subscription.account,
        [c.charge.reference for c in charges],
        [c.charge.kind for c in charges],
        [c.charge.description for c in charges],
        [c.charge.quantity for c in charges],
        [c.charge.unit for c in charges],
        [c.charge.amount_nano for c in charges],
        [c.due_on for c in charges],
        [c.meter for c in charges],
        [c.period_start for c in charges],
    )


async def settle_period(ctx: Context, period: DuePeriod) -> bool:
    """Have the period take every charge that is due by its end and that no other took; False when it did before."""
    first = await ctx.db.fetchval(
        """
        insert into platform_subscriptions.settled_period (subscription_id, scope, period_start, period_end)
        values ($1, $2::text::ltree, $3, $4) on conflict do nothing returning true
        """,
        period.subscription_id,
        period.account,
        period.start,
        period.end,
    )
    if first:
        await ctx.db.execute(
            "update platform_subscriptions.charge set billed_on = $2"
            " where subscription_id = $1 and due_on <= $2 and billed_on is null",
            period.subscription_id,
            period.end,
        )
    return bool(first)


async def is_settled(ctx: Context, period: DuePeriod) -> bool:
    """Whether the period's charges are settled."""
    found: bool = await ctx.db.fetchval(
        "select exists (select from platform_subscriptions.settled_period"
        " where subscription_id = $1 and period_end = $2)",
        period.subscription_id,
        period.end,
    )
    return found


async def list_settled(ctx: Context, subscription_id: UUID, since: date) -> list[tuple[date, date]]:
    """The settled periods (start, end) that end on `since` or later, oldest first."""
    rows = await ctx.db.fetch(
        "select period_start, period_end from platform_subscriptions.settled_period"
        " where subscription_id = $1 and period_end >= $2 order by period_end",
        subscription_id,
        since,
    )
    return [(row["period_start"], row["period_end"]) for row in rows]


async def sum_included(ctx: Context, subscription_id: UUID, period_start: date) -> dict[str, int]:
    """Meter → what charges have adjusted so far of the usage of the period that begins then, in nano-units."""
    rows = await ctx.db.fetch(
        "select meter, sum(amount_nano)::text as nano from platform_subscriptions.charge"
        " where subscription_id = $1 and kind = 'included' and period_start = $2 group by meter",
        subscription_id,
        period_start,
    )
    return {row["meter"]: int(row["nano"]) for row in rows}


async def list_billed(ctx: Context, period: DuePeriod) -> list[Charge]:
    """The charges that the close of a period took: prorations, what is included, the fee; each by day."""
    rows = await ctx.db.fetch(
        "select * from platform_subscriptions.charge where subscription_id = $1 and billed_on = $2"
        " order by array_position(array['proration', 'included', 'fee'], kind), due_on, amount_nano, reference",
        period.subscription_id,
        period.end,
    )
    return [_charge(row) for row in rows]


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
