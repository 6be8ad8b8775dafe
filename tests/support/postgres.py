"""One Postgres for a test run, shared by its parallel workers, and a fresh database for each test.

The first worker that needs it starts it; the migrated template is made once, and a test's database is a copy of it
(about 40 ms, in memory). The server syncs nothing to disk: tests about crashes start one of their own.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import asyncpg

from ironworks.app import postgres
from ironworks.shared import migrations
from tests.support.guard import MARK

T = TypeVar("T")
Role = Literal["api", "worker", "gateway"]
PASSWORD = "test"
TEMPLATE = "ironworks_template"
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "10s",
    "max_wal_size": "1GB",  # it is in memory
}
_counter = itertools.count()


@dataclass(frozen=True)
class TestDatabase:
    """One database. `url("api")` logs in as that role; `admin` is the superuser, who sees past every policy."""

    __test__ = False
    name: str
    port: int

    def url(self, role: Role) -> str:
        return postgres.connection_url(self.port, f"ironworks_{role}", PASSWORD, self.name)

    @property
    def admin(self) -> str:
        return postgres.connection_url(self.port, postgres.SUPERUSER, PASSWORD, self.name)


@dataclass(frozen=True)
class Server:
    """The run's Postgres."""

    port: int
    pid: int
    root: str

    @property
    def admin(self) -> str:
        return postgres.connection_url(self.port, postgres.SUPERUSER, PASSWORD, "postgres")

    def create_database(self, template: str | None = TEMPLATE) -> TestDatabase:
        """A new database: a copy of the migrated template, or an empty one when `template` is None."""
        name = f"test_{os.getpid()}_{next(_counter)}"
        run_apart(
            lambda: _execute(
                self.admin, f"create database {name} template {template or 'template0'} strategy file_copy"
            )
        )
        return TestDatabase(name, self.port)

    def drop_database(self, database: TestDatabase) -> None:
        run_apart(lambda: _execute(self.admin, f"drop database if exists {database.name} with (force)"))


def run_apart(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end on an event loop in another thread, so that the test's own is left alone."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(make())).result()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def shared_server(run: Path) -> Server:
    """The server of the test run whose folder is `run`, started and migrated by whoever asks first."""
    with locked(run / "postgres.lock"):
        record, failure = run / "postgres.json", run / "postgres.failed"
        if record.exists():
            return Server(**json.loads(record.read_text()))
        if failure.exists():
            raise RuntimeError(failure.read_text())
        try:
            server = start_server(run / "memory" / "pg", run)
            run_apart(lambda: _make_template(server))
        except Exception as problem:
            failure.write_text(f"the run's Postgres could not be prepared: {problem}")
            raise
        record.write_text(json.dumps(asdict(server)))
        return server


async def _make_template(server: Server) -> None:
    await _execute(server.admin, f"create database {TEMPLATE} template template0")
    url = postgres.connection_url(server.port, postgres.SUPERUSER, PASSWORD, TEMPLATE)
    await migrations.migrate(url, dict.fromkeys(migrations.LOGIN_ROLES, PASSWORD))
    await _execute(server.admin, f"alter database {TEMPLATE} is_template true allow_connections false")


def start_server(root: Path, run: Path, options: dict[str, str] | None = None) -> Server:
    """A new server under `root`; `options` are settings besides the fast ones (pass `fsync="on"` to test crashes).

    It belongs to the test run and is ended with it at the latest.
    """
    place = postgres.PostgresPlace(root, root / "s", postgres.unprivileged_user())
    postgres.prepare(place, PASSWORD)
    for _ in range(5):  # a free port may be taken between our look and its start
        port = free_port()
        with (root / "server.log").open("ab") as log:
            process = subprocess.Popen(
                postgres.server_command(place, port, {**_UNSAFE_BUT_FAST, **(options or {})}),
                env={**postgres.environment(place), MARK: str(run)},
                cwd=root,
                user=place.user,
                group=None if place.user is None else pwd.getpwnam(place.user).pw_gid,
                extra_groups=None if place.user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if _comes_up(process, place, port):
            return Server(port, process.pid, str(root))
    raise RuntimeError((root / "server.log").read_text())


def _comes_up(process: subprocess.Popen[bytes], place: postgres.PostgresPlace, port: int) -> bool:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        ready = postgres.ready_command(place, port)
        if subprocess.run(ready, env=postgres.environment(place), check=False).returncode == 0:
            return True
        time.sleep(0.02)
    return False


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` as a lock between processes; the kernel lets go of it if we die."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
