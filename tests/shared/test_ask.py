"""Questions in one round trip: the caller is who the policies see, and nobody is once it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from ironworks.shared.context import ANONYMOUS, Actor, Services
from ironworks.shared.db import Database
from tests.support.postgres import TestDatabase

ME = "select shared.subject()"


async def nothing(*_: object) -> None: ...


@pytest.fixture
async def api(database: TestDatabase) -> AsyncIterator[Database]:
    """One connection, so that what one question leaves behind the next would find."""
    api = await Database.connect(database.url("api"), Services(nothing, None), max_size=1)  # type: ignore[arg-type]
    yield api
    await api.close()


async def test_a_question_is_asked_as_the_caller_and_leaves_no_identity_behind(api: Database) -> None:
    for actor in (Actor(uuid4(), "user", "a"), ANONYMOUS, Actor(uuid4(), "api_key", "b")):
        assert await api.ask(actor, ME) == actor.uid
        assert await api.pool.fetchval(ME) is None


async def test_the_identity_is_there_for_what_a_query_begins_with(api: Database) -> None:
    actor = Actor(uuid4(), "user", "a")
    query = "select array_agg(x.me order by x.n) from (select n, (select shared.subject()) as me"
    for _ in range(12):  # past the plans that are made for one execution alone
        found = await api.ask(actor, f"{query} from generate_series(1, $1) n where shared.subject() is not null) x", 3)
        assert found == [actor.uid] * 3


async def test_a_question_that_fails_leaves_no_identity_behind(api: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await api.ask(Actor(uuid4(), "user", "a"), "select 1 / $1::int", 0)
    assert await api.pool.fetchval(ME) is None


async def test_a_connection_that_died_is_replaced(api: Database, database: TestDatabase) -> None:
    victim = await api.pool.fetchval("select pg_backend_pid()")
    admin = await asyncpg.connect(database.admin)
    await admin.fetchval("select pg_terminate_backend($1, 5000)", victim)
    await admin.close()
    assert await api.ask(ANONYMOUS, "select 1") == 1
