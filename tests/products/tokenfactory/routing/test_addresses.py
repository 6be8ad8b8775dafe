"""Where an upstream may be, and looks at real ones."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ironworks.products.tokenfactory.routing import AddressPolicy, HttpProber
from ironworks.products.tokenfactory.routing.addresses import parse_base
from ironworks.products.tokenfactory.routing.model import Probe

PRIVATE = (
    "10.1.1.1 127.0.0.1 169.254.169.254 172.16.0.1 192.168.1.1 100.64.0.1 0.0.0.0 224.0.0.1 240.0.0.1 255.255.255.255 "
    "::1 :: fd00::1 fe80::1 fec0::1 ff02::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001:db8::1 "
    "168.63.129.16 ::ffff:168.63.129.16 64:ff9b::a83f:8110"
)
PUBLIC = "8.8.8.8 1.1.1.1 2606:4700:4700::1111 ::ffff:8.8.8.8"


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses_are_refused(address: str) -> None:
    assert not AddressPolicy().permits(address)
    assert AddressPolicy.parse(["all"]).permits(address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses_are_not(address: str) -> None:
    assert AddressPolicy().permits(address)


def test_the_operator_allows_networks_in_either_spelling() -> None:
    policy = AddressPolicy.parse(["10.0.0.0/8", "fd00::/8"])
    assert all(policy.permits(address) for address in ("10.9.9.9", "::ffff:10.9.9.9", "fd12::1"))
    assert not any(policy.permits(address) for address in ("127.0.0.1", "fe80::1", "not-one"))
    assert not policy.allows_everything
    with pytest.raises(ValueError, match="neither a network"):
        AddressPolicy.parse(["10.0.0.0/33"])


@pytest.mark.parametrize(
    ("url", "address", "prefix"),
    [
        ("https://API.Provider.example/v1/", "api.provider.example:443", "/v1"),
        ("http://host:8080", "host:8080", ""),
        ("https://[2606:4700::1111]/openai/v1", "[2606:4700::1111]:443", "/openai/v1"),
        ("https://host./v1", "host:443", "/v1"),
    ],
)
def test_urls_have_one_spelling(url: str, address: str, prefix: str) -> None:
    base = parse_base(url)
    assert (base.address, base.prefix) == (address, prefix)


# --- looks -------------------------------------------------------------------------------------------------------


class Provider:
    """A server that answers `/v1/models` as the test says, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.body = b'{"data": [{"id": "big"}, {"id": "small"}]}'
        self.requests: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        head = f"HTTP/1.1 {self.status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: {len(self.body)}\r\n\r\n"
        writer.write(head.encode() + self.body)
        writer.close()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


LOCAL = AddressPolicy.parse(["127.0.0.0/8"])


def probe(port: int, **more: Any) -> Probe:
    facts: dict[str, Any] = {"dialect": "openai", "auth": "bearer", "credential": "hunter2", **more}
    return Probe(f"http://127.0.0.1:{port}/v1", **facts)


async def test_a_look_finds_the_models(provider: Provider) -> None:
    found = await HttpProber(LOCAL).look(probe(provider.port))
    assert found.models == {"big", "small"}
    assert found.problem == ""
    [request] = provider.requests
    assert request.startswith("get /v1/models http/1.1\r\n")
    assert "authorization: bearer hunter2" in request
    await HttpProber(LOCAL).look(probe(provider.port, dialect="anthropic", auth="api_key"))
    assert "x-api-key: hunter2" in provider.requests[1]
    assert "anthropic-version: 2023-06-01" in provider.requests[1]
    assert "authorization" not in provider.requests[1]


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        ("401 Unauthorized", b"no: hunter2", "refuses the credential"),
        ("500 Oops", b"", "status 500"),
        ("302 Found", b"", "status 302"),
        ("200 OK", b"<html>", "no list of models"),
        ("200 OK", b'{"data": [1]}', "no list of models"),
        ("200 OK", b"[]", "no list of models"),
        ("200 OK", b"[" * 100_000, "no list of models"),
        ("404 Not Found", b"", ""),
    ],
)
async def test_what_else_a_look_may_find(provider: Provider, status: str, body: bytes, problem: str) -> None:
    provider.status, provider.body = status, body
    found = await HttpProber(LOCAL).look(probe(provider.port))
    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
    assert "hunter2" not in repr(found)
    assert len(provider.requests) == 1, "a redirect would lead the credential elsewhere"


async def test_no_look_at_what_nobody_may_reach(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by a name: what it resolves to is judged, and connected to."""
    assert "not a public address" in (await HttpProber(AddressPolicy()).look(probe(provider.port))).problem

    async def resolve(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", provider.port))]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", resolve, raising=False)
    named = Probe(f"http://innocent.example:{provider.port}/v1", "openai", "bearer", "hunter2")
    assert "not a public address" in (await HttpProber(AddressPolicy()).look(named)).problem
    assert provider.requests == []
    assert (await HttpProber(LOCAL).look(named)).models == {"big", "small"}
    assert f"host: innocent.example:{provider.port}" in provider.requests[0]


async def test_a_look_ends(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    from ironworks.products.tokenfactory.routing.adapters import http_probe

    monkeypatch.setattr(http_probe, "WITHIN", 0.2)
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    found = await HttpProber(LOCAL).look(probe(server.sockets[0].getsockname()[1]))
    assert "did not answer" in found.problem or "cannot be reached" in found.problem
    release.set()
    server.close()
    monkeypatch.undo()
    gone = await HttpProber(LOCAL).look(probe(1))
    assert "cannot be reached" in gone.problem
