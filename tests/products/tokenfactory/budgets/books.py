"""A tree, budgets and a price book on the real database, and short ways to lend, charge and look."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ironworks.platform import billing, metering, pricing
from ironworks.products.tokenfactory import budgets
from ironworks.shared.kind import Resource
from tests.support.postgres import TestDatabase
from tests.support.world import World, scope_world

TENANT = "acme.shop.eu"
USD = 10**9
MONEY = (
    "platform.metering",
    "platform.pricing",
    "platform.ledger",
    "platform.billing",
    "products.tokenfactory.budgets",
)
KEY, ROUTE = UUID(int=1), UUID(int=2)


@dataclass
class Books:
    """The world and what a gateway does to it."""

    world: World
    epochs: dict[tuple[UUID, str], int] = field(default_factory=dict)
    _ids: Any = field(default_factory=itertools.count)

    async def budget(self, name: str, path: str = TENANT, amount: str = "1", **spec: Any) -> Resource[Any, Any]:
        return await self.world.make(budgets.BUDGET, path, name, {"amount": amount, **spec})

    async def ask(self, budget: UUID, holder: str = "one", **fields: Any) -> budgets.Terms:
        """Adjust a holder's lease of today's period of a `total` budget, under the epoch that it knows."""
        start = fields.pop("start", datetime(2000, 1, 1, tzinfo=UTC))
        epoch = fields.pop("epoch", self.epochs.get((budget, holder), 0))
        order = budgets.Ask(
            budget=budget, start=start, holder=holder, host=f"host-of-{holder}", epoch=epoch, **{"hold": 1, **fields}
        )
        async with self.world.system("gateway") as ctx:
            terms = await budgets.adjust_lease(ctx, order)
        if terms.outcome in ("granted", "stale"):
            self.epochs[budget, holder] = 0 if fields.get("close") else terms.epoch
        return terms

    def spend(self, cost: int, *leases: str, scope: str = TENANT, **changes: Any) -> budgets.Charge:
        fields: dict[str, Any] = {
            "key_uid": KEY, "key_scope": scope, "route_uid": ROUTE, "admitted_at": self.world.now().timestamp(),
            "cost_nano": cost, "leases": leases,
        }  # fmt: skip
        return budgets.Charge(**fields | changes)

    async def settle(self, *charges: budgets.Charge) -> None:
        async with self.world.system("gateway") as ctx:
            await budgets.settle_usage(ctx, charges)

    async def charge(self, event_id: str, output: int, *leases: str) -> bool:
        """Charge a request as the gateway does, all in one transaction; whether it was new."""
        event = metering.UsageEvent(
            id=event_id, occurred_at=self.world.now(), scope=TENANT, quantities={metering.OUTPUT_TOKENS: output},
            model="m", route="m", endpoint_name="m", endpoint_scope=TENANT, key_uid=KEY,
        )  # fmt: skip
        async with self.world.system("gateway") as ctx:
            new = await billing.charge_usage(ctx, [event])
            await budgets.settle_usage(ctx, [self.spend(each.cost_nano, *leases) for each in new])
        return bool(new)

    async def period(self, budget: UUID) -> dict[str, int]:
        """What is spent, and what live leases may still spend, over all periods."""
        row = await self.world.admin.fetchrow(
            "select coalesce(sum(spent_nano), 0)::bigint as spent,"
            " coalesce(sum(unreserved_nano), 0)::bigint as unreserved,"
            " (select coalesce(sum(greatest(granted_nano - used_nano, 0)), 0)::bigint from tokenfactory_budgets.lease"
            "  where budget = $1 and state in ('open', 'frozen')) as leased"
            " from tokenfactory_budgets.budget_period where budget = $1",
            budget,
        )
        return dict(row)

    async def events(self) -> list[tuple[str, int]]:
        """(budget, percent) of every threshold that was told, in order."""
        await self.world.admin.execute("select shared.sequence_changes(10000)")
        rows = await self.world.admin.fetch(
            "select payload ->> 'name' as name, (payload ->> 'percent')::int as percent from shared.change_log"
            " where event_type = 'tokenfactory.budgets.threshold_reached.v1' order by position"
        )
        return [(row["name"], row["percent"]) for row in rows]

    async def leases(self, budget: UUID) -> Sequence[dict[str, Any]]:
        rows = await self.world.admin.fetch(
            "select * from tokenfactory_budgets.lease where budget = $1 order by id", budget
        )
        return [dict(row) for row in rows]


@asynccontextmanager
async def books(place: TestDatabase) -> AsyncIterator[Books]:
    async with scope_world(place, MONEY) as world:
        await world.scope(TENANT)
        async with world.system() as ctx:
            await pricing.seed_default_prices(ctx)
        yield Books(world)
