"""One request on its way: admitted, held for, opened in the spool, and sent to an upstream, or to the next one.

`ending.py` is how it ends, `receiving.py` what comes back. The opening record is written before the upstream is asked.
"""

from __future__ import annotations

import math

import orjson

from ironworks.platform import metering
from ironworks.products.tokenfactory.budgets import Refused, Reservation
from ironworks.products.tokenfactory.gateway.admission import find_again
from ironworks.products.tokenfactory.gateway.cache import Kept, cache_key
from ironworks.products.tokenfactory.gateway.dialects import Answer, affinity_of
from ironworks.products.tokenfactory.gateway.ending import CLIENT_LEFT, NEVER, clock
from ironworks.products.tokenfactory.gateway.model import (
    NOTHING,
    Refusal,
    Usage,
    broken,
    unavailable,
    upstream_failed,
)
from ironworks.products.tokenfactory.gateway.paying import refused_by_budget
from ironworks.products.tokenfactory.gateway.receiving import Receiving
from ironworks.products.tokenfactory.gateway.spool import SpoolFull
from ironworks.products.tokenfactory.gateway.upstream import UpstreamConnection
from ironworks.products.tokenfactory.gateway.waiting import busy, waited_in_vain
from ironworks.products.tokenfactory.routing import Leg, Pick
from ironworks.shared import telemetry
from ironworks.shared.path import show_path

log = telemetry.logger(__name__)


