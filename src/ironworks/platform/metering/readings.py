"""Readings in Postgres: what a month's add up to, and what of that was charged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from ironworks.platform.metering.model import MonthTotal, UsageEvent
from ironworks.shared.context import Context, to_json

_SERIES: Final = "md5(jsonb_build_array(model, dimensions)::text)::uuid"
_TOTALS: Final = f"""
    with level as (
      select meter, path, model, dimensions, level, occurred_at,
             lead(occurred_at) over (partition by path, meter, resource order by occurred_at, event_id) as until
      from platform_metering.reading where aggregation = 'time_weighted' and occurred_at < $2),
    total as (
      select meter, path, model, dimensions,
             sum(level * extract(epoch from coalesce(until, $2) - greatest(occurred_at, $1))) as total
      from level where coalesce(until, $2) > $1 group by 1, 2, 3, 4
      union all
      select meter, path, model, dimensions, max(level)::numeric from platform_metering.reading
      where aggregation = 'max' and occurred_at >= $1 and occurred_at < $2 group by 1, 2, 3, 4
      union all
      select meter, path, model, dimensions, count(distinct word)::numeric from platform_metering.reading
      where aggregation = 'unique' and occurred_at >= $1 and occurred_at < $2 group by 1, 2, 3, 4)
    select t.meter, t.path, t.model, t.dimensions, t.total, t.series, coalesce(s.quantity, 0) as settled
    from (select *, {_SERIES} as series from total) t
    left join platform_metering.settled s on s.month = $3 and (s.meter, s.path, s.series) = (t.meter, t.path, t.series)
    order by t.path, t.meter, t.series
"""


async def save_readings(ctx: Context, events: Sequence[UsageEvent], aggregations: Mapping[str, str]) -> None:
    """Insert the readings of events whose ids were claimed in this transaction."""
    rows = [(event, meter, value) for event in events for meter, value in event.readings.items()]
    await ctx.db.execute(
        """
        insert into platform_metering.reading
          (event_id, meter, aggregation, occurred_at, scope, resource, model, dimensions, level, word)
        select id, meter, aggregation, at, scope::ltree, resource, model, dimensions::jsonb, level, word
        from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                    $8::text[], $9::bigint[], $10::text[])
          as r (id, meter, aggregation, at, scope, resource, model, dimensions, level, word)
        """,
        [event.id for event, _, _ in rows],
        [meter for _, meter, _ in rows],
        [aggregations[meter] for _, meter, _ in rows],
        [event.occurred_at for event, _, _ in rows],
        [event.scope for event, _, _ in rows],
        [event.resource for event, _, _ in rows],
        [event.model for event, _, _ in rows],
        [to_json(dict(event.dimensions)) for event, _, _ in rows],
        [value if isinstance(value, int) else None for _, _, value in rows],
        [value if isinstance(value, str) else None for _, _, value in rows],
    )


async def lock_settling(ctx: Context) -> None:
    """One settler at a time, until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended('platform_metering.settled', 0))")


async def list_totals(ctx: Context, month: date, since: datetime, until: datetime) -> list[MonthTotal]:
    """What the readings of [since, until) come to, by meter, scope, model and dimensions.

    A level counts from its reading on, until the resource's next one, in units × seconds.
    """
    rows = await ctx.db.fetch(_TOTALS, since, until, month)
    return [
        MonthTotal(
            month,
            row["meter"],
            row["path"],
            row["model"],
            json.loads(row["dimensions"]),
            row["series"],
            Decimal(row["total"]),
            row["settled"],
        )
        for row in rows
    ]


async def save_settled(ctx: Context, settled: Sequence[tuple[MonthTotal, int]]) -> None:
    """Keep up to which quantity each series is charged."""
    await ctx.db.execute(
        """
        insert into platform_metering.settled as s (month, meter, scope, series, quantity)
        select month, meter, path::ltree, series, quantity
        from unnest($1::date[], $2::text[], $3::text[], $4::uuid[], $5::bigint[])
          as t (month, meter, path, series, quantity)
        on conflict (month, meter, path, series) do update set quantity = excluded.quantity
        """,
        [total.month for total, _ in settled],
        [total.meter for total, _ in settled],
        [total.scope for total, _ in settled],
        [total.series for total, _ in settled],
        [quantity for _, quantity in settled],
    )
