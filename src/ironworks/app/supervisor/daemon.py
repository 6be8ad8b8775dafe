"""All programs of one home: the control socket they are asked for on, and the supervisor's own life.

One supervisor per home, by a lock that the kernel releases when it dies. It ends in one way, by stopping everything
first; if it is killed, the next one adopts what still runs and kills what it does not know.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from ironworks.app.supervisor import logfile, process, record
from ironworks.app.supervisor.listeners import Listeners, Opener
from ironworks.app.supervisor.program import Program, Surroundings
from ironworks.shared.supervision import MAX_LINE, ProgramSpec, SupervisorRefused, parse_spec

log = logging.getLogger(__name__)
_ROTATE_EVERY = 5.0
_OWN_LOG_BYTES = 10 * 1024 * 1024


class AlreadyRunning(RuntimeError):
    """Another supervisor holds this home."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a supervisor keeps its things, and what its programs get.

    `instance` is a short name for this home, part of its programs' mark; `environment` is what every program inherits;
    `version` tells the code of one supervisor from another's.
    """

    instance: str
    control: Path
    state: Path
    lock: Path
    log: Path
    environment: Mapping[str, str]
    version: str = ""


class Supervisor:
    """Programs by name. Call from one event loop."""

    def __init__(self, home: Home, opener: Opener) -> None:
        self.home = home
        self.programs: dict[str, Program] = {}
        self.finished = asyncio.Event()
        self._closing = False
        self._one_at_a_time: dict[str, asyncio.Lock] = {}
        self._listeners = Listeners(opener)
        self._around = Surroundings(home.instance, home.environment, self._listeners, self._is_up, self.remember)

    async def recover(self, restart: bool = True) -> None:
        """Adopt what an earlier supervisor left running and kill strays; with `restart`, start again what ended."""
        entries, running = record.load(self.home.state), left_running(self.home)
        families = {each for entry in running for each in process.marked(self.home.instance, entry.spec.name)}
        strays = [each for each in process.marked(self.home.instance) if each not in families]
        process.send(strays, signal.SIGKILL)
        for entry in entries:
            if entry in running:
                self.programs[entry.spec.name] = Program.adopt(entry, self._around)
            elif restart:
                self.programs[entry.spec.name] = Program(entry.spec, self._around, entry.restarts)
        for program in self.programs.values():
            program.begin()
        if entries:
            log.info("adopted %d of %d programs, killed %d strays", len(running), len(entries), len(strays))

    async def ensure(self, spec: ProgramSpec) -> Program:
        """Have `spec` run. Raises SupervisorRefused (ADDRESS_IN_USE, SHUTTING_DOWN)."""
        async with self._turn(spec.name):
            current = self.programs.get(spec.name)
            if current is not None and current.spec.definition == spec.definition and current.state != "failed":
                return current
            self._refuse_if_closing()
            held = current.spec.listen if current is not None else ()  # perhaps in an adopted process alone
            try:
                self._listeners.open([listen for listen in spec.listen if listen not in held])
            except OSError as problem:
                raise SupervisorRefused("ADDRESS_IN_USE", problem.strerror or str(problem)) from problem
            if current is not None:
                await current.stop()
            return self._begin(spec)

    async def restart(self, name: str) -> Program:
        """Stop it and start it anew. Raises SupervisorRefused when there is none."""
        async with self._turn(name):
            self._refuse_if_closing()
            if name not in self.programs:
                raise SupervisorRefused("INVALID", f"there is no program {name}")
            await self.programs[name].stop()
            return self._begin(self.programs[name].spec)

    async def remove(self, name: str) -> bool:
        """Stop it and forget it. False if there was none."""
        async with self._turn(name):
            program = self.programs.get(name)
            if program is None:
                return False
            await program.stop()
            del self.programs[name]
            self._close_unused()
            self.remember()
            return True

    async def shutdown(self) -> None:
        """Stop everything: first what nothing else came after, and so on; then `finished` is set."""
        self._closing = True
        while self.programs:
            needed = {name for program in self.programs.values() for name in program.spec.after}
            wave = [name for name in self.programs if name not in needed] or list(self.programs)
            await asyncio.gather(*(self.remove(name) for name in wave))
        left = await process.kill_marked(self.home.instance)
        if left:
            log.error("could not end the processes %s", ", ".join(str(each.pid) for each in left))
        self.finished.set()

    def remember(self) -> None:
        """Write down what runs; a disk that is full must not stop programs."""
        try:
            record.save(self.home.state, [program.entry() for program in self.programs.values()])
        except OSError as problem:
            log.error("cannot write %s: %s", self.home.state, problem)

    async def rotate_logs(self) -> None:
        """Rotate every log that has grown over its limit, our own included."""
        logs = {each.spec.log: (each.spec.log_bytes, each.spec.log_files) for each in self.programs.values()}
        logs[str(self.home.log)] = (_OWN_LOG_BYTES, 3)
        for path, (limit, keep) in logs.items():
            try:
                await asyncio.to_thread(logfile.rotate, path, limit, keep)
            except OSError as problem:
                log.error("cannot rotate %s: %s", path, problem)

    def _begin(self, spec: ProgramSpec) -> Program:
        program = self.programs[spec.name] = Program(spec, self._around)
        self._close_unused()
        self.remember()
        program.begin()
        return program

    def _close_unused(self) -> None:
        self._listeners.close_all_but({listen for each in self.programs.values() for listen in each.spec.listen})

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise SupervisorRefused("SHUTTING_DOWN", "the supervisor is shutting down")

    def _turn(self, name: str) -> asyncio.Lock:
        return self._one_at_a_time.setdefault(name, asyncio.Lock())

    def _is_up(self, name: str) -> bool:
        return name in self.programs and self.programs[name].up


async def run_supervisor(home: Home, opener: Opener) -> None:
    """Supervise until asked to shut down, over the socket or by SIGTERM. Raises AlreadyRunning, OSError."""
    with _only_one(home.lock):
        supervisor = Supervisor(home, opener)
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[None]] = set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: stopping.add(asyncio.create_task(supervisor.shutdown())))
        await supervisor.recover()
        server = await _listen(home.control, supervisor)
        rotation = asyncio.create_task(_rotate(supervisor))
        log.info("the supervisor is ready, pid %d", os.getpid())
        try:
            await supervisor.finished.wait()
            await asyncio.sleep(0.05)  # let the answer to a shutdown request leave
        finally:
            rotation.cancel()
            server.close()
            home.control.unlink(missing_ok=True)


async def end_leftovers(home: Home, opener: Opener) -> bool:
    """Stop in order whatever a supervisor that was killed has left running. False if it left nothing.

    Raises AlreadyRunning.
    """
    with _only_one(home.lock):
        supervisor = Supervisor(home, opener)
        await supervisor.recover(restart=False)
        found = bool(supervisor.programs)
        await supervisor.shutdown()
        supervisor.remember()
        home.control.unlink(missing_ok=True)
        return found


def left_running(home: Home) -> list[record.Entry]:
    """The programs whose processes run now, as the last supervisor wrote them down; for when there is none to ask."""
    return [entry for entry in record.load(home.state) if entry.process is not None and entry.process.alive]


def is_running(home: Home) -> bool:
    """Whether a supervisor holds this home now."""
    try:
        with _only_one(home.lock):
            return False
    except AlreadyRunning:
        return True
    except FileNotFoundError:
        return False


class _only_one:  # noqa: N801 - used like a function
    """Holds the lock file of a home; the kernel lets go of it if we die."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            self._file.close()
            raise AlreadyRunning(f"a supervisor holds {self._path}") from problem

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


