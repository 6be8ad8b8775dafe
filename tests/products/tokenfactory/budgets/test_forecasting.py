"""How budgets burn down: what was spent by when, kept exactly, and what is made of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory import budgets
from ironworks.products.tokenfactory.budgets import service, store
from ironworks.products.tokenfactory.budgets.forecasting import MOST_POINTS, Spent, _t, burn, foresee, round_amount
from ironworks.products.tokenfactory.budgets.model import Period
from ironworks.shared.errors import Invalid
from tests.products.tokenfactory.budgets.books import TENANT, USD, Books

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def hourly(nano: int, hours: int, now: datetime = NOW) -> list[Spent]:
    return [Spent(now - HOUR * n, nano) for n in range(1, hours + 1)]


# --- the arithmetic


def test_the_same_every_day_goes_on_like_that() -> None:
    """$24 a day, 16.5 days to go, $300 spent of $1000."""
    found = foresee("month", 1000 * USD, 300 * USD, hourly(USD, 7 * 24), LONG_AGO, NOW, END)
    assert (found.basis, found.blocks, found.per_day) == ("days", 7, 24 * USD)
    assert found.end == found.low == found.high == 300 * USD + 24 * USD * 33 // 2
    assert found.runs_out_at is None


def test_it_runs_out_when_the_rate_has_used_the_rest() -> None:
    found = foresee("month", 340 * USD, 300 * USD, hourly(USD, 7 * 24), LONG_AGO, NOW, END)
    assert found.runs_out_at is not None
    assert abs(found.runs_out_at - (NOW + 40 * HOUR)) < timedelta(seconds=1)
    assert found.runs_out_at == found.earliest == found.latest


def test_what_differs_from_day_to_day_has_a_range() -> None:
    """Days of 12 and 36 in turn: the mean of seven is 22.3 or 25.7, and nobody knows the next sixteen."""
    recent = [Spent(NOW - HOUR * n, USD // 2 if (n - 1) // 24 % 2 else USD * 3 // 2) for n in range(1, 169)]
    found = foresee("month", 500 * USD, 100 * USD, recent, LONG_AGO, NOW, END)
    assert found.low is not None
    assert found.end is not None
    assert found.high is not None
    assert 100 * USD < found.low < found.end < found.high
    assert found.runs_out_at is not None
    assert found.earliest is not None
    assert found.earliest < found.runs_out_at
    assert found.latest is None, "it may also last"


@pytest.mark.parametrize(
    ("period", "age", "basis", "blocks"),
    [
        ("month", 30 * DAY, "days", 7),
        ("month", 5 * DAY, "days", 5),
        ("month", 4 * DAY - HOUR, "hours", 24),
        ("day", 30 * DAY, "hours", 24),
        ("week", 5 * HOUR, "hours", 5),
        ("day", 4 * HOUR - timedelta(minutes=1), "tens-of-minutes", 23),
        ("total", timedelta(minutes=41), "tens-of-minutes", 4),
        ("month", timedelta(minutes=39), "lifetime", 1),
    ],
)
def test_the_rate_is_taken_from_as_long_as_there_is(period: Period, age: timedelta, basis: str, blocks: int) -> None:
    found = foresee(period, USD, 0, hourly(10, 200), NOW - age, NOW, None if period == "total" else END)
    assert (found.basis, found.blocks) == (basis, blocks)


def test_a_young_budget_has_a_rate_and_no_range() -> None:
    recent = [Spent(NOW - timedelta(minutes=10), USD)]
    found = foresee("day", 100 * USD, USD, recent, NOW - timedelta(minutes=15), NOW, NOW + HOUR)
    assert (found.end, found.low, found.high, found.runs_out_at) == (5 * USD, None, None, None)


def test_what_is_spent_runs_out_no_more_and_nothing_lasts_for_ever() -> None:
    spent = foresee("month", USD, USD, hourly(10, 24), LONG_AGO, NOW, END)
    assert (spent.runs_out_at, spent.earliest, spent.latest) == (None, None, None)
    idle = foresee("total", USD, 0, [], LONG_AGO, NOW, None)
    assert (idle.per_day, idle.end, idle.runs_out_at) == (0, None, None)


def test_a_total_has_no_end_but_runs_out() -> None:
    found = foresee("total", 100 * USD, 28 * USD, hourly(USD, 168), LONG_AGO, NOW, None)
    assert found.end is None
    assert found.runs_out_at is not None
    assert abs(found.runs_out_at - (NOW + 3 * DAY)) < timedelta(seconds=1)


def test_what_is_spent_ten_minutes_before_the_hour_is_in_the_block_before() -> None:
    """12:05: the last whole ten minutes end at 12:00, and what began then is in no block yet."""
    now = NOW + timedelta(minutes=5)
    recent = [Spent(NOW, 10**6), *hourly(60, 24)]
    assert foresee("day", USD, 0, recent, LONG_AGO, now, NOW + DAY).per_day == 60 * 24


@pytest.mark.parametrize(("freedom", "t"), [(3, 1.6377), (6, 1.4398), (23, 1.3195), (35, 1.3062)])
def test_students_t(freedom: int, t: float) -> None:
    """Against tables, two-sided 80 %."""
    assert abs(_t(freedom) - t) < 0.002


def test_the_end_is_in_its_range_as_often_as_is_said() -> None:
    """Independent days, as the formula supposes: 80 % of two thousand, give or take three."""
    chance = random.Random(7)
    hits = 0
    for _ in range(2000):
        past = [max(0.0, chance.gauss(100, 30)) for _ in range(7)]
        recent = [Spent(NOW - DAY * (n + 1), int(USD * each)) for n, each in enumerate(past)]
        found = foresee("month", 10**6 * USD, 0, recent, LONG_AGO, NOW, NOW + 10 * DAY)
        truth = sum(max(0.0, chance.gauss(100, 30)) for _ in range(10)) * USD
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 0.77 < hits / 2000 < 0.83


@given(
    st.lists(st.tuples(st.integers(0, 60 * 24 * 31), st.integers(0, 10**12)), max_size=40),
    st.sampled_from([HOUR, DAY, 7 * DAY, 31 * DAY, 3000 * DAY]),
)
def test_a_burn_down_only_rises_and_ends_with_all(rows: list[tuple[int, int]], length: timedelta) -> None:
    begins = NOW - length  # at a whole ten minutes
    spent = [Spent(begins + timedelta(minutes=minute), nano) for minute, nano in rows]
    points = burn(spent, begins, NOW)
    assert len(points) <= MOST_POINTS + 2
    assert (points[0].at, points[-1]) == (begins, Spent(NOW, sum(nano for _, nano in rows)))
    assert all(a.at < b.at and a.nano <= b.nano for a, b in pairwise(points))
    for point in points[1:-1]:
        assert point.nano == sum(each.nano for each in spent if each.at < point.at)


@pytest.mark.parametrize(("nano", "rounded"), [(0, 0), (7, 7), (123_456, 120_000), (996, 1000), (10**12 + 1, 10**12)])
def test_two_digits(nano: int, rounded: int) -> None:
    assert round_amount(nano) == rounded


# --- what Postgres keeps


async def rows(ledger: Books) -> list[tuple[datetime, int, int]]:
    found = await ledger.world.admin.fetch(
        "select at, minutes, spent_nano from tokenfactory_budgets.spending order by budget, at"
    )
    return [(row["at"], row["minutes"], row["spent_nano"]) for row in found]


async def made_long_ago(ledger: Books) -> None:
    await ledger.world.admin.execute(
        "update tokenfactory_budgets.budget set creation_timestamp = now() - interval '60 days'"
    )


async def test_spending_is_counted_by_the_ten_minutes_of_admission(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    await made_long_ago(ledger)
    lease = (await ledger.ask(uid, wanted=10_000, full=1000, least=1000)).lease
    begin = ledger.world.now().replace(minute=20, second=0, microsecond=0) - 3 * HOUR
    moments = [begin.timestamp(), begin.timestamp() + 599.9, begin.timestamp() + 600]
    await ledger.settle(
        *(ledger.spend(100, lease, admitted_at=at) for at in moments), ledger.spend(7, admitted_at=moments[0])
    )
    await ledger.settle(ledger.spend(1, lease, admitted_at=moments[1]))
    assert await rows(ledger) == [(begin, 10, 208), (begin + timedelta(minutes=10), 10, 100)]
    assert await ledger.period(uid) == {"spent": 308, "unreserved": 7, "leased": 10_000 - 301}
    (held,) = await ledger.leases(uid)
    assert held["used_nano"] == 301, "of one lease, in two tens of minutes"


async def test_old_spending_is_merged_into_hours_and_adds_up(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    await made_long_ago(ledger)
    begin = ledger.world.now().replace(minute=0, second=0, microsecond=0) - 5 * DAY
    old = [begin + timedelta(minutes=minute) for minute in (0, 10, 50, 60)]
    await ledger.settle(*(ledger.spend(100, admitted_at=at.timestamp()) for at in (*old, ledger.world.now())))
    async with ledger.world.system("worker") as ctx:
        assert await store.merge_spending(ctx, ctx.now() - 3 * DAY, 1000) == 4
        assert await store.merge_spending(ctx, ctx.now() - 3 * DAY, 1000) == 0
    assert (await rows(ledger))[:-1] == [(begin, 60, 300), (begin + HOUR, 60, 100)]
    await ledger.settle(*(ledger.spend(5, admitted_at=at.timestamp()) for at in old[:2]))
    async with ledger.world.system("worker") as ctx:
        assert await store.merge_spending(ctx, ctx.now() - 3 * DAY, 1000) == 1, "one fell into the hour itself"
    assert (await rows(ledger))[0] == (begin, 60, 310)
    assert sum(nano for *_, nano in await rows(ledger)) == (await ledger.period(uid))["spent"] == 510


async def test_a_burn_down_of_what_was_charged(ledger: Books) -> None:
    await ledger.budget("b", amount="1", period="total", thresholds=[50, 90])
    await made_long_ago(ledger)
    now = ledger.world.now()
    await ledger.settle(
        *(ledger.spend(USD // 10, admitted_at=(now - DAY * day - HOUR).timestamp()) for day in range(6))
    )
    async with ledger.world.acting(ledger.world.operator) as ctx:
        found = await service.burn_down(ctx, TENANT, "b")
    assert (found.standing.spent_nano, found.end) == (6 * USD // 10, None)
    assert set(found.told) == {50}
    assert found.points[-1].nano == 6 * USD // 10
    assert found.forecast is not None
    assert (found.forecast.basis, found.forecast.blocks) == ("days", 7)
    assert abs(found.forecast.per_day - 6 * USD // 70) <= 1
    assert found.forecast.runs_out_at is not None


async def test_the_status_says_roughly_where_it_ends(ledger: Books) -> None:
    await ledger.budget("b", amount="1", period="week")
    await made_long_ago(ledger)
    now = ledger.world.now()
    await ledger.settle(*(ledger.spend(USD // 70, admitted_at=(now - DAY * n - HOUR).timestamp()) for n in range(7)))
    await ledger.world.admin.execute("update shared.work_item set due_at = now() where kind = 'Budget'")
    await ledger.world.settle()
    status = (await ledger.world.get(budgets.BUDGET, TENANT, "b")).status
    assert 0.05 < float(status.projected or 0) < 0.12  # on the last day all seven are spent, and some
    assert len((status.projected or "").strip("0.")) <= 2
    assert status.runs_out_at is None


async def test_an_earlier_period_has_no_forecast(ledger: Books) -> None:
    await ledger.budget("b", period="day")
    await made_long_ago(ledger)
    yesterday = ledger.world.now() - DAY
    await ledger.settle(ledger.spend(40, admitted_at=yesterday.timestamp()), ledger.spend(2))
    async with ledger.world.acting(ledger.world.operator) as ctx:
        found = await service.burn_down(ctx, TENANT, "b", yesterday)
        with pytest.raises(Invalid, match="future"):
            await service.burn_down(ctx, TENANT, "b", ledger.world.now() + DAY)
    assert (found.standing.spent_nano, found.forecast, found.until) == (40, None, found.end)
    assert (found.points[0], found.points[-1]) == (Spent(found.start, 0), Spent(found.until, 40))
