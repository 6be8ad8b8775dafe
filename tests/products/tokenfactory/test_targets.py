"""How the targets of a Route stand: what a process sees of them, what is made of that, and who is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from ironworks.app.gateway import ACTOR
from ironworks.app.gateway_observing import Reporting
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory.gateway import HealthReport
from ironworks.products.tokenfactory.gateway.summing import Seen, place_of, set_aside, sum_up
from ironworks.products.tokenfactory.gateway.targets import TargetState
from ironworks.products.tokenfactory.routing import Leg, Route, RouteTarget
from tests.products.tokenfactory.routing.conftest import PLACE, Routing, bootstrapped, external, here, named
from tests.products.tokenfactory.routing.served import ask, at, nobody, route
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, run_world

__all__ = ["bootstrapped", "here"]
ONE, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- what a process sees -----------------------------------------------------------------------------------------


def declared(*legs: Leg, strategy: Any = "ordered_fallback") -> Route:
    """As a Route makes them: each leg a target of its own."""
    found = route(strategy=strategy, legs=())
    return replace(found, legs=tuple(replace(leg, gate=f"{found.uid}/{place}") for place, leg in enumerate(legs)))


def leg(target: Any) -> Leg:
    return Leg(target, target.served_as, target.model)


def told(world: World) -> tuple[TargetState, ...]:
    assert world.gateway._core is not None
    return world.gateway._core.health.report().targets


async def test_who_refuses_connections_is_told_of_until_he_is_back(upstream: Upstream, tmp_path: Path) -> None:
    dead, well = at(nobody(), gate="7/eu"), at(upstream)
    async with run_world(tmp_path, [], routes=[declared(leg(dead), leg(well))]) as world:
        assert told(world) == (), "of what is well and idle nothing is said"
        assert (await ask(world)).status_code == 200
        [state] = told(world)
        assert (state.place, state.upstream, state.upstreams, state.standing) == (0, "eu", 1, "ejected")
        assert state.fault == "the model server cannot be reached: ConnectionRefusedError"
        assert state.until is not None
        assert state.failed_at is not None
        assert 0 < state.until - time.time() <= 1
        assert 0 <= time.time() - state.failed_at < 5
        assert world.gateway._core is not None
        found = world.gateway._core.balancer
        [(_, _, seen)] = list(found.noteworthy(world.gateway._core.now()))
        seen.recovered(world.gateway._core.now())
        assert told(world)[0].standing == "slow_start"


async def test_what_serves_somebody_is_told_with_its_queue(upstream: Upstream, tmp_path: Path) -> None:
    import asyncio

    target = at(upstream, "waits", gate="7/eu", max_concurrency=1, max_queue=2)
    async with run_world(tmp_path, [], routes=[declared(leg(target))]) as world:
        asking = [asyncio.ensure_future(ask(world, stream=True)) for _ in range(2)]
        async with asyncio.timeout(60):
            while not told(world) or not told(world)[0].queued:
                await asyncio.sleep(0.02)
        [state] = told(world)
        assert (state.standing, state.until, state.in_flight, state.queued) == ("healthy", None, 1, 1)
        assert world.gateway._core is not None
        assert state.news not in world.gateway._core.health.report().news[2], "counts are no news"  # type: ignore[operator]
        upstream.release.set()
        await asyncio.gather(*asking)


# --- what is made of it ------------------------------------------------------------------------------------------


def seen(process: UUID = ONE, upstream: str = "eu", standing: Any = "ejected", **changes: Any) -> Seen:
    made = Seen(0, upstream, 1, standing, NOW, "it answered 503", NOW, 0, 0, None, process)
    return replace(made, **changes)


def test_a_target_stands_as_its_best_upstream_where_it_stands_worst() -> None:
    assert sum_up([], 0).state == "unknown"
    assert sum_up([], 2).state == "healthy"
    whole = sum_up([seen(), seen(OTHER, standing="slow_start", until=None)], 2)
    assert (whole.state, whole.processes, whole.until, whole.fault) == ("ejected", 1, NOW, "it answered 503")
    two = [seen(upstreams=2), seen(upstream="us", upstreams=2, standing="slow_start", in_flight=3, queued=1)]
    both = sum_up(two, 1)
    assert (both.state, both.in_flight, both.queued) == ("slow_start", 3, 1)
    assert {name: (one.state, one.processes) for name, one in both.upstreams.items()} == {
        "eu": ("ejected", 1), "us": ("slow_start", 1),
    }  # fmt: skip
    assert sum_up(two[:1], 1).state == "healthy", "the upstream that nothing is said of is well"


def test_a_target_is_set_aside_where_a_process_uses_none_of_its_upstreams() -> None:
    assert set_aside([]) == {}
    assert set_aside([seen(upstreams=2), seen(place=1)]) == {1: "it answered 503"}
    assert set_aside([seen(standing="resting")]) == {}


def test_figures_find_their_target() -> None:
    targets = [
        RouteTarget(external="providers", model="gpt-4o"),
        RouteTarget(external="providers", model="gpt-4o-mini"),
        RouteTarget(external="providers", model="gpt-4o", served_as="gpt-4o-2024"),
        RouteTarget(endpoint="acme.shop.eu/chat"),
        RouteTarget(endpoint="chat-2", served_as="lora"),
    ]
    groups = {
        "acme.shop/providers:gpt-4o@eu": 0,
        "acme.shop/providers:gpt-4o@us": 0,
        "acme.shop/providers:gpt-4o-mini@eu": 1,
        "acme.shop/providers:gpt-4o@eu as gpt-4o-2024": 2,
        "acme.shop/providers:gpt-4o@eu as what-it-was-before": 0,
        "acme.shop.eu/chat": 3,
        "acme.shop/chat-2:as lora": 4,
        "acme.shop/chat-22": None,
        "acme.shop/providers": None,
    }
    assert {group: place_of(group, targets, PLACE) for group in groups} == groups


# --- who is told -------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """A gateway that says what a test has it say, beside the API and a worker."""

    here: Routing
    reporting: Reporting
    uid: UUID
    process: UUID

    async def say(self, *targets: TargetState, process: UUID | None = None) -> None:
        now = time.time()
        report = HealthReport(process or self.process, "host", 1, now, "ok", (), (), targets)
        await self.reporting(report)

    def state(self, place: int = 0, standing: Any = "ejected", **changes: Any) -> TargetState:
        now = time.time()
        made = TargetState(self.uid, PLACE, place, "eu", 1, standing, now + 5, "it answered 503", now, 2, 0, 120.0)
        return replace(made, **changes)

    async def read(self) -> Any:
        return await self.here.world.operator.get(f"scopes/{PLACE}/routes/best/health")

    async def route(self) -> Any:
        return await self.here.world.operator.get(f"scopes/{PLACE}/routes/best")


@pytest.fixture
async def said(here: Routing) -> AsyncIterator[Said]:
    operator = here.world.operator
    await operator.expect(201, "POST", f"scopes/{PLACE}/external-endpoints", named("openai", external()))
    targets = [{"external": "openai", "model": "gpt-4o"}, {"external": "openai", "model": "small"}]
    made = await operator.expect(201, "POST", f"scopes/{PLACE}/routes", named("best", {"targets": targets}))
    await here.reconcile()
    async with open_process(here.world.place.settings, "gateway", connections=2) as process:
        yield Said(here, Reporting(process.database, ACTOR), UUID(made["metadata"]["uid"]), uuid4())


async def test_a_route_tells_how_its_targets_stand(said: Said) -> None:
    assert {t["state"] for t in (await said.read())["targets"]} == {"unknown"}, "no gateway reports"
    await said.say()
    assert [(t["target"], t["state"]) for t in (await said.read())["targets"]] == [
        ("external openai: gpt-4o", "healthy"), ("external openai: small", "healthy"),
    ]  # fmt: skip
    await said.say(said.state())
    await said.say(said.state(standing="slow_start", fault=""), process=uuid4())
    found = await said.read()
    first, second = found["targets"]
    assert (found["route"], found["model"], found["processes"]) == (f"{PLACE}/best", "best", 2)
    assert (first["state"], first["processes"], first["reason"], first["in_flight"]) == (
        "ejected", 1, "it answered 503", 4,
    )  # fmt: skip
    assert first["until"] > found["since"]
    assert [(u["upstream"], u["state"]) for u in first["upstreams"]] == [("eu", "ejected")]
    assert (second["state"], second["upstreams"]) == ("healthy", [])
    assert second["figures"] == {
        "requests": 0, "client_errors": 0, "server_errors": 0, "latency_ms": None, "first_token_ms": None,
    }  # fmt: skip


async def test_a_route_whose_targets_are_set_aside_says_so_and_heals(said: Said) -> None:
    await said.say(said.state())
    await said.here.runtime.run_until_idle()
    status = (await said.route())["status"]
    assert (status["phase"], [t["reason"] for t in status["targets"]]) == ("Degraded", ["Ejected", "Ready"])
    await said.say(said.state(), said.state(1, fault="the model server took too long"))
    await said.here.runtime.run_until_idle()
    status = (await said.route())["status"]
    [ready] = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert (status["phase"], ready["status"], ready["reason"]) == ("Failed", "False", "TargetsEjected")
    assert "external openai: small: set aside by a gateway: the model server took too long" in ready["message"]
    await said.say(said.state(1, standing="slow_start"))
    await said.here.runtime.run_until_idle()
    assert (await said.route())["status"]["phase"] == "Ready"


async def test_what_did_not_change_is_not_written_and_calls_nobody(said: Said) -> None:
    pokes: list[int] = []
    quick = replace(said.reporting, poke=lambda: pokes.append(1))
    loud = Said(said.here, quick, said.uid, said.process)
    state = said.state()
    await loud.say(state)
    await loud.say(state)
    await loud.say(replace(state, until=time.time() + 9, in_flight=7))
    assert pokes == [1]
    assert (await said.read())["targets"][0]["in_flight"] == 7
    await loud.say()
    assert pokes == [1, 1]


async def test_only_who_may_read_the_route_is_told(said: Said) -> None:
    world = said.here.world
    await said.say(said.state())
    below = await world.subject(f"{PLACE}.eu", "ann", "-/viewer")
    told = await below.get(f"scopes/{PLACE}/routes/best/health")
    assert told["targets"][0]["state"] == "ejected", "a route is handed down"
    await world.scope("rival.shop.eu")
    rival = await world.subject("rival.shop.eu", "eve", "-/tenant-admin")
    await rival.expect(404, "GET", f"scopes/{PLACE}/routes/best/health")
    await world.operator.expect(404, "GET", f"scopes/{PLACE}/routes/none/health")


async def test_an_external_endpoint_tells_how_it_stands_by_each_route_that_leads_there(said: Said) -> None:
    world = said.here.world
    await world.scope(f"{PLACE}.eu")
    here = f"scopes/{PLACE}/external-endpoints/openai/health"
    targets = [{"external": f"{PLACE}/openai", "model": "small"}]
    below = await world.operator.expect(201, "POST", f"scopes/{PLACE}.eu/routes", named("low", {"targets": targets}))
    other = UUID(below["metadata"]["uid"])
    await said.here.reconcile()
    assert [r["targets"][0]["state"] for r in (await world.operator.get(here))["routes"]] == ["unknown", "unknown"]
    await said.say(said.state(1), replace(said.state(), route=other, scope=f"{PLACE}.eu"))
    found = await world.operator.get(here)
    assert (found["external"], found["processes"], found["more"]) == (f"{PLACE}/openai", 1, False)
    assert [(r["route"], r["model"], [(t["target"], t["state"]) for t in r["targets"]]) for r in found["routes"]] == [
        (f"{PLACE}/best", "best", [("external openai: gpt-4o", "healthy"), ("external openai: small", "ejected")]),
        (f"{PLACE}.eu/low", "low", [(f"external {PLACE}/openai: small", "ejected")]),
    ]
    [upstream] = found["routes"][1]["targets"][0]["upstreams"]
    assert (upstream["upstream"], upstream["reason"]) == ("eu", "it answered 503")
    await world.operator.expect(404, "GET", f"scopes/{PLACE}/external-endpoints/none/health")


async def test_of_routes_that_one_may_not_read_an_external_endpoint_tells_nothing(said: Said) -> None:
    world = said.here.world
    targets = [{"external": f"{PLACE}/openai", "model": "small"}]
    for tenant in ("eu", "us"):
        await world.scope(f"{PLACE}.{tenant}")
        await world.operator.expect(201, "POST", f"scopes/{PLACE}.{tenant}/routes", named(tenant, {"targets": targets}))
    below = await world.subject(f"{PLACE}.eu", "ann", "-/viewer")
    told = await below.get(f"scopes/{PLACE}/external-endpoints/openai/health")
    assert [r["route"] for r in told["routes"]] == [f"{PLACE}/best", f"{PLACE}.eu/eu"]
    await world.scope("rival.shop.eu")
    rival = await world.subject("rival.shop.eu", "eve", "-/tenant-admin")
    await rival.expect(404, "GET", f"scopes/{PLACE}/external-endpoints/openai/health")
