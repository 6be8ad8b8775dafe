"""The close's own statements: runs, claims, and the lines that a draft grows by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from ironworks.platform import ledger, pricing
from ironworks.platform.invoices.model import Close, CloseState, LineKind, NewCharge
from ironworks.shared.context import Context

BEGINNING: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
SLACK: Final = timedelta(days=2)
"""A transfer may be posted so much before its day begins: usage may be a day ahead, and the database's clock behind."""


async def open_closes(ctx: Context, wanted: Sequence[tuple[pricing.Period, UUID | None]]) -> list[UUID]:
    """Begin closes of these periods, each with its subscription's id; returns those that there were none of before."""
    since = await _unclaimed_since(ctx, {period.account for period, _ in wanted})
    rows = await ctx.db.fetch(
        """
        insert into platform_invoices.close
          (scope, subscription_id, currency, period_start, period_end, state, since, cursor_at, opened_at)
        select account::ltree, subscription, currency, first, last, 'charging', since, since, $7
        from unnest($1::text[], $2::uuid[], $3::text[], $4::date[], $5::date[], $6::timestamptz[])
          as c (account, subscription, currency, first, last, since)
        order by account on conflict do nothing returning id
        """,
        [period.account for period, _ in wanted],
        [subscription_id for _, subscription_id in wanted],
        [period.currency for period, _ in wanted],
        [period.start for period, _ in wanted],
        [period.end for period, _ in wanted],
        [since[period.account] for period, _ in wanted],
        ctx.now(),
    )
    return [row["id"] for row in rows]


async def _unclaimed_since(ctx: Context, accounts: Collection[str]) -> dict[str, datetime]:
    """Nothing of these accounts that was posted earlier is unclaimed: a close takes all of the days before its end that
    was posted until then, and a voided invoice sets free what its own close could find.
    """
    rows = await ctx.db.fetch(
        """
        select a.path,
               (select max(period_end) from platform_invoices.close c where c.path = a.path and c.state = 'done')
                 as last_end,
               (select min(c.since) from platform_invoices.invoice i join platform_invoices.close c on c.id = i.close_id
                where i.path = a.path and i.state = 'void' and exists (
                  select from platform_invoices.released_claim r
                  left join platform_invoices.claim k on k.transfer_id = r.transfer_id
                  where r.invoice_id = i.id and k.transfer_id is null)) as voided_since
        from unnest($1::text[]) as a (path)
        """,
        list(accounts),
    )
    return {row["path"]: _earlier(row["last_end"], row["voided_since"]) for row in rows}


def _earlier(last_end: date | None, voided_since: datetime | None) -> datetime:
    if last_end is None:
        return BEGINNING
    last = datetime.combine(last_end, datetime.min.time(), BEGINNING.tzinfo) - SLACK
    return min(last, voided_since or last)


async def last_close(ctx: Context, account: str) -> tuple[date, bool] | None:
    """The end of the last period of an account, and whether all of its closes are done."""
    row = await ctx.db.fetchrow(
        "select max(period_end) as last_end, bool_and(state = 'done') as done from platform_invoices.close"
        " where path = $1",
        account,
    )
    return (row["last_end"], row["done"]) if row and row["last_end"] else None


async def last_closes(ctx: Context, accounts: Collection[str]) -> dict[str, tuple[date, bool]]:
    """The same of several accounts."""
    rows = await ctx.db.fetch(
        "select path, max(period_end) as last_end, bool_and(state = 'done') as done from platform_invoices.close"
        " where path = any($1::text[]) group by path",
        list(accounts),
    )
    return {row["path"]: (row["last_end"], row["done"]) for row in rows}


async def list_unfinished(ctx: Context, without: Collection[UUID], limit: int) -> list[UUID]:
    """Closes that are not done and may be tried, the oldest first: of each account one, and none of `without`."""
    rows = await ctx.db.fetch(
        """
        select id from (
          select distinct on (path) id, opened_at, retry_at from platform_invoices.close
          where state <> 'done' order by path, opened_at, id) c
        where (retry_at is null or retry_at <= $1) and id <> all($2::uuid[])
        order by opened_at, id limit $3
        """,
        ctx.now(), list(without), limit,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def list_closes(ctx: Context, path: str, before: tuple[datetime, UUID] | None, limit: int) -> list[Close]:
    """One page of the closes of accounts at and below `path`, newest first."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.close where ($1 = '' or path = $1)"
        " and ($2::timestamptz is null or (opened_at, id) < ($2, $3)) order by opened_at desc, id desc limit $4",
        path, before and before[0], before and before[1], limit,
    )  # fmt: skip
    return [_close(row) for row in rows]


async def lock_closes(ctx: Context, close_ids: Collection[UUID]) -> list[Close]:
    """Those of these closes that are not done and that no other worker holds, held until the transaction ends."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.close where id = any($1::uuid[]) and state <> 'done'"
        " order by path, id for no key update skip locked",
        list(close_ids),
    )
    return [_close(row) for row in rows]