class Exchange(Receiving):
    """One admitted request. Made by `operations.py`, driven by its two connections."""

    __slots__ = ()

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
            self._note_step("budget", self.began)
            self.bill.reservation = found
            self._start()
        except Refusal as refusal:
            self._give_up(refusal)
        except Exception:
            log.exception("a request broke the gateway", request_id=self.request.id)
            self._give_up(broken())

    def _start(self) -> None:
        """Raises Refusal, or whatever else is wrong, with nothing left behind."""
        try:
            self._go()
        except BaseException:
            if not self._opened:
                self._leave_place()
                self.bill.release()
            elif not self._over:
                self._drop_upstream()
                self._close(500, NOTHING, lambda: None)
            raise

    def _go(self) -> None:
        waits = self._core.waits
        kept = self._find_kept() if self.hold.route.cache is not None else None
        pick, leg = (kept.pick, kept.pick.leg) if kept is not None else self._choose_or_sleep()
        if pick is not None and kept is None:
            self._place = waits.enter(self, leg)
        self._open(leg)
        if kept is not None:
            self._give(kept)
        elif pick is None:
            self._wait_for("wake")
            self.deadline = waits.hold(self, leg)
        else:
            self._take_turn(pick)

    def _open(self, leg: Leg) -> None:
        fields, said = self._opening(leg)
        try:
            self._ticket = self._core.spool.open(fields, self.bill.guess(self.call), said)
        except SpoolFull:
            raise unavailable("overloaded", "the gateway is serving as many requests as it may") from None
        except OSError:
            raise unavailable("spool_unavailable", "usage cannot be recorded now, so nothing is served", 5) from None
        self._opened = True
        self._core.exchanges.add(self)
        self.watch = self._core.observers.begin(self)

    def _opening(self, leg: Leg) -> tuple[bytes, tuple[object, ...]]:
        """The first fields of the UsageRecord, as JSON without brackets and as they are."""
        request, call, bill, hold = self.request, self.call, self.bill, self.hold
        self._named = self._core.named(hold.key, hold.route, leg, call.model, self.api.path)
        client_id = b"null" if request.client_id is None else orjson.dumps(request.client_id)
        who = (request.id, request.client_id)
        terms = (call.stream, call.user, call.metadata, bill.holds, bill.at, self.started_at)
        named, others = self._named.fields, orjson.dumps(terms)[1:-1]
        return b'"%b",%b,%b,%b' % (request.id_bytes, client_id, named, others), who + self._named.said + terms

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
            self._wait_for("queue")
            self.deadline = self._core.waits.queue(self)

    def on_turn(self) -> None:
        """The cap lets us in."""
        if self._over or self._place is None or not self._place.inside or self.pick is None:
            return
        self._core.waits.forget(self)
        self._waited()
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
        self._waited()
        self.deadline = NEVER
        try:
            self._place = self._core.waits.enter(self, pick.leg)
            self._reopen(pick.leg)
        except Refusal as refusal:
            self._fail(refusal)
        else:
            self._take_turn(pick)

    def on_broken(self) -> None:
        """Something of ours went wrong while it waited."""
        log.exception("a request broke the gateway", request_id=self.request.id)
        self._fail(broken())

    def keep_alive(self, comment: bytes) -> None:
        """We wait still: a caller who streams is told."""
        if self.call.stream and not self._over:
            if not self._streaming:
                self._start_stream(b"")
            self._client.write_stream(comment)

    def _stop_waiting(self) -> None:
        self._leave_place()
        self._core.waits.forget(self)
        self._waited()

    def _ask(self, pick: Pick, *, fresh: bool = False) -> None:
        self.pick = pick
        pick.state.in_flight += 1
        self._waits_on = True
        self.tries += not fresh
        self.asked_at = clock()
        self._core.upstreams.connect(pick.state, self, fresh=fresh)

    def on_connected(self, connection: UpstreamConnection) -> None:
        if self._over:
            connection.abort()
            return
        assert self.pick is not None
        self._connection = connection
        core = self._core
        self.sent_at = clock()
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
            self.sent_at = 0.0
            self._ask(self.pick, fresh=True)
        elif answered:
            self._state_failed(problem)
            self._fail(upstream_failed(problem))
        elif self.pick is not None and self.pick.leg.target.external:
            # whoever runs it may have done the work, and charge for it: it is not asked for twice
            self._state_failed(problem)
            self._fail(upstream_failed(problem))
        else:
            self._replica_failed(problem, unreachable=False)

    def _replica_failed(self, problem: str, *, unreachable: bool) -> None:
        """Nothing came back: ask another upstream, if there is one."""
        self._state_failed(problem, unreachable=unreachable)
        if not self._try_elsewhere(problem):
            self._fail(upstream_failed(problem, 503))

    def _try_elsewhere(self, problem: str) -> bool:
        """Whether the request is now on its way to another upstream. `problem`: why it is not at this one."""
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
        if before is not None:
            target = before.leg.target
            self._note_step("try", self.asked_at, f"{show_path(target.scope)}/{target.name}: {problem}")
        self._answer.clear()
        self._answer_size = self._status = 0
        self.sent_at = self.ended_at = 0.0  # whoever leaves now has had nothing of the next upstream
        self._core.metrics.count("ironworks_gateway_retries")
        self._take_turn(pick)
        return True

    def _reopen(self, leg: Leg) -> None:
        """Another target serves it than the opening record says. Raises Refusal."""
        fields, said = self._opening(leg)
        try:
            self._ticket = self._core.spool.reopen(self._ticket, fields, self.bill.guess(self.call), said)
        except OSError:
            raise unavailable("spool_unavailable", "usage cannot be recorded now, so nothing is served", 5) from None

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
        self.cached = True
        usage = Usage(extra=((metering.CACHED_RESPONSES, 1),))
        if self.call.stream:
            self._start_stream(self._about())
            self._client.write_stream(kept.body)
            self._close(200, usage, lambda: self._client.end_stream(self._closing_comment() + kept.last))
        else:
            answer = Answer(kept.body, usage, kept.content_type)
            self._close(200, usage, lambda: self._respond(answer))

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
        problem = "the model server took too long"
        self._state_failed(problem)
        self._fail(upstream_failed(problem, 504))


def not_ready() -> Refusal:
    """503: nothing serves it now."""
    return unavailable("model_not_ready", "the model has no replica that is ready; try again shortly", 2)


def overloaded(rest: float) -> Refusal:
    """429: every upstream asked to be left alone, the first for so many seconds more."""
    message = "the model server has too much to do; try again shortly"
    return Refusal(429, "model_overloaded", message, kind="rate_limit_error", retry_after=math.ceil(rest))
