"""Requests that wait: for their turn at an upstream that takes only so many, or for an endpoint that sleeps to wake.

Both are bounded in time and number. A caller who streams hears a comment now and then, so that nothing between here and
there takes the silence for a dead connection; its answer's head is gone by then, so what fails later is told as an
event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ironworks.products.tokenfactory.gateway.model import GatewaySettings, Refusal, unavailable
from ironworks.products.tokenfactory.routing import Gates, Leg, Place, QueueFull, Route, Target
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.exchange import Exchange

log = telemetry.logger(__name__)

WAKE_AGAIN = 5.0
"""Seconds between two calls for the same endpoint while somebody waits for it."""
ALIVE_EVERY = 5.0
ALIVE = b": waiting\n\n"


class Waker(Protocol):
    """Starts an endpoint that is scaled to zero; whoever runs endpoints does."""

    async def wake(self, target: Target) -> None:
        """Ask for it; whether it serves is told by the next snapshot. Asking twice changes nothing."""


class Waits:
    """All that wait in this process.

    Attributes:
        held: who waits for an endpoint. queued: who waits for a turn, since when. waited: told how long each did.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: GatewaySettings, gates: Gates, waker: Waker | None
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._gates = gates
        self._waker = waker
        self._woken: dict[object, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.held: dict[Exchange, Leg] = {}
        self.queued: dict[Exchange, float] = {}
        self.waited: Callable[[float], None] = lambda seconds: None
        self._told: dict[Exchange, float] = {}

    # for a turn

    def enter(self, exchange: Exchange, leg: Leg) -> Place | None:
        """A place at the leg's cap, None where it has none. Raises Refusal where no more may wait."""
        if not (leg.max_concurrency or leg.target.max_concurrency):
            return None
        try:
            return self._gates.enter(
                leg,
                exchange.hold.key.scope,
                partial(self._soon, exchange, exchange.on_turn),
                partial(self._soon, exchange, exchange.on_evicted),
            )
        except QueueFull:
            raise busy() from None

    def _soon(self, exchange: Exchange, call: Callable[[], None]) -> None:
        """Not within whoever leaves: one who goes on may end at once, and leave in turn."""
        self._loop.call_soon(_try, exchange, call)

    def queue(self, exchange: Exchange) -> float:
        """It waits for its turn; returns until when, on the loop's clock."""
        self.queued[exchange] = self._loop.time()
        return self._began(exchange) + self._settings.queue_timeout

    # for a replica

    def sleeping(self, route: Route) -> Leg | None:
        """A leg whose endpoint can be woken. Raises Refusal where as many wait for one as may."""
        leg = next((leg for leg in route.legs if leg.target.wakes), None) if self._waker is not None else None
        if leg is not None and len(self.held) >= self._settings.max_held:
            raise unavailable("model_starting", "too many requests wait for models to start; try again shortly", 5)
        return leg

    def hold(self, exchange: Exchange, leg: Leg) -> float:
        """It waits for the endpoint, which is woken; returns until when, on the loop's clock."""
        self.held[exchange] = leg
        self._wake(leg.target, self._loop.time())
        return self._began(exchange) + self._settings.hold_timeout

    def _wake(self, target: Target, now: float) -> None:
        if self._waker is None or now < self._woken.get(target.uid, 0.0):
            return
        self._woken[target.uid] = now + WAKE_AGAIN
        self._run(self._ask_to_wake(self._waker, target))

    async def _ask_to_wake(self, waker: Waker, target: Target) -> None:
        try:
            await waker.wake(target)
        except Exception as problem:
            log.warning("an endpoint cannot be woken; trying again", endpoint=target.name, problem=repr(problem))

    # both

    def __contains__(self, exchange: object) -> bool:
        return exchange in self.queued or exchange in self.held

    def forget(self, exchange: Exchange) -> None:
        """It waits no longer."""
        self.held.pop(exchange, None)
        since = self.queued.pop(exchange, None)
        if since is not None:
            self.waited(self._loop.time() - since)
        self._told.pop(exchange, None)

    def resume(self) -> None:
        """There are new routes: whoever waits for a replica looks again."""
        for exchange in list(self.held):
            _try(exchange, exchange.on_routes)

    def tick(self, now: float) -> None:
        """Call again for those who sleep, and tell callers that they are not forgotten."""
        for leg in list(self.held.values()):
            self._wake(leg.target, now)
        self._woken = {uid: until for uid, until in self._woken.items() if until > now}
        for exchange, told in list(self._told.items()):
            if now - told >= ALIVE_EVERY:
                self._told[exchange] = now
                exchange.keep_alive(ALIVE)

    def close(self) -> None:
        """Call for nobody any more."""
        for task in self._tasks:
            task.cancel()

    def _began(self, exchange: Exchange) -> float:
        return self._told.setdefault(exchange, self._loop.time())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _try(exchange: Exchange, call: Callable[[], None]) -> None:
    """One that breaks ends, and holds up no other."""
    try:
        call()
    except Exception:
        exchange.on_broken()


def busy() -> Refusal:
    """429: the upstream's cap is reached and its queue is full."""
    message = "the model serves as many requests as it may, and as many wait; try again shortly"
    return Refusal(429, "model_busy", message, kind="rate_limit_error", retry_after=2)


def waited_in_vain(for_replica: bool) -> Refusal:
    """503: the time is up."""
    if for_replica:
        return unavailable("model_starting", "the model is still starting; try again in a minute", 30)
    return unavailable("model_busy", "no turn at the model came up in time; try again shortly", 5)
