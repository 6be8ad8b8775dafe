"""Rated lines, and quantities that wait for a price, added up by day, place and what was used: for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ironworks.platform.pricing.model import CURRENCY
from ironworks.shared.context import Context
from ironworks.shared.grouping import PLACES, TIMES, grouped_columns

RATED_BY: Final[Mapping[str, str]] = {**TIMES, **PLACES, "meter": "meter", "model": "model"}
"""What rated lines can be grouped by."""


@dataclass(frozen=True, slots=True)
class RatedSum:
    """What one group came to, at base price: what its lines cost when they were rated.

    Args:
        group: a value for each word that was grouped by.
        quantity: rated. waiting: of what has no price yet. Both mean something where a group has one meter.
    """

    group: tuple[Any, ...]
    currency: str
    quantity: int
    waiting: int
    amount_nano: int


async def sum_rated(ctx: Context, path: str, start: date, end: date, by: Sequence[str], limit: int) -> list[RatedSum]:
    """Up to `limit` groups of what was used at and below `path` in the days [start, end), in UTC, in their order.

    Raises Invalid for words in `by` that are not in RATED_BY.
    """
    columns = grouped_columns(by, RATED_BY)
    places = ", ".join(str(number) for number in range(1, len(by) + 2))
    rows = await ctx.db.fetch(
        f"""
        with line as (
          select path, day, meter, coalesce(model, '') as model, currency, quantity, 0 as waiting, amount_nano
          from platform_pricing.rated_line where path = $1 and day >= $2 and day < $3
          union all
          select path, day, meter, coalesce(model, ''), currency, quantity, 0, amount_nano
          from platform_pricing.rated_line
          where path >= case $1 when '' then '!' else $1 || '.' end
            and path < case $1 when '' then '~' else $1 || '/' end and day >= $2 and day < $3
          union all
          select path, (occurred_at at time zone 'utc')::date, meter, model, $5, 0, quantity, 0
          from platform_pricing.unrated_line
          where ($1 = '' or path = $1 or (path >= $1 || '.' and path < $1 || '/'))
            and occurred_at >= $2::date::timestamp at time zone 'utc'
            and occurred_at < $3::date::timestamp at time zone 'utc')
        select {columns}currency, sum(quantity), sum(waiting), sum(amount_nano) from line
        group by {places} order by {places} limit $4
        """,
        path,
        start,
        end,
        limit,
        CURRENCY,
    )
    width = len(by)
    return [
        RatedSum(tuple(row[:width]), row[width], *(int(value) for value in row[width + 1 :]))
        for row in map(tuple, rows)
    ]
