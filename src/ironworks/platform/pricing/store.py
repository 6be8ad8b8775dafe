"""The price book and its lines in Postgres."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from uuid import UUID

import asyncpg

from ironworks.platform import metering
from ironworks.platform.pricing.model import (
    AccountCurrency,
    BookCursor,
    LineGroup,
    Measured,
    Price,
    PriceKey,
    RatedEvent,
    RatedLine,
    Tariff,
    TransferOf,
    UnratedLine,
    UnratedReason,
)
from ironworks.shared.context import Context, to_json

_SCOPE = attrgetter("scope")
_VERSIONS = """
    select id, meter, model, currency, path, unit_price, valid_from, withdrawn,
           lead(valid_from) over (partition by meter, model, currency, path order by valid_from) as valid_to
    from platform_pricing.price
"""
_LINES = """
    select l.*, p.unit_price from platform_pricing.rated_line l
    join platform_pricing.price p on p.id = l.price_id
"""


async def lock_book(ctx: Context) -> None:
    """One writer of the book at a time, until the transaction ends; readers go on."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended('platform_pricing.price', 0))")


async def lock_currency(ctx: Context, account: str) -> None:
    """One decision at a time that rests on an account's currency, until the transaction ends."""
    await ctx.db.execute(
        "select pg_advisory_xact_lock(hashtextextended('platform_pricing.currency ' || $1::text, 0))", account
    )


async def list_prices(
    ctx: Context,
    at: datetime | None = None,
    scopes: Sequence[str] | None = None,
    after: BookCursor | None = None,
    limit: int | None = None,
    meter: str | None = None,
) -> list[Price]:
    """Every version, or those of `scopes`, of `meter`, in force at `at`; by meter, model, currency, scope and time."""
    rows = await ctx.db.fetch(
        f"""
        select * from ({_VERSIONS}) v
        where ($1::timestamptz is null or (valid_from <= $1 and (valid_to is null or valid_to > $1) and not withdrawn))
          and ($2::text[] is null or path = any($2::text[])) and ($9::text is null or meter = $9) and ($3::text is null
               or (meter, model, currency, path, valid_from) > ($3, $4, $5, $6, $7::text::timestamptz))
        order by meter, model, currency, path, valid_from limit $8
        """,
        at,
        scopes,
        *(after or (None,) * 5),
        limit,
        meter,
    )
    return [_price(row) for row in rows]


async def list_prices_for(
    ctx: Context,
    meters: Collection[str],
    currencies: Collection[str],
    scopes: Collection[str],
    models: Collection[str] | None = None,
) -> list[Price]:
    """Every version for any of `meters`, in any of `currencies`, at any of `scopes`, of any of `models` (None: all)."""
    rows = await ctx.db.fetch(
        """
        select id, meter, model, currency, path, unit_price, valid_from, null::timestamptz as valid_to, withdrawn
        from platform_pricing.price
        where meter = any($1::text[]) and currency = any($2::text[]) and path = any($3::text[])
          and ($4::text[] is null or model = any($4::text[]))
        """,
        list(meters),
        list(currencies),
        list(scopes),
        None if models is None else list(models),
    )
    return [_price(row) for row in rows]


async def save_price(
    ctx: Context, key: PriceKey, unit_price: Decimal, valid_from: datetime, *, withdrawn: bool = False
) -> Price | None:
    """Add a version; None when one of the same key begins at the same time."""
    price_id = await ctx.db.fetchval(
        """
        insert into platform_pricing.price
          (meter, model, currency, scope, unit_price, valid_from, withdrawn, created_by)
        values ($1, $2, $3, $4::text::ltree, $5, $6, $7, $8)
        on conflict (meter, model, currency, path, valid_from) do nothing returning id
        """,
        *key,
        unit_price,
        valid_from,
        withdrawn,
        ctx.actor.name,
    )
    return Price(price_id, key, unit_price, valid_from, withdrawn=withdrawn) if price_id else None


async def list_currencies(ctx: Context, accounts: Collection[str] | None = None) -> list[AccountCurrency]:
    """Every version of these accounts' currencies; None: of all accounts'."""
    rows = await ctx.db.fetch(
        """
        select account, currency, valid_from from platform_pricing.account_currency
        where $1::text[] is null or account = any($1::text[]) order by account, valid_from
        """,
        None if accounts is None else list(accounts),
    )
    return [AccountCurrency(row["account"], row["currency"], row["valid_from"]) for row in rows]


async def save_currency(ctx: Context, new: AccountCurrency) -> bool:
    """Add a version; False when one of the account begins at the same time."""
    done = await ctx.db.fetchval(
        """
        insert into platform_pricing.account_currency (account, currency, valid_from, created_by)
        values ($1, $2, $3, $4) on conflict (account, valid_from) do nothing returning true
        """,
        new.account,
        new.currency,
        new.valid_from,
        ctx.actor.name,
    )
    return bool(done)


