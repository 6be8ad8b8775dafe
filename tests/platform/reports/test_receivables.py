"""What open invoices leave to pay, by age, against real invoices of two months."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ironworks.platform import invoices, reports
from ironworks.shared.context import Actor
from ironworks.shared.errors import Invalid
from tests.support.invoicing import APRIL, DOLLAR, close_all, invoice_world, list_all
from tests.support.lower import LowerWorld
from tests.support.money import charge, usage
from tests.support.postgres import TestDatabase


async def aged(world: LowerWorld, actor: Actor, scope: str, *by: str) -> list[tuple[object, ...]]:
    async with world.acting(actor) as ctx:
        return list((await reports.report_receivables(ctx, scope, by)).rows)


async def test_receivables_are_what_open_invoices_leave_to_pay_by_age(database: TestDatabase) -> None:
    async with invoice_world(database) as world:
        operator = await world.subject("collector", {"invoice:read": [""]})
        bookkeeper = await world.subject("bookkeeper", {"invoice:read": ["acme"]})
        tokens = (100 * 10**6, 0, 0)  # 10 USD
        await charge(world, usage("march", tokens), usage("theirs", tokens, scope="rival.app"))
        await charge(world, usage("april", tokens, occurred_at=APRIL))
        await close_all(world)
        assert await aged(world, operator, "-", "account") == [
            ("acme", "USD", 1, 10 * DOLLAR, 0, 0, 0, 0, 10 * DOLLAR),
            ("rival", "USD", 1, 10 * DOLLAR, 0, 0, 0, 0, 10 * DOLLAR),
        ]
        world.clock = lambda: datetime(2026, 5, 1, 3, tzinfo=UTC)
        await close_all(world)
        first, second = await list_all(world)
        (theirs,) = await list_all(world, "rival")
        async with world.system("worker") as ctx:
            await invoices.record_payment(ctx, first.id, 3 * DOLLAR, "bank", "in part")
            await invoices.record_payment(ctx, theirs.id, 10 * DOLLAR, "bank", "whole")
        assert second.due_at is not None
        world.clock = lambda: second.due_at + timedelta(days=2)
        assert await aged(world, operator, "-", "account") == [
            ("acme", "USD", 2, 0, 10 * DOLLAR, 7 * DOLLAR, 0, 0, 17 * DOLLAR)
        ]
        assert await aged(world, bookkeeper, "acme", "invoice") == [
            ("ACME-000001", "USD", 1, 0, 0, 7 * DOLLAR, 0, 0, 7 * DOLLAR),
            ("ACME-000002", "USD", 1, 0, 10 * DOLLAR, 0, 0, 0, 10 * DOLLAR),
        ]
        world.clock = lambda: second.due_at + timedelta(days=91)
        assert (await aged(world, operator, "-", "account"))[0][3:] == (0, 0, 0, 0, 17 * DOLLAR, 17 * DOLLAR)
        with pytest.raises(Invalid):
            await aged(world, operator, "acme.shop", "account")
        with pytest.raises(Invalid):
            await aged(world, operator, "acme", "tenant")
