"""The desk without a database: what a request waits for, what it is refused for, and what becomes of its money."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ironworks.products.tokenfactory.budgets import (
    Ask,
    BudgetView,
    Desk,
    DeskSettings,
    Plan,
    Refused,
    Reservation,
    Terms,
    period_of,
)
from tests.products.tokenfactory.budgets.lender import Clock, FakeLender

KEY, ROUTE = uuid4(), uuid4()
SCOPE = "acme.shop.eu"
USD = 10**9


def budget(amount: int = USD, **changes: Any) -> BudgetView:
    return BudgetView(**{"uid": uuid4(), "name": "b", "scope": "acme.shop", "amount_nano": amount, **changes})


class Office:
    """A desk, its lender and a clock."""

    def __init__(
        self, *views: BudgetView, lender: FakeLender | None = None, holder: str = "one", **settings: Any
    ) -> None:
        self.lender = lender or FakeLender()
        self.lender.amounts |= {view.uid: view.amount_nano for view in views}
        self.clock = Clock()
        self.desk = Desk(
            self.lender, holder, "host", DeskSettings(**{"retry": 0.005, **settings}),
            wall=self.clock.wall, clock=self.clock.monotonic,
        )  # fmt: skip
        self.views = list(views)
        self.desk.replace(views)

    def plan(self) -> Plan:
        found = self.desk.plan(KEY, SCOPE, ROUTE, SCOPE)
        assert found is not None
        return found

    async def reserve(self, wanted: int, least: int | None = None) -> Reservation | Refused:
        future, now = self.begin(wanted, least)
        if now is not None:
            return now
        async with asyncio.timeout(60):
            while not future.done():
                self.desk._look()
                await asyncio.sleep(0.002)
        return future.result()

    def begin(
        self, wanted: int, least: int | None = None
    ) -> tuple[asyncio.Future[Reservation | Refused], Reservation | None]:
        future: asyncio.Future[Reservation | Refused] = asyncio.get_running_loop().create_future()
        return future, self.desk.reserve(self.plan(), wanted if least is None else least, wanted, future.set_result)

    async def held(self, wanted: int, least: int | None = None) -> Reservation:
        found = await self.reserve(wanted, least)
        assert isinstance(found, Reservation), found
        return found

    async def refused(self, wanted: int, least: int | None = None) -> Refused:
        found = await self.reserve(wanted, least)
        assert isinstance(found, Refused), found
        return found

    def charge(self, holds: tuple[tuple[str, int], ...], cost: int) -> None:
        for lease, _ in holds:
            self.lender.charge(lease, cost)
            self.desk.charged(lease)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not what():
                self.desk._look()
                await self.desk._follow_recalls()
                await asyncio.sleep(0.002)

    async def finish(self, reservation: Reservation, cost: int) -> None:
        holds = reservation.holds
        reservation.settle(cost)
        self.charge(holds, cost)
        await asyncio.sleep(0)


async def test_the_first_request_asks_and_the_next_ones_do_not() -> None:
    office = Office(budget())
    first = await office.held(1000)
    for _ in range(5):
        found = office.desk.reserve(office.plan(), 1000, 1000, lambda _: None)
        assert isinstance(found, Reservation)
        assert found.holds == (("1", 1000),)
    assert office.desk.figures()["asked"] == 1
    assert first.amount_nano == 1000


async def test_more_is_asked_for_before_a_slice_runs_out() -> None:
    office = Office(budget())
    await office.held(1000)
    for _ in range(100):
        found = office.desk.reserve(office.plan(), 1000, 1000, lambda _: None)
        assert isinstance(found, Reservation), "it ran out although there is money"
        await asyncio.sleep(0.001)
    assert office.desk.figures()["asked"] > 1


async def test_all_or_none_over_several_budgets() -> None:
    small, large = budget(1000, scope="acme.shop.eu"), budget(USD, scope="")
    office = Office(small, large)
    first = await office.held(600)
    assert len(first.holds) == 2
    told = await office.refused(1001)
    assert told.code == "budget_exhausted"
    assert told.budget == small.uid
    assert office.desk.figures()["reserved_nano"] == 1200, "nothing is held for what is refused"


async def test_a_budget_above_is_not_weakened_by_one_below() -> None:
    above, below = budget(500, scope="acme"), budget(USD, scope="acme.shop.eu")
    office = Office(above, below)
    await office.held(400)
    told = await office.refused(501)
    assert told.budget == above.uid
    assert told.message.startswith("a budget above your scope does not cover")


async def test_a_budget_of_the_platform_is_named_with_its_periods_end() -> None:
    office = Office(budget(500, name="team", period="day"))
    told = await office.refused(501)
    assert "the budget acme.shop/team" in told.message
    assert told.status == 429
    assert told.retry_after == 12 * 3600 + 1


async def test_a_total_has_no_end_to_wait_for() -> None:
    office = Office(budget(500, period="total"))
    assert (await office.refused(501)).retry_after is None


async def test_it_takes_less_only_where_less_is_left() -> None:
    office = Office(budget(1000))
    found = await office.held(5000, least=100)
    assert found.amount_nano == 1000
    await office.finish(found, 1000)
    await office.refused(5000, least=100)


async def test_it_waits_for_settlements_rather_than_being_refused_or_cut() -> None:
    """The second wants all of what the first only holds: it is there when the first has cost less."""
    office = Office(budget(1000))
    first = await office.held(900)
    future, now = office.begin(800, least=10)
    assert now is None
    await asyncio.sleep(0.05)
    assert not future.done()
    await office.finish(first, 100)
    await office.until(future.done)
    second = future.result()
    assert isinstance(second, Reservation)
    assert second.amount_nano == 800


async def test_it_is_refused_once_what_is_spent_leaves_too_little() -> None:
    office = Office(budget(1000))
    first = await office.held(900)
    future, _ = office.begin(200)
    await office.finish(first, 900)
    await office.until(future.done)
    told = future.result()
    assert isinstance(told, Refused)
    assert told.retry_after is not None
    assert told.retry_after > 1


async def test_a_wait_ends() -> None:
    office = Office(budget(1000), wait=10.0)
    await office.held(900)
    future, _ = office.begin(200)
    await asyncio.sleep(0.02)
    office.clock.advance(9.9)
    office.desk._look()
    await asyncio.sleep(0)
    assert not future.done()
    office.clock.advance(0.2)
    await office.until(future.done)
    told = future.result()
    assert isinstance(told, Refused)
    assert "held by requests in flight" in told.message
    assert told.retry_after == 1


async def test_a_wait_that_ends_takes_the_little_that_there_is() -> None:
    office = Office(budget(1000))
    await office.held(700)
    future, _ = office.begin(900, least=200)
    await asyncio.sleep(0.02)
    office.clock.advance(10.1)
    await office.until(future.done)
    told = future.result()
    assert isinstance(told, Refused), "what is free lies with the lender while it waits"


async def test_one_who_leaves_while_waiting_holds_nothing() -> None:
    office = Office(budget(1000))
    first = await office.held(900)
    told: list[object] = []
    assert office.desk.reserve(office.plan(), 800, 800, told.append) is None
    office.desk.cancel(told.append)
    await office.finish(first, 0)
    await office.until(lambda: office.desk.figures()["waiting"] == 0)
    await office.held(1000)
    assert not told


async def test_one_who_leaves_just_as_he_is_served_holds_nothing() -> None:
    office = Office(budget(1000))
    told: list[object] = []
    then = told.append
    assert office.desk.reserve(office.plan(), 800, 800, then) is None
    waiter = office.desk._waiting[then]
    while waiter.slice is not None:
        await asyncio.sleep(0)
        office.desk._look()
        if waiter.slice is None:
            break
    office.desk.cancel(then)
    await asyncio.sleep(0.02)
    if not told:
        assert office.desk.figures()["reserved_nano"] == 0


async def test_released_money_is_free_at_once() -> None:
    office = Office(budget(1000))
    (await office.held(900)).release()
    await office.held(1000)


# --- leases


async def test_expiry_only_stops_new_reservations() -> None:
    """Counted from before the question, on the holder's own clock; what is held is settled from it as before."""
    office = Office(budget(), ttl=60.0)
    office.lender.pause = 0.01
    before = await office.held(1000)
    office.lender.down = True
    office.clock.advance(59)
    assert isinstance(await office.reserve(1000), Reservation)
    office.clock.advance(2)
    told = await office.refused(1000)
    assert told.code == "budget_unavailable"
    leased = office.lender.outstanding()
    assert leased > 0, "expiry releases nothing"
    await office.finish(before, 10)
    assert office.lender.outstanding() == leased - 10


