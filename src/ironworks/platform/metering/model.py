"""The usage event: all quantities that one occurrence used, under an id that makes it count once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from ironworks.shared.context import to_json

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


Course: TypeAlias = Mapping[str, Any]
"""What a gateway saw: `duration_ms`, `tries`, `streamed` (1 or 0), and where there was one `first_byte_ms`; `asked_us`,
`sent_us`, `ended_us`: when, since it came, the last upstream was turned to, was sent it, and had answered; `steps`:
lists of what, from, until (microseconds) and whom, of all else that took its time; `error`: the code that its caller
was told."""


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
        course: how a request went, for who looks at it. No part of the content: nothing is charged by it.
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
    course: Course = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """Every field in a form that JSON can hold; equal events have equal content.

        What came with a later release appears only where it is set: an event that was recorded before it existed
        keeps its digest, so that handing it in again after an upgrade is no conflict.
        """
        return self._content(_PLAIN)

    def digest(self) -> bytes:
        """16 bytes that tell this content from any other under the same id."""
        return hashlib.blake2b(self._stable_json(), digest_size=16).digest()

    def _stable_json(self) -> bytes:
        """What `to_json` makes of the content, to the byte; several times sooner for the plain text that it mostly is.

        Never changed: the digests of what is recorded are made of it.
        """
        try:
            quick = orjson.dumps(self._content(_QUICK))
        except TypeError:  # half a character, or a number that only a faulty measurer hands in
            return to_json(self.content()).encode()
        if quick.isascii() and b"\x7f" not in quick:
            return quick
        return to_json(self.content()).encode()

    def _content(self, form: _Form) -> dict[str, Any]:
        return {
            "id": self.id,
            "occurred_at": form.moment(self.occurred_at),
            "scope": self.scope,
            "quantities": form.numbers(self.quantities),
            "model": self.model,
            "route": self.route,
            "endpoint_uid": self.endpoint_uid and form.uid(self.endpoint_uid),
            "endpoint_name": self.endpoint_name,
            "endpoint_scope": self.endpoint_scope,
            "key_uid": self.key_uid and form.uid(self.key_uid),
            "counted": self.counted,
            "client_request_id": self.client_request_id,
            "dimensions": form.words(self.dimensions),
            **self._later_content(form),
        }

    def _later_content(self, form: _Form) -> dict[str, Any]:
        later = {
            "priced_at": self.priced_at and form.moment(self.priced_at),
            "metadata": form.words(self.metadata),
            "route_uid": self.route_uid and form.uid(self.route_uid),
            "user": self.user,
            "cached_answer": self.cached_answer,
            "readings": form.readings(self.readings),
            "resource": self.resource,
        }
        return {name: value for name, value in later.items() if value}


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


def _moment(at: datetime) -> str:
    return _in_utc(at).isoformat()


def _in_utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC or at.tzinfo is None else at.astimezone(UTC)


def _json_number(quantity: int) -> int | str:
    """`quantity` itself, or, for what only a faulty measurer hands in (NaN, a huge number), a text that shows it."""
    if type(quantity) is not int:
        return repr(quantity)[:MAX_TEXT]
    return quantity if abs(quantity) < 1 << 64 else hex(quantity)[:MAX_TEXT]


class _Form(NamedTuple):
    """How the values of an event's content are written."""

    moment: Callable[[datetime], Any]
    uid: Callable[[UUID], Any]
    numbers: Callable[[Mapping[str, int]], Any]
    words: Callable[[Mapping[str, str]], Any]
    readings: Callable[[Mapping[str, int | str]], Any]


_PLAIN: Final = _Form(
    moment=_moment,
    uid=str,
    numbers=lambda numbers: {meter: _json_number(number) for meter, number in sorted(numbers.items())},
    words=lambda words: dict(sorted(words.items())),
    readings=lambda readings: {
        meter: value if isinstance(value, str) else _json_number(value) for meter, value in sorted(readings.items())
    },
)


def _sorted_json(mapping: Mapping[str, Any]) -> Any:
    return orjson.Fragment(orjson.dumps(mapping, option=orjson.OPT_SORT_KEYS)) if mapping else {}


def _sorted_numbers(numbers: Mapping[str, Any]) -> Any:
    for number in numbers.values():
        if type(number) is not int:
            raise TypeError(f"{number!r} is no whole number")
    return _sorted_json(numbers)


_QUICK: Final = _Form(
    moment=_in_utc, uid=lambda uid: uid, numbers=_sorted_numbers, words=_sorted_json, readings=_sorted_numbers
)
"""As orjson writes these types, which is what `_PLAIN` gives; raises TypeError for what it would write otherwise."""
