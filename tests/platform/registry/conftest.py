"""The registry on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from ironworks.platform.registry.declarations import DECLARATIONS
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase


@pytest_asyncio.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with lower_world(database, {"platform.registry": DECLARATIONS}) as opened:
        yield opened
