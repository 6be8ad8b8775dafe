"""Ledger accounts and transfers in Postgres: inserts and sums, nothing else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from ironworks.platform.ledger.model import (
    AccountName,
    Balance,
    LedgerAccount,
    NewTransfer,
    Posting,
    PostingQuery,
    Purpose,
    Transfer,
    TransferKind,
    TransferQuery,
)
from ironworks.shared.context import Context


async def open_accounts(ctx: Context, names: Collection[AccountName]) -> None:
    """Open those of these ledger accounts that do not exist yet.

    They are inserted in order, so that two transactions opening the same ones wait instead of deadlocking.
    """
    await ctx.db.execute(
        """
        insert into platform_ledger.ledger_account (scope, purpose, currency)
        select path::ltree, purpose, currency
        from unnest($1::text[], $2::text[], $3::text[]) as n (path, purpose, currency)
        where not exists (
          select from platform_ledger.ledger_account a
          where (a.path, a.purpose, a.currency) = (n.path, n.purpose, n.currency))
        order by path collate "C", purpose collate "C", currency collate "C" on conflict do nothing
        """,
        [name.scope for name in names],
        [name.purpose for name in names],
        [name.currency for name in names],
    )


async def save_transfers(ctx: Context, transfers: Sequence[NewTransfer]) -> None:
    """Append transfers between open ledger accounts. Raises UniqueViolationError for an id, or a reversal, that exists,
    and LookupError for a ledger account that the caller does not see."""
    done = await ctx.db.execute(
        """
        insert into platform_ledger.transfer
          (id, debit_account, credit_account, amount_nano, currency, kind, correlation, corrects, scope, day)
        select t.id, d.id, c.id, t.amount_nano, t.currency, t.kind, t.correlation, t.corrects, t.scope::ltree, t.day
        from unnest($1::platform_ledger.new_transfer[]) t
        join platform_ledger.ledger_account d
          on (d.path, d.purpose, d.currency) = (t.debit_path, t.debit_purpose, t.currency)
        join platform_ledger.ledger_account c
          on (c.path, c.purpose, c.currency) = (t.credit_path, t.credit_purpose, t.currency)
        """,
        [
            (t.id, t.debit.scope, t.debit.purpose, t.credit.scope, t.credit.purpose, t.debit.currency,
             t.amount_nano, t.kind, t.correlation, t.corrects, t.scope, t.day)
            for t in transfers
        ],
    )  # fmt: skip
    if done != f"INSERT 0 {len(transfers)}":
        raise LookupError(f"of {len(transfers)} transfers some name ledger accounts that this caller does not see")


async def lock_transfer(ctx: Context, transfer_id: UUID) -> None:
    """One decision about correcting a transfer at a time, until the transaction ends."""
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"ledger:{transfer_id}")


async def list_transfers(ctx: Context, ids: Collection[UUID]) -> list[Transfer]:
    """Those of these transfers that the caller may see, oldest first."""
    rows = await ctx.db.fetch(f"{_TRANSFERS} where t.id = any($1::uuid[]) order by t.id", list(ids))
    return [_transfer(row) for row in rows]


async def find_correction(ctx: Context, transfer_id: UUID) -> Transfer | None:
    """The transfer that takes this one back, if there is one."""
    ids = await ctx.db.fetch("select id from platform_ledger.transfer where corrects = $1", transfer_id)
    found = await list_transfers(ctx, [row["id"] for row in ids])
    return found[0] if found else None


async def find_transfers(ctx: Context, query: TransferQuery, limit: int) -> list[Transfer]:
    """Up to `limit` transfers, newest first, as the caller may see them.

    Of each scope the newest, and of these the newest: an index of (path, posted at) gives each of them at once.
    """
    args: list[Any] = [limit]
    conditions = _conditions(query, args)
    if query.path:
        args.append(query.path)
        conditions.append("t.path = p.path")
    newest = f"""
        select t.id, t.posted_at from platform_ledger.transfer t where {" and ".join(conditions) or "true"}
        order by t.posted_at desc, t.id desc limit $1
    """
    if query.path:
        place = f"${len(args)}"
        newest = f"""
            with place as (
              select path from platform_ledger.ledger_account where path = {place}
              union
              select path from platform_ledger.ledger_account where path >= {place} || '.' and path < {place} || '/')
            select f.id from place p cross join lateral ({newest}) f order by f.posted_at desc, f.id desc limit $1
        """
    rows = await ctx.db.fetch(newest, *args)
    found = {transfer.id: transfer for transfer in await list_transfers(ctx, [row["id"] for row in rows])}
    return [found[row["id"]] for row in rows]


def _conditions(query: TransferQuery, args: list[Any]) -> list[str]:
    """What a transfer `t` must be like; the values come to `args`."""
    wanted: list[tuple[str, list[Any]]] = [
        ("(t.debit_account = {0} or t.credit_account = {0})", [query.account]),
        (
            "exists (select from platform_ledger.ledger_account a"
            " where a.id in (t.debit_account, t.credit_account) and a.purpose = {0})",
            [query.purpose],
        ),
        ("t.kind = {0}", [query.kind]),
        ("t.posted_at >= {0}", [query.since]),
        ("t.posted_at < {0}", [query.until]),
        ("(t.posted_at, t.id) < ({0}, {1})", list(query.before or [None])),
    ]
    conditions = []
    for text, values in wanted:
        if values[0] is None:
            continue
        args += values
        conditions.append(text.format(*(f"${len(args) - len(values) + 1 + n}" for n in range(len(values)))))
    return conditions


async def list_accounts(
    ctx: Context, path: str, purpose: Purpose | None, after: tuple[str, str, str], limit: int
) -> list[LedgerAccount]:
    """Up to `limit` ledger accounts at and below `path` with their balances, by (path, purpose, currency)."""
    rows = await ctx.db.fetch(
        """
        with account as (
          select * from platform_ledger.ledger_account where path = $1
          union all
          select * from platform_ledger.ledger_account
          where path >= case $1 when '' then '!' else $1 || '.' end
            and path < case $1 when '' then '~' else $1 || '/' end),
        page as (
          select * from account
          where (path, purpose, currency) > ($3, $4, $5) and ($2::text is null or purpose = $2)
          order by path, purpose, currency limit $6)
        select a.*, (s.nano + coalesce(d.amount, 0) - coalesce(c.amount, 0))::text as nano
        from page a
        cross join platform_ledger.newest_snapshot(a.id, (select platform_ledger.cluster())) s
        cross join lateral (
          select sum(amount_nano) as amount from platform_ledger.transfer
          where debit_account = a.id and posted_in >= s.horizon) d
        cross join lateral (
          select sum(amount_nano) as amount from platform_ledger.transfer
          where credit_account = a.id and posted_in >= s.horizon) c
        order by a.path, a.purpose, a.currency
        """,
        path,
        purpose,
        *after,
        limit,
    )
    return [
        LedgerAccount(
            row["id"], AccountName(row["path"], Purpose(row["purpose"]), row["currency"]), row["opened_at"],
            int(row["nano"]),
        )
        for row in rows
    ]  # fmt: skip


async def sum_balances(ctx: Context, path: str) -> list[Balance]:
    """Debits minus credits over the ledger accounts at and below `path`, by purpose and currency.

    Of each ledger account it reads the newest snapshot and what was posted since.
    """
    rows = await ctx.db.fetch("select purpose, currency, amount from platform_ledger.sum_balances($1)", path)
    return [Balance(Purpose(row["purpose"]), row["currency"], int(row["amount"])) for row in rows]


async def list_postings(ctx: Context, queries: Sequence[PostingQuery], limit: int) -> list[list[Posting]]:
    """Of each query at most `limit` transfers between a `receivable` and revenue, by (path, posted at, id)."""
    rows = await ctx.db.fetch(
        """
        select q.n, t.* from unnest($1::text[], $2::timestamptz[], $3::date[], $4::text[], $5::timestamptz[],
                                    $6::uuid[]) with ordinality
          as q (account, since, before, after_path, after_at, after_id, n)
        cross join lateral (
          select f.* from (
            select path from platform_ledger.ledger_account where purpose = 'receivable' and path = q.account
            union
            select path from platform_ledger.ledger_account
            where purpose = 'receivable' and path >= q.account || '.' and path < q.account || '/') s
          cross join lateral (
            select t.id, t.path, t.currency, t.kind, t.posted_at,
                   case d.purpose when 'receivable' then t.amount_nano else -t.amount_nano end as nano
            from platform_ledger.transfer t
            join platform_ledger.ledger_account d on d.id = t.debit_account
            join platform_ledger.ledger_account c on c.id = t.credit_account
            where t.path = s.path and t.posted_at >= q.since and t.day < q.before
              and (t.path, t.posted_at, t.id) > (q.after_path, q.after_at, q.after_id)
              and (d.purpose, c.purpose) in (('receivable', 'revenue'), ('revenue', 'receivable'))
            order by t.posted_at, t.id limit $7) f
          order by f.path, f.posted_at, f.id limit $7) t
        order by q.n, t.path, t.posted_at, t.id
        """,
        [q.account for q in queries],
        [q.since for q in queries],
        [q.before for q in queries],
        [q.after[0] for q in queries],
        [q.after[1] for q in queries],
        [q.after[2] for q in queries],
        limit,
    )
    found: list[list[Posting]] = [[] for _ in queries]
    for r in rows:
        kind = TransferKind(r["kind"])
        found[r["n"] - 1].append(Posting(r["id"], r["path"], r["currency"], kind, r["nano"], r["posted_at"]))
    return found


async def list_currencies(ctx: Context, accounts: Collection[str]) -> set[tuple[str, str]]:
    """(account, currency) of everything that was ever owed at or below these accounts."""
    rows = await ctx.db.fetch(
        """
        select distinct q.account, l.currency from unnest($1::text[]) as q (account)
        cross join lateral (
          select currency from platform_ledger.ledger_account where purpose = 'receivable' and path = q.account
          union
          select currency from platform_ledger.ledger_account
          where purpose = 'receivable' and path >= q.account || '.' and path < q.account || '/') l
        """,
        list(accounts),
    )
    return {(row["account"], row["currency"]) for row in rows}


async def list_payers(ctx: Context, after: str, limit: int) -> list[str]:
    """Accounts at or below which anything was ever owed, by name, past `after`.

    By name and not by path: between `acme` and `acme.shop` lies `acme-eu`, which is another account.
    """
    rows = await ctx.db.fetch(
        """
        with recursive payer as (
          (select split_part(path, '.', 1) as account from platform_ledger.ledger_account
           where purpose = 'receivable' and split_part(path, '.', 1) > $1 order by 1 limit 1)
          union all
          select (select split_part(path, '.', 1) from platform_ledger.ledger_account
                  where purpose = 'receivable' and split_part(path, '.', 1) > p.account order by 1 limit 1)
          from payer p where p.account is not null)
        select account from payer where account is not null limit $2
        """,
        after,
        limit,
    )
    return [row["account"] for row in rows]


_TRANSFERS = """
    select t.*, s.* from platform_ledger.transfer t join platform_ledger.sides($1::uuid[]) s on s.transfer_id = t.id
"""


def _transfer(row: asyncpg.Record) -> Transfer:
    return Transfer(
        row["id"],
        AccountName(row["debit_path"], Purpose(row["debit_purpose"]), row["currency"]),
        AccountName(row["credit_path"], Purpose(row["credit_purpose"]), row["currency"]),
        row["amount_nano"],
        TransferKind(row["kind"]),
        row["correlation"],
        row["corrects"],
        row["posted_at"],
        row["day"],
    )
