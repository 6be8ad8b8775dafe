"""What must be there before anything is started: a place to write, a system that can run us, free ports.

Every problem is one sentence that says what to do about it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from ironworks.app.settings import Part, Settings, open_listener, private_folder

_FREE_BYTES = 512 * 1024 * 1024
_TRIES = 200


class CannotRun(RuntimeError):
    """Something outside of us must be mended first; the message says what, in one line."""


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Turn what the system refuses into a sentence. Raises CannotRun."""
    try:
        yield
    except OSError as problem:
        where = f" {problem.filename}" if problem.filename else ""
        remedy = {
            errno.ENOSPC: "the disk is full: free some space",
            errno.EDQUOT: "the disk quota is used up: free some space",
            errno.EROFS: "the disk is read-only: set IRONWORKS_HOME to a folder elsewhere",
            errno.EACCES: "may not be written to: set IRONWORKS_HOME to a folder of yours",
            errno.EPERM: "may not be written to: set IRONWORKS_HOME to a folder of yours",
        }.get(problem.errno or 0, problem.strerror or str(problem))
        raise CannotRun(f"cannot write{where}: {remedy}") from problem


def prepare_home(settings: Settings) -> None:
    """Make the folders of a local run. Raises CannotRun, SettingsProblem."""
    if sys.platform != "linux":
        raise CannotRun("ironworks up needs Linux: elsewhere run it in a container")
    with plainly():
        settings.home.mkdir(parents=True, exist_ok=True)
        settings.home.chmod(0o711 if os.geteuid() == 0 else 0o700)  # root's Postgres is another user, and lives below
        for folder in (settings.logs, settings.run, settings.objects, settings.spool, settings.mail, settings.models):
            folder.mkdir(mode=0o700, exist_ok=True)
        ignore = settings.home / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        private_folder(settings.sockets)
    free = shutil.disk_usage(settings.home).free
    if free < _FREE_BYTES:
        raise CannotRun(f"only {free // 2**20} MiB are free at {settings.home}: free some space, 512 MiB are needed")


def settle_ports(settings: Settings, keep: Collection[Part] = ()) -> Settings:
    """Settings with ports that are free now, remembered for next time; those in `keep` are in use by ourselves.

    A port that the environment names is taken as it is. Raises CannotRun when that one, or 200 in a row, are taken.
    """
    ports = dict(settings.ports)
    mine: list[Part] = [part for part in ("api", "gateway", "postgres") if part != "postgres" or settings.embedded]
    for part in mine:
        if part not in keep:
            others = {ports[other] for other in mine if other != part}
            ports[part] = _free_port(settings, part, others)
    with plainly():
        remember_ports(settings.run / "ports.json", ports)
    return replace(settings, ports=ports)


def remember_ports(path: Path, ports: dict[Part, int]) -> None:
    """Write the ports where `load_settings` finds them, unless they stand there already."""
    text = json.dumps(ports, sort_keys=True)
    if not path.exists() or path.read_text() != text:
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)


def _free_port(settings: Settings, part: Part, others: Collection[int]) -> int:
    wanted = settings.ports[part]
    host = "127.0.0.1" if part == "postgres" else settings.host
    if part in settings.fixed_ports:
        if not is_free(host, wanted):
            raise CannotRun(
                f"port {wanted} is taken by another program: set IRONWORKS_{part.upper()}_PORT to a free one"
            )
        return wanted
    for port in range(wanted, min(wanted + _TRIES, 65536)):
        if port not in others and is_free(host, port):
            return port
    raise CannotRun(f"no free port for {part} from {wanted} on: set IRONWORKS_{part.upper()}_PORT to a free one")


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    try:
        open_listener(host, port).close()
    except OSError as problem:
        if problem.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise CannotRun(f"cannot listen on {host}: {problem.strerror}; set IRONWORKS_HOST") from problem
    return True
