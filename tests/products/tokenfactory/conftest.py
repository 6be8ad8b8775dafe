from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.products.tokenfactory.upstream import Upstream, run_upstream
from tests.products.tokenfactory.world import World, run_world, targets_for


@pytest.fixture(scope="session")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that the gateway runs on in earnest."""
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


@pytest.fixture
async def world(upstream: Upstream, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway before one mock model server."""
    async with run_world(tmp_path / "spool", targets_for(upstream.address)) as made:
        yield made
