"""Credit: given once, used in a stated order, expired but for what was used before, and never out of step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ironworks.platform import ledger
from ironworks.platform.ledger import prepaid, standing
from ironworks.platform.ledger.controller import expire_credit, watch_credit
from ironworks.shared.context import Context
from ironworks.shared.errors import Invalid, NotFound
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, money_world
from tests.support.postgres import Role, TestDatabase

PAID, PROMOTION = ledger.CreditSource.PAID, ledger.CreditSource.PROMOTION
CREDIT = ledger.Purpose.CREDIT
DAY = timedelta(days=1)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(database: TestDatabase, clock: Clock) -> AsyncIterator[LowerWorld]:
    async with money_world(database, prices=False) as world:
        world.clock = clock
        yield world


async def give(
    world: LowerWorld,
    reference: str,
    amount: int = 100,
    source: ledger.CreditSource = PAID,
    *,
    expires: datetime | None = None,
    priority: int = 50,
    account: str = "acme",
) -> ledger.CreditGrant:
    async with world.system("worker") as ctx:
        return await ledger.grant_credit(
            ctx, account, "USD", amount, source, reference, expires_at=expires, priority=priority
        )


def owed(amount: int, purpose: ledger.Purpose = ledger.Purpose.RECEIVABLE) -> ledger.NewTransfer:
    scope = TENANT if purpose is ledger.Purpose.RECEIVABLE else "acme"
    return ledger.NewTransfer(
        debit=ledger.AccountName(scope, purpose, "USD"),
        credit=ledger.AccountName("", ledger.Purpose.REVENUE, "USD"),
        amount_nano=amount,
        kind=ledger.TransferKind.USAGE,
        correlation="test",
    )


async def owe(world: LowerWorld, amount: int, purpose: ledger.Purpose = ledger.Purpose.RECEIVABLE) -> None:
    async with world.system("worker") as ctx:
        await ledger.post_transfer(ctx, owed(amount, purpose))


async def use(world: LowerWorld, amount: int, correlation: str = "inv-1") -> int:
    async with world.system("worker") as ctx:
        return await ledger.use_credit(ctx, "acme", "USD", amount, correlation)


async def credit(world: LowerWorld) -> ledger.CreditBalance:
    async with world.system("worker") as ctx:
        return await ledger.get_credit(ctx, "acme", "USD")


async def remaining(world: LowerWorld) -> dict[str, int]:
    async with world.system("worker") as ctx:
        return {g.reference: g.remaining_nano for g in await ledger.list_grants(ctx, "acme")}


async def check_credit(world: LowerWorld) -> None:
    """What remains of an account's grants is what its ledger account says; nothing is overdrawn."""
    assert not await world.query(
        """
        with left_over as (
          select g.path, g.currency, g.amount_nano - coalesce(sum(d.amount_nano), 0) as nano
          from platform_ledger.credit_grant g left join platform_ledger.credit_draw d on d.grant_id = g.id
          group by g.id),
        booked as (
          select a.path, a.currency,
                 sum(case when t.credit_account = a.id then amount_nano else -amount_nano end) as nano
          from platform_ledger.ledger_account a
          join platform_ledger.transfer t on a.id in (t.debit_account, t.credit_account)
          where a.purpose = 'credit' group by 1, 2),
        granted as (
          select path, currency, sum(nano) as nano, min(nano) as least from left_over group by 1, 2)
        select * from booked full join granted using (path, currency)
        where booked.nano is distinct from granted.nano or granted.least < 0
        """
    )


async def states(world: LowerWorld) -> list[tuple[str, str]]:
    rows = await world.query(
        "select payload ->> 'before' as before, payload ->> 'state' as state"
        " from shared.change_pending where event_type = $1 order by id",
        ledger.CreditStateChanged.type,
    )
    return [(row["before"], row["state"]) for row in rows]


