"""Sound that passes as it comes: when the first bytes are there, who waits for whom, what is owed when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.products.tokenfactory.upstream import BEHAVIOURS, Received, Upstream, begin, send
from tests.products.tokenfactory.world import World, post, run_world, target

SPEECH = "/v1/audio/speech"
BODY = {"model": "speaks", "input": "Grüße", "voice": "alloy"}
OWED = {"speech_characters": 5}


async def speaks(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Three pieces, the last one when it is let go."""
    begin(writer, "audio/mpeg")
    send(writer, b"one\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.02)
    send(writer, b"two\0")
    await writer.drain()
    while not upstream.release.is_set():
        if received.reader.at_eof():
            upstream.left += 1
            return
        await asyncio.sleep(0.005)
    send(writer, b"three")
    writer.write(b"0\r\n\r\n")


async def dies(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    begin(writer, "audio/mpeg")
    send(writer, b"one")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def roars(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """As much sound as is taken; `left` counts the pieces that went out."""
    begin(writer, "audio/mpeg")
    for _ in range(10_000):
        send(writer, b"x" * 16_384)
        await writer.drain()
        upstream.left += 1
    writer.write(b"0\r\n\r\n")


async def silent(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    begin(writer, "audio/mpeg")
    writer.write(b"0\r\n\r\n")


async def chatters(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    begin(writer, "text/html")
    send(writer, b"<html>")
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.write(b"0\r\n\r\n")


@pytest.fixture
async def world(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A gateway whose answers may have 100 bytes where they are kept whole."""
    voices = {"speaks": speaks, "dies": dies, "roars": roars, "silent": silent, "chatters": chatters}
    for name, behaviour in voices.items():
        monkeypatch.setitem(BEHAVIOURS, name, behaviour)
    targets = [target(name, upstream.address) for name in voices]
    async with run_world(tmp_path / "spool", targets, max_response=100) as made:
        yield made


async def owed(world: World) -> tuple[int, dict[str, int]]:
    """(status, what is billed besides tokens) of the one request."""
    record = (await world.ledger.expect(1))[0]
    return record.status, dict(map(tuple, record.extra))  # type: ignore[arg-type]


async def test_the_first_bytes_are_there_before_the_last_are_made(world: World, upstream: Upstream) -> None:
    async with world.http() as http, http.stream("POST", SPEECH, json=BODY) as answer:
        pieces = answer.aiter_raw()
        heard = b""
        while heard != b"one\r\n\r\ntwo\0":
            heard += await anext(pieces)
        assert not world.ledger.records
        upstream.release.set()
        assert b"".join([piece async for piece in pieces]) == b"three"
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["x-ironworks-model"] == "demo.app.dev/speaks"
    record = (await world.ledger.expect(1))[0]
    assert await owed(world) == (200, OWED)
    assert record.first_byte_ms >= 0


async def test_another_request_follows_on_the_same_connection(world: World, upstream: Upstream) -> None:
    upstream.release.set()
    async with world.http() as http:
        for _ in range(2):
            answer = await http.post(SPEECH, json=BODY)
            assert answer.content == b"one\r\n\r\ntwo\0three"
    await world.ledger.expect(2)
    assert upstream.connections == 1


async def test_its_end_is_the_connections_for_who_speaks_http_1_0(world: World, upstream: Upstream) -> None:
    upstream.release.set()
    answer = await world.raw(post(SPEECH, BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert answer.endswith(b"\r\n\r\none\r\n\r\ntwo\0three")
    assert b"chunked" not in answer
    assert await owed(world) == (200, OWED)


async def test_who_leaves_owes_what_he_asked_for(world: World, upstream: Upstream) -> None:
    async with world.http() as http, http.stream("POST", SPEECH, json=BODY) as answer:
        await anext(answer.aiter_raw())
    assert await owed(world) == (499, OWED)
    async with asyncio.timeout(60):
        while not upstream.left:
            await asyncio.sleep(0.01)


async def test_what_breaks_off_ends_without_its_end_and_is_free(world: World) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        async with world.http() as http:
            await http.post(SPEECH, json={**BODY, "model": "dies"})
    assert await owed(world) == (502, {})


async def test_who_does_not_listen_is_waited_for(world: World, upstream: Upstream) -> None:
    """By the model server too: nobody heaps up what is not read."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1024)
    writer.write(post(SPEECH, {**BODY, "model": "roars"}))
    sent = -1
    while sent != upstream.left:
        sent = upstream.left
        await asyncio.sleep(0.3)
    assert 0 < sent < 2000, "of 10,000"
    writer.transport.abort()
    assert await owed(world) == (499, OWED)


@pytest.mark.parametrize("model", ["silent", "chatters"])
async def test_what_is_no_sound_is_refused(model: str, world: World) -> None:
    async with world.http() as http:
        answer = await http.post(SPEECH, json={**BODY, "model": model})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_error"
    assert await owed(world) == (502, {})
