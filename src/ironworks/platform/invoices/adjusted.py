"""Which days closes worked out what terms ask of, and what they posted for it: statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from ironworks.platform.invoices.model import Close
from ironworks.shared.context import Context


class PostedTerms(NamedTuple):
    """What the version `terms_id` asked of the days of a close, as far as it is posted."""

    close_id: UUID
    terms_id: UUID
    scope: str
    meter: str
    model: str
    currency: str
    amount_nano: int


async def lock_accounts(ctx: Context, accounts: Collection[str]) -> None:
    """One decision about which days of an account a close takes at a time, until the transaction ends."""
    await ctx.db.execute(
        "select pg_advisory_xact_lock(hashtextextended('invoices.close:' || account, 0))"
        " from (select account from unnest($1::text[]) as a (account) order by account) a",
        list(accounts),
    )


async def lock_adjusted(ctx: Context, charging: Sequence[Close]) -> dict[UUID, date]:
    """Close → the day up to which closes that overlap with it have posted what terms ask; none does until it has."""
    await lock_accounts(ctx, [close.account for close in charging])
    rows = await ctx.db.fetch(
        """
        select w.id, max(c.period_end) as adjusted
        from unnest($1::uuid[], $2::text[], $3::date[]) as w (id, account, last)
        join platform_invoices.close c
          on c.path = w.account and c.id <> w.id and c.state <> 'charging' and c.period_start < w.last
        group by w.id
        """,
        [close.id for close in charging],
        [close.account for close in charging],
        [close.end for close in charging],
    )
    return {row["id"]: row["adjusted"] for row in rows}


async def note_adjusted(ctx: Context, days: Mapping[UUID, date]) -> None:
    """Say from which day on each close works out what terms ask; nothing of one whose period has no day of its own."""
    await ctx.db.execute(
        """
        update platform_invoices.close c set adjusted_from = a.day
        from unnest($1::uuid[], $2::date[]) as a (id, day) where c.id = a.id and a.day < c.period_end
        """,
        list(days),
        list(days.values()),
    )


async def list_adjusted(
    ctx: Context, charging: Sequence[Close], late: timedelta
) -> dict[UUID, tuple[UUID, date, date]]:
    """Earlier closes of these closes' accounts → (which of these corrects it, the days [from, to) that it had)."""
    rows = await ctx.db.fetch(
        """
        select c.id, w.id as by_close, c.adjusted_from, c.period_end
        from unnest($1::uuid[], $2::text[], $3::date[]) as w (id, account, since)
        join platform_invoices.close c
          on c.path = w.account and c.id <> w.id and c.state <> 'charging' and c.period_end >= w.since
        where c.adjusted_from is not null order by c.path, c.period_end, c.id
        """,
        [close.id for close in charging],
        [close.account for close in charging],
        [close.end - late for close in charging],
    )
    return {row["id"]: (row["by_close"], row["adjusted_from"], row["period_end"]) for row in rows}


async def sum_adjusted(ctx: Context, accounts: Collection[str], closes: Collection[UUID]) -> list[PostedTerms]:
    """What was posted until now of what terms ask of these closes' days, by close and version."""
    rows = await ctx.db.fetch(
        """
        select split_part(reference, ':', 3)::uuid as close, split_part(reference, ':', 2)::uuid as terms, path, meter,
               model, currency, sum(amount_nano)::bigint as nano
        from platform_invoices.charge
        where account = any($1::text[]) and reference >= 'terms:' and reference < 'terms;'
          and split_part(reference, ':', 3) = any($2::text[])
        group by 1, 2, 3, 4, 5, 6
        """,
        list(accounts),
        [str(close) for close in closes],
    )
    return [PostedTerms(*row) for row in rows]
