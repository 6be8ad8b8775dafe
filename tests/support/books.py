"""What must hold of all money together, in every state that it can be in, when one looks past every policy."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any

from ironworks.platform import ledger, reports
from ironworks.shared.context import Actor
from tests.support.invoicing import check_invoices
from tests.support.lower import LowerWorld
from tests.support.money import check_books

FIRST_DAY, LAST_DAY = date(2023, 1, 1), date(2026, 1, 1)
"""Between which stories happen: reports of all of it are made."""
_SIDES = """
  with side as (
    select debit_account as account, amount_nano as nano from platform_ledger.transfer
    union all select credit_account, -amount_nano from platform_ledger.transfer),
  balance as (
    select a.path, a.purpose, a.currency, sum(s.nano) as nano
    from side s join platform_ledger.ledger_account a on a.id = s.account group by 1, 2, 3)
"""


async def check_all_money(world: LowerWorld, operator: Actor) -> None:
    """Asserts that usage, ledger, invoices, credit and reports all say the same."""
    await check_books(world)
    await check_invoices(world)
    await check_purposes(world)
    await check_postings(world)
    await check_credit(world)
    await check_kept_balances(world, operator)
    await check_reports(world, operator)


async def balances(world: LowerWorld) -> dict[tuple[str, str], int]:
    """(purpose, currency) → debits minus credits over all scopes, added up from every transfer."""
    rows = await world.query(f"{_SIDES} select purpose, currency, sum(nano) as nano from balance group by 1, 2")
    return {(row["purpose"], row["currency"]): int(row["nano"]) for row in rows}


async def check_purposes(world: LowerWorld) -> None:
    """Each currency adds up to zero, and each of the operator's ledger accounts is what the documents say."""
    found = await balances(world)
    totals: dict[str, int] = defaultdict(int)
    for (_, currency), nano in found.items():
        totals[currency] += nano
    assert not any(totals.values()), totals
    said = await world.query(
        """
        with invoice as (
          select *, (select coalesce(sum((t ->> 'amount_nano')::bigint), 0)
                     from jsonb_array_elements(taxes) t) as tax_nano
          from platform_invoices.invoice where state in ('finalized', 'paid', 'uncollectible'))
        select 'tax' as purpose, currency, -sum(tax_nano) as nano from invoice group by 2
        union all
        select 'tax', i.currency, sum(n.tax_nano) from platform_invoices.credit_note n
        join platform_invoices.invoice i on i.id = n.invoice_id group by 2
        union all select 'rounding', currency, -sum(rounding_nano) from invoice group by 2
        union all
        select 'loss', currency, sum(total_nano - credit_nano - paid_nano - noted_nano) from invoice
        where state = 'uncollectible' group by 2
        union all
        select 'cash', i.currency, sum(p.amount_nano) from platform_invoices.payment p
        join platform_invoices.invoice i on i.id = p.invoice_id group by 2
        union all
        select 'cash', currency, sum(amount_nano) from platform_ledger.credit_grant
        where source = 'paid' and reference !~ '^(payment|credit_note|invoice):' group by 2
        """
    )
    wanted: dict[tuple[str, str], int] = defaultdict(int)
    for row in said:
        wanted[row["purpose"], row["currency"]] += int(row["nano"])
    for key in {*wanted, *(key for key in found if key[0] in ("tax", "rounding", "loss", "cash"))}:
        assert found.get(key, 0) == wanted[key], (key, found.get(key, 0), wanted[key])


