from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.shared.boxes import Boxes, FakeVault
from tests.support.postgres import TestDatabase


@pytest.fixture
async def boxes(database: TestDatabase) -> AsyncIterator[Boxes]:
    """A fresh database with a kind of its own."""
    admin = await asyncpg.connect(database.admin)
    await admin.execute(
        f"""
        grant create on database {database.name} to ironworks_owner;
        set role ironworks_owner;
        select shared.create_domain_schema('test_storage');
        select shared.create_kind_table('Box', 'test_storage.box');
        reset role;
        """
    )
    made = Boxes(database, admin, [], FakeVault())
    yield made
    for db in made.dbs:
        await db.close()
    await admin.close()