async def move_closes(ctx: Context, moved: Sequence[Close]) -> None:
    """Say what closes do next, and from where."""
    await ctx.db.execute(
        """
        update platform_invoices.close c
        set state = m.state, cursor_path = m.path, cursor_at = m.at, cursor_id = m.transfer, attempts = 0,
            retry_at = null, problem = '', done_at = case when m.state = 'done' then $6::timestamptz end
        from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[])
          as m (id, state, path, at, transfer)
        where c.id = m.id
        """,
        [close.id for close in moved],
        [close.state for close in moved],
        [close.cursor[0] for close in moved],
        [close.cursor[1] for close in moved],
        [close.cursor[2] for close in moved],
        ctx.now(),
    )


async def delay_close(ctx: Context, close_id: UUID, problem: str) -> None:
    """Say why a close failed, and try it again later: after 10 seconds, then twice as many each time, up to an hour."""
    await ctx.db.execute(
        "update platform_invoices.close set problem = $2, attempts = attempts + 1,"
        " retry_at = $3::timestamptz + least(10 * 2 ^ least(attempts, 12), 3600) * interval '1 second' where id = $1",
        close_id, problem, ctx.now(),
    )  # fmt: skip


async def find_drafts(ctx: Context, wanted: Collection[tuple[Close, str]]) -> dict[tuple[str, str], UUID]:
    """(account, currency) → the invoice of its close in that currency, begun where there is none."""
    ordered = sorted(wanted, key=lambda each: (each[0].account, each[1]))
    columns = [close.id for close, _ in ordered], [currency for _, currency in ordered]
    await ctx.db.execute(
        """
        insert into platform_invoices.invoice (close_id, scope, currency, period_start, period_end, created_at)
        select w.id, c.scope, w.currency, c.period_start, c.period_end, $3
        from unnest($1::uuid[], $2::text[]) as w (id, currency) join platform_invoices.close c on c.id = w.id
        order by c.path, w.currency on conflict (close_id, currency) do nothing
        """,
        *columns, ctx.now(),
    )  # fmt: skip
    rows = await ctx.db.fetch(
        "select i.path, i.currency, i.id from unnest($1::uuid[], $2::text[]) as w (id, currency)"
        " join platform_invoices.invoice i on i.close_id = w.id and i.currency = w.currency",
        *columns,
    )
    return {(row["path"], row["currency"]): row["id"] for row in rows}


async def is_collected(ctx: Context, invoice_id: UUID) -> bool:
    """Whether the close of an invoice has put everything on it."""
    found: bool = await ctx.db.fetchval(
        "select c.state in ('finalizing', 'done') from platform_invoices.invoice i"
        " join platform_invoices.close c on c.id = i.close_id where i.id = $1",
        invoice_id,
    )
    return found


async def claim(ctx: Context, wanted: Sequence[tuple[ledger.Posting, LineKind, UUID]]) -> set[UUID]:
    """Claim transfers, each for an invoice; returns those that no invoice had.

    In the order of their ids, so that two closes wait for each other but never deadlock.
    """
    rows = await ctx.db.fetch(
        """
        insert into platform_invoices.claim (transfer_id, invoice_id, scope, kind, amount_nano)
        select * from (
          select transfer, invoice, scope::ltree, kind, nano
          from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
            as c (transfer, invoice, scope, kind, nano) order by transfer) c
        on conflict do nothing returning transfer_id
        """,
        [p.transfer_id for p, _, _ in wanted],
        [invoice for _, _, invoice in wanted],
        [p.scope for p, _, _ in wanted],
        [kind for _, kind, _ in wanted],
        [p.amount_nano for p, _, _ in wanted],
    )
    return {row["transfer_id"] for row in rows}


