"""Whatever is given, used, given back or expires in any order and at any time, credit is neither made nor lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from ironworks.platform import ledger
from ironworks.platform.ledger.credit import CreditGrant, next_standing, plan_holds, plan_use
from ironworks.platform.ledger.model import new_transfer_id
from tests.platform.ledger.test_credit import Clock, check_credit, give, owe, use
from tests.support.lower import LowerWorld
from tests.support.money import NOON, money_world
from tests.support.postgres import TestDatabase

DAY = timedelta(days=1)
amounts = st.one_of(st.integers(1, 50), st.integers(1, 2**40))
grants = st.lists(
    st.builds(
        lambda amount, spent, source, priority, expires, held: CreditGrant(
            id=new_transfer_id(),
            account="acme",
            currency="USD",
            amount_nano=amount,
            remaining_nano=max(0, amount - spent),
            source=source,
            priority=priority,
            expires_at=expires,
            reference="",
            note="",
            granted_by="",
            granted_at=NOON,
            held=held,
        ),
        amounts,
        st.integers(0, 60),
        st.sampled_from(ledger.CreditSource),
        st.integers(0, 100),
        st.one_of(st.none(), st.integers(-5, 5).map(lambda days: NOON + days * DAY)),
        st.booleans(),
    ),
    max_size=8,
)


@given(grants, amounts)
def test_a_use_takes_what_there_is_and_no_more(found: list[CreditGrant], wanted: int) -> None:
    draws = {draw.grant_id: draw.amount_nano for draw in plan_use(found, wanted, NOON)}
    usable = {g.id: g.remaining_nano for g in found if g.is_usable(NOON)}
    assert sum(draws.values()) == min(wanted, sum(usable.values()))
    assert all(0 < nano <= usable[grant] for grant, nano in draws.items())


@given(grants, st.integers(0, 2**41), st.integers(-50, 2**41))
def test_a_hold_covers_what_is_owed_and_no_more(expired: list[CreditGrant], held: int, owes: int) -> None:
    holds = plan_holds(expired, held, owes)
    assert all(0 <= holds[g.id] <= g.remaining_nano for g in expired)
    assert sum(holds.values()) == min(sum(g.remaining_nano for g in expired), max(0, owes - held))


@given(st.lists(st.tuples(st.integers(-20, 40), st.integers(0, 20)), max_size=30), st.integers(0, 15))
def test_a_state_is_told_when_it_changes_and_a_release_waits_for_its_grace(
    course: list[tuple[int, int]], low: int
) -> None:
    """`course` is what is available, and the hours since the look before."""
    terms = ledger.CreditTerms(low, timedelta(hours=24))
    now, standing = NOON, ledger.Standing(ledger.CreditState.HEALTHY, NOON)
    for available, hours in course:
        now += timedelta(hours=hours)
        before, standing = standing, next_standing(standing, terms, available, now)
        assert (standing is before) == (standing.state is before.state)
        assert (standing.release_at is None) == (available > 0)
        assert next_standing(standing, terms, available, now).state in (standing.state, ledger.CreditState.DEPLETED)
        if standing.state is ledger.CreditState.DEPLETED:
            assert standing.release_at is not None
            assert now >= standing.release_at


steps = st.lists(
    st.tuples(st.sampled_from(["give", "gift", "owe", "use", "return", "wait", "expire"]), st.integers(1, 30)),
    min_size=5,
    max_size=15,
)


async def play(world: LowerWorld, clock: Clock, story: list[tuple[str, int]]) -> None:
    for what, amount in story:
        if what in ("give", "gift"):
            source = ledger.CreditSource.PAID if what == "give" else ledger.CreditSource.PROMOTION
            await give(world, uuid4().hex, amount, source, expires=clock.now + (amount % 4 + 1) * DAY)
        elif what == "owe":
            await owe(world, amount, ledger.Purpose.DUE)
        elif what == "use":
            await use(world, amount, f"inv-{amount % 7}")
        elif what == "wait":
            clock.now += timedelta(hours=amount)
        else:
            async with world.system("worker") as ctx:
                if what == "return":
                    await ledger.return_credit(ctx, "acme", "USD", f"inv-{amount % 7}")
                else:
                    await ledger.expire_credit(ctx, "acme", "USD")
    await check_credit(world)


def test_grants_and_ledger_agree_after_anything(database: TestDatabase) -> None:
    """Stories on one database, each beginning where the one before left it."""
    clock = Clock()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(stack.enter_async_context(money_world(database, prices=False)))
        world.clock = clock

        @settings(max_examples=8, deadline=None)
        @given(steps)
        def tell(story: list[tuple[str, int]]) -> None:
            runner.run(play(world, clock, story))

        try:
            tell()
        finally:
            runner.run(stack.aclose())
