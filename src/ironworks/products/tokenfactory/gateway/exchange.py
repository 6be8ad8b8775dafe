"""One request on its way: to a replica, back to the caller, and into the spool.

The order is the promise: the opening record is written before the replica is asked, and the terminator goes out only
after the closing record, with the true usage, is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from ironworks.products.tokenfactory.gateway.admission import Hold, settle
from ironworks.products.tokenfactory.gateway.answers import (
    count_answer,
    guess_tokens,
    is_answer,
    parse_answer,
    read_usage,
    refusal_of,
)
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.model import NOTHING, Refusal, Usage, unavailable, upstream_failed
from ironworks.products.tokenfactory.gateway.spool import SpoolFull
from ironworks.products.tokenfactory.gateway.stream import DONE, StreamReader, rename_model
from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection
from ironworks.products.tokenfactory.routing import ReplicaState
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection, Request

log = telemetry.logger(__name__)

NEVER = float("inf")
MAX_TRIES = 3
CLIENT_LEFT = 499


class Exchange:
    """One admitted request. Made by `operations.py`, driven by its two connections.

    Args:
        path: the API path, the same at the replica. body: what the replica gets.
        stream: the caller asked for one. show_usage: and for its usage.
    """

    __slots__ = (
        "_answer",
        "_answer_size",
        "_body",
        "_client",
        "_connection",
        "_content_type",
        "_core",
        "_hold",
        "_over",
        "_path",
        "_reader",
        "_record",
        "_request",
        "_sent",
        "_show_usage",
        "_state",
        "_status",
        "_stream",
        "_ticket",
        "_tried",
        "deadline",
    )

    def __init__(
        self,
        core: Core,
        client: ClientConnection,
        request: Request,
        hold: Hold,
        path: str,
        body: bytes,
        stream: bool,
        show_usage: bool,
    ) -> None:
        self._core = core
        self._client = client
        self._request = request
        self._hold = hold
        self._path = path
        self._body = body
        self._stream = stream
        self._show_usage = show_usage
        self._record = self._begin_record()
        self._tried: tuple[str, ...] = ()
        self._state: ReplicaState | None = None
        self._connection: UpstreamConnection | None = None
        self._reader: StreamReader | None = None
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._content_type = b""
        self._status = 0
        self._sent = False
        self._over = False
        self.deadline = NEVER

    def begin(self) -> None:
        """Open it in the spool and ask a replica; raises Refusal where that cannot be, with nothing left behind."""
        state = self._pick()
        try:
            self._ticket = self._core.spool.open((*self._record, guess_tokens(len(self._body))))
        except SpoolFull:
            raise unavailable("overloaded", "the gateway is serving as many requests as it may") from None
        except OSError:
            raise unavailable("spool_unavailable", "usage cannot be recorded now, so nothing is served", 5) from None
        self._core.exchanges.add(self)
        self._ask(state)

    def _begin_record(self) -> tuple[object, ...]:
        """The first fields of the UsageRecord."""
        hold, request = self._hold, self._request
        key, target = hold.key, hold.target
        return (
            request.id,
            request.client_id,
            key.uid,
            key.scope,
            target.uid,
            target.scope,
            target.name,
            target.model,
            hold.model,
            self._path,
            self._stream,
            time.time(),
        )

    # towards the replica

    def _pick(self) -> ReplicaState:
        state = self._core.balancer.pick(self._hold.target, self._core.now(), self._tried)
        if state is None:
            raise unavailable("model_not_ready", "the model has no replica that is ready; try again shortly", 2)
        return state

    def _ask(self, state: ReplicaState, *, fresh: bool = False) -> None:
        self._state = state
        state.in_flight += 1
        self._core.upstreams.connect(state, self, fresh=fresh)

    def _leave_replica(self) -> None:
        if self._state is not None:
            self._state.in_flight -= 1
            self._state = None

    def on_connected(self, connection: UpstreamConnection) -> None:
        if self._over:
            connection.abort()
            return
        assert self._state is not None
        self._connection = connection
        self._sent = True
        self.deadline = self._core.now() + self._core.settings.first_byte_timeout
        head = self._core.request_head(self._state, self._path, self._stream)
        connection.write(
            b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (head, self._request.id_bytes, len(self._body), self._body)
        )

    def on_unreachable(self, problem: str) -> None:
        if not self._over:
            self._replica_failed(problem, unreachable=True)

    def on_lost(self, problem: str, *, answered: bool, reused: bool) -> None:
        self._connection = None
        if reused and not answered and self._state is not None:
            # the replica closed an idle connection just as it was used: no failure, and it never saw the request
            state = self._state
            self._leave_replica()
            self._ask(state, fresh=True)
        elif answered:
            self._state_failed(unreachable=False)
            self._fail(upstream_failed(problem))
        else:
            self._replica_failed(problem, unreachable=False)

    def _state_failed(self, *, unreachable: bool) -> None:
        if self._state is not None:
            self._tried = (*self._tried, self._state.replica.address)
            self._state.failed(self._core.now(), unreachable=unreachable)
            self._leave_replica()

    def _replica_failed(self, problem: str, *, unreachable: bool) -> None:
        """Nothing came back: ask another replica, if there is one."""
        self._state_failed(unreachable=unreachable)
        if len(self._tried) < MAX_TRIES:
            try:
                state = self._pick()
            except Refusal:
                pass
            else:
                self._core.metrics.retries += 1
                self._ask(state)
                return
        self._fail(upstream_failed(problem, 503))

    # from the replica

    def on_head(self, status: int, content_type: bytes) -> None:
        self._status = status
        self._content_type = content_type
        self._touch()
        if status == 200 and self._stream and content_type.startswith(b"text/event-stream"):
            self._reader = StreamReader(self._hold.model, self._show_usage)
            self._client.begin_stream(self._request)

    def on_data(self, pieces: list[bytes]) -> None:
        self._touch()
        reader = self._reader
        if reader is None:
            self._collect(pieces)
            return
        before = reader.tokens
        shown = reader.feed(pieces)
        if reader.tokens != before:
            self._core.spool.count(self._ticket, reader.tokens)
            if not before:
                self._core.metrics.first_byte(self._path, self._core.now() - self._request.began)
        if shown:
            self._client.write_stream(shown)
        if reader.fault is not None:
            self._fail(reader.fault)
        elif reader.done:
            self._finish_stream(reader)

    def on_end(self) -> None:
        self._connection = None
        if self._reader is None:
            self._finish_body()
            return
        if shown := self._reader.finish():
            self._client.write_stream(shown)
        if self._reader.fault is not None:
            self._fail(self._reader.fault)
        else:
            self._finish_stream(self._reader)

    def _touch(self) -> None:
        self.deadline = self._core.now() + self._core.settings.stream_timeout

    def _collect(self, pieces: list[bytes]) -> None:
        self._answer += pieces
        self._answer_size += sum(map(len, pieces))
        if self._answer_size > self._core.settings.max_response:
            self._fail(upstream_failed("the model server's answer is too large"))

    def pause(self) -> None:
        """The caller reads slower than the replica writes."""
        if self._connection is not None:
            self._connection.pause()
            self.deadline = NEVER

    def resume(self) -> None:
        """The caller has caught up."""
        if self._connection is not None:
            self._connection.resume()
            self._touch()

    # the end

    def _finish_stream(self, reader: StreamReader) -> None:
        self._close(200, reader.usage or self._counted(), lambda: self._client.end_stream(DONE))

    def _finish_body(self) -> None:
        body = b"".join(self._answer)
        answer = parse_answer(body)
        if self._status != 200:
            if self._status >= 500:
                self._state_failed(unreachable=False)
            self._fail(refusal_of(self._status, answer))
        elif answer is None or not is_answer(answer):
            self._fail(upstream_failed("the model server's answer is not what was asked for"))
        else:
            usage = read_usage(answer.get("usage")) or count_answer(answer, len(self._body))
            if answer.get("model") != self._hold.model:
                body = rename_model(body, b'"model":' + orjson.dumps(self._hold.model))
            self._close(200, usage, lambda: self._client.respond(self._request, 200, body))

    def _counted(self) -> Usage:
        """Our own count of what was produced, for a request whose upstream never gave its figure."""
        if not self._sent:
            return NOTHING
        made = self._reader.tokens if self._reader else 0
        return Usage(guess_tokens(len(self._body)), 0, made, counted=True)

    def _fail(self, refusal: Refusal) -> None:
        """The upstream did not deliver. A stream is billed as far as it got; anything else is free."""
        if self._over:
            return
        self._drop_upstream()
        if self._reader is None:
            self._close(refusal.status, NOTHING, lambda: self._client.refuse(self._request, refusal))
        else:
            usage = self._reader.usage or (self._counted() if self._reader.tokens else NOTHING)
            self._close(refusal.status, usage, lambda: self._client.break_stream(refusal))

    def on_client_lost(self, status: int = CLIENT_LEFT) -> None:
        """Nobody reads any more: stop the replica, bill what was produced."""
        if self._over:
            return
        self._drop_upstream()
        told = self._reader.usage if self._reader else None
        self._close(status, told or self._counted(), lambda: None)

    def on_deadline(self) -> None:
        """The replica has been silent for too long."""
        self._state_failed(unreachable=False)
        self._fail(upstream_failed("the model server took too long", 504))

    def _drop_upstream(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _close(self, status: int, usage: Usage, tell: Callable[[], None]) -> None:
        """Write the closing record; `tell` the caller once it is on disk."""
        self._over = True
        self.deadline = NEVER
        if self._connection is not None:
            self._connection.leave()
            self._connection = None
        if self._state is not None:
            if status == 200:
                self._state.succeeded()
            self._leave_replica()
        settle(self._core.admission, self._hold, usage)
        fields = (*self._record, time.time(), status, *usage)
        self._core.spool.close(self._ticket, fields, lambda problem: self._closed(problem, status, usage, tell))

    def _closed(self, problem: OSError | None, status: int, usage: Usage, tell: Callable[[], None]) -> None:
        core = self._core
        core.exchanges.discard(self)
        core.metrics.answered(self._path, status, core.now() - self._request.began, usage)
        if problem is None:
            tell()
            return
        log.error("usage cannot be put on disk", request_id=self._request.id, problem=repr(problem))
        refusal = unavailable("spool_unavailable", "usage cannot be recorded now, so the answer is withheld", 5)
        if self._reader is None:
            self._client.refuse(self._request, refusal)
        else:
            self._client.break_stream(refusal)
