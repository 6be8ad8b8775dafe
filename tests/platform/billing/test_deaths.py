"""Death at every statement of whatever moves money: nothing is half done, and who comes next ends it.

(Of a charge: `test_charging.py`; of a close: `tests/platform/invoices/test_closing.py`; of a payment and a refund,
where a provider is asked in between: `tests/platform/payments/test_crashes.py`.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from ironworks.platform import invoices, ledger, metering, pricing, registry, subscriptions
from ironworks.platform.billing.controller import (
    charge_ingested_usage,
    charge_settled_readings,
    charge_waiting_usage,
)
from ironworks.platform.invoices.controller import tell_overdue
from ironworks.platform.ledger.controller import expire_credit, snapshot_balances, watch_credit
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.subscriptions.controller import end_unpaid_subscriptions, roll_subscriptions
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.context import Actor, system_actor
from tests.platform.billing.invoice_stories import close_in_order
from tests.support.books import balances, check_credit, check_kept_balances
from tests.support.dying import die_at_each_statement
from tests.support.invoicing import CENT, DOLLAR, check_invoices, close_all, invoice_world, list_all
from tests.support.lower import LowerWorld
from tests.support.money import TENANT, charge, check_books, usage
from tests.support.postgres import TestDatabase

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_RIGHTS = ("price:create", "billing:read", "usage:write", "subscription:read", "subscription:update")


class Mortals:
    """A world whose clock goes on, in which something new is to be done before each death."""

    def __init__(self, world: LowerWorld, operator: Actor) -> None:
        self.world, self.operator = world, operator
        self.now = datetime(2012, 1, 31, 9, tzinfo=UTC)  # it may go on for years before it is our own time
        self.numbers = count(1)
        world.clock = lambda: self.now

    async def events(self, of: str) -> list[Any]:
        """What was told so far under the end of an event's type."""
        rows = await self.world.query(
            "select payload::text from shared.change_pending where event_type like $1 order by id", f"%.{of}.v1"
        )
        return [row["payload"] for row in rows]


@pytest.fixture
async def mortals(database: TestDatabase) -> AsyncIterator[Mortals]:
    async with invoice_world(database) as world:
        async with world.system("worker") as ctx:
            declared = {"platform.policy": POLICY, "platform.subscriptions": SUBSCRIPTIONS}
            await registry.sync_registry(ctx, declared.items())
            await subscriptions.seed_plans(ctx)
        yield Mortals(world, await world.subject("operator", {right: [""] for right in _RIGHTS}))


async def test_charging_what_came_from_outside(mortals: Mortals) -> None:
    sent: list[str] = []

    async def begin() -> None:
        sent.extend([f"job-{len(sent)}", f"job-{len(sent) + 1}"])
        envelope = {"specversion": "1.0", "type": "ironworks.usage.v1", "source": "/farm", "subject": TENANT}
        data = {"time": mortals.now.isoformat(), "data": {"quantities": {"input_tokens": 10**7}}}
        events = [{**envelope, **data, "id": name} for name in sent[-2:]]
        async with mortals.world.acting(mortals.operator) as ctx:
            found = await metering.ingest_usage(ctx, events)
        assert [str(one.outcome) for one in found] == ["accepted"] * 2

    async def check() -> None:
        assert (await balances(mortals.world))["receivable", "USD"] == len(sent) * DOLLAR
        assert not await mortals.world.query("select 1 from platform_metering.uncharged")
        await check_books(mortals.world)

    assert await die_at_each_statement(mortals.world, begin, charge_ingested_usage, check) > 5


async def test_charging_what_waited_for_a_price(mortals: Mortals) -> None:
    names: list[str] = []

    async def begin() -> None:
        names.append(f"model-{len(names)}")
        used = usage(names[-1], scope=TENANT, model=names[-1], quantities={"images": 2}, occurred_at=mortals.now)
        await charge(mortals.world, used)
        async with mortals.world.acting(mortals.operator) as ctx:
            await pricing.create_price(ctx, pricing.PriceKey("images", names[-1], "USD"), Decimal("0.5"))

    async def check() -> None:
        assert (await balances(mortals.world))["receivable", "USD"] == len(names) * DOLLAR
        assert len(await mortals.events("usage_charged_late")) == len(names)
        await check_books(mortals.world)

    assert await die_at_each_statement(mortals.world, begin, charge_waiting_usage, check) > 5


async def test_charging_levels(mortals: Mortals) -> None:
    """A level of 1000 GPUs holds an hour longer each time."""
    began = mortals.now

    async def begin() -> None:
        if mortals.now == began:
            level = usage(
                "on", scope=TENANT, quantities={}, readings={"gpu_seconds": 1000}, resource="vm", occurred_at=began
            )
            async with mortals.world.system("gateway") as ctx:
                await metering.record_usage(ctx, [level])
        mortals.now += timedelta(minutes=10)

    async def check() -> None:
        seconds = int((mortals.now - began).total_seconds())
        assert (await balances(mortals.world))["receivable", "USD"] == 1000 * seconds * 700_000
        await check_books(mortals.world)

    assert await die_at_each_statement(mortals.world, begin, charge_settled_readings, check) > 5


