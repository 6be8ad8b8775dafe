"""Endpoints for real: a real supervisor, the real engine, real models, real deaths."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ironworks.products.inference import clusters, endpoints, models
from ironworks.products.inference.endpoints import service
from ironworks.shared.context import system_actor
from ironworks.shared.lookup import load_by_uid
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.products.inference.serving import fetched
from tests.products.inference.world import World, make_world
from tests.support.postgres import TestDatabase, free_port
from tests.support.supervisor import SupervisorUnderTest, lives, supervisor_under_test, until

pytestmark = pytest.mark.timeout(300)
BOTH = {"smollm2": "text-generation", "all-minilm-l6-v2": "text-embedding"}


@dataclass
class Site:
    """One machine: its supervisor, its models, and a worker that can be killed and started again."""

    supervisor: SupervisorUnderTest
    world: World
    machine: clusters.LocalCluster
    worker: asyncio.Task[None] | None = None

    async def start_worker(self) -> None:
        runtime = await self.world.worker()
        self.worker = asyncio.create_task(_work(runtime))

    async def kill_worker(self) -> None:
        """Whatever it was doing is cut off where it stood."""
        assert self.worker is not None
        self.worker.cancel()
        with suppress(asyncio.CancelledError):
            await self.worker
        await self.world.admin.execute("update shared.work_item set due_at = now(), token = null, worker = null")

    async def processes(self) -> list[int]:
        """Pids of replicas, by the supervisor's word."""
        return [each.pid for _, each in await self.machine.programs() if each.pid is not None]

    async def running(self, uid: UUID) -> dict[str, Any]:
        """Wait until the endpoint runs as its spec says; its status."""

        async def runs() -> bool:
            row = await self.world.admin.fetchrow(
                "select generation, (status ->> 'observed_generation')::int as seen, phase"
                " from inference_endpoints.endpoint where uid = $1",
                uid,
            )
            return row is not None and row["phase"] == "Running" and row["generation"] == row["seen"]

        await until(runs, within=90)
        return await self.world.status(uid)

    async def target(self, uid: UUID) -> endpoints.Target:
        gateway = await self.world.connect("gateway")
        async with gateway.transaction(system_actor("gateway")) as ctx:
            [found] = await endpoints.list_targets(ctx, [uid])
        return found

    async def ask(self, uid: UUID, path: str, **body: Any) -> httpx.Response:
        target = await self.target(uid)
        (host, port), *_ = target.replicas
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.post(
                f"http://{host}:{port}{path}",
                json={"model": target.model, **body},
                headers={"Authorization": f"Bearer {target.bearer}"},
            )

    async def chat(self, uid: UUID) -> str:
        answer = await self.ask(
            uid, "/v1/chat/completions", messages=[{"role": "user", "content": "Say hello."}], max_tokens=3
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])


async def _work(runtime: ReconcileRuntime) -> None:
    while True:
        await runtime.run_until_idle()
        await asyncio.sleep(0.1)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[SupervisorUnderTest]:
    with supervisor_under_test(tmp_path) as made:
        yield made


@pytest.fixture
async def site(supervised: SupervisorUnderTest, database: TestDatabase, models_folder: Path) -> AsyncIterator[Site]:
    for name in BOTH:
        await fetched(models_folder, name)
    await supervised.started()
    store = models.CachedModels(models_folder)
    machine = clusters.LocalCluster(
        supervised.client, store, supervised.settings.logs / "replicas", first_port=free_port()
    )
    world = await make_world(database, clusters.Drivers({"local": machine.driver}))
    world.frozen = False
    made = Site(supervised, world, machine)
    await made.start_worker()
    yield made
    await made.kill_worker()
    await store.close()
    await world.close()


