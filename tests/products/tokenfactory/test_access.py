"""The access log: a line for everybody who asked, nothing of what was said, and no request that waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory.gateway import ObservingSettings
from ironworks.products.tokenfactory.gateway.access import MOST_WAITING, AccessLog, Entry
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SCOPE, SECRET, World, chat, run_world, targets_for

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def logged(upstream: Upstream, path: Path) -> AsyncIterator[tuple[World, Path]]:
    file = path / "logs" / "access.log"
    settings = ObservingSettings(access_log=str(file))
    async with run_world(path / "spool", targets_for(upstream.address), observing=settings) as world:
        yield world, file


async def lines(file: Path, count: int, within: float = 60.0) -> list[dict[str, Any]]:
    async with asyncio.timeout(within):
        while not file.exists() or len(file.read_bytes().splitlines()) < count:
            await asyncio.sleep(0.02)
    found = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert len(found) == count
    return found


async def test_a_line_says_who_what_how_and_how_long(upstream: Upstream, tmp_path: Path) -> None:
    async with logged(upstream, tmp_path) as (world, file), world.http() as http:
        answer = await http.post(CHAT, json=chat(), headers={"x-request-id": "mine-1"})
        async with http.stream("POST", CHAT, json=chat("trickles", stream=True)) as stream:
            text = await stream.aread()
        whole, streamed = await lines(file, 2)
    assert whole["request_id"] == answer.headers["x-request-id"]
    assert (whole["client_request_id"], whole["method"], whole["url"], whole["status"]) == ("mine-1", "POST", CHAT, 200)
    assert (whole["scope"], whole["model"]) == (SCOPE, "plain")
    assert (whole["route"], whole["target"]) == (f"{SCOPE}/plain", f"{SCOPE}/plain")
    assert (whole["input_tokens"], whole["output_tokens"], whole["tries"]) == (11, 5, 1)
    assert whole["bytes_out"] == len(answer.content)
    assert whole["bytes_in"] > 0
    assert whole["address"] == "127.0.0.1"
    assert streamed["stream"] is True
    assert 0 < streamed["bytes_out"] <= len(text)
    assert 0 < streamed["overhead_ms"] < streamed["total_ms"]
    assert streamed["upstream_ms"] > 100
    assert streamed["first_byte_ms"] < streamed["total_ms"]


async def test_who_is_refused_has_a_line_too(upstream: Upstream, tmp_path: Path) -> None:
    async with logged(upstream, tmp_path) as (world, file):
        async with world.http("iwk_not_a_key") as http:
            await http.post(CHAT, json=chat())
        async with world.http() as http:
            await http.post(CHAT, json=chat("unheard-of"))
            await http.get("/nowhere?token=secret-in-a-query")
        unknown, model, path = await lines(file, 3)
    assert (unknown["status"], unknown["code"]) == (401, "invalid_api_key")
    assert "key" not in unknown
    assert model["scope"] == SCOPE
    assert (model["status"], model["code"], model["model"]) == (404, "model_not_found", "unheard-of")
    assert (path["status"], path["url"]) == (404, "/nowhere")


async def test_nothing_of_what_was_said_and_no_credential(upstream: Upstream, tmp_path: Path) -> None:
    async with logged(upstream, tmp_path) as (world, file), world.http() as http:
        await http.post(CHAT, json=chat())
        await http.post(CHAT, json=chat("too-long"))
        await lines(file, 2)
        text = file.read_text()
    for secret in ("story", "Once", SECRET, "replica-secret", "8192"):
        assert secret not in text


async def test_rotation_moves_on_to_a_new_file(upstream: Upstream, tmp_path: Path) -> None:
    async with logged(upstream, tmp_path) as (world, file), world.http() as http:
        await http.post(CHAT, json=chat())
        await lines(file, 1)
        file.rename(file.with_suffix(".1"))
        await http.post(CHAT, json=chat())
        await lines(file, 1)
        await lines(file.with_suffix(".1"), 1)
        world.gateway.reopen()
        await http.post(CHAT, json=chat())
        await lines(file, 2)


async def test_the_last_lines_are_written_at_the_end(upstream: Upstream, tmp_path: Path) -> None:
    async with logged(upstream, tmp_path) as (world, file), world.http() as http:
        for _ in range(20):
            await http.post(CHAT, json=chat())
    assert len(await lines(file, 20)) == 20


ENTRY = Entry(
    1.0, "req_1", None, "", "POST", CHAT, 200, "", "", "", "m", "", "", False, False, 1, 1, 1, False, 1_500_000_000,
    0.1, 0.1, 0.0, -1, 10, 10,
)  # fmt: skip


def written(file: Path, count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 5
    while time.monotonic() < until and (not file.exists() or len(file.read_bytes().splitlines()) < count):
        time.sleep(0.02)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_what_does_not_fit_is_dropped_counted_and_told(tmp_path: Path) -> None:
    file = tmp_path / "log"
    os.mkfifo(file)  # a disk that takes nothing until somebody reads
    log = AccessLog(str(file))
    for _ in range(MOST_WAITING + 30):
        log.add(ENTRY)
    time.sleep(0.5)
    for _ in range(MOST_WAITING + 7):
        log.add(ENTRY)
    assert log.lost >= 7
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    data, until = b"", time.monotonic() + 20
    while b'"dropped"' not in data and time.monotonic() < until:
        data += os.read(reader, 1 << 16)
    told = [json.loads(line)["dropped"] for line in data.splitlines() if b'"dropped"' in line and line.endswith(b"}")]
    os.set_blocking(reader, False)
    log._ended.set()
    assert told
    assert sum(told) <= log.lost
    os.close(reader)


def test_a_disk_that_fails_is_told_of_and_recovers(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    log = AccessLog(str(blocked / "log"))
    log.add(ENTRY)
    until = time.monotonic() + 5
    while not log.failing and time.monotonic() < until:
        time.sleep(0.02)
    assert log.failing
    assert log.lost == 1
    blocked.unlink()
    log.add(ENTRY)
    entry, dropped = written(blocked / "log", 2)
    assert (entry["cost"], dropped["dropped"]) == ("1.500000000", 1)
    assert not log.failing
    log.close()


async def test_standard_output(upstream: Upstream, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = ObservingSettings(access_log="-")
    targets = targets_for(upstream.address)
    async with run_world(tmp_path / "spool", targets, observing=settings) as world, world.http() as http:
        await http.post(CHAT, json=chat())
    [line] = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert line["status"] == 200
