"""The secret store on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ironworks.platform import secrets
from ironworks.platform.secrets.declarations import DECLARATIONS
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase


@pytest.fixture
def keyring() -> secrets.Keyring:
    return secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))


@pytest_asyncio.fixture
async def world(database: TestDatabase, keyring: secrets.Keyring) -> AsyncIterator[LowerWorld]:
    vault = secrets.EnvelopeVault(keyring)
    async with lower_world(database, {"platform.secrets": DECLARATIONS}, vault) as opened:
        yield opened
