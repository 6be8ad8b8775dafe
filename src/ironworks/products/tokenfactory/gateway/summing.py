"""How a Route's targets stand, from what each gateway process says of them and from what went through them. Pure.

Each process finds out for itself, by the requests that it serves. Within one process a target stands as its best
upstream does, for that is what it can do; of several processes the one counts that sees it worst.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from ironworks.products.tokenfactory.analytics import Figures
from ironworks.products.tokenfactory.routing import RouteTarget, Standing, split_reference
from ironworks.shared.path import show_path

Told: TypeAlias = Standing | Literal["unknown"]
WORSE: Final[Sequence[Standing]] = ("healthy", "slow_start", "resting", "ejected")


@dataclass(frozen=True, slots=True)
class Seen:
    """An upstream of a target as one process sees it; see `targets.TargetState`."""

    place: int
    upstream: str
    upstreams: int
    standing: Standing
    until: datetime | None
    fault: str
    failed_at: datetime | None
    in_flight: int
    queued: int
    latency_ms: float | None
    process: UUID


@dataclass(frozen=True, slots=True)
class Summary:
    """A target, or one of its upstreams, by all processes.

    Args:
        until: when `state` ends at the latest; None where a look must find it well first, or it does not end.
        fault, failed_at: what went wrong at last. processes: how many see it in this state.
        upstreams: by name, those of which there is something to tell.
    """

    state: Told
    until: datetime | None = None
    fault: str = ""
    failed_at: datetime | None = None
    in_flight: int = 0
    queued: int = 0
    processes: int = 0
    upstreams: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """A Route's target. `figures` are of the last hour; None where nothing is known that the caller may see."""

    target: RouteTarget
    summary: Summary
    figures: Figures | None


def sum_up(seen: Sequence[Seen], processes: int) -> Summary:
    """A target by what `processes` processes say of its upstreams; what one says nothing of is well there."""
    if not processes:
        return Summary("unknown")
    by_process: dict[UUID, list[Seen]] = defaultdict(list)
    by_upstream: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_process[one.process].append(one)
        by_upstream[one.upstream].append(one)
    standings = [_best(own) for own in by_process.values()]
    standings += ["healthy"] * (processes - len(standings))
    upstreams = {name: _summary(of, [one.standing for one in of]) for name, of in sorted(by_upstream.items())}
    return replace(_summary(seen, standings), upstreams=upstreams)


def _best(own: Sequence[Seen]) -> Standing:
    """How a target stands at the process whose word these are."""
    if len(own) < own[0].upstreams:
        return "healthy"
    return min((one.standing for one in own), key=WORSE.index)


def _summary(seen: Sequence[Seen], standings: Sequence[Standing]) -> Summary:
    worst = max(standings, key=WORSE.index)
    ends = [one.until for one in seen if one.standing == worst and one.until is not None]
    faults = [(one.failed_at, one.fault) for one in seen if one.failed_at is not None and one.fault]
    failed_at, fault = max(faults, default=(None, ""))
    return Summary(
        worst,
        min(ends, default=None),
        fault,
        failed_at,
        sum(one.in_flight for one in seen),
        sum(one.queued for one in seen),
        standings.count(worst),
    )


def set_aside(seen: Iterable[Seen]) -> dict[int, str]:
    """The targets of which a process uses no upstream: place → what went wrong at last."""
    by_place: dict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        by_place[one.place].append(one)
    found = {place: sum_up(own, len({one.process for one in own})) for place, own in by_place.items()}
    return {place: summary.fault for place, summary in found.items() if summary.state == "ejected"}


def place_of(group: str, targets: Sequence[RouteTarget], home: str) -> int | None:
    """Which of a Route's targets a group of figures is about: `path/name`, or `path/name:model@upstream as name`."""
    alike: int | None = None
    for place, target in enumerate(targets):
        path, name = split_reference(target.endpoint or target.external or "", home)
        start = f"{show_path(path)}/{name}" + (f":{target.model}@" if target.external else "")
        rest = group.removeprefix(start)
        if not group.startswith(start) or (target.endpoint and rest and not rest.startswith(":as ")):
            continue
        if rest.partition("as " if target.endpoint else " as ")[2] == (target.served_as or ""):
            return place
        alike = place if alike is None else alike
    return alike
