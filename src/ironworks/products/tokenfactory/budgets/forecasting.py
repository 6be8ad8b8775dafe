"""How a budget burns down, and where it will stand when its period ends. Pure arithmetic, on what was spent by when.

The forecast takes the recent past in blocks of equal length and asks what as many blocks as are left will add up to,
where they come from where those came from: the mean times their number, and an interval for their sum (Hahn and Meeker,
Statistical Intervals, 1991: the sum of m future observations, from n of them). Whole days where there are some, for
usage has a rhythm of days; hours or tens of minutes of what is younger. What spends less often than blocks are long, or
grows, is not described by that, which is why the interval is told and not only the middle.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from statistics import fmean, stdev
from typing import Final, Literal, NamedTuple, TypeAlias

from ironworks.products.tokenfactory.budgets.model import ALWAYS, Period

Basis: TypeAlias = Literal["days", "hours", "tens-of-minutes", "lifetime"]

TEN: Final = timedelta(minutes=10)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
FINE_KEPT: Final = timedelta(days=3)
"""Older spending is kept by the hour."""
RECENT: Final = timedelta(days=7)
LEAST_BLOCKS: Final = 4
MOST_POINTS: Final = 750
CONFIDENCE: Final = 80
"""Percent of the times that the end lies between `low` and `high`, where the past is like the future."""
_Z: Final = 1.2815515655446004
"""What a normal variable exceeds in a tenth of all cases."""
_FAR: Final = timedelta(days=3650)
_BLOCKS: Final[tuple[tuple[Basis, timedelta, int], ...]] = (
    ("days", DAY, 7),
    ("hours", HOUR, 24),
    ("tens-of-minutes", TEN, 36),
)
_STEPS: Final = (TEN, HOUR, 6 * HOUR, DAY, 7 * DAY)


class Spent(NamedTuple):
    """Nano-units of requests that were admitted in the minutes from `at` on."""

    at: datetime
    nano: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """How it goes on if it goes on like this. Amounts are nano-units.

    Args:
        basis, blocks: what the rate was taken from: so many of them. A budget that is younger than four tens of minutes
            is taken as one, and has no range.
        per_day: the rate. end, low, high: spent when the period ends, and its range; None where it never does, or no
            range can be told.
        runs_out_at: when all will be spent, in this period; earliest, latest: its range. None: not in this period, or
            it is.
    """

    basis: Basis
    blocks: int
    per_day: int
    end: int | None = None
    low: int | None = None
    high: int | None = None
    runs_out_at: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Pace:
    """Blocks of `unit`, of which each costs `mean`, give or take `spread`; `count` of them were seen."""

    basis: Basis
    unit: timedelta
    count: int
    mean: float
    spread: float | None

    def after(self, blocks: float, side: float) -> float:
        """What so many blocks add up to; `side`: 0 for the middle, -1 and 1 for the ends of the range."""
        if self.spread is None:
            return self.mean * blocks
        doubt = _t(self.count - 1) * self.spread * math.sqrt(blocks + blocks * blocks / self.count)
        return max(0.0, self.mean * blocks + side * doubt)

    def lasts(self, nano: int, side: float) -> timedelta | None:
        """How long `nano` lasts; None for ten years or more. What is spent at an end of the range only grows there."""
        low, high = 0.0, _FAR / self.unit
        if self.after(high, side) < nano:
            return None
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.after(middle, side) < nano else (low, middle)
        return self.unit * high


def foresee(
    period: Period,
    amount: int,
    spent: int,
    recent: Sequence[Spent],
    born: datetime,
    now: datetime,
    end: datetime | None,
) -> Forecast:
    """The forecast of a running period.

    Args:
        amount, spent: of the period, in nano-units. recent: what the budget counted since `now - RECENT`, in any
            period. born: since when it counts. end: of the period, None where it never ends.
    """
    pace = _pace(period, recent, born, now)
    told = Forecast(pace.basis, pace.count, round(pace.mean * (DAY / pace.unit)))
    left, ranged = amount - spent, pace.spread is not None
    if left > 0:
        told = replace(told, runs_out_at=_ending(now, pace.lasts(left, 0), end))
        if ranged:
            earliest, latest = (_ending(now, pace.lasts(left, side), end) for side in (1, -1))
            told = replace(told, earliest=earliest, latest=latest)
    if end is None:
        return told
    blocks = max(0.0, (end - now) / pace.unit)
    middle, low, high = (spent + round(pace.after(blocks, side)) for side in (0, -1, 1))
    return replace(told, end=middle, low=low if ranged else None, high=high if ranged else None)


def _ending(now: datetime, lasts: timedelta | None, end: datetime | None) -> datetime | None:
    at = None if lasts is None else now + lasts
    return at if at is not None and (end is None or at < end) else None


def _pace(period: Period, recent: Sequence[Spent], born: datetime, now: datetime) -> _Pace:
    """The largest blocks of which there are four; a day's budget is judged by its hours."""
    for basis, unit, most in _BLOCKS[1:] if period == "day" else _BLOCKS:
        last = now - (now - ALWAYS) % TEN
        count = min(most, (last - born) // unit)
        if count >= LEAST_BLOCKS:
            sums = _sums(recent, last, unit, count)
            return _Pace(basis, unit, count, fmean(sums), stdev(sums))
    life = max(now - born, timedelta(minutes=1))
    return _Pace("lifetime", life, 1, float(sum(each.nano for each in recent)), None)


def _sums(recent: Sequence[Spent], last: datetime, unit: timedelta, count: int) -> list[int]:
    """What was spent in each of `count` blocks before `last`."""
    sums = [0] * count
    for each in recent:
        place = (last - each.at - timedelta(microseconds=1)) // unit
        if 0 <= place < count:
            sums[place] += each.nano
    return sums


def _t(freedom: int) -> float:
    """Student's t that is exceeded in a tenth of all cases (Abramowitz and Stegun, 26.7.5); good to 0.1 % from 3 on."""
    z, v = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def round_amount(nano: int) -> int:
    """To two digits: 123_456 → 120_000."""
    return round(nano, 2 - len(str(abs(nano))))


def burn(rows: Sequence[Spent], begins: datetime, until: datetime) -> list[Spent]:
    """What was spent by when, from nothing at the ten minutes of `begins` to all at `until`, in even steps.

    They are at most MOST_POINTS. What is ahead of `until` (another clock) counts at `until`.
    """
    begins -= (begins - ALWAYS) % TEN
    step = next((each for each in _STEPS if (until - begins) / each <= MOST_POINTS), _STEPS[-1])
    ordered = sorted(rows)
    times = [each.at for each in ordered]
    sums = [0, *accumulate(each.nano for each in ordered)]
    moments = [begins]
    while moments[-1] + step < until:
        moments.append(moments[-1] + step)
    found = [Spent(at, sums[bisect_right(times, at - timedelta(microseconds=1))]) for at in moments]
    return [*found, Spent(until, sums[-1])]
