"""Endpoints that heal, change and rest while they are used; keys that stop when they should."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import httpx
import pytest

from ironworks.shared.supervision import ProgramStatus
from tests.e2e.site import CHAT, EMBEDDING_MODEL, TENANT, Site, eventually
from tests.support.supervisor import lives, until

pytestmark = pytest.mark.timeout(300)
NAME = "tough"


@pytest.fixture(scope="module")
def spec(site: Site) -> Iterator[dict[str, Any]]:
    """The spec of an endpoint of these tests' own, which runs with two replicas."""
    spec = {**EMBEDDING_MODEL, "replicas": {"num": 2}}
    site.endpoint(NAME, spec)
    yield spec
    site.delete("Endpoint", TENANT, NAME)


@dataclass
class Callers:
    """Clients that call an endpoint without a pause; `failed` holds what they could not get an answer to."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def calling(site: Site, clients: int = 3) -> AsyncIterator[Callers]:
    """Embed, with several clients, until the end of the block; at least one answer comes within it."""
    callers, going = Callers(), True

    async def call() -> None:
        async with site.async_gateway() as http:
            while going:
                try:
                    answer = await http.post("embeddings", json={"model": NAME, "input": "still there?"})
                except httpx.HTTPError as problem:
                    callers.failed.append(repr(problem))
                else:
                    if answer.status_code == 200:
                        callers.answered += 1
                    else:
                        callers.failed.append(answer.text)
                await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(call()) for _ in range(clients)]
    try:
        yield callers
        before = callers.answered
        while callers.answered == before and not callers.failed:
            await asyncio.sleep(0.02)
    finally:
        going = False
        await asyncio.gather(*tasks)


def _embeds(site: Site) -> bool:
    return site.gateway().post("embeddings", json={"model": NAME, "input": "hello"}).status_code == 200


def _pids(site: Site) -> set[int]:
    """Of the endpoint's replicas that serve."""
    replicas = site.replicas(site.get("Endpoint", TENANT, NAME))
    return {each.pid for each in replicas.values() if each.up and each.pid is not None}


def _is_whole(site: Site, without: set[int]) -> set[int]:
    """Two replicas serve, none of them one of `without`, and there is no second copy of either."""
    pids = _pids(site)
    assert len(pids) == 2
    assert not pids & without
    assert set(site.copies().values()) == {1}
    site.wait_for("Endpoint", TENANT, NAME, "Running")
    assert _embeds(site)
    return pids


def test_a_killed_replica_comes_back(site: Site, spec: dict[str, Any]) -> None:
    before = _is_whole(site, set())
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    after = eventually(lambda: _is_whole(site, {victim}))
    assert after & before == before - {victim}


def test_a_killed_worker_leaves_replicas_alone(site: Site, spec: dict[str, Any]) -> None:
    before, worker = _pids(site), site.installation.pids()["worker"]
    _kill(worker)
    eventually(lambda: _is_anew(site, "worker", worker))
    site.apply("Endpoint", TENANT, NAME, {**spec, "deployment_options": {"drain_seconds": 9}})
    site.wait_for("Endpoint", TENANT, NAME, "Running")  # by the new worker
    assert _is_whole(site, set()) == before


def test_both_at_once(site: Site, spec: dict[str, Any]) -> None:
    before, worker = _pids(site), site.installation.pids()["worker"]
    for pid in (worker, *before):
        _kill(pid)
    eventually(lambda: _is_whole(site, before))
    eventually(lambda: _is_anew(site, "worker", worker))


def _kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def _is_anew(site: Site, part: str, before: int | None) -> bool:
    found = site.program(part)
    return found is not None and found.up and found.pid not in (None, before)


async def test_a_change_replaces_replicas_one_by_one_and_fails_no_request(site: Site, spec: dict[str, Any]) -> None:
    before = await asyncio.to_thread(_pids, site)
    least = 2
    async with calling(site) as callers:
        changed = {**spec, "variables": {"engine_args": {"ctx_size": 256}}}
        await asyncio.to_thread(site.apply, "Endpoint", TENANT, NAME, changed)
        while True:
            programs = await site.programs()
            found = await asyncio.to_thread(site.get, "Endpoint", TENANT, NAME)
            group = found["metadata"]["uid"].replace("-", "")
            mine = [each for name, each in programs.items() if group in name]
            least = min(least, sum(each.up for each in mine))
            assert len(mine) <= 3
            settled = found["status"]["observed_generation"] == found["metadata"]["generation"]
            if settled and found["status"]["phase"] == "Running" and not {each.pid for each in mine} & before:
                break
            await asyncio.sleep(0.1)
    assert callers.failed == []
    assert callers.answered > 0
    assert least >= 1
    assert len(await asyncio.to_thread(_is_whole, site, before)) == 2


