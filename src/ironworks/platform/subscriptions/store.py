"""Plans, subscriptions and their charges in Postgres."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from ironworks.platform.subscriptions.model import (
    DuePeriod,
    Plan,
    Span,
    Status,
    Subscription,
)
from ironworks.platform.subscriptions.plans import NewPlan
from ironworks.shared.context import Context, to_json

# --- plans -------------------------------------------------------------------------------------------------------


async def save_plan(ctx: Context, name: str, plan: NewPlan) -> Plan | None:
    """Add the next version of a plan; None when somebody else added one at the same time."""
    row = await ctx.db.fetchrow(
        """
        insert into platform_subscriptions.plan
          (name, version, title, currency, base_fee_nano, limits, included, overage, trial_days, withdrawn, created_by)
        select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb, $8, $9, $10
        from platform_subscriptions.plan where name = $1 and currency = $3
        on conflict (name, currency, version) do nothing returning *
        """,
        name,
        plan.title,
        plan.currency,
        plan.base_fee_nano,
        to_json(dict(plan.limits)),
        to_json(dict(plan.included)),
        to_json({meter: format(price, "f") for meter, price in plan.overage.items()}),
        plan.trial_days,
        plan.withdrawn,
        ctx.actor.name,
    )
    return _plan(row) if row else None


async def list_plans(ctx: Context, *, latest: bool) -> list[Plan]:
    """Every version, or the latest of each plan that is not withdrawn; by currency, fee, name and version."""
    rows = await ctx.db.fetch(
        """
        select * from platform_subscriptions.plan p
        where not $1 or not withdrawn and version = (select max(version) from platform_subscriptions.plan l
                                                     where l.name = p.name and l.currency = p.currency)
        order by currency, base_fee_nano, name, version
        """,
        latest,
    )
    return [_plan(row) for row in rows]


async def find_plan(ctx: Context, name: str, currency: str) -> Plan | None:
    """The latest version of a plan."""
    row = await ctx.db.fetchrow(
        "select * from platform_subscriptions.plan where name = $1 and currency = $2 order by version desc limit 1",
        name,
        currency,
    )
    return _plan(row) if row else None


async def get_plans(ctx: Context, ids: Collection[UUID]) -> dict[UUID, Plan]:
    """These versions, by their ids."""
    rows = await ctx.db.fetch("select * from platform_subscriptions.plan where id = any($1::uuid[])", list(ids))
    return {row["id"]: _plan(row) for row in rows}


# --- subscriptions -----------------------------------------------------------------------------------------------

_SUBSCRIPTION = """
    select s.*, array(select sp.from_day from platform_subscriptions.plan_span sp
                      where sp.subscription_id = s.id order by sp.position) as span_days,
           array(select sp.plan_id from platform_subscriptions.plan_span sp
                 where sp.subscription_id = s.id order by sp.position) as span_plans
    from platform_subscriptions.subscription s
"""


async def find_live(ctx: Context, account: str, *, lock: bool = False) -> Subscription | None:
    """The account's subscription that is not canceled; `lock`: nobody else changes it until the transaction ends."""
    if lock:
        await ctx.db.execute(
            "select from platform_subscriptions.subscription where path = $1 and status <> 'canceled' for update",
            account,
        )
    row = await ctx.db.fetchrow(f"{_SUBSCRIPTION} where s.path = $1 and s.status <> 'canceled'", account)
    return _subscription(row) if row else None


async def find_last(ctx: Context, account: str) -> Subscription | None:
    """The account's latest subscription, canceled or not."""
    row = await ctx.db.fetchrow(
        f"{_SUBSCRIPTION} where s.path = $1 order by s.started_on desc, s.created_at desc limit 1", account
    )
    return _subscription(row) if row else None


async def lock_subscription(ctx: Context, subscription_id: UUID) -> Subscription | None:
    """A subscription that nobody else changes until the transaction ends."""
    return (await lock_subscriptions(ctx, [subscription_id])).get(subscription_id)


async def lock_subscriptions(ctx: Context, ids: Collection[UUID]) -> dict[UUID, Subscription]:
    """The same of several, locked in the order of their ids."""
    await ctx.db.execute(
        "select from platform_subscriptions.subscription where id = any($1::uuid[]) order by id for update", list(ids)
    )
    rows = await ctx.db.fetch(f"{_SUBSCRIPTION} where s.id = any($1::uuid[]) order by s.id", list(ids))
    return {row["id"]: _subscription(row) for row in rows}


async def find_subscription(ctx: Context, subscription_id: UUID) -> Subscription | None:
    """One subscription, if the caller may see it."""
    row = await ctx.db.fetchrow(f"{_SUBSCRIPTION} where s.id = $1", subscription_id)
    return _subscription(row) if row else None


async def create_subscription(ctx: Context, made: Subscription) -> bool:
    """Insert it with its first span; False when the account has one already."""
    row = await ctx.db.fetchval(
        """
        insert into platform_subscriptions.subscription
          (id, scope, plan_id, next_plan_id, currency, status, anchor_day, started_on, trial_end, period_start,
           period_end, ends_on, closed_to, opened, closes_on)
        values ($1, $2::text::ltree, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        on conflict do nothing returning 1
        """,
        made.id,
        made.account,
        made.plan_id,
        made.next_plan_id,
        made.currency,
        made.status,
        made.anchor_day,
        made.started_on,
        made.trial_end,
        made.period_start,
        made.period_end,
        made.ends_on,
        made.closed_to,
        made.opened,
        made.closes_on,
    )
    if row:
        await _save_spans(ctx, made, 0)
    return bool(row)


