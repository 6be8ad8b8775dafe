"""What a plan includes of a meter, and what that takes off usage that was rated at base price: pure, exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def overage_prices(spans: Sequence[Span], plans: Mapping[UUID, Plan], start: date, end: date) -> Mapping[str, Decimal]:
    """Those of the plan that was in force last."""
    last = [plan_id for plan_id, _, _ in plan_days(spans, start, end)]
    return plans[last[-1]].overage if last else {}


def adjustment_nano(used: int, rated_nano: int, included: int, overage: Decimal | None) -> int:
    """What is added to rated usage, so that only what is beyond `included` costs something.

    Args:
        used: units of the meter in the period; rated_nano: what their rated lines add up to.
        overage: the plan's price of a unit beyond; None for the price book's, as the average of what was rated.
    """
    if used == 0:
        return 0
    free = min(used, included)
    if overage is None:
        return -(rated_nano * free // used)
    return pricing.nano_amount(used - free, overage) - rated_nano
