"""`/health`: what is wrong, since when, and what happens meanwhile; and the same in the control plane, also later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironworks.app.gateway import ACTOR
from ironworks.app.gateway_observing import Reporting
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory.gateway import HealthReport, ObservingSettings, operations
from ironworks.products.tokenfactory.gateway.health import Health, Trouble
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, post, run_world, targets_for
from tests.support.api import BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server

CHAT = "/v1/chat/completions"


async def health(world: World) -> tuple[int, dict[str, Any]]:
    async with world.http() as http:
        answer = await http.get("/health")
    return answer.status_code, answer.json()


async def until(world: World, status: str, within: float = 60.0) -> dict[str, Any]:
    async with asyncio.timeout(within):
        while True:
            _, found = await health(world)
            if found["status"] == status:
                return found
            await asyncio.sleep(0.05)


async def test_all_is_well(world: World) -> None:
    assert await health(world) == (200, {"status": "ok", "problems": [], "checks": []})


async def test_charging_that_fails_is_no_reason_not_to_serve(world: World) -> None:
    world.ledger.broken = True
    async with world.http() as http:
        assert (await http.post(CHAT, json=chat())).status_code == 200
        found = await until(world, "degraded")
        [check] = found["checks"]
        assert (check["component"], check["state"], check["reason"]) == ("charging", "degraded", "ChargingFails")
        assert "spool" in check["meanwhile"]
        assert check["since"] > 0
        assert (await http.get("/health")).status_code == 200
        assert (await http.post(CHAT, json=chat())).status_code == 200
        world.ledger.broken = False
        await until(world, "ok")
    await world.ledger.expect(2)


async def test_a_database_that_is_gone_is_told_of_with_what_happens_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironworks.products.tokenfactory.gateway.health.LOST_AFTER", 0.2)
    world.source.broken = True
    world.gateway.notice("")
    found = await until(world, "degraded")
    checks = {check["component"]: check for check in found["checks"]}
    assert "snapshot.keys" in checks
    assert "however old that gets" in checks["snapshot.keys"]["meanwhile"]
    async with world.http() as http:
        assert (await http.post(CHAT, json=chat())).status_code == 200
    world.source.broken = False


async def test_too_old_is_not_served_where_the_operator_says_so(upstream: Upstream, tmp_path: Path) -> None:
    targets = targets_for(upstream.address)
    async with run_world(tmp_path / "spool", targets, when_stale="refuse", stale_after=0.5) as world:
        world.source.broken = True
        world.gateway.notice("")
        found = await until(world, "unavailable")
        assert "SnapshotStale" in found["problems"]
        assert (await health(world))[0] == 503
        world.source.broken = False
        await until(world, "ok")


async def test_who_is_elsewhere_gets_reasons_and_no_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    core = world.gateway._core
    assert core is not None
    trouble = Trouble("snapshot.routes", "degraded", "PartNotLoaded", "Endpoint acme.shop/secret-project", "served")
    core.health.checks.append(lambda: [trouble])
    assert "secret-project" in repr(await health(world))
    async with world.http() as http:
        for header in ("x-forwarded-for", "forwarded", "via", "x-real-ip"):
            passed_on = {header: "198.51.100.7"}
            told = (await http.get("/health", headers=passed_on)).json()
            assert told == {"status": "degraded", "problems": ["PartNotLoaded"]}, "a proxy here, its caller elsewhere"
            assert (await http.get("/metrics", headers=passed_on)).status_code == 404
        assert (await http.get("/metrics")).status_code == 200
    monkeypatch.setattr(operations, "_is_local", lambda client, request: False)
    assert (await health(world))[1] == {"status": "degraded", "problems": ["PartNotLoaded"]}


async def test_draining_is_told_to_who_still_asks(world: World, upstream: Upstream) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"}")
    writer.write(post(CHAT, chat("waits", stream=True)))
    await reader.readuntil(b" a")
    asked = await asyncio.open_connection("127.0.0.1", world.port)
    await asyncio.sleep(0.1)
    world.gateway.stop()
    await asyncio.sleep(0.2)
    asked[1].write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await asked[0].read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"Draining"' in answer
    upstream.release.set()
    assert b"[DONE]" in await reader.read()
    for stream in (writer, asked[1]):
        stream.close()


async def test_the_host_is_told_in_a_file(upstream: Upstream, tmp_path: Path) -> None:
    observing = ObservingSettings(counts=tmp_path / "run")
    file = tmp_path / "run" / f"{os.getpid()}.health"
    async with run_world(tmp_path / "spool", targets_for(upstream.address), observing=observing) as world:
        world.ledger.broken = True
        async with world.http() as http:
            await http.post(CHAT, json=chat())
        async with asyncio.timeout(60):
            while not file.exists() or b"ChargingFails" not in file.read_bytes():
                await asyncio.sleep(0.05)
        world.ledger.broken = False
    assert not file.exists()


def test_incidents_are_remembered_with_their_end() -> None:
    found: list[Trouble] = []
    made = Health(checks=[lambda: found])
    found.append(Trouble("spool", "failing", "SpoolUnavailable", "the disk is full", "nothing is served"))
    made.look()
    made.look()
    assert made.status == "unavailable"
    found.clear()
    made.look()
    assert made.status == "ok"
    [incident] = made.report().incidents
    assert incident.until is not None
    assert incident.since <= incident.until


def test_a_check_that_fails_is_itself_a_trouble() -> None:
    def broken() -> list[Trouble]:
        raise RuntimeError("no")

    made = Health(checks=[broken])
    made.look()
    assert [trouble.reason for trouble in made.troubles] == ["CheckFailed"]


@pytest.fixture
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


async def test_the_control_plane_hears_of_it_once_its_database_is_back(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    away = False
    async with api_world(place) as api, open_process(place.settings, "gateway", connections=2) as process:
        reporting = Reporting(process.database, ACTOR)

        async def report(told: HealthReport) -> None:
            if away:
                raise ConnectionError("the database is down")
            await reporting(told)

        targets = targets_for(upstream.address)
        async with run_world(tmp_path / "spool", targets, report=report) as world:
            async with asyncio.timeout(60):
                found: list[dict[str, Any]] = []
                while not found or found[0]["status"] != "ok":
                    await asyncio.sleep(0.1)
                    found = (await api.operator.get("gateway/processes"))["items"]
            assert [process["pid"] for process in found] == [os.getpid()]
            away = world.ledger.broken = True
            async with world.http() as http:
                await http.post(CHAT, json=chat())
            await until(world, "degraded")
            await asyncio.sleep(1.2)
            away = world.ledger.broken = False
            await until(world, "ok")
            async with asyncio.timeout(60):
                while not (incidents := (await api.operator.get("gateway/incidents"))["items"]):
                    await asyncio.sleep(0.1)
                while incidents[0]["until"] is None:
                    await asyncio.sleep(0.1)
                    incidents = (await api.operator.get("gateway/incidents"))["items"]
            assert [(i["component"], i["reason"]) for i in incidents] == [("charging", "ChargingFails")]
        [stopped] = (await api.operator.get("gateway/processes"))["items"]
        assert stopped["status"] == "stopped"
        await api.scope("acme.shop.eu")
        tenant = await api.subject("acme.shop.eu", "ann", "-/tenant-admin")
        await tenant.expect(403, "GET", "gateway/processes")
