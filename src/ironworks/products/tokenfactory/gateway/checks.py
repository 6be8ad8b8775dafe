"""Looks at upstreams that are set aside, so that one that is back serves again before its time aside is over.

A look is a connection made and closed; no request is risked on it. At most so many at once, each upstream at most once
in a while.
"""

from __future__ import annotations

import asyncio
import ssl

from ironworks.products.tokenfactory.gateway.dialing import dial
from ironworks.products.tokenfactory.gateway.model import GatewaySettings
from ironworks.products.tokenfactory.routing import Balancer, ReplicaState
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

EVERY = 1.0
AT_ONCE = 16


async def check_forever(balancer: Balancer, settings: GatewaySettings, tls: ssl.SSLContext) -> None:
    """Look once a second at those that refused connections; cancel to stop."""
    loop = asyncio.get_running_loop()
    limit = asyncio.Semaphore(AT_ONCE)

    async def look(state: ReplicaState) -> None:
        try:
            async with limit:
                if await _answers(loop, state, settings, tls):
                    state.recovered(loop.time())
        except Exception:
            log.exception("a look at a model server failed", address=state.replica.address)

    while True:
        await asyncio.sleep(EVERY)
        aside = [state for state in balancer.set_aside(loop.time()) if state.unreachable]
        await asyncio.gather(*map(look, aside))


async def _answers(
    loop: asyncio.AbstractEventLoop, state: ReplicaState, settings: GatewaySettings, tls: ssl.SSLContext
) -> bool:
    try:
        async with asyncio.timeout(settings.connect_timeout):
            protocol = await dial(loop, state.replica, settings.upstream_addresses, _Knock, tls)
    except (OSError, TimeoutError, ValueError):
        return False
    protocol.close()
    return True


class _Knock(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()
