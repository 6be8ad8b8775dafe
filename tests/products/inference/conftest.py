from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ironworks.products.inference import clusters
from tests.products.inference.world import BUILTINS, ScriptedCluster, World, make_world
from tests.support import world as people_world
from tests.support.postgres import TestDatabase
from tests.support.world import World as People

DOMAINS = tuple(f"products.inference.{name}" for name in ("engines", "models", "clusters", "endpoints"))


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


@pytest.fixture
async def people(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[People]:
    """Users with roles, the operator's builtins, and the tenant `acme.shop.dev`, without anything that runs."""
    monkeypatch.setattr(people_world, "DOMAINS", (*people_world.DOMAINS, *DOMAINS))
    async with people_world.scope_world(database) as made:
        for kind, domain in BUILTINS:
            for manifest in domain.builtins():
                await made.make(kind, "", manifest["metadata"]["name"], manifest["spec"])
        await made.scope("acme.shop.dev")
        yield made


@pytest.fixture(scope="session")
def models_folder(run_folder: Path) -> Path:
    """One model cache for the whole run: what is fetched once is fetched."""
    folder = run_folder / "models"
    folder.mkdir(exist_ok=True)
    return folder