async def test_expiry_is_counted_from_before_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lender took ten seconds to answer: they are not the holder's to use."""
    office = Office(budget(), ttl=60.0)
    adjust = office.lender.adjust

    async def slowly(ask: Ask) -> Terms:
        terms = await adjust(ask)
        office.clock.advance(10)
        return terms

    monkeypatch.setattr(office.lender, "adjust", slowly)
    (await office.held(1000)).release()
    office.lender.down = True
    office.clock.advance(49.9)
    assert isinstance(office.desk.reserve(office.plan(), 1000, 1000, lambda _: None), Reservation)
    office.clock.advance(0.2)
    assert office.desk.reserve(office.plan(), 1000, 1000, lambda _: None) is None


async def test_a_wall_clock_that_jumps_renews_and_expires_nothing() -> None:
    office = Office(budget(period="total"), ttl=60.0)
    await office.held(1000)
    for jump in (-86_400, 400 * 86_400, -10_000):
        office.clock.moment += jump
        assert isinstance(office.desk.reserve(office.plan(), 1000, 1000, lambda _: None), Reservation)


async def test_a_crowd_at_several_desks_overshoots_nothing_and_all_are_served() -> None:
    """Whatever the order, with holds of five times the cost and less money than they add up to."""
    view = budget(1000 + 300 * 20)
    offices = [Office(view)]
    offices += [Office(view, lender=offices[0].lender, holder=f"holder-{n}") for n in range(3)]
    lender, chance = offices[0].lender, random.Random(7)
    over = asyncio.Event()

    async def look(office: Office) -> None:
        while not over.is_set():
            office.desk._look()
            await office.desk._follow_recalls()
            await asyncio.sleep(0.005)

    async def one(office: Office) -> None:
        await asyncio.sleep(chance.random() * 0.2)
        future, found = office.begin(100)
        held = found or await future
        assert isinstance(held, Reservation), held
        await asyncio.sleep(chance.random() * 0.01)
        await office.finish(held, 20)
        assert sum(lender.spent.values()) + lender.outstanding() <= view.amount_nano

    looking = [asyncio.create_task(look(office)) for office in offices]
    async with asyncio.timeout(60):
        await asyncio.gather(*(one(offices[n % 4]) for n in range(300)))
    over.set()
    await asyncio.gather(*looking)
    assert sum(lender.spent.values()) == 300 * 20