async def test_credit_pays_what_is_due(world: LowerWorld) -> None:
    await give(world, "pay-1", 100)
    await give(world, "gift", 40, PROMOTION)
    await owe(world, 120, ledger.Purpose.DUE)
    assert await use(world, 120) == 120
    found = await credit(world)
    assert (found.credit_nano, found.due_nano, found.available_nano) == (20, 0, 20)
    async with world.system("worker") as ctx:
        sums = {b.purpose.value: b.amount_nano for b in await ledger.get_balances(ctx, "")}
    assert sums == {"cash": 100, "promotion": 40, "credit": -20, "revenue": -120, "due": 0}
    await check_credit(world)


async def test_the_same_use_again_uses_nothing_more(world: LowerWorld) -> None:
    await give(world, "pay-1", 100)
    assert await asyncio.gather(*(use(world, 30) for _ in range(4))) == [30] * 4
    assert await use(world, 500, "inv-2") == 70
    assert await use(world, 10, "inv-3") == 0
    assert await use(world, 0, "inv-4") == 0
    with pytest.raises(ValueError, match="-1"):
        await use(world, -1)
    await check_credit(world)


async def test_the_order_of_use_is_the_one_that_is_stated(world: LowerWorld, clock: Clock) -> None:
    await give(world, "paid first", 1)
    await give(world, "gift", 1, PROMOTION)
    await give(world, "ends late", 1, expires=NOON + 20 * DAY)
    await give(world, "ends soon", 1, expires=NOON + 10 * DAY)
    await give(world, "preferred", 1, priority=10)
    clock.now += timedelta(hours=1)
    await give(world, "paid second", 1)
    order = []
    for n in range(6):
        before = await remaining(world)
        assert await use(world, 1, f"inv-{n}") == 1
        after = await remaining(world)
        order += [name for name in before if after[name] != before[name]]
    assert order == ["preferred", "ends soon", "ends late", "gift", "paid first", "paid second"]


async def test_what_a_void_invoice_used_comes_back_to_its_grants(world: LowerWorld) -> None:
    await give(world, "a", 10, priority=1)
    await give(world, "b", 10)
    assert await use(world, 15) == 15

    async def back() -> int:
        async with world.system("worker") as ctx:
            return await ledger.return_credit(ctx, "acme", "USD", "inv-1")

    assert sorted(await asyncio.gather(back(), back(), back())) == [0, 0, 15]
    assert await remaining(world) == {"a": 10, "b": 10}
    assert await use(world, 4) == 4
    assert (await remaining(world), await back()) == ({"a": 6, "b": 10}, 4)
    await check_credit(world)


async def test_a_reference_gives_once(world: LowerWorld) -> None:
    grants = await asyncio.gather(*(give(world, "pay-1", 100) for _ in range(4)))
    assert len({grant.id for grant in grants}) == 1
    assert (await credit(world)).credit_nano == 100
    for changed in ({"amount": 99}, {"source": PROMOTION}):
        with pytest.raises(ledger.ReferenceUsed):
            await give(world, "pay-1", **changed)  # type: ignore[arg-type]
    await give(world, "pay-1", 5, account="rival")


async def test_what_cannot_be_given_is_refused(world: LowerWorld) -> None:
    for account, amount, problem in (
        ("acme", 0, Invalid), ("acme", -5, Invalid), ("acme", 2**63, Invalid), ("acme.shop", 5, Invalid),
        ("", 5, Invalid), ("nobody", 5, NotFound),
    ):  # fmt: skip
        with pytest.raises(problem):
            await give(world, "x", amount, account=account)
    with pytest.raises(Invalid, match="expires_at"):
        await give(world, "x", expires=NOON)
    with pytest.raises(Invalid, match="priority"):
        await give(world, "x", priority=101)
    assert await world.query("select 1 from platform_ledger.transfer") == []


async def run_expiry(world: LowerWorld) -> None:
    await expire_credit(await world.database("worker"))


