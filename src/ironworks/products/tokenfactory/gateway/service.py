"""What the control plane knows of the gateway's processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from ironworks.products.tokenfactory.gateway import store
from ironworks.products.tokenfactory.gateway.health import HealthReport
from ironworks.shared.context import Context

SILENT_AFTER: Final = timedelta(seconds=45)
"""A process that has not reported for so long is dead, or cannot reach the database."""
SHOWN_FOR: Final = timedelta(days=1)
KEPT_FOR: Final = timedelta(days=14)


async def report_health(ctx: Context, report: HealthReport) -> None:
    """Keep a process's word on itself. Needs the gateway's role."""
    await store.save_report(ctx, report)


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


async def forget_processes(ctx: Context) -> None:
    """Forget those that ended long ago."""
    await store.delete_old(ctx, KEPT_FOR)
