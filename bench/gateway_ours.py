"""Our gateway as the benchmark runs it: one process, 10,000 keys, 1,000 routes, the usage spool on.

`python bench/gateway_ours.py '{"port":…,"upstream":…,"spool":…,"sync":true}'`; charging goes to a counter, since the
yardsticks charge nobody.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop

from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, KeyView, Sources, UsageRecord
from ironworks.products.tokenfactory.routing import Replica, Route, Target, route_to

KEY = "iwk_bench_7"
SCOPE = "demo.app.dev"


class Source:
    """10,000 keys and 1,000 targets that never change."""

    kinds = frozenset({"ApiKey", "Endpoint"})

    def __init__(self, upstream: int) -> None:
        replica = Replica(f"127.0.0.1:{upstream}", "bench-replica-key")
        self._keys = [self._key(f"iwk_bench_{i}") for i in range(10_000)]
        self._targets = [Target(uuid4(), SCOPE, f"m{i}", f"m{i}", "mock", (replica,)) for i in range(999)]
        self._targets.append(Target(uuid4(), SCOPE, "mock", "mock", "mock", (replica,)))

    @staticmethod
    def _key(secret: str) -> KeyView:
        digest = hashlib.sha256(secret.encode()).digest()
        return KeyView(uid=uuid4(), digest=digest, scope=SCOPE, invoke_scopes=(SCOPE,))

    async def load_keys(self) -> Sequence[KeyView]:
        return self._keys

    async def load_routes(self) -> Sequence[Route]:
        return [route_to(target) for target in self._targets]


async def _charge(batch: Sequence[UsageRecord]) -> None:
    await asyncio.sleep(0)


async def main(config: dict[str, Any]) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", config["port"]))
    sock.listen(4096)
    source = Source(config["upstream"])
    settings = GatewaySettings(spool=Path(config["spool"]), sync=config["sync"], drain=1)
    gateway = Gateway(settings, sources=Sources(source, source), charge=_charge)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gateway.stop)

    async def feed() -> None:
        while True:
            gateway.heartbeat()
            await asyncio.sleep(0.3)

    feeding = asyncio.create_task(feed())
    gc.freeze()
    await gateway.serve([sock])
    feeding.cancel()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
