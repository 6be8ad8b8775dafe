"""Keys, routes, limits, budgets and prices in memory: fed by the change log, and how sure they still are.

A request reads `Mirror.read()` and nothing else. While the log is followed (a heartbeat every 300 ms) a change is here
within a fraction of a second; when it is not, the mirror polls, and keeps count of how long nothing was confirmed. Each
part has a feed of its own: what cannot be loaded stays as it was and holds up no other, so a route that does not load
keeps no revoked key alive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from ironworks.products.tokenfactory.gateway.feeds import feeds_of
from ironworks.products.tokenfactory.gateway.keeping import Keeper, Seal
from ironworks.products.tokenfactory.gateway.model import GatewaySettings, unavailable
from ironworks.products.tokenfactory.gateway.sources import KeyView, Sources
from ironworks.products.tokenfactory.routing import Route, RouteTable
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

FEED_LIVE = 1.5
"""Seconds after a heartbeat for which the feed counts as live: five missed ones."""
KEEP_EVERY = 10.0
KEEP_AT_LEAST = 300.0
"""Seconds after which an unchanged snapshot is written again, with the time until which it was still good."""
KEPT_AS = "snapshot"
PARTS = ("keys", "routes", "limits", "budgets", "prices")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all requests of a moment see.

    Args:
        keys: by the SHA-256 of the key. limits, budgets, prices: what their sources load.
    """

    keys: Mapping[bytes, KeyView] = field(default_factory=dict)
    routes: RouteTable = field(default_factory=RouteTable)
    limits: Sequence[Any] = ()
    budgets: Sequence[Any] = ()
    prices: Sequence[Any] = ()


class Mirror:
    """The current snapshot and the feeds that renew it."""

    def __init__(
        self,
        sources: Sources,
        settings: GatewaySettings,
        changed: Callable[[Snapshot, frozenset[str]], None],
    ) -> None:
        """`changed` is called with each new snapshot and the names of its parts that are new, before requests see it.

        What it raises keeps that part as it was.
        """
        self._settings = settings
        self._changed = changed
        self._current: Snapshot | None = None
        self._gathered: dict[str, Any] = {}
        self._heard = -FEED_LIVE
        self._loaded = asyncio.Event()
        self._feeds = {feed.name: feed for feed in feeds_of(sources, self._take)}
        self._keeper = _keeper(sources, settings, sources.seal) if sources.seal else None
        self._kept: Snapshot | None = None
        self._kept_at = float("-inf")
        self._disk_problem = ""

    @property
    def age(self) -> float:
        """Seconds since all of the snapshot was last known to be current; infinite before the first."""
        return max(self.ages.values()) if self._current else float("inf")

    @property
    def ages(self) -> dict[str, float]:
        """Seconds since each part was last known to be current; infinite for one that was never loaded."""
        now = time.monotonic()
        return {name: now - feed.confirmed for name, feed in self._feeds.items()}

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by part: it cannot be renewed, or rows of it had to be left out; `disk`: it cannot be kept."""
        found = {name: feed.problem for name, feed in self._feeds.items()} | {"disk": self._disk_problem}
        return {name: problem for name, problem in found.items() if problem}

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

    def notice(self, kind: str, uid: UUID | None = None) -> None:
        """The resource `uid` of `kind` changed, some resource without one, or, with an empty `kind`, anything may."""
        for feed in self._feeds.values():
            feed.notice(kind, uid)

    def heartbeat(self) -> None:
        """All changes up to now have been noticed."""
        self._heard = time.monotonic()
        for feed in self._feeds.values():
            feed.confirm(self._heard)

    async def wait_loaded(self) -> None:
        """Until there is a first snapshot."""
        await self._loaded.wait()

    async def run(self) -> None:
        """Keep the snapshot current; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            for feed in self._feeds.values():
                tasks.create_task(feed.run(lambda: self.is_fed))
            if self._keeper is not None:
                tasks.create_task(self._keep_on_disk(self._keeper))

    async def _keep_on_disk(self, keeper: Keeper) -> None:
        """Begin with what is on disk if nothing else comes in time; then keep that as it is here."""
        try:
            await asyncio.wait_for(self._loaded.wait(), self._settings.first_load / 2)
        except TimeoutError:
            await self._restore(keeper)
        while True:
            await asyncio.sleep(KEEP_EVERY)
            due = self._current is not self._kept or time.monotonic() - self._kept_at > KEEP_AT_LEAST
            if due and keeper.age() > KEEP_EVERY and (snapshot := self._current) is not None:
                await self._keep(keeper, snapshot)

    async def _keep(self, keeper: Keeper, snapshot: Snapshot) -> None:
        confirmed_at = time.time() - self.age
        try:
            await keeper.save({part: _rows(getattr(snapshot, part)) for part in PARTS}, confirmed_at)
        except Exception as problem:
            self._disk_problem = f"the snapshot cannot be kept on disk: {problem!r}"
            log.warning("the snapshot cannot be kept on disk", problem=repr(problem))
        else:
            self._disk_problem, self._kept, self._kept_at = "", snapshot, time.monotonic()

    async def _restore(self, keeper: Keeper) -> None:
        """Serve from disk what could not be loaded yet, unless it is older than an operator lets anything get."""
        kept = await keeper.load()
        if kept is None or self._current is not None:
            return
        age = max(0.0, time.time() - kept.confirmed_at)
        if age > self._settings.stale_after:
            log.warning("the snapshot kept on disk is too old", age=round(age))
            return
        log.warning("serving from the snapshot kept on disk", age=round(age))
        for feed in self._feeds.values():
            feed.begin_with(kept.rows[feed.name], time.monotonic() - age)

    def _take(self, part: str, value: Any) -> None:
        """A part was loaded. The first snapshot is made when all are there."""
        if self._current is None:
            self._gathered[part] = value
            if len(self._gathered) < len(PARTS):
                return
            self._swap(Snapshot(**self._gathered), frozenset(PARTS))
        else:
            self._swap(replace(self._current, **{part: value}), frozenset((part,)))

    def _swap(self, snapshot: Snapshot, parts: frozenset[str]) -> None:
        self._changed(snapshot, parts)
        self._current = snapshot
        self._loaded.set()


def _keeper(sources: Sources, settings: GatewaySettings, seal: Seal) -> Keeper | None:
    """None where a source does not say what its rows are: a snapshot without limits must not be served."""
    found: dict[str, type | None] = {"keys": KeyView, "routes": Route}
    found |= {part: getattr(getattr(sources, part), "row", None) for part in PARTS[2:]}
    shapes = {part: row for part, row in found.items() if row is not None}
    if len(shapes) < len(PARTS):
        log.info("no snapshot is kept on disk", unknown=sorted(set(PARTS) - set(shapes)))
        return None
    return Keeper(settings.spool / KEPT_AS, seal, shapes)


def _rows(part: RouteTable | Mapping[bytes, KeyView] | Sequence[Any]) -> Sequence[Any]:
    if isinstance(part, RouteTable):
        return part.routes
    return list(part.values()) if isinstance(part, Mapping) else part
