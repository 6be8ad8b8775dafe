"""Whatever is charged, repriced, repeated, interrupted or taken back in any order, the books stay true."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ironworks.platform import billing, ledger, metering, pricing, registry
from ironworks.platform.billing.controller import charge_waiting_usage
from tests.support.lower import LowerWorld
from tests.support.money import NOON, check_books, contents, money_world, usage
from tests.support.postgres import Server

T = TypeVar("T")

meters = st.sampled_from([metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS, "bananas"])
events = st.builds(
    usage,
    st.integers(0, 30).map("r{}".format),
    st.tuples(*[st.one_of(st.integers(0, 5), st.integers(-1, 10**13))] * 3),
    scope=st.sampled_from(["acme", "acme.shop", "acme.shop.eu", "rival.app", ""]),
    model=st.sampled_from(["small", "big"]),
    occurred_at=st.integers(-5, 5).map(lambda hours: NOON + timedelta(hours=hours)),
)
batches = st.lists(events, max_size=8)


class Books(RuleBasedStateMachine):
    """Acts on one database in every order that hypothesis thinks of."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.database = self.server.create_database()
        self.handed_in: list[metering.UsageEvent] = []

    def run(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    @initialize()
    def open(self) -> None:
        self.world: LowerWorld = self.run(self.stack.enter_async_context(money_world(self.database, prices=False)))
        self.world.clock = lambda: NOON
        self.operator = self.run(self.world.subject("operator", {"price:create": [""], "billing:read": [""]}))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()
        self.server.drop_database(self.database)

    async def charge(self, batch: list[metering.UsageEvent], *, commit: bool = True) -> None:
        async with self.world.system("gateway") as ctx:
            await billing.charge_usage(ctx, batch)
            if not commit:
                await ctx.db.execute("rollback; begin")

    @rule(batch=batches)
    def charges(self, batch: list[metering.UsageEvent]) -> None:
        self.run(self.charge(batch))
        self.handed_in += batch

    @rule(batch=batches)
    def charges_and_dies(self, batch: list[metering.UsageEvent]) -> None:
        before = self.run(contents(self.world))
        self.run(self.charge(batch, commit=False))
        assert self.run(contents(self.world)) == before

    @rule(batch=batches, others=batches)
    def charges_at_once(self, batch: list[metering.UsageEvent], others: list[metering.UsageEvent]) -> None:
        async def both() -> None:
            await asyncio.gather(self.charge(batch + others), self.charge(others + batch))

        self.run(both())
        self.handed_in += batch + others

    @rule()
    def hands_everything_in_again(self) -> None:
        before = self.run(contents(self.world))
        self.run(self.charge(self.handed_in))
        assert self.run(contents(self.world)) == before

    @rule(
        meter=meters,
        model=st.sampled_from(["small", "big", "*"]),
        price=st.decimals(0, Decimal("0.001"), places=18),
        hours=st.integers(-6, 6),
    )
    def prices(self, meter: str, model: str, price: Decimal, hours: int) -> None:
        rated = self.run(self.world.query("select * from platform_pricing.rated_line order by usage_event_id, meter"))
        key = pricing.PriceKey(meter, model, "USD")

        async def create() -> None:
            with suppress(pricing.PriceInUse, registry.UnknownEntry):
                async with self.world.acting(self.operator) as ctx:
                    await pricing.create_price(ctx, key, price, NOON + timedelta(hours=hours))

        self.run(create())
        again = self.run(self.world.query("select * from platform_pricing.rated_line order by usage_event_id, meter"))
        assert again == rated

    @rule()
    def charges_what_waited(self) -> None:
        async def twice() -> None:
            worker = await self.world.database("worker")
            await asyncio.gather(charge_waiting_usage(worker), charge_waiting_usage(worker))

        self.run(twice())

    @rule(data=st.data())
    def takes_a_transfer_back(self, data: st.DataObject) -> None:
        ids = [row["id"] for row in self.run(self.world.query("select id from platform_ledger.transfer order by id"))]
        if not ids:
            return
        chosen = ids[data.draw(st.integers(0, len(ids) - 1))]

        async def reverse() -> None:
            with suppress(ledger.AlreadyReversed):
                async with self.world.system("worker") as ctx:
                    await ledger.reverse_transfer(ctx, chosen, "test")

        self.run(reverse())

    @invariant()
    def the_books_are_true(self) -> None:
        if not hasattr(self, "world"):
            return
        self.run(check_books(self.world))

        async def balances() -> dict[ledger.Purpose, int]:
            async with self.world.acting(self.operator) as ctx:
                return {b.purpose: b.amount_nano for b in await ledger.get_balances(ctx, "")}

        assert sum(self.run(balances()).values()) == 0


def keep_books(server: Server, examples: int) -> None:
    """Let hypothesis try `examples` stories, each on a database of its own."""
    machine = type("BooksHere", (Books,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_books_are_true_after_anything(postgres: Server) -> None:
    keep_books(postgres, 6)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_books_are_true_after_many_stories(postgres: Server) -> None:
    keep_books(postgres, 200)
