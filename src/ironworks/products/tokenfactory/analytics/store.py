"""The read model in Postgres: one statement per table and batch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from ironworks.products.tokenfactory.analytics.model import NUMBERS, Interval, Rows
from ironworks.shared.context import Context

Table: TypeAlias = Literal["hourly", "minutely"]
HISTOGRAMS: Final = ("latency", "first_token")
Histogram: TypeAlias = tuple[Counter[int], Counter[int]]
"""(latency, first token), each cell → durations."""
Histograms: TypeAlias = dict[tuple[Any, ...], Histogram]

_UTC: Final = "to_char(bucket at time zone 'UTC', '{}')"
GROUPS: Final[Mapping[str, str]] = {
    "tenant": "path",
    "key": "coalesce(key_uid::text, '')",
    "route": "route",
    "model": "model",
    "endpoint": "endpoint",
    "target": "endpoint || case target when '' then '' else ':' || target end",
    "route_uid": "coalesce(route_uid::text, '')",
    "day": _UTC.format("YYYY-MM-DD"),
    "hour": _UTC.format('YYYY-MM-DD"T"HH24:00"Z"'),
    "minute": _UTC.format('YYYY-MM-DD"T"HH24:MI"Z"'),
}
FILTERS: Final = ("key", "route", "route_uid", "model", "endpoint")
_COLUMNS: Final = ("series", "bucket", "scope", "key_uid", "route_uid", "route", "model", "endpoint", "target")
_TYPES: Final = ("uuid", "timestamptz", "text", "uuid", "uuid", "text", "text", "text", "text")
_GROUPS_AT: Final = 4 + len(FILTERS)


async def add_rows(ctx: Context, table: Table, rows: Rows) -> None:
    """Add to what each row holds.

    Rows are taken in the order of their keys, so that two batches with the same rows wait for each other and never
    deadlock. Columns to which nothing is added are left out: most requests have three meters of eleven.
    """
    numbers = [name for name in NUMBERS if any(name in row.numbers for _, row in rows.values())]
    histograms = (f"{n} = tokenfactory_analytics.merge_counts(t.{n}, excluded.{n})" for n in HISTOGRAMS)
    await _upsert(ctx, table, rows, numbers, [*(f"{n} = t.{n} + excluded.{n}" for n in numbers), *histograms])


async def set_rows(ctx: Context, table: Table, rows: Rows) -> None:
    """Replace each row's sums. Its histograms stay: they are kept nowhere else."""
    await _upsert(ctx, table, rows, NUMBERS, [f"{n} = excluded.{n}" for n in NUMBERS])


async def _upsert(ctx: Context, table: Table, rows: Rows, numbers: Sequence[str], changes: Sequence[str]) -> None:
    types = (*_TYPES, *("bigint" for _ in numbers), "text", "text")
    names = (*_COLUMNS, *numbers, *HISTOGRAMS)
    casts = {"scope": "scope::ltree", "latency": "latency::int[]", "first_token": "first_token::int[]"}
    given = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1))
    await ctx.db.execute(
        f"""
        insert into tokenfactory_analytics.{table} as t ({", ".join(names)})
        select {", ".join(casts.get(name, name) for name in names)}
        from unnest({given}) as r ({", ".join(names)}) order by series, bucket
        on conflict (series, bucket) do update set {", ".join(changes)}
        """,
        *_arguments(rows, numbers),
    )


def _arguments(rows: Rows, numbers: Sequence[str]) -> list[list[Any]]:
    """A list per column."""
    whose = [series for series, _ in rows.values()]
    sums = [row for _, row in rows.values()]
    return [
        [uid for uid, _ in rows],
        [bucket for _, bucket in rows],
        *([getattr(series, name) for series in whose] for name in _COLUMNS[2:]),
        *([row.numbers.get(name, 0) for row in sums] for name in numbers),
        [_array(row.latency) for row in sums],
        [_array(row.first_token) for row in sums],
    ]


def _array(cells: Counter[int]) -> str:
    """Postgres' text of an array whose subscripts are the cells: `[3:5]={1,0,2}`."""
    if not cells:
        return "{}"
    first, last = min(cells), max(cells)
    return f"[{first}:{last}]={{{','.join(str(cells.get(cell, 0)) for cell in range(first, last + 1))}}}"


