"""How fast usage becomes money: events to rated lines and posted transfers, how fresh they are, and reading a balance.

`python -m bench.money` starts an installation of its own (Postgres 18 with its defaults for durability), charges usage
as gateways do, from processes of their own, under the gateway's login role and behind row-level security, reads
balances over ten million transfers, closes the periods of 10,000 subscriptions, removes it all, and writes
`docs/bench/money.md`. Beside it, in the same run, a superuser writes the same rows with COPY, without policies, claims
or thought: the floor. On two cores it takes about ten minutes; the flags make it smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import asyncpg

from bench import money_balance, money_charge
from bench.money_charge import ONE, TENANTS, Load
from bench.money_close import measure_closes
from bench.money_page import Findings, chart, page
from bench.reconcile import ROOT, ironworks
from ironworks.app.settings import load_settings
from ironworks.products.tokenfactory.gateway.model import GatewaySettings

PAGE = ROOT / "docs/bench/money.md"
CHART = ROOT / "docs/bench/money.svg"
BATCH = GatewaySettings(spool=Path()).ship_batch
SMALL = 500
PACE = 5_000
"""Requests a second at which freshness is measured."""


def loads(requests: int) -> list[Load]:
    """What is charged."""
    many, one = "1,000 tenants", "one tenant"
    return [
        Load(f"1 writer, {many}", 1, requests // 2, TENANTS, BATCH, judged=False),
        Load(f"2 writers, {many}", 2, requests, TENANTS, BATCH),
        Load(f"2 writers, {many}, {SMALL} at a time", 2, requests, TENANTS, SMALL, judged=False),
        Load(f"2 writers, {one}", 2, requests, ONE, BATCH),
        Load(f"8 writers, {many}", 8, requests, TENANTS, BATCH),
        Load(f"8 writers, {one}", 8, requests, ONE, BATCH),
    ]


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


async def measure(home: Path, requests: int, transfers: int, subscriptions: int) -> Findings:
    """Everything, one after the other."""
    settings = load_settings({**os.environ, "IRONWORKS_HOME": str(home)})
    gateway = settings.database_url("gateway")
    admin = await asyncpg.connect(settings.admin_url(), command_timeout=money_balance.PATIENCE)
    await prepare(admin)
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s: {what}", flush=True)

    floor = await money_charge.measure_copy(admin, requests // 2, BATCH)
    tell(f"COPY {floor.rate:,.0f}/s, {floor.cpu:.0f} µs")
    charged = []
    for load in loads(requests):
        got = await asyncio.to_thread(money_charge.measure, gateway, load)
        charged.append((load, got))
        tell(f"{load.name}: {got.rate:,.0f}/s, {got.cpu:.0f} µs ({got.writer:.0f} + {got.postgres:.0f})")
    pace = Load("pace", 2, PACE, TENANTS, BATCH)
    delays = [
        delay
        for each in await asyncio.to_thread(money_charge.together, money_charge.keep_pace, gateway, pace)
        for delay in each
    ]
    tell(f"freshness at {PACE:,}/s, at most {max(delays):.2f} s")
    closing = await measure_closes(settings, subscriptions)
    tell(f"{subscriptions:,} periods closed in {closing.seconds:.1f} s")
    filled = await money_balance.fill(admin, transfers)
    tell(f"{transfers:,} transfers, filled in {filled:.0f} s")
    reading = await money_balance.measure(settings.database_url("api"), settings.database_url("worker"), admin)
    tell(f"balance of a tenant: {reading.tenant:.2f} ms")
    await admin.close()
    return Findings(floor, charged, delays, PACE, BATCH, reading, transfers, closing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000, help="charged by each load (the first: half of them)")
    parser.add_argument("--transfers", type=int, default=10_000_000, help="in the ledger whose balances are read")
    parser.add_argument("--subscriptions", type=int, default=10_000, help="whose periods are closed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            found = asyncio.run(measure(home, asked.requests, asked.transfers, asked.subscriptions))
        finally:
            ironworks(home, "down", "--purge")
    CHART.write_text(chart(found))
    PAGE.write_text(text := page(found))
    print(text)


if __name__ == "__main__":
    main()
