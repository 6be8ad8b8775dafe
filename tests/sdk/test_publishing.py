"""The packages for authors of features: `make sdk-publish` publishes them unless one says that it shall not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISH = "web/build/console.py publish"


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--dry-run"], f"{PUBLISH} --dry-run"),
        (["-n", "--no-print-directory"], f"{PUBLISH} --dry-run"),
        (["DRY_RUN=1"], f"{PUBLISH} --dry-run"),
        ([], PUBLISH),
        (["-j2"], PUBLISH),
    ],
)
def test_a_dry_run_packs_and_publishes_nothing(tmp_path: Path, arguments: list[str], asked: str) -> None:
    """`make --dry-run` itself would print the command and pack nothing."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "asked: $*"\n')
    python.chmod(0o755)
    command = ["make", "sdk-publish", f"bin={tmp_path}", "--old-file=.venv/.run", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert [line for line in done.stdout.splitlines() if line.startswith("asked: ")] == [f"asked: {asked}"]
