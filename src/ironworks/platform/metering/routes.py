"""Reading usage: sums, single requests, and what could not be counted."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform.metering import service
from ironworks.platform.metering.ingest import MAX_EVENTS, Outcome
from ironworks.platform.metering.model import GROUP_PATTERN, SERIES_PATTERN, Course, Every, Reason, RecordedUsage
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound, invalid
from ironworks.shared.http import Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor, read_moment
from ironworks.shared.path import covers, show_path
from ironworks.shared.shapes import Shape

router = Router("platform.metering")

DEFAULT_PERIOD: Final = timedelta(days=30)
MAX_SPAN: Final[dict[Every, timedelta]] = {"hour": timedelta(days=62), "day": timedelta(days=1100)}
EVENTS: Final = "events"
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]


class Period(BaseModel):
    """[from, to); by default the last 30 days until now."""

    model_config = ConfigDict(extra="forbid")
    since: Moment | None = Field(None, alias="from", description="First moment, with a time zone.")
    until: Moment | None = Field(None, alias="to", description="First moment no longer in it.")

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Raises Invalid for a period that ends before it begins."""
        until = self.until or now
        since = self.since or until - DEFAULT_PERIOD
        if since > until:
            raise invalid("from", "is after 'to'", "swap them")
        return since, until


class SummaryQuery(Period):
    group_by: str = Field(
        "model",
        pattern=GROUP_PATTERN,
        description="model, key, tenant, route, endpoint, user, day, hour, or `metadata:` and an entry's name.",
    )


class RequestsQuery(Period):
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)
    key: UUID | None = Field(None, description="Only this key's.")
    model: str | None = Field(None, max_length=512)
    route: str | None = Field(None, max_length=512, description="Only those that called this name.")
    endpoint: str | None = Field(None, max_length=1024, description="Only those that `path/name` served.")
    user: str | None = Field(None, max_length=512, description="Only this end user's.")
    status: str | None = Field(None, pattern=r"^[1-5](xx|[0-9]{2})$", description="`404`, or `4xx` for all like it.")

    def filters(self) -> dict[str, str]:
        """What was asked for, as the use case takes it."""
        given = {name: getattr(self, name) for name in ("key", "model", "route", "endpoint", "user", "status")}
        words = {name: str(value) for name, value in given.items() if value is not None}
        return {name: word.replace("x", "_") if name == "status" else word for name, word in words.items()}


class PointsQuery(Period):
    every: Every = Field("day", description="How long each point is, in UTC.")
    group_by: str = Field(
        "", max_length=400, description="Any of tenant, model, route, endpoint, key and dimension:NAME, by commas."
    )

    def words(self) -> list[str]:
        """Raises Invalid for a word that there is none to group by."""
        words = [word for word in self.group_by.split(",") if word]
        for word in words:
            if not re.fullmatch(SERIES_PATTERN, word):
                raise invalid(
                    "group_by", f"{word!r} is none", "use tenant, model, route, endpoint, key, dimension:NAME"
                )
        return list(dict.fromkeys(words))


class SetAsideQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)


class UsageBatch(BaseModel):
    """CloudEvents 1.0 of type `ironworks.usage.v1`, each judged by itself."""

    model_config = ConfigDict(extra="forbid")
    events: list[Any] = Field(min_length=1, max_length=MAX_EVENTS, description="One JSON object per event.")


class IngestedView(Shape):
    source: str
    id: str
    outcome: Outcome
    event_id: str | None = Field(description="Under which it is recorded, for `billing explain`.")
    problems: list[dict[str, str]] = Field(description="What is wrong: field, problem, remedy.")


class IngestedBatch(BaseModel):
    accepted: int
    duplicate: int
    conflict: int
    refused: int
    items: list[IngestedView] = Field(description="In the order in which they were handed in.")


