"""Sums by hour and day in Postgres: exact whatever the order in which events come, and fresh to the last one.

Every event keeps the transaction that recorded it. A roll adds up the events of all transactions that ended since the
roll before, and moves its mark in the same transaction; a reader adds what is past the mark from the events themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ironworks.platform.metering.model import Every, MeterPoint
from ironworks.shared.context import Context

_LIMIT: Final = 3000.0
"""Seconds that one roll may take: the first one after an upgrade adds up all there is."""
_ENDPOINT: Final = """
    case endpoint_name when '' then '' else coalesce(nullif(endpoint_scope::text, ''), '-') || '/' || endpoint_name end
"""
_SERIES: Final = "model, route, endpoint, key_uid, dimensions"
_COLUMNS: Final = f"scope, {{at}}, meter, series, {_SERIES}"
_ADD: Final = f"""
    insert into platform_metering.usage_{{table}} as h ({_COLUMNS.format(at="at")}, quantity)
    select {_COLUMNS.format(at="{at}")}, {{quantity}} from hours {{grouped}}
    on conflict (path, meter, at, series) do update set quantity = h.quantity + excluded.quantity
"""
_DAY: Final = "date_trunc('day', at, 'UTC')"
_ROLL: Final = f"""
    with part as (
      select scope, date_trunc('hour', occurred_at, 'UTC') as at, q.key as meter, model, route, {_ENDPOINT} as endpoint,
             key_uid, dimensions, sum(q.value::bigint) as quantity
      from platform_metering.usage_event e cross join lateral (
        select key, value from jsonb_each_text(e.quantities) where value <> '0' union all select '', '1') q
      where recorded_in >= $1::text::xid8 and recorded_in < $2::text::xid8
      group by scope, 2, q.key, {_SERIES}),
    hours as (select p.*, md5(jsonb_build_array({_SERIES})::text)::uuid as series from part p),
    by_hour as ({_ADD.format(table="hourly", at="at", quantity="quantity", grouped="")})
    {_ADD.format(table="daily", at=_DAY, quantity="sum(quantity)", grouped="group by " + _COLUMNS.format(at=_DAY))}
"""
"""Quantities are added up before anything is worked out of them: an hour has far fewer series than events."""


class RestoredElsewhere(RuntimeError):
    """Transactions are counted anew on this server, so what was added up already cannot be told."""


async def roll(ctx: Context) -> bool:
    """Add up what was recorded since the last roll; whether there may have been something. For the worker.

    Raises RestoredElsewhere after a logical restore into another server.
    """
    upto = int(await ctx.db.fetchval("select upto::text from platform_metering.rolled for update"))
    head = int(await ctx.db.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text"))
    if upto > head:
        raise RestoredElsewhere(f"usage is added up to transaction {upto}, and this server is at {head}")
    if upto == head:
        return False
    await ctx.db.execute(_ROLL, str(upto), str(head), timeout=_LIMIT)
    await ctx.db.execute("update platform_metering.rolled set upto = $1::text::xid8", str(head))
    return True


async def has_unrolled(ctx: Context, before: datetime) -> bool:
    """Whether an event that occurred before then is not in the sums yet."""
    found: bool = await ctx.db.fetchval(
        "select exists (select from platform_metering.usage_event"
        " where recorded_in >= (select upto from platform_metering.rolled) and occurred_at < $1)",
        before,
    )
    return found


async def forget_hours(ctx: Context, before: datetime, limit: int) -> int:
    """Delete at most `limit` hourly sums of before then; the daily ones stay."""
    gone: int = await ctx.db.fetchval(
        "with gone as (delete from platform_metering.usage_hourly where ctid = any (array("
        " select ctid from platform_metering.usage_hourly where at < $1 limit $2)) returning 1)"
        " select count(*)::int from gone",
        before,
        limit,
    )
    return gone


_WHERE: Final = """
    {at} >= $2 and {at} < $3 and (path = $1 or
      (path >= case $1 when '' then '!' else $1 || '.' end and path < case $1 when '' then '~' else $1 || '/' end))
"""


async def list_points(
    ctx: Context, path: str, meter: str, since: datetime, until: datetime, every: Every, by: Sequence[str], limit: int
) -> list[MeterPoint]:
    """At most `limit` quantities at and below `path` per hour or day of [since, until), grouped by `by`, by time."""
    groups = ", ".join(f"'{word}', {_group(word, 6 + n)}" for n, word in enumerate(by))
    args = [word.partition(":")[2] for word in by]
    rows = await ctx.db.fetch(
        f"""
        with part as (
          select at, path, model, route, endpoint, key_uid, dimensions, quantity
          from platform_metering.usage_{"hourly" if every == "hour" else "daily"}
          where meter = $4 and {_WHERE.format(at="at")}
          union all
          select date_trunc('{every}', occurred_at, 'UTC'), path, model, route, {_ENDPOINT}, key_uid, dimensions,
                 case $4 when '' then 1 else (quantities ->> $4)::numeric end
          from platform_metering.usage_event
          where recorded_in >= (select upto from platform_metering.rolled)
            and {_WHERE.format(at="occurred_at")})
        select at, jsonb_build_object({groups}) as grouped, sum(quantity)::text as quantity
        from part where quantity <> 0 group by 1, 2 order by 1, 2 limit $5
        """,
        path,
        since,
        until,
        meter,
        limit,
        *args,
    )
    return [MeterPoint(row["at"], _words(row["grouped"]), int(row["quantity"])) for row in rows]


def _group(word: str, number: int) -> str:
    """The SQL of one word to group by; a dimension's name is the argument `number`, which other words leave unused."""
    columns: Mapping[str, str] = {
        "tenant": "path", "model": "model", "route": "route", "endpoint": "endpoint", "key": "key_uid::text",
    }  # fmt: skip
    if word in columns:
        return f"coalesce({columns[word]}, '' || left(${number}::text, 0))"
    return f"coalesce(dimensions ->> ${number}::text, '')"


def _words(text: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(text)
    return found
