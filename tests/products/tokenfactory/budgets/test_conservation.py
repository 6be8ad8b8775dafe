"""Money is conserved by the ledger of leases, whatever gateways ask, lose, charge or leave behind when they die."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ironworks.products.tokenfactory import budgets
from ironworks.products.tokenfactory.budgets import service, store
from tests.products.tokenfactory.budgets.books import TENANT, Books, books
from tests.support.postgres import TestDatabase

T = TypeVar("T")
AMOUNT = 10_000
HOLDERS = st.sampled_from(["a", "b", "c"])
NANO = st.integers(0, AMOUNT // 2)
_names = itertools.count()


@dataclass
class Holder:
    """A gateway process as it counts by itself: it spends no more than what it knows to have."""

    name: str
    lease: str = ""
    epoch: int = 0
    granted: int = 0
    settled: int = 0
    uncharged: list[int] = field(default_factory=list)


class Ledger(RuleBasedStateMachine):
    """Rules are what gateways, workers and operators do; `runner` and `ledger` are set by the test."""

    runner: asyncio.Runner
    ledger: Books

    def __init__(self) -> None:
        super().__init__()
        name = f"b{next(_names)}"
        self.name = name
        amount = budgets.show_amount(AMOUNT)
        self.uid = self.do(self.ledger.budget(name, TENANT, amount, period="total")).uid
        self.holders: dict[str, Holder] = {}
        self.charged = 0
        self.out = 0
        """Settled by holders and in no spool any more: lost with their hosts."""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def holder(self, slot: str) -> Holder:
        """A process that died is never heard of again: its successor has another name."""
        return self.holders.setdefault(slot, Holder(f"{self.name}-{slot}-{next(_names)}"))

    @rule(slot=HOLDERS, back=NANO, full=NANO, least=NANO, more=NANO, lost=st.booleans())
    def adjust(self, slot: str, back: int, full: int, least: int, more: int, lost: bool) -> None:
        """Ask for more, or give back; the answer may get lost on the way."""
        held = self.holder(slot)
        held.granted = max(held.settled, held.granted - back)
        terms = self.do(
            self.ledger.ask(
                self.uid, held.name, epoch=held.epoch, keep=held.granted, full=full, least=min(least, full),
                wanted=full + more,
            )
        )  # fmt: skip
        if lost:
            return
        if terms.outcome == "closed":
            self.holders.pop(slot)
            return
        held.lease, held.epoch = terms.lease, terms.epoch
        assert terms.granted >= held.granted, "what a holder keeps is never taken from it"
        held.granted = terms.granted

    @rule(slot=HOLDERS, part=st.floats(0, 1))
    def settle(self, slot: str, part: float) -> None:
        """A request that was held ends; it is charged later."""
        held = self.holder(slot)
        cost = int((held.granted - held.settled) * part)
        if held.lease and cost:
            held.settled += cost
            held.uncharged.append(cost)

    @rule(slot=HOLDERS, batch=st.integers(1, 3))
    def charge(self, slot: str, batch: int) -> None:
        held = self.holder(slot)
        costs, held.uncharged = held.uncharged[:batch], held.uncharged[batch:]
        self._charge(held, costs)

    def _charge(self, held: Holder, costs: list[int]) -> None:
        self.do(self.ledger.settle(*(self.ledger.spend(cost, held.lease) for cost in costs)))
        self.charged += sum(costs)

    @rule(slot=HOLDERS)
    def die(self, slot: str) -> None:
        """Its spool is replayed, then its leases are closed."""
        held = self.holders.pop(slot, None)
        if held is not None:
            self._charge(held, held.uncharged)

            async def close() -> None:
                async with self.ledger.world.system("gateway") as ctx:
                    await budgets.close_leases(ctx, held.name)

            self.do(close())

    @rule(slot=HOLDERS)
    def leave(self, slot: str) -> None:
        """In peace: all is charged before it says that it is done."""
        held = self.holders.pop(slot, None)
        if held is not None and held.lease:
            self._charge(held, held.uncharged)
            self.do(self.ledger.ask(self.uid, held.name, epoch=held.epoch, keep=held.settled, close=True))
            self.do(self.ledger.ask(self.uid, held.name, epoch=held.epoch, keep=held.settled))

    @precondition(lambda self: self.holders)
    @rule(slot=HOLDERS)
    def lose_host(self, slot: str) -> None:
        """Host and spool are gone: frozen until an operator says so. What it had settled is never charged."""
        held = self.holders.pop(slot, None)
        if held is None or not held.lease:
            return
        before = self._standing()

        async def declare() -> None:
            await self.ledger.world.admin.execute(
                "update tokenfactory_budgets.lease set expires_at = now() where id = $1", int(held.lease)
            )
            async with self.ledger.world.system("worker") as ctx:
                await store.freeze_leases(ctx)
            assert await self.ledger.period(self.uid) == before, "expiry releases nothing"
            async with self.ledger.world.acting(self.ledger.world.operator) as ctx:
                await service.release_lost(ctx, TENANT, self.name, held.name, None)

        self.do(declare())

    def _standing(self) -> dict[str, int]:
        return self.do(self.ledger.period(self.uid))

    @invariant()
    def conserved(self) -> None:
        standing = self._standing()
        assert standing["spent"] == self.charged
        assert standing["spent"] + standing["leased"] <= AMOUNT
        owned = sum(held.granted - held.settled + sum(held.uncharged) for held in self.holders.values())
        assert owned <= standing["leased"], "holders believe to have more than the ledger lent"


def test_money_is_conserved(database: TestDatabase) -> None:
    with asyncio.Runner() as runner:
        world = books(database)
        Ledger.runner, Ledger.ledger = runner, runner.run(world.__aenter__())
        try:
            run_state_machine_as_test(
                Ledger,
                settings=settings(
                    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            runner.run(world.__aexit__(None, None, None))
