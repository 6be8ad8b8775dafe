"""Rows of sums, histograms from which quantiles can be read after any merging, and what can be asked of them. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from ironworks.platform import metering

Interval: TypeAlias = Literal["minute", "hour", "day"]
Sort: TypeAlias = Literal["requests", "tokens", "cost", "errors"]

MINUTES_KEPT: Final = timedelta(hours=3, minutes=1)
"""Three hours, and a minute for a question to arrive in."""
HOURS_KEPT: Final = timedelta(days=400)
METERS: Final = (
    metering.INPUT_TOKENS,
    metering.CACHED_INPUT_TOKENS,
    metering.INPUT_AUDIO_TOKENS,
    metering.OUTPUT_TOKENS,
    metering.REASONING_TOKENS,
    metering.OUTPUT_AUDIO_TOKENS,
    metering.SPEECH_CHARACTERS,
    metering.AUDIO_SECONDS,
    metering.RERANK_DOCUMENTS,
    metering.IMAGES,
    metering.CACHED_RESPONSES,
)
"""Those that have a column; `/usage` knows every meter."""
TOKENS: Final = tuple(meter for meter in METERS if meter.endswith("_tokens"))
NUMBERS: Final = ("requests", "client_errors", "server_errors", "cost_nano", *METERS)
"""The columns that add up."""
_COLUMNS: Final = frozenset(METERS)

GROWTH: Final = 1.1
"""Each cell of a histogram ends at so many times the end of the one before: half of that bounds a quantile's error."""
LAST_CELL: Final = 200
_LOG_GROWTH = math.log(GROWTH)


def cell_of(milliseconds: float) -> int:
    """The cell of a duration: 0 up to 1 ms, then cell n ends at 1.1ⁿ ms; the last (52 hours) takes all longer ones."""
    if milliseconds <= 1:
        return 0
    return min(LAST_CELL, math.ceil(math.log(milliseconds) / _LOG_GROWTH))


def value_of(cell: int) -> float:
    """The milliseconds for which a cell stands: off by at most (GROWTH - 1) / (GROWTH + 1), 4.8 %, above 1 ms.

    The harmonic middle of the cell's ends, as DDSketch has it (Masson, Rim, Lee: VLDB 2019).
    """
    return 1.0 if cell == 0 else 2 * GROWTH**cell / (GROWTH + 1)


def quantile(q: float, cells: Mapping[int, int]) -> float | None:
    """The value at rank ⌈q·n⌉ of n durations, in milliseconds; None where there are none. `cells`: cell → durations."""
    total = sum(cells.values())
    if not total:
        return None
    rank = max(1, math.ceil(q * total))
    for cell in sorted(cells):
        rank -= cells[cell]
        if rank <= 0:
            return value_of(cell)
    raise AssertionError("the ranks end with the last cell")


class Series(NamedTuple):
    """Whose sums they are: what every row's id is made of."""

    scope: str
    key_uid: UUID | None
    route_uid: UUID | None
    route: str
    model: str
    endpoint: str
    target: str = ""

    @property
    def id(self) -> UUID:
        """The same in every process and release."""
        parts: tuple[object, ...] = (
            self.scope, self.key_uid or "", self.route_uid or "", self.route, self.model, self.endpoint,
        )  # fmt: skip
        if self.target:
            parts = (*parts, self.target)
        return UUID(bytes=hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest())


class Answered(NamedTuple):
    """One charged request as analytics takes it.

    Args:
        at: when it ended. series: who called what: the path of the tenant that pays, its key, the route's identity, the
            name that was called, the model that is priced, `path/name` of what served it, or empty, and what tells that
            from other targets of the same name, `gpt-4o@eu`, or empty.
        status: the HTTP status that was told, 499 where the caller left.
        cost_nano: what it was charged. latency_ms: from its arrival to its end. first_token_ms: to a stream's first
            byte, None without a stream.
    """

    at: datetime
    series: Series
    status: int
    quantities: Mapping[str, int]
    cost_nano: int
    latency_ms: float | None = None
    first_token_ms: float | None = None


