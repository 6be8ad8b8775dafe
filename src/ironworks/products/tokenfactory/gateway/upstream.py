"""Connections to replicas: HTTP/1.1 by llhttp, kept alive, one exchange at a time on each.

A connection goes back to the pool only after its parser has seen the end of the answer and not a byte more; whatever
comes unasked closes it, so no answer can be taken for another request's. An answer's head that comes again byte for
byte is not parsed again (`heads.py`).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, TypeAlias, cast

import httptools

from ironworks.products.tokenfactory.gateway.dialing import Forbidden, dial, upstream_tls
from ironworks.products.tokenfactory.gateway.heads import KnownAnswer, learn_answer
from ironworks.products.tokenfactory.gateway.model import GatewaySettings
from ironworks.products.tokenfactory.routing import Replica, ReplicaState
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

NEVER: Final = float("inf")
IDLE_SECONDS: Final = 4.0
"""Shorter than what common servers allow (uvicorn and llama.cpp: 5 s), so that they seldom close first."""
MAX_IDLE: Final = 256
DRAIN_SECONDS: Final = 1.0
"""How long an answer whose terminator was read may take to end on the wire before the connection is given up."""
MAX_ANSWER_HEAD: Final = 64 * 1024
LESSONS: Final = 16
"""How many answers' heads are remembered between two sweeps, each in the place of the last."""


class AnswerSink(Protocol):
    """Who asked: told of the answer as it comes. After `on_end` or `on_lost` nothing more is said."""

    def on_connected(self, connection: UpstreamConnection) -> None:
        """A connection is there: write the request."""

    def on_unreachable(self, problem: str) -> None:
        """No connection could be made."""

    def on_head(self, status: int, content_type: bytes) -> None:
        """The answer's status and headers are complete."""

    def on_answer(self, content_type: bytes, body: bytes) -> None:
        """A whole 200 answer at once, instead of the three calls that tell it in parts."""

    def on_data(self, pieces: list[bytes]) -> None:
        """A part of its body, cut as the replica cut it."""

    def on_end(self) -> None:
        """It is complete."""

    def on_lost(self, problem: str, *, answered: bool, reused: bool) -> None:
        """The connection broke; `answered` if any byte had come, `reused` if it had served before."""


class Peer:
    """What is kept for one address: its idle connections, last used first, and how its answers begin."""

    __slots__ = ("idle", "known", "lessons", "opening")

    def __init__(self) -> None:
        self.idle: list[UpstreamConnection] = []
        self.known: KnownAnswer | None = None
        self.lessons = LESSONS
        self.opening = 0


class UpstreamConnection(asyncio.Protocol):
    """One connection to one replica."""

    def __init__(self, pool: UpstreamPool, peer: Peer) -> None:
        self.peer = peer
        self.deadline = NEVER
        self._pool = pool
        self._transport: asyncio.Transport
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # no frame of ours per chunk; `_deliver` sorts out what belongs to whom
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._unsent = b""
        self._served = 0
        self._open = True
        self._clear()

    def _clear(self) -> None:
        self._answered = False
        self._begun = False
        self._complete = False
        self._reusable = False
        self._surplus = 0
        self._awaiting = False
        self._framed = False
        self._chunked = False
        self._whole = False
        self._status = 0
        self.retry_after = 0.0
        self._content_type = b""
        self._head_size = 0

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self._open and not self._transport.is_closing()

    def begin(self, sink: AnswerSink) -> None:
        """`sink` has this connection until its answer ended."""
        if self._begun:
            self._clear()
        self._answered = False
        self._sink = sink
        self._awaiting = True
        sink.on_connected(self)

    def write(self, data: bytes) -> None:
        """Send the request, with those of all others that come in this turn of the loop."""
        self._unsent = data
        self._pool.send(self)

    def send(self) -> None:
        """Now."""
        data, self._unsent = self._unsent, b""
        if self.usable:
            self._transport.write(data)

    @property
    def sent(self) -> bool:
        """Whether the request is on its way, and not only about to be."""
        return not self._unsent

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
        fresh, self._answered = not self._answered, True
        known = self.peer.known
        if known is not None and fresh:
            body = known.frame.body_of(data)
            if body is not None and self._sink is not None:
                self._end_at_once(self._sink, known.content_type, body)
                return
        self._parse(data)
        if self._whole and fresh:
            self._learn(data)

    def _end_at_once(self, sink: AnswerSink, content_type: bytes, body: bytes) -> None:
        """The answer is one whose head is known; the parser never hears of it and stays where it was."""
        self._sink = None
        self._awaiting = False
        self._served += 1
        self._pool.keep(self)
        sink.on_answer(content_type, body)

    def _learn(self, data: bytes) -> None:
        self._whole = False
        if self.peer.lessons:
            self.peer.lessons -= 1
            self.peer.known = learn_answer(data, self._content_type)

    def _parse(self, data: bytes) -> None:
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._lose("the model server changed the protocol without being asked")
            return
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
            self._whole = self._reusable and self._status == 200 and not self._chunked
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
        elif name == b"retry-after":
            self.retry_after = read_retry_after(value)
        elif name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            self._framed = self._chunked = True

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


