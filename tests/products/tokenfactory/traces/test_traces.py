"""A tenant switches traces on, reads one, and switches them off: the real gateway, API, worker and Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ironworks.app.gateway import ACTOR
from ironworks.app.gateway_observing import TracePolicies, Tracing
from ironworks.app.wiring import Process, open_process
from ironworks.platform import secrets
from ironworks.products.tokenfactory.gateway import Gateway, GatewaySettings, Sources
from ironworks.products.tokenfactory.traces import TRACE_POLICY, controller
from ironworks.shared.changelog import LoggedChange
from ironworks.shared.reconcile import reconciler_of
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import Fixed, Ledger, World, chat, key_view, listener, target, until_healthy
from tests.support.api import ApiWorld, BootstrappedPlace, Caller, api_world, bootstrapped_database
from tests.support.postgres import Server

EU, US = "acme.shop.eu", "acme.shop.us"
CHAT = "/v1/chat/completions"
ALL: dict[str, Any] = {"model": "plain", "sample_rate": 1}


@pytest.fixture
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


@dataclass
class Scene:
    api: ApiWorld
    gateway: World
    process: Process
    admin: Caller

    async def switch(self, scope: str, name: str, spec: dict[str, Any]) -> None:
        """Apply a policy and wait until the gateway goes by it."""
        body = {"metadata": {"name": name}, "spec": spec}
        await self.api.operator.expect(200, "POST", f"scopes/{scope}/trace-policies/{name}:apply", body)
        await self.settle()

    async def settle(self) -> None:
        await work(self.api.place)
        core = self.gateway.gateway._core
        assert core is not None
        self.gateway.gateway.notice(TRACE_POLICY.name)
        await asyncio.sleep(0.3)

    async def ask(self, secret: str, model: str = "plain", **more: Any) -> str:
        async with self.gateway.http(secret) as http:
            answer = await http.post(CHAT, json=chat(model, **more))
        assert answer.status_code == 200
        core = self.gateway.gateway._core
        assert core is not None
        await asyncio.sleep(0.05)
        await core.observers.captures.flush()
        return answer.headers["x-request-id"]

    async def traces(self, scope: str = EU) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.admin.get(f"scopes/{scope}/traces"))["items"]
        return found


async def work(place: BootstrappedPlace) -> None:
    """Do what a worker would do with policies, until nothing is due."""
    found = reconciler_of(controller.reconcile_trace_policy)
    assert found is not None
    async with open_process(place.settings, "worker", connections=3) as process:
        adapters: dict[type, object] = {secrets.Keyring: process.keyring}
        await ReconcileRuntime(process.database, [found], adapters).run_until_idle()


@asynccontextmanager
async def scene(place: BootstrappedPlace, upstream: Upstream, spool: Path) -> AsyncIterator[Scene]:
    async with api_world(place) as api, open_process(place.settings, "gateway", connections=3) as process:
        for path in (EU, f"{EU}.team", US):
            await api.scope(path)
        admin = await api.subject(EU, "ann", "-/tenant-admin")
        source = Fixed(
            [key_view("iwk_eu", EU), key_view("iwk_team", f"{EU}.team", invoke_scopes=(EU,)), key_view("iwk_us", US)],
            [target("plain", upstream.address, scope=scope) for scope in (EU, US, f"{EU}.team")],
        )
        ledger, sock = Ledger(), listener()
        gateway = Gateway(
            GatewaySettings(spool=spool, drain=1),
            sources=Sources(source, source, traces=TracePolicies(process.database, ACTOR)),
            charge=ledger.charge,
            trace=Tracing(process.database, process.keyring, ACTOR),
        )
        serving = asyncio.create_task(gateway.serve([sock]))
        world = World(gateway, sock.getsockname()[1], source, ledger, spool)
        try:
            await until_healthy(world.url)
            yield Scene(api, world, process, admin)
        finally:
            gateway.stop()
            await asyncio.wait_for(serving, 60)
            sock.close()


async def test_from_switching_on_to_reading(place: BootstrappedPlace, upstream: Upstream, tmp_path: Path) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.ask("iwk_eu")
        assert await made.traces() == []
        await made.switch(EU, "all", ALL)
        request_id = await made.ask("iwk_eu")
        await made.ask("iwk_us")
        [listed] = await made.traces()
        assert (listed["request_id"], listed["scope"], listed["model"]) == (request_id, EU, "plain")
        assert (listed["status"], listed["output_tokens"], listed["endpoint"]) == (200, 5, f"{EU}/plain")
        assert "request" not in listed
        read = await made.admin.get(f"scopes/{EU}/traces/{request_id}")
        assert "Tell me a story" in read["request"]
        assert "Once upon a time." in read["answer"]
        stored = await made.api.admin.fetchrow("select * from tokenfactory_traces.trace")
        assert stored is not None
        assert b"story" not in stored["ciphertext"]
        assert "story" not in repr(stored)
        audit = await made.api.operator.get(f"scopes/{EU}/audit?action=trace.read")
        assert [entry["target_id"] for entry in audit["items"]] == [request_id]
        assert "story" not in repr(audit)


async def test_streams_too(place: BootstrappedPlace, upstream: Upstream, tmp_path: Path) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL | {"max_bytes": 256})
        request_id = await made.ask("iwk_eu", stream=True)
        read = await made.admin.get(f"scopes/{EU}/traces/{request_id}")
        assert read["answer"].startswith("data: {")
        assert read["truncated"]
        assert len(read["answer"].encode()) == 256


async def test_who_may_read(place: BootstrappedPlace, upstream: Upstream, tmp_path: Path) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", {"model": "*", "sample_rate": 1})
        request_id = await made.ask("iwk_team")
        one = f"traces/{request_id}"
        assert (await made.admin.get(f"scopes/{EU}/{one}"))["scope"] == f"{EU}.team"
        team = await made.api.subject(f"{EU}.team", "tim", "-/tenant-admin")
        assert (await team.get(f"scopes/{EU}.team/{one}"))["request_id"] == request_id
        assert (await team.get(f"scopes/{EU}/trace-policies/all"))["spec"]["model"] == "*"
        for role in ("-/developer", "-/viewer"):
            caller = await made.api.subject(EU, role[2:], role)
            await caller.expect(403, "GET", f"scopes/{EU}/traces")
            await caller.expect(403, "GET", f"scopes/{EU}/{one}")
            await caller.expect(403, "DELETE", f"scopes/{EU}/{one}")
        developer = await made.api.subject(EU, "dan", "-/developer")
        body = {"metadata": {"name": "mine"}, "spec": {"model": "*"}}
        await developer.expect(403, "POST", f"scopes/{EU}/trace-policies", body)
        outsider = await made.api.subject(US, "una", "-/tenant-admin")
        await outsider.expect(404, "GET", f"scopes/{EU}/{one}")
        await outsider.expect(404, "GET", f"scopes/{US}/{one}")
        assert (await outsider.get(f"scopes/{US}/traces"))["items"] == []


async def test_a_trace_is_deleted_before_its_time(place: BootstrappedPlace, upstream: Upstream, tmp_path: Path) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        one, other = await made.ask("iwk_eu"), await made.ask("iwk_eu")
        await made.admin.expect(204, "DELETE", f"scopes/{EU}/traces/{one}")
        await made.admin.expect(404, "DELETE", f"scopes/{EU}/traces/{one}")
        assert [trace["request_id"] for trace in await made.traces()] == [other]


@pytest.mark.parametrize("by", ["switching off", "deleting"])
async def test_the_end_of_a_policy_is_the_end_of_its_traces(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path, by: str
) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        await made.ask("iwk_eu")
        if by == "deleting":
            await made.api.operator.expect(200, "DELETE", f"scopes/{EU}/trace-policies/all")
            await made.settle()
        else:
            await made.switch(EU, "all", ALL | {"enabled": False})
            policy = await made.admin.get(f"scopes/{EU}/trace-policies/all")
            assert policy["status"]["phase"] == "Off"
        assert await made.traces() == []
        for table in ("trace", "trace_key"):
            assert await made.api.admin.fetchval(f"select count(*) from tokenfactory_traces.{table}") == 0
        await made.ask("iwk_eu")
        assert await made.traces() == []


async def test_what_comes_after_the_end_is_not_stored(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    """The gateway has not heard yet that the policy is off."""
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        await made.api.operator.expect(200, "DELETE", f"scopes/{EU}/trace-policies/all")
        await work(place)
        await made.ask("iwk_eu")
        assert await made.api.admin.fetchval("select count(*) from tokenfactory_traces.trace") == 0
        core = made.gateway.gateway._core
        assert core is not None
        assert core.observers.captures.failing == ""


async def test_traces_end_with_their_retention_and_their_tenant(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", {"model": "*", "sample_rate": 1, "retention_days": 2})
        old, new, team = await made.ask("iwk_eu"), await made.ask("iwk_eu"), await made.ask("iwk_team")
        await made.api.admin.execute(
            "update tokenfactory_traces.trace set expires_at = now() - interval '1 second' where request_id = $1", old
        )
        assert {trace["request_id"] for trace in await made.traces()} == {new, team}
        await made.admin.expect(404, "GET", f"scopes/{EU}/traces/{old}")
        async with open_process(place.settings, "worker", connections=2) as worker:
            await controller.purge_expired_traces(worker.database)
            found = await made.api.admin.fetch(
                "select request_id, occurred_at, expires_at from tokenfactory_traces.trace"
            )
            assert {row["request_id"] for row in found} == {new, team}
            assert all(row["expires_at"] - row["occurred_at"] == timedelta(days=2) for row in found)
            for name, op, left in (("team", "updated", 2), ("other", "deleted", 2), ("team", "deleted", 1)):
                change = LoggedChange(1, "Tenant", uuid4(), EU, name, op, 7, datetime.now(UTC))
                async with worker.database.transaction(ACTOR) as ctx:
                    await controller.forget_tenant(ctx, change)
                assert len(await made.traces()) == left
        assert {trace["request_id"] for trace in await made.traces()} == {new}


async def spoil_key(made: Scene, scope: str) -> None:
    """A policy at `scope` whose key does not open."""
    await made.switch(scope, "other", ALL)
    spoilt = (
        "update tokenfactory_traces.trace_key set wrapped = decode(repeat('00', 60), 'hex') where scope = $1::ltree"
    )
    await made.api.admin.execute(spoilt.replace("$1", f"'{scope}'"))
    await made.settle()


async def test_a_key_that_does_not_open_costs_nobody_else_a_trace(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        await spoil_key(made, US)
        core = made.gateway.gateway._core
        assert core is not None
        async with made.gateway.http("iwk_us") as http:
            assert (await http.post(CHAT, json=chat())).status_code == 200
        request_id = await made.ask("iwk_eu")
        assert [trace["request_id"] for trace in await made.traces()] == [request_id]
        assert core.observers.captures.failing == ""


async def test_a_new_master_key_opens_what_the_old_one_wrapped(
    place: BootstrappedPlace, upstream: Upstream, tmp_path: Path
) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        request_id = await made.ask("iwk_eu")
        await spoil_key(made, US)
        current = secrets.new_master_key()
        both = secrets.parse_master_keys(f"{current}\n{place.settings.master_key}")
        async with open_process(place.settings, "worker", connections=2) as worker:
            await controller.rewrap_trace_keys(worker.database, secrets.Keyring(both))
        made.api.process.keyring.replace(secrets.parse_master_keys(current))
        read = await made.admin.get(f"scopes/{EU}/traces/{request_id}")
        assert "Tell me a story" in read["request"]


async def test_pages(place: BootstrappedPlace, upstream: Upstream, tmp_path: Path) -> None:
    async with scene(place, upstream, tmp_path) as made:
        await made.switch(EU, "all", ALL)
        asked = [await made.ask("iwk_eu") for _ in range(5)]
        listed = await made.admin.items(f"scopes/{EU}/traces?limit=2")
        assert [trace["request_id"] for trace in listed] == asked[::-1]
