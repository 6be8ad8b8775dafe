"""What a tenant used in the days before, for pictures: an installation that is some minutes old has no past.

It is charged as gateways charge it, so that budgets, usage, requests and ledger say the same of it. Only the budget's
own age is made up, for what was spent before a budget was made is not the budget's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ironworks.app.charging import Charging
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory.gateway import UsageRecord
from tests.e2e.site import CHAT, TENANT, Site

KEY, BUDGET = "pages-key", "pages-budget"
"""The story `pages` shows them, and applies them as they are made here."""
DAYS: Final = 14
INPUT, OUTPUT = 700_000, 90_000
"""Tokens of one busy hour, in one request."""


def use_before(site: Site) -> None:
    """Two weeks of use by one key, up to now, and a budget of that age which counts it."""
    key = site.apply("ApiKey", TENANT, KEY)
    site.apply("Budget", TENANT, BUDGET, {"amount": "25", "period": "month", "key": KEY})
    endpoint = site.get("Endpoint", TENANT, CHAT)
    asyncio.run(_charge(site, list(_records(key["metadata"]["uid"], endpoint))))


def _records(key: str, endpoint: dict[str, Any]) -> Iterator[UsageRecord]:
    """One request an hour: many tokens by day, few by night and at weekends; the same in each run but for its days."""
    chance = random.Random(22)
    now, uid = datetime.now(UTC), endpoint["metadata"]["uid"]
    for hours in range(24 * DAYS, 0, -1):
        at = now - timedelta(hours=hours)
        busy = (1.0 if 7 <= at.hour < 19 else 0.15) * (1.0 if at.weekday() < 5 else 0.3) * chance.uniform(0.5, 1.5)
        began = at.timestamp()
        yield UsageRecord(
            request_id=f"req_past{hours:018d}", client_request_id=None, key_uid=key, key_scope=TENANT, route_uid=uid,
            endpoint_uid=uid, endpoint_scope=TENANT, endpoint_name=CHAT, model=endpoint["spec"]["model"]["name"],
            route=CHAT, operation="/v1/chat/completions", stream=True, user=None, metadata={}, holds=(),
            priced_at=began, started_at=began, finished_at=began + chance.uniform(1, 9), status=200,
            input_tokens=int(INPUT * busy), cached_tokens=0, output_tokens=int(OUTPUT * busy), counted=False,
            first_byte_ms=int(chance.uniform(80, 600)),
        )  # fmt: skip


async def _charge(site: Site, records: list[UsageRecord]) -> None:
    async with site.books() as database:
        await database.execute(
            "update tokenfactory_budgets.budget set creation_timestamp = $1 where name = $2",
            datetime.now(UTC) - timedelta(days=DAYS),
            BUDGET,
        )
    async with open_process(site.installation.settings, "gateway", connections=2) as process:
        await Charging(process.database)(records)