class UsageGroupView(BaseModel):
    group: str = Field(description="What `group_by` says: a model, a key's uid, a path, …; empty where there is none.")
    requests: int
    quantities: dict[str, int] = Field(description="Meter → sum, in the meter's unit.")


class UsageSummaryView(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    scope: str
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    group_by: str
    items: list[UsageGroupView]


class StepView(BaseModel):
    what: str = Field(description="`budget`, `queue`, `wake`: what it waited for; `try`: an upstream that failed.")
    from_ms: float
    until_ms: float
    whom: str = Field(description="Of a try: who it was, and what went wrong.")


class CourseView(BaseModel):
    """How a request went, as the gateway saw it. Times are milliseconds since it had come."""

    duration_ms: int
    first_byte_ms: int | None = Field(description="When a stream's first byte came; null if none came.")
    tries: int = Field(description="Upstreams that it was sent to: more than one after a retry or a fallback.")
    streamed: bool
    asked_ms: float | None = Field(description="When the upstream that it was at last was turned to; null if none was.")
    sent_ms: float | None = Field(description="When it was sent there, over a connection that was new or kept.")
    ended_ms: float | None = Field(description="When the answer had ended; then it was written down and told.")
    steps: list[StepView] = Field(description="What else took its time, in its order.")
    error: str | None = Field(description="The code that its caller was told.")


class UsageView(Shape):
    request_id: str
    occurred_at: datetime
    recorded_at: datetime
    scope: str
    model: str
    route: str
    endpoint: str | None = Field(description="`path/name` of what served it.")
    endpoint_uid: UUID | None
    key_uid: UUID | None
    quantities: dict[str, int]
    counted: bool = Field(description="The quantities are our own count; the true ones were lost in a crash.")
    client_request_id: str | None
    dimensions: dict[str, str]
    route_uid: UUID | None
    user: str | None = Field(description="The end user that the caller named.")
    metadata: dict[str, str] = Field(description="The caller's own words.")
    cached_answer: bool = Field(description="An earlier answer was given again.")
    priced_at: datetime | None = Field(description="The moment whose prices count; null: when it occurred.")
    course: CourseView | None = Field(description="Null for what no gateway saw, and from before it was kept.")

    @classmethod
    def of(cls, usage: RecordedUsage) -> UsageView:
        event = usage.event
        return cls.show(
            event,
            request_id=event.id,
            recorded_at=usage.recorded_at,
            scope=show_path(event.scope),
            endpoint=f"{show_path(event.endpoint_scope)}/{event.endpoint_name}" if event.endpoint_name else None,
            quantities=dict(event.quantities),
            dimensions=dict(event.dimensions),
            metadata=dict(event.metadata),
            course=_course(event.course),
        )


class MeterPointView(BaseModel):
    at: datetime = Field(description="Where the hour or day begins.")
    group: dict[str, str]
    quantity: int


class MeterSeriesView(BaseModel):
    scope: str
    meter: str
    every: Every
    items: list[MeterPointView]


class UsagePage(BaseModel):
    items: list[UsageView]
    next_cursor: str | None


class SetAsideView(BaseModel):
    event_id: str
    reason: Reason
    problem: str
    content: dict[str, Any] = Field(description="What was handed in.")
    recorded_at: datetime


class SetAsideList(BaseModel):
    items: list[SetAsideView]


@router.post("/api/v1/usage", permission="usage:write")
async def ingest_usage(ctx: Context, body: UsageBatch) -> IngestedBatch:
    """Hand in usage that was measured elsewhere; each event counts once, however often it comes."""
    outcomes = await service.ingest_usage(ctx, body.events)
    counts = Counter(one.outcome for one in outcomes)
    return IngestedBatch(
        **{outcome.value: counts[outcome] for outcome in Outcome},
        items=[IngestedView.show(one) for one in outcomes],
    )


@router.get("/api/v1/scopes/{path}/usage", permission="usage:read", heavy=True)
async def summarize_usage(ctx: Context, path: str, query: SummaryQuery) -> UsageSummaryView:
    """Sum up what a scope and all below it used."""
    since, until = query.bounds(ctx.now())
    totals = await service.summarize_usage(ctx, path, since, until, query.group_by)
    items = [UsageGroupView(group=t.group, requests=t.requests, quantities=dict(t.quantities)) for t in totals]
    return UsageSummaryView(scope=show_path(path), since=since, until=until, group_by=query.group_by, items=items)


@router.get("/api/v1/scopes/{path}/usage/meters/{meter}", permission="usage:read", heavy=True)
async def list_points(ctx: Context, path: str, meter: str, query: PointsQuery) -> MeterSeriesView:
    """Show what a meter counted at a scope and all below it, by hour or day; `events` counts the events themselves."""
    since, until = query.bounds(ctx.now())
    if until - since > MAX_SPAN[query.every]:
        raise invalid("from", f"is more than {MAX_SPAN[query.every].days} days before 'to'", "ask for less")
    points = await service.list_points(
        ctx, path, "" if meter == EVENTS else meter, _floor(since, query.every), until, query.every, query.words()
    )
    items = [MeterPointView(at=p.at, group=dict(p.group), quantity=p.quantity) for p in points]
    return MeterSeriesView(scope=show_path(path), meter=meter, every=query.every, items=items)


@router.get("/api/v1/scopes/{path}/usage/requests", permission="usage:read")
async def list_usage(ctx: Context, path: str, query: RequestsQuery) -> UsagePage:
    """List the single requests of a scope and all below it, newest first."""
    since, until = query.bounds(ctx.now())
    before = _decode(query.cursor) if query.cursor else None
    found = await service.list_usage(ctx, path, since, until, query.limit + 1, before, query.filters())
    page = found[: query.limit]
    last = page[-1].event if len(found) > query.limit else None
    return UsagePage(
        items=[UsageView.of(usage) for usage in page],
        next_cursor=encode_cursor(last.occurred_at.isoformat(), last.id) if last else None,
    )


@router.get("/api/v1/scopes/{path}/usage/requests/{request_id}", permission="usage:read")
async def read_usage(ctx: Context, path: str, request_id: str) -> UsageView:
    """Read one request of a scope, or of one below it: who called what, which endpoint served it, how it went."""
    found = await service.find_usage(ctx, request_id)
    if found is None or not covers(path, found.event.scope):
        raise NotFound(f"no request {request_id[:128]!r} in {show_path(path)!r}")
    return UsageView.of(found)


@router.get("/api/v1/scopes/{path}/usage/set-aside", permission="usage:read")
async def list_set_aside(ctx: Context, path: str, query: SetAsideQuery) -> SetAsideList:
    """List usage that was handed in and could not be counted, newest first."""
    cases = await service.list_set_aside(ctx, path, query.limit)
    return SetAsideList(items=[SetAsideView.model_validate(case) for case in cases])


def _course(course: Course) -> CourseView | None:
    if not course:
        return None
    times = {name: course.get(f"{name}_us") for name in ("asked", "sent", "ended")}
    return CourseView(
        duration_ms=course["duration_ms"],
        first_byte_ms=course.get("first_byte_ms"),
        tries=course["tries"],
        streamed=bool(course["streamed"]),
        **{f"{name}_ms": None if us is None else us / 1000 for name, us in times.items()},
        steps=[
            StepView(what=what, from_ms=since / 1000, until_ms=until / 1000, whom=whom)
            for what, since, until, whom in course.get("steps", ())
        ],
        error=course.get("error"),
    )


def _floor(at: datetime, every: Every) -> datetime:
    """Where the hour or day of `at` begins, in UTC."""
    begin = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return begin if every == "hour" else begin.replace(hour=0)


def _decode(cursor: str) -> tuple[datetime, str]:
    at, event_id = decode_cursor(cursor)
    return read_moment(at), event_id
