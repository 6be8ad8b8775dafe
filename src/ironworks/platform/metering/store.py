"""Usage in Postgres. A batch of any size is recorded in at most four statements."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any

import asyncpg
import orjson

from ironworks.platform.metering.model import (
    METADATA,
    GroupBy,
    GroupedEvent,
    Reason,
    RecordedUsage,
    SetAside,
    UsageEvent,
    UsageTotal,
)
from ironworks.shared.context import Context, to_json

_GROUPS: Mapping[str, str] = {
    "model": "model",
    "key": "coalesce(key_uid::text, '')",
    "tenant": "path",
    "route": "route",
    "endpoint": "case endpoint_name when '' then '' else"
    " coalesce(nullif(endpoint_scope::text, ''), '-') || '/' || endpoint_name end",
    "user": "coalesce(end_user, '')",
    "day": "to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD')",
    "hour": "to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:00\"Z\"')",
    METADATA: "coalesce(metadata ->> $4::text, '')",
}
_FILTERS = {
    "key": "key_uid::text =",
    "model": "model =",
    "route": "route =",
    "endpoint": _GROUPS["endpoint"] + " =",
    "user": "end_user =",
    "status": "dimensions ->> 'status' like",
}
_BELOW = """
    select * from platform_metering.usage_event
    where path = $1 and occurred_at >= $2 and occurred_at < $3
    union all
    select * from platform_metering.usage_event
    where path >= case $1 when '' then '!' else $1 || '.' end and path < case $1 when '' then '~' else $1 || '/' end
      and occurred_at >= $2 and occurred_at < $3
"""


async def hold_horizon(ctx: Context) -> datetime | None:
    """Before when ids are forgotten, or None; nothing more is forgotten until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock_shared(hashtextextended('platform_metering.horizon', 0))")
    before: datetime | None = await ctx.db.fetchval("select claims_from from platform_metering.horizon")
    return before


async def claim_ids(ctx: Context, claims: Collection[tuple[str, bytes, datetime]]) -> set[str]:
    """Claim every id that nobody has claimed; returns those. A claim is an id, a digest and when the event occurred.

    Ids are taken in order, so two transactions with overlapping batches wait for each other but never deadlock. A claim
    is as old as its event, where that is ahead of the clock: it is kept until the event would be too late.
    """
    now = ctx.now()
    rows = await ctx.db.fetch(
        """
        insert into platform_metering.usage_claim (event_id, digest, claimed_at)
        select event_id, digest, coalesce(claimed_at, $2) from unnest($1::platform_metering.new_claim[])
        order by event_id collate "C" on conflict do nothing returning event_id
        """,
        [(event_id, digest, at if at > now else None) for event_id, digest, at in claims],
        now,
    )
    return {row["event_id"] for row in rows}


async def claimed_digests(ctx: Context, ids: Sequence[str]) -> dict[str, bytes]:
    """What was recorded under ids that are claimed already."""
    rows = await ctx.db.fetch(
        "select event_id, digest from platform_metering.usage_claim where event_id = any($1::text[])", ids
    )
    return {row["event_id"]: row["digest"] for row in rows}


async def save_usage(ctx: Context, events: Sequence[UsageEvent]) -> None:
    """Insert events whose ids were claimed in this transaction; scope by scope, as their index lies on its pages."""
    await ctx.db.execute(
        """
        insert into platform_metering.usage_event (
          event_id, occurred_at, scope, quantities, model, route, endpoint_uid, endpoint_name, endpoint_scope,
          key_uid, counted, client_request_id, dimensions, priced_at, metadata, route_uid, end_user, cached_answer,
          course)
        select event_id, occurred_at, scope::ltree, quantities::jsonb, model, route, endpoint_uid, endpoint_name,
               endpoint_scope::ltree, key_uid, counted, client_request_id, dimensions::jsonb, priced_at,
               metadata::jsonb, route_uid, end_user, cached_answer, course::jsonb
        from unnest($1::platform_metering.new_usage[])
        """,
        [_columns(event) for event in sorted(events, key=attrgetter("scope"))],
    )


def _columns(event: UsageEvent) -> tuple[Any, ...]:
    """`new_usage` as its type lists it."""
    return (
        event.id,
        event.occurred_at,
        event.scope,
        _words(event.quantities),
        event.model,
        event.route,
        event.endpoint_uid,
        event.endpoint_name,
        event.endpoint_scope,
        event.key_uid,
        event.counted,
        event.client_request_id,
        _words(event.dimensions),
        event.priced_at,
        _words(event.metadata),
        event.route_uid,
        event.user,
        event.cached_answer,
        _words(event.course) if event.course else None,
    )


