"""How fast periods become invoices: subscriptions with ten lines each, closed as the worker closes them.

`measure_closes` works in an installation that runs, on rows of its own, of a March to come, and the installation's
worker waits until then to touch them: accounts with a subscription and two tenants that used four meters on three days,
so that each invoice has eight lines of usage, what the plan includes, and the next fee. Accounts and subscriptions are
inserted, all else is made by the code that makes it otherwise: usage is charged as the gateway does, and closed under
the worker's login role, behind row-level security, with the default durability.

`python -m bench.money_close -n 500` starts an installation, closes so many, prints what that took, and removes it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from bench.reconcile import ironworks
from ironworks.app.settings import Settings, load_settings
from ironworks.platform import audit, billing, metering
from ironworks.platform.invoices.controller import open_due_closes, run_closes
from ironworks.platform.subscriptions.model import WORKER_INVOCATIONS
from ironworks.shared.context import Services, system_actor
from ironworks.shared.db import Database

SUBSCRIPTIONS: Final = 10_000
LINES: Final = 10
BATCH: Final = 2_000
DAYS: Final = 3
PATIENCE: Final = 1_200


@dataclass(frozen=True)
class Closing:
    """So many periods, each an invoice of `lines`; the processors' seconds of the closing process and of Postgres."""

    subscriptions: int
    lines: int
    seconds: float
    worker_cpu: float
    postgres_cpu: float

    @property
    def rate(self) -> float:
        """Closes a second."""
        return self.subscriptions / self.seconds


async def measure_closes(settings: Settings, subscriptions: int = SUBSCRIPTIONS, name: str = "closing") -> Closing:
    """Close the period of so many subscriptions; raises RuntimeError unless all became invoices with all their lines.

    `name` begins those of the accounts.
    """
    start = date(datetime.now(UTC).year + 1, 3, 1)
    accounts = [f"{name}{n}" for n in range(subscriptions)]
    admin = await asyncpg.connect(settings.admin_url(), command_timeout=PATIENCE)
    await admin.execute(_PREPARE.replace("$start", start.isoformat()))
    await admin.execute("select pg_temp.prepare($1)", accounts)
    await _use(settings.database_url("gateway"), accounts, start)
    await admin.execute("vacuum analyze")
    worker = await _connect(settings.database_url("worker"), datetime(start.year, 4, 2, tzinfo=UTC))
    await admin.execute(_KEEP.replace("$then", f"{start:%Y-04-01}"))
    before, cpu, server = time.monotonic(), time.process_time(), await _server_cpu(admin)
    await open_due_closes(worker)
    await run_closes(worker)
    done = Closing(
        subscriptions,
        LINES,
        time.monotonic() - before,
        time.process_time() - cpu,
        await _server_cpu(admin) - server,
    )
    await worker.close()
    await admin.execute("drop function public.bench_keep() cascade")
    await _check(admin, accounts, subscriptions)
    await admin.close()
    return done


async def _connect(url: str, now: datetime) -> Database:
    return await Database.connect(url, Services(audit.append_record, None), clock=lambda: now)  # type: ignore[arg-type]


async def _use(url: str, accounts: list[str], start: date) -> None:
    """Charge what the tenants used: each three times, on a day each."""
    noon = datetime(start.year, start.month, 10, 12, tzinfo=UTC)
    gateway = await _connect(url, noon + timedelta(days=DAYS))
    events = [
        metering.UsageEvent(
            id=f"req_{account}_{tenant}_{day}",
            occurred_at=noon + timedelta(days=day),
            scope=f"{account}.shop.{tenant}",
            quantities={
                metering.INPUT_TOKENS: 1_000_000 + day,
                metering.CACHED_INPUT_TOKENS: 10_001,
                metering.OUTPUT_TOKENS: 200_003,
                WORKER_INVOCATIONS: 100_000,
            },
            model="smollm2",
        )
        for account in accounts
        for tenant in ("eu", "us")
        for day in range(DAYS)
    ]
    for first in range(0, len(events), BATCH):
        async with gateway.transaction(system_actor("bench")) as ctx:
            await billing.charge_usage(ctx, events[first : first + BATCH])
    await gateway.close()


