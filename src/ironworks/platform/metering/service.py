"""Recording usage, and reading it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ironworks.platform import registry, tenancy
from ironworks.platform.metering import ingest, readings, rollups, store
from ironworks.platform.metering.ingest import Ingested, Outcome
from ironworks.platform.metering.model import (
    CLAIMS_KEPT,
    EVENTS_KEPT,
    MAX_AHEAD,
    MAX_APART,
    MAX_LATE,
    MAX_QUANTITY,
    Every,
    GroupBy,
    GroupedEvent,
    MeterPoint,
    MonthTotal,
    Reason,
    RecordedUsage,
    SetAside,
    UsageEvent,
    UsageTotal,
    midnight,
    next_month,
    open_months,
    settled_event,
)
from ironworks.platform.metering.rules import Window, find_bad_reading, find_problem
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER
from ironworks.shared.errors import NotFound, field_problem, invalid

MONTHS_AHEAD: Final = 3
FORGET_BATCH: Final = 10_000
MAX_METERS: Final = 10_000
MAX_GROUPS: Final = 50_000


async def record_usage(ctx: Context, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    """Record what was not recorded before; returns exactly that, in the order given.

    The same id with the same content is ignored; with other content it is set aside as a conflict. An event that
    breaks a rule is set aside with the reason and does not claim its id, so a mended one still counts. So is one that
    is older than the ids that are kept, or more than a day ahead of our clock. Call it once per transaction: ids are
    claimed in order within one call, which is what keeps concurrent batches from deadlocking.
    """
    new, _ = await _record(ctx, events, Window(await _forgotten(ctx, events), ctx.now() + MAX_APART))
    return new


async def ingest_usage(ctx: Context, batch: Sequence[Any]) -> list[Ingested]:
    """Record CloudEvents from outside; returns what became of each, in their order. They are charged within seconds.

    Counts each (account, source, id) once. Needs `usage:write` at the scope that each event names; elsewhere the event
    is refused, and the rest counts. From MAX_LATE ago to MAX_AHEAD of our clock; what lies outside is set aside and
    refused, as is what breaks another rule.
    """
    read = [ingest.read_event(one) for one in batch]
    scopes = {event.scope for event in read if isinstance(event, UsageEvent)}
    open_to = {scope for scope in scopes if await _may_write(ctx, scope)}
    events = [event for event in read if isinstance(event, UsageEvent) and event.scope in open_to]
    new, aside = await _record(ctx, events, Window(ctx.now() - MAX_LATE, ctx.now() + MAX_AHEAD))
    if new:
        await store.save_uncharged(ctx, new)
    accepted, problems = {id(event) for event in new}, {id(case.event): case for case in aside}
    return [
        one if isinstance(one, Ingested) else _outcome(one, one.scope in open_to, id(one) in accepted, problems)
        for one in read
    ]


async def _may_write(ctx: Context, scope: str) -> bool:
    """Whether usage of `scope` is the caller's to hand in; a scope that never was is nobody's."""
    if not await ctx.allows("usage:write", scope):
        return False
    try:
        await tenancy.require_scope(ctx, scope)
    except NotFound:
        return False
    return True


def _outcome(event: UsageEvent, allowed: bool, accepted: bool, problems: Mapping[int, SetAside]) -> Ingested:
    source, outside_id = event.dimensions[ingest.SOURCE], event.client_request_id or ""
    if not allowed:
        fields = field_problem("subject", "is no scope in which you may hand in usage", "it needs usage:write there")
        return Ingested(source, outside_id, Outcome.REFUSED, None, [fields])
    if case := problems.get(id(event)):
        if case.reason is Reason.CONFLICT:
            return Ingested(source, outside_id, Outcome.CONFLICT, event.id, [ingest.problem_of(case)])
        return Ingested(source, outside_id, Outcome.REFUSED, None, [ingest.problem_of(case)])
    return Ingested(source, outside_id, Outcome.ACCEPTED if accepted else Outcome.DUPLICATE, event.id)


async def take_uncharged(ctx: Context, limit: int) -> list[UsageEvent]:
    """Take out up to `limit` events from outside that nobody has charged; a rollback puts them back. For the worker."""
    return [usage.event for usage in await store.take_uncharged(ctx, limit)]


async def _record(
    ctx: Context, events: Sequence[UsageEvent], window: Window
) -> tuple[list[UsageEvent], list[SetAside]]:
    """Part `events` into those recorded now and those set aside; the rest was recorded before."""
    meters = await registry.enabled_names(ctx, METER)
    aggregations = await _aggregations(ctx) if any(event.readings for event in events) else {}
    found = (
        find_problem(event, meters) or window.find_problem(event) or find_bad_reading(event, aggregations)
        for event in events
    )
    aside = [problem for problem in found if problem]
    bad = {id(case.event) for case in aside}
    good = [event for event in events if id(event) not in bad] if bad else events
    new, conflicts = await _claim(ctx, good)
    if new:
        await store.save_usage(ctx, new)
        if read := [event for event in new if event.readings]:
            await readings.save_readings(ctx, read, aggregations)
    if aside or conflicts:
        await store.save_set_aside(ctx, aside + conflicts)
    return new, aside + conflicts


async def _aggregations(ctx: Context) -> dict[str, str]:
    """How each enabled meter is made a quantity."""
    return {name: body["aggregation"] for name, body in (await _meters(ctx)).items()}


async def _meters(ctx: Context) -> dict[str, dict[str, Any]]:
    entries = await registry.list_entries(ctx, METER, limit=MAX_METERS)
    return {entry.name: entry.body for entry in entries if entry.usable}


async def settle_readings(ctx: Context) -> list[UsageEvent]:
    """Make usage events of what readings came to since the last time, and record them; returns those. For the worker.

    Month by month in UTC, for this month and those that late readings may still reach. A series' events of a month add
    up to its quantity. A late reading that makes it smaller than what was charged takes nothing back: the rest of the
    month is free until it is used up.
    """
    await readings.lock_settling(ctx)
    now = ctx.now().astimezone(UTC)
    meters = await _meters(ctx)
    grown: dict[str, tuple[MonthTotal, int]] = {}
    events = []
    for month in open_months(now.date(), MAX_LATE):
        begin, end = midnight(month), midnight(next_month(month))
        for total in await readings.list_totals(ctx, month, begin, min(now, end)):
            meter = meters.get(total.meter)
            quantity = total.quantity(meter["aggregation"], meter["unit"], now >= end) if meter else 0
            quantity = min(quantity, total.settled + MAX_QUANTITY)  # no event may hold more; the rest comes next time
            if quantity > total.settled:
                event = settled_event(total, quantity, min(now, end - timedelta(microseconds=1)))
                grown[event.id] = total, quantity
                events.append(event)
    new, _ = await _record(ctx, events, Window(None, now))
    await readings.save_settled(ctx, [grown[event.id] for event in new])
    return new


async def _forgotten(ctx: Context, events: Sequence[UsageEvent]) -> datetime | None:
    """Before when ids are forgotten, asked only for events so old that it matters; it stays until the transaction ends.

    MAX_LATE is nearer than CLAIMS_KEPT by days, so clocks that differ change nothing.
    """
    recent = ctx.now() - MAX_LATE
    if all(event.occurred_at.tzinfo is None or event.occurred_at >= recent for event in events):
        return None
    return await store.hold_horizon(ctx)


async def _claim(ctx: Context, events: Sequence[UsageEvent]) -> tuple[list[UsageEvent], list[SetAside]]:
    """Part `events` into new ones and conflicts; what was recorded already falls through."""
    if not events:
        return [], []
    digests = [event.digest() for event in events]
    first: dict[str, tuple[str, bytes, datetime]] = {}
    for event, digest in zip(events, digests, strict=True):
        first.setdefault(event.id, (event.id, digest, event.occurred_at))
    claimed = await store.claim_ids(ctx, first.values())
    if len(claimed) == len(events):
        return list(events), []
    taken = [event_id for event_id in first if event_id not in claimed]
    recorded = {event_id: digest for event_id, digest, _ in first.values()}
    recorded |= await store.claimed_digests(ctx, taken) if taken else {}
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
    filters: Mapping[str, str] | None = None,
) -> list[RecordedUsage]:
    """One page of events at and below `path`, newest first; `before` is the last one's (occurred_at, id).

    `filters`: any of key (uid), model, route, endpoint (`path/name`), user and status (`404`, or `4__` for all that
    begin so) → the value. Raises NotFound for a scope that never existed.
    """
    found = await store.list_usage(ctx, path, since, until, limit, before, filters or {})
    if not found:
        await tenancy.require_scope(ctx, path)
    return found


async def summarize_usage(
    ctx: Context, path: str, since: datetime, until: datetime, by: GroupBy = "model"
) -> list[UsageTotal]:
    """Sums per group over the events at and below `path` with since <= occurred_at < until.

    Reads every event of the period. Raises NotFound for a scope that never existed, and Invalid for more than
    MAX_GROUPS groups: whoever calls names end users and metadata as he likes.
    """
    totals = await store.total_usage(ctx, path, since, until, by, MAX_GROUPS + 1)
    _check_size(totals)
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


async def list_points(
    ctx: Context, path: str, meter: str, since: datetime, until: datetime, every: Every, by: Sequence[str] = ()
) -> list[MeterPoint]:
    """What `meter` counted at and below `path`, per hour or day that begins in [since, until), oldest first.

    The meter '' counts events. Exact to the last event that is recorded. `by`: words of SERIES_PATTERN. Raises
    NotFound for a meter that is not registered and for a scope that never existed, Invalid for more than MAX_GROUPS.
    """
    points = await rollups.list_points(ctx, path, meter, since, until, every, by, MAX_GROUPS + 1)
    _check_size(points)
    if not points:
        if meter:
            await registry.get_entry(ctx, METER, meter)
        await tenancy.require_scope(ctx, path)
    return points


def _check_size(found: Sequence[object]) -> None:
    if len(found) > MAX_GROUPS:
        raise invalid("group_by", f"makes more than {MAX_GROUPS}", "group by less, or ask for a shorter period")


async def roll_usage(ctx: Context) -> bool:
    """Add what was recorded since the last time to the sums by hour and day. For the worker."""
    return await rollups.roll(ctx)


async def forget_usage(ctx: Context) -> None:
    """Move the horizon to where the clock says: ids are kept CLAIMS_KEPT, events EVENTS_KEPT. For the worker.

    It stays where it is as long as an event behind it is in no sum.
    """
    now = ctx.now()
    if await rollups.has_unrolled(ctx, now - EVENTS_KEPT):
        return
    await store.move_horizon(ctx, now - CLAIMS_KEPT, now - EVENTS_KEPT)


async def keep_months(ctx: Context) -> int:
    """Make the partitions of this month and the next three, and drop those past retention; returns how many changed.

    For the worker; recording waits meanwhile, which is some milliseconds.
    """
    now = ctx.now().astimezone(UTC)
    return await store.keep_months(ctx, now.date().replace(day=1), MONTHS_AHEAD + 1)


async def remove_forgotten(ctx: Context) -> int:
    """Delete some of what is behind the horizon; returns how many rows went, 0 when all are gone. For the worker."""
    hours = await rollups.forget_hours(ctx, ctx.now() - EVENTS_KEPT, FORGET_BATCH)
    return hours + await store.forget_old(ctx, FORGET_BATCH)
