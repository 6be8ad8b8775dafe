"""A wall clock that is set while the gateway runs: time limits, ids, bills and limits do not follow it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironworks.products.tokenfactory.gateway.identifiers import RequestIds
from ironworks.products.tokenfactory.limits import LimitView
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SCOPE, chat, key_view, run_world, target, targets_for

CHAT = "/v1/chat/completions"
DAY = 86_400.0


class WallClock:
    """Stands where `time.time` and `time.time_ns` do, `ahead` of the truth by so many seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._time = time.time

    def time(self) -> float:
        return self._time() + self.ahead

    def time_ns(self) -> int:
        return int(self.time() * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    made = WallClock()
    monkeypatch.setattr(time, "time", made.time)
    monkeypatch.setattr(time, "time_ns", made.time_ns)
    return made


@pytest.mark.parametrize("jump", [DAY, -DAY, 3650 * DAY])
async def test_a_jump_ends_nothing_and_bills_nothing_twice(
    upstream: Upstream, tmp_path: Path, clock: WallClock, jump: float
) -> None:
    settings: dict[str, Any] = {"head_timeout": 5, "idle_timeout": 5, "stream_timeout": 5, "first_byte_timeout": 5}
    async with run_world(tmp_path / "spool", targets_for(upstream.address), **settings) as world, world.http() as http:
        first = await http.post(CHAT, json=chat())
        async with http.stream("POST", CHAT, json=chat("waits", stream=True)) as running:
            pieces = running.aiter_text()
            text = await anext(pieces)
            clock.ahead = jump
            await asyncio.sleep(1.2)  # two looks at deadlines
            assert (await http.get("/health")).json()["status"] == "ok"
            second = await http.post(CHAT, json=chat())
            upstream.release.set()
            async for piece in pieces:
                text += piece
        assert text.endswith("data: [DONE]\n\n")
        assert {first.status_code, second.status_code} == {200}
        records = await world.ledger.expect(3)
    assert len({record.request_id for record in records}) == 3
    assert all(record.finished_at >= record.started_at for record in records)
    assert all(record.finished_at - record.started_at < 10 for record in records)


async def test_a_limit_neither_fills_up_nor_dries_up(upstream: Upstream, tmp_path: Path, clock: WallClock) -> None:
    from uuid import uuid4

    limit = LimitView(uid=uuid4(), home=SCOPE, scope=SCOPE, requests_per_minute=10, burst=5)
    targets = [target("plain", upstream.address)]
    async with run_world(tmp_path / "spool", targets, limits=[limit]) as world, world.http() as http:
        statuses = []
        for ahead in (0.0, DAY, -DAY, 0.0):
            clock.ahead = ahead
            statuses += [(await http.post(CHAT, json=chat())).status_code for _ in range(3)]
    assert statuses == [200] * 5 + [429] * 7


def test_ids_stay_unique_and_well_formed(clock: WallClock) -> None:
    ids = RequestIds()
    made: set[str] = set()
    for ahead in (0.0, DAY, -DAY, 0.0, 0.0):
        clock.ahead = ahead
        made |= {ids.new() for _ in range(2000)}
    assert len(made) == 10_000
    assert all(len(each) == 30 for each in made)


async def test_an_expiry_is_by_the_wall_clock_and_nothing_else_is(
    upstream: Upstream, tmp_path: Path, clock: WallClock
) -> None:
    key = key_view("iwk_brief", expires_at=time.time() + 3600)
    targets = targets_for(upstream.address)
    async with run_world(tmp_path / "spool", targets, [key]) as world, world.http("iwk_brief") as http:
        assert (await http.post(CHAT, json=chat())).status_code == 200
        clock.ahead = 2 * 3600
        refused: httpx.Response = await http.post(CHAT, json=chat())
        assert refused.json()["error"]["code"] == "api_key_expired"
        clock.ahead = 0
        assert (await http.post(CHAT, json=chat())).status_code == 200