async def add_usage(ctx: Context, groups: Sequence[tuple[pricing.LineGroup, UUID]]) -> None:
    """Let the lines of usage grow by these groups, each on its invoice."""
    await ctx.db.execute(
        """
        insert into platform_invoices.line as l
          (invoice_id, scope, kind, meter, model, unit_price, reference, description, quantity, unit, amount_nano,
           currency)
        select invoice, scope::ltree, 'usage', meter, model, price, '', replace(meter, '_', ' '), quantity, meter, nano,
               currency
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::bigint[], $7::bigint[],
                    $8::text[])
          as g (invoice, scope, meter, model, price, quantity, nano, currency)
        on conflict (invoice_id, path, kind, meter, model, unit_price, reference)
          do update set quantity = l.quantity + excluded.quantity, amount_nano = l.amount_nano + excluded.amount_nano
        """,
        [invoice for _, invoice in groups],
        [g.scope for g, _ in groups],
        [g.meter for g, _ in groups],
        [g.model for g, _ in groups],
        [g.unit_price for g, _ in groups],
        [g.quantity for g, _ in groups],
        [g.amount_nano for g, _ in groups],
        [g.currency for g, _ in groups],
    )


async def add_charged(ctx: Context, claimed: Sequence[tuple[ledger.Posting, LineKind, UUID]]) -> None:
    """Put a line for each of these transfers on its invoice; the words are the charge's, where there is one."""
    await ctx.db.execute(
        """
        insert into platform_invoices.line
          (invoice_id, scope, kind, meter, model, unit_price, reference, description, quantity, unit, amount_nano,
           currency)
        select p.invoice, p.scope::ltree, p.kind, coalesce(c.meter, ''), coalesce(c.model, ''), null, p.transfer::text,
               coalesce(c.description, p.otherwise), c.quantity, coalesce(c.unit, ''), p.nano, p.currency
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
          as p (transfer, invoice, scope, kind, otherwise, nano, currency)
        left join platform_invoices.charge c on c.transfer_id = p.transfer
        """,
        [p.transfer_id for p, _, _ in claimed],
        [invoice for _, _, invoice in claimed],
        [p.scope for p, _, _ in claimed],
        [kind for _, kind, _ in claimed],
        [_OTHERWISE[kind] for _, kind, _ in claimed],
        [p.amount_nano for p, _, _ in claimed],
        [p.currency for p, _, _ in claimed],
    )


_OTHERWISE: Final = {
    LineKind.USAGE: "Usage",
    LineKind.FEE: "Fee",
    LineKind.ADJUSTMENT: "Adjustment",
    LineKind.CORRECTION: "Correction of an earlier charge",
}


async def save_charges(ctx: Context, charges: Mapping[UUID, NewCharge]) -> set[UUID]:
    """Keep charges under the ids of the transfers that they will be; returns those whose reference is new."""
    rows = await ctx.db.fetch(
        """
        insert into platform_invoices.charge
          (transfer_id, account, reference, scope, kind, description, quantity, unit, meter, model, currency,
           amount_nano)
        select id, split_part(scope, '.', 1), reference, scope::ltree, kind, description, quantity, unit, meter, model,
               currency, nano
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::bigint[])
          as c (id, reference, scope, kind, description, quantity, unit, meter, model, currency, nano)
        order by 2, 3 on conflict (account, reference) do nothing returning transfer_id
        """,
        list(charges),
        [c.reference for c in charges.values()],
        [c.scope for c in charges.values()],
        [c.kind for c in charges.values()],
        [c.description for c in charges.values()],
        [c.quantity for c in charges.values()],
        [c.unit for c in charges.values()],
        [c.meter for c in charges.values()],
        [c.model for c in charges.values()],
        [c.currency for c in charges.values()],
        [c.amount_nano for c in charges.values()],
    )
    return {row["transfer_id"] for row in rows}


async def sum_scopes(ctx: Context, invoice_ids: Collection[UUID]) -> dict[UUID, list[tuple[str, int, int]]]:
    """Invoice → (path, sum of what was claimed, sum of the lines) of each tenant on it."""
    rows = await ctx.db.fetch(
        """
        select invoice_id, path, coalesce(sum(claimed), 0)::bigint as claimed, coalesce(sum(lines), 0)::bigint as lines
        from (
          select invoice_id, path, amount_nano as claimed, 0 as lines from platform_invoices.claim
          where invoice_id = any($1::uuid[])
          union all
          select invoice_id, path, 0, amount_nano from platform_invoices.line where invoice_id = any($1::uuid[])) sides
        group by 1, 2 order by 1, 2
        """,
        list(invoice_ids),
    )
    found: dict[UUID, list[tuple[str, int, int]]] = {}
    for row in rows:
        found.setdefault(row["invoice_id"], []).append((row["path"], row["claimed"], row["lines"]))
    return found


def _close(row: asyncpg.Record) -> Close:
    return Close(
        row["id"], row["path"], row["period_start"], row["period_end"], CloseState(row["state"]),
        row["subscription_id"], row["currency"], row["since"], (row["cursor_path"], row["cursor_at"], row["cursor_id"]),
        row["opened_at"], row["problem"],
    )  # fmt: skip
