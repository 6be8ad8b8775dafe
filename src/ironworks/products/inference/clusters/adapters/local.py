"""The local cluster: each replica a process of the supervisor, which outlives the worker.

The supervisor checks health and restarts with backoff; this module only says what to run. Ports are chosen here and
remembered in the program's address, so a replica keeps its port over restarts. A port that something else took in the
meantime makes the program end with its own exit code, and the replica is then started on another.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from ironworks.products.inference import models
from ironworks.products.inference.clusters.model import (
    Cluster,
    ClusterFacts,
    ClusterUnavailable,
    NodeView,
    Replica,
    ReplicaNotFound,
    ReplicaPhase,
    ReplicaPlan,
    ResourceInfo,
    Resources,
    Runtime,
    parse_quantity,
    parse_replica_name,
)
from ironworks.shared import telemetry
from ironworks.shared.supervision import (
    HealthCheck,
    ProgramSpec,
    ProgramStatus,
    SupervisorRefused,
    SupervisorUnavailable,
    describe,
)

log = telemetry.logger(__name__)

HOST: Final = "127.0.0.1"
PROGRAMS: Final[Mapping[Runtime, str]] = {"llamacpp": "ironworks.products.inference.engines.llamacpp"}
KEY_VARIABLE: Final = "IRONWORKS_ENGINE_KEY"
PORT_TAKEN: Final = 4
"""Exit code by which a replica program says that its port is not to be had."""
STOP_MARGIN: Final = 5.0
ANSWER_WITHIN: Final = 2.0
PORTS_TRIED: Final = 2000
LOG_CHUNK: Final = 64 * 1024
LOG_POLL: Final = 0.25
LOGS_KEPT: Final = 86_400.0
RELIST: Final = 2.0
_NO_SUPERVISOR: Final = "the machine's process supervisor does not answer; its operator sees why in `ironworks status`"
_PHASES: Final[Mapping[str, ReplicaPhase]] = {
    "waiting": "starting",
    "starting": "starting",
    "running": "unresponsive",
    "ready": "ready",
    "backoff": "crashed",
    "failed": "crashed",
    "stopping": "stopping",
    "stopped": "stopping",
}


class Supervisor(Protocol):
    """The part of `shared.supervision.SupervisorClient` that is used here."""

    async def ensure(self, program: ProgramSpec) -> ProgramStatus: ...

    async def remove(self, name: str) -> bool: ...

    async def list(self) -> list[ProgramStatus]: ...


class LocalCluster:
    """Runs replicas on this machine.

    Args:
        logs: folder for replicas' log files.
        first_port: replicas get the first free port from here.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        store: models.ModelStore,
        logs: Path,
        first_port: int = 7100,
    ) -> None:
        self._supervisor = supervisor
        self._store = store
        self._logs = logs
        self._first_port = first_port
        self._choosing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()

    def driver(self, cluster: Cluster) -> LocalDriver:
        """The driver of one Cluster resource; all local clusters are this one machine."""
        return LocalDriver(self, cluster)

    async def place_model(self, source: models.ModelSource) -> models.Placement:
        return await self._store.place(source)

    async def programs(self) -> list[tuple[tuple[UUID, str, int], ProgramStatus]]:
        """Every replica on this machine, with what its name says."""
        try:
            found = await self._supervisor.list()
        except SupervisorUnavailable as problem:
            raise ClusterUnavailable(_NO_SUPERVISOR) from problem
        return [(parsed, each) for each in found if (parsed := parse_replica_name(each.name))]

    async def start(self, plan: ReplicaPlan) -> None:
        async with self._choosing:
            running = await self.programs()
            mine = next((each for _, each in running if each.name == plan.name), None)
            if mine is not None and not _lost_its_port(mine):
                return
            taken = {_port(each.address) for _, each in running}
            program = self._program(plan, free_port(self._first_port, taken))
            try:
                await self._supervisor.ensure(program)
            except SupervisorUnavailable as problem:
                raise ClusterUnavailable(_NO_SUPERVISOR) from problem
            except SupervisorRefused as problem:
                raise ClusterUnavailable(f"the supervisor refuses to start a replica: {problem.message}") from problem

    async def stop(self, name: str) -> None:
        """Removing takes as long as requests need to finish: it goes on behind when the answer is late."""
        removal = asyncio.create_task(self._remove(name), name=f"stop {name}")
        self._stopping.add(removal)
        removal.add_done_callback(self._stopping.discard)
        await asyncio.wait({removal}, timeout=ANSWER_WITHIN)

    async def _remove(self, name: str) -> None:
        try:
            await self._supervisor.remove(name)
        except (SupervisorUnavailable, SupervisorRefused) as problem:
            # whoever asked looks again, and finds it still there
            log.warning("cannot stop a replica", replica=name, problem=problem.message)

    def forget_logs(self, running: set[str], now: float) -> None:
        """Delete the logs of replicas that have been gone for a day."""
        for file in self._logs.glob("replica-*.log*"):
            name = file.name.partition(".log")[0]
            with suppress(FileNotFoundError):
                if name not in running and now - file.stat().st_mtime > LOGS_KEPT:
                    file.unlink()

    def _program(self, plan: ReplicaPlan, port: int) -> ProgramSpec:
        threads = max(1, round(plan.cpu)) if plan.cpu else 0
        argv = (
            sys.executable, "-m", PROGRAMS[plan.runtime],
            "--model", str(plan.model.path), "--port", str(port), "--alias", plan.alias, "--identity", plan.name,
            "--task", plan.task, "--threads", str(threads), "--grace", str(plan.drain),
            "--args", json.dumps(dict(plan.args), sort_keys=True),
        )  # fmt: skip
        return ProgramSpec(
            name=plan.name,
            argv=argv,
            log=str(self._logs / f"{plan.name}.log"),
            env={**plan.env, "OMP_WAIT_POLICY": "passive", KEY_VARIABLE: plan.key},
            health=HealthCheck(
                target=f"http://{HOST}:{port}/health", interval=1.0, timeout=10.0, start_within=plan.start_within
            ),
            address=f"{HOST}:{port}",
            labels={"cpu": str(plan.cpu), "memory": str(plan.memory)},
            grace=plan.drain + STOP_MARGIN,
        )


