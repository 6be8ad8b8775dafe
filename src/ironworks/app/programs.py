"""The parts of a local run, as the supervisor is told of them."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from ironworks.app import postgres
from ironworks.app.settings import Settings
from ironworks.app.supervisor import Home
from ironworks.shared.supervision import HealthCheck, Listen, ProgramSpec

PARTS = ("postgres", "api", "worker", "gateway")
_PACKAGE = Path(__file__).parent.parent


def supervisor_home(settings: Settings) -> Home:
    """Where this home's supervisor keeps its things."""
    return Home(
        instance=settings.instance,
        control=settings.control_socket,
        state=settings.run / "state.json",
        lock=settings.run / "supervisor.lock",
        log=settings.logs / "supervisor.log",
        environment=settings.inherited,
        version=code_fingerprint([*(_PACKAGE / "app" / "supervisor").glob("*.py"), _PACKAGE / "shared/supervision.py"]),
    )


def postgres_place(settings: Settings) -> postgres.PostgresPlace:
    """Where the embedded Postgres lives. Raises PostgresProblem."""
    return postgres.choose_place(settings.home, settings.instance, settings.sockets / "postgres")


def postgres_program(settings: Settings) -> ProgramSpec:
    """The embedded Postgres, prepared before by `postgres.prepare`."""
    place, port = postgres_place(settings), settings.ports["postgres"]
    return ProgramSpec(
        name="postgres",
        argv=postgres.server_command(place, port),
        env=postgres.environment(place),
        cwd=str(place.root),
        user=place.user,
        log=str(settings.logs / "postgres.log"),
        health=HealthCheck(command=postgres.ready_command(place, port)),
        address=f"127.0.0.1:{port}",
        labels={"port": str(port)},
        stop_signal=int(signal.SIGINT),  # its fast shutdown: roll back, write a checkpoint, end
        grace=60.0,
    )


def api_program(settings: Settings) -> ProgramSpec:
    """The control API."""
    return _serving(settings, "api", "api", settings.ports["api"], settings.api_url)


def worker_program(settings: Settings) -> ProgramSpec:
    """Everything that runs without a caller."""
    return _part(settings, "worker", "worker", "")


def gateway_programs(settings: Settings) -> list[ProgramSpec]:
    """The gateway's processes, which accept on one socket."""
    names = ["gateway", *(f"gateway-{number}" for number in range(2, settings.gateways + 1))]
    port = settings.ports["gateway"]
    probed = settings.local_url(port, settings.gateway_scheme)
    return [_serving(settings, name, "gateway", port, settings.gateway_url, probed) for name in names]


def code_fingerprint(files: Iterable[Path] | None = None) -> str:
    """Changes whenever our code does, so that `up` after an upgrade restarts what runs old code."""
    found = files if files is not None else (each for each in _PACKAGE.rglob("*") if each.suffix in (".py", ".sql"))
    digest = hashlib.sha256()
    for file in sorted(found):
        stat = file.stat()
        digest.update(f"{file}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _serving(settings: Settings, name: str, command: str, port: int, address: str, probed: str = "") -> ProgramSpec:
    return _part(
        settings,
        name,
        command,
        address,
        listen=(Listen(command, settings.host, port),),
        health=HealthCheck(target=f"{probed or settings.local_url(port)}/healthz"),
    )


def _part(
    settings: Settings,
    name: str,
    command: str,
    address: str,
    listen: tuple[Listen, ...] = (),
    health: HealthCheck | None = None,
) -> ProgramSpec:
    return ProgramSpec(
        name=name,
        argv=(sys.executable, "-m", "ironworks.app", command),
        env={
            **settings.environment,
            "IRONWORKS_HOME": str(settings.home),
            "IRONWORKS_API_PORT": str(settings.ports["api"]),
            "IRONWORKS_GATEWAY_PORT": str(settings.ports["gateway"]),
            "IRONWORKS_POSTGRES_PORT": str(settings.ports["postgres"]),
            "PYTHONUNBUFFERED": "1",
        },
        cwd=str(settings.home),
        log=str(settings.logs / f"{name}.log"),
        health=health,
        listen=listen,
        after=("postgres",) if settings.embedded else (),
        address=address,
        labels={"code": code_fingerprint(), **({"port": str(listen[0].port)} if listen else {})},
        grace=20.0,
    )
