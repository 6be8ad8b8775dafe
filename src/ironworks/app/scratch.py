"""A Postgres for a moment: migrated, asked, and gone without a trace."""

from __future__ import annotations

import asyncio
import pwd
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ironworks.app import postgres
from ironworks.shared.migrations import LOGIN_ROLES, migrate

_UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_COMES_UP_WITHIN = 60.0


@contextmanager
def scratch_database() -> Iterator[str]:
    """The administrator's URL of a fresh migrated database on a server of its own, which ends with the block.

    Raises PostgresProblem, MigrationError.
    """
    with tempfile.TemporaryDirectory(prefix="ironworks-scratch-", dir="/tmp") as folder:  # short, for its socket
        Path(folder).chmod(0o711)  # Postgres may run as another user
        place = postgres.PostgresPlace(Path(folder) / "pg", Path(folder) / "pg" / "s", postgres.unprivileged_user())
        password = secrets.token_hex(16)
        postgres.prepare(place, password)
        with _server(place) as port:
            url = postgres.connection_url(port, postgres.SUPERUSER, password, "postgres")
            asyncio.run(migrate(url, {role: secrets.token_hex(16) for role in LOGIN_ROLES}))
            yield url


@contextmanager
def _server(place: postgres.PostgresPlace) -> Iterator[int]:
    """Run the server of `place`; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603
        postgres.server_command(place, port, _UNSAFE_BUT_FAST),
        env=postgres.environment(place),
        cwd=place.root,
        user=place.user,
        group=None if place.user is None else pwd.getpwnam(place.user).pw_gid,
        extra_groups=None if place.user is None else [],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_until_ready(process, place, port)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _wait_until_ready(process: subprocess.Popen[bytes], place: postgres.PostgresPlace, port: int) -> None:
    deadline = time.monotonic() + _COMES_UP_WITHIN
    ready, environment = postgres.ready_command(place, port), postgres.environment(place)
    while subprocess.run(ready, env=environment, check=False).returncode != 0:  # noqa: S603
        if process.poll() is not None or time.monotonic() > deadline:
            raise postgres.PostgresProblem("the scratch database does not start")
        time.sleep(0.02)
