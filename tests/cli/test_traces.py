"""What the command line shows of traces and of the gateway's processes, against a served API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from ironworks.app.gateway import ACTOR
from ironworks.app.wiring import Process, open_process
from ironworks.cli.main import main
from ironworks.products.tokenfactory import gateway, traces
from ironworks.products.tokenfactory.gateway.health import Incident, Trouble, Uncharged
from ironworks.products.tokenfactory.traces import service
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from ironworks.shared.context import Context
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server

Run: TypeAlias = Callable[..., str]
SCOPE = "acme.shop.eu"


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            client.apply({"kind": "Account", "metadata": {"name": "acme", "scope": "-"}})
            client.apply({"kind": "Platform", "metadata": {"name": "shop", "scope": "acme"}})
            client.apply({"kind": "Tenant", "metadata": {"name": "eu", "scope": "acme.shop"}})
            spec = {"model": "*", "sample_rate": 1}
            made = client.apply({"kind": "TracePolicy", "metadata": {"name": "all", "scope": SCOPE}, "spec": spec})
        asyncio.run(fill(served, UUID(made["resource"]["metadata"]["uid"])))
        yield served
    postgres.drop_database(place)


async def fill(api: ServedApi, policy: UUID) -> None:
    """What a worker and a gateway would leave behind."""
    captured = traces.Captured(
        request_id="req_1", scope=SCOPE, key_uid=uuid4(), occurred_at=time.time(), operation="/v1/chat/completions",
        model="chat", endpoint=f"{SCOPE}/chat", status=200, input_tokens=3, output_tokens=4,
        content_type="application/json", request=b'{"model":"chat","n":1}', answer=b"data: once upon a time\n\n",
        truncated=True,
    )  # fmt: skip
    trouble = Trouble("spool", "failing", "SpoolUnavailable", "the disk is full", "nothing is served")
    incident = Incident("charging", "ChargingFails", "the database is down", time.time() - 60, time.time())
    report = gateway.HealthReport(
        uuid4(), "host-1", 4711, time.time(), "unavailable", (trouble,), (incident,), uncharged=Uncharged(2048, 90.5)
    )
    async with open_process(api.place.settings, "worker", connections=1) as process, in_it(process) as ctx:
        await service.give_key(ctx, process.keyring, policy, SCOPE)
    async with open_process(api.place.settings, "gateway", connections=1) as process, in_it(process) as ctx:
        [view] = await traces.list_policies(ctx)
        await traces.save_traces(ctx, process.keyring, [replace(captured, policy=view)])
        await gateway.report_health(ctx, report)


def in_it(process: Process) -> AbstractAsyncContextManager[Context]:
    return process.database.transaction(ACTOR)


@pytest.fixture
def run(api: ServedApi) -> Run:
    """The command as the operator; its output, after checking its exit code."""

    def invoke(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["--url", api.url, "--token", api.place.operator_token, *words])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def test_traces_are_listed_shown_and_deleted(run: Run) -> None:
    heads, line = run("traces", "list", "-s", "acme.shop").splitlines()
    assert heads.split()[:3] == ["TIME", "SCOPE", "MODEL"]
    assert {SCOPE, "chat", "200", "46+", "req_1"} <= set(line.split())
    shown = run("traces", "show", "req_1", "-s", SCOPE)
    assert '  "model": "chat"' in shown
    assert "data: once upon a time" in shown
    assert "46 bytes, cut off" in shown
    assert json.loads(run("traces", "show", "req_1", "-s", SCOPE, "-o", "json"))["status"] == 200
    assert run("traces", "delete", "req_1", "-s", SCOPE) == "req_1 deleted\n"
    assert "no trace 'req_1'" in run("traces", "show", "req_1", "-s", SCOPE, code=3)


def test_how_the_gateways_processes_are(run: Run) -> None:
    processes, incidents = run("gateway", "processes"), run("gateway", "incidents")
    assert "spool: the disk is full" in processes
    assert {"host-1", "4711", "unavailable"} <= set(processes.split())
    assert "90.5 s, 2048 B" in processes
    assert {"charging", "ChargingFails"} <= set(incidents.split())
    assert json.loads(run("gateway", "incidents", "-o", "json"))["items"][0]["until"]
