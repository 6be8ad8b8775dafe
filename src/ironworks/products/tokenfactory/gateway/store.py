"""What the gateway's processes report, in Postgres."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from ironworks.products.tokenfactory.gateway.health import HealthReport
from ironworks.shared.context import Context, to_json


async def save_report(ctx: Context, report: HealthReport) -> None:
    """Keep a process's word on itself. Needs the gateway's role."""
    incidents = [
        asdict(incident)
        | {"since": _moment(incident.since), "until": None if incident.until is None else _moment(incident.until)}
        for incident in report.incidents
    ]
    await ctx.db.execute(
        "select tokenfactory_gateway.report_health($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb)",
        report.uid, report.host, report.pid, datetime.fromtimestamp(report.started_at, UTC), report.stopped,
        report.status, to_json([asdict(trouble) for trouble in report.troubles]), to_json(incidents),
    )  # fmt: skip


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


async def list_processes(ctx: Context, since: datetime) -> list[dict[str, Any]]:
    """Processes that reported after `since`, newest first, each with its troubles."""
    rows = await ctx.db.fetch(
        "select uid, host, pid, started_at, reported_at, stopped_at, status, troubles"
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
