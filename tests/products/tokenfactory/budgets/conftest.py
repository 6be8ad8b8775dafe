"""A world with a tree, budgets and a price book on the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.products.tokenfactory.budgets.books import Books, books
from tests.support.postgres import TestDatabase


@pytest.fixture
async def ledger(database: TestDatabase) -> AsyncIterator[Books]:
    async with books(database) as found:
        yield found