async def test_unused_credit_expires(world: LowerWorld, clock: Clock) -> None:
    await give(world, "pay", 100, expires=NOON + DAY)
    await give(world, "gift", 40, PROMOTION, expires=NOON + DAY)
    await run_expiry(world)
    assert (await credit(world)).available_nano == 140
    clock.now = NOON + DAY
    assert (await credit(world)).available_nano == 0  # at the moment itself, though the run comes later
    await asyncio.gather(*(run_expiry(world) for _ in range(3)))
    async with world.system("worker") as ctx:
        sums = {b.purpose.value: b.amount_nano for b in await ledger.get_balances(ctx, "")}
    assert sums == {"cash": 100, "promotion": 0, "credit": 0, "revenue": -100}
    events = await world.query("select 1 from shared.change_pending where event_type = $1", ledger.CreditExpired.type)
    assert len(events) == 2
    await check_credit(world)


async def test_what_was_used_before_the_expiry_is_still_paid_by_it(world: LowerWorld, clock: Clock) -> None:
    await give(world, "first", 100, expires=NOON + DAY)
    await give(world, "second", 100, expires=NOON + 2 * DAY)
    await owe(world, 130)
    clock.now = NOON + DAY
    await run_expiry(world)
    assert (await credit(world)).available_nano == 70
    await owe(world, 20)
    clock.now = NOON + 2 * DAY
    await run_expiry(world)
    assert await remaining(world) == {"first": 100, "second": 50}
    assert (await credit(world)).available_nano == 0
    assert await use(world, 140) == 140
    clock.now = NOON + 60 * DAY
    await run_expiry(world)
    assert await remaining(world) == {"first": 0, "second": 0}
    await check_credit(world)


async def test_what_comes_back_after_the_expiry_can_still_be_used(world: LowerWorld, clock: Clock) -> None:
    await give(world, "gift", 100, PROMOTION, expires=NOON + DAY)
    await owe(world, 100, ledger.Purpose.DUE)
    assert await use(world, 100) == 100
    clock.now = NOON + 3 * DAY
    async with world.system("worker") as ctx:
        assert await ledger.return_credit(ctx, "acme", "USD", "inv-1") == 100
    await run_expiry(world)
    assert await use(world, 100, "inv-2") == 100
    await check_credit(world)


async def watch(world: LowerWorld) -> None:
    await watch_credit(await world.database("worker"))


async def set_prepaid(world: LowerWorld, low: int = 20) -> ledger.PrepaidAccount:
    async with world.system("worker") as ctx:
        return await ledger.set_prepaid(ctx, "acme", "USD", ledger.CreditTerms(low, DAY))


async def test_an_account_runs_out_and_comes_back(world: LowerWorld, clock: Clock) -> None:
    await give(world, "pay-1", 100)
    assert (await set_prepaid(world)).standing.state is ledger.CreditState.HEALTHY
    await owe(world, 79)
    await watch(world)
    assert await states(world) == []
    await owe(world, 1)
    for _ in range(3):
        await watch(world)
        clock.now += timedelta(minutes=1)
    assert await states(world) == [("healthy", "low_balance")]  # told once
    async with world.system("worker") as ctx:
        await ledger.require_credit(ctx, "acme.shop")
    await owe(world, 20)
    await asyncio.gather(*(watch(world) for _ in range(3)))
    found = (await credit(world)).prepaid
    assert found is not None
    assert found.standing.release_at == clock.now + DAY
    async with world.system("worker") as ctx:
        with pytest.raises(ledger.CreditUsedUp):
            await ledger.require_credit(ctx, "acme.shop")
    clock.now += DAY
    await watch(world)
    await watch(world)
    await give(world, "pay-2", 10)  # heals at once, without waiting for the watch
    await give(world, "pay-3", 100)
    assert await states(world) == [
        ("healthy", "low_balance"),
        ("low_balance", "auto_release_pending"),
        ("auto_release_pending", "depleted"),
        ("depleted", "low_balance"),
        ("low_balance", "healthy"),
    ]


async def test_who_pays_afterwards_has_no_state(world: LowerWorld) -> None:
    await owe(world, 10**12)
    await watch(world)
    async with world.system("worker") as ctx:
        assert await ledger.review_credit(ctx, "acme", "USD") is None
        await ledger.require_credit(ctx, "acme.shop")
    await set_prepaid(world)
    async with world.system("worker") as ctx:
        await ledger.remove_prepaid(ctx, "acme", "USD")
        await ledger.remove_prepaid(ctx, "acme", "USD")
    assert await states(world) == [("healthy", "auto_release_pending"), ("auto_release_pending", "healthy")]


