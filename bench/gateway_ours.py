"""Our gateway as the benchmark runs it: one process, 10,000 keys, 1,000 routes, limits, a hard budget, the usage spool.

`python bench/gateway_ours.py '{"port":…,"upstream":…,"spool":…,"sync":true}'`. Charging goes to a counter and leases
come from a ledger in memory, since the yardsticks have no database to ask either; both are asked as in earnest.
`"parts"` names what is on besides keys, routes and spool: `limits`, `budget`; both where it is left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import uvloop

from ironworks.platform import pricing
from ironworks.products.tokenfactory.budgets import Ask, BudgetView, Terms
from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, KeyView, Sources, UsageRecord
from ironworks.products.tokenfactory.limits import LimitView
from ironworks.products.tokenfactory.routing import Replica, Route, Target, route_to

KEY = "iwk_bench_7"
SCOPE = "demo.app.dev"
KEYS, ROUTES = 10_000, 1_000
NANO = 10**9
_PRICES = {
    "input_tokens": "0.0000025",
    "cached_input_tokens": "0.00000125",
    "output_tokens": "0.00001",
}


@dataclass(frozen=True)
class Fixed:
    """A source of what never changes."""

    values: Sequence[Any]
    kinds: frozenset[str] = frozenset()

    async def load(self) -> Sequence[Any]:
        return self.values

    load_keys = load_routes = load


class Ledger:
    """Leases without end, each a tenth of a second late, as a database might be."""

    def __init__(self) -> None:
        self._held: dict[tuple[UUID, datetime], tuple[int, int]] = {}

    async def adjust(self, ask: Ask) -> Terms:
        await asyncio.sleep(0.1)
        _, epoch = self._held.get((ask.budget, ask.start), (0, 0))
        granted = ask.keep + ask.wanted
        self._held[ask.budget, ask.start] = (granted, epoch + 1)
        return Terms("granted", f"lease-{ask.budget}", epoch + 1, granted, 1_000_000_000 * NANO)

    async def recalled(self, holder: str) -> Collection[tuple[UUID, datetime]]:
        return ()

    async def close_leases(self, holder: str) -> None:
        self._held.clear()


def sources(upstream: int, parts: Collection[str] = ("limits", "budget")) -> Sources:
    """Keys, routes, limits on the tenant and on each key, a hard budget, a price book."""
    replica = Replica(f"127.0.0.1:{upstream}", "bench-replica-key")
    names = [f"m{number}" for number in range(ROUTES - 1)] + ["mock"]
    routes: list[Route] = [route_to(Target(uuid4(), SCOPE, name, name, "mock", (replica,))) for name in names]
    limits = [_limit(), _limit("key")]
    budget = BudgetView(uid=uuid4(), name="all", scope=SCOPE, amount_nano=1_000_000_000 * NANO)
    return Sources(
        Fixed([_key(f"iwk_bench_{number}") for number in range(KEYS)]),
        Fixed(routes),
        limits=Fixed(limits if "limits" in parts else []),
        budgets=Fixed([budget] if "budget" in parts else []),
        prices=Fixed([_price(meter, amount) for meter, amount in _PRICES.items()] if "budget" in parts else []),
    )


def _limit(*per: Literal["key"]) -> LimitView:
    """Every sort of it at once, and wide enough."""
    return LimitView(
        uid=uuid4(),
        home=SCOPE,
        scope=SCOPE,
        per=per,
        requests_per_second=1_000_000,
        tokens_per_minute=100_000_000_000,
        concurrency=1_000_000,
    )


def _key(secret: str) -> KeyView:
    digest = hashlib.sha256(secret.encode()).digest()
    return KeyView(uid=uuid4(), digest=digest, scope=SCOPE, invoke_scopes=(SCOPE,))


def _price(meter: str, amount: str) -> pricing.Price:
    key = pricing.PriceKey(meter, "*", pricing.CURRENCY)
    return pricing.Price(uuid4(), key, Decimal(amount), datetime(2020, 1, 1, tzinfo=UTC))


async def _charge(batch: Sequence[UsageRecord]) -> None:
    await asyncio.sleep(0)


def _sources(config: dict[str, Any]) -> Sources:
    return sources(config["upstream"], config.get("parts", ("limits", "budget")))


async def main(config: dict[str, Any]) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", config["port"]))
    sock.listen(4096)
    spool = Path(config["spool"])
    settings = GatewaySettings(
        spool=spool, run=spool.parent / f"{spool.name}-run", sync=config["sync"], drain=1, own_process=True
    )
    gateway = Gateway(settings, sources=_sources(config), charge=_charge)
    gateway.lend_by(Ledger())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.stop)

    async def feed() -> None:
        while True:
            gateway.heartbeat()
            await asyncio.sleep(0.3)

    feeding = asyncio.create_task(feed())
    await gateway.serve([sock])
    feeding.cancel()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