async def save_uncharged(ctx: Context, events: Sequence[UsageEvent]) -> None:
    """Have these events charged by a worker."""
    await ctx.db.execute(
        "insert into platform_metering.uncharged (event_id, occurred_at, scope)"
        " select id, at, scope::ltree from unnest($1::text[], $2::timestamptz[], $3::text[]) as e (id, at, scope)",
        [e.id for e in events],
        [e.occurred_at for e in events],
        [e.scope for e in events],
    )


async def take_uncharged(ctx: Context, limit: int) -> list[RecordedUsage]:
    """Take out the first events, by their ids, that wait to be charged; who comes at the same time waits."""
    rows = await ctx.db.fetch(
        """
        with taken as (
          delete from platform_metering.uncharged where event_id in (
            select event_id from platform_metering.uncharged order by event_id limit $1)
          returning event_id, occurred_at)
        select e.* from taken t join platform_metering.usage_event e using (event_id, occurred_at) order by e.event_id
        """,
        limit,
    )
    return [_recorded(row) for row in rows]


async def save_set_aside(ctx: Context, cases: Sequence[SetAside]) -> None:
    """Keep events that cannot be counted; the same event handed in again is kept once."""
    await ctx.db.execute(
        """
        insert into platform_metering.set_aside (event_id, digest, reason, problem, content, scope)
        select event_id, digest, reason, problem, content::json, scope::ltree
        from unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[])
          as s (event_id, digest, reason, problem, content, scope)
        order by event_id collate "C", digest on conflict do nothing
        """,
        [ascii(c.event.id)[1:-1] for c in cases],
        [c.event.digest() for c in cases],
        [c.reason for c in cases],
        [c.problem for c in cases],
        [to_json(c.event.content()) for c in cases],
        ["" if c.reason in (Reason.BAD_SCOPE, Reason.BAD_ID) else c.event.scope for c in cases],
    )


async def move_horizon(ctx: Context, claims_from: datetime, events_from: datetime) -> None:
    """From this transaction's commit on, nothing is recorded that occurred before `claims_from`."""
    await ctx.db.execute("select platform_metering.move_horizon($1, $2)", claims_from, events_from)


async def keep_months(ctx: Context, first: date, months: int) -> int:
    """Make the partitions of so many months from `first` on, drop those behind the horizon; returns how many."""
    changed: int = await ctx.db.fetchval("select platform_metering.keep_months($1, $2)", first, months)
    return changed


async def forget_old(ctx: Context, limit: int) -> int:
    """Delete at most `limit` claims, and as many events of no month of their own, from behind the horizon."""
    gone: int = await ctx.db.fetchval(
        "select platform_metering.forget_claims($1) + platform_metering.forget_rest($1)", limit
    )
    return gone


async def get_usage(ctx: Context, event_id: str) -> RecordedUsage | None:
    """One event, if it exists for this caller."""
    row = await ctx.db.fetchrow("select * from platform_metering.usage_event where event_id = $1", event_id)
    return _recorded(row) if row else None


async def find_usages(ctx: Context, ids: Sequence[str]) -> list[RecordedUsage]:
    """Those of these events that exist for this caller."""
    rows = await ctx.db.fetch(
        "select * from platform_metering.usage_event where event_id = any($1::text[]) order by event_id", ids
    )
    return [_recorded(row) for row in rows]


async def next_span(ctx: Context, after: str | None) -> tuple[str, datetime, datetime] | None:
    """The first path past `after`, in their order, that has events; and when the first and the last one occurred."""
    row = await ctx.db.fetchrow(
        """
        with next as (
          select path from platform_metering.usage_event where $1::text is null or path > $1 order by path limit 1)
        select path, min(e.occurred_at) as first, max(e.occurred_at) as last
        from next join platform_metering.usage_event e using (path) group by path
        """,
        after,
    )
    return (row["path"], row["first"], row["last"]) if row else None


async def list_usage_at(
    ctx: Context, path: str, since: datetime, until: datetime, limit: int, before: tuple[datetime, str]
) -> list[RecordedUsage]:
    """Events of exactly `path` in [since, until), newest first, older than `before` (time, id)."""
    rows = await ctx.db.fetch(
        "select * from platform_metering.usage_event"
        " where path = $1 and occurred_at >= $2 and occurred_at < $3 and (occurred_at, event_id) < ($4, $5)"
        " order by occurred_at desc, event_id desc limit $6",
        path,
        since,
        until,
        *before,
        limit,
    )
    return [_recorded(row) for row in rows]


