"""Recording usage, and reading it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ironworks.platform import registry, tenancy
from ironworks.platform.metering import store
from ironworks.platform.metering.model import (
    GroupBy,
    GroupedEvent,
    Reason,
    RecordedUsage,
    SetAside,
    UsageEvent,
    UsageTotal,
    find_problem,
)
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER


async def record_usage(ctx: Context, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    """Record what was not recorded before; returns exactly that, in the order given.

    The same id with the same content is ignored; with other content it is set aside as a conflict. An event that
    breaks a rule is set aside with the reason and does not claim its id, so a mended one still counts. Call it once
    per transaction: ids are claimed in order within one call, which is what keeps concurrent batches from
    deadlocking.
    """
    meters = await registry.enabled_names(ctx, METER)
    aside = [problem for event in events if (problem := find_problem(event, meters))]
    bad = {id(case.event) for case in aside}
    good = [event for event in events if id(event) not in bad]
    new, conflicts = await _claim(ctx, good)
    if new:
        await store.save_usage(ctx, new)
    if aside or conflicts:
        await store.save_set_aside(ctx, aside + conflicts)
    return new


async def _claim(ctx: Context, events: Sequence[UsageEvent]) -> tuple[list[UsageEvent], list[SetAside]]:
    """Part `events` into new ones and conflicts; what was recorded already falls through."""
    if not events:
        return [], []
    digests = [event.digest() for event in events]
    first: dict[str, bytes] = {}
    for event, digest in zip(events, digests, strict=True):
        first.setdefault(event.id, digest)
    claimed = await store.claim_ids(ctx, first)
    taken = [event_id for event_id in first if event_id not in claimed]
    recorded = first | (await store.claimed_digests(ctx, taken) if taken else {})
    new: dict[str, UsageEvent] = {}
    conflicts = []
    for event, digest in zip(events, digests, strict=True):
        if digest != recorded[event.id]:
            conflicts.append(SetAside(event, Reason.CONFLICT, "this id was recorded before with other content"))
        elif event.id in claimed:
            new.setdefault(event.id, event)
    return list(new.values()), conflicts


async def find_usage(ctx: Context, event_id: str) -> RecordedUsage | None:
    """The event recorded under `event_id` (a request's id), or None where none exists for this caller."""
    return await store.get_usage(ctx, event_id)


async def find_usages(ctx: Context, event_ids: Sequence[str]) -> list[RecordedUsage]:
    """The events recorded under these ids, as far as they exist for this caller."""
    return await store.find_usages(ctx, event_ids)


async def next_span(ctx: Context, after: str | None = None) -> tuple[str, datetime, datetime] | None:
    """(path, first moment, last moment) of the events of the next scope past `after`, in the order of paths.

    To go through all usage scope by scope, as the worker; None after the last one.
    """
    return await store.next_span(ctx, after)


async def list_usage_at(
    ctx: Context,
    path: str,
    since: datetime,
    until: datetime,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> list[RecordedUsage]:
    """One page of the events of the scope `path` alone, newest first; otherwise as list_usage."""
    return await store.list_usage_at(ctx, path, since, until, limit, before or (until, ""))


async def list_usage(
    ctx: Context,
    path: str,
    since: datetime,
    until: datetime,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> list[RecordedUsage]:
    """One page of events at and below `path`, newest first; `before` is the last one's (occurred_at, id).

    Raises NotFound for a scope that never existed.
    """
    found = await store.list_usage(ctx, path, since, until, limit, before)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found


async def summarize_usage(
    ctx: Context, path: str, since: datetime, until: datetime, by: GroupBy = "model"
) -> list[UsageTotal]:
    """Sums per group over the events at and below `path` with since <= occurred_at < until.

    Reads every event of the period. Raises NotFound for a scope that never existed.
    """
    totals = await store.total_usage(ctx, path, since, until, by)
    if not totals:
        await tenancy.require_scope(ctx, path)
    return totals


async def list_grouped(
    ctx: Context, path: str, since: datetime, until: datetime, by: GroupBy, before: tuple[datetime, str], limit: int
) -> list[GroupedEvent]:
    """One page of events with the group that each belongs to, newest first; `before` as in list_usage."""
    return await store.list_grouped(ctx, path, since, until, by, before, limit)


async def list_set_aside(ctx: Context, path: str, limit: int) -> list[dict[str, Any]]:
    """What could not be counted at and below `path`, newest first, with what was handed in.

    Raises NotFound for a scope that never existed.
    """
    found = await store.list_set_aside(ctx, path, limit)
    if not found:
        await tenancy.require_scope(ctx, path)
    return found
