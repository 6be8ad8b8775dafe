"""TLS on both sides: what callers see and when it changes, and which upstreams are trusted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest

from ironworks.products.tokenfactory.routing import AddressPolicy, Replica
from tests.products.tokenfactory.certificates import Authority
from tests.products.tokenfactory.upstream import Upstream, run_upstream
from tests.products.tokenfactory.world import World, chat, post, run_world, target, targets_for


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "tls"
    folder.mkdir()
    return Authority(folder)


@asynccontextmanager
async def secured(upstream: Upstream, authority: Authority, tmp_path: Path) -> AsyncIterator[tuple[World, Path, Path]]:
    """A gateway that speaks TLS by two files, which the test may replace."""
    certificate, key = tmp_path / "served.pem", tmp_path / "served.key"
    for made, place in zip(authority.issue("first"), (certificate, key), strict=True):
        copy(made, place)
    spool, targets = tmp_path / "spool", targets_for(upstream.address)
    async with run_world(spool, targets, tls_certificate=certificate, tls_key=key) as world:
        yield world, certificate, key


async def connect(world: World, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", world.port, ssl=context, server_hostname="localhost")


def shown(writer: asyncio.StreamWriter) -> str:
    """The name in the certificate that the gateway showed."""
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    return str(dict(part[0] for part in certificate["subject"])["commonName"])


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(post("/v1/chat/completions", chat()))
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head


async def test_callers_are_spoken_to_over_tls_1_2_or_later(
    upstream: Upstream, authority: Authority, tmp_path: Path
) -> None:
    async with secured(upstream, authority, tmp_path) as (world, _, _):
        reader, writer = await connect(world, authority.client())
        assert (await ask(reader, writer)).startswith(b"HTTP/1.1 200 ")
        tls = writer.get_extra_info("ssl_object")
        assert tls.version() in ("TLSv1.2", "TLSv1.3")
        assert tls.selected_alpn_protocol() == "http/1.1"
        writer.close()
        old = authority.client()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(world, old)
        assert not (await world.raw(post("/v1/chat/completions", chat()))).startswith(b"HTTP/1.1 200")


async def test_a_new_certificate_is_served_and_no_connection_dropped(
    upstream: Upstream, authority: Authority, tmp_path: Path
) -> None:
    async with secured(upstream, authority, tmp_path) as (world, certificate, key):
        before = await connect(world, authority.client())
        await ask(*before)
        for made, place in zip(authority.issue("second"), (certificate, key), strict=True):
            copy(made, place)
        world.gateway.reopen()
        after = await connect(world, authority.client())
        assert (shown(before[1]), shown(after[1])) == ("first", "second")
        assert (await ask(*before)).startswith(b"HTTP/1.1 200 ")
        assert (await ask(*after)).startswith(b"HTTP/1.1 200 ")
        before[1].close()
        after[1].close()


@pytest.mark.parametrize("wrong", ["half", "another's key", "expired", "gone"])
async def test_files_that_cannot_be_used_change_nothing_and_are_told(
    wrong: str, upstream: Upstream, authority: Authority, tmp_path: Path
) -> None:
    async with secured(upstream, authority, tmp_path) as (world, certificate, key):
        match wrong:
            case "half":
                certificate.write_bytes(certificate.read_bytes()[:100])
            case "another's key":
                copy(authority.issue("other")[1], key)
            case "expired":
                for made, place in zip(authority.issue("late", days=-1), (certificate, key), strict=True):
                    copy(made, place)
            case _:
                key.unlink()
        world.gateway.reopen()
        reader, writer = await connect(world, authority.client())
        assert shown(writer) == "first"
        async with asyncio.timeout(60):
            while b"CertificateUnusable" not in (told := await _get(reader, writer, "/health")):
                await asyncio.sleep(0.05)
        assert b"degraded" in told
        assert b"tls_certificate_expiry_seconds" in await _get(reader, writer, "/metrics")
        writer.close()


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))


# towards upstreams


@asynccontextmanager
async def behind_tls(authority: Authority, host: str = "localhost") -> AsyncIterator[tuple[Upstream, int]]:
    """A model server, and the port of a TLS end before it that passes bytes."""
    async with run_upstream() as plain:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", plain.port)
            with suppress(ConnectionError):
                await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(f"upstream-{host}", host))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        try:
            yield plain, server.sockets[0].getsockname()[1]
        finally:
            server.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    finally:
        writer.close()


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The test's authority in place of the system's roots."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    return authority


async def test_an_upstream_over_tls_with_another_prefix_and_key_header(trusted: Authority, tmp_path: Path) -> None:
    async with behind_tls(trusted) as (plain, port):
        replica = Replica(f"localhost:{port}", "provider-key", tls=True, prefix="/openai/v1", auth="x-api-key")
        async with run_world(tmp_path, [replace(target("far"), replicas=(replica,))]) as world, world.http() as http:
            for _ in range(2):
                assert (await http.post("/v1/chat/completions", json=chat("far"))).status_code == 200
        assert plain.connections == 1
        [received, _] = plain.received
        assert received.path == "/openai/v1/chat/completions"
        assert received.headers["x-api-key"] == "provider-key"
        assert received.headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in received.headers


@pytest.mark.parametrize("case", ["unknown root", "other name"])
async def test_an_upstream_with_a_bad_certificate_is_sent_nothing(
    case: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case == "other name":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    async with behind_tls(authority, "elsewhere.example") as (plain, port):
        replica = Replica(f"localhost:{port}", "provider-key", tls=True)
        async with run_world(tmp_path, [replace(target("far"), replicas=(replica,))]) as world, world.http() as http:
            answer = await http.post("/v1/chat/completions", json=chat("far"))
            assert answer.status_code == 503
            assert "certificate" in answer.json()["error"]["message"]
        assert not plain.received


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_a_guarded_upstream_is_not_reached_at_a_private_address(
    host: str, upstream: Upstream, tmp_path: Path
) -> None:
    replica = Replica(f"{host}:{upstream.port}", guarded=True)
    async with run_world(tmp_path, [replace(target("far"), replicas=(replica,))]) as world, world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("far"))
        assert answer.status_code == 503
        assert "address" in answer.json()["error"]["message"]
    assert not upstream.connections


async def test_a_guarded_upstream_is_reached_where_the_operator_allows_it(upstream: Upstream, tmp_path: Path) -> None:
    replica = Replica(f"localhost:{upstream.port}", guarded=True)
    allowed = AddressPolicy.parse(["127.0.0.0/8"])
    targets = [replace(target("far"), replicas=(replica,))]
    async with run_world(tmp_path, targets, upstream_addresses=allowed) as world, world.http() as http:
        assert (await http.post("/v1/chat/completions", json=chat("far"))).status_code == 200