async def test_eight_writers_never_use_a_nano_twice(world: LowerWorld) -> None:
    """Grants, uses, returns and expiries of one account at once: no deadlock, and the books agree."""
    await give(world, "start", 1000)

    async def act(writer: int, ctx: Context, step: int) -> None:
        name = f"{writer}-{step}"
        if step % 4 == 0:
            await ledger.grant_credit(ctx, "acme", "USD", 10, PROMOTION, name)
        elif step % 4 == 3:
            await ledger.return_credit(ctx, "acme", "USD", f"{writer}-{step - 1}")
        else:
            assert await ledger.use_credit(ctx, "acme", "USD", 40, name) <= 40

    async def writer(number: int) -> None:
        for step in range(8):
            async with world.system("worker") as ctx:
                await act(number, ctx, step)

    await asyncio.gather(*(writer(n) for n in range(8)))
    assert (await credit(world)).credit_nano == 1000 + 8 * 2 * 10 - 8 * 2 * 40
    await check_credit(world)


async def test_nobody_changes_what_was_granted_or_drawn(world: LowerWorld) -> None:
    await give(world, "pay", 100)
    await use(world, 10)
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    for table in ("credit_grant", "credit_draw", "credit_hold"):
        for verb in ("delete from {}", "update {} set scope = ''", "truncate {} cascade"):
            statement = verb.format(f"platform_ledger.{table}")
            for role in roles:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with world.system(role) as ctx:
                        await ctx.db.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await world.admin(statement)


async def test_by_hand_only_who_may_post(world: LowerWorld) -> None:
    reader = await world.subject("reader", {"billing:read": [""]})
    customer = await world.subject("customer", {"billing:read": ["acme"], "ledger:post": ["acme"]})
    operator = await world.subject("operator", {"billing:read": [""], "ledger:post": [""]})
    for actor in (reader, customer):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.acting(actor) as ctx:
                await ledger.grant_credit(ctx, "acme", "USD", 5, PROMOTION, "x")
    async with world.acting(operator) as ctx:
        await ledger.grant_credit(ctx, "acme", "USD", 5, PROMOTION, "x", expires_at=datetime(2027, 1, 1, tzinfo=UTC))
        await ledger.set_prepaid(ctx, "acme", "USD", ledger.CreditTerms(1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):  # usage is charged by the gateway alone
        async with world.acting(operator) as ctx:
            await ledger.post_transfer(ctx, owed(1))
    async with world.acting(customer) as ctx:
        (seen,) = await ledger.list_grants(ctx, "acme")
        assert (seen.reference, seen.granted_by) == ("x", "operator")
    stranger = await world.subject("stranger", {"billing:read": ["rival"]})
    async with world.acting(stranger) as ctx:
        assert await ledger.list_grants(ctx, "acme") == []
        assert (await ledger.get_credit(ctx, "acme", "USD")).credit_nano == 0


@pytest.mark.parametrize("step", ["expire_credit", "review_credit"])
async def test_an_account_whose_books_are_broken_keeps_no_other_from_its_turn(
    world: LowerWorld, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for account in ("acme", "rival"):
        await give(world, "a month", expires=NOON + DAY, account=account)
        async with world.system("worker") as ctx:
            await ledger.set_prepaid(ctx, account, "USD", ledger.CreditTerms(1))
    module, turn = (prepaid, expire_credit) if step == "expire_credit" else (standing, watch_credit)
    real, done = getattr(module, step), []

    async def mortal(ctx: Context, account: str, currency: str) -> None:
        if account == "acme":
            raise RuntimeError("its books are broken")
        await real(ctx, account, currency)
        done.append(account)

    monkeypatch.setattr(module, step, mortal)
    clock.now += 2 * DAY
    await turn(await world.database("worker"))
    assert done == ["rival"]
