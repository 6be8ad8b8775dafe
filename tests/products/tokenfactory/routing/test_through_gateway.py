"""Routes at work: a gateway before real sockets, with targets that fail, fill up, sleep, or say the same again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory.routing import CachePolicy, Leg, Replica, Route, Target, route_to
from tests.products.tokenfactory.upstream import BEHAVIOURS, Received, Upstream, run_upstream
from tests.products.tokenfactory.world import SCOPE, World, chat, key_view, listener, post, run_world, target

OTHER = "iwk_test_other"


def route(*targets: Target, name: str = "best", **changes: Any) -> Route:
    changes.setdefault("legs", tuple(Leg(each, each.served_as, each.model) for each in targets))
    return replace(route_to(target(name)), inherited=True, **changes)


def at(server: Upstream | str, behaviour: str = "plain", **changes: Any) -> Target:
    address = server if isinstance(server, str) else server.address
    return replace(target(f"{behaviour}-{address}", address, served_as=behaviour), **changes)


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


def nobody() -> str:
    """An address where nothing listens."""
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    return f"127.0.0.1:{port}"


async def ask(world: World, **more: Any) -> Any:
    async with world.http() as http:
        return await http.post("/v1/chat/completions", json=chat("best", **more))


# --- fallback ----------------------------------------------------------------------------------------------------


async def test_the_next_target_is_asked_and_pays(upstream: Upstream, tmp_path: Path) -> None:
    dead, well = at(nobody()), at(upstream)
    async with run_world(tmp_path, [], routes=[route(dead, well, strategy="ordered_fallback")]) as world:
        for _ in range(3):
            answer = await ask(world)
            assert answer.status_code == 200
            assert answer.headers["x-ironworks-model"] == f"{SCOPE}/{well.name}"
        records = await world.ledger.expect(3)
        assert [(r.endpoint_name, r.model, r.tries) for r in records] == [
            (well.name, well.model, 2), (well.name, well.model, 1), (well.name, well.model, 1),
        ]  # fmt: skip
        assert {(r.route, r.input_tokens, r.output_tokens) for r in records} == {("best", 11, 5)}


async def unavailable(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 No\r\nretry-after: 30\r\ncontent-length: 2\r\n\r\n{}")


async def test_who_asks_to_be_left_alone_is(
    upstream: Upstream, second: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BEHAVIOURS, "rests", unavailable)
    tired, well = at(upstream, "rests"), at(second)
    routes = [route(tired, well, strategy="ordered_fallback"), route(tired, name="alone")]
    async with run_world(tmp_path, [target("rests", upstream.address)], routes=routes) as world:
        assert (await ask(world)).status_code == 200
        assert (await ask(world)).status_code == 200
        assert len(upstream.received) == 1, "left alone for as long as it asked"
        async with world.http() as http:
            answer = await http.post("/v1/chat/completions", json=chat("alone"))
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "model_overloaded"
            assert 25 <= int(answer.headers["retry-after"]) <= 30
            assert len(upstream.received) == 1
            first = await http.post("/v1/chat/completions", json=chat("rests"))
            assert first.status_code == 503
            assert 25 <= int(first.headers["retry-after"]) <= 30, "as the upstream said"


async def test_nobody_is_asked_twice_who_may_charge_for_it(
    upstream: Upstream, second: Upstream, tmp_path: Path
) -> None:
    """Our own replica that dies is replaced; a provider that hangs up may have done the work."""
    provider = at(upstream, "dies-at-once", gate="provider/eu")
    own = at(upstream, "dies-at-once")
    for first, status, asked in ((provider, 502, 0), (own, 200, 1)):
        second.received.clear()
        found = route(first, at(second), strategy="ordered_fallback")
        async with run_world(tmp_path / first.gate[:1], [], routes=[found]) as world:
            assert (await ask(world)).status_code == status
            assert len(second.received) == asked


async def test_tries_are_counted(upstream: Upstream, tmp_path: Path) -> None:
    targets = [at(nobody()) for _ in range(4)]
    found = route(*targets, at(upstream), strategy="ordered_fallback", tries=3)
    async with run_world(tmp_path, [], routes=[found]) as world:
        assert (await ask(world)).status_code == 503
        assert (await world.ledger.expect(1))[0].tries == 3
        assert (await ask(world)).status_code == 200, "what refused connections is set aside"


async def test_a_replica_that_is_back_is_found_before_its_time(tmp_path: Path) -> None:
    address = nobody()
    async with run_world(tmp_path, [target("plain", address)]) as world:
        core = world.gateway._core
        assert core is not None
        for _ in range(6):
            async with world.http() as http:
                assert (await http.post("/v1/chat/completions", json=chat())).status_code == 503
        [state] = core.balancer.set_aside(core.now())
        assert state.ejected_until > core.now() + 5
        async with run_upstream(int(address.rpartition(":")[2])):
            async with asyncio.timeout(4):
                while core.balancer.ejected(core.now()):
                    await asyncio.sleep(0.05)


async def test_weights_hold_through_the_gateway(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    legs = (Leg(at(upstream), "plain", "m", 3), Leg(at(second), "plain", "m", 1))
    async with run_world(tmp_path, [], routes=[route(legs=legs, strategy="weighted")]) as world:
        for _ in range(20):
            assert (await ask(world)).status_code == 200
    assert (len(upstream.received), len(second.received)) == (15, 5)


async def test_a_conversation_stays_where_its_cache_is(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    pair = replace(target("pair", upstream.address, second.address), served_as="plain")
    found = route(pair, strategy="prefix_affine")
    async with run_world(tmp_path, [], routes=[found]) as world, world.http() as http:
        for person in range(12):
            messages = [{"role": "system", "content": f"Help person {person}"}, {"role": "user", "content": "a"}]
            messages += [{"role": "assistant", "content": "b"}]
            for turn in range(3):
                messages += [{"role": "user", "content": f"{turn}"}, {"role": "assistant", "content": "c"}]
                body = {"model": "best", "messages": messages}
                assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
    for server in (upstream, second):
        seen = Counter(r.body["messages"][0]["content"] for r in server.received)
        assert set(seen.values()) == {3}


# --- caps --------------------------------------------------------------------------------------------------------


async def test_a_noisy_tenant_does_not_starve_another(upstream: Upstream, tmp_path: Path) -> None:
    capped = at(upstream, "trickles", gate="provider/eu", max_concurrency=1, max_queue=50)
    other = key_view(OTHER, f"{SCOPE}.eu")
    finished: list[str] = []

    async with run_world(tmp_path, [], [other], routes=[route(capped)]) as world:

        async def one(secret: str, who: str) -> None:
            async with world.http(secret) as http:
                answer = await http.post("/v1/chat/completions", json=chat("best", stream=True))
                assert answer.text.endswith("data: [DONE]\n\n")
            finished.append(who)

        noisy = [asyncio.create_task(one("iwk_test_dev", "noisy")) for _ in range(8)]
        await asyncio.sleep(0.1)
        await asyncio.gather(*noisy, *(one(OTHER, "quiet") for _ in range(2)))
        assert "quiet" in finished[:3]
        assert finished.index("quiet", finished.index("quiet") + 1) <= 5
        await world.ledger.expect(10)


async def test_a_full_queue_says_when_to_come_again(upstream: Upstream, tmp_path: Path) -> None:
    capped = at(upstream, "waits", gate="provider/eu", max_concurrency=1, max_queue=1)
    async with run_world(tmp_path, [], routes=[route(capped)], queue_timeout=1.0) as world:
        core = world.gateway._core
        assert core is not None
        first = asyncio.create_task(ask(world))
        while not upstream.received:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(ask(world))
        while not core.gates.waiting:
            await asyncio.sleep(0.01)
        full = await ask(world)
        assert (full.status_code, full.json()["error"]["code"]) == (429, "model_busy")
        assert int(full.headers["retry-after"]) > 0
        late = await waiting
        assert (late.status_code, late.json()["error"]["code"]) == (503, "model_busy")
        leaving = asyncio.create_task(ask(world))
        while not core.gates.waiting:
            await asyncio.sleep(0.01)
        leaving.cancel()
        while core.gates.waiting:
            await asyncio.sleep(0.01)
        upstream.release.set()
        assert (await first).status_code == 200
        assert (await ask(world)).status_code == 200
        records = await world.ledger.expect(4)
        assert sorted(r.status for r in records) == [200, 200, 499, 503]
        assert {(r.input_tokens, r.output_tokens) for r in records if r.status != 200} == {(0, 0)}
        assert core.gates.waiting == 0


async def test_who_has_room_is_asked_before_who_has_none(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    full = at(upstream, "waits", gate="a", max_concurrency=1, max_queue=5)
    async with run_world(tmp_path, [], routes=[route(full, at(second), strategy="ordered_fallback")]) as world:
        first = asyncio.create_task(ask(world))
        while not upstream.received:
            await asyncio.sleep(0.01)
        assert (await ask(world)).status_code == 200
        assert len(second.received) == 1
        upstream.release.set()
        assert (await first).status_code == 200


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
            async with asyncio.timeout(5):
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
        assert (late_record.status, late_record.input_tokens) == (503, 0)


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


# --- names and credentials ---------------------------------------------------------------------------------------


async def test_inherited_and_external_names_are_listed_and_called(upstream: Upstream, tmp_path: Path) -> None:
    above = replace(route(at(upstream), name="gpt-4o.mini"), scope="demo")
    provider = at(upstream, gate="p/eu")
    implicit = replace(route(provider, name="openai/gpt-4o"), scope="")
    async with run_world(tmp_path, [], routes=[above, implicit]) as world, world.http() as http:
        listed = [model["id"] for model in (await http.get("/v1/models")).json()["data"]]
        assert sorted(listed) == ["gpt-4o.mini", "openai/gpt-4o"]
        for name in listed:
            answer = await http.post("/v1/chat/completions", json=chat(name))
            assert answer.status_code == 200
            assert answer.json()["model"] == name
        assert [r.body["model"] for r in upstream.received] == ["plain", "plain"]


async def test_each_upstream_is_sent_its_own_credential(upstream: Upstream, tmp_path: Path) -> None:
    """Two tenants with accounts at one provider: the same address, each with its own key."""

    def external(scope: str, credential: str) -> Route:
        replica = Replica(upstream.address, credential, prefix="/openai/v1", auth="x-api-key")
        found = replace(at(upstream), scope=scope, gate=f"{scope}/eu", replicas=(replica,))
        return replace(route(found), scope=scope, uid=target(scope).uid)

    routes = [external(SCOPE, "mine"), external(f"{SCOPE}.eu", "theirs")]
    async with run_world(tmp_path, [], [key_view(OTHER, f"{SCOPE}.eu")], routes=routes) as world:
        for _ in range(3):
            for secret in ("iwk_test_dev", OTHER):
                async with world.http(secret) as http:
                    assert (await http.post("/v1/chat/completions", json=chat("best"))).status_code == 200
    assert [r.headers["x-api-key"] for r in upstream.received] == ["mine", "theirs"] * 3
    assert {r.path for r in upstream.received} == {"/openai/v1/chat/completions"}
    assert not any("authorization" in r.headers for r in upstream.received)


async def test_guarded_addresses_are_looked_at_when_connecting(upstream: Upstream, tmp_path: Path) -> None:
    guarded = Replica(upstream.address, "secret", guarded=True)
    found = route(replace(at(upstream), gate="p/eu", replicas=(guarded,)))
    async with run_world(tmp_path, [], routes=[found]) as world:
        assert (await ask(world)).status_code == 503
    assert upstream.connections == 0


# --- all at once -------------------------------------------------------------------------------------------------


async def test_nothing_is_left_behind(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    """Callers who leave at any moment, upstreams that die, fill up and refuse: every place and count comes back."""
    chance = random.Random(7)
    routes = [
        route(
            at(upstream, behaviour, gate=f"gate/{number % 2}", max_concurrency=2, max_queue=3),
            at(second, "trickles", gate="second", max_concurrency=3, max_queue=20),
            name=f"r{number}",
            strategy=strategy,
        )
        for number, (behaviour, strategy) in enumerate(
            zip(
                ("plain", "dies-at-once", "bad-gateway", "dies-in-stream", "too-long", "trickles"),
                ("weighted", "least_loaded", "ordered_fallback", "prefix_affine", "lowest_latency", "lowest_cost"),
                strict=True,
            )
        )
    ]
    keys = [key_view(f"iwk_{n}", f"{SCOPE}.t{n}") for n in range(4)]
    async with run_world(tmp_path, [], keys, routes=routes, queue_timeout=2.0) as world:
        core = world.gateway._core
        assert core is not None

        async def one() -> None:
            model, stream = f"r{chance.randrange(6)}", chance.random() < 0.5
            data = post("/v1/chat/completions", chat(model, stream=stream), secret=f"iwk_{chance.randrange(4)}")
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(data)
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(chance.choice((0.001, 0.02, 0.1, 2))):
                    await reader.read()
            writer.transport.abort()

        for _ in range(3):
            await asyncio.gather(*(one() for _ in range(40)))
        async with asyncio.timeout(15):
            while core.exchanges or core.gates.waiting:
                await asyncio.sleep(0.05)
        gates = core.gates._gates.values()
        assert [(gate.inside, gate.waiting, len(gate.lanes)) for gate in gates] == [(0, 0, 0)] * 3
        assert {pick.state.in_flight for r in routes for pick in core.balancer._plan(r).picks} == {0}
        assert core.admission.in_flight == 0
        assert [len(core.waits.held), len(core.waits.queued), len(core.waits._told)] == [0, 0, 0]
        for number in range(6):
            async with world.http("iwk_0") as http:
                answer = await http.post("/v1/chat/completions", json=chat(f"r{number}"))
                assert answer.status_code in (200, 400, 502), answer.text


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
