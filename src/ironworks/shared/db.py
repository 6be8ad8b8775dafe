"""Postgres: a pool per process, and transactions that carry the caller's identity.

Row-level security reads the identity from transaction-local settings; the rights of our own processes follow the
login role (`session_user`), which owns nothing and can bypass nothing. `Database.connect` refuses any other role.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from ironworks.shared.context import Actor, Clock, Connection, Context, Services, utc_now
from ironworks.shared.errors import Unavailable
from ironworks.shared.refusals import refusal

_DIED = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a farewell was read on an idle connection whose end was not yet
)
_TRY_AGAIN = "the database does not answer; try again shortly"
_SAFE = re.compile(r"[^A-Za-z0-9_.:/@-]")
PLANNER = {"jit": "off", "random_page_cost": "1.1"}
"""Short statements on cached tables: compiling them never pays, and an index is better than reading all of a table."""


class DatabaseUnavailable(Unavailable):
    """Our own database is away, or went away in the middle of a transaction, which it then has not committed."""


class UnsafeRole(RuntimeError):
    """The login role could see past row-level security."""


class Database:
    """A connection pool under one login role. Made once per process, by `app`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], services: Services, clock: Clock = utc_now) -> None:
        self.pool = pool
        self.services = services
        self.clock = clock

    @classmethod
    async def connect(
        cls,
        url: str,
        services: Services,
        *,
        clock: Clock = utc_now,
        max_size: int = 10,
        name: str = "ironworks",
        at_once: bool = True,
    ) -> Database:
        """Open a pool; raises UnsafeRole for a role that is superuser, owner of our tables, or may bypass policies.

        Without `at_once` nothing is connected yet, so the database may be away; the role is looked at with each
        connection that is made.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=1 if at_once else 0,
            init=None if at_once else refuse_unsafe_role,
            max_size=max_size,
            command_timeout=60,
            server_settings={"application_name": name, "timezone": "UTC", **PLANNER},
            reset=_leave_clean,
        )
        assert pool is not None
        if not at_once:
            return cls(pool, services, clock)
        try:
            async with pool.acquire() as conn:
                await refuse_unsafe_role(conn)
        except BaseException:
            await pool.close()
            raise
        return cls(pool, services, clock)

    async def close(self) -> None:
        """Wait for connections in use, then close them all."""
        await self.pool.close()

    @asynccontextmanager
    async def transaction(
        self, actor: Actor, request_id: str | None = None, client_request_id: str | None = None
    ) -> AsyncIterator[Context]:
        """One transaction as `actor`: commits at the end of the block, rolls back on any exception.

        Raises DatabaseUnavailable when no connection can be had or it dies before the commit. Make no network call
        inside.
        """
        request_id = request_id or new_request_id()
        conn = await self._begin(actor, request_id)
        try:
            try:
                yield Context(actor, conn, self.services, request_id, client_request_id, self.clock)
            except BaseException as problem:
                if not await _rolled_back(conn) and isinstance(problem, _DIED):
                    raise DatabaseUnavailable(_TRY_AGAIN) from problem
                if isinstance(problem, asyncpg.PostgresError) and (meant := refusal(problem)):
                    raise meant from problem
                raise
            await conn.execute("commit")
        finally:
            await self.pool.release(conn)

    async def ask(self, actor: Actor, query: str, *args: Any) -> Any:
        """The one value that `query`, which only reads, gives to `actor`: one round trip, a transaction of its own.

        The row that sets the identity is made before the query below it is begun; were it otherwise, the query would
        run as nobody, who sees nothing. Raises DatabaseUnavailable.
        """
        subject = f"set_config('ironworks.subject', ${len(args) + 1}, true)"
        statement = f"select (select ({query}) where who.known) from (select {subject} is not null as known) who"
        for _ in range(self.pool.get_max_size() + 1):
            conn = await self._acquire()
            try:
                return await conn.fetchval(statement, *args, str(actor.uid or ""))
            except _DIED as problem:
                if isinstance(problem, asyncpg.InterfaceError) and not _is_closed(conn):
                    raise
                _discard(conn)
            finally:
                await self.pool.release(conn)
        raise DatabaseUnavailable(_TRY_AGAIN)

    async def _begin(self, actor: Actor, request_id: str) -> Any:
        """A connection in a transaction as `actor`.

        One that died in the pool, as all do when the server restarts, is thrown away for the next: nothing has happened
        on it yet. Raises DatabaseUnavailable.
        """
        # one round trip; every value is either ours or reduced to characters that cannot end the literal
        begin = (
            "begin; select set_config('ironworks.subject', '{}', true),"
            " set_config('ironworks.request_id', '{}', true)".format(actor.uid or "", _SAFE.sub("_", request_id))
        )
        for _ in range(self.pool.get_max_size() + 1):
            conn = await self._acquire()
            try:
                await conn.execute(begin)
                return conn
            except _DIED:
                _discard(conn)
                await self.pool.release(conn)
            except BaseException:
                await self.pool.release(conn)
                raise
        raise DatabaseUnavailable(_TRY_AGAIN)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """One statement as the process itself, in a transaction of its own.

        A connection on which nothing can be sent any more is thrown away for the next; one that dies after that raises
        what it died of, since the statement may have been committed. Raises DatabaseUnavailable when none can be had.
        """
        for _ in range(self.pool.get_max_size() + 1):
            conn = await self._acquire()
            try:
                rows: list[asyncpg.Record] = await conn.fetch(query, *args)
                return rows
            except (asyncpg.InterfaceError, asyncpg.InternalClientError) as problem:
                if isinstance(problem, asyncpg.InterfaceError) and not _is_closed(conn):
                    raise
                _discard(conn)
            finally:
                await self.pool.release(conn)
        raise DatabaseUnavailable(_TRY_AGAIN)

    async def _acquire(self) -> Any:
        try:
            return await self.pool.acquire()
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as problem:
            raise DatabaseUnavailable(_TRY_AGAIN) from problem


async def _rolled_back(conn: Any) -> bool:
    """Whether the connection was still there to do it; if not, the server has."""
    if _is_closed(conn):
        return False
    try:
        await conn.execute("rollback")
    except _DIED:
        _discard(conn)
        return False
    return True


def _is_closed(conn: Any) -> bool:
    """Also when the pool has let go of it by itself, as it does with one that it finds dead."""
    try:
        return bool(conn.is_closed())
    except asyncpg.InterfaceError:
        return True


def _discard(conn: Any) -> None:
    """End a connection for good."""
    with suppress(asyncpg.InterfaceError):
        conn.terminate()


async def _leave_clean(conn: Any) -> None:
    """Replaces asyncpg's reset (four statements per release): our settings are transaction-local."""
    if conn.is_in_transaction():
        await conn.execute("rollback")


async def refuse_unsafe_role(conn: Any) -> None:
    """Raises UnsafeRole if the session's role could read or change rows past their policies."""
    row = await conn.fetchrow(
        """
        select rolname, rolsuper, rolbypassrls,
               exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                       where c.relowner = r.oid and n.nspname !~ '^pg_') as owns,
               exists (select from pg_auth_members m where m.member = r.oid) as member
        from pg_roles r where rolname = session_user
        """
    )
    problems = [
        text
        for flag, text in (
            ("rolsuper", "is a superuser"),
            ("rolbypassrls", "may bypass row-level security"),
            ("owns", "owns tables"),
            ("member", "is a member of another role"),
        )
        if row[flag]
    ]
    if problems:
        raise UnsafeRole(
            f"database role {row['rolname']!r} {' and '.join(problems)}: "
            "connect as ironworks_api, ironworks_worker or ironworks_gateway"
        )


_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def new_request_id() -> str:
    """`req_` and 26 characters: 48 bits of milliseconds, 80 of chance, so ids sort by time."""
    import time

    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10))
    return "req_" + "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


__all__ = ["Connection", "Database", "DatabaseUnavailable", "UnsafeRole", "new_request_id", "refuse_unsafe_role"]