def read_retry_after(value: bytes) -> float:
    """Seconds to leave an upstream alone, by its Retry-After (RFC 9110, 10.2.3); 0 for what cannot be read."""
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return 0.0
    return max(0.0, until.timestamp() - time.time())


_Key: TypeAlias = tuple[str, bool, bool]


class UpstreamPool:
    """Idle connections by address and the making of new ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: GatewaySettings) -> None:
        self._loop = loop
        self._settings = settings
        self._peers: dict[_Key, Peer] = {}
        self._connecting: set[asyncio.Task[Any]] = set()
        self.connections: set[UpstreamConnection] = set()
        self.now = loop.time
        self._tls = upstream_tls()
        self._senders: list[UpstreamConnection] = []

    def connect(self, state: ReplicaState, sink: AnswerSink, *, fresh: bool = False) -> None:
        """Give `sink` a connection to the replica: an idle one at once (unless `fresh`), or a new one soon."""
        replica = state.replica
        peer = self._peers.get((replica.address, replica.tls, replica.guarded))
        if peer is None:
            peer = self._peers[replica.address, replica.tls, replica.guarded] = Peer()
        idle = peer.idle
        while idle and not fresh:
            connection = idle.pop()
            if connection.usable:
                connection.deadline = NEVER
                connection.begin(sink)
                return
        peer.opening += 1
        task = self._loop.create_task(self._open(replica, peer, sink))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def keep(self, connection: UpstreamConnection) -> None:
        """`connection` is free."""
        idle = connection.peer.idle
        if len(idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.deadline = self.now() + IDLE_SECONDS
        idle.append(connection)

    def send(self, connection: UpstreamConnection) -> None:
        """Have it send at the end of this turn of the loop: an upstream is woken once for many requests."""
        if not self._senders:
            self._loop.call_soon(self._send_all)
        self._senders.append(connection)

    def _send_all(self) -> None:
        senders, self._senders = self._senders, []
        for connection in senders:
            connection.send()

    def sweep(self, now: float) -> None:
        """Close what has been idle, or ending, for too long."""
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.abort()
        busy = {connection.peer for connection in self.connections}
        for key, peer in list(self._peers.items()):
            peer.idle = [connection for connection in peer.idle if connection.usable]
            peer.lessons = LESSONS
            if peer not in busy and not peer.opening:
                del self._peers[key]

    def close(self) -> None:
        """Close everything."""
        for task in self._connecting:
            task.cancel()
        for connection in list(self.connections):
            connection.abort()

    async def _open(self, replica: Replica, peer: Peer, sink: AnswerSink) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                connection = await dial(
                    self._loop,
                    replica,
                    self._settings.upstream_addresses,
                    lambda: UpstreamConnection(self, peer),
                    self._tls,
                )
        except Forbidden:
            sink.on_unreachable("the model server's address is not one that upstreams may have")
        except ssl.SSLCertVerificationError:
            sink.on_unreachable("the model server's certificate cannot be trusted")
        except (OSError, TimeoutError, ValueError) as problem:
            sink.on_unreachable(f"the model server cannot be reached: {type(problem).__name__}")
        else:
            connection.begin(sink)
        finally:
            peer.opening -= 1
