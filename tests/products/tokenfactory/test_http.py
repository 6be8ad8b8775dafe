"""Malformed and ambiguous HTTP, sizes, times and pipelines, by raw sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SECRET, World, chat, post, run_world, targets_for

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + SECRET.encode() + b"\r\n"
BODY = json.dumps(chat()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    return [int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]


MALFORMED = {
    "both lengths": HEAD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, other order": HEAD + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + SMUGGLED,
    "two equal lengths": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "two lengths": HEAD + LENGTH + b"Content-Length: 4\r\n\r\n" + BODY,
    "list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\n" + BODY,
    "signed length": HEAD + b"Content-Length: +5\r\n\r\n" + BODY,
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
    "hexadecimal length": HEAD + b"Content-Length: 0x10\r\n\r\n" + BODY,
    "endless length": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked then identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "folded header": HEAD + b"X-A: b\r\n c\r\n" + LENGTH + b"\r\n" + BODY,
    "space before colon": HEAD + b"Content-Length : 5\r\n\r\n" + BODY,
    "bare line feeds": (HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "bare carriage return": HEAD + b"X-A: b\rX-B: c\r\n" + LENGTH + b"\r\n" + BODY,
    "NUL in a header": HEAD + b"X-A: b\x00c\r\n" + LENGTH + b"\r\n" + BODY,
    "chunk size without CR": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "chunk longer than it says": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    "chunk size is no number": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "two hosts": HEAD + b"Host: other\r\n" + LENGTH + b"\r\n" + BODY,
    "no host": HEAD.replace(b"Host: gateway\r\n", b"") + LENGTH + b"\r\n" + BODY,
    "two keys": HEAD + b"Authorization: Bearer other\r\n" + LENGTH + b"\r\n" + BODY,
    "two content types": HEAD
    + b"Content-Type: application/json\r\nContent-Type: text/plain\r\n"
    + LENGTH
    + b"\r\n"
    + BODY,
    "injected id": HEAD + b"X-Request-Id: a b\r\n" + LENGTH + b"\r\n" + BODY,
    "long id": HEAD + b"X-Request-Id: " + b"a" * 129 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "not HTTP": b"hello\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_requests_are_refused_once_and_nothing_is_asked(
    name: str, world: World, upstream: Upstream
) -> None:
    answer = await world.raw(MALFORMED[name])
    assert statuses(answer) == [400]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: req_" in head
    assert b"connection: close" in head
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert not upstream.received


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/models HTTP/2.0\r\nHost: a\r\nConnection: close\r\n\r\n", 505),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"DELETE /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
        (b"GET /v1/files HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"GET /v1/../metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (post("/v1/chat/completions", BODY, "content-encoding: gzip", "connection: close"), 415),
        (HEAD + b"Content-Type: text/plain\r\nConnection: close\r\n" + LENGTH + b"\r\n" + BODY, 415),
    ],
)
async def test_what_is_not_served(world: World, data: bytes, status: int) -> None:
    assert statuses(await world.raw(data)) == [status]


async def test_http_1_0_and_absolute_form(world: World) -> None:
    key = b"Authorization: Bearer " + SECRET.encode()
    old = await world.raw(b"GET /v1/models?x=1 HTTP/1.0\r\n" + key + b"\r\n\r\n")
    assert statuses(old) == [200]
    full = await world.raw(
        b"GET http://gateway/v1/models HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n" + key + b"\r\n\r\n"
    )
    assert statuses(full) == [200]
    body = json.dumps(chat(stream=True)).encode()
    stream = await world.raw(
        b"POST /v1/chat/completions HTTP/1.0\r\n" + key + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    assert b"transfer-encoding" not in stream
    assert stream.endswith(b"data: [DONE]\n\n")


async def test_head_has_no_body(world: World) -> None:
    answer = await world.raw(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order(world: World) -> None:
    names = ["plain", "waits-not", "plain", "renamed"]
    data = b"".join(post("/v1/chat/completions", chat(name, stream=i == 0)) for i, name in enumerate(names))
    answer = await world.raw(data + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(answer) == [200, 404, 200, 200, 200]
    assert answer.index(b"[DONE]") < answer.index(b"model_not_found") < answer.index(b'"model":"renamed"')
    await world.ledger.expect(3)


async def test_a_thousand_pipelined_requests_need_no_stack(world: World) -> None:
    one = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await world.raw(post("/v1/chat/completions", chat("trickles", stream=True)) + one * 3000 + last, within=60)
    assert statuses(answer) == [200] + [401] * 3000 + [200]


async def test_bytes_one_by_one(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for byte in post("/v1/chat/completions", chat(), "connection: close"):
        writer.write(bytes([byte]))
        await writer.drain()
    assert statuses(await reader.read()) == [200]
    writer.close()


async def test_chunked_bodies_with_extensions_and_trailers(world: World, upstream: Upstream) -> None:
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(BODY[i : i + 7]), BODY[i : i + 7]) for i in range(0, len(BODY), 7))
    trailer = b"0\r\nAuthorization: Bearer other\r\nHost: evil\r\n\r\n"
    answer = await world.raw(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + trailer)
    assert statuses(answer) == [200]
    assert len(upstream.received) == 1


async def test_an_offered_upgrade_is_ignored(world: World) -> None:
    """As Java's client sends it on a fresh connection."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"
    answer = await world.raw(
        HEAD + upgrade + LENGTH + b"\r\n" + BODY + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert statuses(answer) == [200, 200]
    await world.ledger.expect(1)


async def test_a_refused_upgrade_is_refused_once(world: World) -> None:
    upgrade = HEAD.replace(SECRET.encode(), b"wrong") + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert statuses(await world.raw(upgrade + b"Content-Length: 99999\r\n\r\n" + b"x" * 99_999)) == [401]


async def test_nobody_sends_a_body_of_unknown_size_before_the_key_is_known(world: World) -> None:
    """Nothing follows the head, so an answer can only come of it."""
    head = HEAD.replace(SECRET.encode(), b"wrong") + b"Transfer-Encoding: chunked\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(head)
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_expect_continue(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nConnection: close\r\n" + LENGTH + b"\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert statuses(await reader.read()) == [200]
    writer.close()
    bad = HEAD.replace(SECRET.encode(), b"wrong")
    refused = await world.raw(bad + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n")
    assert statuses(refused) == [401]


async def test_limits_of_size(upstream: Upstream, tmp_path: Path) -> None:
    async with run_world(tmp_path, targets_for(upstream.address), max_body=100_000, max_head=4096) as world:
        assert statuses(await world.raw(post("/v1/completions", b" " * 100_001))) == [413]
        assert statuses(await world.raw(HEAD + b"Content-Length: 100001\r\n\r\n")) == [413]
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        assert statuses(await world.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 30)) == [413]
        assert statuses(await world.raw(HEAD + b"X-A: " + b"a" * 1_000_000)) == [431]
        assert statuses(await world.raw(HEAD + b"X-A: b\r\n" * 150 + LENGTH + b"\r\n")) == [431]
        many = b"".join(b"X-%d: b\r\n" % i for i in range(150))
        assert statuses(await world.raw(HEAD + many + LENGTH + b"\r\n")) == [431]
        unknown = HEAD.replace(SECRET.encode(), b"wrong") + b"Content-Length: 99000\r\n\r\n"
        assert statuses(await world.raw(unknown)) == [401]
        async with world.http() as http:
            assert (
                await http.post("/v1/completions", json={"model": "plain", "prompt": "x" * 90_000})
            ).status_code == 200
    assert len(upstream.received) == 1


async def test_limits_of_time(upstream: Upstream, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"head_timeout": 0.3, "body_timeout": 0.3, "idle_timeout": 0.3, "first_byte_timeout": 0.3}
    async with run_world(tmp_path, targets_for(upstream.address), **limits) as world:
        slow_head, slow_body, silent, answered, late = await asyncio.gather(
            world.raw(HEAD),
            world.raw(HEAD + LENGTH + b"\r\n" + BODY[:5]),
            world.raw(b""),
            world.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
            world.raw(post("/v1/chat/completions", chat("waits"), "connection: close")),
        )
    assert [statuses(each) for each in (slow_head, slow_body, silent, answered, late)] == [
        [408],
        [408],
        [],
        [200],
        [504],
    ]


async def test_backpressure_both_ways(world: World, upstream: Upstream) -> None:
    """A caller that does not read stops the model server, not the gateway's memory."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1024)
    writer.write(post("/v1/chat/completions", chat("floods", stream=True)))
    await writer.drain()
    await asyncio.sleep(0.5)
    sent = upstream.received[0].body["sent"]
    await asyncio.sleep(0.3)
    assert upstream.received[0].body["sent"] == sent < 50_000_000
    while upstream.received[0].body["sent"] < sent + 10_000_000:
        assert await reader.read(1 << 20)
    writer.transport.abort()
    [record] = await world.ledger.expect(1)
    assert record.status == 499
    assert record.counted
    assert record.output_tokens > sent // 9000


async def test_a_caller_that_never_reads_is_cut_off(upstream: Upstream, tmp_path: Path) -> None:
    async with run_world(tmp_path, targets_for(upstream.address), send_timeout=0.3) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1024)
        writer.write(post("/v1/chat/completions", chat("floods", stream=True)))
        [record] = await world.ledger.expect(1)
        assert record.status == 499
        writer.close()


async def test_two_hundred_streams_at_once(world: World, upstream: Upstream) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=world.url, limits=limits, timeout=60) as http:
        headers = {"authorization": f"Bearer {SECRET}"}
        posts = [
            http.post("/v1/chat/completions", json=chat("trickles", stream=True), headers=headers) for _ in range(200)
        ]
        answers = await asyncio.gather(*posts)
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    records = await world.ledger.expect(200, within=60)
    assert {record.output_tokens for record in records} == {5}
    assert {record.request_id for record in records} == {answer.headers["x-request-id"] for answer in answers}
