"""Stripe's stand-in as a program of its own, which holds back what it answers to a confirmation until it is told.

    python -m tests.platform.payments.stripe_process

Its address is its first line. Besides Stripe's paths it has `/test/card` (a customer with a card; their ids),
`/test/release` (answer from now on) and `/test/moved` (what cards paid, and how many confirmations were decided).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn

from tests.platform.payments.stripe_server import FakeStripe


class HeldStripe:
    """Decides at once, and answers a confirmation when it may."""

    def __init__(self) -> None:
        self.stripe = FakeStripe()
        self.released = asyncio.Event()
        self.decided = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith("/test/"):
            await _answer(send, self._control(path.removeprefix("/test/")))
        elif path.endswith("/confirm"):
            await self._confirm(scope, receive, send)
        else:
            await self.stripe(scope, receive, send)

    def _control(self, what: str) -> dict[str, Any]:
        if what == "card":
            customer = self.stripe.create_customer({})["id"]
            return {"customer": customer, "card": self.stripe.add_card(customer)}
        if what == "release":
            self.released.set()
        return {"moved": self.stripe.moved, "decided": self.decided}

    async def _confirm(self, scope: Any, receive: Any, send: Any) -> None:
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        await self.stripe(scope, receive, keep)
        self.decided += 1
        await self.released.wait()
        for message in kept:
            await send(message)


async def _answer(send: Any, content: dict[str, Any]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def _main() -> None:
    config = uvicorn.Config(HeldStripe(), host="127.0.0.1", port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    sys.stdout.write(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(_main())
