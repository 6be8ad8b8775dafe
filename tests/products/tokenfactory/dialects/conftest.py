from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.routing import Dialect, Replica
from tests.products.tokenfactory.dialects.server import ERRORS, SAYINGS, Models, run_models
from tests.products.tokenfactory.world import World, run_world, target


@pytest.fixture
async def models() -> AsyncIterator[Models]:
    async with run_models() as server:
        yield server


@pytest.fixture
async def world(models: Models, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway before servers of both dialects: `openai-<what it says>` and `anthropic-<what it says>`."""
    dialects: tuple[Dialect, ...] = ("openai", "anthropic")
    targets = [
        replace(
            target(f"{dialect}-{said}", served_as=said),
            dialect=dialect,
            replicas=(Replica(models.address, "secret", auth="x-api-key" if dialect == "anthropic" else "bearer"),),
        )
        for dialect in dialects
        for said in (*SAYINGS, *ERRORS)
    ]
    async with run_world(tmp_path / "spool", targets) as made:
        yield made