async def save_lines(ctx: Context, events: Sequence[RatedEvent], transfer_of: Mapping[TransferOf, UUID]) -> None:
    """Insert the lines of events; `transfer_of` names the transfers of those that cost something.

    They are inserted scope by scope, as their index lies on its pages. An event has one row: what costs nothing beside
    what costs something stands alone.
    """
    ids = {of: str(transfer_id) for of, transfer_id in transfer_of.items()}
    rows, alone = [], []
    last = None
    for event in sorted(events, key=_SCOPE):
        event_id, tariff, quantities, amounts, currency, scope, day, model = event
        if event_id == last:
            alone.append(event)
            continue
        last = event_id
        rows.append(
            (event_id, _words(tariff.meters), _numbers(quantities), _ids(tariff), _numbers(amounts), currency, scope,
             ids[scope, currency, day] if amounts[0] else None, day, model)
        )  # fmt: skip
    await ctx.db.execute(
        """
        insert into platform_pricing.rated_event
          (usage_event_id, meters, quantities, price_ids, amounts_nano, currency, scope, transfer_id, day, model)
        select usage_event_id, meters::text[], quantities::bigint[], price_ids::uuid[], amounts_nano::bigint[],
               currency, scope::ltree, transfer_id, day, model
        from unnest($1::platform_pricing.new_event[])
        """,
        rows,
    )
    if alone:
        await save_alone(ctx, alone, transfer_of)


@lru_cache(maxsize=4096)
def _words(values: tuple[str, ...]) -> str:
    """An array as Postgres reads it: sooner made, of few different ones, than encoded each time."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"


@lru_cache(maxsize=4096)
def _ids(tariff: Tariff) -> str:
    return "{" + ",".join(str(price.id) for price in tariff.prices) + "}"


def _numbers(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


async def save_alone(ctx: Context, events: Sequence[RatedEvent], transfer_of: Mapping[TransferOf, UUID]) -> None:
    """Insert lines each by itself: those that waited, whose event may have others already."""
    ids = {of: str(transfer_id) for of, transfer_id in transfer_of.items()}
    await ctx.db.execute(
        """
        insert into platform_pricing.rated_alone
          (usage_event_id, meter, quantity, price_id, amount_nano, currency, scope, transfer_id, day, model)
        select usage_event_id, meter, quantity, price_id, amount_nano, currency, scope::ltree, transfer_id, day, model
        from unnest($1::platform_pricing.new_line[])
        """,
        [
            (event_id, meter, quantity, price_id, nano, currency, scope,
             ids[scope, currency, day] if nano else None, day, model)
            for event in events
            for event_id, meter, quantity, price_id, _, nano, currency, scope, day, model, _ in event.lines()
        ],
    )  # fmt: skip


async def save_unrated(ctx: Context, lines: Sequence[UnratedLine]) -> None:
    """Keep quantities that wait."""
    await ctx.db.execute(
        """
        insert into platform_pricing.unrated_line
          (usage_event_id, meter, quantity, model, occurred_at, priced_at, scope, reason)
        select event_id, meter, quantity, model, occurred_at, priced_at, scope::ltree, reason
        from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
                    $8::text[])
          as l (event_id, meter, quantity, model, occurred_at, priced_at, scope, reason)
        """,
        [line.measured.usage_event_id for line in lines],
        [line.measured.meter for line in lines],
        [line.measured.quantity for line in lines],
        [line.measured.model for line in lines],
        [line.measured.occurred_at for line in lines],
        [line.measured.priced_at for line in lines],
        [line.measured.scope for line in lines],
        [line.reason for line in lines],
    )


async def take_ratable(
    ctx: Context, currency: str, fallbacks: Mapping[str, str], limit: int
) -> list[metering.UsageEvent]:
    """Take out up to `limit` waiting lines that a price exists for by now, each as an event of one quantity; a rollback
    puts them back.

    `currency` is that of accounts without one of their own.
    """
    rows = await ctx.db.fetch(
        """
        delete from platform_pricing.unrated_line where (usage_event_id, meter) in (
          select u.usage_event_id, u.meter from platform_pricing.unrated_line u
          where u.reason = 'no_price' and exists (
            select from platform_pricing.price p
            where p.meter in (u.meter, $2::jsonb ->> u.meter) and p.model in (u.model, '*')
              and p.currency = coalesce(
                (select c.currency from platform_pricing.account_currency c
                 where c.account = split_part(u.path, '.', 1) and c.valid_from <= coalesce(u.priced_at, u.occurred_at)
                 order by c.valid_from desc limit 1), $1)
              and p.scope @> u.scope and not p.withdrawn and p.valid_from <= coalesce(u.priced_at, u.occurred_at)
              and not exists (
                select from platform_pricing.price n
                where (n.meter, n.model, n.currency, n.path) = (p.meter, p.model, p.currency, p.path)
                  and n.valid_from > p.valid_from and n.valid_from <= coalesce(u.priced_at, u.occurred_at)))
          order by u.usage_event_id, u.meter limit $3)
        returning *
        """,
        currency,
        to_json(dict(fallbacks)),
        limit,
    )
    return [
        metering.UsageEvent(
            id=row["usage_event_id"],
            occurred_at=row["occurred_at"],
            scope=row["path"],
            quantities={row["meter"]: row["quantity"]},
            model=row["model"],
            priced_at=row["priced_at"],
        )
        for row in rows
    ]


async def list_lines(ctx: Context, usage_event_id: str) -> list[RatedLine]:
    """The rated lines of one usage event, by meter."""
    rows = await ctx.db.fetch(f"{_LINES} where l.usage_event_id = $1 order by l.meter", usage_event_id)
    return [_line(row) for row in rows]


async def list_costs(ctx: Context, usage_event_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The rated lines of usage events, added up by event and currency."""
    rows = await ctx.db.fetch(
        "select usage_event_id, currency, sum(amount_nano)::bigint as nano from platform_pricing.rated_line"
        " where usage_event_id = any($1::text[]) group by usage_event_id, currency order by usage_event_id, currency",
        usage_event_ids,
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["usage_event_id"], {})[row["currency"]] = row["nano"]
    return found


