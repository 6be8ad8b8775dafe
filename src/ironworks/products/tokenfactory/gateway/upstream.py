"""Connections to replicas: HTTP/1.1 by llhttp, kept alive, one exchange at a time on each.

A connection goes back to the pool only after its parser has seen the end of the answer and not a byte more; whatever
comes unasked closes it, so no answer can be taken for another request's.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

import httptools

from ironworks.products.tokenfactory.gateway.model import GatewaySettings
from ironworks.products.tokenfactory.routing import ReplicaState
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

IDLE_SECONDS = 4.0
"""Shorter than what common servers allow (uvicorn and llama.cpp: 5 s), so that they seldom close first."""
MAX_IDLE = 256
DRAIN_SECONDS = 1.0
"""How long an answer whose terminator was read may take to end on the wire before the connection is given up."""
MAX_ANSWER_HEAD = 64 * 1024


class AnswerSink(Protocol):
    """Who asked: told of the answer as it comes. After `on_end` or `on_lost` nothing more is said."""

    def on_connected(self, connection: UpstreamConnection) -> None:
        """A connection is there: write the request."""

    def on_unreachable(self, problem: str) -> None:
        """No connection could be made."""

    def on_head(self, status: int, content_type: bytes) -> None:
        """The answer's status and headers are complete."""

    def on_data(self, pieces: list[bytes]) -> None:
        """A part of its body, cut as the replica cut it."""

    def on_end(self) -> None:
        """It is complete."""

    def on_lost(self, problem: str, *, answered: bool, reused: bool) -> None:
        """The connection broke; `answered` if any byte had come, `reused` if it had served before."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to one replica."""

    def __init__(self, pool: UpstreamPool, state: ReplicaState) -> None:
        self.state = state
        self.deadline = float("inf")
        self._pool = pool
        self._transport: asyncio.Transport
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # no frame of ours per chunk; `_deliver` sorts out what belongs to whom
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._served = 0
        self._open = True
        self._clear()

    def _clear(self) -> None:
        self._answered = False
        self._complete = False
        self._reusable = False
        self._surplus = 0
        self._awaiting = False
        self._framed = False
        self._status = 0
        self._content_type = b""
        self._head_size = 0

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self._open and not self._transport.is_closing()

    def begin(self, sink: AnswerSink) -> None:
        """`sink` has this connection until its answer ended."""
        self._clear()
        self._sink = sink
        self._awaiting = True
        sink.on_connected(self)

    def write(self, data: bytes) -> None:
        """Send the request."""
        self._transport.write(data)

    def pause(self) -> None:
        """Read no more until `resume`: the caller is slower than the replica."""
        if self._open:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._open:
            self._transport.resume_reading()

    def leave(self) -> None:
        """The sink has all it wants; the rest of the answer may still come, and is dropped."""
        self._sink = None
        self.deadline = self._pool.now() + DRAIN_SECONDS

    def abort(self) -> None:
        """Close at once: the replica sees that nobody waits any more."""
        self._sink = None
        self._open = False
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pool.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if not self._awaiting:
            self._lose("the model server spoke without being asked")
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as problem:
            self._deliver()
            self._lose(f"the model server's answer is not HTTP: {problem}")
            return
        if self._pieces:
            self._deliver()
        if not self._status:
            self._head_size += len(data)
        if self._head_size > MAX_ANSWER_HEAD:
            self._lose("the model server's headers are too large")
        elif self._complete:
            self._end(reusable=self._reusable)

    def _deliver(self) -> None:
        """Hand on all that one read brought at once: a stream's events may be chunks of a few bytes each."""
        pieces = self._pieces[: self._surplus] if self._complete else self._pieces.copy()
        self._pieces.clear()
        if pieces and self._sink is not None:
            self._sink.on_data(pieces)

    def eof_received(self) -> bool:
        if self._awaiting and self._status and not self._framed:
            self._end(reusable=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.connections.discard(self)
        self._open = False
        self._lose("the model server closed the connection")

    # httptools

    def on_message_begin(self) -> None:
        self._reusable = False if self._complete else self._reusable

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self._content_type = value.lower()
        elif name == b"content-length" or name == b"transfer-encoding":
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._complete:
            return
        self._status = status
        if self._sink is not None:
            self._sink.on_head(status, self._content_type)

    def on_message_complete(self) -> None:
        if self._status and not self._complete:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()
            self._surplus = len(self._pieces)

    def _end(self, *, reusable: bool) -> None:
        sink, self._sink = self._sink, None
        self._awaiting = False
        self._served += 1
        if reusable and self.usable:
            self._pool.keep(self)
        else:
            self._open = False
            self._transport.close()
        if sink is not None:
            sink.on_end()

    def _lose(self, problem: str) -> None:
        sink, self._sink = self._sink, None
        self._awaiting = self._open = False
        if not self._transport.is_closing():
            self._transport.abort()
        if sink is not None:
            sink.on_lost(problem, answered=self._answered, reused=self._served > 0)


class UpstreamPool:
    """Idle connections by address, last used first, and the making of new ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: GatewaySettings) -> None:
        self._loop = loop
        self._settings = settings
        self._idle: dict[str, list[UpstreamConnection]] = {}
        self._connecting: set[asyncio.Task[Any]] = set()
        self.connections: set[UpstreamConnection] = set()
        self.now = loop.time

    def connect(self, state: ReplicaState, sink: AnswerSink, *, fresh: bool = False) -> None:
        """Give `sink` a connection to the replica: an idle one at once (unless `fresh`), or a new one soon."""
        idle = self._idle.get(state.replica.address)
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable:
                connection.deadline = float("inf")
                connection.begin(sink)
                return
        task = self._loop.create_task(self._open(state, sink))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def keep(self, connection: UpstreamConnection) -> None:
        """`connection` is free."""
        idle = self._idle.setdefault(connection.state.replica.address, [])
        if len(idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.deadline = self.now() + IDLE_SECONDS
        idle.append(connection)

    def sweep(self, now: float) -> None:
        """Close what has been idle, or ending, for too long."""
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.abort()
        for address in list(self._idle):
            left = [connection for connection in self._idle[address] if connection.usable]
            if left:
                self._idle[address] = left
            else:
                del self._idle[address]

    def close(self) -> None:
        """Close everything."""
        for task in self._connecting:
            task.cancel()
        for connection in list(self.connections):
            connection.abort()

    async def _open(self, state: ReplicaState, sink: AnswerSink) -> None:
        host, _, port = state.replica.address.rpartition(":")
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self, state), host.strip("[]"), int(port)
                )
        except (OSError, TimeoutError, ValueError) as problem:
            sink.on_unreachable(f"the model server cannot be reached: {type(problem).__name__}")
        else:
            connection.begin(sink)
