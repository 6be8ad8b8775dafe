"""How programs are asked for: the wire protocol of the process supervisor, and a client for it.

The supervisor (`app.supervisor`) outlives those who ask it for programs, so a worker that dies takes no model replica
with it. It listens on a Unix socket; a request is one line of JSON, `{"op": "ensure", "program": {…}}`, and so is the
answer, `{"ok": true, …}` or `{"ok": false, "code": "ADDRESS_IN_USE", "message": "…"}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from ironworks.shared.errors import Conflict, Unavailable

LISTEN_FDS = "IRONWORKS_LISTEN_FDS"
"""Environment variable in which a program finds its listening sockets, as `name=fd,name=fd`."""
PROGRAM_MARK = "IRONWORKS_PROGRAM"
"""Environment variable, `<instance>/<program>`, by which a program and all its descendants are recognised."""
MAX_LINE = 4 * 1024 * 1024

State = Literal["waiting", "starting", "running", "ready", "backoff", "stopping", "stopped", "failed"]
"""`ready`: answers its health check, or lives and has none; `running`: was ready and does not answer just now;
`waiting`: for a program named in `after`; `failed`: ended, and its restart policy says to leave it."""


class SupervisorUnavailable(Unavailable):
    """The supervisor does not answer on its socket."""

    code = "SUPERVISOR_UNAVAILABLE"


class SupervisorRefused(Conflict):
    """The supervisor will not do it; `code` says why (ADDRESS_IN_USE, INVALID, SHUTTING_DOWN, FAILED)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reason = code


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What must work for a program to count as ready. Either `target` or `command`; times in seconds.

    `target` is `http://host:port/path` (any 2xx), `tcp://host:port` or `unix:///path` (a connection is accepted);
    `command` is run with the program's environment and must exit with 0.
    """

    target: str = ""
    command: tuple[str, ...] = ()
    interval: float = 5.0
    timeout: float = 5.0
    start_within: float = 120.0
    """A program that is not ready after so long is restarted."""
    failures: int = 6
    """So many checks failed in a row, and a ready program is restarted."""


@dataclass(frozen=True, slots=True)
class Listen:
    """A listening TCP socket that the supervisor holds and programs inherit; those that name the same one share it."""

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One process to keep running. Times in seconds, sizes in bytes; `user` is a login name, for a supervisor that is
    root. `after` names programs that must be up before it starts; they are stopped after it."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    health: HealthCheck | None = None
    listen: tuple[Listen, ...] = ()
    after: tuple[str, ...] = ()
    address: str = ""
    """Where it can be reached: for people, in listings."""
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: Literal["always", "on-failure", "never"] = "always"
    backoff: float = 0.25
    backoff_max: float = 30.0
    stable_after: float = 20.0
    """Up for so long, and the next failure is counted as the first."""
    stop_signal: int = int(signal.SIGTERM)
    grace: float = 10.0
    """How long it may take to stop before it is killed."""
    log_bytes: int = 10 * 1024 * 1024
    log_files: int = 3

    @property
    def definition(self) -> str:
        """A hash of everything above: another one means another program."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """What a program does now. `since` is when its state began (Unix time), `last_exit` how it ended last."""

    name: str
    state: State
    pid: int | None
    since: float
    restarts: int
    address: str
    definition: str
    log: str
    labels: Mapping[str, str]
    last_exit: str | None = None
    message: str = ""

    @property
    def up(self) -> bool:
        """Whether it does what it is for, as far as its health check can tell."""
        return self.state == "ready"


_SPEC: TypeAdapter[ProgramSpec] = TypeAdapter(ProgramSpec)
_STATUS: TypeAdapter[ProgramStatus] = TypeAdapter(ProgramStatus)


def parse_spec(value: Any) -> ProgramSpec:
    """A spec from JSON; raises pydantic's ValidationError."""
    return _SPEC.validate_python(value)


