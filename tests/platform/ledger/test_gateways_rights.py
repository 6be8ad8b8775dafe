"""What whoever took over a gateway's login could do to the books: charge usage, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.invoicing import close_all, invoice_world, only
from tests.support.lower import LowerWorld
from tests.support.money import charge, usage
from tests.support.postgres import TestDatabase

MONEY = "platform_(metering|pricing|ledger|billing|subscriptions|invoices|payments|policy|reports)"
RIGHTS = {
    "platform_ledger.ledger_account": {"INSERT", "SELECT"},
    "platform_ledger.transfer": {"INSERT"},
    "platform_metering.horizon": {"SELECT"},
    "platform_metering.reading": {"INSERT"},
    "platform_metering.set_aside": {"INSERT"},
    "platform_metering.usage_claim": {"INSERT", "SELECT"},
    "platform_metering.usage_event": {"INSERT"},
    "platform_pricing.account_currency": {"SELECT"},
    "platform_pricing.price": {"SELECT"},
    "platform_pricing.rated_alone": {"INSERT"},
    "platform_pricing.rated_event": {"INSERT"},
    "platform_pricing.unrated_line": {"INSERT"},
}
POST = """
insert into platform_ledger.transfer
  (id, debit_account, credit_account, amount_nano, currency, kind, correlation, scope, day)
values ($1, $2, $3, 1, 'USD', $4, 'forged', 'acme', current_date)
"""


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    """One invoice that is to be paid."""
    async with invoice_world(database) as made:
        await charge(made, usage("req_1", (50 * 10**6, 0, 0)))
        await close_all(made)
        assert (await only(made)).due_nano == 5 * 10**9
        yield made


async def test_it_holds_these_rights_on_money_and_no_other(world: LowerWorld) -> None:
    rows = await world.query(
        """
        select table_schema || '.' || table_name as name, privilege_type as right
        from information_schema.role_table_grants where grantee = 'ironworks_gateway' and table_schema ~ $1
        union
        select table_schema || '.' || table_name, privilege_type
        from information_schema.role_column_grants where grantee = 'ironworks_gateway' and table_schema ~ $1
        """,
        MONEY,
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["name"], set()).add(row["right"])
    assert found == RIGHTS


async def test_it_calls_no_function_that_looks_past_policies(world: LowerWorld) -> None:
    rows = await world.query(
        """
        select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname ~ $1 and p.prosecdef and has_function_privilege('ironworks_gateway', p.oid, 'execute')
        """,
        MONEY,
    )
    assert [row["name"] for row in rows] == []


async def test_it_finds_no_other_ledger_account_and_opens_none(world: LowerWorld) -> None:
    async with world.system("gateway") as ctx:
        seen = await ctx.db.fetch("select distinct purpose from platform_ledger.ledger_account order by 1")
    assert [row["purpose"] for row in seen] == ["receivable", "revenue"]
    for purpose in ("due", "cash", "credit", "promotion", "loss", "tax"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.system("gateway") as ctx:
                await ctx.db.execute(
                    "insert into platform_ledger.ledger_account (scope, purpose, currency) values ('rival', $1, 'USD')",
                    purpose,
                )


@pytest.mark.parametrize("kind", ["payment", "credit_grant", "invoice", "reversal", "write_off", "refund", "fee"])
async def test_it_posts_nothing_but_usage(world: LowerWorld, kind: str) -> None:
    accounts = {r["purpose"]: r["id"] for r in await world.query("select * from platform_ledger.ledger_account")}
    ids: tuple[UUID, UUID] = accounts["revenue"], accounts["receivable"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.system("gateway") as ctx:
            await ctx.db.execute(POST, uuid4(), *ids, kind)
    assert (await only(world)).due_nano == 5 * 10**9


async def test_it_goes_on_charging(world: LowerWorld) -> None:
    await charge(world, usage("req_2"), usage("req_3", scope="rival.shop"))
    (row,) = await world.query("select count(*) as n from platform_ledger.transfer where kind = 'usage'")
    assert row["n"] == 3
