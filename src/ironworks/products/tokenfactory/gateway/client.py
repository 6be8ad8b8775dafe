"""One caller's connection: HTTP/1.1 by llhttp in its strict mode, one request at a time, the next ones waiting.

llhttp refuses what is ambiguous (Content-Length beside Transfer-Encoding, duplicates of either, folded headers, bare
line feeds); this adds what it leaves open: duplicate Host, Authorization or Content-Type, sizes and times. A head that
comes again byte for byte is not parsed again (`heads.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import httptools

from ironworks.products.tokenfactory.gateway import operations, wire
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.ending import NEVER
from ironworks.products.tokenfactory.gateway.exchange import Exchange
from ironworks.products.tokenfactory.gateway.heads import KnownRequest, Request, learn_request, without_upgrade
from ironworks.products.tokenfactory.gateway.model import Refusal, body_too_large, broken, head_too_large, malformed
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

MAX_HEADERS: Final = 100
LINGER: Final = 2.0
"""How long what still comes is read and dropped after a refusal, so that the refusal is not lost to a reset."""
ON_ITS_WAY: Final = 1.0
"""How soon after connecting, or after an answer, a request is sure to come if one does, on a machine that is busy."""
WRITE_HIGH: Final = 256 * 1024
LESSONS: Final = 32
"""How many heads of one connection are remembered, each in the place of the last: some callers' are never the same."""
_SINGLE: Final = frozenset({b"host", b"authorization", b"content-type", b"content-length", b"expect", b"x-request-id"})


