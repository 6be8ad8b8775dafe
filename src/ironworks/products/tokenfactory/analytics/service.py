"""Counting what was charged, and answering questions about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from ironworks.platform import metering, pricing, tenancy
from ironworks.products.tokenfactory.analytics import store
from ironworks.products.tokenfactory.analytics.model import (
    HOURS_KEPT,
    MINUTES_KEPT,
    NUMBERS,
    TOKENS,
    Answered,
    Figures,
    Group,
    History,
    Question,
    Report,
    Rows,
    Series,
    Sort,
    add_up,
    begin_of,
    by_hour,
    quantile,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid

T = TypeVar("T")
QUANTILES: Final = (0.5, 0.9, 0.99)
MAX_POINTS: Final = 2000
"""Of one series: so many intervals may lie between the first moment and the last."""
PAGE: Final = 5000
MAX_EVENTS: Final = 200_000
"""So many usage events are read for the costs of one question; more is a question for a shorter period."""


async def add_usage(ctx: Context, batch: Sequence[Answered]) -> None:
    """Count requests that were charged in this transaction; make it the last thing that it does.

    Its rows stay locked until the commit, and every batch of the same tenant wants the same ones.
    """
    if not batch:
        return
    minutes = add_up(batch, "minute")
    await store.add_rows(ctx, "minutely", minutes)
    await store.add_rows(ctx, "hourly", by_hour(minutes))


async def report_usage(ctx: Context, question: Question) -> Report:
    """Sums and quantiles by group. Money only where the caller holds `billing:read`.

    Raises NotFound for a scope that never existed, Invalid for an interval that does not fit.
    """
    money = await ctx.allows("billing:read", question.path)
    if question.from_usage:
        return await _report_from_usage(ctx, question, money)
    part = _part_of(question, ctx.now())
    sums = {name: numbers for (name,), numbers in (await store.sum_numbers(ctx, part, ("grp",))).items()}
    if not sums:
        await tenancy.require_scope(ctx, question.path)
        return Report(part.since, part.until, "analytics", Figures(dict.fromkeys(NUMBERS, 0)), ())
    names = _first(question, sums, money)
    points = await _points(ctx, part, names, money)
    durations = points.durations if len(names) == len(sums) else await store.sum_histograms(ctx, part, ())
    total = _figures(_added(sums.values()), merged(durations.values()), money)
    spread = points.by_group()
    groups = [
        Group(name, _figures(sums[name], merged(spread[name]), money), points.series.get(name, ())) for name in names
    ]
    return Report(part.since, part.until, "analytics", total, groups)


async def report_targets(
    ctx: Context, path: str, route: UUID, since: datetime, name: Callable[[str], T | None]
) -> dict[T, Figures]:
    """What went through the targets of a route since a moment at most three hours ago, called from `path` and below.

    `name` makes of a group (`path/name:model@upstream`) what it is told under; groups of one name are added up, those
    of None left out. Without money.
    """
    filters = {"route_uid": str(route)}
    part = store.Part("minutely", path, begin_of(since, "minute"), ctx.now(), filters, "target")
    numbers: dict[T, list[Mapping[str, int]]] = defaultdict(list)
    durations: dict[T, list[store.Histogram]] = defaultdict(list)
    for (group,), sums in (await store.sum_numbers(ctx, part, ("grp",))).items():
        if (found := name(group)) is not None:
            numbers[found].append(sums)
    for (group,), histogram in (await store.sum_histograms(ctx, part, ("grp",))).items():
        if (found := name(group)) is not None:
            durations[found].append(histogram)
    return {each: _figures(_added(sums), merged(durations[each]), False) for each, sums in numbers.items()}


def _part_of(question: Question, now: datetime) -> store.Part:
    fine = "minute" in (question.by, question.interval)
    if fine and question.since < now - MINUTES_KEPT:
        raise invalid("since", "is too long ago for minutes", "they are kept for 3 hours: ask by the hour")
    unit = {"minute": timedelta(minutes=1), "day": timedelta(days=1)}.get(question.interval or "", timedelta(hours=1))
    since = begin_of(question.since, "minute" if fine else "hour")
    if question.interval and (question.until - since) / unit > MAX_POINTS:
        raise invalid(
            "interval", f"makes more than {MAX_POINTS} points", "ask for a shorter period or longer intervals"
        )
    table: store.Table = "minutely" if fine else "hourly"
    return store.Part(table, question.path, since, question.until, question.filters, question.by, question.interval)


@dataclass(frozen=True, slots=True)
class _Points:
    """The groups' durations, at each moment where an interval was asked for, and how the groups went over time."""

    durations: store.Histograms
    series: Mapping[str, Sequence[tuple[datetime, Figures]]]

    def by_group(self) -> dict[str, list[store.Histogram]]:
        """Each group's durations, at all moments."""
        found: dict[str, list[store.Histogram]] = defaultdict(list)
        for (name, *_), histogram in self.durations.items():
            found[name].append(histogram)
        return found


