"""How fast usage becomes money: events to rated lines and posted transfers, how fresh they are, and reading a balance.

`python -m bench.money` starts an installation of its own (Postgres 18 with its defaults for durability), charges usage
as gateways do, from processes of their own, under the gateway's login role and behind row-level security, reads
balances over ten million transfers, removes it all, and writes `docs/bench/money.md`. Beside it, in the same run, a
superuser writes the same rows with COPY, without policies, claims or thought: the floor.
`--transfers N` fills in fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from bench.money_page import Reading, page
from bench.reconcile import ROOT, ironworks
from ironworks.app.settings import load_settings
from ironworks.platform import billing, ledger, metering
from ironworks.shared.context import Actor, Services, system_actor
from ironworks.shared.db import Database

PAGE = ROOT / "docs/bench/money.md"
BATCH = 2_000
METERS = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS)
TENANTS = [f"a{n % 50}.shop.t{n}" for n in range(1_000)]
ONE = ["a0.shop.t0"]
RATE, FRESH_SECONDS, FRESH_WRITERS = 5_000, 10, 2
TRANSFERS = 10_000_000
READS = 500
PATIENCE = 1_200


@dataclass(frozen=True)
class Load:
    """`writers` processes charge `batches` batches each, of requests spread over `scopes`."""

    name: str
    writers: int
    batches: int
    scopes: Sequence[str]


LOADS = (
    Load("1 writer, 1,000 tenants", 1, 10, TENANTS),
    Load("2 writers, 1,000 tenants", 2, 10, TENANTS),
    Load("2 writers, one tenant", 2, 10, ONE),
    Load("8 writers, 1,000 tenants", 8, 4, TENANTS),
    Load("8 writers, one tenant", 8, 4, ONE),
)


def events(count: int, scopes: Sequence[str], name: str, at: datetime | None = None) -> list[metering.UsageEvent]:
    """Requests with three quantities each, as a gateway ships them."""
    return [
        metering.UsageEvent(
            id=f"req_{name}_{n:08}",
            occurred_at=at or datetime.now(UTC),
            scope=scopes[n % len(scopes)],
            quantities=dict(zip(METERS, (100 + n % 900, 1 + n % 50, 30 + n % 300), strict=True)),
            model="smollm2",
            route="smollm2",
            endpoint_name="smollm2",
            endpoint_scope=scopes[n % len(scopes)],
            key_uid=None,
        )
        for n in range(count)
    ]


async def _nothing(*_: Any) -> None: ...


async def connect(url: str, size: int = 1) -> Database:
    return await Database.connect(url, Services(_nothing, None), max_size=size)  # type: ignore[arg-type]


async def charge(database: Database, batch: Sequence[metering.UsageEvent]) -> None:
    async with database.transaction(system_actor("bench")) as ctx:
        await billing.charge_usage(ctx, batch)


def write(url: str, load: Load, number: int, start: Barrier, spans: Any) -> None:
    """One writer; puts (begin, end) of its work, in seconds of the clock that all processes share."""

    async def work() -> tuple[float, float]:
        database = await connect(url)
        name = f"{abs(hash(load.name)) % 10**6}_{uuid4().hex[:6]}_{number}"
        batches = [events(BATCH, load.scopes, f"{name}_{n}") for n in range(load.batches)]
        await charge(database, events(100, load.scopes, f"{name}_warm"))
        start.wait(timeout=120)
        began = time.monotonic()
        for batch in batches:
            await charge(database, batch)
        ended = time.monotonic()
        await database.close()
        return began, ended

    spans.put(asyncio.run(work()))


def keep_pace(url: str, load: Load, number: int, start: Barrier, delays: Any) -> None:
    """One of the writers of a steady rate; puts seconds from each event's moment to the commit that charged it."""

    async def work() -> list[float]:
        database = await connect(url)
        pause, share = 0.1, RATE // load.writers // 10
        await charge(database, events(100, load.scopes, f"pace_{number}_warm"))
        start.wait(timeout=120)
        found: list[float] = []
        due = time.monotonic()
        for tick in range(FRESH_SECONDS * 10):
            oldest = due
            due += pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await charge(database, events(share, load.scopes, f"pace_{number}_{tick}"))
            done = time.monotonic()
            found += [done - oldest - pause * part / 20 for part in range(20)]  # they came evenly through the pause
        await database.close()
        return found

    delays.put(asyncio.run(work()))


