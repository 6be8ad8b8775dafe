"""Kept balances in Postgres: taking them, checking them against the transfers, and forgetting old ones."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from ironworks.platform.ledger.model import Mismatch
from ironworks.shared.context import Context


async def save_snapshots(ctx: Context) -> int:
    """Snapshot every ledger account that moved since the last time; returns how many.

    The horizon is the oldest transaction that still runs: whatever was posted before it is committed or gone for good.
    The one before it is read in the same transaction, under a lock, so that no transfer is added twice or left out.
    """
    await ctx.db.execute("select pg_advisory_xact_lock(hashtextextended('ledger.snapshots', 0))")
    horizon = await ctx.db.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    saved: int = await ctx.db.fetchval(
        """
        with run as (
          insert into platform_ledger.snapshot_run (cluster, horizon) select platform_ledger.cluster(), $1
          on conflict do nothing),
        last as (
          select coalesce(max(horizon), 0) as horizon from platform_ledger.snapshot_run
          where cluster = platform_ledger.cluster()),
        moved as (
          select account, sum(debit) as debit, sum(credit) as credit
          from (
            select debit_account as account, amount_nano as debit, 0 as credit from platform_ledger.transfer
            where posted_in >= (select horizon from last) and posted_in < $1
            union all
            select credit_account, 0, amount_nano from platform_ledger.transfer
            where posted_in >= (select horizon from last) and posted_in < $1) side
          group by account),
        saved as (
          insert into platform_ledger.balance_snapshot (account, cluster, horizon, debit_nano, credit_nano, scope)
          select m.account, platform_ledger.cluster(), $1, m.debit + coalesce(p.debit_nano, 0),
                 m.credit + coalesce(p.credit_nano, 0), a.scope
          from moved m
          join platform_ledger.ledger_account a on a.id = m.account
          left join lateral (
            select debit_nano, credit_nano from platform_ledger.balance_snapshot s
            where s.account = m.account and s.cluster = platform_ledger.cluster()
            order by s.horizon desc limit 1) p on true
          on conflict do nothing returning 1)
        select count(*) from saved
        """,
        horizon,
    )
    return saved


async def delete_superseded(ctx: Context) -> None:
    """Forget snapshots older than a day, but for each ledger account's newest one."""
    await ctx.db.execute(
        """
        delete from platform_ledger.balance_snapshot old
        where taken_at < now() - interval '1 day' and exists (
          select from platform_ledger.balance_snapshot new
          where new.account = old.account and new.cluster = old.cluster and new.horizon > old.horizon)
        """
    )
    await ctx.db.execute(
        """
        delete from platform_ledger.snapshot_run old
        where taken_at < now() - interval '1 day' and exists (
          select from platform_ledger.snapshot_run new where new.cluster = old.cluster and new.horizon > old.horizon)
        """
    )


async def check_snapshots(ctx: Context, after: UUID, limit: int) -> tuple[UUID | None, list[Mismatch]]:
    """Add up the transfers behind the newest snapshots of the next `limit` ledger accounts past `after`.

    Returns the last one that was checked, None after the end, and what does not agree.
    """
    rows = await ctx.db.fetch(
        """
        select s.account, s.cluster, s.horizon, s.scope::text as scope, s.debit_nano - s.credit_nano as kept,
               coalesce(d.nano, 0) - coalesce(c.nano, 0) as summed,
               (s.debit_nano, s.credit_nano) <> (coalesce(d.nano, 0), coalesce(c.nano, 0)) as wrong
        from (select id from platform_ledger.ledger_account where id > $1 order by id limit $2) a
        cross join lateral (
          select * from platform_ledger.balance_snapshot s
          where s.account = a.id and s.cluster = platform_ledger.cluster() order by s.horizon desc limit 1) s
        cross join lateral (
          select sum(amount_nano) as nano from platform_ledger.transfer
          where debit_account = a.id and posted_in < s.horizon) d
        cross join lateral (
          select sum(amount_nano) as nano from platform_ledger.transfer
          where credit_account = a.id and posted_in < s.horizon) c
        """,
        after,
        limit,
    )
    last = await ctx.db.fetchval(
        "select id from (select id from platform_ledger.ledger_account where id > $1 order by id limit $2) a"
        " order by id desc limit 1",
        after,
        limit,
    )
    return last, [_mismatch(row) for row in rows if row["wrong"]]


async def save_mismatch(ctx: Context, found: Mismatch) -> bool:
    """Note a mismatch, which puts the ledger account's snapshots aside; whether it is a new one."""
    noted = await ctx.db.fetchval(
        """
        insert into platform_ledger.snapshot_mismatch (account, cluster, horizon, kept_nano, summed_nano, scope)
        values ($1, $2, $3, $4, $5, $6::text::ltree) on conflict do nothing returning true
        """,
        found.ledger_account, found.cluster, found.horizon, found.kept_nano, found.summed_nano, found.scope,
    )  # fmt: skip
    return bool(noted)


def _mismatch(row: asyncpg.Record) -> Mismatch:
    return Mismatch(row["account"], row["scope"], row["cluster"], row["horizon"], int(row["kept"]), int(row["summed"]))
