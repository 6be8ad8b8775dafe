"""Ends every process of a test run when the run ends, however it ends.

Started by the main pytest process, which holds the other end of our standard input: end of file means that it is
gone, be it finished, interrupted or killed. Whatever the run started carries its folder in the environment (`MARK`),
supervisors in sessions of their own and Postgres under another user included; that is how it is found.

Run as `python guard.py FOLDER`; needs the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

MARK = "PYTEST_IRONWORKS_RUN"


def marked_processes(folder: str) -> list[int]:
    """The pids of all live processes which belong to the run in `folder`, ourselves excluded."""
    wanted = f"{MARK}={folder}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and int(entry.name) != os.getpid() and wanted in _environment(entry)
    ]


def _environment(process: Path) -> list[bytes]:
    try:
        if ") Z " in (process / "stat").read_text():
            return []
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended meanwhile, or belongs to someone else


def end_all(folder: str, patience: float = 10.0) -> list[int]:
    """Kill them until none is left; returns the pids that would not go within `patience` seconds."""
    deadline = time.monotonic() + patience
    while (left := marked_processes(folder)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    return left


def main() -> int:
    folder = sys.argv[1]
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.stdin.read()
    left = end_all(folder)
    shutil.rmtree((Path(folder) / "memory").resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
