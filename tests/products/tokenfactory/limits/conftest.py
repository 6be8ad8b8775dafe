from __future__ import annotations

from pathlib import Path

import pytest

from tests.products.tokenfactory.limits.views import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the table is."""
    return tmp_path / "run"
