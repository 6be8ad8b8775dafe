"""How a subscription moves, without a database: periods, anchors, trials, and prorations that add up to the nano."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform.subscriptions import lifecycle
from ironworks.platform.subscriptions.allowances import PartUse, adjustment_nano, included_quantities
from ironworks.platform.subscriptions.days import next_boundary, share
from ironworks.platform.subscriptions.model import (
    GRACE,
    AlreadyOnPlan,
    NewCharge,
    NoSubscription,
    Plan,
    Status,
    Subscription,
    SubscriptionEnding,
    When,
)

DAY = timedelta(days=1)
ID = UUID(int=7)
NOW = datetime(2026, 5, 2, tzinfo=UTC)


def plan(number: int, fee: int, *, included: int = 0, trial_days: int = 0) -> Plan:
    return Plan(
        UUID(int=number), f"plan-{number}", 1, f"Plan {number}", "USD", fee, {}, {"calls": included}, {}, trial_days
    )


SMALL, MIDDLE, LARGE = plan(1, 49 * 10**9, included=5), plan(2, 199 * 10**9 + 1, included=50), plan(3, 799_000_000_007)
FREE = plan(4, 0)
PLANS = {each.id: each for each in (SMALL, MIDDLE, LARGE, FREE)}


def begin(first: date, on: Plan = SMALL, *, trial: bool = False, previous_end: date | None = None) -> lifecycle.Step:
    return lifecycle.start(ID, "acme", on, first, trial=trial, previous_end=previous_end)


def total(step: lifecycle.Step) -> int:
    return sum(new.charge.amount_nano for new in step.charges)


def boundaries(subscription: Subscription, until: date) -> list[date]:
    """The first days of its periods, up to `until`."""
    found = [subscription.period_start]
    while found[-1] < until:
        subscription = lifecycle.roll(subscription, PLANS, subscription.period_end).subscription
        found.append(subscription.period_start)
    return found


# --- days --------------------------------------------------------------------------------------------------------


def test_an_anchor_on_the_31st_falls_on_the_last_day_and_returns() -> None:
    found = boundaries(begin(date(2027, 12, 31)).subscription, date(2028, 5, 31))
    assert found == [
        date(2027, 12, 31), date(2028, 1, 31), date(2028, 2, 29),
        date(2028, 3, 31), date(2028, 4, 30), date(2028, 5, 31),
    ]  # fmt: skip
    assert boundaries(begin(date(2027, 1, 30)).subscription, date(2027, 3, 30))[1:] == [
        date(2027, 2, 28),
        date(2027, 3, 30),
    ]


def test_a_leap_day_is_an_anchor_like_any_other() -> None:
    found = boundaries(begin(date(2028, 2, 29)).subscription, date(2029, 3, 29))
    assert (found[1], found[12], found[13]) == (date(2028, 3, 29), date(2029, 2, 28), date(2029, 3, 29))


@given(st.integers(1, 31), st.dates(date(1999, 1, 1), date(2200, 1, 1)))
def test_a_boundary_is_the_next_one_and_there_is_one_a_month(anchor: int, day: date) -> None:
    found = next_boundary(anchor, day)
    assert day < found <= day + timedelta(days=31)
    later = next_boundary(anchor, found)
    assert (later.year, later.month) == ((found + timedelta(days=31)).replace(day=1).year, found.month % 12 + 1)
    assert 28 <= (later - found).days <= 31


@given(st.integers(0, 10**15), st.integers(1, 366), st.data())
def test_the_parts_of_a_partition_add_up(amount: int, days: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, days), max_size=8)))
    edges = [0, *cuts, days]
    parts = [share(amount, days, a, b) for a, b in pairwise(edges)]
    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)


# --- beginning and rolling ---------------------------------------------------------------------------------------


def test_the_first_fee_is_due_at_once_and_the_days_before_are_closed_with_it() -> None:
    step = begin(date(2026, 5, 20))
    (fee,) = step.charges
    assert (fee.due_on, fee.charge.amount_nano) == (date(2026, 5, 20), SMALL.base_fee_nano)
    assert (step.subscription.closed_to, step.subscription.closes_on) == (date(2026, 5, 1), date(2026, 5, 20))
    assert begin(date(2026, 5, 1)).subscription.closed_to == date(2026, 5, 1)
    assert begin(date(2026, 5, 20), previous_end=date(2026, 5, 12)).subscription.closed_to == date(2026, 5, 12)
    assert begin(date(2026, 5, 20), previous_end=date(2026, 5, 20)).subscription.closed_to == date(2026, 5, 20)


def test_a_trial_costs_nothing_and_its_end_is_the_anchor() -> None:
    trying = plan(5, 10**9, trial_days=14)
    step = begin(date(2026, 1, 17), trying, trial=True)
    assert (step.charges, step.subscription.status) == ((), Status.TRIALING)
    assert step.subscription.trial_end == step.subscription.period_end == date(2026, 1, 31)
    ended = lifecycle.roll(step.subscription, {trying.id: trying}, date(2026, 1, 31))
    assert ended.subscription.status is Status.ACTIVE
    assert (ended.subscription.anchor_day, ended.subscription.period_end) == (31, date(2026, 2, 28))
    assert [(c.due_on, c.charge.amount_nano) for c in ended.charges] == [(date(2026, 1, 31), 10**9)]


def test_a_trial_that_is_canceled_costs_nothing() -> None:
    trying = plan(5, 10**9, trial_days=14)
    now = begin(date(2026, 1, 17), trying, trial=True).subscription
    for when in When:
        gone = lifecycle.cancel(now, when, "", date(2026, 1, 20)).subscription
        over = lifecycle.roll(gone, {trying.id: trying}, date(2026, 3, 1))
        assert (over.subscription.status, over.charges) == (Status.CANCELED, ())


TRYING, LONGER, SHORTER = plan(5, 10**9, trial_days=14), plan(6, 2 * 10**9, trial_days=30), plan(7, 1, trial_days=7)
TRIED = {**PLANS, TRYING.id: TRYING, LONGER.id: LONGER, SHORTER.id: SHORTER}
FIRST = date(2026, 1, 17)


def test_a_plan_without_a_trial_ends_the_trial_of_another_and_is_paid_from_then_on() -> None:
    now = begin(FIRST, TRYING, trial=True).subscription
    today = FIRST + 3 * DAY
    step = lifecycle.change_plan(now, TRIED, LARGE, None, today)
    after = step.subscription
    assert [(c.due_on, c.charge.amount_nano) for c in step.charges] == [(today, LARGE.base_fee_nano)]
    assert (after.status, after.in_trial, after.anchor_day) == (Status.ACTIVE, False, today.day)
    assert (after.trial_end, after.period_start, after.period_end) == (today, today, date(2026, 2, 20))
    assert [type(event).__name__ for event in step.events] == ["PlanChanged", "TrialEnded"]
    shown = lifecycle.preview_change(now, TRIED, LARGE, None, today)
    assert (shown.due_nano, shown.period_end) == (LARGE.base_fee_nano, after.period_end)
    assert lifecycle.roll(after, TRIED, date(2026, 2, 20)).charges[0].due_on == date(2026, 2, 20)
    assert_every_charge_is_closed_once(step, date(2026, 2, 20))


def test_on_its_first_day_a_trial_ends_with_that_day() -> None:
    now = begin(FIRST, TRYING, trial=True).subscription
    for opened in (False, True):  # its opening may be closed already
        step = lifecycle.change_plan(replace(now, opened=opened, closed_to=FIRST), TRIED, LARGE, None, FIRST)
        assert [(c.due_on, c.charge.amount_nano) for c in step.charges] == [(FIRST, LARGE.base_fee_nano)]
        assert (step.subscription.in_trial, step.subscription.period_end) == (False, date(2026, 2, 17))
        assert_every_charge_is_closed_once(step, date(2026, 2, 17))


def test_two_plans_with_trials_share_one_trial() -> None:
    now = begin(FIRST, TRYING, trial=True).subscription
    for other, on, ends in (
        (LONGER, 3, 14),  # no longer than the first one's
        (SHORTER, 3, 7),  # as if it had been chosen on the first day
        (SHORTER, 9, 9),  # whose seven days are over
    ):
        step = lifecycle.change_plan(now, TRIED, other, When.NOW, FIRST + on * DAY)
        assert (step.subscription.trial_end, step.subscription.anchor_day) == (FIRST + ends * DAY, 17 + ends)
        assert total(step) == (other.base_fee_nano if ends <= on else 0)
        back = lifecycle.change_plan(step.subscription, TRIED, TRYING, When.NOW, FIRST + on * DAY).subscription
        assert back.trial_end == FIRST + ends * DAY, "what was given up does not come back"
    paid = lifecycle.roll(now, TRIED, date(2026, 2, 1)).subscription
    assert lifecycle.change_plan(paid, TRIED, LONGER, When.NOW, date(2026, 2, 2)).subscription.in_trial is False


def test_who_did_not_pay_before_is_past_due_also_when_a_trial_ends() -> None:
    now = begin(FIRST, TRYING, trial=True).subscription
    late = lifecycle.miss_payment(now, uuid4(), NOW).subscription
    assert lifecycle.change_plan(late, TRIED, LARGE, None, FIRST + DAY).subscription.status is Status.PAST_DUE


def test_a_late_roll_gives_what_one_in_time_gives() -> None:
    now = lifecycle.change_plan(begin(date(2026, 1, 31)).subscription, PLANS, LARGE, When.PERIOD_END, date(2026, 2, 2))
    at_once = lifecycle.roll(now.subscription, PLANS, date(2026, 7, 1))
    daily = lifecycle.Step(now.subscription)
    for n in range(1, 150):
        daily = daily.then(lambda s, day=date(2026, 2, 2) + n * DAY: lifecycle.roll(s, PLANS, day))  # type: ignore[misc]
    assert (at_once.subscription, at_once.charges, at_once.events) == (daily.subscription, daily.charges, daily.events)


# --- changes -----------------------------------------------------------------------------------------------------


def test_an_upgrade_counts_at_once_and_is_prorated() -> None:
    step = lifecycle.change_plan(begin(date(2026, 4, 1)).subscription, PLANS, MIDDLE, None, date(2026, 4, 16))
    amounts = [c.charge.amount_nano for c in step.charges]
    assert amounts == [-24_500_000_000, 99_500_000_001]
    assert [c.charge.quantity for c in step.charges] == [15, 15]
    assert {c.due_on for c in step.charges} == {date(2026, 4, 17)}
    assert step.subscription.plan_id == MIDDLE.id


def test_a_downgrade_waits_for_the_periods_end_and_can_be_taken_back() -> None:
    now = begin(date(2026, 4, 1), LARGE).subscription
    waiting = lifecycle.change_plan(now, PLANS, SMALL, None, date(2026, 4, 16))
    assert (waiting.charges, waiting.subscription.plan_id, waiting.subscription.next_plan_id) == (
        (),
        LARGE.id,
        SMALL.id,
    )
    with pytest.raises(AlreadyOnPlan):
        lifecycle.change_plan(waiting.subscription, PLANS, SMALL, None, date(2026, 4, 17))
    back = lifecycle.change_plan(waiting.subscription, PLANS, LARGE, None, date(2026, 4, 17)).subscription
    assert back == now
    with pytest.raises(AlreadyOnPlan):
        lifecycle.change_plan(back, PLANS, LARGE, None, date(2026, 4, 17))
    smaller = lifecycle.roll(waiting.subscription, PLANS, date(2026, 5, 1))
    assert (smaller.subscription.plan_id, total(smaller)) == (SMALL.id, SMALL.base_fee_nano)


def test_what_ends_is_not_changed_until_it_is_resumed() -> None:
    now = begin(date(2026, 4, 1)).subscription
    ending = lifecycle.cancel(now, When.PERIOD_END, "", date(2026, 4, 3)).subscription
    with pytest.raises(SubscriptionEnding):
        lifecycle.change_plan(ending, PLANS, LARGE, None, date(2026, 4, 3))
    assert lifecycle.cancel(ending, When.PERIOD_END, "", date(2026, 4, 4)).events == ()
    assert lifecycle.resume(ending, NOW).subscription == now
    over = lifecycle.roll(ending, PLANS, date(2026, 5, 1))
    assert (over.subscription.status, over.charges) == (Status.CANCELED, ())
    for decide in (lambda s: lifecycle.resume(s, NOW), lambda s: lifecycle.cancel(s, When.NOW, "", date(2026, 5, 2))):
        with pytest.raises(NoSubscription):
            decide(over.subscription)


def test_a_preview_is_what_the_change_does() -> None:
    now = begin(date(2026, 4, 1)).subscription
    for when in (None, When.NOW, When.PERIOD_END):
        shown = lifecycle.preview_change(now, PLANS, LARGE, when, date(2026, 4, 9))
        done = lifecycle.change_plan(now, PLANS, LARGE, when, date(2026, 4, 9))
        assert shown.charges == tuple(c.charge for c in done.charges)
        assert shown.due_nano == total(done)
        assert shown.effective == (date(2026, 5, 1) if when is When.PERIOD_END else date(2026, 4, 9))


# --- money over any story ----------------------------------------------------------------------------------------

ACTIONS = st.tuples(
    st.integers(0, 25),
    st.sampled_from(["roll", "change", "change now", "change later", "cancel", "cancel now", "resume"]),
    st.sampled_from([SMALL, MIDDLE, LARGE, FREE]),
)


def act(now: Subscription, action: str, other: Plan, today: date) -> lifecycle.Step:
    match action:
        case "change" | "change now" | "change later":
            when = {"change now": When.NOW, "change later": When.PERIOD_END}.get(action)
            return lifecycle.change_plan(now, PLANS, other, when, today)
        case "cancel" | "cancel now":
            return lifecycle.cancel(now, When.NOW if action == "cancel now" else When.PERIOD_END, "", today)
        case "resume":
            return lifecycle.resume(now, NOW)
        case _:
            return lifecycle.Step(now)


def cost_by_day(step: lifecycle.Step, periods: dict[date, date]) -> int:
    """What the days used cost, each day alone: its part of the fee of the plan that was in force on it."""
    cost = 0
    for begins, ends in periods.items():
        days = (ends - begins).days
        for n in range(days):
            day = begins + n * DAY
            if step.subscription.status is Status.CANCELED and day >= (step.subscription.ends_on or day + DAY):
                continue
            on = [span.plan_id for span in step.subscription.spans if span.from_day <= day][-1]
            cost += share(PLANS[on].base_fee_nano, days, n, n + 1)
    return cost


class Account:
    """One subscription from its first day on, and the periods that it had."""

    def __init__(self, first: date, on: Plan) -> None:
        self.today = first
        self.step = begin(first, on)
        self.periods = {first: self.step.subscription.period_end}

    def wait(self, days: int) -> None:
        for _ in range(days):
            self.today += DAY
            self.do(lambda now: lifecycle.roll(now, PLANS, self.today))

    def do(self, decide: Callable[[Subscription], lifecycle.Step]) -> None:
        self.step = self.step.then(decide)
        now = self.step.subscription
        if now.is_live:
            self.periods.setdefault(now.period_start, now.period_end)


@given(
    st.dates(date(2026, 1, 1), date(2028, 12, 31)),
    st.sampled_from([SMALL, LARGE, FREE]),
    st.lists(ACTIONS, max_size=12),
)
def test_what_is_charged_is_what_the_days_used_cost(first: date, on: Plan, story: list[tuple[int, str, Plan]]) -> None:
    account = Account(first, on)
    for days, action, other in story:
        account.wait(days)
        with suppress(AlreadyOnPlan, SubscriptionEnding, NoSubscription):
            account.do(partial(act, action=action, other=other, today=account.today))
    account.wait(40)
    step = account.step
    assert total(step) == cost_by_day(step, account.periods)
    references = [new.charge.reference for new in step.charges]
    assert len(references) == len(set(references))
    assert_every_charge_is_closed_once(step, account.today)


def assert_every_charge_is_closed_once(step: lifecycle.Step, today: date) -> None:
    """Going from period to period takes each charge that is due, and leaves none behind a subscription that ended."""
    now, taken = step.subscription, list[NewCharge]()
    while now.closes_on is not None and now.closes_on <= today:
        end = now.closes_on
        taken += [c for c in step.charges if c.due_on <= end and c not in taken]
        now = replace(now, closed_to=end, opened=True)
    left = [c for c in step.charges if c not in taken]
    assert all(c.due_on > now.closed_to for c in left)
    assert now.is_live or not left


# --- payments ----------------------------------------------------------------------------------------------------


def test_it_is_past_due_until_every_invoice_is_paid() -> None:
    at = datetime(2026, 4, 3, tzinfo=UTC)
    first, second = uuid4(), uuid4()
    now = begin(date(2026, 4, 1)).subscription
    late = lifecycle.miss_payment(now, first, at).then(lambda s: lifecycle.miss_payment(s, second, at + DAY))
    assert (late.subscription.status, late.subscription.grace_until) == (Status.PAST_DUE, at + GRACE)
    assert lifecycle.miss_payment(late.subscription, first, at + 2 * DAY).events == ()
    half = lifecycle.settle_payment(late.subscription, first)
    assert (half.subscription.status, half.events) == (Status.PAST_DUE, ())
    well = lifecycle.settle_payment(half.subscription, second)
    assert well.subscription == now
    assert lifecycle.settle_payment(now, first).subscription == now
    still = lifecycle.roll(late.subscription, PLANS, date(2026, 5, 1)).subscription
    assert still.status is Status.PAST_DUE


# --- what is included --------------------------------------------------------------------------------------------


def test_what_is_included_follows_the_days_of_each_plan() -> None:
    now = begin(date(2026, 4, 1)).subscription
    changed = lifecycle.change_plan(now, PLANS, MIDDLE, None, date(2026, 4, 16)).subscription
    start, end = date(2026, 4, 1), date(2026, 5, 1)
    assert included_quantities(now.spans, PLANS, start, end, end) == {"calls": 5}
    assert included_quantities(changed.spans, PLANS, start, end, end) == {"calls": 2 + 25}
    again = lifecycle.change_plan(changed, PLANS, SMALL, When.NOW, date(2026, 4, 16)).subscription
    assert included_quantities(again.spans, PLANS, start, end, end) == {"calls": 2 + 3}
    assert included_quantities(now.spans, PLANS, start, date(2026, 4, 13), end) == {"calls": 2}


@given(st.integers(0, 10**12), st.integers(0, 10**14), st.integers(0, 10**12))
def test_an_adjustment_never_takes_more_than_was_rated(used: int, rated: int, included: int) -> None:
    rated = rated if used else 0
    taken = -adjustment_nano([PartUse(used, rated, None)], included)
    assert 0 <= taken <= rated
    if used <= included:
        assert taken == rated


def test_what_is_beyond_costs_what_the_plan_says_that_was_in_force_when_it_was_used() -> None:
    dear, cheap = Decimal("0.000000500"), Decimal("0.000000100")
    before, after = PartUse(100, 40_000, dear), PartUse(50, 20_000, cheap)
    assert adjustment_nano([before, after], 30) == (70 * 500 + 50 * 100) - 60_000
    assert adjustment_nano([before, after], 120) == 30 * 100 - 60_000, "what is included is free first of all"
    assert adjustment_nano([before, after], 200) == -60_000
    assert adjustment_nano([before, PartUse(50, 20_000, None)], 110) == -40_000 - 20_000 * 10 // 50
    assert adjustment_nano([before], 30) == adjustment_nano([before, PartUse(0, 0, cheap)], 30)


def test_a_cheaper_plan_on_the_last_day_makes_nothing_of_before_cheaper() -> None:
    dear, cheap = Decimal("0.000000500"), Decimal("0.000000100")
    stayed = adjustment_nano([PartUse(1000, 500_000, dear)], 0)
    changed = adjustment_nano([PartUse(1000, 500_000, dear), PartUse(1, 500, cheap)], 0)
    assert (stayed, changed) == (0, -400)
