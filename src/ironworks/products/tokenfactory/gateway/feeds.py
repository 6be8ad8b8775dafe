"""One feed for each part of the snapshot: what of it is out of date, and loading that, whole or piece by piece.

A change of one key among ten thousand loads one key. What a change may alter widely (a role, an assignment, a suspended
platform) loads that part whole; which keys it alters is for identity management to know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from ironworks.products.tokenfactory.gateway.sources import (
    STRIDE,
    ChangedKeys,
    ChangedRoutes,
    KeySource,
    KeyView,
    Source,
    Sources,
    tell_skipped,
)
from ironworks.products.tokenfactory.routing import Route, RouteSource, RouteTable
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

POLL = 1.0
RESYNC = 60.0
BREATH = 0.05
"""Between two loads, so that a burst of changes is one load."""
FIRST_RETRY, LAST_RETRY = 0.1, 2.0
PIECES = 500
"""More changes than this at once, and everything is loaded."""


class Part(Protocol):
    """A source behind one face: `single` are the kinds whose changes `load_changed` can apply piece by piece."""

    @property
    def source(self) -> Any: ...
    @property
    def single(self) -> frozenset[str]: ...
    async def load(self) -> Any:
        """The whole value."""

    async def load_changed(self, uids: Collection[UUID], before: Any) -> Any:
        """`before` with what `uids` name as it is now."""

    def value_of(self, rows: Sequence[Any]) -> Any:
        """The value that is made of these rows."""


class Feed:
    """Keeps one part current.

    Attributes:
        confirmed: monotonic seconds when the part was last known to be current, minus infinity before.
        problem: why it is not, or which rows are left out; empty when all is well.
    """

    def __init__(self, name: str, part: Part, take: Callable[[str, Any], None]) -> None:
        """`take` gets (`name`, the new value); what it raises counts as a load that failed."""
        self.name = name
        self.confirmed = float("-inf")
        self.problem = ""
        self._part = part
        self._take = take
        self._value: Any = None
        self._all_stale = True
        self._stale: set[UUID] = set()
        self._loading = False
        self._wake = asyncio.Event()

    def notice(self, kind: str, uid: UUID | None) -> None:
        """Something changed; see Mirror.notice."""
        if kind and kind not in self._part.source.kinds:
            return
        if uid is not None and kind in self._part.single:
            self._stale.add(uid)
        else:
            self._all_stale = True
        self._wake.set()

    def confirm(self, now: float) -> None:
        """All changes up to `now` have been noticed."""
        if not (self._all_stale or self._stale or self._loading):
            self.confirmed = now

    def begin_with(self, rows: Sequence[Any], confirmed: float) -> None:
        """Take `rows`, last known to be current at `confirmed`, unless something was loaded already."""
        if self._value is None:
            self._value = self._part.value_of(rows)
            self.confirmed = confirmed
            self._take(self.name, self._value)

    async def run(self, is_fed: Callable[[], bool]) -> None:
        """Load what is stale, again and again. A load that fails is tried again while the old value serves."""
        wait = FIRST_RETRY
        while True:
            try:
                await self._renew()
            except Exception as problem:
                self.problem = f"cannot be loaded; what is known is used: {problem!r}"
                log.warning("a part of the snapshot cannot be loaded", part=self.name, problem=repr(problem))
                await self._wait(wait)
                wait = min(wait * 2, LAST_RETRY)
                continue
            wait = FIRST_RETRY
            await self._sleep(is_fed)

    async def _renew(self) -> None:
        """Load what is stale and hand it on. What changes meanwhile is stale again at once."""
        everything, pieces = self._all_stale or len(self._stale) > PIECES, self._stale
        self._all_stale, self._stale, self._loading = False, set(), True
        self._wake.clear()
        began = time.monotonic()
        try:
            if everything or self._value is None:
                value = await self._part.load()
            else:
                value = await self._part.load_changed(pieces, self._value)
            self._take(self.name, value)
        except BaseException:
            self._all_stale |= everything
            self._stale |= pieces
            raise
        finally:
            self._loading = False
        self._value = value
        self.confirmed = began
        self.problem = tell_skipped(getattr(self._part.source, "skipped", ()))

    async def _sleep(self, is_fed: Callable[[], bool]) -> None:
        """Until something is stale; what was not noticed is found by polling, which begins when the feed dies."""
        resync = time.monotonic() + RESYNC
        while not await self._wait(POLL):
            if not is_fed() or time.monotonic() >= resync:
                self._all_stale = True
                return

    async def _wait(self, limit: float) -> bool:
        """Until a change is noticed, at most `limit` seconds; whether there was one."""
        await asyncio.sleep(BREATH)
        try:
            async with asyncio.timeout(limit):
                return await self._wake.wait()
        except TimeoutError:
            return False


def feeds_of(sources: Sources, take: Callable[[str, Any], None]) -> list[Feed]:
    """One feed for each source."""
    return [
        Feed("keys", _Keys(sources.keys), take),
        Feed("routes", _Routes(sources.routes), take),
        Feed("limits", _Opaque(sources.limits), take),
        Feed("budgets", _Opaque(sources.budgets), take),
        Feed("prices", _Opaque(sources.prices), take),
    ]


def feed_of(name: str, source: Source, take: Callable[[str, Any], None]) -> Feed:
    """A feed beside the snapshot's, of what no request is decided by."""
    return Feed(name, _Opaque(source), take)


class _Keys:
    """Keys by digest. A rotated key has two digests for a while."""

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self.single = source.single if isinstance(source, ChangedKeys) else frozenset[str]()

    async def load(self) -> Mapping[bytes, KeyView]:
        return await _by_digest(await self.source.load_keys())

    async def load_changed(self, uids: Collection[UUID], before: Mapping[bytes, KeyView]) -> Mapping[bytes, KeyView]:
        assert isinstance(self.source, ChangedKeys)
        found = await self.source.load_changed(uids)
        kept = await _by_digest(key for key in before.values() if key.uid not in uids and key.owner not in uids)
        return {**kept, **{key.digest: key for key in found}}

    def value_of(self, rows: Sequence[KeyView]) -> Mapping[bytes, KeyView]:
        return {key.digest: key for key in rows}


class _Routes:
    """Routes as a table."""

    def __init__(self, source: RouteSource) -> None:
        self.source = source
        self.single = source.single if isinstance(source, ChangedRoutes) else frozenset[str]()

    async def load(self) -> RouteTable:
        return RouteTable(await self.source.load_routes())

    async def load_changed(self, uids: Collection[UUID], before: RouteTable) -> RouteTable:
        assert isinstance(self.source, ChangedRoutes)
        return RouteTable(await self.source.load_changed(uids))

    def value_of(self, rows: Sequence[Route]) -> RouteTable:
        return RouteTable(rows)


class _Opaque:
    """What is taken as it comes, always whole."""

    single: frozenset[str] = frozenset()

    def __init__(self, source: Source) -> None:
        self.source = source

    async def load(self) -> Sequence[Any]:
        return await self.source.load()

    async def load_changed(self, uids: Collection[UUID], before: Sequence[Any]) -> Sequence[Any]:
        raise AssertionError("no change is applied piece by piece")

    def value_of(self, rows: Sequence[Any]) -> Sequence[Any]:
        return rows


async def _by_digest(keys: Iterable[KeyView]) -> dict[bytes, KeyView]:
    """The event loop gets its turn in between."""
    found: dict[bytes, KeyView] = {}
    for number, key in enumerate(keys, 1):
        found[key.digest] = key
        if number % (STRIDE * 10) == 0:
            await asyncio.sleep(0)
    return found
