"""A disk that is full: under the spool while requests are opened and while they are closed, and under everything else.

The disk is a small file system of its own where the tests may mount one, else one that answers as a full one does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironworks.products.tokenfactory.gateway import ObservingSettings
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, run_world, targets_for

CHAT = "/v1/chat/completions"
SEGMENT = 8192


@dataclass
class Disk:
    """One megabyte; `fill` leaves no block of it free, `free` gives them back."""

    path: Path
    mounted: bool
    full: bool = False

    def fill(self) -> None:
        self.full = True
        if not self.mounted:
            return
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:  # no block of that size is left
                    continue

    def free(self) -> None:
        self.full = False
        (self.path / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    made = Disk(path, mounted)
    allocate = os.posix_fallocate

    def refuse(fd: int, offset: int, length: int) -> None:
        if made.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(fd, offset, length)

    if not mounted:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    yield made
    if mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def settings(disk: Disk) -> dict[str, Any]:
    """Small files for the spool alone; what a start allocates lies elsewhere."""
    return {"segment": SEGMENT, "max_in_flight": 128, "run": disk.path.parent / "run"}


async def ask(http: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await http.post(CHAT, json=chat(**more))


async def until(http: httpx.AsyncClient, status: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            answer = await http.get("/health")
            if answer.status_code == status:
                found: dict[str, Any] = answer.json()
                return found
            await asyncio.sleep(0.05)


async def test_while_usage_is_charged_a_full_disk_stops_nothing(disk: Disk, upstream: Upstream) -> None:
    """The spool goes on in the files that it has."""
    async with run_world(disk.path / "spool", targets_for(upstream.address), **settings(disk)) as world:
        async with world.http() as http:
            answered = [await ask(http) for _ in range(60)]
            disk.fill()
            for _ in range(15):
                answered += [await ask(http) for _ in range(10)]
                await world.ledger.expect(len(answered))  # a file comes free when all of it is charged
            assert {answer.status_code for answer in answered} == {200}
        disk.free()


async def test_no_room_to_open_a_request(disk: Disk, upstream: Upstream) -> None:
    """Nothing is charged either, so no file comes free: what cannot be recorded is not served."""
    targets = targets_for(upstream.address)
    async with run_world(disk.path / "spool", targets, **settings(disk)) as world, world.http() as http:
        world.ledger.broken = True
        disk.fill()
        answered: set[str] = set()
        refused = 0
        while refused < 20:
            answer = await ask(http)
            if answer.status_code == 200:
                answered.add(answer.headers["x-request-id"])
                continue
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "spool_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            refused += 1
        sent = len(upstream.received)
        assert (await ask(http)).status_code == 503
        assert len(upstream.received) == sent
        found = await until(http, 503)
        assert {"SpoolUnavailable", "ChargingFails"} <= set(found["problems"])
        assert "ironworks_gateway_spool_healthy 0.0" in (await http.get("/metrics")).text
        disk.free()
        await until(http, 200)  # by itself: nobody sends requests to what says that it serves none
        assert (await ask(http)).status_code == 200
        world.ledger.broken = False
        async with asyncio.timeout(60):
            while not answered <= set(world.ledger.records):
                await asyncio.sleep(0.05)
        assert not world.ledger.conflicts


async def stream(world: World) -> str:
    text = ""
    async with world.http() as http:
        try:
            async with http.stream("POST", CHAT, json=chat("waits", stream=True)) as answer:
                async for piece in answer.aiter_text():
                    text += piece
        except httpx.RemoteProtocolError:
            pass
    return text


async def test_no_room_to_close_a_request(disk: Disk, upstream: Upstream) -> None:
    """Streams that began before: each ends with its terminator and a bill, or with an error, never without a bill."""
    targets = targets_for(upstream.address)
    async with run_world(disk.path / "spool", targets, **settings(disk)) as world, world.http() as http:
        streams = [asyncio.create_task(stream(world)) for _ in range(20)]
        async with asyncio.timeout(60):
            while len(upstream.received) < 20:
                await asyncio.sleep(0.01)
        world.ledger.broken = True
        disk.fill()
        while (await ask(http)).status_code == 200:
            pass
        upstream.release.set()
        texts = await asyncio.gather(*streams)
        ended = [text for text in texts if text.endswith("data: [DONE]\n\n")]
        broken = [text for text in texts if "spool_unavailable" in text]
        assert len(ended) + len(broken) == 20
        assert len(broken) > 0
        assert not any("[DONE]" in text for text in broken)
        disk.free()
        await until(http, 200)
        world.ledger.broken = False
        streamed: list[Any] = []
        async with asyncio.timeout(60):
            while len(streamed) < 20:
                await asyncio.sleep(0.05)
                streamed = [record for record in world.ledger.records.values() if record.stream]
        assert all(record.output_tokens > 0 for record in streamed)
        assert not world.ledger.conflicts


async def test_a_full_disk_under_counts_and_access_log(disk: Disk, upstream: Upstream, tmp_path: Path) -> None:
    disk.fill()
    observing = ObservingSettings(counts=disk.path / "counts", access_log=str(disk.path / "access.log"))
    async with run_world(tmp_path / "spool", targets_for(upstream.address), observing=observing) as world:
        async with world.http() as http:
            for _ in range(5):
                assert (await ask(http)).status_code == 200
            metrics = (await http.get("/metrics")).text
            assert 'ironworks_gateway_requests_total{operation="/v1/chat/completions",status="200"} 5.0' in metrics
            if disk.mounted:
                async with asyncio.timeout(60):
                    while "AccessLogFails" not in (found := (await http.get("/health")).json())["problems"]:
                        await asyncio.sleep(0.05)
                assert found["status"] == "degraded"
            disk.free()
        await world.ledger.expect(5)