async def test_leases_are_renewed_while_they_are_used() -> None:
    office = Office(budget(), ttl=60.0)
    held = await office.held(1000)
    for _ in range(4):
        office.clock.advance(25)
        office.desk._look()
        await asyncio.sleep(0.01)
    assert isinstance(office.desk.reserve(office.plan(), 10, 10, lambda _: None), Reservation)
    held.release()


async def test_idle_slices_go_back() -> None:
    office = Office(budget(), idle=30.0)
    await office.finish(await office.held(1000), 5)
    assert office.lender.outstanding() > 0
    office.desk._look()
    office.clock.advance(31)
    await office.until(lambda: office.lender.outstanding() == 0)
    assert office.desk.figures()["leases"] == 0
    assert office.lender.spent[next(iter(office.lender.spent))] == 5
    await office.held(1000)


async def test_a_new_lease_does_not_pay_for_what_an_older_one_spent() -> None:
    office = Office(budget(100_000), idle=30.0)
    await office.finish(await office.held(60_000), 60_000)
    office.desk._look()
    office.clock.advance(31)
    await office.until(lambda: office.desk.figures()["leases"] == 0)
    assert (await office.held(40_000)).amount_nano == 40_000
    assert office.lender.outstanding() == 40_000


async def test_what_is_not_charged_yet_is_not_given_back() -> None:
    office = Office(budget(), idle=30.0)
    held = await office.held(1000)
    holds = held.holds
    held.settle(400)
    office.desk._look()
    office.clock.advance(31)
    await office.until(lambda: office.lender.outstanding() == 400)
    assert office.desk.figures()["leases"] == 1
    office.charge(holds, 400)
    office.desk._look()
    office.clock.advance(31)
    await office.until(lambda: office.desk.figures()["leases"] == 0)


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_lost_answer_is_asked_for_again_and_counts_once(lost: int) -> None:
    office = Office(budget(100_000), rest=0.0)
    office.lender.losing = lost
    future, _ = office.begin(1000)
    await office.until(lambda: future.done() or office.lender.losing == 0)
    while not isinstance(found := await office.reserve(1000), Reservation):
        await asyncio.sleep(0.01)
    lease = next(iter(office.lender.leases.values()))
    assert found.holds[0][0] == lease.id
    held = next(iter(office.desk._talks.active))
    assert held.granted == lease.granted


