"""A whole installation in a folder of its own, driven by the commands that a person would type."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ironworks.app.settings import Settings, load_settings
from ironworks.app.supervisor.process import marked
from ironworks.shared.supervision import SupervisorClient
from tests.support.postgres import free_port


@dataclass
class Installation:
    """One home. `environment` is what the commands get besides ours; `user` and `python` run them, where not we do."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    python: str = sys.executable

    @property
    def settings(self) -> Settings:
        return load_settings({**os.environ, **self._variables()})

    @property
    def client(self) -> SupervisorClient:
        return SupervisorClient(self.settings.control_socket)

    def _variables(self) -> dict[str, str]:
        return {"IRONWORKS_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(sys.path), **self.environment}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """`ironworks COMMAND`, not waited for."""
        return subprocess.Popen(
            [self.python, "-m", "ironworks.app", *command],
            env={**os.environ, **self._variables()},
            cwd=None if self.user is None else self.home.parent,
            user=self.user,
            group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, within: float = 150.0) -> subprocess.CompletedProcess[str]:
        """`ironworks COMMAND`, to its end."""
        process = self.start(*command)
        try:
            output, errors = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    async def run_aside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """The same, leaving the event loop free."""
        return await asyncio.to_thread(self.run, *command)

    def parts(self) -> dict[str, Mapping[str, Any]]:
        """What `status -o json` says, by part."""
        return {part["name"]: part for part in json.loads(self.run("status", "-o", "json").stdout)["parts"]}

    def pids(self) -> dict[str, int | None]:
        return {name: part["pid"] for name, part in self.parts().items()}

    def processes(self) -> list[int]:
        """Every process that belongs to it, its supervisor aside."""
        return [process.pid for process in marked(self.settings.instance)]


@contextlib.contextmanager
def installation(home: Path, **environment: str) -> Iterator[Installation]:
    """An installation on free ports; at the end nothing of it is left."""
    found = Installation(home, {**free_ports(), **environment})
    try:
        yield found
    finally:
        end(found)


def free_ports() -> dict[str, str]:
    """Variables that name a port for each part."""
    return {f"IRONWORKS_{part}_PORT": str(free_port()) for part in ("API", "GATEWAY", "POSTGRES", "REPLICA")}


def end(installed: Installation) -> None:
    """Leave nothing of it."""
    installed.run("down", "--purge")
    shutil.rmtree(installed.home, ignore_errors=True)
