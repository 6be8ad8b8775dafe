"""Kept balances: exact whoever commits when, checked, and never mended in silence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from ironworks.platform import ledger
from ironworks.platform.ledger.controller import forget_old_snapshots, snapshot_balances, verify_balances
from tests.support.lower import LowerWorld
from tests.support.money import TENANT, money_world
from tests.support.postgres import Role, TestDatabase

PLACES = [TENANT, "acme.shop.us", "rival.shop"]


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database, prices=False) as world:
        yield world


def usage_of(amount: int, scope: str = TENANT) -> ledger.NewTransfer:
    return ledger.NewTransfer(
        debit=ledger.AccountName(scope, ledger.Purpose.RECEIVABLE, "USD"),
        credit=ledger.AccountName("", ledger.Purpose.REVENUE, "USD"),
        amount_nano=amount,
        kind=ledger.TransferKind.USAGE,
        correlation="batch",
    )


async def post(world: LowerWorld, *transfers: ledger.NewTransfer) -> None:
    async with world.system("gateway") as ctx:
        await ledger.post_transfers(ctx, transfers)


async def balance(world: LowerWorld, path: str) -> dict[str, int]:
    async with world.system("worker") as ctx:
        return {b.purpose.value: b.amount_nano for b in await ledger.get_balances(ctx, path)}


async def snapshot(world: LowerWorld) -> None:
    """One that covers all that is committed."""
    await world.settle()
    await snapshot_balances(await world.database("worker"))


async def kept(world: LowerWorld) -> int:
    (row,) = await world.query("select count(*) as kept from platform_ledger.balance_snapshot")
    found: int = row["kept"]
    return found


async def test_a_balance_is_the_same_with_and_without(world: LowerWorld) -> None:
    await post(world, usage_of(5), usage_of(7, "rival.shop"))
    await asyncio.gather(*(snapshot(world) for _ in range(3)))
    assert await kept(world) == 3
    assert await balance(world, "") == {"receivable": 12, "revenue": -12}
    await post(world, usage_of(100))
    assert await balance(world, TENANT) == {"receivable": 105}
    await snapshot(world)
    await snapshot(world)
    assert await kept(world) == 5  # those that moved, once
    assert await balance(world, "") == {"receivable": 112, "revenue": -112}


async def test_what_commits_after_a_snapshot_is_counted_though_it_began_before(world: LowerWorld) -> None:
    await post(world, usage_of(1))
    async with AsyncExitStack() as slow:
        ctx = await slow.enter_async_context(world.system("gateway"))
        await ledger.post_transfer(ctx, usage_of(10))
        await post(world, usage_of(100))  # a later transaction that commits earlier
        await snapshot_balances(await world.database("worker"))
        assert await balance(world, TENANT) == {"receivable": 101}
    assert await balance(world, TENANT) == {"receivable": 111}
    await snapshot(world)
    assert await balance(world, TENANT) == {"receivable": 111}
    await verify_balances(await world.database("worker"))
    assert await world.query("select 1 from platform_ledger.snapshot_mismatch") == []


async def test_eight_writers_and_a_snapshot_at_any_moment(world: LowerWorld) -> None:
    """No deadlock, and whoever reads sees exactly what is committed: each transfer moves the two balances alike."""
    done = asyncio.Event()

    async def writer(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            await post(world, *(usage_of(chance.randint(1, 9), place) for place in chance.sample(PLACES, 3)))

    async def keeper() -> None:
        while not done.is_set():
            await snapshot_balances(await world.database("worker"))

    async def reader() -> None:
        while not done.is_set():
            assert sum((await balance(world, "")).values()) == 0

    others = [asyncio.create_task(keeper()), asyncio.create_task(reader())]
    await asyncio.gather(*(writer(seed) for seed in range(8)))
    done.set()
    await asyncio.gather(*others)
    (true,) = await world.query("select sum(amount_nano)::bigint as nano from platform_ledger.transfer")
    assert await balance(world, "") == {"receivable": true["nano"], "revenue": -true["nano"]}
    await verify_balances(await world.database("worker"))
    assert await world.query("select 1 from platform_ledger.snapshot_mismatch") == []


async def test_a_wrong_snapshot_is_told_once_and_no_longer_used(world: LowerWorld) -> None:
    await post(world, usage_of(5), usage_of(7, "rival.shop"))
    await snapshot(world)
    await world.admin(
        "alter table platform_ledger.balance_snapshot disable trigger never_updated;"
        "update platform_ledger.balance_snapshot set debit_nano = 500 where scope = 'acme.shop.eu';"
    )
    assert await balance(world, TENANT) == {"receivable": 500}
    worker = await world.database("worker")
    await asyncio.gather(*(verify_balances(worker) for _ in range(2)))
    await verify_balances(worker)
    (found,) = await world.query("select kept_nano, summed_nano, scope::text from platform_ledger.snapshot_mismatch")
    assert (found["kept_nano"], found["summed_nano"], found["scope"]) == (500, 5, TENANT)
    events = await world.query(
        "select 1 from shared.change_pending where event_type = $1", ledger.SnapshotMismatch.type
    )
    assert len(events) == 1
    assert await balance(world, TENANT) == {"receivable": 5}
    await post(world, usage_of(1))
    await snapshot(world)
    assert await balance(world, "acme") == {"receivable": 6}
    assert await balance(world, "rival") == {"receivable": 7}


async def test_what_another_cluster_kept_is_not_used(world: LowerWorld) -> None:
    """As after a dump was restored elsewhere: transaction ids begin anew there."""
    await post(world, usage_of(5))
    await snapshot(world)
    await world.admin(
        "alter table platform_ledger.balance_snapshot disable trigger never_updated;"
        "alter table platform_ledger.snapshot_run disable trigger never_updated;"
        "update platform_ledger.balance_snapshot set cluster = 1, debit_nano = 1000, horizon = 4000000000;"
        "update platform_ledger.snapshot_run set cluster = 1, horizon = 4000000000;"
        "alter table platform_ledger.transfer disable trigger append_only;"
        "update platform_ledger.transfer set posted_in = 4000000000"
    )
    assert await balance(world, TENANT) == {"receivable": 5}
    await post(world, usage_of(10))
    await snapshot(world)
    await post(world, usage_of(100))
    assert await balance(world, TENANT) == {"receivable": 115}
    await snapshot(world)
    assert await balance(world, TENANT) == {"receivable": 115}


async def test_old_ones_are_forgotten_but_for_the_newest(world: LowerWorld) -> None:
    for amount in (1, 2, 3):
        await post(world, usage_of(amount))
        await snapshot(world)
    await world.admin(
        "alter table platform_ledger.balance_snapshot disable trigger never_updated;"
        "alter table platform_ledger.snapshot_run disable trigger never_updated;"
        "update platform_ledger.balance_snapshot set taken_at = now() - interval '2 days';"
        "update platform_ledger.snapshot_run set taken_at = now() - interval '2 days'"
    )
    await forget_old_snapshots(await world.database("worker"))
    assert await kept(world) == 2
    await post(world, usage_of(4))
    await snapshot(world)
    assert await balance(world, TENANT) == {"receivable": 10}


async def test_nobody_says_in_which_transaction_he_posts(world: LowerWorld) -> None:
    await post(world, usage_of(1))
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    insert = """
        insert into platform_ledger.transfer
          (id, debit_account, credit_account, amount_nano, currency, kind, correlation, scope, {0})
        select gen_random_uuid(), debit_account, credit_account, 1, currency, kind, 'x', scope, {0}
        from platform_ledger.transfer
    """
    for role in roles:
        for column in ("posted_in", "posted_at"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.system(role) as ctx:
                    await ctx.db.execute(insert.format(column))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.system(role) as ctx:
                await ctx.db.execute("update platform_ledger.balance_snapshot set debit_nano = 0")


async def test_a_reader_gets_what_is_its_own_out_of_snapshots(world: LowerWorld) -> None:
    await post(world, usage_of(5), usage_of(7, "rival.shop"))
    await snapshot(world)
    await post(world, usage_of(1))
    reader = await world.subject("reader", {"billing:read": ["acme"]})
    async with world.acting(reader) as ctx:
        assert [b.amount_nano for b in await ledger.get_balances(ctx, "")] == [6]
        assert len(await ctx.db.fetch("select * from platform_ledger.balance_snapshot")) == 1
