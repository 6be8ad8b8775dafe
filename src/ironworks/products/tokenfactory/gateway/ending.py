"""How a request ends: what it used is written down and settled, and only then does its caller hear the end.

The order is the promise: the terminator goes out only after the closing record, with the true usage, is on disk.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ironworks.products.tokenfactory.gateway.admission import Hold, settle
from ironworks.products.tokenfactory.gateway.core import Core, Named
from ironworks.products.tokenfactory.gateway.dialects import Adapter, Answer, Api, Reader
from ironworks.products.tokenfactory.gateway.model import NOTHING, Call, Refusal, Usage, unavailable
from ironworks.products.tokenfactory.gateway.paying import UNBOUND, Bill
from ironworks.products.tokenfactory.gateway.segments import Ticket
from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection
from ironworks.products.tokenfactory.routing import Pick, Place, ReplicaState
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection
    from ironworks.products.tokenfactory.gateway.heads import Request
    from ironworks.products.tokenfactory.gateway.observing import Watch

log = telemetry.logger(__name__)

NEVER: Final = float("inf")
CLIENT_LEFT: Final = 499
clock: Final = time.perf_counter
"""What requests are timed by, in seconds. Native code would look `time.perf_counter` up anew at each call."""
_NANO: Final = 10**9
_HUNDREDTHS: Final = [b"%02d" % number for number in range(100)]


class Ending(ABC):
    """One admitted request, from whatever it has come to until its end.

    Attributes:
        request, call, api, hold, bill: what was asked, and under which terms.
        pick: the upstream that it is at, or was at last.
        tries: upstreams that it was sent to. cost_nano: what it costs at list price, -1 while nobody can say.
        began, asked_at, sent_at, first_byte_at, ended_at: by `clock`, 0 where never; from sending to the
            end of the upstream's answer it was not ours to be quick.
        started_at: seconds since the epoch.
        deadline: when its upstream's silence has lasted too long, on the loop's clock.
    """

    __slots__ = (
        "_adapter",
        "_answer",
        "_answer_size",
        "_body",
        "_cache_key",
        "_client",
        "_connection",
        "_content_type",
        "_core",
        "_head",
        "_longest",
        "_named",
        "_opened",
        "_over",
        "_place",
        "_reader",
        "_shown",
        "_status",
        "_steps",
        "_streaming",
        "_tell_end",
        "_ticket",
        "_told_status",
        "_tried",
        "_waits_for",
        "_waits_on",
        "_waits_since",
        "api",
        "asked_at",
        "began",
        "bill",
        "bytes_out",
        "cached",
        "call",
        "cost_nano",
        "deadline",
        "ended_at",
        "first_byte_at",
        "hold",
        "pick",
        "refusal",
        "request",
        "sent_at",
        "started_at",
        "tries",
        "watch",
    )

    def __init__(
        self, core: Core, client: ClientConnection, request: Request, api: Api, call: Call, hold: Hold
    ) -> None:
        self._core = core
        self._client = client
        self.request = request
        self.api = api
        self.call = call
        self.hold = hold
        self.bill: Bill
        self.pick: Pick | None = None
        self.tries = 0
        self.bytes_out = 0
        self.refusal: Refusal | None = None
        self.watch: Watch | None = None
        self.cost_nano = -1
        self.began = clock()
        self.started_at = time.time()
        self.asked_at = self.sent_at = self.first_byte_at = self.ended_at = 0.0
        self.deadline = NEVER
        self._waits_on = False
        self._waits_for = ""
        self._waits_since = 0.0
        self._steps: tuple[tuple[str, int, int, str], ...] = ()
        self._tried: tuple[ReplicaState, ...] = ()
        self._head: bytes
        self._body: bytes
        self._named: Named
        self._ticket: Ticket
        self._connection: UpstreamConnection | None = None
        self._adapter: Adapter
        self._reader: Reader | None = None
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._content_type = b""
        self._status = 0
        self._over = False
        self._opened = False
        self._longest = UNBOUND
        self._streaming = False
        self._place: Place | None = None
        self._cache_key: bytes | None = None
        self.cached = False
        self._shown: list[bytes] = []
        self._told_status = 0
        self._tell_end: Callable[[], None] = _nothing

    @abstractmethod
    def _stop_waiting(self) -> None:
        """It has no turn and no place in a queue any more."""

    def _about(self) -> bytes:
        """Header lines that are known before the answer ends."""
        about = self._named.line
        if self.hold.grant is not None:
            about += self.hold.grant.headers()
        if self._cache_key is not None:
            about += b"x-ironworks-cache: hit\r\n" if self.cached else b"x-ironworks-cache: miss\r\n"
        return about

    def _closing_comment(self) -> bytes:
        """What a whole answer says in its headers, for a stream, whose headers are gone by then."""
        cost = b" cost=%b" % show_cost(self.cost_nano) if self.cost_nano >= 0 else b""
        return b":%b overhead_ms=%b\n\n" % (cost, _show_hundredths(self.overhead_ms))

    @property
    def overhead_ms(self) -> float:
        """How long it was with us until now, in milliseconds."""
        return self.overhead_until(clock()) * 1000

    def overhead_until(self, now: float) -> float:
        """Seconds that it was with us before it was sent on, and since the upstream's answer ended."""
        if not self.sent_at:
            return now - self.began
        return self.sent_at - self.began + (now - self.ended_at)

    def _respond(self, answer: Answer) -> None:
        if self.call.stored:
            then: Callable[[bytes], None] = lambda body: self._tell(  # noqa: E731
                Answer(body, answer.usage, answer.content_type, answer.headers)
            )
            self._core.shelf.keep_answer(self.call, self.hold.key, answer.body, then)
        else:
            self._tell(answer)

    def _tell(self, answer: Answer) -> None:
        self.bytes_out = len(answer.body)
        if self.watch is not None:
            self.watch.shown(answer.body)
        cost = b"x-ironworks-cost: %b\r\n" % show_cost(self.cost_nano) if self.cost_nano >= 0 else b""
        overhead = _show_hundredths(self.overhead_ms)
        extra = b"%b%bx-ironworks-overhead-ms: %b\r\n%b" % (self._about(), answer.headers, overhead, cost)
        self._client.respond(self.request, 200, answer.body, answer.content_type, extra)

    def _counted(self) -> Usage:
        """Our own count of what was produced, for a request whose upstream never gave its figure."""
        if not self.sent_at:
            return NOTHING
        guess = self._adapter.guess(self.call, b"")
        return guess._replace(output_tokens=self._reader.tokens) if self._reader else guess

    def _fail(self, refusal: Refusal) -> None:
        """The upstream did not deliver. A stream is billed as far as it got; anything else is free."""
        if self._over:
            return
        self.refusal = refusal
        self._drop_upstream()
        usage = NOTHING
        if self._reader is not None:
            usage = self._reader.usage or (self._counted() if self._reader.tokens else NOTHING)
        if self._streaming:
            self._close(refusal.status, usage, lambda: self._break_stream(refusal))
        else:
            self._close(refusal.status, usage, lambda: self._client.refuse(self.request, refusal))

    @property
    def _bare(self) -> bool:
        """Whether the answer may go out as it comes without being events, so that no word of ours fits into it."""
        return self.api.passes is not None and not self.call.stream

    def _break_stream(self, refusal: Refusal) -> None:
        if self._bare:
            self._client.abort()
        else:
            self._client.break_stream(refusal)

    def _start_stream(self, lines: bytes) -> None:
        self._streaming = True
        self._client.begin_stream(self.request, lines)

    def _give_up(self, refusal: Refusal | None) -> None:
        """It ends before it was opened: nothing was used, and nothing is written down."""
        self._over = True
        core = self._core
        core.exchanges.discard(self)
        settle(core.admission, self.hold, NOTHING)
        if refusal is not None:
            core.observers.refused(self.request, self._client.address, self.api.path, core.now(), refusal, None)
            self._client.refuse(self.request, refusal)

    def _drop_upstream(self) -> None:
        if self._connection is not None:
            if not self._connection.sent:
                self.sent_at = 0.0  # it never saw the request
            self._connection.abort()
            self._connection = None

    def _leave_replica(self) -> None:
        if self._waits_on and self.pick is not None:
            self.pick.state.in_flight -= 1
            self._waits_on = False

    def _wait_for(self, what: str) -> None:
        """It waits from now on; how long is told by `_waited`."""
        self._waits_for = what
        self._waits_since = clock()

    def _waited(self) -> None:
        if self._waits_for:
            self._note_step(self._waits_for, self._waits_since)
            self._waits_for = ""

    def _note_step(self, what: str, since: float, whom: str = "") -> None:
        """For the record: what took its time until now."""
        until = self._microseconds(clock())
        self._steps = (*self._steps, (what, self._microseconds(since), until, whom))

    def _microseconds(self, at: float) -> int:
        """Since it began."""
        return int((at - self.began) * 1e6)

    def _course(self) -> tuple[int, int, int, Sequence[tuple[str, int, int, str]], str]:
        """The last fields of the record: how it went."""
        began, asked, sent = self.began, self.asked_at, self.sent_at
        return (
            int((asked - began) * 1e6) if asked else -1,
            int((sent - began) * 1e6) if sent else -1,
            int((self.ended_at - began) * 1e6),
            self._steps,
            self.refusal.code if self.refusal is not None else "",
        )

    def _leave_place(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.leave()

    def _state_failed(self, fault: str, *, unreachable: bool = False) -> None:
        if self._waits_on and self.pick is not None:
            self._tried = (*self._tried, self.pick.state)
            aside = self.pick.state.ejected_until
            self.pick.state.failed(self._core.now(), unreachable=unreachable, fault=fault)
            if self.pick.state.ejected_until != aside:
                self._core.count_ejection()
            self._leave_replica()

    def _close(self, status: int, usage: Usage, tell: Callable[[], None], made: str | None = None) -> None:
        """Write the closing record; `tell` the caller once it is on disk.

        What is only estimated is counted by the model's tokenizer first, where there is one; `made` is the text that a
        whole answer holds.
        """
        self._over = True
        self.deadline = NEVER
        self.ended_at = self.ended_at or clock()
        if self._connection is not None:
            self._connection.leave()
            self._connection = None
        if self._waits_on and self.pick is not None:
            if status == 200:
                self.pick.state.succeeded()
            self._leave_replica()
        self._stop_waiting()
        tokenizers = self._core.tokenizers
        if usage.counted and self.pick is not None and tokenizers.offers(self.pick.state):
            tokenizers.recount(
                self.pick.state, self._body, made, usage, lambda counted: self._write_closing(status, counted, tell)
            )
        else:
            self._write_closing(status, usage, tell)

    def _write_closing(self, status: int, usage: Usage, tell: Callable[[], None]) -> None:
        if self.pick is not None:
            usage = self.bill.cut(self.pick.leg, usage)
            self.cost_nano = self.bill.cost(self.pick.leg, usage)
        self.bill.settle(self.cost_nano)
        if self._reader is not None and self._reader.usage is None:
            self._reader.usage = usage  # what closing events tell is what is billed
        settle(self._core.admission, self.hold, usage)
        first = int((self.first_byte_at - self.began) * 1000) if self.first_byte_at else -1
        finished_at = self.started_at + (clock() - self.began)  # the wall clock may be set meanwhile
        self._tell_end = tell
        self._told_status = status
        given, cached, made, counted, thought, heard, spoken, extra = usage
        asked, sent, ended, steps, error = self._course()
        others = (  # name by name: a tuple of known length is made at once, one with stars by way of lists
            finished_at, status, given, cached, made, counted, thought, heard, spoken, extra, self.cost_nano, first,
            self.cached, self.tries, asked, sent, ended, steps, error, self._named.which,
        )  # fmt: skip
        self._core.spool.close(self._ticket, others, self._closed)

    def _closed(self, problem: OSError | None) -> None:
        self._core.exchanges.discard(self)
        tell, self._tell_end = self._tell_end, _nothing  # which holds this request: no cycle is to be left behind
        try:
            if problem is None:
                tell()
            else:
                self._withhold(problem)
        except Exception:
            log.exception("an answer could not be told", request_id=self.request.id)
            self._client.abort()
        self._core.observers.finished(self, self._client.address, self._told_status, self.hold.usage, self.refusal)

    def _withhold(self, problem: OSError) -> None:
        """An answer whose usage is not on disk is not given."""
        log.error("usage cannot be put on disk", request_id=self.request.id, problem=repr(problem))
        refusal = self.refusal = unavailable(
            "spool_unavailable", "usage cannot be recorded now, so the answer is withheld", 5
        )
        if self._streaming:
            self._break_stream(refusal)
        else:
            self._client.refuse(self.request, refusal)


def _nothing() -> None:
    """There is nothing to tell."""


def show_cost(nano: int) -> bytes:
    """Nano-units as an exact decimal of the currency."""
    return b"%d.%b" % (nano // _NANO, (b"%d" % (_NANO + nano % _NANO))[1:])


def _show_hundredths(number: float) -> bytes:
    """A number, not negative, rounded to two places."""
    hundredths = int(number * 100 + 0.5)
    return b"%d.%b" % (hundredths // 100, _HUNDREDTHS[hundredths % 100])
