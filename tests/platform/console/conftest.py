"""A bootstrapped database for each test, and the real API over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.api import ApiWorld, BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server


@pytest.fixture
def bootstrapped(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    """A database as after a first start."""
    place = bootstrapped_database(postgres, run_folder)
    yield place
    postgres.drop_database(place)


@pytest.fixture
async def world(bootstrapped: BootstrappedPlace) -> AsyncIterator[ApiWorld]:
    """The API and the operator's client."""
    async with api_world(bootstrapped) as made:
        yield made
