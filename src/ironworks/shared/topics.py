"""Topics: what changes and is of no kind, such as invoices, usage or the audit trail. A watch tells that something of a
topic changed, and where, never what: whoever may read it asks again, at most about once a second however much changes.

A domain declares its topics in `declarations.py`, each with the permission that reads it, and names their tables in
`policy.sql`:

    topics=(Topic("invoices", "invoice:read", "Invoices, credit notes, and what is paid of them"),)

    select shared.tell_changes('invoices', 'platform_invoices.invoice');

Whatever writes such a table is told of then: no code path can forget it. How a reader learns of every commit exactly,
without an order of commits, is in `sql/0007_topics.sql`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, TypeAlias

from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.notify import keep_trying

Place: TypeAlias = tuple[str, str]
"""A topic's name, and the scope at which something of it changed, or whose own it is."""

KEPT: Final = timedelta(minutes=10)
"""How long a reader may be away and still be told what it missed."""
_LATELY: Final = timedelta(seconds=5)
_SINCE: Final = "select upto, complete, topics, scopes from shared.touched_since($1::text::pg_snapshot, $2)"


@dataclass(frozen=True, slots=True)
class Touched:
    """What was touched between two looks.

    Args:
        complete: otherwise everything may have been.
        upto: the snapshot of the later look.
    """

    places: frozenset[Place]
    complete: bool
    upto: str

    @property
    def oldest(self) -> int:
        """The oldest transaction that had not ended: what commits later is not older than it."""
        return int(self.upto.partition(":")[0])


async def read_touched(db: Database, oldest: int | None) -> Touched:
    """What was touched by transactions from `oldest` on, or in the last seconds where that is None; 0 is before all."""
    return await _read(db, None if oldest is None else f"{oldest or 1}:{oldest or 1}:")


async def _read(db: Database, since: str | None) -> Touched:
    [(upto, complete, topics, scopes)] = await db.fetch(_SINCE, since, _LATELY)
    return Touched(frozenset(zip(topics, scopes, strict=True)), complete, upto)


async def forget_touched(db: Database, older_than: timedelta = KEPT) -> int:
    """Remove what nobody asks for any more; returns how many rows went. For the worker, each minute."""
    async with db.transaction(system_actor("topics")) as ctx:
        gone: int = await ctx.db.fetchval("select shared.forget_touched($1)", older_than)
        return gone


class Listener:
    """What one reader in this process is told; `with topics.listen(…) as listener`."""

    def __init__(self, topics: Topics, wake: Callable[[], None]) -> None:
        self._topics = topics
        self._wake = wake
        self._held: set[Place] = set()
        self._complete = True
        self.oldest = 0
        """What was touched by transactions before this one was given by `take`, or before that."""

    async def ready(self) -> None:
        """Wait until whatever commits from now on will be told."""
        await self._topics.looked.wait()

    def take(self) -> tuple[frozenset[Place], bool]:
        """What was touched since the last call, and whether that is all; if not, everything may have been."""
        held, complete = frozenset(self._held), self._complete
        self._held, self._complete = set(), True
        self.oldest = self._topics.oldest
        return held, complete

    def offer(self, touched: Touched) -> None:
        if touched.places or not touched.complete:
            self._held |= touched.places
            self._complete &= touched.complete
            self._wake()

    def __enter__(self) -> Listener:
        self._topics.join(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._topics.leave(self)


class Topics:
    """Looks what was touched, for all of this process, while anybody listens. One per process.

    Args:
        every: seconds between two looks.
    """

    def __init__(self, db: Database, every: float = 0.5) -> None:
        self.db = db
        self.every = every
        self.looked = asyncio.Event()
        self.oldest = 0
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._upto: str | None = None

    def listen(self, wake: Callable[[], None]) -> Listener:
        """Told from its `ready` on; `wake` is called whenever there is something to take."""
        return Listener(self, wake)

    def join(self, listener: Listener) -> None:
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(keep_trying(self._follow, "what looks for touched topics"))

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task, self._upto = None, None
            self.looked.clear()

    async def _follow(self) -> None:
        while True:
            touched = await _read(self.db, self._upto)
            self._upto, self.oldest = touched.upto, touched.oldest
            for listener in self._listeners:
                listener.offer(touched)
            self.looked.set()
            await asyncio.sleep(self.every)


def cut(scopes: Iterable[str], most: int) -> list[str]:
    """At most so many paths that cover all of `scopes`: these themselves, else their platforms, accounts, or all."""
    found = set(scopes)
    for depth in (2, 1, 0):
        if len(found) <= most:
            break
        found = {".".join(scope.split(".")[:depth]) for scope in found}
    return sorted(found)
