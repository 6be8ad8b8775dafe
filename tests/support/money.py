"""A world in which usage can be charged, and what it knows about the books when it looks past every policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ironworks.platform import billing, metering, pricing
from ironworks.platform.audit.declarations import DECLARATIONS as AUDIT
from ironworks.platform.billing.declarations import DECLARATIONS as BILLING
from ironworks.platform.ledger.declarations import DECLARATIONS as LEDGER
from ironworks.platform.metering.declarations import DECLARATIONS as METERING
from ironworks.platform.pricing.declarations import DECLARATIONS as PRICING
from ironworks.platform.registry.declarations import DECLARATIONS as REGISTRY
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = "acme.shop.eu"
KEY = UUID("00000000-0000-4000-8000-000000000001")
_DECLARED = {
    "platform.registry": REGISTRY,
    "platform.audit": AUDIT,
    "platform.metering": METERING,
    "platform.pricing": PRICING,
    "platform.ledger": LEDGER,
    "platform.billing": BILLING,
}
_SCOPES = """
insert into platform_tenancy.node_path (path, uid, kind, external_id, phase)
select path::ltree, gen_random_uuid(), (array['Account', 'Platform', 'Tenant'])[least(nlevel(path::ltree), 3)],
       case nlevel(path::ltree) when 2 then substr(md5(path), 1, 10) end, 'active'
from unnest(array['acme', 'acme.shop', 'acme.shop.eu', 'acme.shop.us', 'rival', 'rival.app', 'rival.shop']) as path
"""
"""That these scopes exist, without what makes them."""
TABLES = (
    "platform_metering.usage_claim",
    "platform_metering.usage_event",
    "platform_metering.set_aside",
    "platform_pricing.rated_line",
    "platform_pricing.unrated_line",
    "platform_ledger.ledger_account",
    "platform_ledger.transfer",
)


def usage(event_id: str = "req_1", tokens: Sequence[int] = (100, 20, 30), **changes: Any) -> metering.UsageEvent:
    """A chat completion: `tokens` are input, cached input and output."""
    meters = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS)
    fields: dict[str, Any] = {
        "occurred_at": NOON,
        "scope": TENANT,
        "quantities": dict(zip(meters, tokens, strict=True)),
        "model": "smollm2",
        "route": "smollm2",
        "endpoint_name": "smollm2",
        "endpoint_scope": TENANT,
        "key_uid": KEY,
    }
    return metering.UsageEvent(id=event_id, **fields | changes)


@asynccontextmanager
async def money_world(place: TestDatabase, *, prices: bool = True) -> AsyncIterator[LowerWorld]:
    """A world with the default prices, or with an empty price book."""
    async with lower_world(place, _DECLARED) as world:
        await world.admin(_SCOPES)
        if prices:
            async with world.system("worker") as ctx:
                await pricing.seed_default_prices(ctx)
        yield world


async def charge(world: LowerWorld, *batch: metering.UsageEvent) -> None:
    """Charge a batch as the gateway does."""
    async with world.system("gateway") as ctx:
        await billing.charge_usage(ctx, batch)


async def contents(world: LowerWorld) -> dict[str, list[Any]]:
    """Every row of every money table, so that "nothing changed" can be asserted."""
    return {t: [tuple(r) for r in await world.query(f"select * from {t} t order by t::text")] for t in TABLES}


async def check_books(world: LowerWorld) -> None:
    """Asserts what must hold in every state of the books.

    Balances of a currency add up to zero; each usage transfer is the sum of its lines; each line is its quantity at
    its version's price; each quantity of each recorded event is rated or waits, exactly once.
    """
    (unequal,) = await world.query(
        """
        with side as (
          select debit_account as account, amount_nano as nano from platform_ledger.transfer
          union all select credit_account, -amount_nano from platform_ledger.transfer)
        select coalesce(sum(nano), 0) as total from side
        """
    )
    assert unequal["total"] == 0
    assert not await world.query(
        """
        select t.id from platform_ledger.transfer t
        left join platform_pricing.rated_line l on l.transfer_id = t.id where t.kind = 'usage'
        group by t.id, t.amount_nano, t.path, t.currency
        having t.amount_nano is distinct from sum(l.amount_nano)
            or not bool_and(l.path = t.path and l.currency = t.currency)
        """
    )
    for line in await world.query(
        """
        select l.meter, l.quantity, l.amount_nano, p.unit_price, p.meter as priced_as, p.currency = l.currency as fits
        from platform_pricing.rated_line l join platform_pricing.price p on p.id = l.price_id
        """
    ):
        assert line["fits"]
        assert line["priced_as"] in (line["meter"], pricing.FALLBACKS.get(line["meter"]))
        assert line["amount_nano"] == pricing.nano_amount(line["quantity"], line["unit_price"])
    assert not await world.query(
        """
        with wanted as (
          select event_id, q.key as meter, q.value::bigint as quantity
          from platform_metering.usage_event, jsonb_each_text(quantities) q where q.value <> '0'),
        kept as (
          select usage_event_id as event_id, meter, quantity from platform_pricing.rated_line
          union all select usage_event_id, meter, quantity from platform_pricing.unrated_line)
        (table wanted except all table kept) union all (table kept except all table wanted)
        """
    )
    assert not await world.query(
        """
        select event_id from platform_metering.usage_claim
        full join platform_metering.usage_event e using (event_id) where e.recorded_at is null or digest is null
        """
    )
