"""What `ironworks env` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironworks.app.settings import Settings
from ironworks.app.status import environment_lines


def names(settings: Settings) -> list[str]:
    return [line.removeprefix("export ").partition("=")[0] for line in environment_lines(settings)]


def test_a_run_without_the_demo_has_no_tenants_key(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(FileNotFoundError, match="operator-token"):
        environment_lines(settings)
    settings.credentials.mkdir()
    (settings.credentials / "operator-token").write_text("iwk_1\n")
    assert names(settings) == ["IRONWORKS_URL", "IRONWORKS_TOKEN", "OPENAI_BASE_URL"]
    (settings.credentials / "demo-key").write_text("iwk_2\n")
    assert names(settings)[-1] == "OPENAI_API_KEY"
