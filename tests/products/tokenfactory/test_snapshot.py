"""How fast a change arrives, and what is served while nothing does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, key_view, run_world, targets_for


@contextlib.asynccontextmanager
async def fed(world: World):  # type: ignore[no-untyped-def]
    """Heartbeats, as from a live feed."""

    async def beat() -> None:
        while True:
            world.gateway.heartbeat()
            await asyncio.sleep(0.3)

    task = asyncio.create_task(beat())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()


async def until_refused(world: World) -> float:
    began = time.monotonic()
    async with world.http() as http, asyncio.timeout(60):
        while (await http.post("/v1/chat/completions", json=chat())).status_code == 200:
            await asyncio.sleep(0.005)
    return time.monotonic() - began


async def until_served(world: World) -> None:
    async with world.http() as http, asyncio.timeout(60):
        while (await http.get("/v1/models")).status_code != 200:
            await asyncio.sleep(0.005)


async def test_a_revoked_key_stops_within_a_second(world: World) -> None:
    async with fed(world):
        took = []
        for _ in range(3):  # a busy machine may delay one of them
            world.source.keys[:] = [key_view()]
            world.gateway.notice("ApiKey")
            await until_served(world)
            world.source.keys.clear()
            world.gateway.notice("ApiKey")
            took.append(await until_refused(world))
        assert min(took) < 1.0


async def test_a_revoked_key_stops_also_while_routes_cannot_be_loaded(world: World) -> None:
    async with fed(world):
        world.source.unroutable = True
        world.gateway.notice("Endpoint")
        took = []
        for _ in range(3):  # a busy machine may delay one of them
            world.source.keys[:] = [key_view()]
            world.gateway.notice("ApiKey")
            await until_served(world)
            world.source.keys.clear()
            world.gateway.notice("ApiKey")
            took.append(await until_refused(world))
        assert min(took) < 1.0


async def test_a_change_that_nobody_told_of_is_found_by_polling(world: World) -> None:
    world.source.keys[:] = [key_view(disabled=True)]
    await until_refused(world)


async def test_a_feed_that_dies_is_replaced_by_polling(world: World) -> None:
    async with fed(world):
        await asyncio.sleep(1.5)
    world.source.keys.clear()
    await until_refused(world)


async def test_what_does_not_concern_it_is_not_loaded(world: World) -> None:
    async with fed(world):
        await asyncio.sleep(1.5)
        loads = world.source.loads
        for kind in ("Bucket", "Invoice"):
            world.gateway.notice(kind)
        await asyncio.sleep(0.3)
        assert world.source.loads == loads
        for _ in range(50):
            world.gateway.notice("ApiKey")
        await asyncio.sleep(0.5)
        assert loads < world.source.loads <= loads + 3


async def test_a_control_plane_that_is_down_stops_nobody(world: World) -> None:
    world.source.broken = True
    world.gateway.notice("ApiKey")
    await asyncio.sleep(1.5)
    async with world.http() as http:
        assert (await http.post("/v1/chat/completions", json=chat())).status_code == 200
        assert "snapshot_age_seconds" in (await http.get("/metrics")).text


async def test_stale_data_are_refused_where_that_is_set(upstream: Upstream, tmp_path: Path) -> None:
    settings = {"stale_after": 1.5, "when_stale": "refuse"}
    async with run_world(tmp_path, targets_for(upstream.address), **settings) as world, world.http() as http:
        world.source.broken = True
        await asyncio.sleep(3)
        answer = await http.post("/v1/chat/completions", json=chat())
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stale")
        assert (await http.get("/healthz")).json()["problems"] == ["stale"]
        world.source.broken = False
        await asyncio.sleep(2.5)
        assert (await http.post("/v1/chat/completions", json=chat())).status_code == 200


async def test_a_key_expires_without_being_told(world: World) -> None:
    world.source.keys[:] = [key_view(expires_at=time.time() + 0.5)]
    world.gateway.notice("ApiKey")
    await until_refused(world)