async def check_postings(world: LowerWorld) -> None:
    """An invoice's total is what its transfers made due; a tenant's lines are its part; numbers have no gap."""
    assert not await world.query(
        """
        with made as (
          select p.invoice_id,
                 sum(case when d.purpose = 'due' then t.amount_nano else -t.amount_nano end) as nano
          from platform_invoices.posting p
          join platform_ledger.transfer t on t.id = p.transfer_id
          join platform_ledger.ledger_account d on d.id = t.debit_account
          where p.kind in ('invoice', 'tax', 'rounding') group by 1)
        select i.id, i.total_nano, made.nano from platform_invoices.invoice i left join made on made.invoice_id = i.id
        where i.number is not null and i.total_nano <> coalesce(made.nano, 0)
        """
    )
    assert not await world.query(
        """
        with line as (
          select invoice_id, path, sum(amount_nano) as nano from platform_invoices.line group by 1, 2),
        claim as (
          select invoice_id, path, sum(amount_nano) as nano from platform_invoices.claim group by 1, 2)
        select * from line full join claim using (invoice_id, path)
        join platform_invoices.invoice i on i.id = invoice_id
        where i.state <> 'void' and line.nano is distinct from claim.nano
        """
    )
    for row in await world.query(
        "select path, array_agg(number order by number) as numbers from platform_invoices.credit_note group by path"
    ):
        wanted = [f"{row['path'].upper()}-CN-{n:06}" for n in range(1, len(row["numbers"]) + 1)]
        assert row["numbers"] == wanted


async def check_credit(world: LowerWorld) -> None:
    """What remains of an account's grants is what its ledger account says; nothing is overdrawn."""
    assert not await world.query(
        f"""
        {_SIDES},
        left_over as (
          select g.path, g.currency, g.amount_nano - coalesce(sum(d.amount_nano), 0) as nano
          from platform_ledger.credit_grant g left join platform_ledger.credit_draw d on d.grant_id = g.id
          group by g.id),
        granted as (
          select path, currency, sum(nano) as nano, min(nano) as least from left_over group by 1, 2)
        select * from (select * from balance where purpose = 'credit') booked
        full join granted using (path, currency)
        where coalesce(-booked.nano, 0) <> coalesce(granted.nano, 0) or granted.least < 0
        """
    )


async def check_kept_balances(world: LowerWorld, operator: Actor) -> None:
    """Balances that snapshots help to find are those that transfers add up to; no snapshot is wrong."""
    true = await balances(world)
    async with world.acting(operator) as ctx:
        found = {(str(b.purpose), b.currency): b.amount_nano for b in await ledger.get_balances(ctx, "")}
    assert found == true
    async with world.system("worker") as ctx:
        _, wrong = await ledger.verify_snapshots(ctx, limit=1000)
    assert not wrong


async def check_reports(world: LowerWorld, operator: Actor) -> None:
    """Revenue, what is unbilled and what is to pay are what ledger and invoices say."""
    found = await balances(world)
    async with world.acting(operator) as ctx:
        revenue = await reports.report_revenue(ctx, "-", FIRST_DAY, LAST_DAY, ())
        unbilled = await reports.report_unbilled(ctx, "-", ())
        owed = await reports.report_receivables(ctx, "-", ())
    credit_notes = await world.query(
        "select i.currency, sum(n.amount_nano - n.tax_nano) as nano from platform_invoices.credit_note n"
        " join platform_invoices.invoice i on i.id = n.invoice_id group by 1"
    )
    assert _by_currency(revenue) == _of(found, "revenue", -1), credit_notes
    assert _by_currency(unbilled) == _of(found, "receivable")
    said = await world.query(
        "select currency, sum(total_nano - credit_nano - paid_nano - noted_nano) as nano"
        " from platform_invoices.invoice where state = 'finalized' group by 1"
    )
    assert _by_currency(owed) == {row["currency"]: int(row["nano"]) for row in said}


def _of(found: dict[tuple[str, str], int], purpose: str, sign: int = 1) -> dict[str, int]:
    return {currency: sign * nano for (what, currency), nano in found.items() if what == purpose and nano}


def _by_currency(table: Any) -> dict[str, int]:
    """currency → the last column, without zeros."""
    index = [column.name for column in table.columns].index("currency")
    return {row[index]: row[-1] for row in table.rows if row[-1]}