def together(target: Any, url: str, load: Load) -> list[Any]:
    """What the writers of a load put, all begun at once. Raises RuntimeError when one died, as of a deadlock."""
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(load.writers), context.Queue()
    writers = [context.Process(target=target, args=(url, load, n, start, answers)) for n in range(load.writers)]
    for writer in writers:
        writer.start()
    try:
        return [answers.get(timeout=PATIENCE / 4) for _ in writers]
    finally:
        for writer in writers:
            writer.join(timeout=30)
            if writer.exitcode != 0:
                writer.kill()
                raise RuntimeError(f"a writer of {load.name!r} ended with {writer.exitcode}")


def charge_rate(url: str, load: Load) -> float:
    """Requests a second, charged and committed."""
    spans = together(write, url, load)
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    return load.writers * load.batches * BATCH / seconds


async def copy_rate(admin: asyncpg.Connection[asyncpg.Record]) -> float:
    """Requests a second of plain COPY: an event and three lines each, into copies of the tables with their indexes."""
    await admin.execute(
        """
        create table public.floor_event (like platform_metering.usage_event including all);
        create table public.floor_line (like platform_pricing.rated_line including all)
        """
    )
    price = await admin.fetchval("select id from platform_pricing.price limit 1")
    seconds = 0.0
    for n in range(10):
        batch = events(BATCH, TENANTS, f"copy_{n}")
        now = datetime.now(UTC)
        heads = [
            (e.id, now, e.scope, "{}", e.model, e.route, e.endpoint_name, e.endpoint_scope, "f", "{}") for e in batch
        ]
        lines = [
            (e.id, meter, quantity, price, quantity * 100, "USD", e.scope, uuid4(), now.date(), e.model)
            for e in batch
            for meter, quantity in e.quantities.items()
        ]
        tables = ("floor_event", _EVENT, _csv(heads)), ("floor_line", _LINE, _csv(lines))
        began = time.monotonic()
        async with admin.transaction():
            for table, columns, source in tables:
                await admin.copy_to_table(table, schema_name="public", source=source, columns=columns, format="csv")
        seconds += time.monotonic() - began
    await admin.execute("drop table public.floor_event, public.floor_line")
    return 10 * BATCH / seconds


def _csv(rows: Sequence[Sequence[Any]]) -> io.BytesIO:
    return io.BytesIO("".join(",".join(map(str, row)) + "\n" for row in rows).encode())


_EVENT = (
    "event_id", "occurred_at", "scope", "quantities", "model", "route", "endpoint_name", "endpoint_scope", "counted",
    "dimensions",
)  # fmt: skip
_LINE = (
    "usage_event_id", "meter", "quantity", "price_id", "amount_nano", "currency", "scope", "transfer_id", "day",
    "model",
)  # fmt: skip


async def fill(admin: asyncpg.Connection[asyncpg.Record], count: int) -> None:
    """So many transfers from the tenants' receivables to one revenue account, and a snapshot of them."""
    await admin.execute(
        """
        set session_replication_role = replica;
        insert into platform_ledger.ledger_account (scope, purpose, currency)
          select path::ltree, 'receivable', 'USD' from unnest($$%s$$::text[]) as path on conflict do nothing;
        insert into platform_ledger.ledger_account (scope, purpose, currency) values ('', 'revenue', 'USD')
          on conflict do nothing;
        """
        % ("{" + ",".join(TENANTS) + "}")
    )
    await admin.execute(
        """
        with payer as (
          select id, scope, row_number() over (order by path) - 1 as n from platform_ledger.ledger_account
          where purpose = 'receivable' and currency = 'USD'),
        payers as (select count(*) as all_of_them from payer)
        insert into platform_ledger.transfer
          (id, debit_account, credit_account, amount_nano, currency, kind, correlation, scope, day)
        select gen_random_uuid(), p.id, r.id, 1 + s.number % 1000, 'USD', 'usage', 'bench', p.scope,
               (now() at time zone 'utc')::date
        from generate_series(1, $1::bigint) as s (number)
        join payer p on p.n = s.number % (select all_of_them from payers)
        join platform_ledger.ledger_account r on r.path = '' and r.purpose = 'revenue' and r.currency = 'USD'
        """,
        count,
        timeout=PATIENCE,
    )
    await admin.execute("set session_replication_role = origin")
    await admin.execute("vacuum analyze platform_ledger.transfer", timeout=PATIENCE)