async def list_usage(
    ctx: Context,
    path: str,
    since: datetime,
    until: datetime,
    limit: int,
    before: tuple[datetime, str] | None,
    filters: Mapping[str, str],
) -> list[RecordedUsage]:
    """Events at and below `path` in [since, until), newest first, older than `before` (time, id).

    `filters`: one of `_FILTERS` → the value; of a status also a pattern, as `4__`.
    """
    at, event_id = before or (until, "")
    only = "".join(f" and {_FILTERS[name]} ${number}" for number, name in enumerate(filters, 7))
    rows = await ctx.db.fetch(
        f"select * from ({_BELOW}) e where (occurred_at, event_id) < ($4, $5){only}"
        " order by occurred_at desc, event_id desc limit $6",
        path,
        since,
        until,
        at,
        event_id,
        limit,
        *filters.values(),
    )
    return [_recorded(row) for row in rows]


async def total_usage(
    ctx: Context, path: str, since: datetime, until: datetime, by: GroupBy, limit: int
) -> list[UsageTotal]:
    """Sums over the events at and below `path` in [since, until), of at most `limit` groups."""
    group, args = _group(by)
    rows = await ctx.db.fetch(
        f"""
        with part as (select {group} as bucket, quantities from ({_BELOW}) e),
        sums as (select bucket, q.key, sum(q.value::numeric)::text as total
                 from part cross join lateral jsonb_each_text(quantities) q group by bucket, q.key)
        select c.bucket, c.requests,
               coalesce((select jsonb_object_agg(s.key, s.total) from sums s where s.bucket = c.bucket), '{{}}')
                 as totals
        from (select bucket, count(*) as requests from part group by bucket order by 1 limit ${4 + len(args)}) c
        order by c.bucket collate "C"
        """,
        path,
        since,
        until,
        *args,
        limit,
    )
    return [
        UsageTotal(r["bucket"], r["requests"], {meter: int(q) for meter, q in json.loads(r["totals"]).items()})
        for r in rows
    ]


async def list_grouped(
    ctx: Context, path: str, since: datetime, until: datetime, by: GroupBy, before: tuple[datetime, str], limit: int
) -> list[GroupedEvent]:
    """Events at and below `path` in [since, until), newest first, older than `before` (time, id), with their group."""
    group, args = _group(by)
    last = 3 + len(args)
    rows = await ctx.db.fetch(
        f"select event_id, occurred_at, {group} as bucket from ({_BELOW}) e"
        f" where (occurred_at, event_id) < (${last + 1}, ${last + 2})"
        f" order by occurred_at desc, event_id desc limit ${last + 3}",
        path,
        since,
        until,
        *args,
        *before,
        limit,
    )
    return [GroupedEvent(row["event_id"], row["occurred_at"], row["bucket"]) for row in rows]


def _group(by: GroupBy) -> tuple[str, list[str]]:
    """The SQL of a grouping and its arguments, from $4 on."""
    if by.startswith(METADATA):
        return _GROUPS[METADATA], [by.removeprefix(METADATA)]
    return _GROUPS[by], []


async def list_set_aside(ctx: Context, path: str, limit: int) -> list[dict[str, Any]]:
    """What was set aside at and below `path`, newest first."""
    rows = await ctx.db.fetch(
        """
        select event_id, reason, problem, content, path, recorded_at from platform_metering.set_aside
        where path = $1 or $1 = '' or (path >= $1 || '.' and path < $1 || '/')
        order by recorded_at desc, event_id limit $2
        """,
        path,
        limit,
    )
    return [dict(row) | {"content": json.loads(row["content"])} for row in rows]


def _words(mapping: Mapping[str, Any]) -> str:
    """JSON of what was checked to be storable."""
    return orjson.dumps(dict(mapping)).decode() if mapping else "{}"


def _recorded(row: asyncpg.Record) -> RecordedUsage:
    event = UsageEvent(
        id=row["event_id"],
        occurred_at=row["occurred_at"],
        scope=row["path"],
        quantities=json.loads(row["quantities"]),
        model=row["model"],
        route=row["route"],
        endpoint_uid=row["endpoint_uid"],
        endpoint_name=row["endpoint_name"],
        endpoint_scope=row["endpoint_scope"],
        key_uid=row["key_uid"],
        counted=row["counted"],
        client_request_id=row["client_request_id"],
        dimensions=json.loads(row["dimensions"]),
        priced_at=row["priced_at"],
        metadata=json.loads(row["metadata"]),
        route_uid=row["route_uid"],
        user=row["end_user"],
        cached_answer=row["cached_answer"],
        course=json.loads(row["course"]) if row["course"] else {},
    )
    return RecordedUsage(event, row["recorded_at"])
