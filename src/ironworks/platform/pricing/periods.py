"""What counts for whole periods, in Postgres: versions of terms, and sums of rated lines, as they are or rated anew."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg

from ironworks.platform.pricing.model import BookCursor, PriceKey
from ironworks.platform.pricing.simulation import Rated, Rerated
from ironworks.platform.pricing.terms import (
    Period,
    PriceTerms,
    TermsVersion,
    Total,
    terms_of_json,
    terms_to_json,
)
from ironworks.shared.context import Context, to_json

_PERIOD = """
    with below as (
      select path, meter, model, price_id, quantity, amount_nano, day, currency from platform_pricing.rated_line
      union all
      select path, meter, model, null, quantity, 0, (coalesce(priced_at, occurred_at) at time zone 'utc')::date, $4
      from platform_pricing.unrated_line),
    period as (
      select path, meter, coalesce(model, '') as model, price_id, quantity, amount_nano from below
      where path = $1 and day >= $2 and day < $3 and currency = $4
      union all
      select path, meter, coalesce(model, '') as model, price_id, quantity, amount_nano from below
      where path >= case $1 when '' then '!' else $1 || '.' end and path < case $1 when '' then '~' else $1 || '/' end
        and day >= $2 and day < $3 and currency = $4)
"""


async def save_terms(
    ctx: Context, key: PriceKey, terms: PriceTerms, valid_from: date, *, withdrawn: bool
) -> TermsVersion | None:
    """Add a version of terms; None when one of the same key begins on the same day."""
    terms_id = await ctx.db.fetchval(
        """
        insert into platform_pricing.price_terms
          (meter, model, currency, scope, terms, valid_from, withdrawn, created_by)
        values ($1, $2, $3, $4::text::ltree, $5::jsonb, $6, $7, $8)
        on conflict (meter, model, currency, path, valid_from) do nothing returning id
        """,
        *key,
        to_json(terms_to_json(terms)),
        valid_from,
        withdrawn,
        ctx.actor.name,
    )
    return TermsVersion(terms_id, key, terms, valid_from, withdrawn) if terms_id else None


async def list_terms(
    ctx: Context, scopes: Sequence[str] | None, after: BookCursor | None, limit: int | None, meter: str | None
) -> list[TermsVersion]:
    """Every version of terms, or those of `scopes` or `meter`; by meter, model, currency, scope, day, past `after`."""
    rows = await ctx.db.fetch(
        """
        select * from platform_pricing.price_terms
        where ($1::text[] is null or path = any($1::text[]))
          and ($2::text is null or (meter, model, currency, path, valid_from) > ($2, $3, $4, $5, $6::text::date))
          and ($8::text is null or meter = $8)
        order by meter, model, currency, path, valid_from limit $7
        """,
        scopes,
        *(after or (None,) * 5),
        limit,
        meter,
    )
    return [_terms(row) for row in rows]


async def list_terms_for(ctx: Context, account: str, currency: str) -> list[TermsVersion]:
    """Every version that could count for usage of `account`: the operator's, its own, and those below it; all of them
    where it is empty."""
    rows = await ctx.db.fetch(
        """
        select * from platform_pricing.price_terms
        where currency = $2 and ($1 = '' or path in ('', $1) or (path >= $1 || '.' and path < $1 || '/'))
        """,
        account,
        currency,
    )
    return [_terms(row) for row in rows]


async def list_terms_below(ctx: Context, accounts: Collection[str]) -> list[TermsVersion]:
    """Every version that could count for usage of any of these accounts, in any currency."""
    rows = await ctx.db.fetch(
        "select * from platform_pricing.price_terms where path = '' or split_part(path, '.', 1) = any($1::text[])",
        list(accounts),
    )
    return [_terms(row) for row in rows]


async def sum_lines(ctx: Context, wanted: Sequence[Period], meters: Collection[str]) -> list[list[Total]]:
    """The rated lines of each of these periods, added up by tenant, meter and model."""
    rows = await ctx.db.fetch(
        """
        select p.n, l.path, l.meter, l.model, sum(l.quantity) as quantity, sum(l.amount_nano) as nano
        from unnest($1::text[], $2::date[], $3::date[], $4::text[]) with ordinality
          as p (account, first, last, currency, n)
        cross join lateral (
          select path, meter, coalesce(model, '') as model, quantity, amount_nano from platform_pricing.rated_line
          where path = p.account and day >= p.first and day < p.last and currency = p.currency
            and meter = any($5::text[])
          union all
          select path, meter, coalesce(model, ''), quantity, amount_nano from platform_pricing.rated_line
          where path >= p.account || '.' and path < p.account || '/'
            and day >= p.first and day < p.last and currency = p.currency and meter = any($5::text[])) l
        group by 1, 2, 3, 4
        """,
        [p.account for p in wanted],
        [p.start for p in wanted],
        [p.end for p in wanted],
        [p.currency for p in wanted],
        list(meters),
    )
    found: list[list[Total]] = [[] for _ in wanted]
    for r in rows:
        total = Total(r["path"], r["meter"], r["model"], int(r["quantity"]), int(r["nano"]))
        found[r["n"] - 1].append(total)
    return found


async def list_rated(ctx: Context, path: str, start: date, end: date, currency: str) -> list[tuple[Rated, UUID | None]]:
    """Which prices made the lines at and below `path` of the days [start, end), with their ids; waiting ones too."""
    rows = await ctx.db.fetch(
        f"""
        {_PERIOD}, kinds as (select distinct path, meter, model, price_id from period)
        select k.*, p.meter as key_meter, p.model as key_model, p.path as key_path
        from kinds k left join platform_pricing.price p on p.id = k.price_id
        """,
        path,
        start,
        end,
        currency,
    )
    return [(_rated(row, currency), row["price_id"]) for row in rows]


def _rated(row: asyncpg.Record, currency: str) -> Rated:
    key = row["price_id"] and PriceKey(row["key_meter"], row["key_model"], currency, row["key_path"])
    return Rated(row["path"], row["meter"], row["model"], key)


async def rerate(
    ctx: Context,
    path: str,
    start: date,
    end: date,
    currency: str,
    prices: Sequence[tuple[Rated, UUID | None, Decimal | None]],
) -> list[Rerated]:
    """The same lines, added up, each as it is and at another unit price (None: as it is)."""
    rows = await ctx.db.fetch(
        f"""
        {_PERIOD}, other as (
          select * from unnest($5::text[], $6::text[], $7::text[], $8::uuid[], $9::numeric[])
            as o (path, meter, model, price_id, unit_price)),
        line as (
          select p.path, p.meter, p.model, p.quantity, p.amount_nano as was, p.price_id is null as waits,
                 case when o.unit_price is null then p.amount_nano
                      else platform_pricing.nano_amount(p.quantity, o.unit_price) end as would,
                 p.price_id is null and o.unit_price is null as would_wait
          from period p join other o on (o.path, o.meter, o.model) = (p.path, p.meter, p.model)
            and o.price_id is not distinct from p.price_id)
        select path, meter, model, sum(quantity) as quantity, sum(was) as was, sum(would) as would,
               coalesce(sum(quantity) filter (where waits), 0) as waiting,
               coalesce(sum(quantity) filter (where would_wait), 0) as would_wait
        from line group by 1, 2, 3 order by 1, 2, 3
        """,
        path,
        start,
        end,
        currency,
        [rated.scope for rated, _, _ in prices],
        [rated.meter for rated, _, _ in prices],
        [rated.model for rated, _, _ in prices],
        [price_id for _, price_id, _ in prices],
        [unit_price for _, _, unit_price in prices],
    )
    sums = ("quantity", "was", "would", "waiting", "would_wait")
    return [Rerated(r["path"], r["meter"], r["model"], *(int(r[name]) for name in sums)) for r in rows]


def _terms(row: asyncpg.Record) -> TermsVersion:
    key = PriceKey(row["meter"], row["model"], row["currency"], row["path"])
    terms = terms_of_json(json.loads(row["terms"]))
    return TermsVersion(row["id"], key, terms, row["valid_from"], row["withdrawn"])
