"""Questions about usage over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform import metering, pricing
from ironworks.products.tokenfactory.analytics import service
from ironworks.products.tokenfactory.analytics.model import METERS, Group, Interval, Question, Sort
from ironworks.products.tokenfactory.analytics.model import Figures as Sums
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Router
from ironworks.shared.path import show_path

router = Router("tokenfactory.analytics")

DEFAULT_PERIOD: Final = timedelta(days=1)
MAX_GROUPS: Final = 1000
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
BY: Final = f"^(tenant|key|route|model|endpoint|target|user|minute|hour|day|{metering.METADATA}.{{1,64}})$"


class AnalyticsQuery(BaseModel):
    """What to sum up. Filters are exact."""

    model_config = ConfigDict(extra="forbid")
    since: Moment | None = Field(None, description="First moment, cut to its hour or minute. Default: a day ago.")
    until: Moment | None = Field(None, description="First moment no longer in it. Default: now.")
    by: str = Field(
        "model",
        pattern=BY,
        description="tenant, key, route, model, endpoint, target (`path/name`, of a provider's with the model and its"
        " upstream: `acme.shop/providers:gpt-4o@eu`), minute, hour, day; or, answered from single requests and so"
        " slower and without errors and durations: user, `metadata:` and an entry's name.",
    )
    interval: Interval | None = Field(None, description="Also each group over time. Minutes are kept for 3 hours.")
    sort: Sort = Field("requests", description="Largest first.")
    limit: int = Field(100, ge=1, le=MAX_GROUPS, description="So many groups at most.")
    key: str | None = Field(None, max_length=36, description="A key's uid.")
    route: str | None = Field(None, max_length=512, description="The name that was called.")
    route_uid: str | None = Field(None, max_length=36, description="What the name led to: a Route's uid, for instance.")
    model: str | None = Field(None, max_length=512)
    endpoint: str | None = Field(None, max_length=1024, description="`path/name`.")

    def question(self, path: str, now: datetime) -> Question:
        """Raises Invalid for a period that ends before it begins."""
        until = self.until or now
        since = self.since or until - DEFAULT_PERIOD
        if since > until:
            raise invalid("since", "is after 'until'", "swap them")
        given = {name: getattr(self, name) for name in ("key", "route", "route_uid", "model", "endpoint")}
        filters = {name: value for name, value in given.items() if value is not None}
        return Question(
            path=path, since=since, until=until, by=self.by, interval=self.interval, filters=filters,
            sort=self.sort, limit=self.limit,
        )  # fmt: skip


class Quantiles(BaseModel):
    """Milliseconds, each off by at most 5 % of itself."""

    p50: float
    p90: float
    p99: float


class Figures(BaseModel):
    requests: int
    client_errors: int | None = Field(description="Statuses 400 to 499, 499 (the caller left) among them.")
    server_errors: int | None = Field(description="Statuses from 500.")
    quantities: dict[str, int] = Field(description="Meter → sum, in the meter's unit; those that are not zero.")
    cost_nano: int | None = Field(description="Whole nano-units (10⁻⁹); null without `billing:read`.")
    cost: str | None = Field(description="The same as a decimal.")
    latency_ms: Quantiles | None = Field(description="Of answers (status below 400), to their end.")
    first_token_ms: Quantiles | None = Field(description="Of streamed answers, to their first byte.")


class Point(Figures):
    at: datetime = Field(description="The interval's beginning, UTC.")


class GroupView(Figures):
    group: str = Field(description="Empty for requests that have none.")
    series: list[Point] | None = Field(description="Where an interval was asked for; empty intervals are left out.")


class AnalyticsView(BaseModel):
    scope: str
    since: datetime
    until: datetime
    by: str
    interval: Interval | None
    source: Literal["analytics", "usage"] = Field(description="`usage`: added up from single requests.")
    currency: str
    total: Figures
    items: list[GroupView]


@router.get("/api/v1/scopes/{path}/analytics", permission="usage:read", heavy=True)
async def analyze_usage(ctx: Context, path: str, query: AnalyticsQuery) -> AnalyticsView:
    """Sum up requests, tokens, cost, errors and durations of a scope and all below it, in groups and over time."""
    question = query.question(path, ctx.now())
    report = await service.report_usage(ctx, question)
    return AnalyticsView(
        scope=show_path(path),
        since=report.since,
        until=report.until,
        by=question.by,
        interval=question.interval,
        source=report.source,
        currency=pricing.CURRENCY,
        total=Figures(**_shown(report.total)),
        items=[_group(group, series=question.interval is not None) for group in report.groups],
    )


def _group(group: Group, *, series: bool) -> GroupView:
    points = [Point(at=at, **_shown(figures)) for at, figures in group.series] if series else None
    return GroupView(group=group.name, series=points, **_shown(group.figures))


def _shown(figures: Sums) -> dict[str, object]:
    numbers = figures.numbers
    cost = numbers["cost_nano"]
    return {
        "requests": numbers["requests"],
        "client_errors": numbers["client_errors"],
        "server_errors": numbers["server_errors"],
        "quantities": {meter: numbers[meter] for meter in METERS if numbers[meter]},
        "cost_nano": cost,
        "cost": None if cost is None else pricing.show_nano(cost),
        "latency_ms": _quantiles(figures.latency_ms),
        "first_token_ms": _quantiles(figures.first_token_ms),
    }


def _quantiles(values: tuple[float, ...] | None) -> Quantiles | None:
    if values is None:
        return None
    p50, p90, p99 = (round(value, 1) for value in values)
    return Quantiles(p50=p50, p90=p90, p99=p99)
