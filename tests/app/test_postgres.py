"""The embedded Postgres, and the databases that tests get from it."""

from __future__ import annotations

import asyncpg
import pytest

from ironworks.app.postgres import buffers
from ironworks.shared.db import UnsafeRole, refuse_unsafe_role
from tests.support.postgres import TestDatabase


async def test_a_test_database_is_migrated_and_knows_the_login_roles(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.url("api"))
    try:
        await refuse_unsafe_role(connection)
        assert await connection.fetchval("select session_user") == "ironworks_api"
    finally:
        await connection.close()


async def test_the_superuser_is_refused_as_an_application_role(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.admin)
    try:
        with pytest.raises(UnsafeRole, match="is a superuser"):
            await refuse_unsafe_role(connection)
    finally:
        await connection.close()


async def test_vectors_and_trees_are_there(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.admin)
    try:
        await connection.execute("create extension vector")
        assert await connection.fetchval("select 'a.b'::ltree <@ 'a'::ltree")
        assert await connection.fetchval("select '[1,2]'::vector <-> '[1,2]'::vector") == 0.0
    finally:
        await connection.close()


@pytest.mark.parametrize(("gibibytes", "mebibytes"), [(0.5, 128), (2, 256), (4, 512), (64, 512)])
def test_the_server_takes_an_eighth_of_the_memory_within_bounds(gibibytes: float, mebibytes: int) -> None:
    assert buffers(int(gibibytes * 2**30)) == mebibytes
