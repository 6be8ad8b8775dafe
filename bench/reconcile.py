"""How fast a change becomes true: 1,000 new resources from apply to Ready, and the time from an apply to its step.

`python -m bench.reconcile` starts an installation of its own, API and worker on one core each, drives it over HTTP
like any client, removes it, and writes `docs/bench/reconcile.md`. The kind is Tenant, whose controller has nothing to
do, so that only the machinery is measured: admission, row-level security, audit, change log, queue, status.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from ironworks.app.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/bench/reconcile.md"
COUNT = 1_000
CONNECTIONS = 8
SINGLES = 300
PAUSE = 0.03
CONTROLLER_RUNTIME = 39.0
"""Seconds for 1,000 resources that controller-runtime's published figure gives."""


@dataclass(frozen=True)
class Result:
    """Seconds, all of them."""

    applied: float
    ready: float
    worked_off: float
    from_write: list[float]
    from_answer: list[float]


class Client:
    """One kept HTTP/1.1 connection; as little of a client as can be, since it shares the machine."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.head = f"host: {parts.netloc}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"

    async def connect(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def apply(self, plural: str, kind: str, scope: str, name: str, spec: dict[str, Any] | None = None) -> None:
        body = {"api_version": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec or {}}
        await self.call("POST", f"/api/v1/scopes/{scope}/{plural}/{name}:apply", body)

    async def call(self, method: str, path: str, body: Any) -> Any:
        """The parsed answer of a request with a body."""
        return json.loads(await self._exchange(method, path, json.dumps(body)))

    async def get(self, path: str) -> bytes:
        """The answer's bytes."""
        return await self._exchange("GET", path, "")

    async def _exchange(self, method: str, path: str, body: str) -> bytes:
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{self.head}content-length: {len(body)}\r\n\r\n{body}".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:"))
        answer = await self.reader.readexactly(length)
        if head[9:12] not in (b"200", b"201"):
            raise SystemExit(answer.decode())
        return answer


