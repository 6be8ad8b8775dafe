"""From what is declared to what the gateway holds, over a real database and as the gateway's role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ironworks.app.gateway_routes import Routes
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory import routing
from tests.support.api import ApiWorld, BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server

PLACE = "acme.shop"
TENANT = f"{PLACE}.eu"


@pytest.fixture
def bootstrapped(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    place = bootstrapped_database(postgres, run_folder)
    yield place
    postgres.drop_database(place)


@pytest.fixture
async def world(bootstrapped: BootstrappedPlace) -> AsyncIterator[ApiWorld]:
    async with api_world(bootstrapped) as made:
        await made.scope(TENANT)
        yield made


async def load(world: ApiWorld, processes: int = 1, allowed: tuple[str, ...] = ()) -> routing.RouteTable:
    policy = routing.AddressPolicy.parse(allowed)
    async with open_process(world.place.settings, "gateway", connections=2) as process:
        return routing.RouteTable(await Routes(process.database, policy, processes).load_routes())


def upstream(name: str, **changes: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "url": f"https://{name}.provider.example/openai/v1",
        "auth": {"credential": f"key-of-{name}"},
        "model_mapping": {"gpt-4o": "gpt-4o-2024", "meta/llama": "llama"},
    }
    return {**made, **changes}


async def test_what_is_declared_can_be_called(world: ApiWorld) -> None:
    operator = world.operator
    upstreams = [
        upstream("eu", max_concurrency=9, max_queue=30, timeout_seconds=5),
        upstream("us", auth={"type": "api_key", "credential": "key-of-us"}, dialect="anthropic"),
        upstream("open", auth={}, model_mapping={"small": "small-1"}, url="http://10.1.2.3:8000"),
    ]
    answer = await operator.call(
        "POST", f"scopes/{PLACE}/external-endpoints", {"metadata": {"name": "llm"}, "spec": {"upstreams": upstreams}}
    )
    assert answer.status_code == 422, "10.1.2.3 is private"
    upstreams[2]["url"] = "http://open.example:8000"
    await operator.create("external-endpoints", PLACE, "llm", {"upstreams": upstreams, "timeout_seconds": 44})
    await operator.create("endpoints", TENANT, "chat", {"model": {"name": "smollm2"}})
    targets = [
        {"external": f"{PLACE}/llm", "model": "gpt-4o", "weight": 3, "max_concurrency": 4, "price_as": "cheap"},
        {"endpoint": "chat", "served_as": "lora", "timeout_seconds": 7},
    ]
    spec = {"model": "gpt-4o.best", "targets": targets, "strategy": "ordered_fallback", "tries": 2,
            "cache": {"ttl_seconds": 60}}  # fmt: skip
    await operator.create("routes", TENANT, "best", spec)
    table = await load(world, processes=2)

    own = table.resolve(TENANT, "llm/meta/llama")
    assert own is not None
    assert own.inherited
    eu, us = (leg.target for leg in own.legs)
    [replica] = eu.replicas
    assert (replica.address, replica.tls, replica.prefix) == ("eu.provider.example:443", True, "/openai/v1")
    assert (replica.bearer, replica.auth, replica.guarded) == ("key-of-eu", "bearer", True)
    assert (eu.model, eu.served_as, eu.timeout, eu.max_concurrency, eu.max_queue) == ("meta/llama", "llama", 5, 4, 15)
    assert (us.dialect, us.timeout, us.max_concurrency) == ("anthropic", 44, 0)
    assert (us.replicas[0].bearer, us.replicas[0].auth) == ("key-of-us", "x-api-key")
    assert eu.gate != us.gate
    small = table.resolve(TENANT, "llm/small")
    assert small is not None
    assert small.legs[0].target.replicas[0] == routing.Replica("open.example:8000", None, prefix="", guarded=True)

    best = table.resolve(TENANT, "gpt-4o.best")
    assert best is not None
    assert [(leg.model, leg.served_as, leg.weight, leg.max_concurrency) for leg in best.legs] == [
        ("cheap", "gpt-4o-2024", 3, 2), ("cheap", "gpt-4o-2024", 3, 2), ("smollm2", "lora", 2, 0),
    ]  # fmt: skip
    assert best.legs[2].target.timeout == 7
    assert (best.strategy, best.tries) == ("ordered_fallback", 2)
    assert best.cache == routing.CachePolicy(60, 16 * 2**20)
    assert table.resolve(PLACE, "gpt-4o.best") is None
    assert "key-of" not in repr(table.routes)

    unguarded = (await load(world, allowed=("all",))).resolve(TENANT, "llm/small")
    assert unguarded is not None
    assert not unguarded.legs[0].target.replicas[0].guarded


async def test_what_is_suspended_or_going_is_left_out(world: ApiWorld) -> None:
    operator = world.operator
    await operator.create("external-endpoints", "-", "llm", {"upstreams": [upstream("eu")]})
    await operator.create("endpoints", TENANT, "chat", {"model": {"name": "smollm2"}})
    targets = [{"external": "-/llm", "model": "gpt-4o"}, {"endpoint": "chat"}]
    await operator.create("routes", TENANT, "best", {"targets": targets})
    await operator.create("routes", "-", "shared", {"targets": targets[:1]})
    table = await load(world)
    assert {route.name for route in table.routes} == {"chat", "best", "shared", "llm/gpt-4o", "llm/meta/llama"}
    await world.admin.execute("update platform_tenancy.node_path set phase = 'suspended' where path = 'acme.shop'")
    assert {route.name for route in (await load(world)).routes} == {"shared", "llm/gpt-4o", "llm/meta/llama"}
    await operator.expect(200, "DELETE", "scopes/-/routes/shared")
    assert "shared" not in {route.name for route in (await load(world)).routes}
