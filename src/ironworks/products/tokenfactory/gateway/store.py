"""What the gateway's processes report, in Postgres."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ironworks.products.tokenfactory.gateway.health import HealthReport
from ironworks.products.tokenfactory.gateway.summing import Seen
from ironworks.products.tokenfactory.gateway.targets import TargetState
from ironworks.shared.context import Context, to_json

_SEEN: Final = tuple(field.name for field in fields(Seen))


async def save_report(ctx: Context, report: HealthReport) -> None:
    """Keep a process's word on itself. Needs the gateway's role."""
    incidents = [
        asdict(incident)
        | {"since": _moment(incident.since), "until": None if incident.until is None else _moment(incident.until)}
        for incident in report.incidents
    ]
    await ctx.db.execute(
        "select tokenfactory_gateway.report_health($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9, $10)",
        report.uid, report.host, report.pid, datetime.fromtimestamp(report.started_at, UTC), report.stopped,
        report.status, to_json([asdict(trouble) for trouble in report.troubles]), to_json(incidents),
        report.uncharged.waiting_bytes, report.uncharged.lag_seconds,
    )  # fmt: skip


async def save_targets(ctx: Context, process: UUID, targets: Sequence[TargetState]) -> bool:
    """Keep how a process sees the targets of Routes, in place of what it saw before.

    Whether one stands otherwise now: its Route is then looked at. Needs the gateway's role.
    """
    told = [
        asdict(target) | {"until": _moment_or_none(target.until), "failed_at": _moment_or_none(target.failed_at)}
        for target in targets
    ]
    changed: int = await ctx.db.fetchval(
        "select tokenfactory_gateway.report_targets($1, $2::jsonb)", process, to_json(told)
    )
    return changed > 0


async def list_targets(
    ctx: Context, routes: Sequence[UUID], since: datetime
) -> tuple[int, Mapping[UUID, Sequence[Seen]]]:
    """(processes that reported after `since`, how they see the targets of each Route, by place and upstream)."""
    rows = await ctx.db.fetch(
        "select t.route, t.place, t.upstream, t.upstreams, t.standing, t.until, t.fault, t.failed_at, t.in_flight,"
        " t.queued, t.latency_ms, r.process, r.processes"
        " from (select process, count(*) over () as processes from tokenfactory_gateway.reporting($2)) r"
        " left join tokenfactory_gateway.target_state t on t.process = r.process and t.route = any($1)"
        " order by t.route, t.place, t.upstream, r.process",
        routes,
        since,
    )
    seen: dict[UUID, list[Seen]] = {route: [] for route in routes}
    for row in rows:
        if row["route"] is not None:
            seen[row["route"]].append(Seen(**{name: row[name] for name in _SEEN}))
    return (rows[0]["processes"] if rows else 0), seen


def _moment_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else _moment(seconds)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


async def list_processes(ctx: Context, since: datetime) -> list[dict[str, Any]]:
    """Processes that reported after `since`, newest first, each with its troubles."""
    rows = await ctx.db.fetch(
        "select uid, host, pid, started_at, reported_at, stopped_at, status, troubles, waiting_bytes, lag_seconds"
        " from tokenfactory_gateway.process where reported_at > $1 order by started_at desc, uid limit 500",
        since,
    )
    return [dict(row) | {"troubles": json.loads(row["troubles"])} for row in rows]


async def list_incidents(ctx: Context, limit: int) -> list[dict[str, Any]]:
    """What was wrong, newest first."""
    rows = await ctx.db.fetch(
        "select i.process, p.host, p.pid, i.component, i.reason, i.message, i.since, i.until"
        " from tokenfactory_gateway.incident i join tokenfactory_gateway.process p on p.uid = i.process"
        " order by i.since desc, i.process limit $1",
        limit,
    )
    return [dict(row) for row in rows]


async def delete_old(ctx: Context, age: timedelta) -> None:
    """Forget processes that have not reported for `age`, and what was wrong with them."""
    await ctx.db.execute("delete from tokenfactory_gateway.process where reported_at < $1", ctx.now() - age)
