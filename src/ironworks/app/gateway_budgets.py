"""What a gateway has of budgets and prices: both as its snapshot takes them, and the ledger of leases as a `Lender`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from ironworks.platform import pricing
from ironworks.products.tokenfactory import budgets
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.notify import dedicated, keep_trying, listen

ACTOR = system_actor("gateway")
PRICES: Final = "Price"
"""Stands for a kind where the price book changes, which has none."""
SHORT: Final = "ironworks_budget"
"""The channel of wake-ups: somebody waits for a budget's money, or some came free."""
_POLL: Final = 60.0


@dataclass(frozen=True, slots=True)
class Budgets:
    """`Source` of every budget."""

    database: Database
    row: ClassVar[type] = budgets.BudgetView

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({budgets.BUDGET.name})

    async def load(self) -> Sequence[Any]:
        async with self.database.transaction(ACTOR) as ctx:
            return await budgets.list_views(ctx)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """`Source` of every price version, and of accounts' currencies."""

    database: Database
    row: ClassVar[Any] = pricing.BookRow

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({PRICES})

    async def load(self) -> Sequence[Any]:
        async with self.database.transaction(ACTOR) as ctx:
            return [*await pricing.list_prices(ctx), *await pricing.list_currencies(ctx)]


@dataclass(frozen=True, slots=True)
class Lending:
    """`Lender` over the database. `poke` sends a wake-up on a channel, after the commit."""

    database: Database
    poke: Callable[[str], None]

    async def adjust(self, ask: budgets.Ask) -> budgets.Terms:
        async with self.database.transaction(ACTOR) as ctx:
            terms = await budgets.adjust_lease(ctx, ask)
        if terms.poke:
            self.poke(SHORT)
        return terms

    async def recalled(self, holder: str) -> Collection[tuple[UUID, datetime]]:
        async with self.database.transaction(ACTOR) as ctx:
            return await budgets.recalled_leases(ctx, holder)

    async def close_leases(self, holder: str) -> None:
        async with self.database.transaction(ACTOR) as ctx:
            closed = await budgets.close_leases(ctx, holder)
        if closed:
            self.poke(SHORT)


async def hear_of_shortage(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` whenever somebody pokes, for ever. Polling goes on without it."""

    async def session() -> None:
        async with dedicated(url, "ironworks-gateway-budgets") as connection:
            poked = await listen(connection, SHORT)
            while not connection.is_closed():
                if await poked.wait(_POLL):
                    poked.clear()
                    wake()

    await keep_trying(session, "the listener for budgets")