@dataclass(frozen=True, slots=True)
class Part:
    """The rows at and below a path in [since, until) that match the filters (a group's name → the value wanted)."""

    table: Table
    path: str
    since: datetime
    until: datetime
    filters: Mapping[str, str]
    by: str
    interval: Interval | None = None

    def sql(self) -> str:
        """A table of the part's rows with `grp` and `at`; its arguments are those of `arguments`."""
        at = f"date_trunc('{self.interval}', bucket, 'UTC')" if self.interval else "null::timestamptz"
        wanted = " and ".join(f"(${n}::text is null or {GROUPS[name]} = ${n})" for n, name in enumerate(FILTERS, 4))
        source = f"select * from tokenfactory_analytics.{self.table} where"
        return f"""
            select * from (
              select {GROUPS[self.by]} as grp, {at} as at, r.* from (
                {source} path = $1 and bucket >= $2 and bucket < $3
                union all
                {source} path >= case $1 when '' then '!' else $1 || '.' end
                  and path < case $1 when '' then '~' else $1 || '/' end and bucket >= $2 and bucket < $3) r
              where {wanted}) g
            where (${_GROUPS_AT}::text[] is null or grp = any(${_GROUPS_AT}))
        """

    def arguments(self, groups: Sequence[str] | None) -> list[Any]:
        """What `sql` is given."""
        return [self.path, self.since, self.until, *(self.filters.get(name) for name in FILTERS), groups]


async def sum_numbers(
    ctx: Context, part: Part, keys: Sequence[str], groups: Sequence[str] | None = None
) -> dict[tuple[Any, ...], dict[str, int]]:
    """The sums of `part` by `keys` (some of `grp` and `at`), of these groups only where they are named."""
    sums = ", ".join(f"sum({name})::text as {name}" for name in NUMBERS)
    rows = await ctx.db.fetch(
        f"select {''.join(f'{key}, ' for key in keys)}{sums} from ({part.sql()}) p group by {_by(keys)}"
        " having count(*) > 0",
        *part.arguments(groups),
    )
    return {tuple(row[key] for key in keys): {name: int(row[name]) for name in NUMBERS} for row in rows}


async def sum_histograms(
    ctx: Context, part: Part, keys: Sequence[str], groups: Sequence[str] | None = None
) -> Histograms:
    """(latency, first token), each cell → durations, by `keys` as in sum_numbers."""
    picked = "".join(f"{key}, " for key in keys)
    rows = await ctx.db.fetch(
        f"""
        select {picked}kind, cell, sum(n)::bigint as n from (
          select {picked}kind, generate_subscripts(counts, 1) as cell, unnest(counts) as n
          from ({part.sql()}) p cross join lateral (values (0, latency), (1, first_token)) k (kind, counts)) c
        where n > 0 group by {picked}kind, cell
        """,
        *part.arguments(groups),
    )
    found: Histograms = defaultdict(lambda: (Counter(), Counter()))
    for row in rows:
        found[tuple(row[key] for key in keys)][row["kind"]][row["cell"]] = row["n"]
    return found


def _by(keys: Sequence[str]) -> str:
    return ", ".join(keys) or "()"


async def lock_hours(ctx: Context) -> None:
    """Nobody adds to hours until the transaction ends; whoever was about to has committed or is not seen yet."""
    await ctx.db.execute("lock table tokenfactory_analytics.hourly in share row exclusive mode")


async def remove_old(ctx: Context, table: Table, before: datetime, limit: int) -> int:
    """Delete up to `limit` rows that begin before a moment; returns how many."""
    done: str = await ctx.db.execute(
        f"delete from tokenfactory_analytics.{table} where (series, bucket) in (select series, bucket"
        f" from tokenfactory_analytics.{table} where bucket < $1 limit $2)",
        before,
        limit,
    )
    return int(done.rpartition(" ")[2])


async def open_history(ctx: Context, now: datetime) -> tuple[datetime, str | None] | None:
    """(end of what was charged before anything was counted, last scope that is done); None: all, or not time yet."""
    row = await ctx.db.fetchrow(
        "select before, reached from tokenfactory_analytics.history where not done and before <= $1", now
    )
    return (row["before"], row["reached"]) if row else None


async def keep_history(ctx: Context, reached: str | None) -> None:
    """Remember that the history of all scopes up to `reached` is counted; None: of all."""
    await ctx.db.execute(
        "update tokenfactory_analytics.history set reached = coalesce($1::text, reached), done = $1 is null", reached
    )