def test_pausing_and_going_on(site: Site, spec: dict[str, Any]) -> None:
    site.apply("Endpoint", TENANT, NAME, {**spec, "replicas": {"num": 0}})
    found = site.wait_for("Endpoint", TENANT, NAME, "Paused")
    assert site.replicas(found) == {}
    refused = site.gateway().post("embeddings", json={"model": NAME, "input": "hello"})
    assert refused.status_code in (404, 503), refused.text
    site.apply("Endpoint", TENANT, NAME, {**spec, "replicas": {"num": 1}})
    found = site.wait_for("Endpoint", TENANT, NAME, "Running")
    assert len(site.replicas(found)) == 1
    eventually(lambda: _embeds(site))


def test_a_deleted_endpoint_leaves_no_process(site: Site) -> None:
    made = site.endpoint("brief", EMBEDDING_MODEL)
    [replica] = site.replicas(made).values()
    assert lives(replica.pid)
    site.delete("Endpoint", TENANT, "brief")
    kind = site.operator.kinds.find("Endpoint")
    assert kind is not None
    eventually(lambda: "brief" not in {each["metadata"]["name"] for each in site.operator.list(kind, TENANT)})
    assert site.replicas(made) == {}
    assert not lives(replica.pid)
    answer = eventually(lambda: _answer(site, 404, {"model": "brief", "input": "hello"}))
    assert answer["code"] == "model_not_found"


def _answer(site: Site, status: int, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    answer = site.gateway(key).post("embeddings", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json().get("error", answer.json()))


def test_a_suspended_platforms_keys_stop_and_work_again(site: Site) -> None:
    path = "healing.shop.eu"
    key = site.tenant(path)
    site.endpoint("own", EMBEDDING_MODEL, path)
    body = {"model": "own", "input": "hello"}
    eventually(lambda: _answer(site, 200, body, key))
    url = "/api/v1/scopes/healing/platforms/shop"
    site.operator.request("POST", f"{url}:suspend", body={"reason": "a test"})
    assert eventually(lambda: _answer(site, 403, body, key))["code"] == "platform_suspended"
    assert _answer(site, 404, {"model": "none", "input": "hello"})["code"] == "model_not_found"  # others go on
    site.operator.request("POST", f"{url}:resume", body={})
    eventually(lambda: _answer(site, 200, body, key))

    owner = f"service-account:{path}/app"
    site.apply("ApiKey", path, "app", {"owner": owner, "disabled": True})
    assert eventually(lambda: _answer(site, 401, body, key))["code"] == "api_key_disabled"
    site.apply("ApiKey", path, "app", {"owner": owner})
    eventually(lambda: _answer(site, 200, body, key))
    fresh = site.issue_key(path, "app", owner)
    assert eventually(lambda: _answer(site, 401, body, key))["code"] == "invalid_api_key"
    eventually(lambda: _answer(site, 200, body, fresh))
    site.delete("Endpoint", path, "own")


async def _is_another(site: Site, before: ProgramStatus) -> bool:
    now = (await site.programs())[before.name]
    return now.up and now.pid != before.pid


async def test_a_gateways_restart_drops_nothing(site: Site) -> None:
    """Whoever streams gets his end from the old process, whoever comes meanwhile is served by the new one."""
    numbers, complete, failed, going = count(), 0, [], True

    async def stream() -> None:
        nonlocal complete
        while going:
            body = {
                "model": CHAT,
                "messages": [{"role": "user", "content": f"Tell story {next(numbers)}."}],
                "max_tokens": 16,
                "stream": True,
            }
            async with site.async_gateway() as http:
                try:
                    answer = await http.post("chat/completions", json=body)
                except httpx.HTTPError as problem:
                    failed.append(repr(problem))
                    continue
            if answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n") and '"error"' not in answer.text:
                complete += 1
            else:
                failed.append(f"{answer.status_code} {json.dumps(answer.text[-300:])}")

    tasks = [asyncio.create_task(stream()) for _ in range(3)]
    try:
        for _ in range(2):
            before, served = (await site.programs())["gateway"], complete
            assert before.pid is not None
            while complete == served and not failed:
                await asyncio.sleep(0.05)
            os.kill(before.pid, signal.SIGTERM)
            await until(partial(_is_another, site, before), within=60)
            assert not lives(before.pid)
            served = complete
            while complete < served + 3 and not failed:
                await asyncio.sleep(0.05)
    finally:
        going = False
        await asyncio.gather(*tasks)
    assert not failed, "\n".join(failed)
    assert complete >= 6