async def _points(ctx: Context, part: store.Part, names: Sequence[str], money: bool) -> _Points:
    """Of these groups alone: rows that nobody will see are not read again."""
    if part.interval is None:
        return _Points(await store.sum_histograms(ctx, part, ("grp",), names), {})
    durations = await store.sum_histograms(ctx, part, ("grp", "at"), names)
    numbers = await store.sum_numbers(ctx, part, ("grp", "at"), names)
    series: dict[str, list[tuple[datetime, Figures]]] = {name: [] for name in names}
    for name, at in sorted(numbers):
        series[name].append((at, _figures(numbers[name, at], durations.get((name, at)), money)))
    return _Points(durations, series)


def merged(histograms: Iterable[store.Histogram]) -> store.Histogram:
    """All durations together."""
    latency: Counter[int] = Counter()
    first_token: Counter[int] = Counter()
    for one, other in histograms:
        latency.update(one)
        first_token.update(other)
    return latency, first_token


def _added(sums: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for numbers in sums:
        total.update(numbers)
    return {name: total[name] for name in NUMBERS}


def _first(question: Question, sums: Mapping[str, Mapping[str, int]], money: bool) -> list[str]:
    if question.by in ("minute", "hour", "day"):
        return sorted(sums)[-question.limit :]
    sort = question.sort if money or question.sort != "cost" else "requests"
    return sorted(sums, key=lambda name: (-weight(sums[name], sort), name))[: question.limit]


def weight(numbers: Mapping[str, int | None], sort: Sort) -> int:
    """What groups are put in order by."""
    columns = {
        "tokens": TOKENS,
        "cost": ("cost_nano",),
        "errors": ("client_errors", "server_errors"),
        "requests": ("requests",),
    }[sort]
    return sum(numbers.get(column) or 0 for column in columns)


def _figures(numbers: Mapping[str, int], durations: store.Histogram | None, money: bool) -> Figures:
    shown = numbers if money else {**numbers, "cost_nano": None}
    if durations is None:
        return Figures(shown)
    return Figures(shown, _quantiles(durations[0]), _quantiles(durations[1]))


def _quantiles(cells: Mapping[int, int]) -> tuple[float, ...] | None:
    found = [value for q in QUANTILES if (value := quantile(q, cells)) is not None]
    return tuple(found) or None


async def _report_from_usage(ctx: Context, question: Question, money: bool) -> Report:
    if question.interval or question.filters:
        raise invalid("by", f"{question.by!r} goes without interval and filters", "leave them out")
    period = question.path, question.since, question.until, question.by
    totals = await metering.summarize_usage(ctx, *period)
    costs = await _costs_by(ctx, *period) if money else None
    sums = {t.group: _usage_numbers(t, None if costs is None else costs.get(t.group, 0)) for t in totals}
    names = sorted(sums, key=lambda name: (-weight(sums[name], question.sort), name))[: question.limit]
    added = {name: _sum(numbers[name] for numbers in sums.values()) for name in NUMBERS}
    groups = [Group(name, Figures(sums[name])) for name in names]
    return Report(question.since, question.until, "usage", Figures(added), groups)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _usage_numbers(total: metering.UsageTotal, cost: int | None) -> dict[str, int | None]:
    unknown = {"client_errors": None, "server_errors": None, "cost_nano": cost}
    return {name: total.quantities.get(name, 0) for name in NUMBERS} | {"requests": total.requests} | unknown


async def _costs_by(ctx: Context, path: str, since: datetime, until: datetime, by: str) -> dict[str, int]:
    """What each group's events cost, page by page. Raises Invalid where there are too many."""
    costs: dict[str, int] = {}
    before = until, ""
    for _ in range(MAX_EVENTS // PAGE):
        page = await metering.list_grouped(ctx, path, since, until, by, before, PAGE)
        found = await pricing.sum_costs(ctx, [event.id for event in page])
        for event in page:
            costs[event.group] = costs.get(event.group, 0) + found.get(event.id, 0)
        if len(page) < PAGE:
            return costs
        before = page[-1].occurred_at, page[-1].id
    raise invalid("since", f"more than {MAX_EVENTS} requests lie in the period", f"ask by {by!r} for a shorter one")


async def rebuild_hours(ctx: Context, path: str, since: datetime, until: datetime) -> int:
    """Make the hours that touch [since, until) of the scope `path` alone anew from its usage events and rated lines.

    As the worker; charges wait while it runs, so take a few hours at a time. Durations stay as they are: metering does
    not know them. Returns how many events it read. Call it once per transaction.
    """
    await store.lock_hours(ctx)
    begin, end = begin_of(since, "hour"), begin_of(until - timedelta(microseconds=1), "hour") + timedelta(hours=1)
    rows: Rows = {}
    count = 0
    before: tuple[datetime, str] | None = None
    while page := await metering.list_usage_at(ctx, path, begin, end, PAGE, before):
        costs = await pricing.sum_costs(ctx, [usage.event.id for usage in page])
        add_up((answered_of(usage.event, costs.get(usage.event.id, 0)) for usage in page), "hour", rows)
        count += len(page)
        before = page[-1].event.occurred_at, page[-1].event.id
    if rows:
        await store.set_rows(ctx, "hourly", rows)
        await ctx.touch("usage", path)
    return count


async def next_history(ctx: Context) -> History | None:
    """The next scope whose usage was charged before analytics counted any; None when that is all, or not time yet."""
    now = ctx.now()
    state = await store.open_history(ctx, now)
    if state is None:
        return None
    before, reached = state
    span = await metering.next_span(ctx, reached)
    if span is None:
        await store.keep_history(ctx, None)
        return None
    path, first, last = span
    return History(path, begin_of(max(first, now - HOURS_KEPT), "day"), min(last + timedelta(hours=1), before))


async def end_history(ctx: Context, history: History) -> None:
    """The scope's history is counted."""
    await store.keep_history(ctx, history.path)


async def recount_events(ctx: Context, event_ids: Sequence[str]) -> None:
    """Make the hours of these usage events anew: something about them was charged after they were counted."""
    events = [usage.event for usage in await metering.find_usages(ctx, event_ids)]
    for scope, hour in sorted({(event.scope, begin_of(event.occurred_at, "hour")) for event in events}):
        await rebuild_hours(ctx, scope, hour, hour + timedelta(hours=1))


def answered_of(
    event: metering.UsageEvent,
    cost_nano: int,
    latency_ms: float | None = None,
    first_token_ms: float | None = None,
) -> Answered:
    """A usage event as analytics counts it. Its status is among its dimensions."""
    status = event.dimensions.get("status", "")
    endpoint = f"{event.endpoint_scope or '-'}/{event.endpoint_name}" if event.endpoint_name else ""
    which = event.dimensions.get("target", "")
    whose = _plain(event.key_uid), _plain(event.route_uid)
    series = Series(event.scope, *whose, event.route, event.model, endpoint, which)
    told = int(status) if status.isdecimal() else 200
    return Answered(event.occurred_at, series, told, event.quantities, cost_nano, latency_ms, first_token_ms)


def _plain(uid: UUID | None) -> UUID | None:
    """The standard library's UUID of the driver's, so that equal ones are one series."""
    return uid if uid is None or type(uid) is UUID else UUID(int=uid.int)


async def forget_rows(ctx: Context, limit: int = 5000) -> int:
    """Remove up to `limit` minutes and as many hours that are past their time; returns how many rows went."""
    now = ctx.now()
    return await store.remove_old(ctx, "minutely", now - MINUTES_KEPT, limit) + await store.remove_old(
        ctx, "hourly", now - HOURS_KEPT, limit
    )
