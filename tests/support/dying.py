"""Processes that die: their connection is killed after so many statements, and nothing after that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from ironworks.shared.context import Actor, Context
from ironworks.shared.db import Database, DatabaseUnavailable
from tests.support.lower import LowerWorld

_STATEMENTS = ("fetch", "execute", "executemany", "fetchrow", "fetchval")


class Died(BaseException):
    """The process is gone: it begins no other transaction, whatever it would have made of its error."""


class Life:
    """How many statements are left of one."""

    def __init__(self, statements: int) -> None:
        self.left = statements

    @property
    def is_over(self) -> bool:
        return self.left <= 0


class Dying:
    """A connection whose backend is killed after the last statement of a life."""

    def __init__(self, db: Any, life: Life) -> None:
        self._db, self._life = db, life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._db, name)
        if name not in _STATEMENTS:
            return method

        async def counted(*args: Any) -> Any:
            answer = await method(*args)
            self._life.left -= 1
            if self._life.left == 0:
                await self._db.execute("select pg_terminate_backend(pg_backend_pid())")
            return answer

        return counted


class MortalDatabase:
    """A database whose user dies after so many statements, whichever transaction that is in."""

    def __init__(self, real: Database, life: Life) -> None:
        self._real, self._life = real, life

    @asynccontextmanager
    async def transaction(self, actor: Actor) -> AsyncIterator[Context]:
        if self._life.is_over:
            raise Died
        async with self._real.transaction(actor) as ctx:
            yield replace(ctx, db=Dying(ctx.db, self._life))  # type: ignore[arg-type]


def dying(ctx: Context, statements: int) -> Context:
    """`ctx` on a connection that dies after so many statements."""
    return replace(ctx, db=Dying(ctx.db, Life(statements)))  # type: ignore[arg-type]


async def live(world: LowerWorld, work: Callable[[Any], Awaitable[Any]], statements: int) -> bool:
    """Let the worker do `work` on a database that dies after so many statements; whether it came to its end."""
    life = Life(statements)
    with suppress(Died, DatabaseUnavailable):
        await work(MortalDatabase(await world.database("worker"), life))
    return not life.is_over


async def die_at_each_statement(
    world: LowerWorld,
    begin: Callable[[], Awaitable[Any]],
    work: Callable[[Any], Awaitable[Any]],
    check: Callable[[], Awaitable[Any]],
    most: int = 200,
) -> int:
    """Once for each statement of `work`: `begin`, die there, let the next worker do it, `check`. Returns the deaths."""
    for statement in range(1, most):
        await begin()
        lived = await live(world, work, statement)
        await work(await world.database("worker"))
        await check()
        if lived:
            return statement - 1
    raise AssertionError("it never ended")
