"""Billing periods as calendar arithmetic: pure, in whole UTC days, exact to the nano-unit.

A period begins and ends at 00:00 UTC, so neither daylight saving nor the hour of a change can move an amount. An anchor
on a day that a month lacks falls on the month's last day, and returns to its own day in the next one.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def next_boundary(anchor_day: int, after: date) -> date:
    """The first day past `after` on which a period of this anchor (1 to 31) begins."""
    found = _boundary(anchor_day, after.year, after.month)
    if found > after:
        return found
    return _boundary(anchor_day, after.year + after.month // 12, after.month % 12 + 1)


def _boundary(anchor_day: int, year: int, month: int) -> date:
    return date(year, month, min(anchor_day, monthrange(year, month)[1]))


def share(amount: int, days: int, start: int, end: int) -> int:
    """The part of `amount` that days `start` to `end` (exclusive) of a period of `days` bear.

    Parts of a partition add up to the whole exactly, because each is the difference of two rounded running totals.
    `amount` is not negative; the rounding is down.
    """
    if not 0 <= start <= end <= days:
        raise ValueError(f"days {start} to {end} are no part of a period of {days}")
    return amount * end // days - amount * start // days
