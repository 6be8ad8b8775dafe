"""What operators ask of the installation itself: is it alive, its metrics, events that could not be handled; and the
housekeeping of the kernel's own tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.app import system
from ironworks.shared import dead_letters, telemetry
from ironworks.shared.changelog import prune_changes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.declarations import Declarations, Permission
from ironworks.shared.http import PUBLIC, Call, Raw, Router
from ironworks.shared.idempotency import forget_old_answers
from ironworks.shared.schedules import Schedule, schedule_of, schedules
from ironworks.shared.shapes import Shape
from ironworks.shared.topics import forget_touched

METRICS = Permission("metrics:read", "Read the processes' metrics")
DECLARATIONS = Declarations(
    permissions=(METRICS, system.READ, *dead_letters.DECLARATIONS.permissions),
    audit_actions=dead_letters.DECLARATIONS.audit_actions,
)
router = Router("app.operations")
system.add_routes(router)


@router.get("/healthz", permission=PUBLIC, summary="Tell that the process lives.")
async def healthz() -> Raw:
    return Raw(b"ok\n", "text/plain")


@router.get("/readyz", permission=PUBLIC, calls_out=True, summary="Tell whether the database answers.")
async def readyz(call: Call) -> Raw:
    async with call.transaction() as ctx:
        await ctx.allows(METRICS.name, "")
    return Raw(b"ok\n", "text/plain")


@router.get("/metrics", permission=METRICS.name, summary="Metrics in Prometheus' text format.")
async def metrics() -> Raw:
    return Raw(telemetry.render(), telemetry.CONTENT_TYPE)


class DeadLetterQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    consumer: str | None = Field(None, max_length=200, description="Only this consumer's.")
    replayed: bool = Field(False, description="Those that were handled after all, newest first, instead.")
    limit: int = Field(100, ge=1, le=500)


class DeadLetterView(Shape):
    """An entry of the change log that a consumer could not handle, and went on without."""

    id: int
    consumer: str
    position: int
    subject: str = Field(description="The event's type, or kind and operation.")
    scope: str
    error: str
    attempts: int
    failed_at: datetime
    replay_requested_at: datetime | None
    replayed_at: datetime | None = Field(description="When it was handled after all.")


class DeadLetterList(BaseModel):
    items: list[DeadLetterView]


class LetterEntry(BaseModel):
    """What the log says there: an event with its payload, or that a resource changed."""

    type: str | None
    payload: dict[str, Any] | None
    correlation_id: str | None = Field(description="The id of the request that caused the event.")
    kind: str | None
    name: str | None
    operation: str | None
    uid: UUID
    occurred_at: datetime


class DeadLetterDetail(DeadLetterView):
    entry: LetterEntry | None = Field(description="Null where the log no longer keeps it.")


class ReplayRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    consumer: str = Field(min_length=1, max_length=200)


class ReplayView(BaseModel):
    requested: int = Field(description="How many will be tried again.")


@router.get("/api/v1/dead-letters", permission="dead-letter:read")
async def list_dead_letters(ctx: Context, query: DeadLetterQuery) -> DeadLetterList:
    """List events that a consumer could not handle."""
    found = await dead_letters.list_dead_letters(
        ctx, consumer=query.consumer, replayed=query.replayed, limit=query.limit
    )
    return DeadLetterList(items=[DeadLetterView.show(letter) for letter in found])


@router.get("/api/v1/dead-letters/{letter}", permission="dead-letter:read")
async def read_dead_letter(ctx: Context, letter: str) -> DeadLetterDetail:
    """Show an event that a consumer could not handle, with what it says."""
    found, entry = await dead_letters.read_dead_letter(ctx, _letter(letter))
    told = DeadLetterView.show(found).model_dump()
    return DeadLetterDetail(**told, entry=None if entry is None else LetterEntry.model_validate(entry))


@router.post("/api/v1/dead-letters/{letter}:replay", permission="dead-letter:replay", status=204)
async def replay_dead_letter(ctx: Context, letter: str) -> None:
    """Have the worker handle an entry again; it counts once."""
    await dead_letters.replay_dead_letter(ctx, _letter(letter))


@router.post("/api/v1/dead-letters:replay", permission="dead-letter:replay", status=202)
async def replay_dead_letters(ctx: Context, body: ReplayRequest) -> ReplayView:
    """Have the worker handle all entries again that a consumer could not; each counts once."""
    return ReplayView(requested=await dead_letters.replay_dead_letters(ctx, body.consumer))


def _letter(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@schedules(every=3600)
async def prune_change_log(db: Database) -> None:
    """Drop what every reader is past and retention no longer keeps."""
    await prune_changes(db)


@schedules(every=3600)
async def prune_answers(db: Database) -> None:
    """Drop kept answers of idempotent requests."""
    async with db.transaction(system_actor("housekeeping")) as ctx:
        await forget_old_answers(ctx)


@schedules(every=60)
async def prune_touched(db: Database) -> None:
    """Drop what topics were touched longer ago than any stream is taken up again."""
    await forget_touched(db)


HOUSEKEEPING: list[Schedule] = [s for s in map(schedule_of, (prune_change_log, prune_answers, prune_touched)) if s]
