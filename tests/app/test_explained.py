"""The chain from request to invoice line as one SQL view: it says what the API says, to whom the API says it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from ironworks.platform import billing, invoices, ledger, metering
from ironworks.platform.invoices import service
from ironworks.shared.context import Actor
from tests.support.invoicing import CENT, close_all, invoice_world, lines_of, only
from tests.support.lower import LowerWorld
from tests.support.money import TENANT, charge, usage
from tests.support.postgres import TestDatabase

RIGHTS = ("invoice:read", "billing:read")


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    """March of two accounts with usage, a fee and a correction, closed; and a request that waits for a price."""
    async with invoice_world(database) as world:
        await charge(world, usage("req_1"), usage("req_2", (10**6, 0, 0)), usage("req_3", scope="acme.shop.us"))
        await charge(world, *(usage(f"more_{n}", (n + 1, 0, 0), model="big") for n in range(5)))
        await charge(world, usage("theirs", scope="rival.app"))
        await charge(world, usage("waits", quantities={metering.IMAGES: 2}))
        fee = invoices.NewCharge("acme", invoices.LineKind.FEE, "fee:1", "Support", 5 * CENT, "USD")
        async with world.system("worker") as ctx:
            await invoices.charge(ctx, date(2026, 3, 31), [fee])
        await close_all(world)
        yield world


async def ask(world: LowerWorld, reader: Actor, where: str, *args: Any) -> list[asyncpg.Record]:
    async with world.acting(reader) as ctx:
        return await ctx.db.fetch(f"select * from app.explained where {where}", *args)


async def reads(world: LowerWorld, scope: str) -> Actor:
    return await world.subject(f"reader of {scope}", {right: [scope] for right in RIGHTS})


async def test_from_a_request_to_its_invoice_lines_as_the_api_says(world: LowerWorld) -> None:
    payer = await reads(world, "acme")
    for request in ("req_1", "req_2", "req_3", "more_3"):
        async with world.acting(payer) as ctx:
            explained = await billing.explain_request(ctx, request)
            lines = await service.find_lines_of(ctx, explained.lines)
        told = {
            (n.meter, n.quantity, n.price_id, n.amount_nano, n.transfer_id, lines[request, n.meter].id)
            for n in explained.lines
        }
        rows = await ask(world, payer, "request_id = $1", request)
        names = ("meter", "quantity", "price_id", "amount_nano", "transfer_id", "line_id")
        assert {tuple(row[name] for name in names) for row in rows} == told
        assert {row["invoice_number"] for row in rows} == {"ACME-000001"}
        assert {row["occurred_at"] for row in rows} == {explained.usage.event.occurred_at}


async def test_from_every_line_of_an_invoice_back_to_its_requests(world: LowerWorld) -> None:
    payer = await reads(world, "acme")
    invoice = await only(world)
    rows = await ask(world, payer, "invoice_number = $1", invoice.number)
    lines = await lines_of(world, invoice.id)
    assert {line.kind for line in lines} == {"usage", "fee"}
    assert sum(row["amount_nano"] for row in rows) == invoice.lines_nano
    for line in lines:
        behind = [row for row in rows if row["line_id"] == line.id]
        assert behind == await ask(world, payer, "line_id = $1", line.id)
        assert sum(row["amount_nano"] for row in behind) == line.amount_nano
        async with world.acting(payer) as ctx:
            _, rated = await service.open_line(ctx, line.id, limit=1000)
            moved = await service.list_line_transfers(ctx, line)
        assert {(row["request_id"], row["quantity"]) for row in behind if row["request_id"]} == {
            (each.usage_event_id, each.quantity) for each in rated
        }
        assert {row["transfer_id"] for row in behind} <= {transfer.id for transfer in moved}


async def test_what_waits_for_a_price_and_what_was_taken_back(world: LowerWorld) -> None:
    payer = await reads(world, "acme")
    (waiting,) = await ask(world, payer, "request_id = 'waits'")
    assert (waiting["meter"], waiting["quantity"], waiting["waits_for"]) == (metering.IMAGES, 2, "no_price")
    (wrong, *_) = await ask(world, payer, "request_id = 'req_3'")
    async with world.system("worker") as ctx:
        reversal = await ledger.reverse_transfer(ctx, wrong["transfer_id"], "a mistake")
    world.clock = lambda: datetime.now(UTC) + timedelta(days=40)
    for _ in range(40):
        await close_all(world)
    (back,) = await ask(world, payer, "corrects = $1", wrong["transfer_id"])
    assert (back["transfer_id"], back["invoice_number"]) == (reversal, "ACME-000002")


async def test_it_shows_to_each_what_the_tables_show_to_him(world: LowerWorld) -> None:
    rival, nobody = await reads(world, "rival"), await world.subject("nobody", {})
    assert {row["tenant"] for row in await ask(world, rival, "true")} == {"rival.app"}
    assert await ask(world, nobody, "true") == []
    tenant = await ask(world, await reads(world, TENANT), "true")
    assert {row["tenant"] for row in tenant} == {TENANT}
    assert {row["invoice_number"] for row in tenant} == {None}
    assert any(row["line_id"] for row in tenant)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.system("gateway") as ctx:
            await ctx.db.fetch("select * from app.explained")


@pytest.mark.parametrize("where", ["request_id = 'req_1'", "line_id = $1", "invoice_number = 'ACME-000001'"])
async def test_it_is_read_by_indexes_in_both_directions(world: LowerWorld, where: str) -> None:
    payer = await reads(world, "acme")
    (line, *_) = await lines_of(world, (await only(world)).id)
    async with world.acting(payer) as ctx:
        await ctx.db.execute("set local enable_seqscan = off")
        args = [line.id] if "$1" in where else []
        plan = await ctx.db.fetch(f"explain select * from app.explained where {where}", *args)
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text, text