class LocalDriver:
    """`ClusterDriver` for one Cluster resource of type local."""

    def __init__(self, machine: LocalCluster, cluster: Cluster) -> None:
        self._machine = machine
        self._cluster = cluster

    async def inspect(self) -> ClusterFacts:
        programs = await self._machine.programs()
        total = allocatable(self._cluster)
        used_cpu = sum(float(each.labels.get("cpu", 0)) for _, each in programs)
        used_memory = sum(int(each.labels.get("memory", 0)) for _, each in programs)
        free = Resources(cpu=max(0.0, total.cpu - used_cpu), memory=max(0, total.memory - used_memory))
        node = NodeView(name=platform.node() or "localhost", address=HOST, state="Ready", resources=total)
        return ClusterFacts((node,), ResourceInfo(allocatable=total, available=free))

    async def place_model(self, source: models.ModelSource) -> models.Placement:
        return await self._machine.place_model(source)

    async def list_replicas(self, group: UUID) -> list[Replica]:
        return [
            _replica(revision, ordinal, each)
            for (owner, revision, ordinal), each in await self._machine.programs()
            if owner == group
        ]

    async def start_replica(self, plan: ReplicaPlan) -> None:
        await self._machine.start(plan)

    async def stop_replica(self, name: str) -> None:
        await self._machine.stop(name)

    async def list_groups(self) -> set[UUID]:
        return {owner for (owner, _, _), _ in await self._machine.programs()}

    async def clean_up(self) -> None:
        running = {each.name for _, each in await self._machine.programs()}
        await asyncio.to_thread(self._machine.forget_logs, running, time.time())

    async def open_log(self, group: UUID, name: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[bytes]:
        found = await self._logs(group, name)
        if name is not None and not found:
            raise ReplicaNotFound(f"no replica {name!r} is there", replica=name)
        readers = {each: LogReader(path, tail) for each, path in found.items()}
        return self._read(group, name, readers, follow)

    async def _logs(self, group: UUID, name: str | None) -> dict[str, Path]:
        return {
            each.name: Path(each.log)
            for (owner, _, _), each in await self._machine.programs()
            if owner == group and name in (None, each.name)
        }

    async def _read(
        self, group: UUID, name: str | None, readers: dict[str, LogReader], follow: bool
    ) -> AsyncIterator[bytes]:
        looked = time.monotonic()
        while True:
            for each, reader in sorted(readers.items()):
                while chunk := await asyncio.to_thread(reader.read):
                    yield marked(chunk, each) if name is None else chunk
            if not follow:
                return
            await asyncio.sleep(LOG_POLL)
            if time.monotonic() - looked > RELIST:
                looked = time.monotonic()
                with suppress(ClusterUnavailable):
                    for each, path in (await self._logs(group, name)).items():
                        readers.setdefault(each, LogReader(path))


def _replica(revision: str, ordinal: int, program: ProgramStatus) -> Replica:
    host, _, port = program.address.rpartition(":")
    phase = _PHASES[program.state]
    return Replica(program.name, revision, ordinal, phase, host, int(port), program.restarts, describe(program))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2] or 0)


