"""A model server that does what a test tells it: well-behaved by default, and wrong in every way the gateway must bear.

The behaviour is chosen by the request's `model`, so one server plays all of them at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

WORDS = ("Once", " upon", " a", " time", ".")
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
}


@dataclass
class Received:
    """A request as the model server got it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    reader: asyncio.StreamReader


@dataclass
class Upstream:
    """The running server. `left` counts callers that went away in the middle of an answer.

    With `tokenizes` it offers its tokenizer as llama.cpp does: a token for each word. `looks` are the (path, headers)
    of those who only look whether it is there; `seen` answers them.
    """

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    left: int = 0
    tokenizes: bool = False
    release: asyncio.Event = field(default_factory=asyncio.Event)
    looks: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    seen: Seen = field(default_factory=lambda: lists_models)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


Behaviour = Callable[[Upstream, Received, asyncio.StreamWriter], Awaitable[None]]
Seen = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def run_upstream(port: int = 0) -> AsyncIterator[Upstream]:
    """Serve on loopback until the block ends."""
    upstream = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        upstream.connections += 1
        try:
            await _connection(upstream, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connection(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        line, *rest = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest if item)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if line.startswith("GET "):
            upstream.looks.append((line.split()[1], headers))
            await upstream.seen(writer)
            continue
        received = Received(line.split()[1], headers, json.loads(body), reader)
        if received.path in ("/apply-template", "/tokenize"):
            _tokenize(upstream, received, writer)
            continue
        upstream.received.append(received)
        await BEHAVIOURS.get(received.body["model"], plain)(upstream, received, writer)
        await writer.drain()


def _tokenize(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    if not upstream.tokenizes:
        whole(writer, b"{}", "404 Not Found")
    elif received.path == "/tokenize":
        whole(writer, json.dumps({"tokens": received.body["content"].split()}).encode())
    else:
        said = [f"<{message['role']}> {message['content']}" for message in received.body["messages"]]
        whole(writer, json.dumps({"prompt": " ".join(said)}).encode())


def whole(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK", kind: str = "application/json") -> None:
    writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


async def lists_models(writer: asyncio.StreamWriter) -> None:
    whole(writer, json.dumps({"object": "list", "data": [{"id": "plain", "object": "model"}]}).encode())


def begin(writer: asyncio.StreamWriter, kind: str = "text/event-stream") -> None:
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())


def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def event(value: object) -> bytes:
    return (
        b"data: " + (value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()) + b"\n\n"
    )


def delta(model: str, text: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    content = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": content, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice], **more}


def usage_chunk(model: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": []}
    return {**chunk, "usage": usage or USAGE}


def events(model: str) -> list[bytes]:
    """A well-behaved stream, with its usage, up to and without `[DONE]`."""
    chunks: list[Any] = [delta(model, "")]
    chunks += [delta(model, word) for word in WORDS]
    chunks += [delta(model, None, "stop"), usage_chunk(model)]
    return [event(chunk) for chunk in chunks]


def answer(received: Received) -> dict[str, Any]:
    model = received.body["model"]
    if received.path.endswith("/embeddings"):
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}]
        return {"object": "list", "data": vectors, "model": model, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    text = "".join(WORDS)
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if received.path.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": text}
        kind = "chat.completion"
    else:
        choice["text"] = text
        kind = "text_completion"
    return {"id": "c1", "object": kind, "created": 1, "model": model, "choices": [choice], "usage": USAGE}


async def plain(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Does everything right."""
    if not received.body.get("stream"):
        whole(writer, json.dumps(answer(received)).encode())
        return
    begin(writer)
    for piece in events(received.body["model"]):
        send(writer, piece)
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def byte_by_byte(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Every byte of the stream alone in its chunk, with CRLF line ends and comments between events."""
    begin(writer)
    text = b": ping\n\n".join(events(received.body["model"])) + event(b"[DONE]")
    for byte in text.replace(b"\n", b"\r\n"):
        send(writer, bytes([byte]))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def without_usage(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    if not received.body.get("stream"):
        whole(writer, json.dumps({**answer(received), "usage": None}).encode())
        return
    begin(writer)
    for piece in events(received.body["model"])[:-1]:
        send(writer, piece)
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def without_done(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    begin(writer)
    for piece in events(received.body["model"]):
        send(writer, piece)
    writer.write(b"0\r\n\r\n")


async def usage_with_choices(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """A running total in every chunk, and null in the first."""
    model = received.body["model"]
    begin(writer)
    send(writer, event(delta(model, "", usage=None)))
    for made, word in enumerate(WORDS, 1):
        running = {**USAGE, "completion_tokens": made}
        send(writer, event(delta(model, word, usage=running)))
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def lies(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    nonsense = {"prompt_tokens": -3, "completion_tokens": "many", "total_tokens": 1e99}
    whole(writer, json.dumps({**answer(received), "usage": nonsense}).encode())


async def exaggerates(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """More than was asked for and more than fits: a million tokens each way, most of them the dearest kind."""
    usage = {
        "prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "total_tokens": 2_000_000,
        "completion_tokens_details": {"reasoning_tokens": 900_000},
    }  # fmt: skip
    if not received.body.get("stream"):
        whole(writer, json.dumps({**answer(received), "usage": usage}).encode())
        return
    begin(writer)
    for piece in [*events(received.body["model"])[:-1], event(usage_chunk(received.body["model"], usage))]:
        send(writer, piece)
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def prattles(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Goes on for a thousand words, whatever limit it was given."""
    begin(writer)
    for _ in range(1000):
        send(writer, event(delta(received.body["model"], " more")))
        await writer.drain()
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def zero(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    whole(writer, json.dumps({**answer(received), "usage": nothing}).encode())


async def dies_in_stream(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Three words, half an event, and gone."""
    begin(writer)
    for piece in events(received.body["model"])[:4]:
        send(writer, piece)
    send(writer, b'data: {"id":"c1","cho')
    await writer.drain()
    writer.transport.abort()


async def ends_early(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Three words of a body whose end is the connection's, so that HTTP cannot tell that more was to come."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    writer.write(b"".join(events(received.body["model"])[:4]))
    await writer.drain()
    writer.close()


async def error_in_stream(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    begin(writer)
    for piece in events(received.body["model"])[:3]:
        send(writer, piece)
    send(writer, event({"error": {"message": "out of memory at 0xdeadbeef", "code": 500}}))
    writer.write(b"0\r\n\r\n")


async def dies_at_once(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def html(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    whole(writer, b"<html>hello</html>", kind="text/html")


async def reads_text_alone(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """As llama.cpp's server says it of a model without a projector."""
    if not any(isinstance(message["content"], list) for message in received.body["messages"]):
        await plain(upstream, received, writer)
        return
    message = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    error = {"error": {"code": 500, "message": message, "type": "server_error"}}
    whole(writer, json.dumps(error).encode(), "500 Internal Server Error")


async def bad_gateway(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    whole(writer, b"<html>nginx</html>", "502 Bad Gateway", "text/html")


async def error_as_200(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    whole(writer, b'{"error":{"message":"out of memory"}}')


async def too_long(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    whole(writer, b'{"error":{"message":"the context has 8192 tokens","type":"x"}}', "400 Bad Request")


async def unauthorized(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    whole(writer, b'{"error":{"message":"Invalid API Key"}}', "401 Unauthorized")


async def not_http(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def surplus(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """A second answer that nobody asked for, right behind the first."""
    whole(writer, json.dumps(answer(received)).encode())
    whole(writer, b'{"choices":[],"stolen":true}')


async def closes_after(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Promises to keep the connection and closes it."""
    await plain(upstream, received, writer)
    await writer.drain()
    writer.close()


async def until_eof(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """No length: the body ends with the connection, as in HTTP/1.0."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + json.dumps(answer(received)).encode())
    writer.close()


async def waits(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """Three words, then nothing until `release` (or until the caller leaves)."""
    stream = received.body.get("stream")
    if stream:
        begin(writer)
        for piece in events(received.body["model"])[:4]:
            send(writer, piece)
    await writer.drain()
    while not upstream.release.is_set():
        if received.reader.at_eof():
            upstream.left += 1
            return
        await asyncio.sleep(0.005)
    if not stream:
        whole(writer, json.dumps(answer(received)).encode())
        return
    for piece in events(received.body["model"])[4:]:
        send(writer, piece)
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


async def floods(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """As much text as the gateway takes; `left` is set when it stops reading and goes away."""
    begin(writer)
    piece = event(delta(received.body["model"], "x" * 8000))
    try:
        for _ in range(20_000):
            send(writer, piece)
            await writer.drain()
            upstream.received[0].body["sent"] = upstream.received[0].body.get("sent", 0) + len(piece)
    except ConnectionError:
        upstream.left += 1
        raise


async def trickles(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
    """A well-behaved stream with a little time between its events."""
    begin(writer)
    for piece in events(received.body["model"]):
        send(writer, piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    send(writer, event(b"[DONE]"))
    writer.write(b"0\r\n\r\n")


BEHAVIOURS: dict[str, Behaviour] = {
    "byte-by-byte": byte_by_byte,
    "without-usage": without_usage,
    "without-done": without_done,
    "usage-with-choices": usage_with_choices,
    "lies": lies,
    "exaggerates": exaggerates,
    "prattles": prattles,
    "zero": zero,
    "dies-in-stream": dies_in_stream,
    "ends-early": ends_early,
    "error-in-stream": error_in_stream,
    "dies-at-once": dies_at_once,
    "html": html,
    "bad-gateway": bad_gateway,
    "reads-text-alone": reads_text_alone,
    "error-as-200": error_as_200,
    "too-long": too_long,
    "unauthorized": unauthorized,
    "not-http": not_http,
    "surplus": surplus,
    "closes-after": closes_after,
    "until-eof": until_eof,
    "waits": waits,
    "floods": floods,
    "trickles": trickles,
}
