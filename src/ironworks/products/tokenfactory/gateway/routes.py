"""Looks at the gateway's processes, for the operator, and at what they know of a Route's targets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.products.tokenfactory import analytics
from ironworks.products.tokenfactory.gateway import names, service
from ironworks.products.tokenfactory.gateway.declarations import READ
from ironworks.products.tokenfactory.gateway.summing import Summary, TargetSummary
from ironworks.products.tokenfactory.routing import EndpointHealth, public_name
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.path import show_path

router = Router("tokenfactory.gateway")


class TroubleView(BaseModel):
    component: str
    state: Literal["degraded", "failing"] = Field(description="`degraded`: requests are served all the same.")
    reason: str
    message: str
    meanwhile: str = Field(description="What happens to requests until it is mended.")


class GatewayProcess(BaseModel):
    """One process, as it said itself when it last reported."""

    uid: UUID
    host: str
    pid: int
    started_at: datetime
    reported_at: datetime
    stopped_at: datetime | None
    status: Literal["ok", "degraded", "unavailable", "silent", "stopped"]
    troubles: list[TroubleView]
    waiting_bytes: int = Field(description="Bytes of its spool that are not charged yet, open requests among them.")
    lag_seconds: float = Field(description="How far charging is behind: all that ended longer ago is charged.")


class GatewayProcesses(BaseModel):
    items: list[GatewayProcess]


class IncidentQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(100, ge=1, le=500)


class IncidentView(BaseModel):
    """Something that was wrong with a process; `until` is null while it lasts."""

    process: UUID
    host: str
    pid: int
    component: str
    reason: str
    message: str
    since: datetime
    until: datetime | None


class Incidents(BaseModel):
    items: list[IncidentView]


class Durations(BaseModel):
    """Milliseconds, each off by at most 5 % of itself."""

    p50: float
    p90: float
    p99: float


class TargetFigures(BaseModel):
    """What went through a target, whoever of those that the caller may read of called it."""

    requests: int
    client_errors: int = Field(description="Statuses 400 to 499, 499 (the caller left) among them.")
    server_errors: int = Field(description="Statuses from 500.")
    latency_ms: Durations | None = Field(description="Of answers (status below 400), to their end.")
    first_token_ms: Durations | None = Field(description="Of streamed answers, to their first byte.")


class Condition(BaseModel):
    """How gateways see it. They find out by the requests that they serve, each for itself."""

    state: Literal["healthy", "slow_start", "resting", "ejected", "unknown"] = Field(
        description="`ejected`: set aside after failures; `slow_start`: back, with a part of its share; `resting`: it"
        " asked to be left alone; `unknown`: no gateway reports. The worst that any process sees.",
    )
    until: datetime | None = Field(description="When that ends at the latest; null: once a look finds it well.")
    reason: str = Field(description="What went wrong at last, empty where nothing is known to have.")
    failed_at: datetime | None
    in_flight: int = Field(description="Requests that it has now.")
    queued: int = Field(description="Requests that wait for a turn at it.")
    processes: int = Field(description="Gateway processes that see it in this state.")


class UpstreamCondition(Condition):
    upstream: str = Field(description="Its name at the external endpoint, or a replica's address.")


class TargetCondition(Condition):
    target: str = Field(description="As the Route's status names it.")
    upstreams: list[UpstreamCondition] = Field(description="Those that are not plainly well, or serve somebody now.")
    figures: TargetFigures | None = Field(description="Null without `usage:read`; only a Route tells them.")

    @classmethod
    def of(cls, told: TargetSummary) -> TargetCondition:
        return cls(
            target=told.target.label,
            upstreams=[UpstreamCondition(upstream=of, **_told(s)) for of, s in told.summary.upstreams.items()],
            figures=None if told.figures is None else _figures(told.figures),
            **_told(told.summary),
        )


class RouteCondition(BaseModel):
    """In the order in which the Route declares its targets. Within a process a target stands as its best upstream."""

    route: str
    model: str = Field(description="What callers write.")
    processes: int = Field(description="Gateway processes that report.")
    since: datetime = Field(description="The beginning of the figures: an hour ago.")
    targets: list[TargetCondition]


class LeadingRoute(BaseModel):
    """A Route with targets at an external endpoint: these alone, in the order in which it declares them."""

    route: str
    model: str = Field(description="What callers write.")
    phase: str
    targets: list[TargetCondition]


class ExternalCondition(BaseModel):
    """By the Routes that the caller may read. What is called without a Route, gateways tell nothing of."""

    external: str
    processes: int = Field(description="Gateway processes that report.")
    routes: list[LeadingRoute]
    more: bool = Field(description="Whether there are more than these 200 Routes.")


@router.get("/api/v1/scopes/{path}/routes/{name}/health", permission="route:read", rows_decide=True)
async def read_route_health(ctx: Context, path: str, name: str) -> RouteCondition:
    """Tell how a Route's targets stand at the gateways, and what went through each in the last hour."""
    found = await service.describe_route(ctx, path, name)
    return RouteCondition(
        route=found.route.full_name,
        model=public_name(found.route),
        processes=found.processes,
        since=found.since,
        targets=[TargetCondition.of(each) for each in found.targets],
    )


