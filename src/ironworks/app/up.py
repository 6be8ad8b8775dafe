"""`ironworks up`: from nothing to a running installation, or from a running one to the same one in a moment.

Every step asks what is there before it acts, so `up` may be killed anywhere and run again. Two at once wait for each
other.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg

from ironworks.app import postgres, programs
from ironworks.app.credentials import ensure_credentials, role_passwords
from ironworks.app.prerequisites import CannotRun, is_free, plainly, prepare_home, settle_ports
from ironworks.app.progress import Progress
from ironworks.app.settings import Part, Settings
from ironworks.app.supervisor import is_running
from ironworks.shared.migrations import MigrationError, migrate
from ironworks.shared.supervision import (
    ProgramSpec,
    ProgramStatus,
    SupervisorClient,
    SupervisorRefused,
    SupervisorUnavailable,
    describe,
)

_COMES_UP_WITHIN = 180.0
_PORTS_TRIED = 3


class PortTaken(CannotRun):
    """Another program took the port between our look at it and our use of it."""


async def start_everything(settings: Settings, progress: Progress, demo: bool = True) -> Settings:
    """Have everything run; returns the settings with the ports that it runs on. Raises CannotRun, SettingsProblem.

    With `demo`, also runs the main job: a tenant deploys a model and talks to it.
    """
    prepare_home(settings)
    with one_at_a_time(settings, progress):
        with plainly():
            ensure_credentials(settings)
        client = SupervisorClient(settings.control_socket)
        await _start_supervisor(settings, client)
        running = {each.name: each for each in await client.list()}
        settings = settle_ports(settings, keep=_ports_in_use(settings, running))
        if settings.embedded:
            settings = await _start_postgres(settings, client, progress)
        await _migrate(settings, progress)
        await _bootstrap(settings, progress)
        settings = await _start_parts(settings, client, progress)
        await _remove_others(settings, client)
        if demo:
            await _run_demo(settings, progress)
    return settings


@contextlib.contextmanager
def one_at_a_time(settings: Settings, progress: Progress) -> Iterator[None]:
    """Hold the home against another `up` or `down`, waiting for it to finish."""
    with plainly():
        file = (settings.run / "up.lock").open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("  another ironworks command is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _start_supervisor(settings: Settings, client: SupervisorClient) -> None:
    """Have a supervisor that runs our own code, and outlives us. One of an older version leaves, its programs stay."""
    home = programs.supervisor_home(settings)
    if is_running(home) and await client.version() != home.version:
        await client.leave()
        await _wait_for(lambda: not is_running(home), home.log)
    process = None if is_running(home) else _spawn_supervisor(settings, home.log)

    async def answers() -> bool:
        with contextlib.suppress(SupervisorUnavailable):
            return bool(await client.pid())
        if process is not None and process.poll() is not None:
            raise CannotRun(f"the supervisor does not start: {last_words(home.log)}; see {home.log}")
        return False

    await _wait_for(answers, home.log)


async def _wait_for(condition: Callable[[], bool | Awaitable[bool]], log: Path, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while True:
        holds = condition()
        if holds is True or (not isinstance(holds, bool) and await holds):
            return
        if time.monotonic() > deadline:
            raise CannotRun(f"the supervisor does not answer; see {log}")
        await asyncio.sleep(0.05)


def _spawn_supervisor(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    with plainly(), log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "ironworks.app", "supervisor"],
            env={**settings.inherited, **settings.environment, "IRONWORKS_HOME": str(settings.home)},
            cwd=settings.home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _ports_in_use(settings: Settings, running: dict[str, ProgramStatus]) -> list[Part]:
    """The parts which hold the ports that they should have."""
    parts: tuple[Part, ...] = ("api", "gateway", "postgres")
    return [part for part in parts if part in running and running[part].labels.get("port") == str(settings.ports[part])]


async def _start_postgres(settings: Settings, client: SupervisorClient, progress: Progress) -> Settings:
    """Start it; a port that somebody took since it was found free is replaced by another."""
    for attempt in range(_PORTS_TRIED):
        try:
            await _try_postgres(settings, client, progress)
            break
        except CannotRun:
            await client.remove("postgres")
            if attempt == _PORTS_TRIED - 1 or is_free("127.0.0.1", settings.ports["postgres"]):
                raise  # it was not for want of the port
            running = {each.name: each for each in await client.list()}
            settings = settle_ports(settings, keep=_ports_in_use(settings, running))
    return settings


async def _try_postgres(settings: Settings, client: SupervisorClient, progress: Progress) -> None:
    async with progress.step("postgres") as step:
        place = programs.postgres_place(settings)
        try:
            with plainly():
                await asyncio.to_thread(postgres.prepare, place, settings.secret("database-postgres"))
        except postgres.PostgresProblem as problem:
            raise CannotRun(str(problem)) from problem
        status = await _ensure_up(programs.postgres_program(settings), client)
        step.outcome = f"ready on {status.address}"


async def _migrate(settings: Settings, progress: Progress) -> None:
    async with progress.step("migrations") as step:
        try:
            if settings.embedded:
                await _ensure_database(settings)
            applied = await migrate(settings.admin_url(), role_passwords(settings))
        except MigrationError as problem:
            raise CannotRun(f"the database cannot be brought up to date: {problem}") from problem
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise CannotRun(_database_problem(settings, problem)) from problem
        step.outcome = f"{len(applied)} applied" if applied else "up to date"


async def _ensure_database(settings: Settings) -> None:
    port, password = settings.ports["postgres"], settings.secret("database-postgres")
    connection = await asyncpg.connect(postgres.connection_url(port, postgres.SUPERUSER, password, "postgres"))
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = 'ironworks')"):
            await connection.execute("create database ironworks")
    finally:
        await connection.close()


def _database_problem(settings: Settings, problem: Exception) -> str:
    if settings.embedded and isinstance(problem, asyncpg.InvalidPasswordError):
        return (
            f"the database does not accept the password in {settings.credentials / 'database-postgres'}: "
            "put back the file it was created with, or begin anew with: ironworks down --purge"
        )
    where = "the embedded Postgres" if settings.embedded else "the Postgres of IRONWORKS_DATABASE_URL"
    return f"{where} does not do what is needed: {problem}"


async def _bootstrap(settings: Settings, progress: Progress) -> None:
    from ironworks.app.bootstrap import bootstrap  # brings every domain with it, which takes a moment
    from ironworks.platform.secrets import BadMasterKey

    async with progress.step("operator") as step:
        try:
            await bootstrap(settings)
        except BadMasterKey as problem:
            raise CannotRun(f"the master key cannot be used: {problem}") from problem
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            raise CannotRun(_database_problem(settings, problem)) from problem
        step.outcome = f"credentials are in {settings.credentials}"


def _parts(settings: Settings) -> list[ProgramSpec]:
    return [programs.api_program(settings), programs.worker_program(settings), *programs.gateway_programs(settings)]


async def _start_parts(settings: Settings, client: SupervisorClient, progress: Progress) -> Settings:
    """Start them in order; a port that somebody took since it was found free is replaced by another."""
    for attempt in range(_PORTS_TRIED):
        try:
            for program in _parts(settings):
                await _start_part(program, client, progress)
            break
        except PortTaken:
            if attempt == _PORTS_TRIED - 1:
                raise
            running = {each.name: each for each in await client.list()}
            settings = settle_ports(settings, keep=_ports_in_use(settings, running))
    return settings


async def _start_part(program: ProgramSpec, client: SupervisorClient, progress: Progress) -> None:
    async with progress.step(program.name) as step:
        status = await _ensure_up(program, client)
        step.outcome = f"ready on {status.address}" if status.address else "running"


async def _ensure_up(program: ProgramSpec, client: SupervisorClient) -> ProgramStatus:
    try:
        await client.ensure(program)
        return await client.wait_until_up(program.name, within=_COMES_UP_WITHIN)
    except SupervisorRefused as refusal:
        if refusal.reason == "ADDRESS_IN_USE":
            raise PortTaken(f"{refusal.message}: run ironworks up again to take another port") from refusal
        status = await client.get(program.name)
        why = describe(status) if status else refusal.message
        log = Path(program.log)
        raise CannotRun(f"{program.name} does not come up ({why}): {last_words(log)}; see {log}") from refusal


async def _remove_others(settings: Settings, client: SupervisorClient) -> None:
    """End the parts that the settings no longer ask for: gateways beyond the number, our Postgres."""
    wanted = {program.name for program in _parts(settings)} | ({"postgres"} if settings.embedded else set())
    for status in await client.list():
        if (status.name == "postgres" or status.name.startswith("gateway")) and status.name not in wanted:
            await client.remove(status.name)


async def _run_demo(settings: Settings, progress: Progress) -> None:
    from ironworks.app.demo import run_demo  # a client, which `up` alone needs

    await run_demo(settings, progress)


def last_words(log: Path) -> str:
    """The last line of a log file that says something."""
    try:
        lines = log.read_bytes()[-8192:].decode(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
