"""A real supervisor in a process of its own, and programs for it to run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ironworks.app.settings import Settings, load_settings, private_folder
from ironworks.app.supervisor.process import identify
from ironworks.shared.supervision import SupervisorClient

SERVER = """
import os, socket, sys, time, signal
name, fd = os.environ["IRONWORKS_LISTEN_FDS"].split("=")
listener = socket.socket(fileno=int(fd))
listener.setblocking(True)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%d" % (len(str(os.getpid())), os.getpid()))
    connection.close()
"""
"""A web server on an inherited socket that answers with its pid."""


class SupervisorUnderTest:
    """One home and its supervisor; start it, kill it, start it again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = load_settings({**os.environ, "IRONWORKS_HOME": str(folder / "home")})
        for each in (self.settings.run, self.settings.logs):
            each.mkdir(parents=True)
        private_folder(self.settings.sockets)
        self.client = SupervisorClient(self.settings.control_socket, timeout=30)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.settings.logs / "supervisor.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ironworks.app", "supervisor"],
                env={**os.environ, "IRONWORKS_HOME": str(self.settings.home), "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def started(self) -> None:
        self.start()
        await until(self._answers)

    async def _answers(self) -> bool:
        with contextlib.suppress(Exception):
            assert self.process is not None
            return await self.client.pid() == self.process.pid
        return False

    def kill(self) -> None:
        """The death nobody can prepare for."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.settings.sockets, ignore_errors=True)

    def log(self, program: str) -> str:
        return str(self.settings.logs / f"{program}.log")

    def log_text(self, program: str) -> str:
        path = Path(self.log(program))
        return path.read_text() if path.exists() else ""


async def until(condition: Callable[[], object], within: float = 60.0) -> None:
    """Wait until `condition` (a function, or a coroutine function) holds; AssertionError if it never does."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {within} s"
        await asyncio.sleep(0.02)


def lives(pid: int | None) -> bool:
    """Whether a process runs; what is left of a dead one does not count."""
    return pid is not None and identify(pid) is not None


@contextlib.contextmanager
def supervisor_under_test(folder: Path) -> Iterator[SupervisorUnderTest]:
    supervisor = SupervisorUnderTest(folder)
    try:
        yield supervisor
    finally:
        supervisor.end()
