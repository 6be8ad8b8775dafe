"""What a plan includes of a meter, and what that takes off usage that was rated at base price: pure, exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from ironworks.platform import pricing
from ironworks.platform.subscriptions.days import share
from ironworks.platform.subscriptions.model import Plan, Span


def plan_days(spans: Sequence[Span], start: date, end: date) -> Iterator[tuple[UUID, date, date]]:
    """Which plan was in force from when to when in [start, end), in order."""
    for position, span in enumerate(spans):
        until = min((later.from_day for later in spans[position + 1 :]), default=end)
        begins, ends = max(span.from_day, start), min(until, end)
        if begins < ends:
            yield span.plan_id, begins, ends


def included_quantities(
    spans: Sequence[Span], plans: Mapping[UUID, Plan], start: date, end: date, natural_end: date
) -> dict[str, int]:
    """Meter → units that the fees of [start, end) paid for: of each plan, what its days of the period bear.

    `natural_end` is where the period would have ended, had nobody ended it before.
    """
    days = (natural_end - start).days
    found: dict[str, int] = {}
    for plan_id, begins, ends in plan_days(spans, start, end):
        for meter, quantity in plans[plan_id].included.items():
            part = share(quantity, days, (begins - start).days, (ends - start).days)
            found[meter] = found.get(meter, 0) + part
    return found


@dataclass(frozen=True, slots=True)
class PartUse:
    """What was used of a meter while one plan was in force, and what that came to at base price.

    `overage`: the plan's own price of a unit beyond what is included; None: the price book's, as the average of what
    was rated.
    """

    used: int
    rated_nano: int
    overage: Decimal | None


@dataclass(frozen=True, slots=True)
class PeriodUse:
    """What was used of a meter in a period, by the plans that were in force, in the order of time, and what they
    included of it together."""

    meter: str
    included: int
    parts: Sequence[PartUse]

    @property
    def used(self) -> int:
        return sum(part.used for part in self.parts)


def adjustment_nano(parts: Sequence[PartUse], included: int) -> int:
    """What is added to a period's rated usage, so that only what is beyond `included` costs something.

    Units are free in the order of time until what is included is used up; one beyond costs what the plan says that was
    in force when it was used, so that no later change of plan makes it cheaper or dearer.
    """
    added, left = 0, included
    for part in parts:
        free = min(part.used, left)
        left -= free
        added += _part_nano(part, free) if part.used else 0
    return added


def _part_nano(part: PartUse, free: int) -> int:
    if part.overage is None:
        return -(part.rated_nano * free // part.used)
    return pricing.nano_amount(part.used - free, part.overage) - part.rated_nano
