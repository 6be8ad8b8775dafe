"""Capturing texts in a gateway process: which requests, how much of each, and how much in all.

The texts are in memory alone until they are handed on to be sealed, a second later. The bound on all of them together
is kept whatever policies say: a text that does not fit is cut off, a trace that does not fit is dropped and counted.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias
from uuid import UUID

from ironworks.products.tokenfactory.traces.model import EVERY_MODEL, Captured, PolicyView
from ironworks.shared import telemetry
from ironworks.shared.path import covers

log = telemetry.logger(__name__)

KeepTraces: TypeAlias = Callable[[Sequence[Captured]], Awaitable[None]]
"""Seals and stores a batch; raising means: again later, while there is room."""
Resolve: TypeAlias = Callable[[str, str], UUID | None]
"""(scope, model name) → the uid of the route that callers there mean."""

MOST_BYTES: Final = 32 * 1024 * 1024
BATCH: Final = 100
EVERY: Final = 1.0
LONGEST: Final = 60.0
"""Seconds for which a text that cannot be stored stays in memory."""


class Capturing:
    """One request under way."""

    __slots__ = ("_answer", "_left", "_owner", "policy", "request", "truncated")

    def __init__(self, owner: Captures, policy: PolicyView, request: bytes) -> None:
        self._owner = owner
        self.policy = policy
        self.request = owner.take(request, policy.max_bytes)
        self.truncated = len(self.request) < len(request)
        self._left = policy.max_bytes
        self._answer: list[bytes] = []

    def add(self, data: bytes) -> None:
        """The caller was sent `data`."""
        if self.truncated and not self._left:
            return
        kept = self._owner.take(data, self._left)
        self._left -= len(kept)
        if len(kept) < len(data):
            self.truncated = True
            self._left = 0
        if kept:
            self._answer.append(kept)

    def answer(self) -> bytes:
        """What the caller was sent, as far as it was kept."""
        return b"".join(self._answer)


class Captures:
    """All of a process's captures.

    Args:
        keep: where they go; None captures nothing, whatever policies there are.

    Attributes:
        on: whether any request may be captured. lost: traces that were dropped. failing: why the last batch could not
            be stored; empty when it was.
    """

    def __init__(self, keep: KeepTraces | None, limit: int = MOST_BYTES) -> None:
        self.on = False
        self.lost = 0
        self.failing = ""
        self._keep = keep
        self._room = limit
        self._policies: tuple[PolicyView, ...] = ()
        self._by_route: dict[UUID, tuple[PolicyView, ...]] = {}
        self._everywhere: tuple[PolicyView, ...] = ()
        self._waiting: deque[tuple[float, Captured]] = deque()
        self._random = random.Random(os.urandom(16)).random  # noqa: S311 - picks a sample

    def replace(self, policies: Iterable[PolicyView], resolve: Resolve) -> None:
        """Capture by these policies from now on; those nearest to the caller come first."""
        self._policies = tuple(sorted(policies, key=lambda policy: (-len(policy.scope), policy.scope, policy.model)))
        self.resolve(resolve)

    def resolve(self, resolve: Resolve) -> None:
        """The names of models may mean other routes now."""
        by_route: dict[UUID, tuple[PolicyView, ...]] = {}
        for policy in self._policies:
            route = None if policy.model == EVERY_MODEL else resolve(policy.scope, policy.model)
            if route is not None:
                by_route[route] = (*by_route.get(route, ()), policy)
        self._by_route = by_route
        self._everywhere = tuple(policy for policy in self._policies if policy.model == EVERY_MODEL)
        self.on = self._keep is not None and bool(self._by_route or self._everywhere)

    def begin(self, route: UUID, scope: str, request: bytes) -> Capturing | None:
        """What to capture of a request from a key at `scope`, if a policy there or above it wants it."""
        for policy in (*self._by_route.get(route, ()), *self._everywhere):
            if covers(policy.scope, scope) and self._random() < policy.sample_rate:
                return Capturing(self, policy, request)
        return None

    def take(self, data: bytes, most: int) -> bytes:
        """As much of `data` as may be kept."""
        size = min(len(data), most, self._room)
        self._room -= size
        return bytes(data[:size]) if size else b""

    def finish(self, capturing: Capturing, facts: Captured) -> None:
        """The request is over; what was captured of it waits to be stored."""
        made = replace(
            facts,
            policy=capturing.policy,
            request=capturing.request,
            answer=capturing.answer(),
            truncated=capturing.truncated,
        )
        self._waiting.append((time.monotonic(), made))

    async def run(self) -> None:
        """Store for ever; cancel to stop."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Store what waits, and let go of what has waited for too long."""
        while self._waiting and self._keep is not None:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._keep([captured for _, captured in batch])
            except Exception as problem:
                self._put_back(batch, problem)
                return
            self._forget(batch)
        self.failing = ""

    def _put_back(self, batch: list[tuple[float, Captured]], problem: Exception) -> None:
        if not self.failing:
            log.warning("traces cannot be stored", problem=type(problem).__name__)  # its words may hold what was sent
        self.failing = type(problem).__name__
        oldest = time.monotonic() - LONGEST
        fresh = [each for each in batch if each[0] > oldest]
        late = [each for each in batch if each[0] <= oldest]
        self.lost += len(late)
        self._forget(late)
        self._waiting.extendleft(reversed(fresh))

    def _forget(self, batch: list[tuple[float, Captured]]) -> None:
        self._room += sum(len(captured.request) + len(captured.answer) for _, captured in batch)
