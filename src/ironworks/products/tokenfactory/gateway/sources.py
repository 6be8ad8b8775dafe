"""Where a gateway's snapshot comes from: five sources that `app` hands in, each loaded and failing on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from ironworks.products.tokenfactory.gateway.keeping import Seal
from ironworks.products.tokenfactory.routing import Route, RouteSource
from ironworks.shared import telemetry
from ironworks.shared.path import covers

log = telemetry.logger(__name__)

STRIDE = 200
"""Rows handled before the event loop gets its turn: about a millisecond's worth."""
SHOWN = 3

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """An API key as the gateway knows it.

    Args:
        digest: SHA-256 of the whole key as the caller sends it; the key itself is nowhere.
        scope: the path where the key lives: its tenant pays, and bare model names are looked up there.
        owner: the subject whose rights it borrows.
        invoke_scopes: topmost paths at which the key may now do `endpoint:invoke` (its owner's rights, cut to its own).
        expires_at: seconds since the epoch. suspended: its platform is.
    """

    uid: UUID
    digest: bytes
    scope: str
    owner: UUID | None = None
    invoke_scopes: tuple[str, ...] = ()
    disabled: bool = False
    suspended: bool = False
    expires_at: float | None = None

    def may_invoke(self, scope: str) -> bool:
        """Whether it may call what lives at `scope`."""
        return any(covers(granted, scope) for granted in self.invoke_scopes)


class KeySource(Protocol):
    """Where keys come from: implemented by identity management, handed over in `app.wiring`."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds (keys, owners, roles, assignments, platforms …) whose changes make `load_keys` answer anew."""

    async def load_keys(self) -> Sequence[KeyView]:
        """Every key of the installation, usable or not; raises what its database raises."""


class Source(Protocol):
    """What a snapshot takes as it comes: limits, budgets, prices. Its value means something to their desks alone.

    It may also have `skipped`, the names of rows that its last load could not read and left out, and `row`, the type
    (a frozen dataclass) of what its sequence holds: with one it can be kept on disk for a start without a database.
    """

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds whose changes make `load` answer differently."""

    async def load(self) -> Sequence[Any]:
        """All of it; raises what its database raises."""


@runtime_checkable
class ChangedKeys(Protocol):
    """A KeySource that need not load everything for one change."""

    @property
    def single(self) -> frozenset[str]:
        """Of `kinds`, those whose uid is a key's own or its owner's."""

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[KeyView]:
        """Every key that is one of `uids` or belongs to one of them; what is gone is not among them."""


@runtime_checkable
class ChangedRoutes(Protocol):
    """A RouteSource that need not load everything for one change."""

    @property
    def single(self) -> frozenset[str]:
        """Of `kinds`, those of which single resources can be loaded."""

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[Route]:
        """Every route, as `load_routes` gives them, having looked anew at what `uids` name and at nothing else."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A source of a part that an installation does without."""

    kinds: frozenset[str] = frozenset()
    row: type = int

    async def load(self) -> Sequence[Any]:
        return ()


@dataclass(frozen=True, slots=True)
class Sources:
    """All of a snapshot's.

    Args:
        keys, routes: may also be ChangedKeys and ChangedRoutes.
        traces: `traces.PolicyView`s; no part of the snapshot, since no request is decided by them.
        seal: under which the last good snapshot is kept beside the spool; without one it is not.
    """

    keys: KeySource
    routes: RouteSource
    limits: Source = field(default_factory=Nothing)
    budgets: Source = field(default_factory=Nothing)
    prices: Source = field(default_factory=Nothing)
    traces: Source = field(default_factory=Nothing)
    seal: Seal | None = None


async def read_rows(
    rows: Iterable[R], read: Callable[[R], T | None], name: Callable[[R], str]
) -> tuple[list[T], tuple[str, ...]]:
    """(what `read` makes of each row, names of the rows that it could not read); None is left out without a word.

    For sources: one bad row must not keep the others from being loaded. The event loop gets its turn in between.
    """
    found: list[T] = []
    skipped: list[str] = []
    for number, row in enumerate(rows, 1):
        try:
            value = read(row)
        except Exception as problem:
            skipped.append(name(row))
            log.error("a row cannot be read and is left out", row=skipped[-1], problem=repr(problem))
            continue
        if value is not None:
            found.append(value)
        if number % STRIDE == 0:
            await asyncio.sleep(0)
    return found, tuple(skipped)


def tell_skipped(skipped: Collection[str]) -> str:
    """A sentence about rows that were left out; empty where none was."""
    if not skipped:
        return ""
    shown = ", ".join(list(skipped)[:SHOWN]) + (", …" if len(skipped) > SHOWN else "")
    return f"{len(skipped)} cannot be read and {'is' if len(skipped) == 1 else 'are'} left out: {shown}"
