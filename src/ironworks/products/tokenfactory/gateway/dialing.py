"""Making connections to upstreams: TLS where they speak it, and only to addresses that may be reached.

A name is resolved anew for each connection, and the connection is made to the very address that was looked at, so a
name that changes between look and use leads nowhere else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from ironworks.products.tokenfactory.routing import AddressPolicy, Replica

P = TypeVar("P", bound=asyncio.Protocol)


class Forbidden(OSError):
    """A name leads to no address that an upstream may have."""


def upstream_tls() -> ssl.SSLContext:
    """What TLS upstreams must satisfy: TLS 1.2 or later, a certificate for their name under the system's roots."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    loop: asyncio.AbstractEventLoop, replica: Replica, policy: AddressPolicy, make: Callable[[], P], tls: ssl.SSLContext
) -> P:
    """A connection to `replica`, its protocol by `make`. Raises OSError (ssl.SSLError, Forbidden and others)."""
    host, port = split_address(replica.address)
    context, name = (tls, host) if replica.tls else (None, None)
    if not replica.guarded:
        return (await loop.create_connection(make, host, port, ssl=context, server_hostname=name))[1]
    problem: OSError = Forbidden(f"{host} leads to no address that an upstream may have")
    for address in await _resolve(loop, host, port):
        if policy.permits(address):
            try:
                return (await loop.create_connection(make, address, port, ssl=context, server_hostname=name))[1]
            except OSError as failure:
                problem = failure
    raise problem


def split_address(address: str) -> tuple[str, int]:
    """(host without brackets, port) of `host:port`. Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[str]:
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
