"""Model servers that are there and do not answer: none may hold a caller for longer than the settings say."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, listener, run_world, target

CHAT = "/v1/chat/completions"


@contextmanager
def silent() -> Iterator[str]:
    """A socket that takes connections and never says a word."""
    sock = listener()
    try:
        yield f"127.0.0.1:{sock.getsockname()[1]}"
    finally:
        sock.close()


@contextmanager
def blackhole() -> Iterator[str]:
    """A host that answers no packet: its queue of connections is full, so the kernel drops what comes."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
        fillers.append(filler)
    try:
        yield f"127.0.0.1:{sock.getsockname()[1]}"
    finally:
        for each in (*fillers, sock):
            each.close()


async def ask(world: World, **more: object) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    async with world.http() as http:
        answer = await http.post(CHAT, json=chat(**more))  # type: ignore[arg-type]
    return answer, time.monotonic() - began


async def test_a_blackholed_replica_costs_one_connect_timeout_and_no_request(
    upstream: Upstream, tmp_path: Path
) -> None:
    with blackhole() as nowhere:
        targets = [target("plain", nowhere, upstream.address)]
        async with run_world(tmp_path / "spool", targets, connect_timeout=0.4) as world:
            answers = await asyncio.gather(*(ask(world) for _ in range(10)))
            assert {answer.status_code for answer, _ in answers} == {200}
            assert max(took for _, took in answers) < 3
            later = [await ask(world) for _ in range(5)]
            assert max(took for _, took in later) < 0.4  # it is set aside
            async with world.http() as http:
                metrics = (await http.get("/metrics")).text
            assert "ironworks_gateway_replicas_ejected 1.0" in metrics
            assert "ironworks_gateway_retries_total" in metrics
            await world.ledger.expect(15)
    assert len(upstream.received) == 15


async def test_what_a_model_cannot_read_is_the_callers_error_and_no_fault_of_its_replica(
    upstream: Upstream, tmp_path: Path
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}]
    async with run_world(tmp_path / "spool", [target("reads-text-alone", upstream.address)]) as world:
        asked: dict[str, object] = {"model": "reads-text-alone", "messages": messages}
        for answer, _ in [await ask(world, **asked, stream=stream) for stream in (False, True, False, True)]:
            assert answer.status_code == 400
            assert answer.json()["error"]["message"].startswith("image input is not supported")
        async with world.http() as http:
            assert "ironworks_gateway_replicas_ejected 0.0" in (await http.get("/metrics")).text
        assert (await ask(world, model="reads-text-alone"))[0].status_code == 200


async def test_all_replicas_blackholed(tmp_path: Path) -> None:
    with blackhole() as one, blackhole() as other:
        async with run_world(tmp_path / "spool", [target("plain", one, other)], connect_timeout=0.3) as world:
            answer, took = await ask(world)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_error")
            assert 0.3 < took < 3
            [record] = await world.ledger.expect(1)
            assert (record.status, record.input_tokens, record.output_tokens) == (503, 0, 0)
            async with world.http() as http:
                assert (await http.get("/health")).status_code == 200


async def test_who_never_begins_to_answer(tmp_path: Path) -> None:
    with silent() as nobody:
        async with run_world(tmp_path / "spool", [target("plain", nobody)], first_byte_timeout=0.4) as world:
            for stream in (False, True):
                answer, took = await ask(world, stream=stream)
                assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
                assert 0.4 < took < 3
            records = await world.ledger.expect(2)
            assert {record.status for record in records} == {504}


async def test_who_falls_silent_in_the_middle(upstream: Upstream, tmp_path: Path) -> None:
    async with run_world(tmp_path / "spool", [target("waits", upstream.address)], stream_timeout=0.4) as world:
        text = ""
        async with world.http() as http, http.stream("POST", CHAT, json=chat("waits", stream=True)) as answer:
            try:
                async for piece in answer.aiter_text():
                    text += piece
            except httpx.RemoteProtocolError:
                pass
        assert '"upstream_timeout"' in text
        assert "[DONE]" not in text
        [record] = await world.ledger.expect(1)
        assert (record.status, record.output_tokens, record.counted) == (504, 3, True)
    assert upstream.left == 1


async def test_who_is_slow_is_waited_for(upstream: Upstream, tmp_path: Path) -> None:
    """Each pause is shorter than the limit, all together are longer."""
    async with run_world(tmp_path / "spool", [target("trickles", upstream.address)], stream_timeout=1.0) as world:
        async with world.http() as http, http.stream("POST", CHAT, json=chat("trickles", stream=True)) as answer:
            text = (await answer.aread()).decode()
        assert text.endswith("data: [DONE]\n\n")
        await world.ledger.expect(1)


async def test_the_rest_is_served_while_one_hangs(upstream: Upstream, tmp_path: Path) -> None:
    with silent() as nobody:
        targets = [target("hangs", nobody), target("plain", upstream.address)]
        async with run_world(tmp_path / "spool", targets) as world, world.http() as http:
            hanging = [asyncio.create_task(http.post(CHAT, json=chat("hangs"))) for _ in range(50)]
            await asyncio.sleep(0.2)
            for _ in range(20):
                answer, took = await ask(world)
                assert answer.status_code == 200
                assert took < 1
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            await world.ledger.expect(70)