async def _check(admin: asyncpg.Connection[asyncpg.Record], accounts: list[str], subscriptions: int) -> None:
    row = await admin.fetchrow(
        """
        select count(distinct i.id) as invoices, count(*) as lines, sum(n.amount_nano) = sum(i.lines_nano) / $2 as agree
        from platform_invoices.invoice i join platform_invoices.line n on n.invoice_id = i.id
        where i.path = any($1::text[]) and i.number is not null
        """,
        accounts,
        LINES,
    )
    if tuple(row) != (subscriptions, subscriptions * LINES, True):
        raise RuntimeError(f"{subscriptions} periods became {row['invoices']} invoices with {row['lines']} lines")


async def _server_cpu(admin: asyncpg.Connection[asyncpg.Record]) -> float:
    """Seconds that the server's processes used so far, those that ended included."""
    backend = await admin.fetchval("select pg_backend_pid()")
    server = _stat(backend)[1]
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (found := _stat(int(folder.name))):
            own = int(found[11]) + int(found[12])
            ended = int(found[13]) + int(found[14])
            ticks += own + ended if folder.name == server else own if found[1] == server else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """What /proc tells of a process, from its state on; nothing of one that ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


_KEEP: Final = """
create function public.bench_keep() returns trigger language plpgsql as $$
begin
  new.retry_at := coalesce(new.retry_at, timestamptz '$then');
  return new;
end $$;
create trigger bench_keep before insert or update on platform_invoices.close
  for each row execute function public.bench_keep();
"""
"""The installation's worker, by whose clock it is not time yet, leaves these closes alone."""

_PREPARE: Final = """
create function pg_temp.prepare(accounts text[]) returns void language sql as $$
  insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)
  select (a || below)::ltree, gen_random_uuid(), kind,
         case kind when 'Platform' then substr(md5(a), 1, 10) end, 'active'
  from unnest(accounts) a
  cross join (values ('', 'Account'), ('.shop', 'Platform'), ('.shop.eu', 'Tenant'), ('.shop.us', 'Tenant'))
    as n (below, kind);

  with starter as (select id from platform_subscriptions.plan where name = 'starter' order by version desc limit 1),
  made as (
    insert into platform_subscriptions.subscription
      (id, scope, plan_id, currency, status, anchor_day, started_on, period_start, period_end, closed_to, opened,
       closes_on)
    select gen_random_uuid(), a::ltree, starter.id, 'USD', 'active', 1, date '$start', date '$start',
           (date '$start' + interval '1 month')::date, date '$start', true,
           (date '$start' + interval '1 month')::date
    from unnest(accounts) a, starter returning id, scope, plan_id)
  insert into platform_subscriptions.plan_span (subscription_id, position, scope, from_day, plan_id)
  select id, 0, scope, date '$start', plan_id from made;

  -- the months until now are closed, so that the installation's own worker has nothing to do with them
  insert into platform_invoices.close
    (scope, currency, period_start, period_end, state, since, cursor_at, opened_at, done_at)
  select a::ltree, 'USD', m - interval '1 month', m, 'done', now(), now(), now(), now()
  from unnest(accounts) a, (select date_trunc('month', now() at time zone 'utc')::date) as t (m);
$$
"""


async def _run(home: Path, subscriptions: int) -> Closing:
    return await measure_closes(load_settings({**os.environ, "IRONWORKS_HOME": str(home)}), subscriptions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--subscriptions", type=int, default=SUBSCRIPTIONS)
    count = parser.parse_args().subscriptions
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            done = asyncio.run(_run(home, count))
        finally:
            ironworks(home, "down", "--purge")
    print(
        f"{done.subscriptions:,} periods, {done.lines} lines each: {done.seconds:.1f} s, {done.rate:,.0f}/s;"
        f" processors: {done.worker_cpu:.1f} s here, {done.postgres_cpu:.1f} s in Postgres"
    )


if __name__ == "__main__":
    main()