async def test_credit_that_expires(mortals: Mortals) -> None:
    """Half of each grant is owed since before, and is held."""
    given: list[str] = []

    async def begin() -> None:
        given.append(f"g{len(given)}")
        async with mortals.world.system("worker") as ctx:
            source = ledger.CreditSource.PAID
            await ledger.grant_credit(ctx, "acme", "USD", 2 * CENT, source, given[-1], expires_at=mortals.now + HOUR)
        used = usage(given[-1], scope=TENANT, quantities={"input_tokens": 10**5}, occurred_at=mortals.now)
        await charge(mortals.world, used)
        mortals.now += 2 * HOUR

    async def check() -> None:
        async with mortals.world.system("worker") as ctx:
            left = await ledger.get_credit(ctx, "acme", "USD")
        assert left.credit_nano == len(given) * CENT
        assert len(await mortals.events("credit_expired")) == len(given)
        await check_credit(mortals.world)

    assert await die_at_each_statement(mortals.world, begin, expire_credit, check) > 10


async def test_who_runs_out_is_told_once(mortals: Mortals) -> None:
    async with mortals.world.system("worker") as ctx:
        for account in ("acme", "rival"):
            await ledger.set_prepaid(ctx, account, "USD", ledger.CreditTerms(0))
    changes = len(await mortals.events("credit_state_changed"))

    async def begin() -> None:
        """Both have credit again, which is told at once, and use it up."""
        nonlocal changes
        changes += 4
        number, source = next(mortals.numbers), ledger.CreditSource.PROMOTION
        for account in ("acme", "rival"):
            async with mortals.world.system("worker") as ctx:
                await ledger.grant_credit(ctx, account, "USD", 1000 * DOLLAR, source, f"g{number}")
            used = usage(f"{account}{number}", (10**10, 0, 0), scope=account, occurred_at=mortals.now)
            await charge(mortals.world, used)

    async def check() -> None:
        assert len(await mortals.events("credit_state_changed")) == changes

    assert await die_at_each_statement(mortals.world, begin, watch_credit, check) > 5


async def test_periods_that_begin(mortals: Mortals) -> None:
    """A year and more of two subscriptions that begin on the 31st, rolled late and closed now and then."""
    for account, plan in (("acme", "starter"), ("rival", "growth")):
        async with mortals.world.acting(mortals.operator) as ctx:
            await subscriptions.start_subscription(ctx, account, plan, trial=False)

    async def begin() -> None:
        mortals.now += 31 * DAY

    async def check() -> None:
        async with mortals.world.acting(mortals.operator) as ctx:
            for account in ("acme", "rival"):
                now = (await subscriptions.get_standing(ctx, account)).subscription
                assert now.period_start <= mortals.now.date() < now.period_end
        rows = await mortals.world.query(
            "select path, count(*) as fees, count(distinct due_on) as days, min(due_on) as first, max(due_on) as last"
            " from platform_subscriptions.charge where kind = 'fee' group by 1"
        )
        for row in rows:
            months = (row["last"].year - row["first"].year) * 12 + row["last"].month - row["first"].month + 1
            assert row["fees"] == row["days"] == months

    assert await die_at_each_statement(mortals.world, begin, roll_subscriptions, check) > 5
    for _ in range(3):
        await close_all(mortals.world)
    await check_invoices(mortals.world)