async def test_a_lease_that_was_declared_lost_is_replaced_and_its_requests_settle() -> None:
    office = Office(budget(100_000), ttl=60.0)
    before = await office.held(1000)
    await office.lender.close_leases("one")
    office.clock.advance(61)
    after = await office.held(1000)
    assert after.holds != before.holds
    before.settle(1000)
    after.settle(0)
    assert office.desk.figures()["reserved_nano"] == 0


async def test_a_deleted_budget_binds_nobody() -> None:
    view = budget(100)
    office = Office(view)
    del office.lender.amounts[view.uid]
    assert (await office.held(1000)).holds == ()
    office.desk.replace([])
    assert office.desk.plan(KEY, SCOPE, ROUTE, SCOPE) is None


# --- near the end


async def test_idle_slices_are_recalled_when_another_process_runs_short() -> None:
    view = budget(10_000)
    rich = Office(view)
    poor = Office(view, lender=rich.lender, holder="two")
    for _ in range(3):
        await rich.finish(await rich.held(1000), 0)
    assert rich.lender.outstanding() > 0
    future, _ = poor.begin(10_000)
    await rich.until(future.done)
    assert isinstance(future.result(), Reservation)
    assert rich.lender.outstanding() == 10_000


async def test_processes_that_each_hold_too_little_do_not_wait_for_each_other() -> None:
    view = budget(1000)
    one = Office(view)
    two = Office(view, lender=one.lender, holder="two")
    first, second = await one.held(400), await two.held(400)
    waiting = [office.begin(600)[0] for office in (one, two)]
    await one.finish(first, 100)
    await two.finish(second, 100)

    async def look() -> None:
        for office in (one, two):
            office.desk._look()
            await office.desk._follow_recalls()
        await asyncio.sleep(0.002)

    async with asyncio.timeout(60):
        while not any(each.done() for each in waiting):
            await look()
        served = 0 if waiting[0].done() else 1
        found = waiting[served].result()
        assert isinstance(found, Reservation)
        await (one, two)[served].finish(found, 100)
        while not all(each.done() for each in waiting):
            await look()
    assert isinstance(waiting[1 - served].result(), Reservation)


async def test_a_raised_amount_is_used_at_once_and_a_lowered_one_refuses() -> None:
    view = budget(1000)
    office = Office(view, recheck=0.2)
    await office.finish(await office.held(1000), 1000)
    await office.refused(100)
    raised = BudgetView(uid=view.uid, name="b", scope="acme.shop", amount_nano=2000)
    office.lender.amounts[view.uid] = 2000
    office.desk.replace([raised])
    await office.finish(await office.held(600), 600)
    office.lender.amounts[view.uid] = 1200
    office.desk.replace([view])
    told = await office.refused(100)
    assert told.code == "budget_exhausted"


# --- fail modes


async def test_closed_refuses_after_leased_money_is_used_and_open_serves() -> None:
    for closed in (True, False):
        office = Office(budget(8000, closed=closed), rest=0.5)
        await office.held(1000)
        office.lender.down = True
        served = 1
        while office.desk.reserve(office.plan(), 1000, 1000, lambda _: None) is not None:
            served += 1
        found = await office.reserve(1000)
        if closed:
            assert isinstance(found, Refused)
            assert (found.code, found.status, found.retry_after) == ("budget_unavailable", 503, 1)
        else:
            assert isinstance(found, Reservation)
            assert found.holds == ()
            assert office.desk.figures()["outside"] >= 1
        assert office.lender.outstanding() >= served * 1000 - 1000


