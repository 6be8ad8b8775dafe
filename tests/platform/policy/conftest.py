"""The world that these tests play in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.postgres import TestDatabase
from tests.support.world import World, scope_world


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    async with scope_world(database) as made:
        yield made