@pytest.mark.long
async def test_the_close_of_a_subscription(mortals: Mortals) -> None:
    """With a fee, usage, terms that take a tenth of it off, tax and credit: a period each time, killed on its way."""
    async with mortals.world.acting(mortals.operator) as ctx:
        key = pricing.PriceKey("input_tokens", "*", "USD")
        await pricing.create_terms(ctx, key, pricing.PriceTerms(discount=Decimal(10)))
        await subscriptions.start_subscription(ctx, "acme", "starter", trial=False)
    async with mortals.world.system("worker") as ctx:
        vat = invoices.Tax(name="VAT", rate=Decimal("0.1"))
        await invoices.set_details(ctx, "acme", invoices.BillingDetails(taxes=(vat,)))
    await close_in_order(await mortals.world.database("worker"))
    periods = 0

    async def begin() -> None:
        nonlocal periods
        periods += 1
        async with mortals.world.system("worker") as ctx:
            await ledger.grant_credit(ctx, "acme", "USD", DOLLAR, ledger.CreditSource.PROMOTION, f"g{periods}")
        async with mortals.world.acting(mortals.operator) as ctx:
            end = (await subscriptions.get_standing(ctx, "acme")).subscription.period_end
        await charge(mortals.world, usage(f"r{periods}", (10**8, 0, 0), occurred_at=mortals.now))
        mortals.now = datetime(end.year, end.month, end.day, 9, tzinfo=UTC)

    async def check() -> None:
        found = await list_all(mortals.world)
        assert [i.total_nano * 10 // CENT for i in found] == [49 * 1100] + [(49 + 9) * 1100] * periods
        assert [i.credit_nano for i in found] == [0] + [DOLLAR] * periods
        if periods % 10 == 1:
            await check_invoices(mortals.world)
            await check_books(mortals.world)

    assert await die_at_each_statement(mortals.world, begin, close_in_order, check) > 40


async def test_grace_that_is_over(mortals: Mortals) -> None:
    """Each time another subscription, past due since two weeks."""
    begun: list[str] = []

    async def begin() -> None:
        begun.append(f"c{len(begun)}")
        await mortals.world.admin(
            "insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)"
            f" values ('{begun[-1]}', gen_random_uuid(), 'Account', null, 'active')"
        )
        async with mortals.world.acting(mortals.operator) as ctx:
            made = await subscriptions.start_subscription(ctx, begun[-1], "starter", trial=False)
        await mortals.world.admin(
            "update platform_subscriptions.subscription set status = 'past_due', unpaid = array[gen_random_uuid()],"
            " grace_until = $2 where id = $1",
            made.id, mortals.now - DAY,
        )  # fmt: skip

    async def check() -> None:
        rows = await mortals.world.query("select path, ends_on from platform_subscriptions.subscription")
        assert {row["path"]: row["ends_on"] for row in rows} == dict.fromkeys(begun, (mortals.now + DAY).date())
        assert len(await mortals.events("cancellation_scheduled")) == len(begun)

    assert await die_at_each_statement(mortals.world, begin, end_unpaid_subscriptions, check) > 5


async def test_invoices_that_are_overdue(mortals: Mortals) -> None:
    async def begin() -> None:
        used = usage(f"r{next(mortals.numbers)}", (10**7, 0, 0), occurred_at=mortals.now)
        await charge(mortals.world, used)
        mortals.now += 32 * DAY
        await close_all(mortals.world)
        mortals.now += 20 * DAY

    async def check() -> None:
        told = await mortals.events("invoice_overdue")
        assert len(told) == len(await list_all(mortals.world))

    assert await die_at_each_statement(mortals.world, begin, tell_overdue, check) >= 2


async def test_balances_that_are_kept(mortals: Mortals) -> None:
    async def begin() -> None:
        await charge(mortals.world, usage(f"r{next(mortals.numbers)}", (10**7, 0, 0), occurred_at=mortals.now))

    async def check() -> None:
        await check_kept_balances(mortals.world, mortals.operator)

    assert await die_at_each_statement(mortals.world, begin, snapshot_balances, check) >= 3


@pytest.mark.long
async def test_what_the_operator_does_to_an_invoice(mortals: Mortals) -> None:
    """Payment, credit note, refund, write-off, and the void of another, each in one transaction of the API."""
    made = 0

    async def begin() -> None:
        nonlocal made
        made += 1
        async with mortals.world.system("worker") as ctx:
            await ledger.grant_credit(ctx, "acme", "USD", DOLLAR, ledger.CreditSource.PROMOTION, f"g{made}")
        await charge(mortals.world, usage(f"a{made}", (3 * 10**7, 0, 0), occurred_at=mortals.now))
        await charge(mortals.world, usage(f"b{made}", (10**7, 0, 0), scope="rival.app", occurred_at=mortals.now))
        mortals.now = (mortals.now.replace(day=1) + 31 * DAY).replace(day=2)
        await close_all(mortals.world)

    async def work(db: Any) -> None:
        number = made
        ours, theirs = (await list_all(mortals.world))[-1], (await list_all(mortals.world, "rival"))[-1]
        for act in (
            lambda ctx: invoices.record_payment(ctx, ours.id, DOLLAR, "bank", f"p{number}"),
            lambda ctx: invoices.issue_credit_note(ctx, ours.id, 5 * CENT, "test", "n1"),
            lambda ctx: invoices.record_payment(ctx, ours.id, 95 * CENT, "bank", f"q{number}"),
            lambda ctx: invoices.issue_credit_note(ctx, ours.id, 7 * CENT, "test", "n2", refund=True),
            lambda ctx: invoices.record_refund(ctx, ours.id, 50 * CENT, "bank", f"r{number}"),
            lambda ctx: invoices.write_off(ctx, ours.id, "test"),
            lambda ctx: invoices.void_invoice(ctx, theirs.id, "test"),
        ):
            async with db.transaction(system_actor("test")) as ctx:
                await act(ctx)

    async def check() -> None:
        await check_invoices(mortals.world)
        await check_credit(mortals.world)
        states = {str(invoice.state) for invoice in await list_all(mortals.world)}
        assert states == {"uncollectible"}
        assert (await balances(mortals.world))["cash", "USD"] == made * 145 * CENT

    assert await die_at_each_statement(mortals.world, begin, work, check) > 30
    await check_books(mortals.world)
