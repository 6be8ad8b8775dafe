"""What `ironworks env` prints."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ironworks.app.settings import Settings
from ironworks.app.status import PartStatus, _with_health, environment_lines
from ironworks.products.tokenfactory.gateway.health import Health, Trouble


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


def test_a_gateway_process_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    folder = settings.run / "gateway"
    folder.mkdir(parents=True)
    part = PartStatus("gateway", "ready", "http://127.0.0.1:7080", 4711, 0.0, 0, "", "")
    assert _with_health(settings, part) == part
    health = Health(place=folder)
    (folder / "4711.health").write_bytes(orjson.dumps(health.document()))
    assert _with_health(settings, part).message == ""
    full = Trouble("spool", "failing", "SpoolUnavailable", "the disk is full", "nothing is served")
    health.checks.append(lambda: [full])
    health.look()
    (folder / "4711.health").write_bytes(orjson.dumps(health.document()))
    assert _with_health(settings, part).message == "unavailable: spool: the disk is full"
