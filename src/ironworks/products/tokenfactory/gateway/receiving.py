"""What comes back from an upstream: read, counted, shown to the caller as it comes, and judged at its end."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from ironworks.products.tokenfactory.gateway.answers import conceal, parse_answer, refusal_of, status_of
from ironworks.products.tokenfactory.gateway.cache import Kept
from ironworks.products.tokenfactory.gateway.counting import generated_text
from ironworks.products.tokenfactory.gateway.dialects import Answer, Reader
from ironworks.products.tokenfactory.gateway.ending import NEVER, Ending, clock, show_cost
from ironworks.products.tokenfactory.gateway.model import NOTHING, Call, Refusal, upstream_failed
from ironworks.products.tokenfactory.gateway.paying import SPLIT

_ELSEWHERE: Final = frozenset({429, 502, 503, 529})
"""Statuses by which an upstream says that it did not do the work: another may."""
_ASKS_FOR_REST: Final = frozenset({429, 503})
"""Statuses whose Retry-After is kept to."""
_NO_SUCH_PATH: Final = frozenset({404, 405, 501})
"""Statuses by which an upstream says that it does not offer the operation."""


class Receiving(Ending):
    """An admitted request and the answer of the upstream that it was sent to."""

    __slots__ = ()

    @abstractmethod
    def _try_elsewhere(self, problem: str) -> bool:
        """Whether the request is now on its way to another upstream. `problem`: why it is not at this one."""

    def on_head(self, status: int, content_type: bytes) -> None:
        self._status = status
        self._content_type = content_type
        self._touch()
        if status == 200 and self.call.stream and content_type.startswith(b"text/event-stream"):
            self._reader = self._adapter.reader(self.call)
            assert self.pick is not None
            self._longest = self.bill.longest(self.pick.leg)
            if not self._streaming:
                self._start_stream(self._about())
        elif status in _ASKS_FOR_REST and self._connection is not None and self._connection.retry_after:
            self._rest(self._connection.retry_after)
        elif status == 200:
            self._note_latency()

    def on_answer(self, content_type: bytes, body: bytes) -> None:
        self._connection = None
        if not self.call.stream and len(body) <= self._core.settings.max_response:
            self._status = 200
            self._content_type = content_type
            self.ended_at = self._note_latency()
            self._answer = [body]
            self._finish_body()
            return
        self.on_head(200, content_type)
        self.on_data([body])
        if not self._over:
            self.on_end()

    def on_data(self, pieces: list[bytes]) -> None:
        self._touch()
        reader = self._reader
        if reader is None:
            self._collect(pieces)
            return
        before = reader.tokens
        shown = reader.feed(pieces)
        if reader.tokens != before:
            self._core.spool.count(self._ticket, min(reader.tokens, self._longest))
            if self.hold.grant is not None:
                self.hold.grant.spend(reader.tokens - before)
            if not before:
                self._note_first_byte()
        if shown:
            self._show(shown, ends=reader.done and reader.usage is not None and not self.call.stored)
        if reader.fault is not None:
            self._fail(reader.fault)
        elif reader.done:
            self._finish_stream(reader)
        elif reader.tokens > self._longest + SPLIT:
            self._fail(upstream_failed("the model server went on past the limit that it was given"))

    def _show(self, events: bytes, *, ends: bool = False) -> None:
        """`ends`: nothing but the sync of its closing record is between them and the end of the stream."""
        self.bytes_out += len(events)
        if self.watch is not None:
            self.watch.shown(events)
        if self._cache_key is not None:
            self._shown.append(events)
        if ends:
            self._client.keep_last(events)
        else:
            self._client.write_stream(events)

    def _note_first_byte(self) -> None:
        self.first_byte_at = self._note_latency()

    def _note_latency(self) -> float:
        """An answer began, just now; returns when."""
        now = clock()
        if self.pick is not None:
            self.pick.state.observed(now - self.sent_at)
        return now

    def _rest(self, seconds: float) -> None:
        if self.pick is not None:
            self.pick.state.cool(self._core.now(), seconds)
            self.pick.state.note(self._core.now(), f"it answered {self._status} and asks to be left alone")

    def on_end(self) -> None:
        self._connection = None
        self.ended_at = clock()
        if self._reader is None:
            self._finish_body()
            return
        if shown := self._reader.finish():
            self._show(shown)
        if self._reader.fault is not None:
            self._fail(self._reader.fault)
        else:
            self._finish_stream(self._reader)

    def _touch(self) -> None:
        self.deadline = self._core.now() + self._core.settings.stream_timeout

    def _collect(self, pieces: list[bytes]) -> None:
        if self._bare and self._status == 200 and self._passes(self._content_type):
            self._pass_on(pieces)
            return
        self._answer += pieces
        self._answer_size += sum(map(len, pieces))
        if self._answer_size > self._core.settings.max_response:
            self._fail(upstream_failed("the model server's answer is too large"))

    def _passes(self, content_type: bytes) -> bool:
        return self.api.passes is not None and self.api.passes.fullmatch(content_type) is not None

    def _pass_on(self, pieces: list[bytes]) -> None:
        """An answer that goes out as it comes begins; what it costs is known by now."""
        assert self.pick is not None
        self._reader = self._adapter.reader(self.call)
        self.first_byte_at = clock()
        cost = self.bill.cost(self.pick.leg, self._adapter.guess(self.call, b""))
        lines = b"x-ironworks-cost: %b\r\n" % show_cost(cost) if cost >= 0 else b""
        self._streaming = True
        self._client.begin_stream(self.request, self._about() + lines, self._content_type)
        self.on_data(pieces)

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

    def _finish_stream(self, reader: Reader) -> None:
        self._close(
            200,
            reader.usage or self._counted(),
            lambda: self._end_stream(reader),
        )

    def _end_stream(self, reader: Reader) -> None:
        last = reader.last()
        if reader.done and self._cache_key is not None:
            self._keep(b"", b"".join(self._shown), last)
        if self.call.stored:
            self._core.shelf.keep_stream(self.call, self.hold.key, last, self._end_told)
        else:
            self._end_told(last)

    def _end_told(self, last: bytes) -> None:
        self._client.end_stream(last if self._bare else self._closing_comment() + last)

    def _finish_body(self) -> None:
        body = b"".join(self._answer)
        if self._status in _NO_SUCH_PATH and self.api.otherwise is not None:
            self._respond_otherwise(self.api.otherwise)
            return
        if self._status != 200:
            told = parse_answer(body)
            status = status_of(self._status, told)
            if status >= 500:
                self._state_failed(f"it answered {status}")
            elif status == 429 and self.pick is not None:
                self._tried = (*self._tried, self.pick.state)
                self._leave_replica()
            if status not in _ELSEWHERE or not self._try_elsewhere(f"it answered {status}"):
                self._fail(self._told_later(refusal_of(status, told, self._conceal)))
            return
        try:
            answer = self._adapter.answer(self.call, self._content_type, body)
            if self._streaming:  # the head of a stream went out while we waited
                raise upstream_failed("the model server did not stream its answer")
        except Refusal as refusal:
            self._fail(refusal)
            return
        if self._cache_key is not None:
            self._keep(answer.content_type, answer.body)
        usage = answer.usage or self._adapter.guess(self.call, body)
        self._close(200, usage, lambda: self._respond(answer), generated_text(body) if usage.counted else None)

    def _conceal(self, text: str) -> str:
        if self.pick is None:
            return text
        return conceal(text, self.pick.state.replica.bearer, self.pick.leg.served_as, self.call.model)

    def _told_later(self, refusal: Refusal) -> Refusal:
        """With the upstream's own word for when to come again, where it gave one."""
        rest = self._core.balancer.resting(self.hold.route, self._core.now())
        if rest and refusal.retry_after is not None:
            refusal.retry_after = math.ceil(rest)
        return refusal

    def _respond_otherwise(self, otherwise: Callable[[Call], Answer]) -> None:
        try:
            answer = otherwise(self.call)
        except Refusal as refusal:
            self._fail(refusal)
        else:
            self._close(200, NOTHING, lambda: self._respond(answer))

    def _keep(self, content_type: bytes, body: bytes, last: bytes = b"") -> None:
        if self._cache_key is not None and self.pick is not None:
            kept = Kept(self.pick, content_type, body, last)
            self._core.cache.keep(self.hold.route, self._cache_key, kept, self._core.now())
