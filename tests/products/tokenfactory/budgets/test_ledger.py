"""The ledger of leases in Postgres: what is granted, what is charged, and what is free when."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ironworks.platform import billing, iam, metering
from ironworks.products.tokenfactory import budgets
from ironworks.products.tokenfactory.budgets import service, store
from ironworks.shared.errors import Invalid
from tests.products.tokenfactory.budgets.books import KEY, TENANT, USD, Books


async def test_a_grant_is_an_eighth_of_what_is_free_or_what_is_needed(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    first = await ledger.ask(uid, wanted=USD, full=1000, least=1000)
    assert (first.outcome, first.epoch, first.granted) == ("granted", 1, USD // 8)
    other = await ledger.ask(uid, "two", wanted=USD, full=USD // 2, least=1)
    assert other.granted == USD // 2
    assert await ledger.period(uid) == {"spent": 0, "unreserved": 0, "leased": USD // 8 + USD // 2}


async def test_less_than_wanted_is_given_only_where_less_is_left(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    one = await ledger.ask(uid, wanted=600_000_000, full=600_000_000, least=1)
    waiting = await ledger.ask(uid, "two", wanted=600_000_000, full=600_000_000, least=1)
    assert (waiting.granted, waiting.lease, waiting.poke, waiting.tight) == (0, "", True, True)
    await ledger.settle(ledger.spend(600_000_000, one.lease))
    short = await ledger.ask(uid, "two", wanted=600_000_000, full=600_000_000, least=1)
    assert short.granted == 400_000_000
    assert short.left == 400_000_000


async def test_an_order_under_another_epoch_does_nothing(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    first = await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    second = await ledger.ask(uid, keep=1000, wanted=1000, full=1000, least=1000)
    assert (second.epoch, second.granted) == (2, 2000)
    late = await ledger.ask(uid, epoch=first.epoch, keep=0)
    assert (late.outcome, late.epoch, late.granted) == ("stale", 2, 2000)
    lost = await ledger.ask(uid, epoch=0, wanted=1000, full=1000, least=1000)
    assert (lost.outcome, lost.epoch, lost.granted) == ("stale", 2, 2000)
    assert (await ledger.period(uid))["leased"] == 2000


async def test_a_holder_keeps_no_more_than_it_was_given(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    assert (await ledger.ask(uid, keep=10**12)).granted == 1000


async def test_what_is_given_back_is_free_at_once_and_waiting_ones_are_told(ledger: Books) -> None:
    uid = (await ledger.budget("b", amount="0.000001", period="total")).uid
    await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    refused = await ledger.ask(uid, "two", wanted=500, full=500, least=500)
    assert refused.granted == 0
    async with ledger.world.system("gateway") as ctx:
        assert [each[0] for each in await budgets.recalled_leases(ctx, "one")] == [uid]
        assert not await budgets.recalled_leases(ctx, "two")
    back = await ledger.ask(uid, keep=400)
    assert (back.granted, back.poke) == (400, True)
    assert (await ledger.ask(uid, "two", wanted=500, full=500, least=500)).granted == 500


async def test_charging_moves_from_leased_to_spent_exactly_once(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    lease = (await ledger.ask(uid, wanted=100_000, full=100_000, least=100_000)).lease
    assert await ledger.charge("req_1", 100, lease)
    assert not await ledger.charge("req_1", 100, lease), "the same record again"
    assert await ledger.period(uid) == {"spent": 40_000, "unreserved": 0, "leased": 60_000}


async def _roll_back(ledger: Books, charge: budgets.Charge) -> None:
    with contextlib.suppress(RuntimeError):
        async with ledger.world.system("gateway") as ctx:
            await budgets.settle_usage(ctx, [charge])
            raise RuntimeError("before the commit")


async def test_a_charge_that_is_rolled_back_moves_nothing(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    lease = (await ledger.ask(uid, wanted=1000, full=1000, least=1000)).lease
    await _roll_back(ledger, ledger.spend(500, lease))
    assert await ledger.period(uid) == {"spent": 0, "unreserved": 0, "leased": 1000}


async def test_what_nothing_was_reserved_for_counts_at_every_budget(ledger: Books) -> None:
    """Soft ones, and hard ones that were passed while the database was away: at every level that matches."""
    names = {"above": "acme", "here": TENANT, "soft": TENANT}
    uids = {
        name: (await ledger.budget(name, path, mode="soft" if name == "soft" else "hard")).uid
        for name, path in names.items()
    }
    elsewhere = (
        await ledger.budget("elsewhere", "acme.shop.us" if await ledger.world.scope("acme.shop.us") else "")
    ).uid
    await ledger.settle(ledger.spend(500), ledger.spend(70, scope="acme.shop"))
    for name, spent in (("above", 570), ("here", 500), ("soft", 500)):
        assert await ledger.period(uids[name]) == {"spent": spent, "unreserved": spent, "leased": 0}
    assert (await ledger.period(elsewhere))["spent"] == 0


async def test_a_budget_of_a_key_counts_that_key(ledger: Books) -> None:
    world = ledger.world
    key = await world.make(iam.API_KEY, TENANT, "k", {})
    uid = (await ledger.budget("b", "acme.shop", key=f"{TENANT}/k")).uid
    await ledger.settle(ledger.spend(500), ledger.spend(30, key_uid=key.uid))
    assert (await ledger.period(uid))["spent"] == 30
    await world.scope("acme.shop.us")
    with pytest.raises(Invalid, match="outside the budget's scope"):
        await ledger.budget("b", "acme.shop.us", key=f"{TENANT}/k")


async def test_it_begins_when_it_is_made(ledger: Books) -> None:
    uid = (await ledger.budget("b")).uid
    before = ledger.world.now() - timedelta(minutes=1)
    await ledger.settle(ledger.spend(500, admitted_at=before.timestamp()))
    assert (await ledger.period(uid))["spent"] == 0


async def test_thresholds_are_told_once_in_a_period(ledger: Books) -> None:
    await ledger.budget("b", amount="0.000001", thresholds=[50, 80, 100, 150])
    await ledger.settle(ledger.spend(499))
    assert await ledger.events() == []
    await ledger.settle(ledger.spend(1))
    await ledger.settle(ledger.spend(100))
    assert await ledger.events() == [("b", 50)]
    await ledger.settle(ledger.spend(500))
    assert await ledger.events() == [("b", 50), ("b", 80), ("b", 100)]
    await ledger.settle(ledger.spend(10_000))
    assert await ledger.events() == [("b", 50), ("b", 80), ("b", 100), ("b", 150)]


async def test_a_threshold_is_not_told_of_a_charge_that_is_rolled_back(ledger: Books) -> None:
    await ledger.budget("b", amount="0.000001")
    await _roll_back(ledger, ledger.spend(1000))
    assert await ledger.events() == []
    await ledger.settle(ledger.spend(1000))
    assert len(await ledger.events()) == 3


# --- periods


async def _yesterday(ledger: Books, uid: object) -> datetime:
    """The day before, open as it was then."""
    start = budgets.period_of("day", ledger.world.now())[0] - timedelta(days=1)
    await ledger.world.admin.execute(
        "insert into tokenfactory_budgets.budget_period (budget, period_start, scope) values ($1, $2, $3::text::ltree)",
        uid, start, TENANT,
    )  # fmt: skip
    return start


async def test_a_request_belongs_to_the_period_of_its_lease(ledger: Books) -> None:
    """Admitted before midnight, charged after: what it was held from is what pays."""
    uid = (await ledger.budget("b", period="day")).uid
    start = await _yesterday(ledger, uid)
    await ledger.world.admin.execute(
        "insert into tokenfactory_budgets.lease (budget, period_start, scope, holder, host, granted_nano, expires_at)"
        " values ($1, $2, $3::text::ltree, 'one', 'h', 1000, now())",
        uid, start, TENANT,
    )  # fmt: skip
    (lease,) = await ledger.leases(uid)
    await ledger.settle(ledger.spend(600, str(lease["id"])))
    rows = await ledger.world.admin.fetch("select period_start, spent_nano from tokenfactory_budgets.budget_period")
    assert [(row["period_start"], row["spent_nano"]) for row in rows] == [(start, 600)]
    back = await ledger.ask(uid, start=start, epoch=1, keep=600, close=True)
    assert (back.outcome, back.granted) == ("granted", 600)


async def test_what_is_not_leased_belongs_to_the_period_of_its_admission(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="day")).uid
    await ledger.world.admin.execute(
        "update tokenfactory_budgets.budget set creation_timestamp = now() - interval '3 days'"
    )
    midnight = budgets.period_of("day", ledger.world.now())[0]
    await ledger.settle(
        ledger.spend(1, admitted_at=midnight.timestamp() - 0.001), ledger.spend(20, admitted_at=midnight.timestamp())
    )
    rows = await ledger.world.admin.fetch(
        "select period_start, spent_nano from tokenfactory_budgets.budget_period where budget = $1 order by 1", uid
    )
    assert [tuple(row) for row in rows] == [(midnight - timedelta(days=1), 1), (midnight, 20)]


@pytest.mark.parametrize("period", ["day", "week", "month", "total"])
async def test_the_database_counts_periods_as_the_gateway_does(ledger: Books, period: budgets.BudgetView) -> None:
    moments = [
        datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    ]  # fmt: skip
    for moment in moments:
        found = await ledger.world.admin.fetchval("select tokenfactory_budgets.period_start($1, $2)", period, moment)
        assert found == budgets.period_of(period, moment)[0]  # type: ignore[arg-type]


async def test_nothing_is_lent_to_a_clock_that_is_wrong(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="day")).uid
    today = budgets.period_of("day", ledger.world.now())[0]
    assert (await ledger.ask(uid, start=today, wanted=10, full=10, least=10)).outcome == "granted"
    for days in (-2, 2, 300):
        other = await ledger.ask(uid, "two", start=today + timedelta(days=days), wanted=10, full=10, least=10)
        assert other.outcome == "clock"


# --- the amount changes


async def test_an_amount_that_is_lowered_below_what_is_spent_refuses(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    lease = (await ledger.ask(uid, wanted=1000, full=1000, least=1000)).lease
    await ledger.settle(ledger.spend(900, lease))
    await ledger.world.change(budgets.BUDGET, TENANT, "b", {"amount": "0.0000005"})
    told = await ledger.ask(uid, keep=1000, wanted=10, full=10, least=10)
    assert told.left == -400
    assert told.granted == 1000
    assert told.tight
    await ledger.settle(ledger.spend(100, lease))
    assert (await ledger.period(uid))["spent"] == 1000
    await ledger.world.change(budgets.BUDGET, TENANT, "b", {"amount": "1"})
    assert (await ledger.ask(uid, keep=1000, wanted=10, full=10, least=10)).granted == 1010


# --- a holder that is gone


async def test_a_dead_holders_leases_close_with_what_was_charged_of_them(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    lease = (await ledger.ask(uid, wanted=1000, full=1000, least=1000)).lease
    await ledger.settle(ledger.spend(300, lease))
    async with ledger.world.system("gateway") as ctx:
        assert await budgets.close_leases(ctx, "one") == 1
        assert await budgets.close_leases(ctx, "one") == 0
    assert await ledger.period(uid) == {"spent": 300, "unreserved": 0, "leased": 0}
    assert (await ledger.ask(uid, keep=700)).outcome == "closed"


async def _expire(ledger: Books) -> None:
    await ledger.world.admin.execute("update tokenfactory_budgets.lease set expires_at = now() - interval '1 second'")
    async with ledger.world.system("worker") as ctx:
        await store.freeze_leases(ctx)


async def test_expiry_releases_nothing_and_is_shown(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    terms = await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    await _expire(ledger)
    assert (await ledger.period(uid))["leased"] == 1000
    await ledger.world.settle()
    shown = await ledger.world.get(budgets.BUDGET, TENANT, "b")
    assert [lease.amount for lease in shown.status.frozen_leases] == ["0.000001"]
    condition = next(each for each in shown.status.conditions if each.type == "LeasesLive")
    assert (condition.status, condition.reason) == ("False", "LeasesFrozen")
    assert "host-of-one" in condition.message
    back = await ledger.ask(uid, epoch=terms.epoch, keep=1000)
    assert back.outcome == "granted", "a holder that comes back goes on"
    await ledger.settle(ledger.spend(10, terms.lease))
    await ledger.world.admin.execute("update shared.work_item set due_at = now() where kind = 'Budget'")
    await ledger.world.settle()
    shown = await ledger.world.get(budgets.BUDGET, TENANT, "b")
    assert shown.status.frozen_leases == []


async def test_a_lost_spool_stays_frozen_until_it_is_declared_lost(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    terms = await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    with pytest.raises(budgets.NothingLost):
        async with ledger.world.acting(ledger.world.operator) as ctx:
            await service.release_lost(ctx, TENANT, "b", None, None)
    await ledger.settle(ledger.spend(400, terms.lease))
    await _expire(ledger)
    async with ledger.world.acting(ledger.world.operator) as ctx:
        freed = await service.release_lost(ctx, TENANT, "b", None, "host-of-one")
    assert freed == [("one", "host-of-one", 600)]
    assert await ledger.period(uid) == {"spent": 400, "unreserved": 0, "leased": 0}
    (record,) = await ledger.world.admin.fetch(
        "select * from platform_audit.pending where action = 'budget.release-lost'"
    )
    assert "0.0000006" in record["after"]
    assert (await ledger.ask(uid, epoch=terms.epoch, keep=600)).outcome == "closed"
    await ledger.settle(ledger.spend(100, terms.lease))
    assert (await ledger.period(uid))["spent"] == 500, "what turns up after all counts"


async def test_it_is_used_up_while_less_is_left_than_a_call_needs(ledger: Books) -> None:
    """Hardly ever is the very last spent: a call is refused before."""
    uid = (await ledger.budget("b", amount="0.001", period="total")).uid
    lease = (await ledger.ask(uid, wanted=900_000, full=900_000, least=1)).lease
    await ledger.settle(ledger.spend(900_000, lease))

    async def phase() -> tuple[str, str]:
        await ledger.world.admin.execute("update shared.work_item set due_at = now() where kind = 'Budget'")
        await ledger.world.settle()
        status = (await ledger.world.get(budgets.BUDGET, TENANT, "b")).status
        return status.phase, next(each.message for each in status.conditions if each.type == "WithinBudget")

    assert (await phase())[0] == "Ready"
    assert (await ledger.ask(uid, "two", wanted=300_000, full=300_000, least=100_000)).granted > 0, "just enough"
    await ledger.ask(uid, "two", keep=0)
    for least in (250_000, 150_000, 200_000):
        refused = await ledger.ask(uid, "two", wanted=300_000, full=300_000, least=least)
        assert (refused.granted, refused.left) == (0, 100_000)
    shown, message = await phase()
    assert shown == "Exhausted"
    assert message.startswith("0.0001 of 0.001 USD is left, and a call that was refused needs 0.00015; raise")
    await ledger.world.change(budgets.BUDGET, TENANT, "b", {"amount": "0.00106"})
    assert (await phase())[0] == "Ready"
    await ledger.world.change(budgets.BUDGET, TENANT, "b", {"amount": "0.0005"})
    overdrawn = await ledger.ask(uid, "three", wanted=1, full=0, least=0)
    assert (overdrawn.outcome, overdrawn.left) == ("granted", -400_000), "nobody waits, and nothing is short of nothing"


async def test_a_deleted_budget_takes_its_leases_along(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    terms = await ledger.ask(uid, wanted=1000, full=1000, least=1000)
    await ledger.world.delete(budgets.BUDGET, TENANT, "b")
    assert (await ledger.ask(uid, keep=1000)).outcome == "gone"
    await ledger.world.settle()
    await ledger.settle(ledger.spend(10, terms.lease))
    assert await ledger.leases(uid) == []


async def test_what_is_charged_late_counts_then(ledger: Books) -> None:
    """A quantity that had no price when the request was charged."""
    uid = (await ledger.budget("b")).uid
    await ledger.world.admin.execute(
        "update tokenfactory_budgets.budget set creation_timestamp = now() - interval '1 minute'"
    )
    event = metering.UsageEvent(
        id="req_1", occurred_at=ledger.world.now(), scope=TENANT, model="m", route="m", endpoint_name="m",
        quantities={metering.OUTPUT_TOKENS: 10, metering.IMAGES: 2}, endpoint_scope=TENANT, key_uid=KEY,
    )  # fmt: skip
    async with ledger.world.system("gateway") as ctx:
        (charged,) = await billing.charge_usage(ctx, [event])
        assert charged.waiting
        await budgets.settle_usage(ctx, [ledger.spend(charged.cost_nano)])
    assert (await ledger.period(uid))["spent"] == 4000
    since = ledger.world.now() - timedelta(hours=1)
    async with ledger.world.system("worker") as ctx:
        await ctx.db.execute(
            "insert into platform_pricing.price (meter, model, currency, unit_price, valid_from, created_by)"
            " values ($1, '*', 'USD', 0.000001, $2, 'test')",
            metering.IMAGES, since,
        )  # fmt: skip
        assert await billing.charge_waiting(ctx) == 1
    await ledger.world.consume()
    assert await ledger.period(uid) == {"spent": 6000, "unreserved": 6000, "leased": 0}


# --- rights, and many at once


async def test_the_gateway_may_do_nothing_but_call_functions(ledger: Books) -> None:
    uid = (await ledger.budget("b", period="total")).uid
    for statement in (
        "update tokenfactory_budgets.budget_period set spent_nano = 0",
        "select * from tokenfactory_budgets.lease",
        "insert into tokenfactory_budgets.threshold_told values (gen_random_uuid(), now(), 1)",
        "update tokenfactory_budgets.budget set spec = '{}'",
        f"select tokenfactory_budgets.release_lost('{uid}', null, null)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with ledger.world.system("gateway") as ctx:
                await ctx.db.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with ledger.world.system("api") as ctx:
            await budgets.settle_usage(ctx, [ledger.spend(1)])


async def test_batches_that_overlap_in_budgets_wait_and_never_deadlock(ledger: Books) -> None:
    paths = ["", "acme", "acme.shop", TENANT]
    uids = [
        (await ledger.budget(f"b{n}", path or "", amount="1000", period="total")).uid for n, path in enumerate(paths)
    ]
    leases = {
        (uid, who): (await ledger.ask(uid, who, wanted=10**6, full=1, least=1)).lease for uid in uids for who in "xyz"
    }

    async def work(who: str, order: int) -> None:
        for _ in range(15):
            mine = [leases[uid, who] for uid in uids[::order]]
            await ledger.settle(*(ledger.spend(1, *mine) for _ in range(3)), ledger.spend(5))

    async def lend(who: str) -> None:
        for _ in range(15):
            for uid in uids:
                held = await ledger.ask(uid, who, keep=10**6)
                assert held.outcome == "granted"

    async with asyncio.timeout(60):
        await asyncio.gather(work("x", 1), work("y", -1), work("z", 1), lend("x"), lend("y"))
    for uid in uids:
        assert (await ledger.period(uid))["spent"] == 3 * 15 * (3 + 5)
