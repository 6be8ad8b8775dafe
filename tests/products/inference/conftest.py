from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ironworks.products.inference import clusters
from tests.products.inference.world import ScriptedCluster, World, make_world
from tests.support.postgres import TestDatabase


@pytest.fixture
def cluster() -> ScriptedCluster:
    """The scripted cluster behind `-/local`."""
    return ScriptedCluster()


@pytest.fixture
async def world(database: TestDatabase, cluster: ScriptedCluster) -> AsyncIterator[World]:
    """A database with the builtins and a tenant, on the scripted cluster."""
    made = await make_world(database, clusters.Drivers({"local": cluster.driver}))
    yield made
    await made.close()


@pytest.fixture(scope="session")
def models_folder(run_folder: Path) -> Path:
    """One model cache for the whole run: what is fetched once is fetched."""
    folder = run_folder / "models"
    folder.mkdir(exist_ok=True)
    return folder
