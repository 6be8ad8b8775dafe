"""Routes at work: a gateway before real sockets, with targets that fail, fill up, sleep, or say the same again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.routing import Leg, Replica, Route
from tests.products.tokenfactory.routing.served import ask, at, nobody, route
from tests.products.tokenfactory.upstream import BEHAVIOURS, Received, Upstream, run_upstream
from tests.products.tokenfactory.world import SCOPE, chat, key_view, post, run_world, target

OTHER = "iwk_test_other"


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


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


async def test_every_try_is_on_record(
    upstream: Upstream, second: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream, so that an answer that was refused before has an end of its own."""
    monkeypatch.setitem(BEHAVIOURS, "rests", unavailable)
    found = route(at(nobody()), at(upstream, "rests"), at(second), strategy="ordered_fallback", tries=3)
    async with run_world(tmp_path, [], routes=[found]) as world:
        assert (await ask(world, stream=True)).status_code == 200
        [record] = await world.ledger.expect(1)
    tries, names = [step[0] for step in record.steps], [leg.target.name for leg in found.legs]
    assert tries == ["try", "try"]
    assert record.steps[0][3] == f"{SCOPE}/{names[0]}: the model server cannot be reached: ConnectionRefusedError"
    assert record.steps[1][3] == f"{SCOPE}/{names[1]}: it answered 503"
    times = [moment for _, since, until, _ in record.steps for moment in (since, until)]
    assert [0, *times, record.asked_us] == sorted([0, *times, record.asked_us])
    assert record.asked_us <= record.sent_us <= record.first_byte_ms * 1000 + 1000 <= record.ended_us + 1000
    assert record.error == ""


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
        [record] = await world.ledger.expect(1)
        assert (record.tries, len(record.steps), record.sent_us, record.error) == (3, 2, -1, "upstream_error")
        assert record.steps[1][2] <= record.asked_us <= record.ended_us
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
            async with asyncio.timeout(60):
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


async def test_who_leaves_while_he_waits_for_the_next_target_owes_nothing(upstream: Upstream, tmp_path: Path) -> None:
    capped = at(upstream, "waits", gate="provider/eu", max_concurrency=1, max_queue=5)
    routes = [route(at(upstream, "bad-gateway"), capped, strategy="ordered_fallback"), route(capped, name="alone")]
    async with run_world(tmp_path, [], routes=routes) as world, world.http() as http, asyncio.timeout(60):
        core = world.gateway._core
        assert core is not None
        first = asyncio.create_task(http.post("/v1/chat/completions", json=chat("alone")))
        while not upstream.received:
            await asyncio.sleep(0.01)
        leaving = asyncio.create_task(ask(world))
        while not core.gates.waiting:
            await asyncio.sleep(0.01)
        leaving.cancel()
        [record] = await world.ledger.expect(1)
        assert (record.status, record.tries, record.input_tokens) == (499, 1, 0)
        upstream.release.set()
        assert (await first).status_code == 200


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
        async with asyncio.timeout(60):
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
