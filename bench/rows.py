"""What isolation costs: reads behind row-level security, beside the same query as the tables' owner.

`python -m bench.rows` starts an installation of its own, fills a kind's table with 100,000 rows in 10,000 tenants, and
compares, in alternation on one connection each: a get, a page of 100, a list by label and the operator's subtree, as
an API key behind the policies and as a superuser with the same filter written out. Then the same reads as whole HTTP
requests, API and client on one core each, beside bare asyncpg. It writes `docs/bench/rows.md`.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench.reconcile import ROOT, Client, ironworks, pin_parts
from ironworks.app.settings import Settings, load_settings
from ironworks.platform.iam import SERVICE_ACCOUNT
from ironworks.shared.context import Actor, Context, Services
from ironworks.shared.db import PLANNER, Database
from ironworks.shared.listing import ListQuery, list_resources
from ironworks.shared.lookup import get_resource
from ironworks.shared.rendering import rendered

PAGE = ROOT / "docs/bench/rows.md"
TENANT = "a3.p4.t57"
PLATFORM = "a3.p4"
TIMES = 400
SECONDS = 1.0
ROUNDS = 5
CONNECTIONS = 8
SELECT = f"select {rendered(SERVICE_ACCOUNT)} as json from {SERVICE_ACCOUNT.table} t where "
ALL = f"select t.* from {SERVICE_ACCOUNT.table} t where "
LABELLED = (
    f"select t.* from {SERVICE_ACCOUNT.table}_label l"
    f" join {SERVICE_ACCOUNT.table} t on t.uid = l.uid where l.key = 'tier' and l.value = 'gold' and "
)
BRANCHES = "{alias}.path = '{path}'", "{alias}.path >= '{path}.' and {alias}.path < '{path}/'"


@dataclass(frozen=True)
class Read:
    """One read: through the engine as `subject`, over HTTP, and as the owner would write it."""

    name: str
    subject: str
    engine: Callable[[Context], Awaitable[Any]]
    url: str
    owner: str


def owner_list(path: str, select: str = ALL, alias: str = "t") -> str:
    """The two ordered branches of a list, merged, with literals."""
    parts = [
        f"({select}{branch.format(alias=alias, path=path)} order by {alias}.path, {alias}.name limit 101)"
        for branch in BRANCHES
    ]
    merged = " union all ".join(parts)
    ordered = f"from ({merged}) t order by t.path, t.name limit 101"
    return f"select array(select {rendered(SERVICE_ACCOUNT)} {ordered})"


READS = (
    Read(
        "get one", "tenant", lambda ctx: get_resource(ctx, SERVICE_ACCOUNT, TENANT, "s5"),
        f"/api/v1/scopes/{TENANT}/service-accounts/s5", f"{SELECT}t.path = '{TENANT}' and t.name = 's5'",
    ),
    Read(
        "page of 100 of a platform", "platform",
        lambda ctx: list_resources(ctx.db.fetchval, SERVICE_ACCOUNT, ListQuery(PLATFORM), ()),
        f"/api/v1/scopes/{PLATFORM}/service-accounts", owner_list(PLATFORM),
    ),
    Read(
        "list by label", "platform",
        lambda ctx: list_resources(
            ctx.db.fetchval, SERVICE_ACCOUNT, ListQuery(PLATFORM, labels={"tier": "gold"}), ()
        ),
        f"/api/v1/scopes/{PLATFORM}/service-accounts?labels=tier%3Dgold", owner_list(PLATFORM, LABELLED, "l"),
    ),
    Read(
        "operator's page of a subtree", "operator",
        lambda ctx: list_resources(ctx.db.fetchval, SERVICE_ACCOUNT, ListQuery("a3"), ()),
        "/api/v1/scopes/a3/service-accounts", owner_list("a3"),
    ),
)  # fmt: skip


async def no_audit(*_: Any) -> None: ...


async def fill(database: asyncpg.Connection[asyncpg.Record]) -> None:
    """100,000 service accounts in 10,000 tenants, every tenth labelled; written as no user would: without triggers."""
    await database.execute(
        """
        set session_replication_role = replica;
        insert into platform_iam.service_account (scope, name, spec, resource_version, labels)
          select text2ltree(format('a%s.p%s.t%s', a, p, t)), 's' || n, '{"description": "", "disabled": false}', 1,
                 case when n = 7 then '{"tier": "gold"}'::jsonb else '{}' end
          from generate_series(0, 9) a, generate_series(0, 9) p, generate_series(0, 99) t, generate_series(0, 9) n
          where not (a = 3 and p = 4 and t = 57 and n = 99)
          on conflict do nothing;
        insert into platform_iam.service_account_label (uid, scope, path, name, key, value)
          select uid, scope, path, name, 'tier', 'gold' from platform_iam.service_account where labels <> '{}'
          on conflict do nothing;
        set session_replication_role = origin;
        analyze;
        """
    )


async def subjects(settings: Settings, database: asyncpg.Connection[asyncpg.Record]) -> dict[str, tuple[UUID, str]]:
    """An API key each for a tenant, a platform, and the operator: (uid, text)."""
    token = (settings.home / "credentials/operator-token").read_text().strip()
    client = await Client(settings.api_url, token).connect()
    await client.apply("accounts", "Account", "-", "a3")
    await client.apply("platforms", "Platform", "a3", "p4")
    await client.apply("tenants", "Tenant", "a3.p4", "t57")
    found = {}
    for name, scope in (("tenant", TENANT), ("platform", PLATFORM)):
        await client.apply("service-accounts", "ServiceAccount", scope, name)
        owner = f"service-account:{scope}/{name}"
        await client.apply("role-assignments", "RoleAssignment", scope, name, {"subject": owner, "role": "-/viewer"})
        await client.apply("api-keys", "ApiKey", scope, name, {"owner": owner})
        key = await client.call("POST", f"/api/v1/scopes/{scope}/api-keys/{name}:rotate", {})
        found[name] = UUID(key["uid"]), key["key"]
    operator = await database.fetchval("select uid from platform_iam.api_key where path = '' and name = 'operator'")
    found["operator"] = operator, token
    return found


async def compare(settings: Settings, uids: dict[str, UUID]) -> dict[str, tuple[float, float]]:
    """Read → (median milliseconds behind the policies, as the owner), measured in alternation."""
    services = Services(no_audit, None)  # type: ignore[arg-type]
    guarded = await Database.connect(settings.database_url("api"), services, max_size=1)
    owner = await asyncpg.connect(settings.admin_url(), server_settings=PLANNER)
    found = {}
    for read in READS:
        actor = Actor(uids[read.subject], "api_key", read.subject)
        statement = await owner.prepare(read.owner)
        ours, theirs = [], []
        for _ in range(TIMES):
            async with guarded.transaction(actor) as ctx:
                began = time.perf_counter()
                await read.engine(ctx)
                ours.append(time.perf_counter() - began)
            async with owner.transaction():
                began = time.perf_counter()
                await statement.fetch()
                theirs.append(time.perf_counter() - began)
        found[read.name] = 1000 * statistics.median(ours), 1000 * statistics.median(theirs)
    await owner.close()
    await guarded.close()
    return found


async def over_http(settings: Settings, keys: dict[str, str], owner_url: str) -> dict[str, tuple[float, float]]:
    """Read → (requests a second over HTTP, queries a second of bare asyncpg), over 8 connections each, in turns."""
    found = {}
    for read in READS:
        clients = [await Client(settings.api_url, keys[read.subject]).connect() for _ in range(CONNECTIONS)]
        url = read.url

        async def request(client: Client, url: str = url) -> None:
            await client.get(url)

        pool = [await asyncpg.connect(owner_url, server_settings=PLANNER) for _ in range(CONNECTIONS)]
        ours = [lambda c=c, r=request: r(c) for c in clients]
        theirs = [(await c.prepare(read.owner)).fetch for c in pool]
        rates = [(await _rate(ours), await _rate(theirs)) for _ in range(ROUNDS)]
        found[read.name] = statistics.median(r[0] for r in rates), statistics.median(r[1] for r in rates)
        for connection in pool:
            await connection.close()
    return found


async def _rate(work: Sequence[Callable[[], Awaitable[Any]]]) -> float:
    done, until = 0, time.perf_counter() + SECONDS

    async def repeat(one: Callable[[], Awaitable[Any]]) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await one()
            done += 1

    await asyncio.gather(*map(repeat, work))
    return done / SECONDS


def page(sql: dict[str, tuple[float, float]], http: dict[str, tuple[float, float]]) -> str:
    """What was measured, as the page says it."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}"
    rows = "\n".join(f"| {n} | {a:.2f} ms | {b:.2f} ms | **{a / b:.1f}** | 1.5 |" for n, (a, b) in sql.items())
    rates = "\n".join(f"| {n} | {a:,.0f}/s | {b:,.0f}/s | **{a / b:.2f}** | 0.6 |" for n, (a, b) in http.items())
    return f"""# What isolation costs

Made by `python -m bench.rows` on {where}: 100,000 rows of a kind in 10,000
tenants. Behind the policies: the resource engine's own statements under the API's login role, as an API key. Owner: a
superuser runs the same query with the filter written out, prepared once. Both render the JSON, each in a transaction
that is open already. Medians of {TIMES}, in alternation on one connection each.

| statement | behind policies | owner, literal filter | ratio | goal: at most |
|---|---|---|---|---|
{rows}

Whole HTTP requests (authentication, limits, transaction, JSON, logging) over {CONNECTIONS} connections, API and client
on one core each, beside bare asyncpg with the owner's query from the same client; medians of {ROUNDS} turns:

| HTTP request | HTTP | bare asyncpg | ratio | goal: at least |
|---|---|---|---|---|
{rates}
"""


async def measure(settings: Settings) -> str:
    database = await asyncpg.connect(settings.admin_url(), command_timeout=300)
    found = await subjects(settings, database)
    await fill(database)
    await database.close()
    sql = await compare(settings, {name: uid for name, (uid, _) in found.items()})
    http = await over_http(settings, {name: text for name, (_, text) in found.items()}, settings.admin_url())
    return page(sql, http)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            pin_parts(home)
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            text = asyncio.run(measure(load_settings({**os.environ, "IRONWORKS_HOME": str(home)})))
        finally:
            ironworks(home, "down", "--purge")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
