"""Several gateway processes before one mock model server and one database, called by a crowd."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.products.tokenfactory.budgets.books import Books
from tests.products.tokenfactory.upstream import Upstream, run_upstream
from tests.products.tokenfactory.world import SECRET, chat, listener, post, until_healthy
from tests.support.postgres import TestDatabase

COST = 7 * 100 + 4 * 50 + 5 * 400
"""Of one answer of the mock server, at the default prices: 7 input, 4 cached and 5 output tokens."""


def request(model: str = "plain", output: int = 5, **more: Any) -> dict[str, Any]:
    return chat(model, max_tokens=output, **more)


def hold(body: dict[str, Any]) -> int:
    """Its worst case: the targets of these gateways say that a byte is a fifth of a token, and one token is added."""
    return (math.ceil(len(json.dumps(body)) * 0.2) + 1) * 100 + body["max_tokens"] * 400


async def call(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """One request on a connection of its own: a pool of a thousand costs its client more than the gateways."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/v1/chat/completions", body, "connection: close"))
    try:
        async with asyncio.timeout(60):
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), json.loads(answer)


@dataclass
class Member:
    """One gateway process."""

    process: asyncio.subprocess.Process
    url: str
    log: Path

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await asyncio.wait_for(self.process.wait(), 60)


@dataclass
class Fleet:
    """All of it."""

    books: Books
    upstream: Upstream
    folder: Path
    database: str
    members: list[Member] = field(default_factory=list)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    async def start(self, spool: str = "spool") -> Member:
        """One more process, ready; it has loaded its budgets."""
        sock = listener()
        number = len(self.members)
        config = {
            "fd": sock.fileno(), "upstream": self.upstream.address, "database": self.database,
            "spool": str(self.folder / spool),
        }  # fmt: skip
        log = self.folder / f"gateway-{number}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.products.tokenfactory.budgets.budget_process", json.dumps(config),
                pass_fds=[sock.fileno()], stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": "src:."},
            )  # fmt: skip
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        sock.close()
        member = Member(process, url, log)
        self.members.append(member)
        await until_healthy(url, within=60)
        await asyncio.sleep(0.3)
        return member

    async def crowd(self, count: int, body: dict[str, Any]) -> Counter[str]:
        """`count` requests at once, dealt out over all live processes; how many were answered how."""
        found: Counter[str] = Counter()
        live = [member for member in self.members if member.process.returncode is None]

        async def one(member: Member) -> None:
            status, answer = await call(member.url, body)
            found["answered" if status == 200 else answer["error"]["code"]] += 1

        await asyncio.gather(*(one(live[number % len(live)]) for number in range(count)))
        return found

    async def settled(self, within: float = 60.0) -> None:
        """Until every spool is charged."""
        seen, quiet = -1, 0
        async with asyncio.timeout(within):
            while quiet < 3:
                now = await self.books.world.admin.fetchval("select count(*) from platform_metering.usage_event")
                seen, quiet = now, quiet + 1 if now == seen else 0
                await asyncio.sleep(0.3)


AUTHORIZATION = {"authorization": f"Bearer {SECRET}"}


@asynccontextmanager
async def run_fleet(books: Books, place: TestDatabase, folder: Path, count: int) -> AsyncIterator[Fleet]:
    """`count` processes, ended with the block."""
    async with run_upstream() as upstream:
        fleet = Fleet(books, upstream, folder, place.url("gateway"))
        try:
            for _ in range(count):
                await fleet.start()
            yield fleet
        finally:
            for member in fleet.members:
                await member.stop()
