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


async def open_close(
    ctx: Context, account: str, start: date, end: date, subscription: tuple[UUID, str] | None = None
) -> UUID | None:
    """Begin a close; None where there is one of that period. `subscription` is its (id, currency)."""
    since = await _unclaimed_since(ctx, account)
    found: UUID | None = await ctx.db.fetchval(
        """
        insert into platform_invoices.close
          (scope, subscription_id, currency, period_start, period_end, state, since, cursor_at, opened_at)
        values ($1::text::ltree, $2, $3, $4, $5, 'charging', $6, $6, $7) on conflict do nothing returning id
        """,
        account, *(subscription or (None, pricing.CURRENCY)), start, end, since, ctx.now(),
    )  # fmt: skip
    return found


async def _unclaimed_since(ctx: Context, account: str) -> datetime:
    """Nothing that was posted earlier is unclaimed: a close takes all of the days before its end that was posted until
    then, and a voided invoice sets free what its own close could find.
    """
    row = await ctx.db.fetchrow(
        """
        select (select max(period_end) from platform_invoices.close where path = $1 and state = 'done') as last_end,
               (select min(c.since) from platform_invoices.invoice i join platform_invoices.close c on c.id = i.close_id
                where i.path = $1 and i.state = 'void' and exists (
                  select from platform_invoices.released_claim r
                  left join platform_invoices.claim k on k.transfer_id = r.transfer_id
                  where r.invoice_id = i.id and k.transfer_id is null)) as voided_since
        """,
        account,
    )
    assert row is not None
    if row["last_end"] is None:
        return BEGINNING
    last = datetime.combine(row["last_end"], datetime.min.time(), BEGINNING.tzinfo) - SLACK
    return min(last, row["voided_since"] or last)


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


async def list_unfinished(ctx: Context, limit: int) -> list[UUID]:
    """Closes that are not done, oldest first."""
    rows = await ctx.db.fetch(
        "select id from platform_invoices.close where state <> 'done' order by opened_at, id limit $1", limit
    )
    return [row["id"] for row in rows]


async def list_closes(ctx: Context, path: str, before: tuple[datetime, UUID] | None, limit: int) -> list[Close]:
    """One page of the closes of accounts at and below `path`, newest first."""
    rows = await ctx.db.fetch(
        "select * from platform_invoices.close where ($1 = '' or path = $1)"
        " and ($2::timestamptz is null or (opened_at, id) < ($2, $3)) order by opened_at desc, id desc limit $4",
        path, before and before[0], before and before[1], limit,
    )  # fmt: skip
    return [_close(row) for row in rows]


async def lock_close(ctx: Context, close_id: UUID) -> Close | None:
    """The close, held until the transaction ends; None where it is done, or another worker holds it."""
    row = await ctx.db.fetchrow(
        "select * from platform_invoices.close where id = $1 and state <> 'done' for no key update skip locked",
        close_id,
    )
    return _close(row) if row else None


async def lock_account(ctx: Context, account: str) -> None:
    """One decision about which days of an account a close takes at a time, until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"invoices.close:{account}")


async def lock_adjusted(ctx: Context, close: Close) -> date:
    """The day up to which closes that overlap with this one have posted what terms ask; none does until it has."""
    await lock_account(ctx, close.account)
    found: date | None = await ctx.db.fetchval(
        "select max(period_end) from platform_invoices.close"
        " where path = $1 and id <> $2 and state <> 'charging' and period_start < $3",
        close.account, close.id, close.end,
    )  # fmt: skip
    return found or date.min


async def move_close(
    ctx: Context, close: Close, state: CloseState, cursor: tuple[str, datetime, UUID] | None = None
) -> None:
    """Say what a close does next, and from where."""
    await ctx.db.execute(
        "update platform_invoices.close set state = $2, cursor_path = $3, cursor_at = $4, cursor_id = $5,"
        " done_at = case when $2 = 'done' then $6::timestamptz end where id = $1",
        close.id, state, *(cursor or close.cursor), ctx.now(),
    )  # fmt: skip


async def find_draft(ctx: Context, close: Close, currency: str) -> UUID:
    """The close's invoice in a currency, begun where there is none."""
    await ctx.db.execute(
        "insert into platform_invoices.invoice (close_id, scope, currency, period_start, period_end, created_at)"
        " values ($1, $2::text::ltree, $3, $4, $5, $6) on conflict (close_id, currency) do nothing",
        close.id, close.account, currency, close.start, close.end, ctx.now(),
    )  # fmt: skip
    found: UUID = await ctx.db.fetchval(
        "select id from platform_invoices.invoice where close_id = $1 and currency = $2", close.id, currency
    )
    return found