def ironworks(home: Path, *arguments: str) -> str:
    """Run a command of the installation under `home`."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("IRONWORKS_")},
        "IRONWORKS_HOME": str(home),
        "IRONWORKS_API_RATE": "1000000",
    }
    command = [sys.executable, "-m", "ironworks.app", *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def pin_parts(home: Path) -> None:
    """API and worker on a core each, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    parts = {p["name"]: p["pid"] for p in json.loads(ironworks(home, "status", "-o", "json"))["parts"]}
    for part, core in zip(("api", "worker"), cores, strict=False):
        for thread in Path(f"/proc/{parts[part]}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


async def measure(settings: Settings) -> Result:
    """Run both measurements against a running installation."""
    token = (settings.home / "credentials/operator-token").read_text().strip()
    clients = [await Client(settings.api_url, token).connect() for _ in range(CONNECTIONS)]
    database = await asyncpg.connect(settings.admin_url())
    await clients[0].apply("accounts", "Account", "-", "bench")
    for name in ("warm", "many", "single"):
        await clients[0].apply("platforms", "Platform", "bench", name)
    await _make(clients, "bench.warm", 200)
    await _wait_until_ready(database, "bench.warm", 200)
    began = time.perf_counter()
    await _make(clients, "bench.many", COUNT)
    applied = time.perf_counter() - began
    await _wait_until_ready(database, "bench.many", COUNT)
    ready = time.perf_counter() - began
    worked_off = await _work_off(database)
    from_write, from_answer = await _single_latencies(clients[0], database)
    await database.close()
    return Result(applied, ready, worked_off, from_write, from_answer)


async def _make(clients: Sequence[Client], scope: str, count: int) -> None:
    names = iter([f"t{n}" for n in range(count)])

    async def work(client: Client) -> None:
        for name in names:
            await client.apply("tenants", "Tenant", scope, name)

    await asyncio.gather(*(work(client) for client in clients))


async def _wait_until_ready(database: asyncpg.Connection[asyncpg.Record], scope: str, count: int) -> None:
    query = "select count(*) from platform_tenancy.tenant where path = $1 and phase = 'active'"
    async with asyncio.timeout(120):
        while await database.fetchval(query, scope) < count:
            await asyncio.sleep(0.01)


async def _work_off(database: asyncpg.Connection[asyncpg.Record]) -> float:
    """Seconds for the worker alone, when all have become pending again and are enqueued in one transaction."""
    async with database.transaction():
        await database.execute(
            "update platform_tenancy.tenant set status = status || '{\"phase\": \"pending\"}' where path = 'bench.many'"
        )
        await database.execute(
            "select shared.enqueue('Tenant', uid) from platform_tenancy.tenant where path = 'bench.many'"
        )
    began = time.perf_counter()
    await database.execute("notify ironworks_queue")
    await _wait_until_ready(database, "bench.many", COUNT)
    return time.perf_counter() - began


async def _single_latencies(
    client: Client, database: asyncpg.Connection[asyncpg.Record]
) -> tuple[list[float], list[float]]:
    """Until the step's commit begins, one resource at a time: since the apply's transaction began, since its answer.

    All clocks are this machine's.
    """
    answered = {}
    for number in range(SINGLES):
        await client.apply("tenants", "Tenant", "bench.single", f"t{number}")
        answered[f"t{number}"] = time.time()
        await asyncio.sleep(PAUSE)
    await _wait_until_ready(database, "bench.single", SINGLES)
    rows = await database.fetch(
        "select name, extract(epoch from update_timestamp)::float8 as ready,"
        " extract(epoch from creation_timestamp)::float8 as begun"
        " from platform_tenancy.tenant where path = 'bench.single'"
    )
    return [r["ready"] - r["begun"] for r in rows], [max(0.0, r["ready"] - answered[r["name"]]) for r in rows]


def _milliseconds(latencies: list[float]) -> tuple[str, ...]:
    """p50, p90 and p99."""
    cuts = statistics.quantiles(latencies, n=100)
    return tuple(f"{1000 * cuts[at]:.1f} ms" for at in (49, 89, 98))


def page(result: Result) -> str:
    """What was measured, as the page says it."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}"
    write, answer = _milliseconds(result.from_write), _milliseconds(result.from_answer)
    applies, steps = f"{COUNT / result.applied:,.0f}", f"{COUNT / result.worked_off:,.0f}"
    ratio = f"{CONTROLLER_RUNTIME / result.ready:.1f}"
    return f"""# Reconciling: how fast a change becomes true

Made by `python -m bench.reconcile` on {where}, Postgres 18 with its defaults for
durability (every request is synced to disk). API and worker are pinned to one core each; Postgres and the client share
the same cores. The kind is Tenant, whose controller has nothing to do.

| measured | result | goal |
|---|---|---|
| {COUNT:,} new resources, {CONNECTIONS} connections, first apply to last Ready | **{result.ready:.2f} s** | under 5 s |
| of that, until the last apply was answered | {result.applied:.2f} s ({applies} applies/s) | |
| the worker alone: {COUNT:,} enqueued at once, to last Ready | {result.worked_off:.2f} s ({steps} steps/s) | |

controller-runtime's published figure for {COUNT:,} resources is {CONTROLLER_RUNTIME:g} s, {ratio} times as long.

| one apply at a time, until its step commits | p50 | p90 | p99 | goal |
|---|---|---|---|---|
| since the apply was answered | **{answer[0]}** | {answer[1]} | {answer[2]} | p50 under 10 ms |
| since the apply's transaction began | {write[0]} | {write[1]} | {write[2]} | |

An apply is a whole HTTP request: authentication, row-level security, validation, the row, its audit record, its
change-log entry and its queue item in one transaction. The first line holds the wake-up, the claim, the load and the
step; the second also the request's own transaction with its sync to disk. The worker writes status with
`synchronous_commit` off: a step that is lost in a crash of the server is taken again.
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            pin_parts(home)
            result = asyncio.run(measure(load_settings({**os.environ, "IRONWORKS_HOME": str(home)})))
        finally:
            ironworks(home, "down", "--purge")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