def spec_document(spec: ProgramSpec) -> dict[str, Any]:
    """The JSON of a spec."""
    return asdict(spec)


class SupervisorClient:
    """Asks the supervisor on `path`; one connection per request, so it may be restarted between two.

    Every method raises SupervisorUnavailable when there is none, SupervisorRefused when it will not.
    """

    def __init__(self, path: Path | str, timeout: float = 120.0) -> None:
        self.path = str(path)
        self.timeout = timeout

    async def ensure(self, program: ProgramSpec) -> ProgramStatus:
        """Have it run as described: started, replaced if it was described otherwise, else left alone."""
        answer = await self._ask("ensure", program=spec_document(program))
        return _STATUS.validate_python(answer["program"])

    async def restart(self, name: str) -> ProgramStatus:
        """Stop it and start it again; its listeners stay open meanwhile."""
        return _STATUS.validate_python((await self._ask("restart", name=name))["program"])

    async def remove(self, name: str) -> bool:
        """Stop it and forget it; returns once its processes are gone. False if there was none."""
        return bool((await self._ask("remove", name=name))["removed"])

    async def list(self) -> list[ProgramStatus]:
        """All programs, by name."""
        return [_STATUS.validate_python(each) for each in (await self._ask("list"))["programs"]]

    async def get(self, name: str) -> ProgramStatus | None:
        """One program, or None."""
        return next((each for each in await self.list() if each.name == name), None)

    async def logs(self, name: str) -> str | None:
        """The path of its log file; rotated ones are beside it with `.1`, `.2`, …"""
        found = await self.get(name)
        return found.log if found else None

    async def pid(self) -> int:
        """The supervisor's own process id."""
        return int((await self._ask("ping"))["pid"])

    async def version(self) -> str:
        """Which code it runs."""
        return str((await self._ask("ping"))["version"])

    async def leave(self) -> None:
        """End the supervisor and nothing else: the next one adopts its programs."""
        await self._ask("leave")

    async def shutdown(self) -> None:
        """Stop every program, dependents first, then the supervisor itself; returns when all are gone."""
        await self._ask("shutdown")

    async def wait_until_up(
        self, name: str, within: float = 120.0, tries: int = 5, poll: float = 0.05
    ) -> ProgramStatus:
        """Wait until it is ready, at most `within` seconds and `tries` restarts. Raises SupervisorRefused."""
        deadline = asyncio.get_running_loop().time() + within
        restarts = None
        while True:
            status = await self.get(name)
            if status is None:
                raise SupervisorRefused("FAILED", f"there is no program {name}")
            if status.up:
                return status
            restarts = status.restarts if restarts is None else restarts
            given_up = status.state == "failed" or status.restarts >= restarts + tries
            if given_up or asyncio.get_running_loop().time() > deadline:
                raise SupervisorRefused("FAILED", f"{name} does not come up: {describe(status)}; see {status.log}")
            await asyncio.sleep(poll)

    async def _ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self.timeout):
                reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_LINE)
                try:
                    writer.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as problem:
            raise SupervisorUnavailable(
                f"the supervisor does not answer on {self.path}: ironworks up starts it"
            ) from problem
        if not line:
            raise SupervisorUnavailable(f"the supervisor on {self.path} ended meanwhile")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            raise SupervisorRefused(answer.get("code", "FAILED"), answer.get("message", "refused"))
        return answer


def describe(status: ProgramStatus) -> str:
    """One phrase for people: state, and why."""
    return ", ".join(part for part in (status.state, status.message, status.last_exit) if part)


__all__ = [
    "LISTEN_FDS",
    "PROGRAM_MARK",
    "HealthCheck",
    "Listen",
    "ProgramSpec",
    "ProgramStatus",
    "State",
    "SupervisorClient",
    "SupervisorRefused",
    "SupervisorUnavailable",
    "describe",
    "parse_spec",
    "spec_document",
]
