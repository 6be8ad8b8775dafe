"""`kill -9` at any moment: nothing answered is unbilled, nothing is billed twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.products.tokenfactory.gateway_process import FileLedger
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SECRET, chat, listener, until_healthy

ROOT = Path(__file__).parents[3]


@dataclass
class Host:
    """Gateway processes that share one listening socket and one spool directory."""

    folder: Path
    upstream: Upstream
    sock: socket.socket = field(default_factory=listener)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = FileLedger(self.folder / "ledger")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sock.getsockname()[1]}"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def start(self) -> subprocess.Popen[bytes]:
        config = {
            "fd": self.sock.fileno(),
            "upstream": self.upstream.address,
            "spool": str(self.spool),
            "ledger": str(self.folder / "ledger"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.products.tokenfactory.gateway_process", json.dumps(config)],
            cwd=ROOT,
            pass_fds=[self.sock.fileno()],
        )
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self.processes.remove(process)

    async def stop(self) -> None:
        """Gracefully, all of them."""
        for process in self.processes:
            await _until((self.folder / f"ready-{process.pid}").exists)
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            assert await asyncio.to_thread(process.wait, 30) == 0
        self.processes.clear()


@pytest.fixture
async def host(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path, upstream)
    try:
        yield made
    finally:
        for process in list(made.processes):
            made.kill(process)
        made.sock.close()


async def test_a_killed_process_leaves_its_bill_to_the_next(host: Host, upstream: Upstream) -> None:
    first = host.start()
    await until_healthy(host.url)
    headers = {"authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(base_url=host.url, headers=headers, timeout=20) as http:
        done = await http.post("/v1/chat/completions", json=chat())
        body = chat("waits", stream=True)
        async with http.stream("POST", "/v1/chat/completions", json=body) as stream:
            text, pieces = "", stream.aiter_text()
            while '" a"' not in text:
                text += await anext(pieces)
            host.kill(first)
            with pytest.raises(httpx.HTTPError):
                await anext(pieces)
        cut = stream.headers["x-request-id"]
        waiting = asyncio.create_task(http.get("/healthz"))
        host.start()
        assert (await waiting).status_code in (200, 503)
    await _until(lambda: len(host.ledger.read()[0]) == 2)
    records, conflicts = host.ledger.read()
    assert not conflicts
    assert records[done.headers["x-request-id"]]["output_tokens"] == 5
    assert records[cut]["counted"]
    assert records[cut]["output_tokens"] == 3
    assert records[cut]["input_tokens"] > 0
    await host.stop()
    assert not list(host.spool.iterdir())


async def _many_kills(host: Host, kills: int) -> None:
    answered: dict[str, int] = {}
    chance = random.Random(kills)
    going = True

    async def caller() -> None:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(base_url=host.url, headers=headers, timeout=20) as http:
            while going:
                body = chat(chance.choice(["plain", "trickles", "without-usage"]), stream=chance.random() < 0.7)
                try:
                    answer = await http.post("/v1/chat/completions", json=body)
                except httpx.HTTPError:
                    continue
                if answer.status_code == 200 and (not body["stream"] or answer.text.endswith("data: [DONE]\n\n")):
                    answered[answer.headers["x-request-id"]] = 5

    host.start()
    host.start()
    await until_healthy(host.url)
    callers = [asyncio.create_task(caller()) for _ in range(12)]
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        host.kill(chance.choice(host.processes))
        host.start()
    await asyncio.sleep(0.5)
    going = False
    await asyncio.gather(*callers)
    await _until(lambda: answered.keys() <= host.ledger.read()[0].keys(), within=60)
    await host.stop()
    records, conflicts = host.ledger.read()
    assert len(answered) > kills
    assert not conflicts
    assert all(records[request]["status"] == 200 for request in answered)
    assert all(records[request]["counted"] or records[request]["output_tokens"] == 5 for request in answered)


async def test_ten_kills_under_load(host: Host) -> None:
    await _many_kills(host, 10)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_three_hundred_kills_under_load(host: Host) -> None:
    await _many_kills(host, 300)


async def test_a_graceful_stop_finishes_what_is_in_flight(host: Host, upstream: Upstream) -> None:
    process = host.start()
    await until_healthy(host.url)
    async with httpx.AsyncClient(base_url=host.url, headers={"authorization": f"Bearer {SECRET}"}, timeout=20) as http:
        inflight = asyncio.create_task(http.post("/v1/chat/completions", json=chat("waits", stream=True)))
        await _until(lambda: bool(upstream.received))
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        assert process.poll() is None
        upstream.release.set()
        assert (await inflight).text.endswith("data: [DONE]\n\n")
    assert await asyncio.to_thread(process.wait, 20) == 0
    host.processes.clear()
    records, conflicts = host.ledger.read()
    assert [record["output_tokens"] for record in records.values()] == [5]
    assert not conflicts
    assert not list(host.spool.iterdir())


async def _until(holds: Callable[[], bool], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.05)
