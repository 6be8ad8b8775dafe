"""One request on its way: to an upstream, back to the caller, and into the spool.

The order is the promise: the opening record is written before the upstream is asked, and the terminator goes out only
after the closing record, with the true usage, is on disk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ironworks.platform import metering
from ironworks.products.tokenfactory.budgets import Refused, Reservation
from ironworks.products.tokenfactory.gateway.admission import Hold, find_again, settle
from ironworks.products.tokenfactory.gateway.answers import guess_tokens, parse_answer, refusal_of
from ironworks.products.tokenfactory.gateway.cache import Kept, cache_key
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.counting import generated_text
from ironworks.products.tokenfactory.gateway.dialects import Adapter, Answer, Api, Reader, affinity_of
from ironworks.products.tokenfactory.gateway.model import NOTHING, Call, Refusal, Usage, unavailable, upstream_failed
from ironworks.products.tokenfactory.gateway.paying import SPLIT, UNBOUND, Bill, refused_by_budget
from ironworks.products.tokenfactory.gateway.spool import SpoolFull
from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection
from ironworks.products.tokenfactory.gateway.waiting import busy, waited_in_vain
from ironworks.products.tokenfactory.routing import Leg, Pick, Place, ReplicaState
from ironworks.shared import telemetry
from ironworks.shared.path import show_path

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection
    from ironworks.products.tokenfactory.gateway.heads import Request
    from ironworks.products.tokenfactory.gateway.observing import Watch

log = telemetry.logger(__name__)

NEVER = float("inf")
CLIENT_LEFT = 499
NANO = 10**9
_ELSEWHERE = frozenset({429, 502, 503, 529})
"""Statuses by which an upstream says that it did not do the work: another may."""
_ASKS_FOR_REST = frozenset({429, 503})
"""Statuses whose Retry-After is kept to."""
_NO_SUCH_PATH = frozenset({404, 405, 501})
"""Statuses by which an upstream says that it does not offer the operation."""


class Exchange:
    """One admitted request. Made by `operations.py`, driven by its two connections.

    Attributes:
        request, call, api, hold, bill: what was asked, and under which terms.
        pick: the upstream that it is at, or was at last.
        tries: upstreams that it was sent to. cost_nano: what it costs at list price, -1 while nobody can say.
        began, sent_at, first_byte_at, ended_at: by `time.perf_counter`, 0 where never; from sending to the end of the
            upstream's answer it was not ours to be quick.
        started_at: seconds since the epoch.
        deadline: when its upstream's silence has lasted too long, on the loop's clock.
    """

    __slots__ = (
        "_adapter",
        "_answer",
        "_answer_size",
        "_body",
        "_cache_key",
        "_cached",
        "_client",
        "_connection",
        "_content_type",
        "_core",
        "_head",
        "_longest",
        "_opened",
        "_over",
        "_place",
        "_reader",
        "_record",
        "_shown",
        "_status",
        "_streaming",
        "_ticket",
        "_tried",
        "_waits_on",
        "api",
        "began",
        "bill",
        "bytes_out",
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
        self.began = time.perf_counter()
        self.started_at = time.time()
        self.sent_at = self.first_byte_at = self.ended_at = 0.0
        self.deadline = NEVER
        self._waits_on = False
        self._tried: tuple[ReplicaState, ...] = ()
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
        self._cached = False
        self._shown: list[bytes] = []

    def begin(self) -> None:
        """Hold what it may cost, open it in the spool and ask an upstream.

        Raises Refusal where that cannot be, with nothing left behind. A request whose answer is kept is given that; one
        for which budgets have no money yet, whose upstream is full, or whose endpoint sleeps, waits.
        """
        payments, hold = self._core.payments, self.hold
        if not hold.route.legs:  # whatever it led to is halted, or being deleted
            raise not_ready()
        self.bill = payments.bill(hold.key, hold.route, self.call, free=self.api.free)
        if payments.reserve(self.bill, hold.route, self.on_money):
            self._start()
        else:
            self._core.exchanges.add(self)

    def on_money(self, found: Reservation | Refused) -> None:
        """Budgets have what it may cost, or they have not. Called later than `begin`."""
        try:
            if isinstance(found, Refused):
                raise refused_by_budget(found)
            self.bill.reservation = found
            self._start()
        except Refusal as refusal:
            self._give_up(refusal)

    def _give_up(self, refusal: Refusal | None) -> None:
        """It ends before it was opened: nothing was used, and nothing is written down."""
        self._over = True
        core = self._core
        core.exchanges.discard(self)
        settle(core.admission, self.hold, NOTHING)
        if refusal is not None:
            core.observers.refused(self.request, self._client.address, self.api.path, core.now(), refusal, None)
            self._client.refuse(self.request, refusal)

    def _start(self) -> None:
        """Raises Refusal, with nothing left behind."""
        try:
            self._go()
        except Refusal:
            self.bill.release()
            raise

    def _go(self) -> None:
        waits = self._core.waits
        kept = self._find_kept() if self.hold.route.cache is not None else None
        pick, leg = (kept.pick, kept.pick.leg) if kept is not None else self._choose_or_sleep()
        if pick is not None and kept is None:
            self._place = waits.enter(self, leg)
        try:
            self._open(leg)
        except Refusal:
            self._leave_place()
            raise
        if kept is not None:
            self._give(kept)
        elif pick is None:
            self.deadline = waits.hold(self, leg)
        else:
            self._take_turn(pick)

    def _open(self, leg: Leg) -> None:
        self._record = self._opening(leg)
        try:
            self._ticket = self._core.spool.open((*self._record, guess_tokens(len(self.call.body))))
        except SpoolFull:
            raise unavailable("overloaded", "the gateway is serving as many requests as it may") from None
        except OSError:
            raise unavailable("spool_unavailable", "usage cannot be recorded now, so nothing is served", 5) from None
        self._opened = True
        self._core.exchanges.add(self)
        self.watch = self._core.observers.begin(self)

    def _opening(self, leg: Leg) -> tuple[object, ...]:
        """The first fields of the UsageRecord."""
        request, call, key, route = self.request, self.call, self.hold.key, self.hold.route
        target = leg.target
        return (
            request.id,
            request.client_id,
            key.uid,
            key.scope,
            route.uid,
            target.uid,
            target.scope,
            target.name,
            leg.model,
            call.model,
            self.api.path,
            call.stream,
            call.user,
            call.metadata,
            self.bill.holds,
            self.bill.at,
            self.started_at,
        )

    # towards the upstream

    def _choose(self) -> Pick:
        """The next upstream to ask, its request prepared. Raises Refusal where there is none."""
        route, core = self.hold.route, self._core
        affinity = affinity_of(self.call) if route.strategy == "prefix_affine" else b""
        tried, refusal = self._tried, None
        while (pick := core.balancer.pick(route, core.now(), tried, affinity)) is not None:
            try:
                self._prepare(pick)
                return pick
            except Refusal as problem:  # this upstream cannot say what was asked; another may
                refusal = problem
                tried = (*tried, pick.state)
        if refusal is not None:
            raise refusal
        rest = core.balancer.resting(route, core.now())
        raise overloaded(rest) if rest else not_ready()

    def _prepare(self, pick: Pick) -> None:
        """The request as this upstream takes it. Raises Refusal for what it cannot say."""
        adapter = self.api.adapters.get(pick.leg.target.dialect)
        if adapter is None:
            raise Refusal(
                400, "model_not_supported", f"what serves this model does not offer {self.api.path}", param="model"
            )
        self._adapter = adapter
        target = pick.leg.target
        # Anthropic demands a limit; where a dialect does not, the upstream's own stands
        unlimited = self.call.max_output is None and target.dialect == "anthropic"
        limit = self.bill.limit(pick.leg) or (target.max_output_tokens if unlimited else None)
        body, content_type = adapter.request(self.call, pick.leg.served_as, limit)
        self._body = body
        self._head = self._core.request_head(pick.state, adapter.path, self.call.stream, content_type)

    def _choose_or_sleep(self) -> tuple[Pick | None, Leg]:
        """What to ask, or no pick and the leg whose endpoint is to be woken. Raises Refusal where there is neither."""
        try:
            pick = self._choose()
        except Refusal:
            leg = self._core.waits.sleeping(self.hold.route)
            if leg is None:
                raise
            return None, leg
        return pick, pick.leg

    def _take_turn(self, pick: Pick) -> None:
        """Ask it, or wait until the leg's cap lets us."""
        self.pick = pick
        if self._place is None or self._place.inside:
            self._ask(pick)
        else:
            self.deadline = self._core.waits.queue(self)

    def on_turn(self) -> None:
        """The cap lets us in."""
        if self._over or self._place is None or not self._place.inside or self.pick is None:
            return
        self._core.waits.forget(self)
        self.deadline = NEVER
        try:
            self._prepare(self.pick)  # its credential may have changed meanwhile
        except Refusal as refusal:
            self._fail(refusal)
        else:
            self._ask(self.pick)

    def on_evicted(self) -> None:
        """Another tenant, with less of the queue, has our place in it."""
        if not self._over:
            self._fail(busy())

    def on_routes(self) -> None:
        """There is news while we wait for a replica: the key may be gone by now, the route another."""
        if self._over:
            return
        try:
            self.hold.route = find_again(self._core.mirror.read(), self.hold.key, self.call.model)
            self.bill.reroute()
        except Refusal as refusal:
            self._fail(refusal)
            return
        try:
            pick = self._choose()
        except Refusal as refusal:
            if refusal.status not in (429, 503):  # what woke cannot do it: waiting on would not help
                self._fail(refusal)
            return
        self._core.waits.forget(self)
        self.deadline = NEVER
        try:
            self._place = self._core.waits.enter(self, pick.leg)
            self._reopen(pick.leg)
        except Refusal as refusal:
            self._fail(refusal)
        else:
            self._take_turn(pick)

    def keep_alive(self, comment: bytes) -> None:
        """We wait still: a caller who streams is told."""
        if self.call.stream and not self._over:
            if not self._streaming:
                self._start_stream(b"")
            self._client.write_stream(comment)

    def _start_stream(self, lines: bytes) -> None:
        self._streaming = True
        self._client.begin_stream(self.request, lines)

    def _leave_place(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.leave()

    def _ask(self, pick: Pick, *, fresh: bool = False) -> None:
        self.pick = pick
        pick.state.in_flight += 1
        self._waits_on = True
        self.tries += not fresh
        self._core.upstreams.connect(pick.state, self, fresh=fresh)

    def _leave_replica(self) -> None:
        if self._waits_on and self.pick is not None:
            self.pick.state.in_flight -= 1
            self._waits_on = False

    def on_connected(self, connection: UpstreamConnection) -> None:
        if self._over:
            connection.abort()
            return
        assert self.pick is not None
        self._connection = connection
        core = self._core
        self.sent_at = time.perf_counter()
        self.deadline = core.now() + (self.pick.leg.target.timeout or core.settings.first_byte_timeout)
        lines = b"" if self.watch is None else self.watch.sending(self.pick)
        connection.write(
            b"%b%b\r\n%bcontent-length: %d\r\n\r\n%b"
            % (self._head, self.request.id_bytes, lines, len(self._body), self._body)
        )

    def on_unreachable(self, problem: str) -> None:
        if not self._over:
            self._replica_failed(problem, unreachable=True)

    def on_lost(self, problem: str, *, answered: bool, reused: bool) -> None:
        self._connection = None
        if reused and not answered and self._waits_on and self.pick is not None:
            # the replica closed an idle connection just as it was used: no failure, and it never saw the request
            self._leave_replica()
            self._ask(self.pick, fresh=True)
        elif answered:
            self._state_failed(unreachable=False)
            self._fail(upstream_failed(problem))
        elif self.pick is not None and self.pick.leg.target.external:
            # whoever runs it may have done the work, and charge for it: it is not asked for twice
            self._state_failed(unreachable=False)
            self._fail(upstream_failed(problem))
        else:
            self._replica_failed(problem, unreachable=False)

    def _state_failed(self, *, unreachable: bool) -> None:
        if self._waits_on and self.pick is not None:
            self._tried = (*self._tried, self.pick.state)
            aside = self.pick.state.ejected_until
            self.pick.state.failed(self._core.now(), unreachable=unreachable)
            if self.pick.state.ejected_until != aside:
                self._core.metrics.count("ironworks_gateway_ejections")
            self._leave_replica()

    def _replica_failed(self, problem: str, *, unreachable: bool) -> None:
        """Nothing came back: ask another upstream, if there is one."""
        self._state_failed(unreachable=unreachable)
        if not self._try_elsewhere():
            self._fail(upstream_failed(problem, 503))

    def _try_elsewhere(self) -> bool:
        """Whether the request is now on its way to another upstream."""
        if self.tries >= self.hold.route.tries:
            return False
        before = self.pick
        self._leave_place()
        try:
            pick = self._choose()
            self._place = self._core.waits.enter(self, pick.leg)
            if before is not None and pick.leg is not before.leg:
                self._reopen(pick.leg)
        except Refusal:
            return False
        self._answer.clear()
        self._answer_size = self._status = 0
        self._core.metrics.count("ironworks_gateway_retries")
        self._take_turn(pick)
        return True

    def _reopen(self, leg: Leg) -> None:
        """Another target serves it than the opening record says. Raises Refusal."""
        record = self._opening(leg)
        self._record = (*record[:-2], *self._record[-2:])
        try:
            self._ticket = self._core.spool.reopen(self._ticket, (*self._record, guess_tokens(len(self.call.body))))
        except OSError:
            raise unavailable("spool_unavailable", "usage cannot be recorded now, so nothing is served", 5) from None

    # from the upstream

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
            self._note_latency()
            self.ended_at = time.perf_counter()
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
            self._show(shown)
        if reader.fault is not None:
            self._fail(reader.fault)
        elif reader.done:
            self._finish_stream(reader)
        elif reader.tokens > self._longest + SPLIT:
            self._fail(upstream_failed("the model server went on past the limit that it was given"))

    def _show(self, events: bytes) -> None:
        self.bytes_out += len(events)
        if self.watch is not None:
            self.watch.shown(events)
        if self._cache_key is not None:
            self._shown.append(events)
        self._client.write_stream(events)

    def _note_first_byte(self) -> None:
        self.first_byte_at = time.perf_counter()
        self._note_latency()

    def _note_latency(self) -> None:
        if self.pick is not None:
            self.pick.state.observed(time.perf_counter() - self.sent_at)

    def _rest(self, seconds: float) -> None:
        if self.pick is not None:
            self.pick.state.cool(self._core.now(), seconds)

    def on_end(self) -> None:
        self._connection = None
        self.ended_at = time.perf_counter()
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
        self._client.end_stream(self._closing_comment() + last)

    def _finish_body(self) -> None:
        body = b"".join(self._answer)
        if self._status in _NO_SUCH_PATH and self.api.otherwise is not None:
            self._respond_otherwise(self.api.otherwise)
            return
        if self._status != 200:
            if self._status >= 500:
                self._state_failed(unreachable=False)
            elif self._status == 429 and self.pick is not None:
                self._tried = (*self._tried, self.pick.state)
                self._leave_replica()
            if self._status not in _ELSEWHERE or not self._try_elsewhere():
                self._fail(self._told_later(refusal_of(self._status, parse_answer(body))))
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

    # answers that are kept

    def _find_kept(self) -> Kept | None:
        """The answer that the same request got before, unless the caller wants a fresh one."""
        core, route = self._core, self.hold.route
        directives = self.request.headers.get(b"cache-control", b"").lower()
        self._cache_key = cache_key(route, self.hold.key.scope, self.api.path, self.call, directives)
        if self._cache_key is None or b"no-cache" in directives:
            return None
        return core.cache.find(route, self._cache_key, core.now())

    def _give(self, kept: Kept) -> None:
        """A kept answer: no tokens, one cached response."""
        self.pick = kept.pick
        self._cached = True
        usage = Usage(extra=((metering.CACHED_RESPONSES, 1),))
        if self.call.stream:
            self._start_stream(self._about())
            self._client.write_stream(kept.body)
            self._close(200, usage, lambda: self._client.end_stream(self._closing_comment() + kept.last))
        else:
            answer = Answer(kept.body, usage, kept.content_type)
            self._close(200, usage, lambda: self._respond(answer))

    def _keep(self, content_type: bytes, body: bytes, last: bytes = b"") -> None:
        if self._cache_key is not None and self.pick is not None:
            kept = Kept(self.pick, content_type, body, last)
            self._core.cache.keep(self.hold.route, self._cache_key, kept, self._core.now())

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

    def _respond(self, answer: Answer) -> None:
        if self.call.stored:
            then: Callable[[bytes], None] = lambda body: self._tell(answer._replace(body=body))  # noqa: E731
            self._core.shelf.keep_answer(self.call, self.hold.key, answer.body, then)
        else:
            self._tell(answer)

    def _tell(self, answer: Answer) -> None:
        self.bytes_out = len(answer.body)
        if self.watch is not None:
            self.watch.shown(answer.body)
        extra = self._about() + answer.headers + b"x-ironworks-overhead-ms: %.2f\r\n" % self.overhead_ms
        if self.cost_nano >= 0:
            extra += b"x-ironworks-cost: %b\r\n" % show_cost(self.cost_nano)
        self._client.respond(self.request, 200, answer.body, answer.content_type, extra)

    def _about(self) -> bytes:
        """Header lines that are known before the answer ends."""
        assert self.pick is not None
        target = self.pick.leg.target
        limits = self.hold.grant.headers() if self.hold.grant is not None else b""
        about = b"x-ironworks-model: %b\r\n%b" % (f"{show_path(target.scope)}/{target.name}".encode(), limits)
        if self._cache_key is not None:
            about += b"x-ironworks-cache: hit\r\n" if self._cached else b"x-ironworks-cache: miss\r\n"
        return about

    def _closing_comment(self) -> bytes:
        """What a whole answer says in its headers, for a stream, whose headers are gone by then."""
        cost = b" cost=%b" % show_cost(self.cost_nano) if self.cost_nano >= 0 else b""
        return b":%b overhead_ms=%.2f\n\n" % (cost, self.overhead_ms)

    @property
    def overhead_ms(self) -> float:
        """How long it was with us before it was sent on, and since the upstream's answer ended."""
        if not self.sent_at:
            return (time.perf_counter() - self.began) * 1000
        return (self.sent_at - self.began + (time.perf_counter() - self.ended_at)) * 1000

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
            self._close(refusal.status, usage, lambda: self._client.break_stream(refusal))
        else:
            self._close(refusal.status, usage, lambda: self._client.refuse(self.request, refusal))

    def on_client_lost(self, status: int = CLIENT_LEFT) -> None:
        """Nobody reads any more: stop the replica, bill what was produced."""
        if self._over:
            return
        if not self._opened:
            self._core.payments.cancel(self.on_money)
            self._give_up(None)
            return
        self._drop_upstream()
        told = self._reader.usage if self._reader else None
        self._close(status, told or self._counted(), lambda: None)

    def on_deadline(self) -> None:
        """The replica has been silent for too long, or we have waited for one."""
        if self in self._core.waits:
            self._fail(waited_in_vain(self.pick is None))
            return
        self._state_failed(unreachable=False)
        self._fail(upstream_failed("the model server took too long", 504))

    def _drop_upstream(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _close(self, status: int, usage: Usage, tell: Callable[[], None], made: str | None = None) -> None:
        """Write the closing record; `tell` the caller once it is on disk.

        What is only estimated is counted by the model's tokenizer first, where there is one; `made` is the text that a
        whole answer holds.
        """
        self._over = True
        self.deadline = NEVER
        self.ended_at = self.ended_at or time.perf_counter()
        if self._connection is not None:
            self._connection.leave()
            self._connection = None
        if self._waits_on and self.pick is not None:
            if status == 200:
                self.pick.state.succeeded()
            self._leave_replica()
        self._leave_place()
        self._core.waits.forget(self)
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
        finished_at = self.started_at + (time.perf_counter() - self.began)  # the wall clock may be set meanwhile
        fields = (*self._record, finished_at, status, *usage, self.cost_nano, first, self._cached, self.tries)
        self._core.spool.close(self._ticket, fields, lambda problem: self._closed(problem, fields, usage, tell))

    def _closed(
        self, problem: OSError | None, record: Sequence[object], usage: Usage, tell: Callable[[], None]
    ) -> None:
        self._core.exchanges.discard(self)
        if problem is None:
            tell()
        else:
            self._withhold(problem)
        self._core.observers.finished(self, self._client.address, record, usage, self.refusal)

    def _withhold(self, problem: OSError) -> None:
        """An answer whose usage is not on disk is not given."""
        log.error("usage cannot be put on disk", request_id=self.request.id, problem=repr(problem))
        refusal = self.refusal = unavailable(
            "spool_unavailable", "usage cannot be recorded now, so the answer is withheld", 5
        )
        if self._streaming:
            self._client.break_stream(refusal)
        else:
            self._client.refuse(self.request, refusal)


def not_ready() -> Refusal:
    """503: nothing serves it now."""
    return unavailable("model_not_ready", "the model has no replica that is ready; try again shortly", 2)


def overloaded(rest: float) -> Refusal:
    """429: every upstream asked to be left alone, the first for so many seconds more."""
    message = "the model server has too much to do; try again shortly"
    return Refusal(429, "model_overloaded", message, kind="rate_limit_error", retry_after=math.ceil(rest))


def show_cost(nano: int) -> bytes:
    """Nano-units as an exact decimal of the currency."""
    return b"%d.%09d" % divmod(nano, NANO)