async def test_a_chat_model_and_an_embedding_model_are_served(site: Site) -> None:
    chat = await site.world.endpoint("chat")
    embed = await site.world.endpoint("embed", model={"name": "all-minilm-l6-v2"})
    for uid, task in ((chat, "text-generation"), (embed, "text-embedding")):
        status = await site.running(uid)
        assert status["model"]["task"] == task
        assert (await site.target(uid)).task == task
    assert await site.chat(chat)
    answer = await site.ask(embed, "/v1/embeddings", input="hello")
    assert len(answer.json()["data"][0]["embedding"]) == 384
    chat_target, embed_target = await site.target(chat), await site.target(embed)
    assert chat_target.bearer != embed_target.bearer
    (host, port), *_ = chat_target.replicas
    async with httpx.AsyncClient() as client:
        foreign = await client.get(
            f"http://{host}:{port}/v1/models", headers={"Authorization": f"Bearer {embed_target.bearer}"}
        )
    assert foreign.status_code == 401

    db = await site.world.connect("worker")
    async with db.transaction(system_actor("test")) as ctx:
        endpoint = await load_by_uid(ctx, endpoints.ENDPOINT, chat)
        cluster = await service.load_referred(ctx, clusters.CLUSTER, endpoint, "-/local")  # type: ignore[arg-type]
    lines = await service.open_logs(
        site.world.drivers, endpoint, cluster, None, follow=False, tail=None  # type: ignore[arg-type]
    )  # fmt: skip
    text = b"".join([chunk async for chunk in lines]).decode()
    assert "serving smollm2" in text
    assert "Say hello" not in text

    pids = await site.processes()
    for uid in (chat, embed):
        await site.world.delete(uid)
    await until(lambda: not any(lives(pid) for pid in pids), within=60)

    async def all_gone() -> bool:
        return not await site.world.exists(chat) and not await site.world.exists(embed)

    await until(all_gone)
    assert await site.processes() == []


async def test_killing_a_replica_the_worker_or_both_heals_without_a_second_copy(site: Site) -> None:
    uid = await site.world.endpoint()
    await site.running(uid)

    async def kill_replica() -> None:
        [pid] = await site.processes()
        os.kill(pid, signal.SIGKILL)

    async def kill_both() -> None:
        await asyncio.gather(kill_replica(), site.kill_worker())
        await site.start_worker()

    async def kill_worker() -> None:
        await site.kill_worker()
        await site.start_worker()

    async def kill_all() -> None:
        site.supervisor.kill()
        await kill_worker()
        await site.supervisor.started()

    deaths: list[Callable[[], Awaitable[None]]] = [kill_replica, kill_worker, kill_both, kill_all]
    for death in deaths:
        await death()
        await _one_that_answers(site, uid)


async def _one_that_answers(site: Site, uid: UUID) -> None:
    """Wait until a single replica serves, by every account."""

    async def answers() -> bool:
        with suppress(httpx.TransportError, clusters.ClusterUnavailable, AssertionError, ValueError):
            return bool(await site.chat(uid))
        return False

    await until(answers, within=60)

    async def settled() -> bool:
        with suppress(clusters.ClusterUnavailable):
            return [r.phase for r in await site.machine.driver(None).list_replicas(uid)] == ["ready"]  # type: ignore[arg-type]
        return False

    await until(settled, within=60)
    assert len(_engines_of(uid)) == 1


def _engines_of(uid: UUID) -> list[int]:
    """Every process on the machine that serves this endpoint, whoever started it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"replica-{uid.hex}-".encode() in (entry / "cmdline").read_bytes() and lives(int(entry.name)):
                    found.append(int(entry.name))
    return found


async def test_a_changed_spec_is_rolled_out_under_load_without_an_error(site: Site) -> None:
    uid = await site.world.endpoint(variables={"engine_args": {"ctx_size": 512, "parallel": 2}})
    await site.running(uid)
    before = await site.processes()
    failures: list[str] = []
    answered = 0
    done = asyncio.Event()

    async def load() -> None:
        nonlocal answered
        while not done.is_set():
            try:
                assert await site.chat(uid)
                answered += 1
            except (httpx.TransportError, AssertionError, ValueError) as problem:
                failures.append(repr(problem))
            await asyncio.sleep(0.05)

    loading = asyncio.create_task(load())
    await until(lambda: answered)
    await site.world.change(uid, variables={"engine_args": {"ctx_size": 1024, "parallel": 2}})
    await until(lambda: not any(lives(pid) for pid in before), within=90)
    await site.running(uid)
    done.set()
    await loading
    assert failures == []
    assert answered > 5
    assert len(_engines_of(uid)) == 1


async def test_a_model_that_cannot_be_loaded_says_so_and_never_serves(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 1000)
    await site.world.insert(models.MODEL_REGISTRY, "", "bad", {"type": "directory", "directory": str(folder)})
    uid = await site.world.endpoint(model={"registry": "-/bad", "name": "broken"})

    async def failed() -> bool:
        return str((await site.world.status(uid))["phase"]) == "Failed"

    await until(failed, within=60)
    condition = await site.world.condition(uid)
    assert condition["reason"] == "ReplicaCrashed"
    assert "exit 3" in condition["message"]
    assert (await site.target(uid)).replicas == ()
