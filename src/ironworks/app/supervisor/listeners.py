"""Listening sockets that outlive the programs which accept on them.

While a gateway restarts, connections wait in the socket's queue instead of being refused. A program's sockets are
opened before it is accepted, so that a taken port is told to whoever asked for it; no socket is shared with a
stranger (SO_REUSEPORT is off).
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Iterable, Mapping

from ironworks.shared.supervision import LISTEN_FDS, Listen

_PIDFD_GETFD = 438  # the same number on every architecture
Opener = Callable[[str, int], socket.socket]


class Listeners:
    """The sockets that are open now, by what they were asked for as."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._open: dict[Listen, socket.socket] = {}

    def open(self, wanted: Iterable[Listen]) -> dict[str, int]:
        """File descriptors by name, opening what is not open. Raises OSError naming the address that is taken."""
        for listen in wanted:
            if listen not in self._open:
                try:
                    self._open[listen] = self._opener(listen.host, listen.port)
                except OSError as problem:
                    raise OSError(
                        problem.errno, f"{listen.host}:{listen.port} is taken: {problem.strerror}"
                    ) from problem
        return {listen.name: self._open[listen].fileno() for listen in wanted}

    def close_all_but(self, used: set[Listen]) -> None:
        """Close what no program uses any more."""
        for listen in [each for each in self._open if each not in used]:
            self._open.pop(listen).close()

    def take_back(self, pid: int, wanted: Iterable[Listen], descriptors: Mapping[str, int]) -> None:
        """Copy the sockets of an adopted program out of it, so that its own restart drops nothing either.

        Where the kernel forbids that, they are opened anew once it has ended.
        """
        for listen in wanted:
            if listen not in self._open and listen.name in descriptors:
                copied = _copy_descriptor(pid, descriptors[listen.name])
                if copied is not None:
                    self._open[listen] = socket.socket(fileno=copied)


def as_variable(descriptors: Mapping[str, int]) -> dict[str, str]:
    """The environment variable that tells a program of its sockets."""
    return {LISTEN_FDS: ",".join(f"{name}={fd}" for name, fd in descriptors.items())} if descriptors else {}


def _copy_descriptor(pid: int, number: int) -> int | None:
    """pidfd_getfd(2): Linux 5.6, and the right to trace the process."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copied = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copied < 0:
        return None
    os.set_inheritable(copied, False)
    return int(copied)
