"""A world in which periods are closed, and what must hold of every invoice when one looks past every policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ironworks.platform import invoices, registry
from ironworks.platform.invoices.controller import open_due_closes, run_closes
from ironworks.platform.invoices.declarations import DECLARATIONS as INVOICES
from ironworks.platform.ledger.declarations import DECLARATIONS as LEDGER
from tests.support.lower import LowerWorld
from tests.support.money import _DECLARED as MONEY
from tests.support.money import money_world
from tests.support.postgres import TestDatabase

APRIL = datetime(2026, 4, 2, 9, tzinfo=UTC)
"""When March can be closed."""
TABLES = ("close", "invoice", "line", "claim", "released_claim", "charge", "posting", "payment", "credit_note")
DOLLAR = 10**9
CENT = 10**7
MANAGES = {"invoice:manage": [""], "invoice:read": [""], "billing:read": [""], "ledger:post": [""]}


@asynccontextmanager
async def invoice_world(place: TestDatabase) -> AsyncIterator[LowerWorld]:
    """A money world at the beginning of April, whose usage is of March."""
    async with money_world(place) as world:
        async with world.system("worker") as ctx:
            declared = {**MONEY, "platform.ledger": LEDGER, "platform.invoices": INVOICES}
            await registry.sync_registry(ctx, declared.items())
        world.clock = lambda: APRIL
        yield world


async def close_all(world: LowerWorld) -> None:
    """What the worker's schedule does."""
    database = await world.database("worker")
    await open_due_closes(database)
    await run_closes(database)


async def list_all(world: LowerWorld, account: str = "acme") -> list[invoices.Invoice]:
    """An account's invoices, oldest first."""
    async with world.system("worker") as ctx:
        return sorted(await invoices.list_invoices(ctx, account), key=lambda i: (i.period_end, i.created_at))


async def only(world: LowerWorld, account: str = "acme") -> invoices.Invoice:
    """An account's one invoice."""
    (found,) = await list_all(world, account)
    return found


async def lines_of(world: LowerWorld, invoice_id: UUID) -> list[invoices.Line]:
    async with world.system("worker") as ctx:
        return await invoices.list_lines(ctx, invoice_id)


async def everything(world: LowerWorld) -> list[Any]:
    """Every row of invoices and ledger, so that "nothing changed" can be asserted."""
    names = [*(f"platform_invoices.{name}" for name in TABLES), "platform_ledger.transfer"]
    rows = " union all ".join(f"select '{name}' as name, t::text as row from {name} t" for name in names)
    return [tuple(row) for row in await world.query(f"{rows} order by name, row")]


async def check_invoices(world: LowerWorld) -> None:
    """Asserts what must hold of all invoices in every state.

    Lines come to what was claimed; what an account owes by the ledger is what its invoices say; what tenants owe is
    what no invoice claims; numbers have no gap.
    """
    assert not await world.query(
        """
        select i.id from platform_invoices.invoice i
        left join (select invoice_id, sum(amount_nano) as nano from platform_invoices.line group by 1) l
          on l.invoice_id = i.id
        left join (select invoice_id, sum(amount_nano) as nano from platform_invoices.claim group by 1) c
          on c.invoice_id = i.id
        where (i.state <> 'void' and l.nano is distinct from c.nano) or (i.state = 'void' and c.nano is not null)
           or (i.number is not null and i.lines_nano is distinct from l.nano)
           or (i.number is not null and i.total_nano <> i.lines_nano + i.rounding_nano
                 + (select coalesce(sum((t ->> 'amount_nano')::bigint), 0) from jsonb_array_elements(i.taxes) t))
        """
    )
    assert not await world.query(
        """
        with side as (
          select debit_account as account, amount_nano as nano from platform_ledger.transfer
          union all select credit_account, -amount_nano from platform_ledger.transfer),
        due as (
          select a.path, sum(nano) as nano from side join platform_ledger.ledger_account a on a.id = side.account
          where a.purpose = 'due' group by 1),
        said as (
          select path, sum(total_nano - credit_nano - paid_nano - noted_nano) as nano from platform_invoices.invoice
          where state in ('finalized', 'paid') and total_nano >= 0 group by 1)
        select * from due full join said using (path)
        where coalesce(due.nano, 0) <> coalesce(said.nano, 0)
        """
    )
    assert not await world.query(
        """
        with unclaimed as (
          select t.path, sum(case d.purpose when 'receivable' then t.amount_nano else -t.amount_nano end) as nano
          from platform_ledger.transfer t
          join platform_ledger.ledger_account d on d.id = t.debit_account
          join platform_ledger.ledger_account c on c.id = t.credit_account
          where (d.purpose, c.purpose) in (('receivable', 'revenue'), ('revenue', 'receivable'))
            and not exists (select from platform_invoices.claim k
                            join platform_invoices.invoice i on i.id = k.invoice_id
                            where k.transfer_id = t.id and i.number is not null)
          group by 1),
        side as (
          select debit_account as account, amount_nano as nano from platform_ledger.transfer
          union all select credit_account, -amount_nano from platform_ledger.transfer),
        owed as (
          select a.path, sum(nano) as nano from side join platform_ledger.ledger_account a on a.id = side.account
          where a.purpose = 'receivable' group by 1)
        select * from unclaimed full join owed using (path) where coalesce(unclaimed.nano, 0) <> coalesce(owed.nano, 0)
        """
    )
    for account in await world.query(
        "select path, array_agg(number order by number) as numbers from platform_invoices.invoice"
        " where number is not null group by path"
    ):
        wanted = [f"{account['path'].upper()}-{n:06}" for n in range(1, len(account["numbers"]) + 1)]
        assert account["numbers"] == wanted
