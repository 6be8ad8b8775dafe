"""Looks at upstreams between requests, at real servers that hang, refuse, answer 500, and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import ValidationError

from ironworks.products.tokenfactory.gateway import checks
from ironworks.products.tokenfactory.routing import (
    OWN_CHECK,
    AddressPolicy,
    Declared,
    HealthCheck,
    Replica,
    ReplicaState,
    Target,
    build_routes,
)
from ironworks.products.tokenfactory.routing.model import ExternalEndpoint, ExternalEndpointSpec, ExternalEndpointStatus
from ironworks.shared.kind import Metadata
from tests.products.tokenfactory.routing.conftest import external
from tests.products.tokenfactory.routing.conftest import upstream as declared
from tests.products.tokenfactory.routing.served import ask, nobody, route
from tests.products.tokenfactory.upstream import Seen, Upstream, lists_models, run_upstream, whole
from tests.products.tokenfactory.world import World, run_world, target

CHECK = HealthCheck("/health", interval=0.05, timeout=0.2, failures=2)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "EVERY", 0.02)


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


async def hangs(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def fails(writer: asyncio.StreamWriter) -> None:
    whole(writer, b"{}", "500 Internal Server Error")


async def redirects(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nlocation: /well\r\ncontent-length: 0\r\n\r\n")


async def speaks_ssh(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def hangs_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def never_ends(writer: asyncio.StreamWriter) -> None:
    """A head without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"x-more: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


def watched(*servers: Upstream | str, check: HealthCheck | None = CHECK) -> Target:
    """One target whose replicas are looked at."""
    addresses = [server if isinstance(server, str) else server.address for server in servers]
    made = replace(target("pair", *addresses), served_as="plain")
    return replace(made, replicas=tuple(replace(replica, check=check) for replica in made.replicas))


def states(world: World) -> dict[str, ReplicaState]:
    core = world.gateway._core
    assert core is not None
    return {state.replica.address: state for found in core.balancer.looked_at.values() for state in found}


def aside(world: World, server: Upstream | str) -> bool:
    core = world.gateway._core
    assert core is not None
    address = server if isinstance(server, str) else server.address
    return any(state.replica.address == address for state in core.balancer.set_aside(core.now()))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(path: Path, *targets: Target) -> AsyncIterator[World]:
    async with run_world(path, [], routes=[route(*targets, strategy="weighted")]) as world:
        yield world


@pytest.mark.parametrize("ill", [hangs, fails, redirects, speaks_ssh, hangs_up, never_ends])
async def test_who_is_found_ill_is_set_aside_until_he_is_well(
    ill: Seen, upstream: Upstream, second: Upstream, tmp_path: Path
) -> None:
    async with serving(tmp_path, watched(upstream, second)) as world:
        await until(lambda: bool(upstream.looks and second.looks))
        assert not aside(world, upstream)
        upstream.seen = ill
        await until(lambda: aside(world, upstream))
        for _ in range(6):
            assert (await ask(world)).status_code == 200
        assert (len(upstream.received), len(second.received)) == (0, 6)
        upstream.seen = lists_models
        await until(lambda: not aside(world, upstream))
        state, core = states(world)[upstream.address], world.gateway._core
        assert core is not None
        assert 0 < state.share(core.now()) < 0.2, "it comes back little by little"
        counted = (await _metrics(world)).count("ironworks_gateway_ejections_total 1")
        assert counted == 1


async def _metrics(world: World) -> str:
    async with world.http() as http:
        return (await http.get("/metrics")).text


async def test_who_refuses_connections_is_aside_at_the_first_look_and_back_at_the_first(
    second: Upstream, tmp_path: Path
) -> None:
    address = nobody()
    calm = replace(CHECK, interval=30.0)  # refusing costs nobody anything: it is asked about at once, and often
    async with serving(tmp_path, watched(address, second, check=calm)) as world:
        state = states(world)[address]
        while not state.unreachable:  # which replica is asked is left to chance
            assert (await ask(world)).status_code == 200
        before = len(second.received)
        for _ in range(4):
            assert (await ask(world)).status_code == 200
        assert len(second.received) == before + 4
        async with run_upstream(int(address.rpartition(":")[2])) as back:
            await until(lambda: not aside(world, address))
            assert [path for path, _ in back.looks] == ["/health"]


async def test_who_listens_and_is_not_ready_stays_aside(second: Upstream, tmp_path: Path) -> None:
    """As an engine does that loads its model."""
    address = nobody()
    async with serving(tmp_path, watched(address, second)) as world:
        await until(lambda: aside(world, address))
        async with run_upstream(int(address.rpartition(":")[2])) as back:
            back.seen = fails
            await until(lambda: len(back.looks) > 2)
            assert aside(world, address)
            for _ in range(4):
                assert (await ask(world)).status_code == 200
            assert not back.received
            back.seen = lists_models
            await until(lambda: not aside(world, address))


