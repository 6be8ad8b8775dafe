"""Wake-ups between processes, by Postgres' NOTIFY.

A wake-up says only "look now": it is empty, may be lost, and is never the reason why something happens; whoever waits
also polls. It is sent outside the transaction that made the change, because a NOTIFY inside takes a lock that all
committing writers queue for (half the throughput at 16 writers), and many wake-ups in a row are sent as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.context import Connection
from ironworks.shared.errors import Unavailable

log = telemetry.logger(__name__)

CHANGED: Final = "ironworks_change"
"""Something was committed to the change log: the sequencer has work."""
LOGGED: Final = "ironworks_log"
"""Positions were given: every tail has something to read."""

LOST = (OSError, Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a session with the database may end with."""

_FIND_DEAD_PEERS = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}


class Wake:
    """An event that wake-ups set and its one waiter clears."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, seconds: float) -> bool:
        """Whether a wake-up came since `clear`, waiting at most so long for one."""
        try:
            async with asyncio.timeout(seconds):
                return await self._event.wait()
        except TimeoutError:
            return False


@asynccontextmanager
async def dedicated(url: str, name: str, **settings: str) -> AsyncIterator[Connection]:
    """A connection outside the pool, for what belongs to a session: LISTEN and session-level locks.

    Args:
        url: a direct one; a pooler between would break sessions.
        name: shown in pg_stat_activity.
        settings: server settings of the session.
    """
    connection = await asyncpg.connect(
        url, timeout=10, command_timeout=30, server_settings={"application_name": name, **_FIND_DEAD_PEERS, **settings}
    )
    try:
        yield connection
    finally:
        connection.terminate()  # there is no transaction to save, and a polite goodbye could hang


async def listen(connection: Connection, channel: str) -> Wake:
    """A Wake that is set by wake-ups on `channel`, and when the connection ends."""
    wake = Wake()
    connection.add_termination_listener(lambda _: wake.set())
    await connection.add_listener(channel, lambda *_: wake.set())
    return wake


async def keep_trying(session: Callable[[], Awaitable[None]], what: str, *, longest_pause: float = 5.0) -> None:
    """Run `session` for ever: again after it ends or fails, later and later while it goes on failing.

    A background task that ended with a bug would be missed by nobody until it is needed, so a bug is logged with its
    stack and the session begins anew.

    Args:
        longest_pause: seconds.
    """
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await session()
            failures = 0
        except Exception as problem:
            failures = 1 if time.monotonic() - began > longest_pause else min(failures + 1, 20)
            if isinstance(problem, LOST):
                log.warning(f"{what} lost its session", error=str(problem), failures=failures)
            else:
                log.exception(f"{what} failed", failures=failures)
        await asyncio.sleep(min(longest_pause, 0.05 * 2**failures))


class Notifier:
    """Sends this process's wake-ups. One per process; `run` is a background task."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._wanted: set[str] = set()
        self._wake = Wake()

    def poke(self, channel: str) -> None:
        """Wake whoever listens on `channel`, soon. Never waits, never fails; call it after a commit."""
        self._wanted.add(channel)
        self._wake.set()

    async def run(self) -> None:
        """Send what is poked until cancelled; wake-ups wanted while one is on its way go out together."""
        await keep_trying(self._session, "the notifier")

    async def _session(self) -> None:
        async with dedicated(self.url, "ironworks-notifier") as connection:
            while True:
                await self._wake.wait(60)
                self._wake.clear()
                channels, self._wanted = sorted(self._wanted), set()
                if channels:
                    await connection.execute("select pg_notify(c, '') from unnest($1::text[]) c", channels)
