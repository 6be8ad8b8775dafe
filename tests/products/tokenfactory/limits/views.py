"""Limits that tests make up, and a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from ironworks.products.tokenfactory.limits import Desk, LimitView, Plan

KEY = UUID(int=1)
ROUTE = UUID(int=2)
SCOPE = "acme.shop.eu"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
_NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class Clock:
    """Nanoseconds since the host's start, as a test says."""

    now: int = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


def limit(home: str = SCOPE, name: str = "", **fields: Any) -> LimitView:
    """A limit at `home`; the same name is the same limit."""
    uid = uuid5(_NAMES, name) if name else uuid4()
    return LimitView(uid=uid, home=home, **{"scope": home, **fields})


def plan(
    desk: Desk,
    key: UUID = KEY,
    key_scope: str = SCOPE,
    route: UUID = ROUTE,
    route_scope: str = SCOPE,
    name: str = "chat",
) -> Plan:
    """The plan of a caller that meets at least one limit."""
    made = desk.plan(key, key_scope, route, route_scope, name)
    assert made is not None
    return made


def desk_with(folder: Path, clock: Clock, *views: LimitView) -> Desk:
    """A desk over the table in `folder`."""
    desk = Desk(folder, clock=clock)
    desk.replace(views)
    return desk


def admitted(desk: Desk, of: Plan, tries: int, tokens: int = 1, end_user: str | None = None) -> int:
    """How many of so many requests pass; each is over at once."""
    from ironworks.products.tokenfactory.limits import Exceeded

    passed = 0
    for _ in range(tries):
        try:
            desk.admit(of, "chat", tokens, end_user).release()
        except Exceeded:
            continue
        passed += 1
    return passed