async def list_transfer_lines(ctx: Context, transfer_id: UUID, after: tuple[str, str], limit: int) -> list[RatedLine]:
    """The rated lines that one transfer moved, by (usage event, meter), past `after`."""
    rows = await ctx.db.fetch(
        f"{_LINES} where l.transfer_id = $1 and (l.usage_event_id, l.meter) > ($2, $3)"
        " order by l.usage_event_id, l.meter limit $4",
        transfer_id,
        *after,
        limit,
    )
    return [_line(row) for row in rows]


async def group_transfer_lines(ctx: Context, transfer_ids: Collection[UUID]) -> list[LineGroup]:
    """The rated lines that these transfers moved, added up by tenant, meter, model and unit price."""
    rows = await ctx.db.fetch(
        """
        select l.path, l.meter, coalesce(l.model, '') as model, p.unit_price, l.currency,
               sum(l.quantity)::bigint as quantity, sum(l.amount_nano)::bigint as nano
        from platform_pricing.rated_line l join platform_pricing.price p on p.id = l.price_id
        where l.transfer_id = any($1::uuid[]) group by 1, 2, 3, 4, 5
        """,
        list(transfer_ids),
    )
    return [LineGroup(*row.values()) for row in rows]


async def list_group_lines(
    ctx: Context,
    transfer_ids: Collection[UUID],
    meter: str,
    model: str,
    unit_price: Decimal,
    after: tuple[UUID, str],
    limit: int,
) -> list[RatedLine]:
    """The rated lines of a group that these transfers moved, by (transfer, usage event), past `after`."""
    rows = await ctx.db.fetch(
        f"{_LINES} where l.transfer_id = any($1::uuid[]) and l.meter = $2 and coalesce(l.model, '') = $3"
        " and p.unit_price = $4 and (l.transfer_id, l.usage_event_id) > ($5, $6)"
        " order by l.transfer_id, l.usage_event_id limit $7",
        list(transfer_ids),
        meter,
        model,
        unit_price,
        *after,
        limit,
    )
    return [_line(row) for row in rows]


async def list_unrated(ctx: Context, usage_event_id: str) -> list[UnratedLine]:
    """The quantities of one usage event that wait."""
    rows = await ctx.db.fetch(
        "select * from platform_pricing.unrated_line where usage_event_id = $1 order by meter", usage_event_id
    )
    return [UnratedLine(_measured(row), UnratedReason(row["reason"])) for row in rows]


def _price(row: asyncpg.Record) -> Price:
    key = PriceKey(row["meter"], row["model"], row["currency"], row["path"])
    return Price(row["id"], key, row["unit_price"], row["valid_from"], row["valid_to"], row["withdrawn"])


def _measured(row: asyncpg.Record) -> Measured:
    return Measured(
        row["usage_event_id"],
        row["meter"],
        row["quantity"],
        row["model"],
        row["path"],
        row["occurred_at"],
        row["priced_at"],
    )


def _line(row: asyncpg.Record) -> RatedLine:
    return RatedLine(
        row["usage_event_id"],
        row["meter"],
        row["quantity"],
        row["price_id"],
        row["unit_price"],
        row["amount_nano"],
        row["currency"],
        row["path"],
        row["day"],
        row["model"],
        row["transfer_id"],
    )
