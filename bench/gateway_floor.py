"""What sockets and loop cost alone: a proxy that passes bytes on unread, one connection behind each.

`python bench/gateway_floor.py '{"port":…,"upstream":…}'`. It is no gateway; it is what is left of one without its work.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop


class Behind(asyncio.Protocol):
    """The connection to the model server; kept when its caller's answer has come."""

    def __init__(self, before: Before) -> None:
        self.before = before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.before.transport.write(data)


class Before(asyncio.Protocol):
    """A caller's connection."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.behind: Behind | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.behind is not None:
            self.behind.transport.write(data)
        else:
            self.opening = asyncio.get_running_loop().create_task(self._open(data))

    async def _open(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, self.behind = await loop.create_connection(lambda: Behind(self), "127.0.0.1", self.upstream)
        self.behind.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.behind is not None:
            self.behind.transport.close()


async def main(config: dict[str, int]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Before(config["upstream"]), "127.0.0.1", config["port"], backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