async def read_balances(url: str, worker_url: str, admin: asyncpg.Connection[asyncpg.Record]) -> Reading:
    """Medians, behind the policies, as a reader who may see every bill."""
    reader = Actor(await admin.fetchval("select uid from platform_iam.api_key where path = '' limit 1"), "api_key", "-")
    api = await connect(url)

    async def read(path: str, times: int) -> float:
        found = []
        for _ in range(times):
            async with api.transaction(reader) as ctx:
                began = time.perf_counter()
                balances = await ledger.get_balances(ctx, path)
                found.append(time.perf_counter() - began)
                assert balances, "the reader sees nothing"
        return 1000 * statistics.median(found)

    async with api.transaction(reader) as ctx:
        began = time.perf_counter()
        await ctx.db.fetchval(_REVENUE)
        summed = 1000 * (time.perf_counter() - began)
    worker = await connect(worker_url)
    async with worker.transaction(system_actor("bench")) as ctx:
        await ctx.db.execute("set local statement_timeout = 0")
        await ledger.take_snapshots(ctx)
    found = [await read(path, times) for path, times in ((TENANTS[7], READS), ("a7", READS), ("", 20))]
    await api.close()
    await worker.close()
    return Reading(*found, summed)


_REVENUE = """
    select sum(amount_nano) from platform_ledger.transfer where credit_account = (
      select id from platform_ledger.ledger_account where path = '' and purpose = 'revenue' and currency = 'USD')
"""


async def prepare(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """That the tenants exist, without what makes them."""
    paths = sorted({".".join(t.split(".")[:depth]) for t in TENANTS for depth in (1, 2, 3)})
    await admin.execute(
        """
        insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)
        select path::ltree, gen_random_uuid(),
               (array['Account', 'Platform', 'Tenant'])[least(nlevel(path::ltree), 3)],
               case nlevel(path::ltree) when 2 then substr(md5(path), 1, 10) end, 'active'
        from unnest($1::text[]) as path
        """,
        paths,
    )


async def measure(home: Path, transfers: int) -> str:
    settings = load_settings({**os.environ, "IRONWORKS_HOME": str(home)})
    gateway = settings.database_url("gateway")
    admin = await asyncpg.connect(settings.admin_url(), command_timeout=PATIENCE)
    await prepare(admin)
    floor = await copy_rate(admin)
    print(f"COPY {floor:,.0f}/s", flush=True)
    rates = {}
    for load in LOADS:
        rates[load.name] = await asyncio.to_thread(charge_rate, gateway, load)
        print(f"{load.name}: {rates[load.name]:,.0f}/s", flush=True)
    pace = Load("pace", FRESH_WRITERS, 1, TENANTS)
    delays = [delay for each in await asyncio.to_thread(together, keep_pace, gateway, pace) for delay in each]
    await fill(admin, transfers)
    reading = await read_balances(settings.database_url("api"), settings.database_url("worker"), admin)
    await admin.close()
    return page(floor, rates, delays, reading, transfers, BATCH, RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transfers", type=int, default=TRANSFERS)
    transfers = parser.parse_args().transfers
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            text = asyncio.run(measure(home, transfers))
        finally:
            ironworks(home, "down", "--purge")
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
