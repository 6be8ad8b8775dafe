"""A world with plans, at a time that the test sets, in which accounts subscribe and use what is included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import pytest

from ironworks.platform import billing, metering, subscriptions
from ironworks.platform.audit.declarations import DECLARATIONS as AUDIT
from ironworks.platform.billing.declarations import DECLARATIONS as BILLING
from ironworks.platform.metering.declarations import DECLARATIONS as METERING
from ironworks.platform.policy.declarations import DECLARATIONS as POLICY
from ironworks.platform.pricing.declarations import DECLARATIONS as PRICING
from ironworks.platform.registry.declarations import DECLARATIONS as REGISTRY
from ironworks.platform.subscriptions.declarations import DECLARATIONS as SUBSCRIPTIONS
from ironworks.shared.context import Actor
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase

_DECLARED = {
    "platform.registry": REGISTRY,
    "platform.audit": AUDIT,
    "platform.policy": POLICY,
    "platform.metering": METERING,
    "platform.pricing": PRICING,
    "platform.billing": BILLING,
    "platform.subscriptions": SUBSCRIPTIONS,
}
_SCOPES = """
insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)
select path::ltree, gen_random_uuid(), (array['Account', 'Platform', 'Tenant'])[least(nlevel(path::ltree), 3)],
       case nlevel(path::ltree) when 2 then substr(md5(path), 1, 10) end, 'active'
from unnest(array['acme', 'acme.shop', 'acme.shop.eu', 'acme.shop.us', 'rival', 'rival.app']) as path
"""
_RIGHTS = ("subscription:read", "subscription:update", "billing:read", "quota:read")


@dataclass
class Subscribers:
    """The world, who acts in it, and what time it is there."""

    lower: LowerWorld
    payer: Actor
    rival: Actor
    operator: Actor
    at: datetime = datetime(2026, 4, 1, 9, tzinfo=UTC)
    _ids: Any = field(default_factory=count)

    def on(self, day: date) -> None:
        """Let it be the morning of `day`."""
        self.at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)

    async def start(self, plan: str = "starter", **options: Any) -> subscriptions.Subscription:
        async with self.lower.acting(self.payer) as ctx:
            return await subscriptions.start_subscription(ctx, "acme", plan, **options)

    async def change(self, plan: str, **options: Any) -> subscriptions.Subscription:
        async with self.lower.acting(self.payer) as ctx:
            return await subscriptions.change_subscription(ctx, "acme", plan, **options)

    async def use(self, quantities: Mapping[str, int], scope: str = "acme.shop.eu") -> None:
        """Use something now, charged as the gateway does."""
        event = metering.UsageEvent(
            id=f"use_{next(self._ids)}", occurred_at=self.at, scope=scope, quantities=quantities
        )
        async with self.lower.system("gateway") as ctx:
            await billing.charge_usage(ctx, [event])

    async def close_all(self) -> list[tuple[subscriptions.DuePeriod, list[subscriptions.Charge]]]:
        """Close every period that is over, as invoices does."""
        closed: list[tuple[subscriptions.DuePeriod, list[subscriptions.Charge]]] = []
        while True:
            async with self.lower.system("worker") as ctx:
                due = await subscriptions.due_periods(ctx, self.at, 10)
                closed += zip(due, await subscriptions.period_charges(ctx, due), strict=True)
                await subscriptions.advance(ctx, due)
            if not due:
                return closed

    async def quotas(self) -> dict[str, int | None]:
        rows = await self.lower.query("select quota, allowed from platform_policy.plan_quota where path = 'acme'")
        return {row["quota"]: row["allowed"] for row in rows}


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[Subscribers]:
    async with lower_world(database, _DECLARED) as lower:
        await lower.admin(_SCOPES)
        payer = await lower.subject("payer", {right: ["acme"] for right in _RIGHTS})
        rival = await lower.subject("rival", {right: ["rival"] for right in _RIGHTS})
        operator = await lower.subject("operator", {right: [""] for right in (*_RIGHTS, "plan:create", "price:create")})
        found = Subscribers(lower, payer, rival, operator)
        lower.clock = lambda: found.at
        async with lower.system("worker") as ctx:
            await subscriptions.seed_plans(ctx)
        yield found