async def save_subscriptions(ctx: Context, changed: Sequence[tuple[Subscription, Subscription]]) -> None:
    """Write what changed of locked subscriptions, each as it was and as it is."""
    await ctx.db.executemany(
        """
        update platform_subscriptions.subscription
        set plan_id = $2, next_plan_id = $3, status = $4, period_start = $5, period_end = $6, ends_on = $7,
            closes_on = $8, unpaid = $9, grace_until = $10, trial_end = $11, anchor_day = $12
        where id = $1
        """,
        [
            (
                after.id,
                after.plan_id,
                after.next_plan_id,
                after.status,
                after.period_start,
                after.period_end,
                after.ends_on,
                after.closes_on,
                sorted(after.unpaid),
                after.grace_until,
                after.trial_end,
                after.anchor_day,
            )
            for _, after in changed
        ],
    )
    for before, after in changed:
        await _save_spans(ctx, after, len(before.spans))


async def _save_spans(ctx: Context, subscription: Subscription, first: int) -> None:
    new = subscription.spans[first:]
    if new:
        await ctx.db.execute(
            """
            insert into platform_subscriptions.plan_span (subscription_id, position, scope, from_day, plan_id)
            select $1, $2 + n - 1, $3::text::ltree, day, plan
            from unnest($4::date[], $5::uuid[]) with ordinality as s (day, plan, n)
            """,
            subscription.id,
            first,
            subscription.account,
            [span.from_day for span in new],
            [span.plan_id for span in new],
        )


async def save_closed_to(ctx: Context, closed: Sequence[Subscription]) -> None:
    """Write how far the periods of locked subscriptions are closed."""
    await ctx.db.execute(
        """
        update platform_subscriptions.subscription s
        set closed_to = c.closed_to, opened = c.opened, closes_on = c.closes_on
        from unnest($1::uuid[], $2::date[], $3::boolean[], $4::date[]) as c (id, closed_to, opened, closes_on)
        where s.id = c.id
        """,
        [s.id for s in closed],
        [s.closed_to for s in closed],
        [s.opened for s in closed],
        [s.closes_on for s in closed],
    )


async def list_subscriptions(
    ctx: Context, status: Status | None, after: tuple[str, str], limit: int, plan_name: str | None
) -> list[Subscription]:
    """Those that the caller may see, by account and first day, past `after` (account, id)."""
    rows = await ctx.db.fetch(
        f"{_SUBSCRIPTION} where ($1::text is null or s.status = $1) and (s.path, s.id::text) > ($2, $3)"
        " and ($5::text is null or s.plan_id in (select p.id from platform_subscriptions.plan p where p.name = $5))"
        " order by s.path, s.id::text limit $4",
        status,
        *after,
        limit,
        plan_name,
    )
    return [_subscription(row) for row in rows]


async def list_due(ctx: Context, today: date, limit: int) -> list[DuePeriod]:
    """The earliest unclosed period of each subscription where that is over, the oldest first."""
    rows = await ctx.db.fetch(
        "select id, path, currency, closed_to, closes_on from platform_subscriptions.subscription"
        " where closes_on <= $1 order by closes_on, id limit $2",
        today,
        limit,
    )
    return [DuePeriod(row["id"], row["path"], row["currency"], row["closed_to"], row["closes_on"]) for row in rows]


async def list_rolling(ctx: Context, today: date, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions whose period, or which themselves, are over, by id, past `after`."""
    rows = await ctx.db.fetch(
        "select id from platform_subscriptions.subscription"
        " where status <> 'canceled' and least(period_end, ends_on) <= $1 and id > $2 order by id limit $3",
        today,
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def list_out_of_grace(ctx: Context, now: datetime, today: date, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions that are past due and whose grace is over, and which nobody has ended yet, by id, past `after`."""
    rows = await ctx.db.fetch(
        "select id from platform_subscriptions.subscription"
        " where status = 'past_due' and grace_until <= $1 and (ends_on is null or ends_on > $2::date + 1) and id > $3"
        " order by id limit $4",
        now,
        today,
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def list_live(ctx: Context, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions that are not canceled, by id, past `after`."""
    rows = await ctx.db.fetch(
        "select id from platform_subscriptions.subscription where status <> 'canceled' and id > $1"
        " order by id limit $2",
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def list_subscribed(ctx: Context, accounts: Collection[str], before: date) -> set[str]:
    """Those of these accounts of which a subscription began before that day, and is not over or not closed."""
    rows = await ctx.db.fetch(
        "select distinct path from platform_subscriptions.subscription"
        " where path = any($1::text[]) and (status <> 'canceled' or closes_on is not null) and started_on < $2",
        list(accounts),
        before,
    )
    return {row["path"] for row in rows}


# --- rows --------------------------------------------------------------------------------------------------------


def _plan(row: asyncpg.Record) -> Plan:
    return Plan(
        row["id"],
        row["name"],
        row["version"],
        row["title"],
        row["currency"],
        row["base_fee_nano"],
        json.loads(row["limits"]),
        json.loads(row["included"]),
        {meter: Decimal(price) for meter, price in json.loads(row["overage"]).items()},
        row["trial_days"],
        row["withdrawn"],
        row["created_at"],
    )


def _subscription(row: asyncpg.Record) -> Subscription:
    return Subscription(
        id=row["id"],
        account=row["path"],
        plan_id=row["plan_id"],
        currency=row["currency"],
        status=Status(row["status"]),
        anchor_day=row["anchor_day"],
        started_on=row["started_on"],
        period_start=row["period_start"],
        period_end=row["period_end"],
        closed_to=row["closed_to"],
        opened=row["opened"],
        trial_end=row["trial_end"],
        next_plan_id=row["next_plan_id"],
        ends_on=row["ends_on"],
        unpaid=frozenset(row["unpaid"]),
        grace_until=row["grace_until"],
        spans=tuple(map(Span, row["span_days"], row["span_plans"])),
    )
