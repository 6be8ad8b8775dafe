"""Under load: a restart, a reload and a stop take no request from anybody, and memory stays what it was."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.products.tokenfactory.gateway_process import FileLedger
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import (
    SECRET,
    chat,
    key_view,
    listener,
    post,
    run_world,
    target,
    targets_for,
    until_healthy,
)

ROOT = Path(__file__).parents[3]
CHAT = "/v1/chat/completions"
PAGE = 4096


@dataclass
class Fleet:
    """Gateway processes on one socket, each started and stopped as a supervisor does."""

    folder: Path
    upstream: Upstream
    sock: socket.socket = field(default_factory=listener)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sock.getsockname()[1]}"

    @property
    def ledger(self) -> FileLedger:
        return FileLedger(self.folder / "ledger")

    async def start(self) -> subprocess.Popen[bytes]:
        config = {
            "fd": self.sock.fileno(),
            "upstream": self.upstream.address,
            "spool": str(self.folder / "spool"),
            "ledger": str(self.folder / "ledger"),
            "counts": str(self.folder / "counts"),
            "settings": {"segment": 4 * 1024 * 1024},
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.products.tokenfactory.gateway_process", json.dumps(config)],
            cwd=ROOT,
            pass_fds=[self.sock.fileno()],
        )
        self.processes.append(process)
        await until((self.folder / f"ready-{process.pid}").exists)
        return process

    async def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
        self.processes.remove(process)


async def until(ready: Callable[[], object], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not ready():
            await asyncio.sleep(0.02)


@pytest.fixture
async def fleet(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Fleet]:
    made = Fleet(tmp_path, upstream)
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait()
        made.sock.close()


@dataclass
class Load:
    """Callers who ask one after the other on connections that they keep, and count what they get."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)
    ended: bool = False

    async def caller(self) -> None:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20) as http:
            while not self.ended:
                try:
                    answer = await http.post(CHAT, json=chat())
                except httpx.HTTPError as problem:
                    self.answers[repr(problem)] += 1
                else:
                    self.answers[str(answer.status_code)] += 1
                    self.ids.append(answer.headers["x-request-id"])

    @asynccontextmanager
    async def running(self, callers: int = 16) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.caller()) for _ in range(callers)]
        try:
            yield
        finally:
            self.ended = True
            await asyncio.gather(*tasks)


async def test_a_rolling_restart_under_load_drops_no_request(fleet: Fleet) -> None:
    for _ in range(2):
        await fleet.start()
    await until_healthy(fleet.url)
    load = Load(fleet.url)
    async with load.running():
        for old in list(fleet.processes):
            await fleet.start()
            await fleet.stop(old)
        await asyncio.sleep(0.3)
    for process in list(fleet.processes):
        await fleet.stop(process)
    assert set(load.answers) == {"200"}
    assert len(load.ids) > 100
    records, conflicts = fleet.ledger.read()
    assert not conflicts
    assert set(load.ids) == set(records)


async def test_a_single_process_is_replaced_without_a_gap(fleet: Fleet) -> None:
    """The new one begins when the old one has ended; callers wait in the socket's queue meanwhile."""
    process = await fleet.start()
    await until_healthy(fleet.url)
    load = Load(fleet.url)
    async with load.running(8):
        await asyncio.sleep(0.3)
        await fleet.stop(process)
        await fleet.start()
        await asyncio.sleep(0.5)
    assert set(load.answers) == {"200"}


async def test_a_stop_finishes_streams_and_leaves_nothing_unbilled(fleet: Fleet, upstream: Upstream) -> None:
    process = await fleet.start()
    await until_healthy(fleet.url)

    async def stream() -> str:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(base_url=fleet.url, headers=headers, timeout=20) as http:
            answer = await http.post(CHAT, json=chat("waits", stream=True))
            return answer.text

    streams = [asyncio.create_task(stream()) for _ in range(20)]
    await until(lambda: len(upstream.received) == 20)
    stopping = asyncio.create_task(fleet.stop(process))
    await asyncio.sleep(0.5)
    assert not stopping.done()
    upstream.release.set()
    texts = await asyncio.gather(*streams)
    await stopping
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)
    records, conflicts = fleet.ledger.read()
    assert (len(records), conflicts) == (20, 0)
    assert not any(each.is_dir() and any(each.iterdir()) for each in (fleet.folder / "spool").glob("*-*"))


async def test_a_reload_under_load_drops_no_request(upstream: Upstream, tmp_path: Path) -> None:
    async with run_world(tmp_path / "spool", targets_for(upstream.address)) as world:
        load = Load(world.url)
        async with load.running():
            for number in range(30):
                world.source.keys = [key_view(), key_view(f"iwk_{number}")]
                world.source.targets = [*targets_for(upstream.address), target(f"new-{number}", upstream.address)]
                world.gateway.notice("")
                await asyncio.sleep(0.05)
        assert set(load.answers) == {"200"}
        await world.ledger.expect(len(load.ids), within=60)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


async def send(port: int, count: int, more: Callable[[int], dict[str, Any]]) -> None:
    """`count` requests, pipelined four at a time on one connection: a client that costs little itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = [post(CHAT, chat(**more(number))) for number in range(64)]
    done = 0
    while done < count:
        batch = [body[(done + number) % 64] for number in range(min(4, count - done))]
        writer.write(b"".join(batch))
        for _ in batch:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        done += len(batch)
    writer.close()


async def test_memory_is_the_same_after_twenty_thousand_requests(fleet: Fleet) -> None:
    """With distinct end users and metadata in each, so that nothing that is told apart is kept for ever."""
    process = await fleet.start()
    await until_healthy(fleet.url)
    port = fleet.sock.getsockname()[1]

    def more(number: int) -> dict[str, Any]:
        return {"user": f"user-{number}", "metadata": {"trace": f"t-{number}"}}

    async def burst(count: int) -> int:
        await asyncio.gather(*(send(port, count // 8, more) for _ in range(8)))
        fleet.upstream.received.clear()
        await asyncio.sleep(1)
        return resident(process.pid)

    before = await burst(6_000)
    after = await burst(14_000)
    assert after - before < 12 * 1024 * 1024, f"{before} → {after}"
    await fleet.stop(process)
    records, conflicts = fleet.ledger.read()
    assert (len(records), conflicts) == (20_000, 0)


async def test_counts_of_processes_that_come_and_go_never_fall(fleet: Fleet) -> None:
    """By SIGKILL too."""
    headers = {"authorization": f"Bearer {SECRET}"}
    asked = 0
    seen: list[float] = []
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        process = await fleet.start()
        await until_healthy(fleet.url)
        async with httpx.AsyncClient(base_url=fleet.url, headers=headers, timeout=20) as http:
            for _ in range(20):
                assert (await http.post(CHAT, json=chat())).status_code == 200
                asked += 1
            text = (await http.get("/metrics")).text
        name = f'ironworks_gateway_requests_total{{operation="{CHAT}",status="200"}} '
        [line] = [each for each in text.splitlines() if each.startswith(name)]
        seen.append(float(line.rpartition(" ")[2]))
        process.send_signal(end)
        await asyncio.to_thread(process.wait, 30)
        fleet.processes.remove(process)
    assert seen == [20, 40, 60]
    assert asked == 60
