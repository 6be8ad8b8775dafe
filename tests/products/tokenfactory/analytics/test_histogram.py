"""Quantiles from histograms: how far off, and that merging loses nothing."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.analytics import Interval, cell_of, quantile
from ironworks.products.tokenfactory.analytics.model import GROWTH, LAST_CELL, begin_of

durations = st.lists(st.floats(0, 10**8, allow_nan=False), min_size=1, max_size=300)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BOUND = (GROWTH - 1) / (GROWTH + 1)


def histogram(values: list[float]) -> Counter[int]:
    return Counter(map(cell_of, values))


@given(durations, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_off_by_at_most_five_percent(values: list[float], q: float) -> None:
    found = quantile(q, histogram(values))
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert found is not None
    if exact > 1:
        assert abs(found - exact) <= exact * 0.05
        assert abs(found - exact) <= exact * BOUND * (1 + 1e-9)
    else:
        assert found == 1


@given(durations, durations)
def test_a_merged_histogram_is_that_of_all(one: list[float], other: list[float]) -> None:
    assert histogram(one) + histogram(other) == histogram(one + other)


def test_where_cells_begin_and_end() -> None:
    assert [cell_of(ms) for ms in (0, 0.3, 1, 1.000001, 1.1, 1.100001, 1.21)] == [0, 0, 0, 1, 1, 2, 2]
    assert cell_of(10**12) == LAST_CELL
    assert quantile(0.5, {}) is None


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.timezones()))
def test_a_moment_is_in_its_utc_minute_hour_and_day(at: datetime) -> None:
    intervals: dict[Interval, int] = {"minute": 60, "hour": 3600, "day": 86400}
    for interval, seconds in intervals.items():
        begin = begin_of(at, interval)
        assert timedelta(0) <= at - begin < timedelta(seconds=seconds)
        assert (begin - EPOCH) % timedelta(seconds=seconds) == timedelta(0)


def test_every_cell_stands_for_what_is_in_it() -> None:
    for cell in range(1, LAST_CELL):
        middle = quantile(1, {cell: 1})
        assert middle is not None
        assert cell_of(middle) == cell