async def test_nobody_is_looked_at_who_is_not_to_be(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    plain = replace(watched(upstream, check=None), name="plain")
    async with serving(tmp_path, plain, watched(second)) as world:
        await until(lambda: len(second.looks) > 3)
        assert not upstream.looks
        assert [*states(world)] == [second.address]


async def test_one_that_hangs_holds_up_no_other(upstream: Upstream, second: Upstream, tmp_path: Path) -> None:
    upstream.seen = hangs
    slow = replace(CHECK, timeout=30.0)
    async with serving(tmp_path, watched(upstream, check=slow), watched(second)):
        await until(lambda: len(second.looks) > 5)
        assert len(upstream.looks) == 1, "and is asked once at a time"


async def test_alone_it_is_asked_whatever_looks_find(upstream: Upstream, tmp_path: Path) -> None:
    upstream.seen = fails
    async with serving(tmp_path, watched(upstream)) as world:
        await until(lambda: aside(world, upstream))
        assert (await ask(world)).status_code == 200
        assert aside(world, upstream), "that a request went well does not say that the next look will"


async def test_what_is_looked_at_no_more_is_judged_by_its_requests(upstream: Upstream, tmp_path: Path) -> None:
    upstream.seen = fails
    async with serving(tmp_path, watched(upstream)) as world:
        state = states(world)[upstream.address]
        await until(lambda: state.ill)
        world.source.routes = [route(watched(upstream, check=None))]
        world.gateway.notice("Route")
        await until(lambda: not states(world))
        assert (await ask(world)).status_code == 200
        state.failed(0, unreachable=True)
        state.succeeded()
        assert not aside(world, upstream)


async def test_a_provider_is_looked_at_once_with_its_credential(upstream: Upstream, tmp_path: Path) -> None:
    """However many of its models are called; and its address is judged each time."""
    spec = external(declared(url=f"http://{upstream.address}/api/v1", check={"interval_seconds": 1}))
    found = _declared(spec)
    routes = build_routes(Declared((), [(found, {"upstreams[eu].auth.credential": "s3cret"})]), (), AddressPolicy())
    everywhere = AddressPolicy.parse(["all"])
    async with run_world(tmp_path / "open", [], routes=routes, upstream_addresses=everywhere):
        await until(lambda: bool(upstream.looks))
        await asyncio.sleep(0.1)
    assert len(upstream.looks) == 1
    path, headers = upstream.looks[0]
    assert (path, headers["authorization"], headers["host"]) == ("/api/v1/models", "Bearer s3cret", upstream.address)
    upstream.looks.clear()
    async with run_world(tmp_path / "closed", [], routes=routes) as world:
        await until(lambda: aside(world, upstream))
    assert not upstream.looks


def _declared(spec: dict[str, object]) -> ExternalEndpoint:
    now = datetime.now(UTC)
    return ExternalEndpoint(
        kind="ExternalEndpoint",
        metadata=Metadata(name="openai", scope="acme", uid=uuid4(), creation_timestamp=now, update_timestamp=now),
        spec=ExternalEndpointSpec.model_validate(spec),
        status=ExternalEndpointStatus(),
    )


@pytest.mark.parametrize(
    ("check", "made"),
    [
        ({}, HealthCheck("/v1/models")),
        ({"path": ""}, HealthCheck("/v1")),
        (
            {"path": "/up", "interval_seconds": 5, "timeout_seconds": 1, "expected_status": [204, 200], "failures": 1},
            HealthCheck("/v1/up", 5, 1, (200, 204), 1),
        ),
        (None, None),
    ],
)
def test_a_check_is_what_is_declared_of_it(check: dict[str, object] | None, made: HealthCheck | None) -> None:
    spec = external(declared(dialect="anthropic", **({} if check is None else {"check": check})))
    routes = build_routes(Declared((), [(_declared(spec), {})]), (), AddressPolicy())
    assert {replica.check for each in routes for leg in each.legs for replica in leg.target.replicas} == {made}


@pytest.mark.parametrize("path", ["models", "/../admin", "/a?b=c", "/a b", "//", "/a\r\nx: y", "/%zz"])
def test_a_look_stays_below_the_url(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        ExternalEndpointSpec.model_validate(external(declared(check={"path": path})))


def test_a_look_says_nothing_of_exchanges_that_broke() -> None:
    state = ReplicaState(Replica("h:1", check=OWN_CHECK))
    for _ in range(3):
        state.failed(100.0, unreachable=False)
    state.recovered(100.2)
    assert state.ejected_until == 101.0
    assert not state.looked_ill(100.3, 5.0, 3, unreachable=False)
    state.recovered(100.4)
    assert not state.looked_ill(100.5, 5.0, 2, unreachable=False), "looks in a row count"
    assert not state.looked_ill(100.6, 5.0, 2, unreachable=False), "it was aside already"
    assert state.ejected_until == 135.6
    state.failed(101.0, unreachable=True)
    assert state.ejected_until == 135.6, "a failure does not shorten it"
