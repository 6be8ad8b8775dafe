"""The real gateway program, its real database behind a way that can be cut, and NATS down all the time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.products.tokenfactory.cuttable import Cuttable, cuttable
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import chat
from tests.support.api import MASTER_KEY, ApiWorld, BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server, free_port

SCOPE = "acme.shop.eu"
CHAT = "/v1/chat/completions"


@pytest.fixture
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


@dataclass
class Site:
    """The gateway's process and those around it. `key` may call the endpoint `chat`."""

    api: ApiWorld
    way: Cuttable
    home: Path
    port: int
    key: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        database = self.api.place.url("gateway").replace(f":{self.api.place.port}/", f":{self.way.port}/")
        settings = {
            "IRONWORKS_HOME": str(self.home),
            "IRONWORKS_GATEWAY_PORT": str(self.port),
            "IRONWORKS_GATEWAY_DATABASE_URL": database,
            "IRONWORKS_MASTER_KEY": MASTER_KEY,
            "IRONWORKS_NATS_URL": f"nats://127.0.0.1:{free_port()}",  # nobody is there
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("IRONWORKS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ironworks.app", "gateway"], env={**inherited, **settings, "PYTHONPATH": "src"}
        )

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.process.wait, 40) == 0
        self.process = None

    async def ask(self, key: str | None = None, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as http:
            headers = {"authorization": f"Bearer {key or self.key}"}
            return await http.post(CHAT, json=chat("chat", **more), headers=headers)

    async def health(self) -> tuple[int, dict[str, Any]]:
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as http:
            answer = await http.get("/health")
            return answer.status_code, answer.json()

    async def until(self, ready: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while True:
                try:
                    if await ready():
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def is_ok(self) -> bool:
        return (await self.health())[1]["status"] == "ok"

    async def answers(self) -> bool:
        return (await self.ask()).status_code == 200

    async def reasons(self) -> dict[str, str]:
        return {check["component"]: check["reason"] for check in (await self.health())[1]["checks"]}

    async def charged(self) -> list[str]:
        rows = await self.api.admin.fetch("select event_id from platform_metering.usage_event order by event_id")
        return [row["event_id"] for row in rows]


async def endpoint(api: ApiWorld, name: str, address: str) -> None:
    """An endpoint that is served at `address`, as its controller would report it."""
    await api.operator.create("endpoints", SCOPE, name, {"model": {"name": "smollm2"}})
    replica = {"name": "r1", "address": address, "state": "ready", "revision": "1"}
    status = {"phase": "Running", "conditions": [], "observed_generation": 1, "replicas": [replica]}
    await api.admin.execute(
        "update inference_endpoints.endpoint set status = $1::jsonb where name = $2", json.dumps(status), name
    )


@asynccontextmanager
async def running(place: BootstrappedPlace, upstream: Upstream, home: Path) -> AsyncIterator[Site]:
    async with api_world(place) as api, cuttable(place.port) as way:
        background = [asyncio.create_task(job) for job in api.process.background()]
        await api.scope(SCOPE)
        await endpoint(api, "chat", upstream.address)
        caller = await api.subject(SCOPE, "app", "-/developer")
        assert caller.token is not None
        site = Site(api, way, home, free_port(), caller.token)
        try:
            yield site
        finally:
            if site.process is not None:
                site.process.kill()
                site.process.wait()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


async def test_the_database_goes_away_and_comes_back(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with running(place, upstream, tmp_path / "home") as site:
        site.start()
        await site.until(site.is_ok)
        await site.until(site.answers)
        site.way.cut()
        answered = []
        async with asyncio.timeout(60):
            while True:
                answer = await site.ask()
                assert answer.status_code == 200
                answered.append(answer.headers["x-request-id"])
                if {"charging", "snapshot"} <= set(await site.reasons()):
                    break
                await asyncio.sleep(0.2)
        status, found = await site.health()
        assert (status, found["status"]) == (200, "degraded")
        async with httpx.AsyncClient(base_url=site.url) as http:
            metrics = (await http.get("/metrics")).text
        assert "ironworks_gateway_health 1.0" in metrics
        site.way.mend()
        await site.until(site.is_ok)

        async def all_charged() -> bool:
            return set(answered) <= set(await site.charged())

        await site.until(all_charged)
        charged = await site.charged()
        assert len(charged) == len(set(charged))

        async def told() -> bool:
            items = (await site.api.operator.get("gateway/incidents"))["items"]
            ended = {item["component"] for item in items if item["until"] is not None}
            return {"charging", "snapshot"} <= ended

        await site.until(told)
        await site.stop()


async def test_a_start_without_the_database_serves_what_was_known(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with running(place, upstream, tmp_path / "home") as site:
        site.start()
        await site.until(site.is_ok)
        kept = site.home / "spool" / "snapshot"

        async def is_kept() -> bool:
            return kept.exists()

        await site.until(is_kept, within=60)
        await site.stop()
        site.way.cut()
        site.start()
        await site.until(site.answers)
        assert (await site.health())[1]["status"] == "degraded"
        assert (await site.ask("iwk_nobodys")).status_code == 401
        site.way.mend()
        await site.until(site.is_ok)
        await site.stop()


async def test_a_first_start_without_the_database_refuses_until_it_is_there(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with running(place, upstream, tmp_path / "home") as site:
        site.way.cut()
        site.start()

        async def refuses() -> bool:
            return (await site.health())[0] == 503

        await site.until(refuses)
        assert "Starting" in (await site.health())[1]["problems"]
        refused = await site.ask()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "starting")
        site.way.mend()
        await site.until(site.answers)
        await site.until(site.is_ok)
        await site.stop()


async def test_a_row_that_cannot_be_read_takes_nothing_else_with_it(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with running(place, upstream, tmp_path / "home") as site:
        await endpoint(site.api, "broken", upstream.address)
        await site.api.admin.execute(
            """update inference_endpoints.endpoint set spec = '{"model": 5}' where name = 'broken'"""
        )
        site.start()
        await site.until(site.answers)
        problems = [check["message"] for check in (await site.health())[1]["checks"]]
        assert any("broken" in problem and "left out" in problem for problem in problems), problems
        assert (await site.health())[0] == 200
        async with httpx.AsyncClient(base_url=site.url, headers={"authorization": f"Bearer {site.key}"}) as http:
            models = {model["id"] for model in (await http.get("/v1/models")).json()["data"]}
        assert models == {"chat"}
        await site.stop()