async def test_a_silent_lender_is_waited_for_no_longer_than_its_patience() -> None:
    office = Office(budget(), patience=0.05, rest=100.0)
    office.lender.pause = 60
    assert (await office.refused(1000)).code == "budget_unavailable"
    future, now = office.begin(1000)
    assert now is None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert future.done(), "while it is known not to answer nobody waits"


async def test_it_goes_on_when_the_lender_is_back() -> None:
    office = Office(budget(), rest=0.5)
    office.lender.down = True
    assert isinstance(await office.reserve(1000), Refused)
    office.lender.down = False
    office.clock.advance(0.6)
    office.desk._look()
    await asyncio.sleep(0.02)
    assert isinstance(await office.reserve(1000), Reservation)


async def test_closed_and_open_budgets_together() -> None:
    """What fails open is passed; what is closed is held all the same."""
    shut, lax = budget(scope=""), budget(closed=False)
    office = Office(shut, lax)
    await office.held(1000)
    del office.lender.amounts[lax.uid]
    found = await office.held(1000)
    assert len(found.holds) == 2


# --- periods


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("day", "2026-03-04T23:59:59.999999", "2026-03-04", "2026-03-05"),
        ("day", "2026-03-05T00:00:00", "2026-03-05", "2026-03-06"),
        ("week", "2026-03-01T23:59:59", "2026-02-23", "2026-03-02"),
        ("week", "2026-03-02T00:00:00", "2026-03-02", "2026-03-09"),
        ("month", "2026-02-28T12:00:00", "2026-02-01", "2026-03-01"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T00:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_follow_the_utc_calendar(period: Any, at: str, start: str, end: str) -> None:
    found = period_of(period, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found == tuple(datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end))


def test_a_total_has_one_period() -> None:
    start, end = period_of("total", datetime(2026, 3, 4, tzinfo=UTC))
    assert (start, end) == (datetime(2000, 1, 1, tzinfo=UTC), None)


async def test_a_new_period_has_its_own_money_and_the_old_ones_goes_back() -> None:
    office = Office(budget(1000, period="day"))
    before = await office.held(1000)
    office.clock.advance(timedelta(hours=12).total_seconds())
    after = await office.held(1000)
    assert after.holds[0][0] != before.holds[0][0]
    await office.finish(before, 700)
    await office.until(lambda: office.desk.figures()["leases"] == 1)
    old, new = sorted(office.lender.leases)[0], sorted(office.lender.leases)[1]
    assert office.lender.spent[old[:2]] == 700
    assert not office.lender.leases[old].live
    assert office.lender.leases[new].granted == 1000


async def test_one_who_waits_at_a_periods_end_is_served_from_the_next() -> None:
    office = Office(budget(1000, period="day"), wait=1e9)
    await office.held(1000)
    future, _ = office.begin(500)
    await asyncio.sleep(0.02)
    assert not future.done()
    office.clock.advance(timedelta(hours=12).total_seconds())
    await office.until(future.done)
    found = future.result()
    assert isinstance(found, Reservation)
    assert {start.day for _, start, _ in office.lender.leases} == {4, 5}


# --- whom they apply to


def applies(view: BudgetView, key: UUID = KEY, scope: str = SCOPE, route: UUID = ROUTE, home: str = SCOPE) -> bool:
    office = FakeLender()
    desk = Desk(office, "one", "host")
    desk.replace([view])
    return desk.plan(key, scope, route, home) is not None


async def test_what_a_budget_is_about() -> None:
    assert applies(budget(scope=""))
    assert applies(budget(scope="acme.shop.eu"))
    assert not applies(budget(scope="acme.shop.eu.returns"))
    assert not applies(budget(scope="acme.shop.e"))
    assert applies(budget(key=KEY))
    assert not applies(budget(key=uuid4()))
    assert applies(budget(route=ROUTE))
    assert not applies(budget(route=uuid4()))
    assert applies(budget(route=ROUTE, scope="acme.shop.eu.returns"), home="acme.shop.eu.returns"), "whoever calls it"
    assert not applies(budget(route=ROUTE, scope="other"), home="")
    assert not applies(budget(hard=False)), "a soft one holds nothing"
