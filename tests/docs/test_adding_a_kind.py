"""Whoever follows `docs/adding-a-kind.md` in a fresh copy of the checkout ends with a kind that works."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.walkthrough import Run, carry_out, steps_of

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "adding-a-kind.md"
COPIED = ("src", "tests", "pyproject.toml")
PROGRAMS = {"ironworks": "ironworks.cli", "python": ""}
ELSEWHERE = ("ironworks dev contracts", "ironworks apply", "ironworks get", "ironworks describe")
"""Run by the tests of contracts, and against a running installation by those of the main job."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, tmp_path / name)
    return tmp_path


def run(command: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    """One command of the page, in the copy."""
    program, *words = shlex.split(command)
    module = PROGRAMS[program]
    imports = f"{checkout / 'src'}{os.pathsep}{checkout}"
    environment = {**os.environ, "PYTHONPATH": imports, "PYTHONPYCACHEPREFIX": str(checkout / ".bytecode")}
    for name in [name for name in environment if name.startswith(("PYTEST_XDIST", "PYTEST_CURRENT", "PYTHONDONT"))]:
        del environment[name]
    return subprocess.run(
        [sys.executable, *(["-m", module] if module else []), *words],
        cwd=checkout, env=environment, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


def test_the_walk_through_works(copy: Path) -> None:
    for step in steps_of(PAGE.read_text()):
        if not isinstance(step, Run):
            carry_out(step, copy)
        elif not step.command.startswith(ELSEWHERE):
            done = run(step.command, copy)
            assert done.returncode == 0, f"$ {step.command}\n{done.stdout}{done.stderr}"
            for line in step.output.splitlines():
                assert _tail(line) in done.stdout, f"$ {step.command} does not say {line!r}:\n{done.stdout}"
    [migration] = (copy / "src/ironworks/products/website/pages/sql").iterdir()
    assert migration.read_text() in PAGE.read_text()


def _tail(line: str) -> str:
    """A line of output without its migration's number, which grows with the project."""
    return line.partition("_page.sql")[2] or line
