"""A process that starts or stops takes no request from anybody: callers wait a moment, and notice nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, Sources
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SECRET, Fixed, Ledger, World, chat, key_view, listener, post, targets_for


@dataclass
class Slow(Fixed):
    """Keys that take a while to come."""

    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def load_keys(self):  # type: ignore[no-untyped-def]
        await self.release.wait()
        return await super().load_keys()


async def test_who_comes_before_the_keys_do_waits_for_them(tmp_path: Path, upstream: Upstream) -> None:
    source, sock, ledger = Slow([key_view()], targets_for(upstream.address)), listener(), Ledger()
    gateway = Gateway(GatewaySettings(spool=tmp_path), sources=Sources(source, source), charge=ledger.charge)
    serving = asyncio.create_task(gateway.serve([sock]))
    try:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {SECRET}"}, timeout=20) as http:
            early = asyncio.create_task(http.post("/v1/chat/completions", json=chat()))
            await asyncio.sleep(0.2)
            assert not early.done()
            source.release.set()
            assert (await early).status_code == 200
    finally:
        gateway.stop()
        await asyncio.wait_for(serving, 60)
        sock.close()


async def test_keys_that_do_not_come_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    source, sock, ledger = Slow([key_view()]), listener(), Ledger()
    settings = GatewaySettings(spool=tmp_path, first_load=0.1)
    gateway = Gateway(settings, sources=Sources(source, source), charge=ledger.charge)
    serving = asyncio.create_task(gateway.serve([sock]))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=20) as http:
            assert (await http.get("/healthz")).status_code == 503
            refused = await http.post("/v1/chat/completions", json=chat())
            assert refused.json()["error"]["code"] == "starting"
    finally:
        gateway.stop()
        await asyncio.wait_for(serving, 60)
        sock.close()


async def test_who_has_just_connected_is_served_before_the_end(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    async with world.http() as http:  # so that the connection above is accepted, too
        assert (await http.get("/healthz")).status_code in (200, 503)
    world.gateway.stop()
    await asyncio.sleep(0.1)
    writer.write(post("/v1/chat/completions", chat()))
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
