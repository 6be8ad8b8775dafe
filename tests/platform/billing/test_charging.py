"""From usage to money: once, whole or not at all, from any number of processes; and back again to the request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from ironworks.platform import billing, ledger, metering, pricing
from ironworks.platform.billing.controller import charge_waiting_usage
from ironworks.shared.context import Actor
from ironworks.shared.db import DatabaseUnavailable
from ironworks.shared.errors import NotFound
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, charge, check_books, contents, money_world, usage
from tests.support.postgres import TestDatabase


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


@pytest.fixture
async def payer(world: LowerWorld) -> Actor:
    return await world.subject("billing-admin", {"billing:read": ["acme"]})


async def owed(world: LowerWorld, actor: Actor, path: str) -> int:
    async with world.acting(actor) as ctx:
        balance = await billing.get_scope_balance(ctx, path)
    return balance.owed_nano.get("USD", 0)


async def test_every_cent_of_a_request_is_traced_both_ways(world: LowerWorld, payer: Actor) -> None:
    await charge(world, usage("req_1"), usage("req_2", tokens=(1000, 0, 0)), usage("req_3", scope="acme.shop.us"))
    async with world.acting(payer) as ctx:
        explained = await billing.explain_request(ctx, "req_1")
    assert explained.usage.event == usage("req_1")
    assert {
        (line.meter, line.quantity, format(line.unit_price, "f"), line.amount_nano) for line in explained.lines
    } == {
        ("input_tokens", 100, "0.0000001", 10_000),
        ("cached_input_tokens", 20, "0.00000005", 1_000),
        ("output_tokens", 30, "0.0000004", 12_000),
    }
    assert explained.total_nano == {"USD": 23_000}
    (transfer,) = explained.transfers  # req_2's line shares it, req_3's lines have another payer
    assert transfer.amount_nano == 23_000 + 100_000
    assert transfer.debit == ledger.AccountName(TENANT, ledger.Purpose.RECEIVABLE, "USD")
    assert transfer.credit == ledger.AccountName("", ledger.Purpose.REVENUE, "USD")
    async with world.acting(payer) as ctx:
        _, lines = await billing.explain_transfer(ctx, transfer.id, limit=2)
        last = (lines[-1].usage_event_id, lines[-1].meter)
        _, rest = await billing.explain_transfer(ctx, transfer.id, last, limit=10)
    moved = [(line.usage_event_id, line.amount_nano) for line in [*lines, *rest]]
    assert sorted(moved) == [("req_1", 1_000), ("req_1", 10_000), ("req_1", 12_000), ("req_2", 100_000)]
    assert await owed(world, payer, TENANT) == 123_000
    assert await owed(world, payer, "acme") == 123_000 + 23_000
    await check_books(world)


async def test_the_same_batch_again_changes_nothing(world: LowerWorld) -> None:
    batch = [usage(f"r{n}") for n in range(20)] + [usage("bad", quantities={"bananas": 1})]
    await charge(world, *batch)
    before = await contents(world)
    await charge(world, *reversed(batch))
    await charge(world, *batch[:5], usage("r0"))
    assert await contents(world) == before


async def test_overlapping_batches_from_many_processes_charge_once(world: LowerWorld, payer: Actor) -> None:
    events = [usage(f"r{n:03}", scope=f"acme.shop.t{n % 7}") for n in range(300)]

    async def gateway(seed: int) -> None:
        order = random.Random(seed).sample(events, len(events))
        for start in range(0, len(order), 100):
            await charge(world, *order[start : start + 100])

    await asyncio.gather(*(gateway(seed) for seed in range(8)))
    assert await owed(world, payer, "acme") == 300 * 23_000
    await check_books(world)


STATEMENTS = 12
UNPRICED = datetime(1999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("step", range(1, STATEMENTS + 2))
async def test_a_crash_after_any_statement_leaves_nothing_half_done(world: LowerWorld, step: int) -> None:
    """The connection dies after `step` statements of the charge; the spool hands the batch in again."""
    batch = [usage("a"), usage("b", occurred_at=UNPRICED), usage("c", tokens=(-1, 0, 0))]
    before = await contents(world)
    died = False
    try:
        async with world.system("gateway") as ctx:
            await billing.charge_usage(replace(ctx, db=_Dying(ctx.db, step)), batch)  # type: ignore[arg-type]
    except DatabaseUnavailable:
        died = True
    assert died == (step <= STATEMENTS)
    if died:
        assert await contents(world) == before
    await charge(world, *batch)
    await check_books(world)
    assert await world.query("select 1 from platform_ledger.transfer") != []


class _Dying:
    """A connection whose backend is killed after so many statements."""

    def __init__(self, db: object, steps: int) -> None:
        self._db, self._left = db, steps

    def __getattr__(self, name: str) -> object:
        method = getattr(self._db, name)
        if name not in ("fetch", "execute", "fetchrow", "fetchval"):
            return method

        async def counted(*args: object) -> object:
            answer = await method(*args)
            self._left -= 1
            if self._left == 0:
                await self._db.execute("select pg_terminate_backend(pg_backend_pid())")  # type: ignore[attr-defined]
            return answer

        return counted


async def test_usage_without_a_price_waits_and_is_charged_once_when_there_is_one(database: TestDatabase) -> None:
    async with money_world(database, prices=False) as world:
        operator = await world.subject("operator", {"price:create": [""], "billing:read": [""]})
        await charge(world, usage("a"), usage("b"))
        async with world.acting(operator) as ctx:
            explained = await billing.explain_request(ctx, "a")
        assert (explained.lines, len(explained.unrated)) == ([], 3)
        key = pricing.PriceKey(metering.INPUT_TOKENS, "smollm2", "USD")
        async with world.acting(operator) as ctx:
            await pricing.create_price(ctx, key, Decimal("0.01"), NOON - timedelta(days=1))
        worker = await world.database("worker")
        await asyncio.gather(*(charge_waiting_usage(worker) for _ in range(4)))
        before = await contents(world)
        await charge_waiting_usage(worker)
        await charge(world, usage("a"), usage("b"))
        assert await contents(world) == before
        async with world.acting(operator) as ctx:
            explained = await billing.explain_request(ctx, "a")
        assert [(line.meter, line.amount_nano) for line in explained.lines] == [
            ("cached_input_tokens", 2 * 10**8),
            ("input_tokens", 10**9),
        ]
        assert [line.measured.meter for line in explained.unrated] == ["output_tokens"]
        assert await owed(world, operator, "") == 2 * 12 * 10**8
        await check_books(world)


async def test_an_absurd_cost_waits_for_a_person(world: LowerWorld, payer: Actor) -> None:
    operator = await world.subject("operator", {"price:create": [""]})
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, pricing.PriceKey("input_tokens", "gold", "USD"), Decimal(10_000))
    later = ctx.now() + timedelta(seconds=1)
    await charge(world, usage("a", model="gold", occurred_at=later), usage("b"))
    await charge_waiting_usage(await world.database("worker"))
    async with world.acting(payer) as ctx:
        explained = await billing.explain_request(ctx, "a")
    assert [(u.measured.quantity, u.reason) for u in explained.unrated] == [(20, "over_limit"), (100, "over_limit")]
    assert await owed(world, payer, "acme") == 12_000 + 23_000
    await check_books(world)


async def test_what_costs_nothing_moves_nothing(world: LowerWorld, payer: Actor) -> None:
    operator = await world.subject("operator", {"price:create": [""]})
    async with world.acting(operator) as ctx:
        for meter in (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS):
            await pricing.create_price(ctx, pricing.PriceKey(meter, "free", "USD"), Decimal(0))
        later = ctx.now() + timedelta(seconds=1)
    await charge(world, usage("a", model="free", occurred_at=later), usage("b", tokens=(0, 0, 0)))
    async with world.acting(payer) as ctx:
        free, unused = await billing.explain_request(ctx, "a"), await billing.explain_request(ctx, "b")
    assert [(line.amount_nano, line.transfer_id) for line in free.lines] == [(0, None)] * 3
    assert (free.transfers, unused.lines) == ([], [])
    await check_books(world)


async def test_another_tenants_bill_does_not_exist(world: LowerWorld, payer: Actor) -> None:
    await charge(world, usage("ours"), usage("theirs", scope="rival.shop"))
    async with world.acting(payer) as ctx:
        explained = await billing.explain_request(ctx, "ours")
        for request in ("theirs", "never-was", "'; select 1 --"):
            with pytest.raises(NotFound):
                await billing.explain_request(ctx, request)
        with pytest.raises(NotFound):
            await billing.explain_transfer(ctx, uuid4())
    rival = await world.subject("rival", {"billing:read": ["rival"]})
    async with world.acting(rival) as ctx:
        with pytest.raises(NotFound):
            await billing.explain_transfer(ctx, explained.transfers[0].id)
        assert (await billing.get_scope_balance(ctx, "acme")).owed_nano == {}


async def test_who_may_only_read_usage_sees_no_money(world: LowerWorld) -> None:
    await charge(world, usage("a"))
    reader = await world.subject("reader", {"usage:read": [""]})
    async with world.acting(reader) as ctx:
        explained = await billing.explain_request(ctx, "a")
        assert (explained.lines, explained.transfers) == ([], [])
        assert (await billing.get_scope_balance(ctx, "")).owed_nano == {}


async def test_ten_thousand_events_at_once(world: LowerWorld, payer: Actor) -> None:
    batch = [usage(f"r{n:05}", scope=f"acme.shop.t{n % 50}") for n in range(billing.MAX_BATCH)]
    await charge(world, *batch)
    assert await owed(world, payer, "acme") == billing.MAX_BATCH * 23_000
    await check_books(world)
    with pytest.raises(ValueError, match="at most"):
        await charge(world, *batch, usage("one more"))
