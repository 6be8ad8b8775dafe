"""What the control plane knows of the gateway's processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ironworks.products.tokenfactory import analytics
from ironworks.products.tokenfactory.gateway import store
from ironworks.products.tokenfactory.gateway.health import HealthReport
from ironworks.products.tokenfactory.gateway.summing import Seen, TargetSummary, place_of, set_aside, sum_up
from ironworks.products.tokenfactory.routing import (
    EXTERNAL_ENDPOINT,
    ROUTE,
    DeclaredRoute,
    ExternalEndpoint,
    list_leading,
    split_reference,
)
from ironworks.shared.context import Context
from ironworks.shared.lookup import load

SILENT_AFTER: Final = timedelta(seconds=45)
"""A process that has not reported for so long is dead, or cannot reach the database."""
SHOWN_FOR: Final = timedelta(days=1)
KEPT_FOR: Final = timedelta(days=14)
FIGURES_OF: Final = timedelta(hours=1)
MOST_LEADING: Final = 200
"""Routes of which an external endpoint tells."""
NOTHING: Final = analytics.Figures({"requests": 0, "client_errors": 0, "server_errors": 0})


@dataclass(frozen=True, slots=True)
class RouteHealth:
    """A Route and how its targets stand, by so many gateway processes. `since`: the beginning of the figures."""

    route: DeclaredRoute
    processes: int
    since: datetime
    targets: Sequence[TargetSummary]


@dataclass(frozen=True, slots=True)
class ExternalHealth:
    """An external endpoint and how it stands, by so many gateway processes: for each Route that leads there the targets
    that do. `more`: there are more such Routes."""

    external: ExternalEndpoint
    processes: int
    routes: Sequence[tuple[DeclaredRoute, Sequence[TargetSummary]]]
    more: bool


async def report_health(ctx: Context, report: HealthReport) -> bool:
    """Keep a process's word on itself and on the targets of Routes; whether controllers have work from it.

    Needs the gateway's role.
    """
    await store.save_report(ctx, report)
    return await store.save_targets(ctx, report.uid, report.targets)


async def list_processes(ctx: Context) -> list[dict[str, Any]]:
    """Processes of the last day, newest first; `status` is `silent` or `stopped` for those that no longer report."""
    found = await store.list_processes(ctx, ctx.now() - SHOWN_FOR)
    for process in found:
        if process["stopped_at"] is not None:
            process["status"] = "stopped"
        elif ctx.now() - process["reported_at"] > SILENT_AFTER:
            process["status"] = "silent"
    return found


async def list_incidents(ctx: Context, limit: int) -> list[dict[str, Any]]:
    """What was wrong with any of them, newest first."""
    return await store.list_incidents(ctx, limit)


async def describe_route(ctx: Context, path: str, name: str) -> RouteHealth:
    """How the targets of a Route stand, and what went through each in the last hour from its scope and below.

    Raises NotFound where the caller may not read the Route. Figures are of what he may read of usage.
    """
    route: DeclaredRoute = await load(ctx, ROUTE, path, name)
    targets = route.spec.targets
    processes, seen = await store.list_targets(ctx, [route.uid], ctx.now() - SILENT_AFTER)
    since = ctx.now() - FIGURES_OF
    figures = await analytics.report_targets(
        ctx, path, route.metadata.uid, since, lambda group: place_of(group, targets, path)
    )
    known = bool(figures) or await ctx.allows("usage:read", path)
    return RouteHealth(
        route,
        processes,
        since,
        [
            TargetSummary(
                target,
                sum_up([one for one in seen[route.uid] if one.place == place], processes),
                figures.get(place, NOTHING) if known else None,
            )
            for place, target in enumerate(targets)
        ],
    )


async def describe_external(ctx: Context, path: str, name: str) -> ExternalHealth:
    """How an external endpoint stands by each Route that leads there and that the caller may read; without figures.

    Raises NotFound where the caller may not read the external endpoint.
    """
    external: ExternalEndpoint = await load(ctx, EXTERNAL_ENDPOINT, path, name)
    found = await list_leading(ctx, external, MOST_LEADING + 1)
    leading = found[:MOST_LEADING]
    processes, seen = await store.list_targets(ctx, [route.uid for route in leading], ctx.now() - SILENT_AFTER)
    routes = [(route, list(_at(external, route, seen[route.uid], processes))) for route in leading]
    return ExternalHealth(external, processes, routes, len(found) > len(leading))


def _at(
    external: ExternalEndpoint, route: DeclaredRoute, seen: Sequence[Seen], processes: int
) -> Iterator[TargetSummary]:
    """The targets of a Route that are at an external endpoint."""
    for place, target in enumerate(route.spec.targets):
        if target.external and split_reference(target.external, route.path) == (external.path, external.name):
            yield TargetSummary(target, sum_up([one for one in seen if one.place == place], processes), None)


async def list_set_aside(ctx: Context, route: UUID) -> dict[int, str]:
    """The targets of a Route of which a gateway uses no upstream: place → what went wrong. For the worker's role."""
    return set_aside((await store.list_targets(ctx, [route], ctx.now() - SILENT_AFTER))[1][route])


async def forget_processes(ctx: Context) -> None:
    """Forget those that ended long ago."""
    await store.delete_old(ctx, KEPT_FOR)