@dataclass(slots=True)
class Row:
    """The sums of one series in one minute or hour, and its durations by cell."""

    numbers: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    first_token: Counter[int] = field(default_factory=Counter)

    def add(self, answered: Answered) -> None:
        """Count one request."""
        numbers = self.numbers
        numbers["requests"] += 1
        if answered.cost_nano:
            numbers["cost_nano"] += answered.cost_nano
        if answered.status >= 400:
            numbers["server_errors" if answered.status >= 500 else "client_errors"] += 1
        for meter, quantity in answered.quantities.items():
            if quantity and meter in _COLUMNS:
                numbers[meter] += quantity
        if answered.status < 400:
            if answered.latency_ms is not None:
                self.latency[cell_of(answered.latency_ms)] += 1
            if answered.first_token_ms is not None:
                self.first_token[cell_of(answered.first_token_ms)] += 1

    def merge(self, other: Row) -> None:
        """Add another's sums and durations."""
        self.numbers.update(other.numbers)
        self.latency.update(other.latency)
        self.first_token.update(other.first_token)


Rows: TypeAlias = dict[tuple[UUID, datetime], tuple[Series, Row]]


def add_up(batch: Iterable[Answered], interval: Literal["minute", "hour"], rows: Rows | None = None) -> Rows:
    """The rows of a batch, by series and the beginning of their minute or hour; added to `rows` where given."""
    rows = {} if rows is None else rows
    found: dict[tuple[Series, datetime], Row] = {}
    for one in batch:
        key = one.series, begin_of(one.at, interval)
        row = found.get(key)
        if row is None:
            series, begin = key
            row = found[key] = rows.setdefault((series.id, begin), (series, Row()))[1]
        row.add(one)
    return rows


def by_hour(minutes: Rows) -> Rows:
    """The rows of hours from those of minutes."""
    rows: Rows = {}
    for (uid, minute), (series, row) in minutes.items():
        rows.setdefault((uid, begin_of(minute, "hour")), (series, Row()))[1].merge(row)
    return rows


def begin_of(at: datetime, interval: Interval) -> datetime:
    """The beginning of the UTC minute, hour or day that `at` is in."""
    whole = at.astimezone(UTC).replace(second=0, microsecond=0)
    if interval != "minute":
        whole = whole.replace(minute=0)
    return whole.replace(hour=0) if interval == "day" else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a scope and all below it, for since <= time < until.

    Args:
        by: tenant, key, route, model, endpoint, target, minute, hour or day; or user or `metadata:<name>`, which are
            answered from metering: slower, without errors and durations.
        interval: also how each group went over time.
        filters: key (uid), route, route_uid, model or endpoint (`path/name`) → the one that counts.
        limit: the groups that are told, the first ones in the order of `sort`, largest first; times in their own.
    """

    path: str
    since: datetime
    until: datetime
    by: str = "model"
    interval: Interval | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: Sort = "requests"
    limit: int = 100

    @property
    def from_usage(self) -> bool:
        """Whether metering has to answer."""
        return self.by == "user" or self.by.startswith(metering.METADATA)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums. None: unknown, or not for this caller.

    `numbers` are those of `NUMBERS`; the durations are p50, p90 and p99 in milliseconds.
    """

    numbers: Mapping[str, int | None]
    latency_ms: tuple[float, ...] | None = None
    first_token_ms: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One group's sums, and over time where that was asked for."""

    name: str
    figures: Figures
    series: Sequence[tuple[datetime, Figures]] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. `since` is the beginning of the first minute or hour that is in it."""

    since: datetime
    until: datetime
    source: Literal["analytics", "usage"]
    total: Figures
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class History:
    """Usage of one scope, in [since, until), that may not be counted yet."""

    path: str
    since: datetime
    until: datetime

    @property
    def days(self) -> Iterator[tuple[datetime, datetime]]:
        """The period in parts that one transaction each can take."""
        at = self.since
        while at < self.until:
            yield at, min(at + timedelta(days=1), self.until)
            at += timedelta(days=1)