async def _rotate(supervisor: Supervisor) -> None:
    while True:
        await asyncio.sleep(_ROTATE_EVERY)
        await supervisor.rotate_logs()


async def _listen(path: Path, supervisor: Supervisor) -> asyncio.Server:
    """Serve the control socket, which only our own user may open."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(fresh))
    fresh.chmod(0o600)
    server = await asyncio.start_unix_server(
        lambda reader, writer: _serve(supervisor, reader, writer), sock=listener, limit=MAX_LINE
    )
    fresh.replace(path)  # whoever finds it can connect to it
    return server


async def _serve(supervisor: Supervisor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(json.dumps(await _answer(supervisor, line)).encode() + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError):
        return  # the client went away, or sent a line without an end
    finally:
        writer.close()


async def _answer(supervisor: Supervisor, line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        return {"ok": True, **await _OPERATIONS[request["op"]](supervisor, request)}
    except SupervisorRefused as refusal:
        return {"ok": False, "code": refusal.reason, "message": refusal.message}
    except ValidationError as problem:
        return {"ok": False, "code": "INVALID", "message": str(problem)}
    except (KeyError, TypeError, ValueError):
        return {"ok": False, "code": "INVALID", "message": f"know no such request; ask for {', '.join(_OPERATIONS)}"}
    except Exception as problem:
        log.exception("a request failed")
        return {"ok": False, "code": "FAILED", "message": str(problem)}


def _document(program: Program) -> dict[str, Any]:
    return asdict(program.status())


async def _ensure(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    return {"program": _document(await supervisor.ensure(parse_spec(request["program"])))}


async def _restart(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    return {"program": _document(await supervisor.restart(request["name"]))}


async def _remove(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    return {"removed": await supervisor.remove(request["name"])}


async def _list(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    return {"programs": [_document(supervisor.programs[name]) for name in sorted(supervisor.programs)]}


async def _ping(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid(), "version": supervisor.home.version}


async def _leave(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    supervisor.remember()
    asyncio.get_running_loop().call_later(0.05, os._exit, 0)  # without the cleanup that would stop everything
    return {}


async def _shutdown(supervisor: Supervisor, request: dict[str, Any]) -> dict[str, Any]:
    await supervisor.shutdown()
    return {}


_OPERATIONS: dict[str, Callable[[Supervisor, dict[str, Any]], Awaitable[dict[str, Any]]]] = {
    "ensure": _ensure,
    "restart": _restart,
    "remove": _remove,
    "list": _list,
    "ping": _ping,
    "leave": _leave,
    "shutdown": _shutdown,
}
