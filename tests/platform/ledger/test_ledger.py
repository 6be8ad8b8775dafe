"""The ledger: balanced by construction, never changed, corrected once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest

from ironworks.platform import ledger
from ironworks.platform.ledger.model import new_transfer_id
from ironworks.shared.errors import NotFound
from tests.support.lower import LowerWorld
from tests.support.money import TENANT, money_world
from tests.support.postgres import Role, TestDatabase

REVENUE = ledger.AccountName("", ledger.Purpose.REVENUE, "USD")


def owes(scope: str = TENANT, currency: str = "USD") -> ledger.AccountName:
    return ledger.AccountName(scope, ledger.Purpose.RECEIVABLE, currency)


def usage_of(amount: int, scope: str = TENANT) -> ledger.NewTransfer:
    return ledger.NewTransfer(
        debit=owes(scope), credit=REVENUE, amount_nano=amount, kind=ledger.TransferKind.USAGE, correlation="batch"
    )


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


async def post(world: LowerWorld, *transfers: ledger.NewTransfer) -> None:
    async with world.system("gateway") as ctx:
        await ledger.post_transfers(ctx, transfers)


async def balances(world: LowerWorld, path: str) -> dict[str, int]:
    async with world.system("worker") as ctx:
        return {b.purpose.value: b.amount_nano for b in await ledger.get_balances(ctx, path)}


async def test_balances_are_the_sums_of_transfers(world: LowerWorld) -> None:
    await post(world, usage_of(5), usage_of(7), usage_of(100, "acme.shop.europe"), usage_of(1000, "rival"))
    assert await balances(world, TENANT) == {"receivable": 12}
    assert await balances(world, "acme") == {"receivable": 112}
    assert await balances(world, "acme.shop.e") == {}
    assert await balances(world, "") == {"receivable": 1112, "revenue": -1112}


async def test_sums_may_outgrow_a_single_transfer(world: LowerWorld) -> None:
    most = 2**63 - 1
    await post(world, *(usage_of(most) for _ in range(3)))
    assert await balances(world, TENANT) == {"receivable": 3 * most}


@pytest.mark.parametrize(
    ("debit", "credit", "amount"),
    [
        (owes(), REVENUE, 0),
        (owes(), REVENUE, -1),
        (owes(), REVENUE, 2**63),
        (owes(), REVENUE._replace(currency="EUR"), 1),
        (owes(), owes(), 1),
        (owes("acme.shop"), owes("rival.shop"), 1),
        (owes("acme.shop"), owes("acme.shopping"), 1),
    ],
)
def test_what_cannot_balance_is_no_transfer(debit: ledger.AccountName, credit: ledger.AccountName, amount: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        ledger.NewTransfer(
            debit=debit, credit=credit, amount_nano=amount, kind=ledger.TransferKind.USAGE, correlation="x"
        )


async def test_the_database_refuses_it_too(world: LowerWorld) -> None:
    await post(world, usage_of(1))
    rows = await world.query("select id, purpose from platform_ledger.ledger_account")
    ids = {row["purpose"]: row["id"] for row in rows}
    insert = """
        insert into platform_ledger.transfer
          (id, debit_account, credit_account, amount_nano, currency, kind, correlation, scope)
        values (gen_random_uuid(), '{}', '{}', {}, '{}', 'usage', 'x', 'acme')
    """
    for debit, credit, amount, currency in (
        (ids["receivable"], ids["revenue"], 0, "USD"),
        (ids["receivable"], ids["revenue"], -1, "USD"),
        (ids["receivable"], ids["receivable"], 1, "USD"),
        (ids["receivable"], ids["revenue"], 1, "EUR"),
        (ids["receivable"], uuid4(), 1, "USD"),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await world.admin(insert.format(debit, credit, amount, currency))


async def test_a_mistake_is_taken_back_by_one_transfer_that_names_it(world: LowerWorld) -> None:
    await post(world, usage_of(5), wrong := usage_of(7))

    async def reverse() -> UUID | type[Exception]:
        try:
            async with world.system("worker") as ctx:
                return await ledger.reverse_transfer(ctx, wrong.id, "ticket-1")
        except ledger.AlreadyReversed as problem:
            return type(problem)

    answers = await asyncio.gather(*(reverse() for _ in range(4)))
    (reversal_id,) = (a for a in answers if isinstance(a, UUID))
    assert answers.count(ledger.AlreadyReversed) == 3
    assert await balances(world, TENANT) == {"receivable": 5}
    async with world.system("worker") as ctx:
        (reversal,) = await ledger.list_transfers(ctx, [reversal_id])
    assert (reversal.debit, reversal.credit, reversal.amount_nano) == (REVENUE, owes(), 7)
    assert (reversal.corrects, reversal.correlation) == (wrong.id, "ticket-1")


async def test_what_does_not_exist_is_not_taken_back(world: LowerWorld) -> None:
    with pytest.raises(NotFound):
        async with world.system("worker") as ctx:
            await ledger.reverse_transfer(ctx, uuid4(), "ticket-1")


async def test_nobody_changes_the_ledger(world: LowerWorld) -> None:
    await post(world, usage_of(1))
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    verbs = ("delete from {}", "update {} set currency = 'EUR'", "truncate {} cascade")
    for table, verb in product(("ledger_account", "transfer"), verbs):
        statement = verb.format(f"platform_ledger.{table}")
        for role in roles:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.system(role) as ctx:
                    await ctx.db.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await world.admin(statement)


async def test_the_api_posts_nothing(world: LowerWorld) -> None:
    operator = await world.subject("operator", {"billing:read": [""]})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.acting(operator) as ctx:
            await ledger.post_transfer(ctx, usage_of(1))


async def test_a_reader_sees_its_own_transfers_with_the_names_of_both_sides(world: LowerWorld) -> None:
    await post(world, ours := usage_of(5), theirs := usage_of(7, "rival.shop"))
    reader = await world.subject("reader", {"billing:read": [TENANT]})
    async with world.acting(reader) as ctx:
        (seen,) = await ledger.list_transfers(ctx, [ours.id, theirs.id])
        assert (seen.id, seen.debit, seen.credit) == (ours.id, owes(), REVENUE)
        assert await ctx.db.fetch("select * from platform_ledger.sides($1)", [theirs.id]) == []
        assert [b.amount_nano for b in await ledger.get_balances(ctx, "")] == [5]


def test_ids_sort_by_time_and_are_version_7() -> None:
    ids = [new_transfer_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)
