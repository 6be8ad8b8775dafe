"""The usage event: all quantities that one occurrence used, under an id that makes it count once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import orjson

from ironworks.shared.context import to_json
from ironworks.shared.errors import Invalid
from ironworks.shared.path import parse_path

INPUT_TOKENS: Final = "input_tokens"
CACHED_INPUT_TOKENS: Final = "cached_input_tokens"
INPUT_AUDIO_TOKENS: Final = "input_audio_tokens"
OUTPUT_TOKENS: Final = "output_tokens"
REASONING_TOKENS: Final = "reasoning_tokens"
OUTPUT_AUDIO_TOKENS: Final = "output_audio_tokens"
SPEECH_CHARACTERS: Final = "speech_characters"
AUDIO_SECONDS: Final = "audio_seconds"
RERANK_DOCUMENTS: Final = "rerank_documents"
IMAGES: Final = "images"
CACHED_RESPONSES: Final = "cached_responses"

MAX_QUANTITY: Final = 10**12
"""More than this of anything in one occurrence is a mistake of whoever measured it, not usage."""
MAX_TEXT: Final = 512
MAX_LATE: Final = timedelta(days=35)
"""What comes from outside may tell of the past so far, so that a month can be handed in after its end."""
MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a clock outside may be ahead of ours."""
MAX_APART: Final = timedelta(days=1)
"""How far the clock of a process of ours may be ahead: what it answered is charged, on the day that it says."""
CLAIMS_KEPT: Final = timedelta(days=40)
"""How long an id counts once. Longer than MAX_LATE by more than clocks differ."""
EVENTS_KEPT: Final = timedelta(days=400)
"""How long single events are kept: a year and a month, so that a year's invoices open into what is behind them."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+@-]{0,199}")

GroupBy: TypeAlias = str
"""One of `GROUPS`, or `metadata:` and the name of an entry."""
GROUPS: Final = ("model", "key", "tenant", "route", "endpoint", "user", "day", "hour")
METADATA: Final = "metadata:"
GROUP_PATTERN: Final = f"^({'|'.join(GROUPS)}|{METADATA}.{{1,64}})$"


Every: TypeAlias = Literal["hour", "day"]
DIMENSION: Final = "dimension:"
SERIES_PATTERN: Final = f"^(tenant|model|route|endpoint|key|{DIMENSION}[A-Za-z0-9_.-]{{1,64}})$"


class Reason(StrEnum):
    """Why a usage event was set aside."""

    CONFLICT = "conflict"
    BAD_ID = "bad_id"
    BAD_SCOPE = "bad_scope"
    BAD_TIME = "bad_time"
    BAD_TEXT = "bad_text"
    BAD_QUANTITY = "bad_quantity"
    UNKNOWN_METER = "unknown_meter"
    TOO_LATE = "too_late"
    IN_FUTURE = "in_future"
    BAD_READING = "bad_reading"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """What one occurrence used.

    Args:
        id: counts once, for ever; the gateway's is its request id.
        occurred_at: when the use ended, with a time zone.
        scope: path of the tenant that pays.
        quantities: meter name → whole number of its units.
        model: the name under which prices are looked up.
        route: the name the caller used. endpoint_*: what served it; endpoint_scope is a path.
        counted: the quantities come from our own count because the true ones were lost in a crash.
        client_request_id: the caller's own id; deduplicates nothing.
        dimensions: further words to group by, ours. metadata: the caller's own.
        priced_at: the prices in force at this moment count; None for occurred_at.
        route_uid: what the caller's name led to. user: the end user that the caller named.
        cached_answer: an earlier answer was given again, nothing served it.
        readings: meter → what was read of a meter that is not added up: a level or a word.
        resource: whose level it is, where it counts by the time it holds.
        course: how a request went, for who looks at it: `duration_ms`, `first_byte_ms`, `tries`, `streamed` (1 or 0).
            No part of the content: nothing is charged by it.
    """

    id: str
    occurred_at: datetime
    scope: str
    quantities: Mapping[str, int]
    model: str = ""
    route: str = ""
    endpoint_uid: UUID | None = None
    endpoint_name: str = ""
    endpoint_scope: str = ""
    key_uid: UUID | None = None
    counted: bool = False
    client_request_id: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    priced_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    route_uid: UUID | None = None
    user: str | None = None
    cached_answer: bool = False
    readings: Mapping[str, int | str] = field(default_factory=dict)
    resource: str = ""
    course: Mapping[str, int] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Every field in a form that JSON can hold; equal events have equal content.

        What came with a later release appears only where it is set: an event that was recorded before it existed
        keeps its digest, so that handing it in again after an upgrade is no conflict.
        """
        return {
            "id": self.id,
            "occurred_at": _moment(self.occurred_at),
            "scope": self.scope,
            "quantities": {meter: _json_number(q) for meter, q in sorted(self.quantities.items())},
            "model": self.model,
            "route": self.route,
            "endpoint_uid": self.endpoint_uid and str(self.endpoint_uid),
            "endpoint_name": self.endpoint_name,
            "endpoint_scope": self.endpoint_scope,
            "key_uid": self.key_uid and str(self.key_uid),
            "counted": self.counted,
            "client_request_id": self.client_request_id,
            "dimensions": dict(sorted(self.dimensions.items())),
            **self._later_content(),
        }

    def _later_content(self) -> dict[str, Any]:
        later = {
            "priced_at": self.priced_at and _moment(self.priced_at),
            "metadata": dict(sorted(self.metadata.items())),
            "route_uid": self.route_uid and str(self.route_uid),
            "user": self.user,
            "cached_answer": self.cached_answer,
            "readings": {m: v if isinstance(v, str) else _json_number(v) for m, v in sorted(self.readings.items())},
            "resource": self.resource,
        }
        return {name: value for name, value in later.items() if value}

    def digest(self) -> bytes:
        """16 bytes that tell this content from any other under the same id."""
        return hashlib.blake2b(_stable_json(self.content()), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """A usage event as stored."""

    event: UsageEvent
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that was kept but not counted, and why. `problem` is for people."""

    event: UsageEvent
    reason: Reason
    problem: str


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """One group's sums: quantities per meter over `requests` events.

    `group` is a model, a key's uid, a path, a route's name, `path/name` of an endpoint, an end user, a UTC day
    (`2026-03-01`) or hour (`2026-03-01T12:00Z`), or a metadata value; empty for events that have none.
    """

    group: str
    requests: int
    quantities: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MeterPoint:
    """What a meter counted in the hour or day that begins at `at`, for one group."""

    at: datetime
    group: Mapping[str, str]
    quantity: int


@dataclass(frozen=True, slots=True)
class GroupedEvent:
    """Where one event belongs in a grouping."""

    id: str
    occurred_at: datetime
    group: str


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """What a month's readings of one series come to so far.

    Args:
        month: its first day. series: names model and dimensions.
        total: levels by the time they held in units × seconds, or the largest level, or how many different words.
        settled: the quantity that is charged already.
    """

    month: date
    meter: str
    scope: str
    model: str
    dimensions: Mapping[str, str]
    series: UUID
    total: Decimal
    settled: int

    def quantity(self, aggregation: str, unit: str, over: bool) -> int:
        """In whole units of the meter: begun ones do not count until the month is over, then half counts to even.

        A unit that ends with `month` is one level held all the month, `hour` or `h` one held an hour, else a second.
        """
        per = seconds_per(unit, self.month) if aggregation == "time_weighted" else 1
        whole = (self.total / per).to_integral_value(ROUND_HALF_EVEN if over else ROUND_FLOOR)
        return int(whole)


def seconds_per(unit: str, month: date) -> int:
    """How many seconds of a level of 1 are one `unit`; a month has the days that it has."""
    if unit.endswith("month"):
        return (next_month(month) - month).days * 86_400
    return 3600 if unit.endswith(("hour", "h")) else 1


def next_month(month: date) -> date:
    """The first day of the month after the one that begins on `month`."""
    return (month + timedelta(days=31)).replace(day=1)


def open_months(today: date, late: timedelta) -> list[date]:
    """First days of the months that something so late may still reach, and of this one; oldest first."""
    months = [(today - late - timedelta(days=1)).replace(day=1)]
    while (following := next_month(months[-1])) <= today:
        months.append(following)
    return months


def midnight(day: date) -> datetime:
    """Where a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def settled_event(total: MonthTotal, quantity: int, at: datetime) -> UsageEvent:
    """The usage event that takes what is charged of a series from `total.settled` to `quantity`."""
    of = hashlib.blake2b(f"{total.scope} {total.series}".encode(), digest_size=16).hexdigest()
    return UsageEvent(
        id=f"settled:{total.month:%Y-%m}:{total.meter}:{of}:{quantity}",
        occurred_at=at,
        scope=total.scope,
        quantities={total.meter: quantity - total.settled},
        model=total.model,
        dimensions=total.dimensions,
    )


def find_bad_reading(event: UsageEvent, aggregations: Mapping[str, str]) -> SetAside | None:
    """Why a reading of `event` cannot be taken, or None. `aggregations`: meter → how it is made a quantity."""
    for meter, value in event.readings.items():
        kind = aggregations.get(meter)
        if kind is None:
            return SetAside(event, Reason.UNKNOWN_METER, f"no enabled meter is called {meter!r}")
        if kind == "sum":
            return SetAside(event, Reason.BAD_READING, f"{meter} is added up: hand in a quantity")
        if kind == "unique" and not (isinstance(value, str) and len(value) > 0 and _is_storable(value)):
            return SetAside(event, Reason.BAD_READING, f"{meter} needs a text of 1 to {MAX_TEXT} characters")
        if kind != "unique" and (type(value) is not int or not 0 <= value <= MAX_QUANTITY):
            return SetAside(event, Reason.BAD_READING, f"{meter} must be a whole number from 0 to {MAX_QUANTITY}")
        if kind == "time_weighted" and not event.resource:
            return SetAside(event, Reason.BAD_READING, f"{meter} needs the resource that has this level from then on")
    return None


def find_problem(event: UsageEvent, meters: Collection[str]) -> SetAside | None:
    """Why `event` cannot be counted, or None. `meters` are the registered and enabled ones."""
    if not _ID.fullmatch(event.id):
        return SetAside(event, Reason.BAD_ID, "an id is 1 to 200 of letters, digits and . _ : / + @ -")
    if event.occurred_at.tzinfo is None or (event.priced_at and event.priced_at.tzinfo is None):
        return SetAside(event, Reason.BAD_TIME, "occurred_at and priced_at need a time zone")
    if not (_is_path(event.scope) and _is_path(event.endpoint_scope)):
        return SetAside(event, Reason.BAD_SCOPE, "scope and endpoint_scope must be paths")
    if not all(_is_storable(text) for text in _texts(event)):
        return SetAside(event, Reason.BAD_TEXT, f"texts must be Unicode of at most {MAX_TEXT} characters, without NUL")
    for meter, quantity in event.quantities.items():
        if meter not in meters:
            return SetAside(event, Reason.UNKNOWN_METER, f"no enabled meter is called {meter!r}")
        if type(quantity) is not int or not 0 <= quantity <= MAX_QUANTITY:
            return SetAside(event, Reason.BAD_QUANTITY, f"{meter} must be a whole number from 0 to {MAX_QUANTITY}")
    return None


@dataclass(frozen=True, slots=True)
class Window:
    """Between which moments an event may have occurred; `since` None: however long ago."""

    since: datetime | None
    until: datetime

    def find_problem(self, event: UsageEvent) -> SetAside | None:
        """Why `event`, which has a time zone, does not belong here, or None."""
        if event.occurred_at > self.until:
            return SetAside(event, Reason.IN_FUTURE, f"it occurred after {_moment(self.until)}: set the clock right")
        if self.since and event.occurred_at < self.since:
            return SetAside(event, Reason.TOO_LATE, f"it occurred before {_moment(self.since)}: too late to count once")
        return None


def _stable_json(content: Mapping[str, Any]) -> bytes:
    """What `to_json` writes, to the byte: five times sooner for the plain text that nearly every event consists of."""
    try:
        quick = orjson.dumps(content)
    except orjson.JSONEncodeError:  # half a character, or a number that only a faulty measurer hands in
        return to_json(content).encode()
    if quick.isascii() and b"\x7f" not in quick:
        return quick
    return to_json(content).encode()


def _moment(at: datetime) -> str:
    return (at.astimezone(UTC) if at.tzinfo is not None else at).isoformat()


def _json_number(quantity: int) -> int | str:
    """`quantity` itself, or, for what only a faulty measurer hands in (NaN, a huge number), a text that shows it."""
    if type(quantity) is not int:
        return repr(quantity)[:MAX_TEXT]
    return quantity if abs(quantity) < 1 << 64 else hex(quantity)[:MAX_TEXT]


def _texts(event: UsageEvent) -> tuple[str, ...]:
    names = (event.model, event.route, event.endpoint_name, event.resource)
    fixed = (*names, event.client_request_id or "", event.user or "")
    words = (*event.dimensions, *event.dimensions.values(), *event.metadata, *event.metadata.values())
    return fixed + words


def _is_storable(text: str) -> bool:
    """Whether Postgres can hold `text`: no NUL, no lone surrogate."""
    return len(text) <= MAX_TEXT and "\0" not in text and (text.isascii() or _encodes(text))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=4096)
def _is_path(text: str) -> bool:
    try:
        return parse_path(text) == text
    except Invalid:
        return False
