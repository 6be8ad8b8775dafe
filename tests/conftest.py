"""Fixtures for every test: the run's folder, its Postgres, and a fresh migrated database."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.guard import MARK
from tests.support.postgres import Server, TestDatabase, shared_server

_PR_SET_PDEATHSIG = 1
INSTALLED = "tests/e2e/installed/"
"""Tests that share an installation, which costs more than most tests, and change it one after the other."""
BY_FILE = (
    "tests/cli/", "tests/e2e/test_token_factory.py", "tests/app/test_up.py",
    f"{INSTALLED}test_console.py", f"{INSTALLED}test_pages.py",
)  # fmt: skip
"""Each file of these shares a served API or an installation."""
_ROOM = 6 << 30
_GUARD = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    """The main process, not its parallel workers, makes the run's folder and starts the guard that cleans up."""
    if hasattr(config, "workerinput"):
        return
    if os.environ.pop("END_WITH_PARENT", ""):  # make hands no signal on when it is killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    folder = tempfile.mkdtemp(prefix="ironworks-test-", dir="/tmp")
    Path(folder).chmod(0o711)  # Postgres may run as another user
    (Path(folder) / "memory").symlink_to(_folder_in_memory(folder))
    os.environ[MARK] = folder
    config.stash[_GUARD] = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "support" / "guard.py"), folder],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _folder_in_memory(folder: str) -> str:
    """Where files are kept that need not outlive the run: in memory where there is room, else beside the rest."""
    shared = Path("/dev/shm")
    roomy = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > _ROOM
    memory = Path(tempfile.mkdtemp(prefix="ironworks-test-", dir=shared if roomy else folder))
    memory.chmod(0o711)
    return str(memory)


class Scheduling(LoadScopeScheduling):
    """Hands out tests one by one, but for those that must be together."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(BY_FILE):
            return nodeid.partition("::")[0]
        return INSTALLED if nodeid.startswith(INSTALLED) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the guard end what the run started, and wait until it has."""
    guard = config.stash.get(_GUARD, None)
    if guard is not None and guard.stdin is not None:
        guard.stdin.close()
        guard.wait(timeout=30)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Collect no garbage while a failure is rendered.

    Rendering parses source. A finaliser that logs a traceback then parses too, and some CPythons (gh-106905, 3.11.7
    among them) answer with a SystemError that ends the whole run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """A folder of this test run with a short path; every process that the run starts carries it in its environment."""
    return Path(os.environ[MARK])


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> Server:
    """The run's Postgres, shared by all workers."""
    return shared_server(run_folder)


@pytest.fixture
def database(postgres: Server) -> Iterator[TestDatabase]:
    """A fresh database with every migration applied: `database.url("api")`, `database.admin`."""
    created = postgres.create_database()
    yield created
    postgres.drop_database(created)
