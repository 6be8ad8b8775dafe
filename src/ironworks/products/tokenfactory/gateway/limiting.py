"""Limits at admission: which apply to a key and a route, what a request may use, and refusals in our terms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from ironworks.products.tokenfactory import limits
from ironworks.products.tokenfactory.gateway.answers import estimate_input
from ironworks.products.tokenfactory.gateway.model import Call, Refusal
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.products.tokenfactory.routing import Route
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

COUNT_EVERY: Final = 5.0
"""Seconds between two counts of the hosts that share the limits."""
MAX_PLANS: Final = 200_000
_KINDS: Final = {403: "permission_error", 413: "invalid_request_error", 429: "rate_limit_error", 503: "server_error"}

CountHosts = Callable[[UUID], Awaitable[int]]
"""(this host's name) → how many hosts run gateways now; raises when nobody can say."""


class Limiter:
    """One process's limits, and the plans that were made of them."""

    def __init__(
        self, folder: Path, later: Callable[[float, Callable[[], None]], Any], *, own_process: bool = False
    ) -> None:
        """Counts are in `folder`, shared by all processes of this host. Raises OSError."""
        self.desk = limits.Desk(folder, later, keeps=own_process)
        self._plans: dict[Route, dict[bytes, limits.Plan | None]] = {}
        self._size = 0

    def replace(self, views: Sequence[limits.LimitView] | None = None) -> None:
        """These are the limits from now on, or, with None, there are other routes."""
        if views is not None:
            self.desk.replace(views)
        self._plans = {}
        self._size = 0

    def admit(self, key: KeyView, route: Route, call: Call, *, free: bool) -> limits.Grant | None:
        """Let a call past all its limits, None where none applies. Raises Refusal. `free`: it costs no tokens."""
        plan = self._plan(key, route)
        if plan is None:
            return None
        try:
            return self.desk.admit(plan, call.model, 0 if free else estimate_input(call), call.user)
        except limits.Exceeded as exceeded:
            raise _refusal(exceeded) from None

    def permits(self, key: KeyView, route: Route) -> bool:
        """Whether the route is among the models that the key's limits allow."""
        plan = self._plan(key, route)
        return plan is None or self.desk.permits(plan)

    def require_permitted(self, key: KeyView, route: Route, model: str) -> None:
        """Raises Refusal 403 where it is not."""
        if not self.permits(key, route):
            raise _refusal(limits.not_permitted(model))

    def _plan(self, key: KeyView, route: Route) -> limits.Plan | None:
        """By the key's digest, whose hash is kept, and the route itself, which lives as long as its table."""
        plans = self._plans.get(route)
        if plans is None:
            plans = self._plans[route] = {}
        try:
            return plans[key.digest]
        except KeyError:
            pass
        if self._size >= MAX_PLANS:
            self.replace()
            plans = self._plans[route] = {}
        self._size += 1
        plan = plans[key.digest] = self.desk.plan(key.uid, key.scope, route.uid, route.scope, route.name)
        return plan

    async def share(self, count: CountHosts) -> None:
        """Enforce this host's part of every limit, for ever; while nobody can count the hosts, as many as before."""
        while True:
            try:
                self.desk.share(await count(self.desk.host))
            except Exception as problem:
                log.warning("the hosts that share limits cannot be counted", problem=repr(problem))
            await asyncio.sleep(COUNT_EVERY)

    def gauges(self) -> dict[str, tuple[str, float]]:
        """What an operator should see."""
        desk = self.desk
        return {
            "limits_refused": ("Requests refused by limits since the start", sum(desk.refused.values())),
            "limits_evicted": ("Counts given up for others since the start: the table is full", desk.table.evicted),
            "limits_unplaced": ("Counts for which there was no room since the start", desk.table.unplaced),
            "limits_stuck": ("Times that the lock of the counts was not to be had since the start", desk.stuck),
            "limits_hosts": ("Hosts that share the limits", desk.hosts),
        }

    def close(self) -> None:
        """Count what is left, and give back what this process counted as in flight."""
        self.desk.close()


def _refusal(exceeded: limits.Exceeded) -> Refusal:
    return Refusal(
        exceeded.status,
        exceeded.code,
        exceeded.message,
        kind=_KINDS[exceeded.status],
        param="model" if exceeded.code == "model_not_permitted" else None,
        retry_after=exceeded.retry_after,
        headers=exceeded.headers,
    )
