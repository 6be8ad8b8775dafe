"""What every connection of a process shares. Made once by `program.py`; nothing here is global."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from ironworks.products.tokenfactory.budgets import Lender
from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.admission import Admission
from ironworks.products.tokenfactory.gateway.cache import AnswerCache
from ironworks.products.tokenfactory.gateway.cors import Origins
from ironworks.products.tokenfactory.gateway.counting import Tokenizers
from ironworks.products.tokenfactory.gateway.feeds import feed_of
from ironworks.products.tokenfactory.gateway.health import Health, Uncharged, check_core
from ironworks.products.tokenfactory.gateway.identifiers import RequestIds
from ironworks.products.tokenfactory.gateway.limiting import Limiter
from ironworks.products.tokenfactory.gateway.metrics import Metrics
from ironworks.products.tokenfactory.gateway.model import Charge, GatewaySettings, Refusal
from ironworks.products.tokenfactory.gateway.observing import Observers
from ironworks.products.tokenfactory.gateway.paying import Payments
from ironworks.products.tokenfactory.gateway.shipping import Shipper
from ironworks.products.tokenfactory.gateway.snapshot import Mirror, Snapshot
from ironworks.products.tokenfactory.gateway.sources import KeyView, Sources
from ironworks.products.tokenfactory.gateway.spool import Spool
from ironworks.products.tokenfactory.gateway.stored import Shelf
from ironworks.products.tokenfactory.gateway.targets import TargetState, look_at_targets
from ironworks.products.tokenfactory.gateway.upstream import UpstreamPool
from ironworks.products.tokenfactory.gateway.waiting import Waits, Waker
from ironworks.products.tokenfactory.responses import KeepResponses
from ironworks.products.tokenfactory.routing import Balancer, Gates, Leg, ReplicaState, Route, RouteTable
from ironworks.products.tokenfactory.traces import KeepTraces, PolicyView
from ironworks.shared.path import show_path

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection
    from ironworks.products.tokenfactory.gateway.exchange import Exchange

MAX_HEADS: Final = 10_000
MAX_NAMES: Final = 100_000
MAX_ROUTES: Final = 100_000
_HEALTH: Final = {"ok": 0, "degraded": 1, "unavailable": 2}


class Named:
    """What all of a key's calls of a model tell alike, while `leg` serves them.

    `said`: of the UsageRecord, from `key_uid` to `operation`; `fields`: the same as JSON without brackets. `line`: the
    header line that names the model's server. `which`: the record's, see there.
    """

    __slots__ = ("fields", "leg", "line", "said", "which")

    def __init__(self, key: KeyView, route: Route, leg: Leg, model: str, path: str) -> None:
        self.leg = leg
        self.which = leg.which
        target = leg.target
        payer, served_by = (str(key.uid), key.scope), (str(target.uid), target.scope, target.name)
        self.said = (*payer, str(route.uid), *served_by, leg.model, model, path)
        self.fields = orjson.dumps(self.said)[1:-1]
        self.line = f"x-ironworks-model: {show_path(target.scope)}/{target.name}\r\n".encode()


class Core:
    """The process's parts.

    Attributes:
        clients, exchanges: all that are open now. draining: a stop was asked for; connections end after their answer.
        date: the `date` header line, renewed by `tick`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: GatewaySettings,
        sources: Sources,
        charge: Charge,
        trace: KeepTraces | None = None,
        waker: Waker | None = None,
        lender: Lender | None = None,
        keep: KeepResponses | None = None,
    ) -> None:
        self.loop = loop
        self.now = loop.time
        self.settings = settings
        self.ids = RequestIds()
        self.gates = Gates()
        self.balancer = Balancer(full=self.gates.full)
        self.waits = Waits(loop, settings, self.gates, waker)
        self.shelf = Shelf(self, keep)
        self.cache = AnswerCache(settings.cache_bytes)
        self.upstreams = UpstreamPool(loop, settings)
        self.tokenizers = Tokenizers(self.upstreams)
        self.origins = Origins(settings.origins)
        self.limiter = Limiter(
            settings.run or settings.spool.parent / "run", loop.call_later, own_process=settings.own_process
        )
        self.admission = Admission(settings, self.limiter)
        self.mirror = Mirror(sources, settings, self._adopt)
        self.spool = Spool(
            settings.spool, loop, slots=settings.max_in_flight, segment=settings.segment, sync=settings.sync
        )
        self.payments = Payments(lender, self.spool.directory.name, socket.gethostname())
        self.balancer.cost = self.payments.typical_cost
        self.shipper = Shipper(
            self.spool,
            settings.spool,
            charge,
            every=settings.ship_every,
            batch=settings.ship_batch,
            charged=self.payments.charged,
            close_leases=lender.close_leases if lender is not None else None,
        )
        self.metrics = Metrics(self._gauges, settings.observing.counts)
        self.waits.waited = partial(self.metrics.observe, "ironworks_gateway_queue_wait_seconds")
        self.observers = Observers(settings.observing, self.metrics, trace)
        self.trace_feed = feed_of("traces", sources.traces, self._trace_by)
        self.health = Health(
            settings.observing.counts, [partial(check_core, self)], self._look_at_targets, self._uncharged
        )
        self.clients: set[ClientConnection] = set()
        self.exchanges: set[Exchange] = set()
        self.draining = False
        self.date = wire.date_header()
        self._routes = RouteTable()
        self.known_routes: dict[tuple[bytes, str, str], Route] = {}
        """What a key means by a model under an API, since the snapshot last changed: by its digest, path and model."""
        self._names: dict[tuple[bytes, str, str, int], Named] = {}
        self._heads: dict[tuple[ReplicaState, str, bool, bytes], bytes] = {}

    def request_head(self, state: ReplicaState, path: str, stream: bool, content_type: bytes) -> bytes:
        """Request line and headers up to the value of `x-request-id`: nothing of the caller's goes through."""
        facts = (state, path, stream, content_type)
        found = self._heads.get(facts)
        if found is None:
            if len(self._heads) > MAX_HEADS:  # a multipart body's type differs with each request
                self._heads.clear()
            found = self._heads[facts] = wire.request_head(state.replica, path, stream, content_type)
        return found

    def named(self, key: KeyView, route: Route, leg: Leg, model: str, path: str) -> Named:
        """What a call by `key` of `route`, by the name `model` under an API, tells of itself where `leg` serves it."""
        facts = (key.digest, path, model, id(leg))
        found = self._names.get(facts)
        if found is None or found.leg is not leg:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            found = self._names[facts] = Named(key, route, leg, model, path)
        return found

    def remember_route(self, key: KeyView, path: str, model: str, route: Route) -> None:
        """All was looked at that lets `key` call `route` by this name; it need not be again under this snapshot."""
        if len(self.known_routes) >= MAX_ROUTES:
            self.known_routes.clear()
        self.known_routes[key.digest, path, model] = route

    def tick(self) -> None:
        """Twice a second: everything that is about time, for all connections at once."""
        now = self.now()
        self.date = wire.date_header()
        for client in [c for c in self.clients if c.deadline <= now]:
            client.on_deadline()
        for exchange in [e for e in self.exchanges if e.deadline <= now]:
            try:
                exchange.on_deadline()
            except Exception:  # else it would hold up everything below, each time anew
                exchange.on_broken()
        self.waits.tick(now)
        self.upstreams.sweep(now)
        self.payments.tick(self.mirror.ages["prices"])
        self.spool.heal()
        self.health.look()
        self.health.tell_host()
        self.observers.tick()

    def count_ejection(self) -> None:
        """An upstream was set aside."""
        self.metrics.count("ironworks_gateway_ejections")

    def _uncharged(self) -> Uncharged:
        return Uncharged(self.spool.backlog, self.shipper.lag)

    def _look_at_targets(self) -> tuple[TargetState, ...]:
        return look_at_targets(self.balancer, self.gates, self.now())

    def notice(self, kind: str, uid: UUID | None) -> None:
        """Something changed; see Mirror.notice."""
        self.mirror.notice(kind, uid)
        self.trace_feed.notice(kind, uid)

    def problems(self) -> list[str]:
        """Why requests cannot be served now; empty when they can."""
        problems = []
        try:
            self.mirror.read()
        except Refusal as refusal:
            problems.append(refusal.code)
        if not self.spool.healthy:
            problems.append("spool_unavailable")
        if self.draining:
            problems.append("draining")
        return problems

    def _adopt(self, snapshot: Snapshot, parts: frozenset[str]) -> None:
        self.known_routes.clear()
        self._names.clear()
        if "limits" in parts or "routes" in parts:
            self.limiter.replace(snapshot.limits if "limits" in parts else None)
        if "budgets" in parts or "routes" in parts:
            self.payments.replace(snapshot.budgets if "budgets" in parts else None)
        if "prices" in parts:
            self.payments.reprice(snapshot.prices)
        if "routes" in parts:
            self.balancer.replace(snapshot.routes.routes)
            self.gates.replace(snapshot.routes.routes)
            self.cache.replace(snapshot.routes.routes)
            self.loop.call_soon(self.waits.resume)
            self._heads.clear()
            self._routes = snapshot.routes
            self.observers.captures.resolve(partial(_route_of, snapshot.routes))

    def _trace_by(self, name: str, policies: Sequence[PolicyView]) -> None:
        self.observers.captures.replace(policies, partial(_route_of, self._routes))

    def _gauges(self) -> dict[str, tuple[str, float]]:
        return {
            "connections": ("Callers connected", len(self.clients)),
            "in_flight": ("Requests admitted and not settled", self.admission.in_flight),
            "upstream_connections": ("Connections to replicas", len(self.upstreams.connections)),
            "queued": ("Requests that wait for their turn at an upstream", self.gates.waiting),
            "held": ("Requests that wait for an endpoint to wake", len(self.waits.held)),
            "cached_bytes": ("Answers kept for routes that ask for it", self.cache.size),
            "replicas_ejected": ("Replicas set aside after failures", self.balancer.ejected(self.now())),
            "spool_backlog_bytes": ("Spool not yet charged", self.spool.backlog),
            "spool_healthy": ("1 while the spool can be written", self.spool.healthy),
            "charging_fails_seconds": ("Since usage could last be charged; 0 while it can", self.shipper.failing_for),
            "spool_lag_seconds": ("All usage that ended longer ago is charged", self.shipper.lag),
            "compiled": ("Processes whose hot modules are native code", not __file__.endswith(".py")),
            "health": ("0 while all is well, 1 degraded, 2 unavailable", _HEALTH[self.health.status]),
            "snapshot_age_seconds": ("Since keys and routes were last confirmed", self.mirror.age),
            **self.limiter.gauges(),
            **self.payments.gauges(),
        }


def _route_of(table: RouteTable, scope: str, model: str) -> UUID | None:
    route = table.resolve(scope, model)
    return route.uid if route else None
