"""Keys and routes in memory: loaded whole, told by the change log when to load again, and how sure they still are.

A request reads `Mirror.read()` and nothing else. While the log is followed (a heartbeat every 300 ms) a change is here
within a fraction of a second; when it is not, the mirror polls, and keeps count of how long nothing was confirmed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ironworks.products.tokenfactory.gateway.model import GatewaySettings, KeySource, KeyView, unavailable
from ironworks.products.tokenfactory.routing import RouteTable, TargetSource
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

FEED_LIVE = 1.5
"""Seconds after a heartbeat for which the feed counts as live: five missed ones."""
POLL = 1.0
RESYNC = 60.0
BREATH = 0.05
"""Between two loads, so that a burst of changes is one load."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all requests of a moment see. `keys` by the SHA-256 of the key."""

    keys: Mapping[bytes, KeyView]
    routes: RouteTable


class Mirror:
    """The current snapshot and the loop that renews it."""

    def __init__(
        self, keys: KeySource, targets: TargetSource, settings: GatewaySettings, changed: Callable[[Snapshot], None]
    ) -> None:
        """`changed` is called with each new snapshot, before requests see it."""
        self._keys = keys
        self._targets = targets
        self._settings = settings
        self._changed = changed
        self._current: Snapshot | None = None
        self._confirmed = 0.0
        self._heard = -FEED_LIVE
        self._stale: set[str] = {"keys", "targets"}
        self._wake = asyncio.Event()
        self._loaded = asyncio.Event()

    @property
    def age(self) -> float:
        """Seconds since the snapshot was last known to be current; infinite before the first."""
        return time.monotonic() - self._confirmed if self._current else float("inf")

    @property
    def is_fed(self) -> bool:
        """Whether the change log is being followed."""
        return time.monotonic() - self._heard < FEED_LIVE

    def read(self) -> Snapshot:
        """The snapshot to serve from; raises Refusal before the first, or when it is too old to be trusted."""
        current = self._current
        if current is None:
            raise unavailable("starting", "the gateway is starting and has no keys yet; try again in a moment")
        if self._settings.when_stale == "refuse" and self.age > self._settings.stale_after:
            raise unavailable("stale", "the gateway has lost touch with its control plane", retry_after=5)
        return current

    def notice(self, kind: str) -> None:
        """A resource of `kind` changed; an empty `kind` means anything may have."""
        touched = set()
        if not kind or kind in self._keys.kinds:
            touched.add("keys")
        if not kind or kind in self._targets.kinds:
            touched.add("targets")
        if touched:
            self._stale |= touched
            self._wake.set()

    def heartbeat(self) -> None:
        """All changes up to now have been noticed."""
        self._heard = time.monotonic()
        if not self._stale:
            self._confirmed = self._heard

    async def wait_loaded(self) -> None:
        """Until there is a first snapshot."""
        await self._loaded.wait()

    async def run(self) -> None:
        """Keep the snapshot current; cancel to stop. A load that fails is tried again while the old one serves."""
        wait = 0.1
        while True:
            try:
                await self._renew()
            except Exception as problem:
                log.warning("keys and routes cannot be loaded; serving what is known", problem=repr(problem))
                await self._wait(wait)
                wait = min(wait * 2, 2.0)
                continue
            wait = 0.1
            await self._sleep()

    async def _renew(self) -> None:
        """Load what is stale and swap it in. What changes meanwhile is stale again at once.

        Keys do not wait for routes: a route that cannot be loaded must not keep a revoked key alive.
        """
        stale, self._stale = self._stale, set()
        self._wake.clear()
        began = time.monotonic()
        before = self._current or Snapshot({}, RouteTable())
        keys, routes = before.keys, before.routes
        try:
            if "keys" in stale:
                keys = {key.digest: key for key in await self._keys.load_keys()}
                if self._current is not None:
                    self._swap(Snapshot(keys, routes))
                    stale.discard("keys")
            if "targets" in stale:
                routes = RouteTable(await self._targets.load_targets())
        except BaseException:
            self._stale |= stale
            raise
        self._swap(Snapshot(keys, routes))
        self._confirmed = began

    def _swap(self, snapshot: Snapshot) -> None:
        self._changed(snapshot)
        self._current = snapshot
        self._loaded.set()

    async def _sleep(self) -> None:
        """Until something is stale; what was not noticed is found by polling, which begins when the feed dies."""
        resync = time.monotonic() + RESYNC
        while not await self._wait(POLL):
            if not self.is_fed or time.monotonic() >= resync:
                self._stale |= {"keys", "targets"}
                return

    async def _wait(self, limit: float) -> bool:
        """Until a change is noticed, at most `limit` seconds; whether there was one."""
        await asyncio.sleep(BREATH)
        try:
            async with asyncio.timeout(limit):
                return await self._wake.wait()
        except TimeoutError:
            return False
