"""`ironworks down`: everything ends, Postgres last; with `--purge` nothing of it stays on the disk either."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from ironworks.app import programs
from ironworks.app.postgres import SYSTEM_STATE
from ironworks.app.prerequisites import CannotRun, plainly
from ironworks.app.progress import Progress
from ironworks.app.settings import Settings, open_listener
from ironworks.app.supervisor import AlreadyRunning, end_leftovers, is_running
from ironworks.app.supervisor.process import identify
from ironworks.app.up import one_at_a_time
from ironworks.shared.supervision import SupervisorClient, SupervisorUnavailable

_OURS = ("postgres", "logs", "credentials", "objects", "spool", "mail", "models", "run", ".gitignore")


async def stop_everything(settings: Settings, progress: Progress, purge: bool = False) -> None:
    """End every process of this home and, with `purge`, remove its state. Safe to repeat. Raises CannotRun."""
    if not settings.run.exists():
        progress.say(f"nothing runs: there is no {settings.home}")
        return
    with one_at_a_time(settings, progress):
        async with progress.step("stopping") as step:
            step.outcome = "nothing was running" if not await _stop(settings) else "everything has ended"
        if purge:
            async with progress.step("purging") as step:
                with plainly():
                    _purge(settings)
                step.outcome = f"removed {settings.home}"


async def _stop(settings: Settings) -> bool:
    """End what runs. False if there was nothing."""
    home = programs.supervisor_home(settings)
    if is_running(home):
        client = SupervisorClient(settings.control_socket, timeout=300)
        try:
            supervisor = identify(await client.pid())
            await client.shutdown()
            while supervisor is not None and supervisor.alive:  # noqa: ASYNC110 - it has nothing left to do but end
                await asyncio.sleep(0.02)
        except SupervisorUnavailable as problem:
            if is_running(home):
                raise CannotRun(f"the supervisor does not answer; see {home.log}") from problem
        else:
            return True
    try:
        return await end_leftovers(home, open_listener)
    except AlreadyRunning as problem:
        raise CannotRun(f"the supervisor is still ending; see {home.log}") from problem


def _purge(settings: Settings) -> None:
    """Remove what we made, and nothing else that may lie in the same folder."""
    for path in [*(settings.home / name for name in _OURS), _state_outside(settings), settings.sockets]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if settings.home.exists() and not any(settings.home.iterdir()):
        settings.home.rmdir()


def _state_outside(settings: Settings) -> Path:
    """Where the database lies when its user cannot reach the home."""
    return SYSTEM_STATE / settings.instance
