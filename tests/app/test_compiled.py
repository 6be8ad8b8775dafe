"""Native code of the gateway: it is used exactly where it is of these sources, and does what they do."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import pytest

from ironworks.app.compiled import MODULES, fingerprint, folder_below, is_compiled, prefer_compiled, source_files
from ironworks.app.compiling import compile_gateway
from ironworks.app.prerequisites import CannotRun
from ironworks.app.progress import standard
from ironworks.products.tokenfactory import routing
from ironworks.products.tokenfactory.budgets import BudgetView
from ironworks.products.tokenfactory.gateway import KeyView
from ironworks.products.tokenfactory.limits import LimitView

CHECKOUT = Path(__file__).parent.parent.parent
BLACK_BOX = (
    *(f"test_{name}.py" for name in ("crashes", "faults", "feeds", "http_corpus", "restarts", "stream", "spool")),
    "dialects", "limits/test_desk.py", "limits/test_gateway.py", "routing/test_looks.py",
)  # fmt: skip


@pytest.fixture
def finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put first among the finders of modules is gone after the test."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))


def test_every_module_that_is_compiled_exists() -> None:
    assert all(path.is_file() for path in source_files())


@pytest.mark.parametrize("row", [KeyView, routing.Route, routing.Target, LimitView, BudgetView])
def test_rows_that_are_kept_on_disk_are_not_compiled(row: type) -> None:
    """pydantic reads them back by their annotations, of which native code has others."""
    assert row.__module__ not in MODULES


def test_any_change_of_any_source_is_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "one.py").write_text("A = 1\n")
    prints = {fingerprint(tmp_path)}
    (tmp_path / "inner" / "one.py").write_text("A = 2\n")
    prints.add(fingerprint(tmp_path))
    (tmp_path / "inner" / "one.py").rename(tmp_path / "inner" / "two.py")
    prints.add(fingerprint(tmp_path))
    (tmp_path / "empty.py").touch()
    prints.add(fingerprint(tmp_path))
    assert len(prints) == 4
    (tmp_path / "notes.txt").write_text("no source")
    assert fingerprint(tmp_path) in prints


@pytest.mark.usefixtures("finders")
def test_what_was_compiled_of_other_sources_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "compiled" / ("0" * 32)).mkdir(parents=True)
    assert not prefer_compiled(tmp_path)
    assert not is_compiled()


@pytest.mark.usefixtures("finders")
def test_what_was_compiled_of_these_is_found_first(tmp_path: Path) -> None:
    folder_below(tmp_path).mkdir(parents=True)
    assert prefer_compiled(tmp_path)
    assert is_compiled()
    finder = sys.meta_path[0]
    found = finder.find_spec(MODULES[0], None)
    assert found is not None
    assert isinstance(found.loader, ExtensionFileLoader)
    assert Path(found.origin or "").is_relative_to(folder_below(tmp_path))
    assert finder.find_spec("ironworks.products.tokenfactory.gateway", None) is None


async def test_a_missing_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(CannotRun, match="no-such-compiler"):
        await compile_gateway(tmp_path, standard())
    assert not (tmp_path / "compiled").exists()


async def test_a_build_that_fails_leaves_nothing_but_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", shutil.which("true") or "true")
    broken = tmp_path / "sources" / "mypyc"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "build.py").write_text("raise SystemExit('no')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    with pytest.raises(CannotRun, match=r"build\.log"):
        await compile_gateway(tmp_path / "home", standard())
    assert [path.name for path in (tmp_path / "home" / "compiled").iterdir()] == ["build.log"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_compiled_it_does_what_its_sources_do(tmp_path: Path) -> None:
    """The gateway's own tests, put through native code."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    asyncio.run(compile_gateway(tmp_path, standard()))
    files = [str(CHECKOUT / "tests" / "products" / "tokenfactory" / name) for name in BLACK_BOX]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not long", "-p", "tests.support.compiled", *files]
    environment = {**os.environ, "IRONWORKS_TESTS_COMPILED": str(tmp_path)}
    ran = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout[-4000:]
