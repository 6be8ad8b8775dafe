"""Routes to mock model servers, for tests that call them through a gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ironworks.products.tokenfactory.routing import Leg, Route, Target, route_to
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, listener, target


def route(*targets: Target, name: str = "best", **changes: Any) -> Route:
    changes.setdefault("legs", tuple(Leg(each, each.served_as, each.model) for each in targets))
    return replace(route_to(target(name)), inherited=True, **changes)


def at(server: Upstream | str, behaviour: str = "plain", **changes: Any) -> Target:
    address = server if isinstance(server, str) else server.address
    return replace(target(f"{behaviour}-{address}", address, served_as=behaviour), **changes)


def nobody() -> str:
    """An address where nothing listens."""
    sock = listener()
    port = sock.getsockname()[1]
    sock.close()
    return f"127.0.0.1:{port}"


async def ask(world: World, **more: Any) -> Any:
    async with world.http() as http:
        return await http.post("/v1/chat/completions", json=chat("best", **more))