def _lost_its_port(program: ProgramStatus) -> bool:
    return program.state in ("backoff", "failed") and program.last_exit == f"exit {PORT_TAKEN}"


def free_port(first: int, taken: set[int], bindable: Callable[[int], bool] | None = None) -> int:
    """The first port from `first` that is neither `taken` nor in use. Raises ClusterUnavailable."""
    can_bind = bindable or _can_bind
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        if port not in taken and can_bind(port):
            return port
    raise ClusterUnavailable(f"no free port for a replica from {first} on")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def allocatable(cluster: Cluster) -> Resources:
    """What endpoints may have: the configured limits, or the machine."""
    config = cluster.spec.config.local
    cpu = float(os.cpu_count() or 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if config is not None and config.cpu is not None:
        cpu = min(cpu, parse_quantity(config.cpu))
    if config is not None and config.memory is not None:
        memory = min(memory, int(parse_quantity(config.memory)))
    return Resources(cpu=cpu, memory=memory)


def marked(chunk: bytes, name: str) -> bytes:
    """Each line with the short name of the replica that wrote it."""
    mark = f"{name.removeprefix('replica-').partition('-')[2]} | ".encode()
    return b"".join(mark + line for line in chunk.splitlines(keepends=True))


class LogReader:
    """Reads whole lines of a file that grows and is cut when it is rotated.

    Args:
        tail: begin with the last so many lines; None begins at the start.
    """

    def __init__(self, path: Path, tail: int | None = None) -> None:
        self._path = path
        self._offset = 0 if tail is None else _tail_offset(path, tail)

    def read(self) -> bytes:
        """The next whole lines; empty when there are none yet."""
        try:
            with self._path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_size < self._offset:
                    self._offset = 0
                stream.seek(self._offset)
                chunk = stream.read(LOG_CHUNK)
        except FileNotFoundError:
            return b""
        whole = chunk[: chunk.rfind(b"\n") + 1] or (chunk if len(chunk) == LOG_CHUNK else b"")
        self._offset += len(whole)
        return whole


def _tail_offset(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin."""
    try:
        with path.open("rb") as stream:
            position = stream.seek(0, os.SEEK_END)
            newlines = 0
            while position > 0:
                step = min(LOG_CHUNK, position)
                position = stream.seek(position - step)
                chunk = stream.read(step)
                for index in range(len(chunk) - 1, -1, -1):
                    if chunk[index] == 0x0A:
                        newlines += 1
                        if newlines > lines:
                            return position + index + 1
    except FileNotFoundError:
        pass
    return 0
