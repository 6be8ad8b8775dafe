"""Transfers and balances, added up by day and place: for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ironworks.platform.ledger.model import Purpose
from ironworks.shared.context import Context
from ironworks.shared.grouping import PLACES, TIMES, grouped_columns

EARNED_BY: Final[Mapping[str, str]] = {**TIMES, **PLACES, "kind": "kind"}
"""What revenue can be grouped by."""


@dataclass(frozen=True, slots=True)
class MoneySum:
    """What one group came to. `group` has a value for each word that was grouped by."""

    group: tuple[Any, ...]
    currency: str
    amount_nano: int


async def sum_earned(ctx: Context, path: str, start: date, end: date, by: Sequence[str], limit: int) -> list[MoneySum]:
    """Up to `limit` groups of what revenue grew by, from scopes at and below `path`, on the days [start, end).

    What was taken back counts on the day of the transfer that took it. Raises Invalid for words not in EARNED_BY.
    """
    columns = grouped_columns(by, EARNED_BY)
    places = ", ".join(str(number) for number in range(1, len(by) + 2))
    rows = await ctx.db.fetch(
        f"""
        with earning as materialized (select platform_ledger.revenue_accounts() as ids),
        moved as (
          select t.path, t.day, t.kind, t.currency,
                 case when t.credit_account = any (e.ids) then t.amount_nano else -t.amount_nano end as nano
          from platform_ledger.transfer t cross join earning e
          where ($1 = '' or t.path = $1 or (t.path >= $1 || '.' and t.path < $1 || '/'))
            and t.day >= $2 and t.day < $3
            and (t.credit_account = any (e.ids)) <> (t.debit_account = any (e.ids)))
        select {columns}currency, sum(nano) from moved group by {places} order by {places} limit $4
        """,
        path,
        start,
        end,
        limit,
    )
    return [_money(tuple(row), len(by)) for row in rows]


async def sum_owed(ctx: Context, path: str, purpose: Purpose, by: Sequence[str], limit: int) -> list[MoneySum]:
    """Up to `limit` groups of what is owed now in the ledger accounts of `purpose` at and below `path`; none of zero.

    Raises Invalid for words that name no place.
    """
    columns = grouped_columns(by, PLACES)
    places = ", ".join(str(number) for number in range(1, len(by) + 2))
    rows = await ctx.db.fetch(
        f"""
        with owed as (
          select a.path, a.currency, coalesce(s.nano, 0) + coalesce(d.amount, 0) - coalesce(c.amount, 0) as nano
          from platform_ledger.ledger_account a
          left join lateral platform_ledger.newest_snapshot(a.id, (select platform_ledger.cluster())) s on true
          cross join lateral (
            select sum(amount_nano) as amount from platform_ledger.transfer
            where debit_account = a.id and posted_in >= coalesce(s.horizon, 0)) d
          cross join lateral (
            select sum(amount_nano) as amount from platform_ledger.transfer
            where credit_account = a.id and posted_in >= coalesce(s.horizon, 0)) c
          where a.purpose = $2 and ($1 = '' or a.path = $1 or (a.path >= $1 || '.' and a.path < $1 || '/')))
        select {columns}currency, sum(nano) from owed group by {places} having sum(nano) <> 0 order by {places} limit $3
        """,
        path,
        purpose,
        limit,
    )
    return [_money(tuple(row), len(by)) for row in rows]


def _money(row: tuple[Any, ...], width: int) -> MoneySum:
    return MoneySum(row[:width], row[width], int(row[width + 1]))
