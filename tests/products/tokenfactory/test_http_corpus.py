"""Requests and answers that parsers disagree about: what the gateway says to each, and that nothing comes of it.

Two parsers that read the same bytes differently are how requests are smuggled, so whatever has two readings is refused
and its connection closed. Sources: RFC 9112 (sections 2.2, 3, 5, 6, 7, 9.3, 11), and the cases that were found in
other proxies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.products.tokenfactory.test_http import statuses
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SECRET, World, chat, post, run_world, target

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
FIELDS = b"Host: gateway\r\nAuthorization: Bearer " + SECRET.encode() + b"\r\n"
HEAD = LINE + FIELDS
BODY = json.dumps(chat()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
WHOLE = LENGTH + b"\r\n" + BODY
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
IN_A_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = HEAD + WHOLE


def field(line: bytes, rest: bytes = WHOLE) -> bytes:
    """A request with one more header line."""
    return HEAD + line + b"\r\n" + rest


REFUSED: dict[str, tuple[bytes, int]] = {
    # lengths and codings
    "TE then CL, small case": (HEAD + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n" + IN_A_CHUNK, 400),
    "CL then TE, capitals": (HEAD + b"CONTENT-LENGTH: 4\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n" + IN_A_CHUNK, 400),
    "CL 0 and TE": (HEAD + b"Content-Length: 0\r\n" + CHUNKED + IN_A_CHUNK, 400),
    "chunked, identity": (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + IN_A_CHUNK, 400),
    "identity": (HEAD + b"Transfer-Encoding: identity\r\n" + WHOLE, 400),
    "identity, chunked with a length": (HEAD + b"Transfer-Encoding: identity, chunked\r\n" + WHOLE, 400),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + IN_A_CHUNK, 400),
    "chunkedx": (HEAD + b"Transfer-Encoding: chunkedx\r\n\r\n" + IN_A_CHUNK, 400),
    "quoted chunked": (HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n' + IN_A_CHUNK, 400),
    "empty coding": (HEAD + b"Transfer-Encoding:\r\n" + WHOLE, 400),
    "chunked after a tab and junk": (HEAD + b"Transfer-Encoding: x\tchunked\r\n" + WHOLE, 400),
    "chunked after vertical tab": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + IN_A_CHUNK, 400),
    "a coding in two lines": (
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + IN_A_CHUNK,
        400,
    ),
    "length with a comma": (HEAD + b"Content-Length: 5,5\r\n\r\n" + BODY, 400),
    "length with a point": (HEAD + b"Content-Length: 5.0\r\n\r\n" + BODY, 400),
    "length with a space inside": (HEAD + b"Content-Length: 1 0\r\n\r\n" + BODY, 400),
    "empty length": (HEAD + b"Content-Length:\r\n\r\n" + BODY, 400),
    "length in other digits": (HEAD + "Content-Length: ٥\r\n\r\n".encode() + BODY, 400),
    "length that wraps 64 bits": (HEAD + b"Content-Length: 18446744073709551620\r\n\r\n" + BODY, 400),
    "length of 63 bits": (HEAD + b"Content-Length: 9223372036854775807\r\n\r\n" + BODY, 413),
    # chunks
    "chunk size of 17 digits": (HEAD + CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n", 400),
    "negative chunk size": (HEAD + CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 400),
    "signed chunk size": (HEAD + CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", 400),
    "chunk size with 0x": (HEAD + CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "space before chunk size": (HEAD + CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", 400),
    "empty chunk size": (HEAD + CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    "chunk ended by LF": (HEAD + CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    "chunk ended by CR alone": (HEAD + CHUNKED + b"5\r\nhello\rX0\r\n\r\n", 400),
    "chunk size ended by LF": (HEAD + CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "LF in a chunk extension": (HEAD + CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
    "CR in a chunk extension": (HEAD + CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n", 400),
    "trailer with a bare LF": (HEAD + CHUNKED + IN_A_CHUNK[:-2] + b"X: y\n\r\n", 400),
    # lines
    "LF for CRLF in one header": (HEAD + b"X-A: b\n" + WHOLE, 400),
    "LF after the request line": (LINE[:-2] + b"\n" + FIELDS + WHOLE, 400),
    "CR alone ends the request line": (LINE[:-1] + FIELDS + WHOLE, 400),
    "CR in a value": (field(b"X-A: b\rc"), 400),
    "CR before a smuggled field": (field(b"X-A: b\rTransfer-Encoding: chunked"), 400),
    "NUL in a value": (field(b"X-A: \x00"), 400),
    "NUL in a name": (field(b"X\x00A: b"), 400),
    "folded with a space": (field(b"X-A: b\r\n c"), 400),
    "folded with a tab": (field(b"X-A: b\r\n\tc"), 400),
    "folded length": (HEAD + b"Content-Length:\r\n 5\r\n\r\n" + BODY, 400),
    "first header folded": (LINE + b" X-A: b\r\n" + FIELDS + WHOLE, 400),
    "space before the colon": (field(b"X-A : b"), 400),
    "tab before the colon": (HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n" + IN_A_CHUNK, 400),
    "no colon": (field(b"X-A"), 400),
    "no name": (field(b": b"), 400),
    "space in a name": (field(b"X A: b"), 400),
    "parenthesis in a name": (field(b"X(A): b"), 400),
    "high byte in a name": (field(b"X-\xe9: b"), 400),
    # request line
    "HTTP/0.9": (b"GET /v1/models\r\n\r\n", 505),
    "HTTP/0.9 named": (b"GET /v1/models HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.2": (LINE.replace(b"1.1", b"1.2") + FIELDS + WHOLE, 400),
    "HTTP/11": (LINE.replace(b"1.1", b"11") + FIELDS + WHOLE, 400),
    "http in small letters": (LINE.replace(b"HTTP", b"http") + FIELDS + WHOLE, 400),
    "tab for a space": (LINE.replace(b"POST /", b"POST\t/") + FIELDS + WHOLE, 400),
    "space in the target": (LINE.replace(b"/chat/", b"/ch at/") + FIELDS + WHOLE, 400),
    "NUL in the target": (LINE.replace(b"/chat/", b"/\x00/") + FIELDS + WHOLE, 400),
    "unknown method": (LINE.replace(b"POST", b"SMUGGLE") + FIELDS + WHOLE, 400),
    "method in small letters": (LINE.replace(b"POST", b"post") + FIELDS + WHOLE, 400),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9, 400),
    "CONNECT": (b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\nSSH-2.0\r\n", 405),
    "TRACE": (b"TRACE /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    "asterisk as target": (b"POST * HTTP/1.1\r\nConnection: close\r\n" + FIELDS + WHOLE, 404),
    "target without a slash": (b"POST v1/models HTTP/1.1\r\n" + FIELDS + WHOLE, 400),
    # who and where
    "two hosts, the same": (field(b"Host: gateway"), 400),
    "no host": (LINE + FIELDS.replace(b"Host: gateway\r\n", b"") + WHOLE, 400),
    "two keys": (field(b"authorization: Bearer iwk_other"), 400),
    "a key in either header, different": (field(b"Connection: close\r\nx-api-key: iwk_other"), 401),
    "two lengths, the same": (HEAD + LENGTH + WHOLE, 400),
    # sizes
    "head without end": (HEAD + b"X-A: " + b"a" * 200_000, 431),
    "header lines without end": (HEAD + b"".join(b"X-%d: b\r\n" % i for i in range(5_000)) + b"\r\n", 431),
    "long path": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + FIELDS + b"\r\n", 431),
    # expectations
    "another expectation": (field(b"Expect: 200-maybe"), 417),
}
"""{case: (bytes, status)}; every one is answered once and its connection closed."""


@pytest.mark.parametrize("case", REFUSED)
async def test_what_has_two_readings_is_refused_once(case: str, world: World, upstream: Upstream) -> None:
    data, status = REFUSED[case]
    answer = await world.raw(data + SMUGGLED)
    assert statuses(answer)[:1] == [status]
    if b"onnection: close" not in data:
        assert statuses(answer) == [status]
    assert not upstream.received
    assert not world.ledger.records


SERVED: dict[str, bytes] = {
    "chunk extensions": HEAD + CHUNKED + b'%x;a=b;c="d"\r\n%b\r\n0;last\r\n\r\n' % (len(BODY), BODY),
    "leading zeros in a chunk size": HEAD + CHUNKED + b"000%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "capitals in a chunk size": HEAD + CHUNKED + b"%X\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a trailer": HEAD + CHUNKED + IN_A_CHUNK[:-2] + b"Authorization: Bearer other\r\n\r\n",
    "empty lines before": b"\r\n\r\n" + SMUGGLED,
    "two spaces in the request line": LINE.replace(b"POST /", b"POST  /") + FIELDS + WHOLE,
    "a query": LINE.replace(b"completions ", b"completions?x=1 ") + FIELDS + WHOLE,
    "absolute form": LINE.replace(b"/v1", b"https://elsewhere.example/v1") + FIELDS + WHOLE,
    "tabs around a value": field(b"X-A: \t b \t"),
    "an empty value": field(b"X-A:"),
    "length with zeros": HEAD + b"Content-Length: 00000%d\r\n\r\n" % len(BODY) + BODY,
    "expect with a body at once": field(b"Expect: 100-continue"),
}
"""What looks odd and has one reading."""


@pytest.mark.parametrize("case", SERVED)
async def test_what_has_one_reading_is_served(case: str, world: World, upstream: Upstream) -> None:
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await world.raw(SERVED[case] + last)
    assert [status for status in statuses(answer) if status != 100] == [200, 200]
    await world.ledger.expect(1)
    [received] = upstream.received
    assert set(received.headers) == {
        "host",
        "authorization",
        "accept-encoding",
        "user-agent",
        "accept",
        "content-type",
        "x-request-id",
        "content-length",
    }
    assert received.headers["authorization"] == "Bearer replica-secret"
    assert received.headers["host"] == upstream.address


async def test_nothing_of_the_callers_headers_goes_upstream(world: World, upstream: Upstream) -> None:
    names = ("cookie", "x-forwarded-for", "x-forwarded-host", "forwarded", "via", "proxy-authorization", "te", "x-any")
    lines = [f"{name}: secret" for name in names] + ["keep-alive: timeout=5", "connection: close, x-any"]
    assert statuses(await world.raw(post("/v1/chat/completions", chat(), *lines))) == [200]
    [received] = upstream.received
    assert "secret" not in " ".join(received.headers.values()).replace("replica-secret", "")
    assert not {*names, "keep-alive", "connection"} & set(received.headers)


REPEATED = post("/v1/chat/completions", chat())


@pytest.mark.parametrize(
    "spoilt",
    [
        REPEATED.replace(b"content-length: ", b"content-length: +"),
        REPEATED.replace(b"content-length: ", b"content-length: -"),
        REPEATED.replace(b"content-length: ", b"content-length: 0x"),
        REPEATED.replace(b"content-length: ", b"content-length: 1e"),
        REPEATED.replace(b"content-length: ", b"content-length: 9999999999"),
        REPEATED.replace(b"host: ", b"host : "),
        REPEATED.replace(b"content-type", b"transfer-encoding: chunked\r\ncontent-type"),
        REPEATED.replace(b"content-type", b"content-length: 0\r\ncontent-type"),
    ],
)
async def test_a_head_that_is_nearly_known_is_not_taken_for_it(spoilt: bytes, world: World, upstream: Upstream) -> None:
    """The second and third requests of a connection are recognised; what differs in more than its length is parsed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for number in range(3):
        longer = chat(user="x" * number)
        writer.write(post("/v1/chat/completions", longer))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        assert upstream.received[-1].body["messages"] == longer["messages"]
    writer.write(spoilt)
    refused = await reader.read()
    assert statuses(refused)[0] in (400, 413)
    assert len(statuses(refused)) == 1
    assert len(upstream.received) == 3
    writer.close()


