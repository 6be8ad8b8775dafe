"""Processes that can be found again, watched though they may not be our children, and ended with all they started.

A pid alone may be another process by now: with the start time that the kernel gives it, it is one process for ever.
Every program carries a mark in its environment, inherited by all it starts, whatever session they move to; a zombie
counts as dead.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ironworks.shared.supervision import PROGRAM_MARK, ProgramSpec

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process. `started` is in clock ticks since boot, as the kernel tells it."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return identify(self.pid) == self


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None if there is none, or only what is left of it."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name before may hold spaces and parentheses
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def marked(instance: str, program: str | None = None) -> list[Identity]:
    """All live processes which belong to `program`, or to any program of `instance`."""
    prefix = f"{PROGRAM_MARK}={instance}/".encode()
    exact = prefix + program.encode() if program is not None else None
    return [
        found
        for entry in _PROC.iterdir()
        if entry.name.isdigit()
        and any(word == exact if exact else word.startswith(prefix) for word in _environment(entry))
        and (found := identify(int(entry.name))) is not None
    ]


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended meanwhile, or belongs to someone else


def send(processes: Sequence[Identity], number: int) -> None:
    """Signal those that still live."""
    for process in processes:
        try:
            if process.alive:
                os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


class Process:
    """A running program: our child, or one adopted from a supervisor that died."""

    def __init__(self, identity: Identity, mark: tuple[str, str], child: subprocess.Popen[bytes] | None = None) -> None:
        self.identity = identity
        self.mark = mark
        self._child = child

    @property
    def pid(self) -> int:
        return self.identity.pid

    async def wait(self) -> str:
        """Wait for its end; returns how it ended, in words."""
        await _ended(self.identity)
        if self._child is None:
            return "ended"  # only a parent learns how
        code = await asyncio.to_thread(self._child.wait)
        return f"exit {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    async def stop(self, number: int, grace: float) -> None:
        """Ask it to end, kill it after `grace` seconds, and kill whatever it leaves behind."""
        send([self.identity], number)
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            send([self.identity], signal.SIGKILL)
        await self.clear()

    async def clear(self) -> None:
        """Kill everything that carries its mark, and wait until it is gone."""
        await kill_marked(*self.mark)
        if self._child is not None:
            await asyncio.to_thread(self._child.wait)


async def kill_marked(instance: str, program: str | None = None, patience: float = 20.0) -> list[Identity]:
    """Kill all processes of a program (or of the instance) until none is left; returns those that would not go."""
    deadline = time.monotonic() + patience
    while (left := marked(instance, program)) and time.monotonic() < deadline:
        send(left, signal.SIGKILL)
        await asyncio.sleep(0.01)
    return left


def start(
    spec: ProgramSpec, instance: str, environment: Mapping[str, str], descriptors: Mapping[str, int], log: int
) -> Process:
    """Start a program in a session of its own, its output appended to the open file `log`.

    Raises OSError (no such program, no such folder), KeyError (no such user).
    """
    account = pwd.getpwnam(spec.user) if spec.user is not None and os.geteuid() == 0 else None
    child = subprocess.Popen(  # noqa: S603
        spec.argv,
        env={**environment, **spec.env, PROGRAM_MARK: f"{instance}/{spec.name}"},
        cwd=spec.cwd,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=tuple(descriptors.values()),
    )
    # until it is waited for, a child keeps its pid, so there is always something to identify
    identity = identify(child.pid) or Identity(child.pid, 0)
    return Process(identity, (instance, spec.name), child)


async def _ended(identity: Identity) -> None:
    """Return once the process has ended: told by the kernel where it can (Linux 5.3), else by looking."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    except OSError:
        while identity.alive:  # noqa: ASYNC110 - the kernel does not tell us
            await asyncio.sleep(0.1)
        return
    try:
        if not identity.alive:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(handle)
    finally:
        os.close(handle)