async def list_drafts(ctx: Context, close_id: UUID) -> list[UUID]:
    """The drafts of a close, by currency."""
    rows = await ctx.db.fetch(
        "select id from platform_invoices.invoice where close_id = $1 and state = 'draft' order by currency", close_id
    )
    return [row["id"] for row in rows]


async def is_collected(ctx: Context, invoice_id: UUID) -> bool:
    """Whether the close of an invoice has put everything on it."""
    found: bool = await ctx.db.fetchval(
        "select c.state in ('finalizing', 'done') from platform_invoices.invoice i"
        " join platform_invoices.close c on c.id = i.close_id where i.id = $1",
        invoice_id,
    )
    return found


async def claim(
    ctx: Context, drafts: Mapping[str, UUID], postings: Sequence[tuple[ledger.Posting, LineKind]]
) -> set[UUID]:
    """Claim transfers, each for the draft in its currency; returns those that no invoice had.

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
        [p.transfer_id for p, _ in postings],
        [drafts[p.currency] for p, _ in postings],
        [p.scope for p, _ in postings],
        [kind for _, kind in postings],
        [p.amount_nano for p, _ in postings],
    )
    return {row["transfer_id"] for row in rows}


async def add_usage(ctx: Context, drafts: Mapping[str, UUID], groups: Sequence[pricing.LineGroup]) -> None:
    """Let the lines of usage grow by these groups."""
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
        [drafts[g.currency] for g in groups],
        [g.scope for g in groups],
        [g.meter for g in groups],
        [g.model for g in groups],
        [g.unit_price for g in groups],
        [g.quantity for g in groups],
        [g.amount_nano for g in groups],
        [g.currency for g in groups],
    )


async def add_charged(
    ctx: Context, drafts: Mapping[str, UUID], postings: Sequence[tuple[ledger.Posting, LineKind]]
) -> None:
    """Put a line for each of these transfers; the words are the charge's, where there is one."""
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
        [p.transfer_id for p, _ in postings],
        [drafts[p.currency] for p, _ in postings],
        [p.scope for p, _ in postings],
        [kind for _, kind in postings],
        [_OTHERWISE[kind] for _, kind in postings],
        [p.amount_nano for p, _ in postings],
        [p.currency for p, _ in postings],
    )


_OTHERWISE: Final = {
    LineKind.USAGE: "Usage",
    LineKind.FEE: "Fee",
    LineKind.ADJUSTMENT: "Adjustment",
    LineKind.CORRECTION: "Correction of an earlier charge",
}


async def save_charges(ctx: Context, account: str, charges: Mapping[UUID, NewCharge]) -> set[UUID]:
    """Keep charges under the ids of the transfers that they will be; returns those whose reference is new."""
    rows = await ctx.db.fetch(
        """
        insert into platform_invoices.charge
          (transfer_id, account, reference, scope, kind, description, quantity, unit, meter, model, currency,
           amount_nano)
        select id, $1, reference, scope::ltree, kind, description, quantity, unit, meter, model, currency, nano
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::text[], $9::text[],
                    $10::text[], $11::text[], $12::bigint[])
          as c (id, reference, scope, kind, description, quantity, unit, meter, model, currency, nano)
        on conflict (account, reference) do nothing returning transfer_id
        """,
        account,
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


async def sum_scopes(ctx: Context, invoice_id: UUID) -> list[tuple[str, int, int]]:
    """(path, sum of what was claimed, sum of the lines) of each tenant on an invoice."""
    rows = await ctx.db.fetch(
        """
        select path, coalesce(sum(claimed), 0)::bigint as claimed, coalesce(sum(lines), 0)::bigint as lines from (
          select path, amount_nano as claimed, 0 as lines from platform_invoices.claim where invoice_id = $1
          union all
          select path, 0, amount_nano from platform_invoices.line where invoice_id = $1) both_sides
        group by path order by path
        """,
        invoice_id,
    )
    return [(row["path"], row["claimed"], row["lines"]) for row in rows]


def _close(row: asyncpg.Record) -> Close:
    return Close(
        row["id"], row["path"], row["period_start"], row["period_end"], CloseState(row["state"]),
        row["subscription_id"], row["currency"], row["since"], (row["cursor_path"], row["cursor_at"], row["cursor_id"]),
        row["opened_at"],
    )  # fmt: skip