async def test_a_known_head_may_come_in_pieces_and_with_company(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    one = post("/v1/chat/completions", chat())
    writer.write(one)
    await reader.readuntil(b"\r\n\r\n")
    for piece in (one[:10], one[10:-3], one[-3:] + one[:200], one[200:] + one + one[:-1]):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.write(one[-1:] + b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert statuses(await reader.read()) == [200] * 5
    await world.ledger.expect(5)
    writer.close()


# answers of upstreams

ANSWER = json.dumps(
    {"object": "chat.completion", "model": "raw", "choices": [], "usage": {"prompt_tokens": 3}}
).encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SIZED = b"content-length: %d\r\n" % len(ANSWER)
ANSWERED: dict[str, tuple[bytes, int]] = {
    "whole": (OK + SIZED + b"\r\n" + ANSWER, 200),
    "chunked": (OK + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(ANSWER), ANSWER), 200),
    "until the end": (OK + b"\r\n" + ANSWER, 200),
    "early hints before": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + SIZED + b"\r\n" + ANSWER, 200),
    "continue before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + SIZED + b"\r\n" + ANSWER, 200),
    "both lengths": (OK + SIZED + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + ANSWER, 502),
    "both lengths, other order": (OK + b"transfer-encoding: chunked\r\n" + SIZED + b"\r\n0\r\n\r\n" + ANSWER, 502),
    "two lengths": (OK + SIZED + b"content-length: 3\r\n\r\n" + ANSWER, 502),
    "two lengths, the same": (OK + SIZED + SIZED + b"\r\n" + ANSWER, 502),
    "negative length": (OK + b"content-length: -1\r\n\r\n" + ANSWER, 502),
    "too little": (OK + b"content-length: %d\r\n\r\n" % (len(ANSWER) + 9) + ANSWER, 502),
    "chunk cut off": (OK + b"transfer-encoding: chunked\r\n\r\nfff\r\n" + ANSWER, 502),
    "last chunk missing": (OK + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(ANSWER), ANSWER), 502),
    "chunk size no number": (OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n" + ANSWER, 502),
    "bare line feeds": ((OK + SIZED + b"\r\n").replace(b"\r\n", b"\n") + ANSWER, 502),
    "folded header": (OK + b"x-a: b\r\n c\r\n" + SIZED + b"\r\n" + ANSWER, 502),
    "NUL in a header": (OK + b"x-a: \x00\r\n" + SIZED + b"\r\n" + ANSWER, 502),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 502),
    "no content, and some": (b"HTTP/1.1 204 No Content\r\n" + SIZED + b"\r\n" + ANSWER, 502),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n" + SIZED + b"\r\n", 502),
    "switching protocols": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 502),
    "moved": (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", 502),
    "no status": (b"HTTP/1.1\r\n\r\n" + ANSWER, 502),
    "nothing": (b"", 503),
    "head without end": (OK + b"x-a: " + b"a" * 200_000, 502),
}
"""{case: (what the upstream sends before it closes, what the caller is told)}."""


@asynccontextmanager
async def raw_upstream(answer: bytes) -> AsyncIterator[str]:
    """A server that says `answer` to whatever comes, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("case", ANSWERED)
async def test_what_upstreams_answer(case: str, tmp_path: Path) -> None:
    answer, status = ANSWERED[case]
    async with (
        raw_upstream(answer) as address,
        run_world(tmp_path, [target("raw", address)]) as world,
        world.http() as http,
    ):
        told = await http.post("/v1/chat/completions", json=chat("raw"))
        assert told.status_code == status
        [record] = await world.ledger.expect(1)
        assert record.input_tokens == (3 if status == 200 else 0)
        assert record.status == status
        assert b"169.254" not in told.content
