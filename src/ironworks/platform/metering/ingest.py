"""Usage as the outside hands it in: CloudEvents 1.0, each of which is read, or refused with what is wrong in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from ironworks.platform.metering.model import MAX_TEXT, SetAside, UsageEvent
from ironworks.shared.documents import problems_of
from ironworks.shared.errors import Invalid, field_problem
from ironworks.shared.path import parse_path

TYPE: Final = "ironworks.usage.v1"
MAX_EVENTS: Final = 1000
MAX_PROBLEMS: Final = 20
PREFIX: Final = "ce_"
"""Ids of events from outside begin so, and no others."""
SOURCE: Final = "source"
"""The dimension that holds where an event came from."""
Text: TypeAlias = Annotated[str, Field(max_length=MAX_TEXT)]
Words: TypeAlias = Annotated[dict[Annotated[str, Field(min_length=1, max_length=64)], Text], Field(max_length=32)]


class Outcome(StrEnum):
    """What became of an event that was handed in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REFUSED = "refused"


class UsageData(BaseModel):
    """What one occurrence used."""

    model_config = ConfigDict(extra="forbid")
    quantities: Annotated[dict[str, StrictInt], Field(max_length=64)] = Field(default_factory=dict)
    readings: Annotated[dict[str, StrictInt | Text], Field(max_length=64)] = Field(default_factory=dict)
    resource: Text = ""
    model: Text = ""
    route: Text = ""
    key_uid: UUID | None = None
    user: Text | None = None
    dimensions: Words = Field(default_factory=dict)
    metadata: Words = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_something(self) -> UsageData:
        if not (self.quantities or self.readings):
            raise ValueError("holds neither quantities nor readings")
        return self


class CloudEvent(BaseModel):
    """The envelope; attributes that an extension adds are not ours and are left alone."""

    specversion: Literal["1.0"]
    type: Literal["ironworks.usage.v1"]
    source: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    id: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    subject: Annotated[str, Field(min_length=1, max_length=700, description="Path of the tenant that pays.")]
    time: Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
    datacontenttype: Literal["application/json"] = "application/json"
    data: UsageData


@dataclass(frozen=True, slots=True)
class Ingested:
    """The outcome for one event, in the batch's order.

    Args:
        source, id: as handed in; empty where they could not be read.
        event_id: under which it is recorded; None for what was refused.
        problems: what is wrong, as in `Invalid.details["fields"]`; empty for what counts.
    """

    source: str
    id: str
    outcome: Outcome
    event_id: str | None = None
    problems: Sequence[Mapping[str, str]] = ()


def event_id_of(account: str, source: str, given: str) -> str:
    """The id under which (source, given id) of an account counts once: nobody can use up the ids of another account."""
    text = "\0".join((account, source, given)).encode(errors="surrogatepass")
    return PREFIX + hashlib.blake2b(text, digest_size=20).hexdigest()


def read_event(handed_in: Any) -> UsageEvent | Ingested:
    """`handed_in` as a usage event, or why it is none."""
    try:
        event = CloudEvent.model_validate(handed_in)
        scope = parse_path(event.subject)
    except ValidationError as problem:
        found = problems_of(problem)[:MAX_PROBLEMS]
        return refused(handed_in, [one | {"field": one["field"] or "event"} for one in found])
    except Invalid as problem:
        return refused(handed_in, [field_problem("subject", "is no path", problem.message)])
    if not scope:
        return refused(handed_in, [field_problem("subject", "is the operator's scope", "name who pays")])
    if SOURCE in event.data.dimensions:
        return refused(handed_in, [field_problem("data.dimensions.source", "is the envelope's", "leave it out")])
    return UsageEvent(
        id=event_id_of(scope.partition(".")[0], event.source, event.id),
        occurred_at=event.time.astimezone(UTC),
        scope=scope,
        quantities=event.data.quantities,
        model=event.data.model,
        route=event.data.route,
        key_uid=event.data.key_uid,
        client_request_id=event.id,
        dimensions={**event.data.dimensions, SOURCE: event.source},
        metadata=event.data.metadata,
        user=event.data.user,
        readings=event.data.readings,
        resource=event.data.resource,
    )


def refused(handed_in: Any, problems: Sequence[Mapping[str, str]]) -> Ingested:
    """The outcome of what cannot count; it may be mended and handed in again under the same id."""
    shown = handed_in if isinstance(handed_in, dict) else {}
    source, given = (text[:MAX_TEXT] if isinstance(text := shown.get(name), str) else "" for name in ("source", "id"))
    return Ingested(source, given, Outcome.REFUSED, None, problems)


_FIELD_OF: Final = {
    "bad_time": "time",
    "too_late": "time",
    "in_future": "time",
    "bad_scope": "subject",
    "bad_text": "data",
    "conflict": "id",
}
_REMEDY_OF: Final = {
    "too_late": "it cannot count any more: hand usage in sooner",
    "in_future": "set the clock that it came from",
    "conflict": "give another event another id; what was recorded stays as it is",
    "unknown_meter": "use a declared one: `ironworks usage meters` lists them for the operator",
}


def problem_of(case: SetAside) -> dict[str, str]:
    """What is wrong with an event that broke a rule."""
    field = _FIELD_OF.get(case.reason, "data.quantities")
    return field_problem(field, f"{case.reason}: {case.problem}", _REMEDY_OF.get(case.reason, ""))