@router.get(
    "/api/v1/scopes/{path}/external-endpoints/{name}/health", permission="external-endpoint:read", rows_decide=True
)
async def read_external_health(ctx: Context, path: str, name: str) -> ExternalCondition:
    """Tell how an external endpoint stands at the gateways, by each Route that leads there."""
    found = await service.describe_external(ctx, path, name)
    return ExternalCondition(
        external=found.external.full_name,
        processes=found.processes,
        routes=[
            LeadingRoute(
                route=route.full_name,
                model=public_name(route),
                phase=route.status.phase,
                targets=[TargetCondition.of(each) for each in targets],
            )
            for route, targets in found.routes
        ],
        more=found.more,
    )


def _told(summary: Summary) -> dict[str, Any]:
    return {
        "state": summary.state, "until": summary.until, "reason": summary.fault, "failed_at": summary.failed_at,
        "in_flight": summary.in_flight, "queued": summary.queued, "processes": summary.processes,
    }  # fmt: skip


def _figures(figures: analytics.Figures) -> TargetFigures:
    numbers = {name: figures.numbers[name] for name in ("requests", "client_errors", "server_errors")}
    durations = {"latency_ms": figures.latency_ms, "first_token_ms": figures.first_token_ms}
    quantiles = {
        name: None if of is None else dict(zip(("p50", "p90", "p99"), (round(ms, 1) for ms in of), strict=True))
        for name, of in durations.items()
    }
    return TargetFigures.model_validate(numbers | quantiles)


class ModelQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    search: str | None = Field(None, max_length=200, description="Only names that contain this.")
    limit: int = Field(1000, ge=1, le=5000)


class CallableModel(BaseModel):
    id: str = Field(description="What callers at the scope write as `model`.")
    kind: Literal["route", "endpoint", "external"] = Field(description="What answers to it.")
    scope: str = Field(description="Where that is.")
    name: str = Field(description="Its own name there; of a provider's model the external endpoint's.")
    phase: str
    task: str | None = Field(
        description="What it is for, `text-generation` for instance; null where nobody here knows."
    )
    allowed: bool = Field(description="Whether a key of yours at the scope may call it.")


class CallableModels(BaseModel):
    """In the order of `GET /v1/models`."""

    scope: str
    items: list[CallableModel]
    more: bool = Field(description="Whether there are more than `limit`.")


@router.get("/api/v1/scopes/{path}/models", permission="route:read", rows_decide=True, heavy=True)
async def list_models(ctx: Context, path: str, query: ModelQuery, endpoints: EndpointHealth) -> CallableModels:
    """List what a key at a scope can call, by the names that the gateway knows there: its endpoints and routes, what is
    handed down, and what lies below."""
    found = await names.list_models(ctx, path, endpoints)
    if query.search:
        found = [one for one in found if query.search.lower() in one.id.lower()]
    items = [
        CallableModel(
            id=one.id, kind=one.kind, scope=show_path(one.route.scope), name=one.name, phase=one.phase, task=one.task,
            allowed=one.allowed,
        )
        for one in found[: query.limit]
    ]  # fmt: skip
    return CallableModels(scope=show_path(path), items=items, more=len(found) > query.limit)


@router.get("/api/v1/gateway/processes", permission=READ)
async def list_processes(ctx: Context) -> GatewayProcesses:
    """List the gateway's processes of the last day and how they are."""
    return GatewayProcesses(items=[GatewayProcess(**found) for found in await service.list_processes(ctx)])


@router.get("/api/v1/gateway/incidents", permission=READ)
async def list_incidents(ctx: Context, query: IncidentQuery) -> Incidents:
    """List what was wrong with the gateway's processes, newest first."""
    return Incidents(items=[IncidentView(**found) for found in await service.list_incidents(ctx, query.limit)])
