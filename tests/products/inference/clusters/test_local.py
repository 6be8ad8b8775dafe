"""The local driver against a supervisor that only remembers, and log files that grow."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from ironworks.products.inference import clusters, models
from ironworks.products.inference.clusters.adapters import local
from ironworks.products.inference.clusters.model import ClusterSpec, parse_replica_name
from ironworks.shared.kind import Resource
from ironworks.shared.supervision import ProgramSpec, ProgramStatus, State, SupervisorUnavailable
from tests.products.inference.world import ScriptedCluster, World

ALL: dict[str, Any] = {"follow": False, "tail": None}


@dataclass
class Remembering:
    """Stands for the supervisor: keeps what it was asked for."""

    programs: dict[str, ProgramSpec] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    exits: dict[str, str] = field(default_factory=dict)
    down: bool = False
    removal: asyncio.Event | None = None

    def _status(self, spec: ProgramSpec) -> ProgramStatus:
        state = self.states.get(spec.name, "ready")
        last = self.exits.get(spec.name)
        return ProgramStatus(
            spec.name, state, 1, 0.0, 0, spec.address, spec.definition, spec.log, spec.labels, last_exit=last
        )

    def _answer(self) -> None:
        if self.down:
            raise SupervisorUnavailable("the supervisor does not answer")

    async def ensure(self, program: ProgramSpec) -> ProgramStatus:
        self._answer()
        self.programs[program.name] = program
        self.states.pop(program.name, None)
        self.exits.pop(program.name, None)
        return self._status(program)

    async def remove(self, name: str) -> bool:
        self._answer()
        if self.removal is not None:
            self.states[name] = "stopping"
            await self.removal.wait()
        return self.programs.pop(name, None) is not None

    async def list(self) -> list[ProgramStatus]:
        self._answer()
        return [self._status(spec) for spec in self.programs.values()]


class NoModels:
    async def place(self, source: models.ModelSource) -> models.Placement:
        return models.Placing("never")


def _cluster(**config: Any) -> clusters.Cluster:
    metadata = {
        "name": "local", "scope": "-", "uid": str(uuid4()),
        "creation_timestamp": "2026-01-01T00:00:00Z", "update_timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    document = {
        "kind": "Cluster", "metadata": metadata, "spec": {"type": "local", "config": {"local": config}}, "status": {}
    }  # fmt: skip
    return Resource[ClusterSpec, clusters.CLUSTER.status].model_validate(document)  # type: ignore[name-defined]


def _plan(group: UUID, ordinal: int = 0, **more: Any) -> clusters.ReplicaPlan:
    return clusters.ReplicaPlan(
        group=group, revision="0123abcd", ordinal=ordinal, runtime="llamacpp", task="text-generation",
        alias="m", model=models.Placed(Path("/models/m.gguf")), key="a-secret-key", **more,
    )  # fmt: skip


@pytest.fixture
def supervisor() -> Remembering:
    return Remembering()


@pytest.fixture
def machine(supervisor: Remembering, tmp_path: Path) -> clusters.LocalCluster:
    return clusters.LocalCluster(supervisor, NoModels(), tmp_path, first_port=17100)


@pytest.fixture
def driver(machine: clusters.LocalCluster) -> clusters.ClusterDriver:
    return machine.driver(_cluster())


async def test_a_replica_is_a_program_of_its_own(driver: clusters.ClusterDriver, supervisor: Remembering) -> None:
    group = uuid4()
    await driver.start_replica(_plan(group, args={"ctx_size": 512}, env={"TZ": "UTC"}, cpu=1, drain=30))
    [program] = supervisor.programs.values()
    assert program.name == f"replica-{group.hex}-0123abcd-0"
    assert parse_replica_name(program.name) == (group, "0123abcd", 0)
    assert "a-secret-key" not in " ".join(program.argv)
    assert "a-secret-key" not in str(program.labels)
    assert program.env["TZ"] == "UTC"
    assert program.env["OMP_WAIT_POLICY"] == "passive"
    assert program.grace > 30
    assert program.health is not None
    assert program.health.target == f"http://{program.address}/health"
    [replica] = await driver.list_replicas(group)
    assert (replica.phase, replica.address, replica.ordinal) == ("ready", program.address, 0)
    assert await driver.list_replicas(uuid4()) == []
    assert await driver.list_groups() == {group}


async def test_starting_it_twice_starts_it_once(driver: clusters.ClusterDriver, supervisor: Remembering) -> None:
    group = uuid4()
    await driver.start_replica(_plan(group))
    [before] = supervisor.programs.values()
    await driver.start_replica(_plan(group))
    assert list(supervisor.programs.values()) == [before]


async def test_replicas_get_ports_of_their_own(driver: clusters.ClusterDriver, supervisor: Remembering) -> None:
    group = uuid4()
    await asyncio.gather(*(driver.start_replica(_plan(group, n)) for n in range(5)))
    addresses = [each.address for each in supervisor.programs.values()]
    assert len(set(addresses)) == 5


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert local.free_port(port, set()) > port
    assert local.free_port(7100, {7100, 7101}, lambda port: port != 7102) == 7103
    with pytest.raises(clusters.ClusterUnavailable, match="no free port"):
        local.free_port(7100, set(), lambda _: False)


async def test_a_replica_whose_port_was_taken_gets_another(
    driver: clusters.ClusterDriver, supervisor: Remembering
) -> None:
    group = uuid4()
    await driver.start_replica(_plan(group))
    [before] = supervisor.programs.values()
    supervisor.states[before.name] = "backoff"
    supervisor.exits[before.name] = "exit 3"
    await driver.start_replica(_plan(group))
    assert supervisor.programs[before.name] == before  # it crashed: the supervisor tries again by itself
    supervisor.exits[before.name] = f"exit {local.PORT_TAKEN}"
    await driver.start_replica(_plan(group))
    assert supervisor.programs[before.name].address != before.address


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("waiting", "starting"), ("starting", "starting"), ("running", "unresponsive"), ("ready", "ready"),
        ("backoff", "crashed"), ("failed", "crashed"), ("stopping", "stopping"), ("stopped", "stopping"),
    ],
)  # fmt: skip
async def test_a_programs_state_is_a_replicas_phase(
    driver: clusters.ClusterDriver, supervisor: Remembering, state: State, phase: str
) -> None:
    group = uuid4()
    await driver.start_replica(_plan(group))
    supervisor.states[f"replica-{group.hex}-0123abcd-0"] = state
    assert [r.phase for r in await driver.list_replicas(group)] == [phase]


async def test_stopping_does_not_wait_for_requests_that_take_long(
    driver: clusters.ClusterDriver, supervisor: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "ANSWER_WITHIN", 0.05)
    group = uuid4()
    await driver.start_replica(_plan(group))
    supervisor.removal = asyncio.Event()
    [replica] = await driver.list_replicas(group)
    await driver.stop_replica(replica.name)
    assert [r.phase for r in await driver.list_replicas(group)] == ["stopping"]
    supervisor.removal.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await driver.list_replicas(group) == []
    await driver.stop_replica(replica.name)


async def test_a_silent_supervisor_is_a_cluster_that_does_not_answer(
    driver: clusters.ClusterDriver, supervisor: Remembering
) -> None:
    supervisor.down = True
    for call in (driver.inspect(), driver.list_replicas(uuid4()), driver.start_replica(_plan(uuid4()))):
        with pytest.raises(clusters.ClusterUnavailable):
            await call


async def test_what_replicas_asked_for_is_not_available(machine: clusters.LocalCluster) -> None:
    driver = machine.driver(_cluster(cpu="1500m", memory="1Gi"))
    before = (await driver.inspect()).info
    assert (before.allocatable.cpu, before.allocatable.memory) == (min(1.5, os.cpu_count() or 1), 2**30)
    await driver.start_replica(_plan(uuid4(), cpu=0.5, memory=2**29))
    after = (await driver.inspect()).info.available
    assert (after.cpu, after.memory) == (before.available.cpu - 0.5, 2**29)


async def test_logs_are_read_whole_or_from_the_end(driver: clusters.ClusterDriver, supervisor: Remembering) -> None:
    group = uuid4()
    for ordinal in (0, 1):
        await driver.start_replica(_plan(group, ordinal))
    first, second = (Path(each.log) for each in supervisor.programs.values())
    first.write_text("one\ntwo\nthree\nhalf")
    second.write_text("other\n")
    name = f"replica-{group.hex}-0123abcd-0"
    assert await _text(driver, group, name, **ALL) == "one\ntwo\nthree\n"
    assert await _text(driver, group, name, follow=False, tail=1) == "three\nhalf"[:6]
    assert await _text(driver, group, name, follow=False, tail=0) == ""
    assert await _text(driver, group, None, **ALL) == (
        "0123abcd-0 | one\n0123abcd-0 | two\n0123abcd-0 | three\n0123abcd-1 | other\n"
    )
    with pytest.raises(clusters.ReplicaNotFound):
        await driver.open_log(group, "replica-of-nobody", **ALL)


async def _text(driver: clusters.ClusterDriver, group: UUID, name: str | None, **how: Any) -> str:
    return b"".join([chunk async for chunk in await driver.open_log(group, name, **how)]).decode()


async def test_following_goes_on_over_a_rotation_and_finds_new_replicas(
    driver: clusters.ClusterDriver, supervisor: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOG_POLL", 0.01)
    monkeypatch.setattr(local, "RELIST", 0.02)
    group = uuid4()
    await driver.start_replica(_plan(group))
    [log] = (Path(each.log) for each in supervisor.programs.values())
    log.write_text("before\n")
    lines = await driver.open_log(group, None, follow=True, tail=None)
    async with asyncio.timeout(60):
        assert await anext(lines) == b"0123abcd-0 | before\n"
        log.write_text("new\n")  # cut to nothing and written again
        assert await anext(lines) == b"0123abcd-0 | new\n"
        await driver.start_replica(_plan(group, 1))
        Path(supervisor.programs[f"replica-{group.hex}-0123abcd-1"].log).write_text("second\n")
        assert await anext(lines) == b"0123abcd-1 | second\n"
    await lines.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("lines", "tail"), [(0, 5), (5, 5), (6, 5), (30_000, 20_000)])
def test_a_tail_is_exact_however_long_the_file(tmp_path: Path, lines: int, tail: int) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {n} of some length\n" for n in range(lines)))
    reader = local.LogReader(log, tail)
    read = b""
    while chunk := reader.read():
        read += chunk
    assert read.count(b"\n") == min(lines, tail)
    assert lines == 0 or read.startswith(f"line {max(0, lines - tail)} ".encode())


async def test_logs_of_replicas_long_gone_are_thrown_away(
    machine: clusters.LocalCluster, driver: clusters.ClusterDriver, supervisor: Remembering, tmp_path: Path
) -> None:
    group = uuid4()
    await driver.start_replica(_plan(group))
    long_ago = time.time() - 2 * local.LOGS_KEPT
    running = Path(next(iter(supervisor.programs.values())).log)
    old, rotated, other, fresh = (
        tmp_path / n for n in ("replica-a.log", "replica-a.log.1", "api.log", "replica-b.log")
    )
    for each in (running, old, rotated, other, fresh):
        each.write_text("x\n")
        os.utime(each, (long_ago, long_ago))
    os.utime(fresh)
    await driver.clean_up()
    assert {each.name for each in tmp_path.iterdir()} == {running.name, "api.log", "replica-b.log"}


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("500m", 0.5), ("1.5", 1.5), ("512Mi", 2**29), ("2Gi", 2**31), ("1G", 1e9)]
)
def test_quantities(text: str, number: float) -> None:
    assert clusters.parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1 Gi", "Gi", "1Q", "１"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        clusters.parse_quantity(text)


@pytest.mark.parametrize("spec", [{}, {"type": "ssh"}, {"type": "local", "config": {"local": {"cpu": "many"}}}])
def test_a_cluster_that_makes_no_sense_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClusterSpec.model_validate(spec)


async def test_a_cluster_shows_what_it_has(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.admin.fetchval("select uid from inference_clusters.cluster")
    worker = await world.worker()
    await world.run(worker, cluster, rounds=1)
    status = await world.status(uid, clusters.CLUSTER)
    assert (status["phase"], status["ready_nodes"], status["desired_nodes"]) == ("Running", 1, 1)
    assert status["resource_info"]["allocatable"] == {"cpu": 2.0, "memory": 2**33}
    cluster.unavailable = True
    await world.run(worker, cluster, rounds=1)
    assert (await world.status(uid, clusters.CLUSTER))["phase"] == "Failed"
    assert (await world.condition(uid, clusters.CLUSTER))["reason"] == "ClusterUnavailable"


def test_a_driver_that_is_not_there_is_said_so() -> None:
    with pytest.raises(clusters.ClusterUnavailable, match="local"):
        clusters.Drivers({}).of(_cluster())


def test_a_replicas_place_is_not_its_name() -> None:
    replica = clusters.Replica("replica-x", "0123abcd", 2, "ready", "127.0.0.1", 7100)
    assert (replica.address, replica.short_name) == ("127.0.0.1:7100", "0123abcd-2")
    assert replace(replica, port=1).address == "127.0.0.1:1"
