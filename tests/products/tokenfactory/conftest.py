from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.products.tokenfactory.upstream import Upstream, run_upstream
from tests.products.tokenfactory.world import World, run_world, targets_for


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the gateway runs on in earnest."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


@pytest.fixture
async def world(upstream: Upstream, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway before one mock model server."""
    async with run_world(tmp_path / "spool", targets_for(upstream.address)) as made:
        yield made
