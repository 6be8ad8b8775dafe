"""Looks at an upstream over HTTP: `GET <url>/models`, at an address that the policy permits.

The name is resolved here and the connection made to the very address that was judged, so that it cannot resolve to
another one in between. Redirects are not followed: they would lead elsewhere with the credential.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import httpx

from ironworks.products.tokenfactory.routing.addresses import AddressPolicy, Base, parse_base, private_address
from ironworks.products.tokenfactory.routing.model import Finding, Probe

WITHIN: Final = 10.0
MAX_ANSWER: Final = 4 * 1024 * 1024
ANTHROPIC_VERSION: Final = "2023-06-01"


class HttpProber:
    """`Prober` by httpx; `policy` judges every address that is connected to."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    async def look(self, probe: Probe) -> Finding:
        base = parse_base(probe.url)
        try:
            async with asyncio.timeout(WITHIN):
                address = await self._resolve(base)
                return await _ask(base, address, probe)
        except TimeoutError:
            return Finding(problem=f"{base.address} did not answer within {WITHIN:g} s")
        except _Refused as problem:
            return Finding(problem=str(problem))
        except httpx.HTTPError as problem:
            return Finding(problem=f"{base.address} cannot be reached: {type(problem).__name__}")

    async def _resolve(self, base: Base) -> str:
        """An address of the host that may be connected to. Raises _Refused."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(base.host, base.port, type=socket.SOCK_STREAM)
        except OSError:
            raise _Refused(f"{base.host} does not resolve; check the name") from None
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        permitted = [address for address in addresses if self._policy.permits(address)]
        if not permitted:
            raise _Refused(private_address(base.host))
        return permitted[0]


class _Refused(Exception):
    """No connection is made; the message says why."""


async def _ask(base: Base, address: str, probe: Probe) -> Finding:
    scheme = "https" if base.tls else "http"
    host = f"[{address}]" if ":" in address else address
    url = f"{scheme}://{host}:{base.port}{base.prefix}/models"
    headers = {"host": base.address, "accept": "application/json", "user-agent": "ironworks", **_credential(probe)}
    # trust_env: a proxy of the environment would resolve the name itself
    async with (
        httpx.AsyncClient(timeout=WITHIN, trust_env=False, follow_redirects=False) as client,
        client.stream("GET", url, headers=headers, extensions={"sni_hostname": base.host}) as answer,
    ):
        return await _judge(answer)


def _credential(probe: Probe) -> dict[str, str]:
    headers = {"anthropic-version": ANTHROPIC_VERSION} if probe.dialect == "anthropic" else {}
    if probe.credential and probe.auth == "bearer":
        headers["authorization"] = f"Bearer {probe.credential}"
    elif probe.credential:
        headers["x-api-key"] = probe.credential
    return headers


async def _judge(answer: httpx.Response) -> Finding:
    """What an answer means. A provider that offers no list may still serve."""
    if answer.status_code in (401, 403):
        return Finding(problem=f"it refuses the credential (status {answer.status_code}); give another")
    if answer.status_code in (404, 405, 501):
        return Finding()
    if answer.status_code != 200:
        return Finding(problem=f"it answers with status {answer.status_code}")
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > MAX_ANSWER:
            return Finding(problem=f"its list of models is over {MAX_ANSWER} bytes")
    return _models(body)


def _models(body: bytes) -> Finding:
    try:
        listed: Any = httpx.Response(200, content=body).json()
        return Finding(frozenset(str(model["id"]) for model in listed["data"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Finding(problem="its answer to GET /models is no list of models; check the path of the URL")
