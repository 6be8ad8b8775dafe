"""Which limits a request meets, and what each of them counts: found once per key and route.

A plan is kept until limits change. Its gates hold all that admission needs, so that it computes nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from typing import Final
from uuid import UUID

from ironworks.products.tokenfactory.limits.model import Caller, LimitView
from ironworks.shared.path import parent

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Rule:
    """One number of a Limit, as one of several hosts enforces it.

    Rates are kept exact by making the window longer: a third of 10 a minute is 10 in three minutes.

    Args:
        asked: what the Limit says; seconds: for how long, 0 for what is in flight at once.
        limit, window, burst: what this host enforces, the window in nanoseconds.
    """

    name: str
    asked: int
    seconds: int
    limit: int
    window: int = 0
    burst: int = 0

    @property
    def tokens(self) -> bool:
        return self.name == "tokens-per-minute"


def rules_of(view: LimitView, hosts: int) -> Iterator[Rule]:
    """What `view` counts, where `hosts` hosts share it: equal parts of rates, bursts and concurrency, at least 1."""

    def share(count: int) -> int:
        return max(1, count // hosts)

    if (rate := view.requests_per_second) is not None:
        yield Rule("requests-per-second", rate, 1, rate, SECOND * hosts, share(view.burst or rate))
    if (rate := view.requests_per_minute) is not None:
        yield Rule("requests-per-minute", rate, 60, rate, MINUTE * hosts, share(view.burst or rate))
    if (rate := view.tokens_per_minute) is not None:
        yield Rule("tokens-per-minute", rate, 60, rate, MINUTE * hosts, share(view.token_burst or rate))
    if (most := view.concurrency) is not None:
        yield Rule("concurrent-requests", most, 0, share(most))


class Gate:
    """One count that a request must pass.

    Attributes:
        at: where its cell was last, 0 if nowhere; count: of a concurrency, the first process's count.
        span: how far ahead of now its cell's time may be; step: by how much the request moves it. Nanoseconds.
        limit: how many per `window` (nanoseconds) are allowed on this host, or at once where the window is 0.
        pace: `limit` per nanosecond.
        price, units: nanoseconds for so many units, `window` for `limit` in lowest terms: native code multiplies what
            is below 2**31 much faster.
        words: what its header lines have around their numbers. tokens: it counts tokens. subject: whose count it is.
        personal: one end user's.
    """

    __slots__ = (
        "at", "count", "high", "limit", "low", "owner", "pace", "personal", "price", "rule", "span", "step", "subject",
        "tokens", "units", "window", "words",
    )  # fmt: skip

    def __init__(self, key: tuple[int, int], owner: int, rule: Rule, subject: str, personal: bool) -> None:
        self.high, self.low = key
        self.owner = owner
        self.at = self.count = 0
        self.rule = rule
        self.tokens = rule.tokens
        self.personal = personal
        self.window = rule.window
        self.limit = rule.limit
        self.pace = rule.limit / rule.window if rule.window else 0.0
        common = gcd(rule.window, rule.limit)
        self.price, self.units = rule.window // common, rule.limit // common
        self.step = rule.window // rule.limit
        self.span = rule.burst * rule.window // rule.limit
        self.subject = subject
        self.words = _words_of(rule)

    def moved(self, time: int, tokens: int, end: int, now: int) -> int:
        """A cell's `time` after a debit of `tokens`, or giving them back where negative.

        What is given back is at most what has not drained away: `end` is the time up to which the debit reached. More
        would be a gift, for a cell that was idle meanwhile has lost nothing.
        """
        spent = tokens * self.price // self.units
        return time + (spent if tokens >= 0 else -min(-spent, max(0, end - now)))


@lru_cache(maxsize=1024)
def _words_of(rule: Rule) -> tuple[bytes, bytes, bytes]:
    unit = "tokens" if rule.tokens else "requests"
    lines = f"x-ratelimit-limit-{unit}: {rule.asked}\r\nx-ratelimit-remaining-{unit}: "
    return lines.encode(), f"\r\nx-ratelimit-reset-{unit}: ".encode(), f'\r\nratelimit: "{rule.name}";r='.encode()


class Gates:
    """What one request must pass. `tokens` are the last of `rates`; `flights` count what is in flight.

    `moves`: what the table's word of that name said when all their cells were where they say; -1 before.
    """

    __slots__ = ("flights", "moves", "rates", "tokens")

    def __init__(self, gates: Sequence[Gate] = ()) -> None:
        """In whatever order; these are those in which admission goes through them."""
        self.tokens = tuple([gate for gate in gates if gate.tokens])
        requests = [gate for gate in gates if gate.window and not gate.tokens]
        self.rates = (*requests, *self.tokens)
        self.flights = tuple([gate for gate in gates if not gate.window])
        self.moves = -1


@dataclass(slots=True, eq=False)
class Plan:
    """The limits between a key and a route. Opaque to callers; made anew by itself when limits change.

    Attributes:
        denied: the model is not among those that may be called.
        gates: those that every request meets, whoever the end user is.
        personal: what depends on the end user.
        policy: the header `RateLimit-Policy`.
    """

    caller: Caller
    generation: int = -1
    denied: bool = False
    gates: Gates = field(default_factory=Gates)
    personal: tuple[tuple[LimitView, Rule], ...] = ()
    policy: bytes = b""


class Book:
    """All limits, found by what they may apply to. Never changes after it is made."""

    __slots__ = ("_by_guarded", "_by_key", "_by_scope")

    def __init__(self, views: Sequence[LimitView] = ()) -> None:
        self._by_key: dict[UUID, list[LimitView]] = {}
        self._by_scope: dict[str, list[LimitView]] = {}
        self._by_guarded: dict[str, list[LimitView]] = {}
        for view in views:
            if view.key is not None:
                self._by_key.setdefault(view.key, []).append(view)
                continue
            self._by_scope.setdefault(view.scope, []).append(view)
            if view.guards_route:
                self._by_guarded.setdefault(view.home, []).append(view)

    def applying_to(self, caller: Caller) -> list[LimitView]:
        """Every limit that counts what `caller` does, from the top of the tree down."""
        found = {view.uid: view for view in self._candidates(caller) if view.applies(caller)}
        return sorted(found.values(), key=lambda view: (view.home, view.uid))

    def _candidates(self, caller: Caller) -> Iterator[LimitView]:
        yield from self._by_key.get(caller.key_uid, ())
        for scope in _upwards(caller.key_scope):
            yield from self._by_scope.get(scope, ())
        for scope in _upwards(caller.route_scope):
            yield from self._by_guarded.get(scope, ())


def _upwards(scope: str) -> Iterator[str]:
    """The scope and all above it, the operator's last."""
    while scope:
        yield scope
        scope = parent(scope)
    yield scope


def identity_of(view: LimitView, rule: Rule, caller: Caller, end_user: str | None) -> tuple[bytes, ...]:
    """What tells one count from all others: the limit, the rule, and what the limit is split by.

    An end user is somebody else at another tenant; requests that name none share one count.
    """
    parts = [view.uid.bytes, rule.name.encode()]
    if "tenant" in view.per or "end_user" in view.per:
        parts.append(caller.key_scope.encode())
    if "key" in view.per:
        parts.append(caller.key_uid.bytes)
    if "route" in view.per:
        parts.append(caller.route_uid.bytes)
    if "end_user" in view.per:
        parts.append(b"" if end_user is None else b"=" + end_user.encode(errors="surrogatepass"))
    return tuple(parts)
