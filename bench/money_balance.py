"""Reading balances for the money benchmark, over a ledger that a superuser fills."""

from __future__ import annotations

import statistics
import time

import asyncpg

from bench.money_charge import TENANTS, connect
from bench.money_page import Reading
from ironworks.platform import ledger
from ironworks.shared.context import Actor, system_actor
from ironworks.shared.db import Database

READS = 500
AT_ONCE = 1_000_000
"""Transfers to fill in one transaction."""
PATIENCE = 600


async def fill(admin: asyncpg.Connection[asyncpg.Record], count: int) -> float:
    """So many transfers from the tenants' receivables to one revenue account; returns the seconds that took."""
    began = time.monotonic()
    await admin.execute("set session_replication_role = replica; set synchronous_commit = off")
    await admin.execute(
        """
        insert into platform_ledger.ledger_account (scope, purpose, currency)
        select path::ltree, 'receivable', 'USD' from unnest($1::text[]) as path
        union all select '', 'revenue', 'USD' on conflict do nothing
        """,
        TENANTS,
    )
    for first in range(1, count + 1, AT_ONCE):
        await admin.execute(_FILL, first, min(first + AT_ONCE - 1, count), timeout=PATIENCE)
    await admin.execute("set session_replication_role = origin; set synchronous_commit = on")
    await admin.execute("vacuum analyze platform_ledger.transfer", timeout=PATIENCE)
    return time.monotonic() - began


_FILL = """
    with payer as (
      select id, scope, row_number() over (order by path) - 1 as n
      from platform_ledger.ledger_account where purpose = 'receivable' and currency = 'USD')
    insert into platform_ledger.transfer
      (id, debit_account, credit_account, amount_nano, currency, kind, correlation, scope, day)
    select uuidv7(), p.id, r.id, 1 + s.number % 1000, 'USD', 'usage', 'bench', p.scope,
           (now() at time zone 'utc')::date
    from generate_series($1::bigint, $2::bigint) as s (number)
    join payer p on p.n = s.number % (select count(*) from payer)
    join platform_ledger.ledger_account r on r.path = '' and r.purpose = 'revenue' and r.currency = 'USD'
"""


async def measure(url: str, worker_url: str, admin: asyncpg.Connection[asyncpg.Record]) -> Reading:
    """Medians, behind the policies, as a reader who may see every bill."""
    reader = Actor(await admin.fetchval("select uid from platform_iam.api_key where path = '' limit 1"), "api_key", "-")
    api, worker = await connect(url), await connect(worker_url)
    async with api.transaction(reader) as ctx:
        began = time.perf_counter()
        await ctx.db.fetchval(_REVENUE)
        summed = 1000 * (time.perf_counter() - began)
    async with worker.transaction(system_actor("bench")) as ctx:
        await ctx.db.execute("set local statement_timeout = 0")
        await ledger.take_snapshots(ctx)
    tenant, account = [await _read(api, reader, path, READS) for path in (TENANTS[7], "a7")]
    everything = await _read(api, reader, "", 20)
    await api.close()
    await worker.close()
    accounts = await admin.fetchval("select count(*) from platform_ledger.ledger_account")
    return Reading(tenant, account, everything, summed, accounts)


async def _read(api: Database, reader: Actor, path: str, times: int) -> float:
    """Milliseconds of the balance at and below `path`, without the transaction around it."""
    found = []
    for _ in range(times):
        async with api.transaction(reader) as ctx:
            began = time.perf_counter()
            balances = await ledger.get_balances(ctx, path)
            found.append(time.perf_counter() - began)
            assert balances, "the reader sees nothing"
    return 1000 * statistics.median(found)


_REVENUE = """
    select sum(amount_nano) from platform_ledger.transfer where credit_account = (
      select id from platform_ledger.ledger_account where path = '' and purpose = 'revenue' and currency = 'USD')
"""
