"""The counts against a plain model of the algorithm, in exact fractions."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironworks.products.tokenfactory.limits import Exceeded, Grant
from tests.products.tokenfactory.limits.views import SECOND, Clock, desk_with, limit, plan


@dataclass
class Bucket:
    """`size` tokens, `rate` of them anew each second; may be overdrawn."""

    rate: Fraction
    size: int
    level: Fraction = field(init=False)
    at: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.level = Fraction(self.size)

    def fill(self, now: Fraction) -> None:
        self.level = min(Fraction(self.size), self.level + (now - self.at) * self.rate)
        self.at = now


RATES = st.tuples(st.integers(1, 50), st.one_of(st.none(), st.integers(1, 20)))
STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "admit", "spend"]), st.integers(0, 4_000), st.integers(1, 40)), max_size=60
)
SLACK = Fraction(1, 1_000)
"""A cell's time is in whole nanoseconds; steps are chosen so that a thousandth of a token never decides."""


@given(requests=RATES, tokens=st.tuples(st.integers(60, 6_000), st.integers(1, 100)), steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_exactly_what_a_bucket_allows_passes(
    tmp_path_factory: pytest.TempPathFactory,
    requests: tuple[int, int | None],
    tokens: tuple[int, int],
    steps: list[tuple[str, int, int]],
) -> None:
    clock = Clock()
    view = limit(requests_per_second=requests[0], burst=requests[1], tokens_per_minute=tokens[0], token_burst=tokens[1])
    desk = desk_with(tmp_path_factory.mktemp("table"), clock, view)
    of, began = plan(desk), clock.now
    calls = Bucket(Fraction(requests[0]), requests[1] or requests[0])
    used = Bucket(Fraction(tokens[0], 60), tokens[1])
    running: list[Grant] = []
    for action, wait, count in steps:
        now = Fraction(clock.now - began, SECOND)
        for bucket in (calls, used):
            bucket.fill(now)
        if action == "wait":
            clock.now += wait * 1_000_000
        elif action == "spend" and running:
            running[-1].spend(count)
            desk.flush()
            used.level -= count
        elif action == "admit":
            try:
                running.append(desk.admit(of, "chat", count))
            except Exceeded:
                assert calls.level < 1 + SLACK or used.level < count + SLACK
            else:
                assert calls.level > 1 - SLACK
                assert used.level > count - SLACK
                calls.level -= 1
                used.level -= count
    desk.close()


@given(estimates=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300), st.integers(0, 5_000)), max_size=25))
@settings(max_examples=100, deadline=None)
def test_corrections_never_let_more_pass_than_the_true_figures_would(
    tmp_path_factory: pytest.TempPathFactory, estimates: list[tuple[int, int, int]]
) -> None:
    """Tokens truly used by then are at most the burst, what was refilled, and the overdraft of what was running."""
    clock = Clock()
    desk = desk_with(tmp_path_factory.mktemp("table"), clock, limit(tokens_per_minute=600, token_burst=300))
    of, began = plan(desk), clock.now
    true_total = overdraft = 0
    for estimate, true, wait in estimates:
        try:
            grant = desk.admit(of, "chat", estimate)
        except Exceeded:
            pass
        else:
            true_total += true
            overdraft = max(overdraft, true - estimate)
            clock.now += wait * 500_000
            grant.correct(true)
            desk.flush()
        clock.now += wait * 500_000
        assert true_total <= 300 + 10 * (clock.now - began) / SECOND + max(0, overdraft) + 1e-3
    desk.close()