class ClientConnection(asyncio.Protocol):
    """Parses requests, hands each to `operations`, writes what comes back."""

    def __init__(self, core: Core) -> None:
        self.deadline = NEVER
        self.address = ""
        self._core = core
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._incoming: Request | None = None
        self._known: KnownRequest | None = None
        self._parsed: Request | None = None
        self._lessons = LESSONS
        self._unparsed = 0
        self._head_size = 0
        self._in_head = True
        self._deaf = False
        self._waiting: deque[Request] = deque()
        self._busy = False
        self._pumping = False
        self._paused_reading = False
        self._paused_writing = False
        self._exchange: Exchange | None = None
        self._streaming: Request | None = None
        self._chunked = True
        self._unsent = b""
        self._last = b""
        self._closed = False
        self._expected_until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        self._core.clients.add(self)
        self.deadline = self._core.now() + self._core.settings.head_timeout
        self._expected_until = self._core.now() + ON_ITS_WAY

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        fresh = self._incoming is None
        known = self._known
        if known is not None and fresh and not self._busy and not self._paused_writing:
            body = known.frame.body_of(data)
            if body is not None and len(body) <= self._core.settings.max_body:
                self._dispatch(known.again(self._core.ids.new(), self._core.now(), body))
                return
        self._parse(data)
        if fresh and self._parsed is not None and self._incoming is None:
            self._learn(data, self._parsed)

    def _learn(self, data: bytes, request: Request) -> None:
        self._parsed = None
        if self._lessons and not self._deaf:
            self._lessons -= 1
            self._known = learn_request(data, request)

    def _parse(self, data: bytes) -> None:
        self._parsed = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as problem:
            log.error("a request broke the gateway", problem=repr(problem.__context__ or problem))
            self._transport.abort()
            return
        except httptools.HttpParserError as problem:
            self._reject(malformed(f"the request is not valid HTTP/1.1: {problem}"))
            return
        if self._in_head and self._incoming is not None:
            # the read that began the head may hold earlier requests too: count from the next one
            self._unparsed = 0 if self._unparsed < 0 else self._unparsed + len(data)
            if self._unparsed > self._core.settings.max_head:
                self._reject(head_too_large())

    def pause_writing(self) -> None:
        self._paused_writing = True
        if self._exchange is not None:
            self._exchange.pause()
        self.deadline = self._core.now() + self._core.settings.send_timeout

    def resume_writing(self) -> None:
        self._paused_writing = False
        self.deadline = NEVER if self._busy else self._core.now() + self._core.settings.idle_timeout
        if self._exchange is not None:
            self._exchange.resume()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = self._deaf = True
        self._core.clients.discard(self)
        self._waiting.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_client_lost()

    def on_deadline(self) -> None:
        """Something took too long: a request to arrive, the next one to come, the caller to read."""
        if self._busy or self._deaf or self._incoming is None:
            self._transport.abort() if self._busy or self._paused_writing else self._transport.close()
            return
        self._reject(Refusal(408, "request_timeout", "the request took too long to arrive"))

    def on_message_begin(self) -> None:
        core = self._core
        began = core.now()
        self._incoming = Request(core.ids.new(), began)
        self._in_head = True
        self._head_size = 0
        self._unparsed = -1
        if not self._busy:
            self.deadline = began + core.settings.head_timeout

    def on_url(self, url: bytes) -> None:
        assert self._incoming is not None
        self._incoming.url += url
        self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._incoming
        if request is None or not self._in_head:
            return  # a trailer: nobody may slip a header in after the checks
        name = name.lower()
        headers = request.headers
        if name in headers:
            if name in _SINGLE:
                request.refusal = request.refusal or malformed(f"the header {name.decode('latin-1')!r} is sent twice")
            value = headers[name] + b", " + value
        headers[name] = value
        self._head_size += len(name) + len(value) + 4  # a repeated header counts anew with all that came before
        if len(headers) > MAX_HEADERS or self._head_size > self._core.settings.max_head:
            request.refusal = request.refusal or head_too_large()

    def on_headers_complete(self) -> None:
        request = self._incoming
        assert request is not None
        self._in_head = False
        request.method = self._parser.get_method()
        version = self._parser.get_http_version()
        request.http10 = version == "1.0"
        if version not in ("1.1", "1.0"):
            request.refusal = Refusal(505, "http_version_not_supported", "speak HTTP/1.1")
        elif self._head_size > self._core.settings.max_head:
            request.refusal = head_too_large()
        elif b"host" not in request.headers and not request.http10:
            request.refusal = request.refusal or malformed("the Host header is missing")
        try:
            if request.refusal is not None:
                raise request.refusal
            has_body = operations.check_head(self._core, request)
        except Refusal as refusal:
            self._reject(refusal)
            return
        if has_body and not self._busy:
            self.deadline = self._core.now() + self._core.settings.body_timeout
            if b"expect" in request.headers:
                self._transport.write(wire.CONTINUE)

    def on_body(self, data: bytes) -> None:
        request = self._incoming
        if request is None or self._deaf:
            return
        if not request.body:
            request.body = data
        else:
            if isinstance(request.body, bytes):
                request.body = bytearray(request.body)
            request.body += data
        if len(request.body) > self._core.settings.max_body:
            self._reject(body_too_large(self._core.settings.max_body))

    def on_message_complete(self) -> None:
        request = self._incoming
        if request is None or self._deaf or self._parser.should_upgrade():
            return
        self._incoming = None
        self._in_head = True
        request.keep_alive = self._parser.should_keep_alive()
        if not request.keep_alive:
            self._known = None  # llhttp takes nothing more
        self._parsed = request
        self._accept(request)

    # one request after the other

    def _accept(self, request: Request) -> None:
        if not self._busy and not self._waiting and not self._paused_writing:
            self._dispatch(request)
            return
        self._waiting.append(request)
        if not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    def _dispatch(self, request: Request) -> None:
        self._busy = True
        self.deadline = NEVER
        try:
            if request.refusal is not None:
                raise request.refusal
            self._exchange = operations.handle(self._core, self, request)
        except Refusal as refusal:
            self.refuse_later(request, refusal)
        except Exception:
            log.exception("a request broke the gateway", request_id=request.id)
            self.refuse(request, broken())

    def go_on(self, request: Request, serve: Callable[[], Exchange]) -> None:
        """What a request had to wait for, before it could be admitted, is there."""
        if self._closed:
            return
        try:
            self._exchange = serve()
        except Refusal as refusal:
            self.refuse_later(request, refusal)

    def refuse_later(self, request: Request, refusal: Refusal) -> None:
        """It is not admitted, or was waited for in vain."""
        if not self._closed:
            self.refuse(request, refusal)
            operations.note_refusal(self._core, self, request, refusal)

    def _next(self, keep_alive: bool) -> None:
        """The answer is written: close, or go on to what is waiting."""
        self._exchange = None
        self._busy = False
        if not keep_alive or self._core.draining:
            self._finish()
            return
        now = self._core.now()
        self.deadline = now + self._core.settings.idle_timeout
        self._expected_until = now + ON_ITS_WAY
        if self._waiting or self._paused_reading:
            self._pump()

    def _pump(self) -> None:
        """Serve what is waiting, by a loop and not by recursion; then read on."""
        if self._pumping:
            return
        self._pumping = True
        while self._waiting and not self._busy and not self._paused_writing and not self._closed:
            self._dispatch(self._waiting.popleft())
        self._pumping = False
        if self._paused_reading and not self._waiting and not self._busy and not self._closed:
            self._paused_reading = False
            self._transport.resume_reading()

    def _reject(self, refusal: Refusal) -> None:
        """Nothing more is read from this connection; the refusal is told after the answers that are still due."""
        if self._deaf:
            return
        self._deaf = True
        request, self._incoming = self._incoming or Request(self._core.ids.new(), self._core.now()), None
        request.refusal = refusal
        request.keep_alive, request.body = False, b""
        self._accept(request)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Serve a request that offers another protocol as if it had not: llhttp stops there, so it is parsed anew.

        (Java's client offers h2c with its first request; RFC 9110, 7.8 lets a server ignore that.)
        """
        if self._deaf:
            return
        request, self._incoming = self._incoming, None
        if request is None or request.method == b"CONNECT":
            self._reject(Refusal(405, "method_not_allowed", "this is no tunnel"))
            return
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(without_upgrade(request) + rest)

    def _finish(self) -> None:
        if self._closed:
            return
        self._waiting.clear()
        if not self._deaf:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._paused_reading:
            self._paused_reading = False
            self._transport.resume_reading()
        self.deadline = self._core.now() + LINGER

    def close_if_idle(self) -> None:
        """The process is stopping: connections without a request end now, others after their answer.

        Who has just connected, or just had an answer, has a request on its way; he is not to lose it.
        """
        if not self._busy and self._incoming is None and self._core.now() >= self._expected_until:
            self._transport.close()

    def abort(self) -> None:
        """Cut the caller off."""
        self._transport.abort()

    # answers

    def _head(self, request: Request, status: int, content_type: bytes) -> bytes:
        elapsed = int((self._core.now() - request.began) * 1000)
        return wire.answer_head(request, status, content_type, self._core.date, elapsed, closing=self._core.draining)

    def respond(
        self, request: Request, status: int, body: bytes, content_type: bytes = wire.JSON, extra: bytes = b""
    ) -> None:
        """A whole answer; `extra` are further header lines."""
        if self._closed:
            return
        head = self._head(request, status, content_type)
        shown = body if request.method != b"HEAD" else b""
        self._transport.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, extra, len(body), shown))
        self._next(request.keep_alive)

    def refuse(self, request: Request, refusal: Refusal) -> None:
        """An error, in the shape of the API that was called."""
        body = operations.show_refusal(request, refusal)
        self.respond(request, refusal.status, body, extra=wire.refusal_lines(refusal))

    def begin_stream(self, request: Request, extra: bytes = b"", content_type: bytes = wire.EVENTS) -> None:
        """The head of what comes by and by; chunked, or ended by closing for HTTP/1.0. `extra` are header lines."""
        self._chunked = not request.http10
        request.keep_alive = request.keep_alive and self._chunked
        self._streaming = request
        head = self._head(request, 200, content_type)
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._unsent = b"%b%bcache-control: no-cache\r\n%b\r\n" % (head, extra, framing)
        self._last = b""
        self._core.loop.call_soon(self._send)

    def _send(self, data: bytes = b"") -> None:
        """What belongs to a stream; its head goes with events that came in the same turn of the loop."""
        data, self._unsent = self._unsent + data, b""
        if data and not self._closed:
            self._transport.write(data)

    def write_stream(self, data: bytes) -> None:
        """Events, as they come."""
        self._send(wire.chunk(data) if self._chunked else data)

    def keep_last(self, data: bytes) -> None:
        """Events that go in one packet with the end of the stream, which is about to come."""
        self._last, self._unsent = self._unsent + (wire.chunk(data) if self._chunked else data), b""

    def end_stream(self, data: bytes) -> None:
        """The last event, if there is one, and the terminator."""
        if not self._closed:
            self._send(self._last + (wire.last_chunks(data) if self._chunked else data))
            self._next(self._streaming is not None and self._streaming.keep_alive)

    def break_stream(self, refusal: Refusal) -> None:
        """The stream cannot be finished: say why, and close without the terminator, lest anybody take it for whole."""
        if not self._closed and self._streaming is not None:
            self._send(self._last)
            self.write_stream(operations.show_break(self._streaming, refusal))
            self._exchange = None
            self._busy = False
            self._waiting.clear()
            self._transport.close()
