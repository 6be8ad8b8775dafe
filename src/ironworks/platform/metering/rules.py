"""Why a usage event cannot be counted: pure, and quick, for every request is judged by it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ironworks.platform.metering.model import MAX_QUANTITY, MAX_TEXT, Reason, SetAside, UsageEvent
from ironworks.shared.errors import Invalid
from ironworks.shared.path import parse_path

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+@-]{0,199}")


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
    if not _are_storable(_texts(event)):
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
            return SetAside(
                event,
                Reason.IN_FUTURE,
                f"it occurred after {self.until.astimezone(UTC).isoformat()}: set the clock right",
            )
        if self.since and event.occurred_at < self.since:
            return SetAside(
                event,
                Reason.TOO_LATE,
                f"it occurred before {self.since.astimezone(UTC).isoformat()}: too late to count once",
            )
        return None


def _texts(event: UsageEvent) -> tuple[str, ...]:
    names = (event.model, event.route, event.endpoint_name, event.resource)
    fixed = (*names, event.client_request_id or "", event.user or "")
    words = (*event.dimensions, *event.dimensions.values(), *event.metadata, *event.metadata.values())
    return fixed + words


def _are_storable(texts: Sequence[str]) -> bool:
    together = "".join(texts)
    if len(together) <= MAX_TEXT and together.isascii() and "\0" not in together:
        return True
    return all(map(_is_storable, texts))


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
