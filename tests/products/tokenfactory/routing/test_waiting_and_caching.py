"""Endpoints that sleep until they are asked, and answers that are given again: a gateway before real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.routing import CachePolicy, Replica, Route, Target
from tests.products.tokenfactory.routing.served import ask, at, route
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SCOPE, World, chat, key_view, post, run_world, target

OTHER = "iwk_test_other"


# --- scaled to zero ----------------------------------------------------------------------------------------------


class Waker:
    """Notes who was woken, and fails the first time."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    async def wake(self, target: Target) -> None:
        self.woken.append(target.name)
        if len(self.woken) == 1:
            raise ConnectionError("the database is down")


async def start(world: World, asleep: Target, address: str) -> None:
    world.source.targets = [replace(asleep, replicas=(Replica(address),), wakes=False)]
    world.gateway.notice("Endpoint")


async def test_a_request_waits_for_an_endpoint_to_wake(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ironworks.products.tokenfactory.gateway import waiting

    monkeypatch.setattr(waiting, "WAKE_AGAIN", 0.3)
    monkeypatch.setattr(waiting, "ALIVE_EVERY", 0.2)
    asleep, waker = replace(target("plain"), wakes=True), Waker()
    async with run_world(tmp_path, [asleep], waker=waker, max_held=2) as world:
        async with world.http() as http:
            streaming = asyncio.create_task(http.post("/v1/chat/completions", json=chat(stream=True)))
            whole_one = asyncio.create_task(http.post("/v1/chat/completions", json=chat()))
            async with asyncio.timeout(60):
                while len(waker.woken) < 2:
                    await asyncio.sleep(0.02)
            refused = await http.post("/v1/chat/completions", json=chat())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_starting")
            await asyncio.sleep(0.6)
            await start(world, asleep, upstream.address)
            answers = await asyncio.gather(streaming, whole_one)
        assert answers[0].text.startswith(": waiting\n\n")
        assert answers[0].text.endswith("data: [DONE]\n\n")
        assert answers[1].json()["choices"][0]["message"]["content"] == "Once upon a time."
        records = await world.ledger.expect(2)
        assert {(r.status, r.input_tokens, r.output_tokens) for r in records} == {(200, 11, 5)}


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    asleep = replace(target("plain"), wakes=True)
    async with run_world(tmp_path, [asleep], waker=Waker(), hold_timeout=0.5) as world, world.http() as http:
        late = await http.post("/v1/chat/completions", json=chat())
        assert (late.status_code, late.json()["error"]["code"]) == (503, "model_starting")
        assert int(late.headers["retry-after"]) > 0
        world.source.keys = [replace(world.source.keys[0], disabled=True)]
        gone = asyncio.create_task(http.post("/v1/chat/completions", json=chat()))
        await asyncio.sleep(0.05)
        world.gateway.notice("")
        assert (await gone).status_code == 401
        [late_record, *_] = await world.ledger.expect(len(world.ledger.records))
        assert (late_record.status, late_record.input_tokens, late_record.error) == (503, 0, "model_starting")
        [(what, since, until, whom)] = late_record.steps
        assert (what, whom, until - since >= 450_000, late_record.asked_us) == ("wake", "", True, -1)


async def test_without_a_waker_a_sleeping_endpoint_is_not_ready(tmp_path: Path) -> None:
    async with run_world(tmp_path, [replace(target("plain"), wakes=True)]) as world, world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_ready")


# --- kept answers ------------------------------------------------------------------------------------------------


def caching(*targets: Target, ttl: float = 60.0) -> Route:
    return route(*targets, cache=CachePolicy(ttl, 1_000_000))


async def test_an_equal_request_gets_the_same_answer(upstream: Upstream, tmp_path: Path) -> None:
    other = key_view(OTHER, f"{SCOPE}.eu")
    async with run_world(tmp_path, [], [other], routes=[caching(at(upstream))]) as world:
        for stream in (False, True):
            answers = [await ask(world, stream=stream, user=f"u{n}") for n in range(3)]
            assert [a.headers["x-ironworks-cache"] for a in answers] == ["miss", "hit", "hit"]
            bodies = [[line for line in a.text.splitlines() if not line.startswith(":")] for a in answers]
            assert bodies[0] == bodies[1] == bodies[2]
            assert answers[1].headers["content-type"] == answers[0].headers["content-type"]
        assert len(upstream.received) == 2
        async with world.http(OTHER) as http:
            answer = await http.post("/v1/chat/completions", json=chat("best"))
        assert answer.headers["x-ironworks-cache"] == "miss", "tenants share nothing"
        assert (await ask(world, temperature=0.5)).headers["x-ironworks-cache"] == "miss"
        records = await world.ledger.expect(8)
        hits = [r for r in records if r.cached_answer]
        assert len(hits) == 4
        assert {(r.input_tokens, r.output_tokens, r.tries, tuple(map(tuple, r.extra))) for r in hits} == {
            (0, 0, 0, (("cached_responses", 1),))
        }
        assert {(r.input_tokens, r.output_tokens, len(r.extra)) for r in records if not r.cached_answer} == {(11, 5, 0)}


@pytest.mark.parametrize("behaviour", ["too-long", "dies-in-stream", "error-in-stream", "error-as-200"])
async def test_a_failure_is_not_kept(upstream: Upstream, tmp_path: Path, behaviour: str) -> None:
    async with run_world(tmp_path, [], routes=[caching(at(upstream, behaviour))]) as world:
        for _ in range(2):
            if "stream" in behaviour:
                answer = await world.raw(post("/v1/chat/completions", chat("best", stream=True)))
            else:
                answer = (await ask(world)).content
            assert b"x-ironworks-cache: hit" not in answer
        assert len(upstream.received) == 2


async def test_a_caller_may_ask_for_a_fresh_answer(upstream: Upstream, tmp_path: Path) -> None:
    async with run_world(tmp_path, [], routes=[caching(at(upstream), ttl=0.3)]) as world, world.http() as http:

        async def told(**headers: str) -> str | None:
            answer = await http.post("/v1/chat/completions", json=chat("best"), headers=headers)
            return answer.headers.get("x-ironworks-cache")

        assert await told(**{"cache-control": "no-store"}) is None
        assert await told() == "miss"
        assert await told(**{"cache-control": "no-cache"}) == "miss"
        assert await told() == "hit"
        await asyncio.sleep(0.35)
        assert await told() == "miss", "too old"


async def test_what_fails_after_a_wait_is_told_as_an_event(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ironworks.products.tokenfactory.gateway import waiting

    monkeypatch.setattr(waiting, "ALIVE_EVERY", 0.1)
    asleep = replace(target("bad-gateway"), wakes=True)
    async with run_world(tmp_path, [asleep], waker=Waker()) as world:
        asking = asyncio.create_task(world.raw(post("/v1/chat/completions", chat("bad-gateway", stream=True))))
        await asyncio.sleep(0.8)
        await start(world, asleep, upstream.address)
        answer = await asking
        assert answer.startswith(b"HTTP/1.1 200")
        assert b": waiting\n\n" in answer
        assert b'"upstream_error"' in answer
        assert b"[DONE]" not in answer
        [record] = await world.ledger.expect(1)
        assert (record.status, record.input_tokens, record.output_tokens) == (502, 0, 0)
