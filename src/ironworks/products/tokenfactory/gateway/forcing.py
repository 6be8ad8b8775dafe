"""Forcing files to disk without waiting for it: by the kernel's own workers, or by a thread where that cannot be had.

Linux' aio (`io_submit` with IOCB_CMD_FDSYNC, Linux 4.18) returns at once and rings an eventfd when the disk is done, so
the event loop hears of it as of any socket. A thread costs each sync some hundred microseconds more (*measured*), most
of them for handing the interpreter over and back; it is for containers that may not call aio, and for other processors.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final, Protocol, TypeAlias

Done: TypeAlias = Callable[[OSError | None], None]
"""Called in the event loop when all files are on disk, or with why one is not."""

MOST: Final = 16
"""Files that the kernel is told of at once."""
_CALLS: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Numbers of io_setup, io_destroy, io_getevents and io_submit."""
_FDSYNC: Final = 3
_RINGS: Final = 1


class Forcer(Protocol):
    """Forces files, one group after the other."""

    def begin(self, files: Sequence[int]) -> None:
        """Force these descriptors; `done` is told in a later turn of the loop. One group at a time."""

    def close(self) -> None:
        """Wait for the group under way, of which nobody is told any more, and let go of everything."""


def forcer_of(loop: asyncio.AbstractEventLoop, done: Done) -> Forcer:
    """The better of the two that can be had; `done` is told of each group."""
    try:
        return KernelForcer(loop, done)
    except OSError:
        return ThreadForcer(loop, done)


class _Order(ctypes.Structure):
    """`struct iocb` of <linux/aio_abi.h>, little-endian."""

    _fields_ = (
        ("data", ctypes.c_uint64), ("key", ctypes.c_uint32), ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16), ("priority", ctypes.c_int16), ("file", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64), ("size", ctypes.c_uint64), ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64), ("flags", ctypes.c_uint32), ("bell", ctypes.c_uint32),
    )  # fmt: skip


class _Event(ctypes.Structure):
    """`struct io_event`; `result` is 0, or an error's negative number."""

    _fields_ = (
        ("data", ctypes.c_uint64), ("order", ctypes.c_uint64), ("result", ctypes.c_int64), ("more", ctypes.c_int64),
    )  # fmt: skip


class KernelForcer:
    """By Linux' aio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Raises OSError where it cannot be had."""
        self._loop = loop
        self._done = done
        self._rest: list[int] = []
        self._left = 0
        self._problem: OSError | None = None
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        setup, self._destroy, self._events_of, self._submit = _numbers()
        self._context = ctypes.c_ulong(0)
        self._ask(setup, MOST, ctypes.byref(self._context))
        try:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            self._ask(self._destroy, self._context)
            raise
        self._orders = [_Order(opcode=_FDSYNC, flags=_RINGS, bell=self._bell) for _ in range(MOST)]
        self._row = (ctypes.c_void_p * MOST)(*map(ctypes.addressof, self._orders))
        self._events = (_Event * MOST)()
        loop.add_reader(self._bell, self._hear)

    def begin(self, files: Sequence[int]) -> None:
        self._problem = None
        self._order(list(files))

    def _order(self, files: list[int]) -> None:
        now, self._rest = files[:MOST], files[MOST:]
        for order, file in zip(self._orders, now, strict=False):
            order.file = file
        try:
            self._left = self._ask(self._submit, self._context, len(now), self._row)
            if self._left < len(now):
                self._problem = OSError(errno.EAGAIN, "the kernel does not take so many files at once")
        except OSError as problem:
            self._left = 0
            self._loop.call_soon(self._done, problem)

    def _hear(self) -> None:
        """The bell rang: some of the files are on disk, or cannot be put there."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        count = self._ask(self._events_of, self._context, ctypes.c_long(0), ctypes.c_long(MOST), self._events, None)
        for event in self._events[:count]:
            if event.result:
                self._problem = OSError(-event.result, os.strerror(-event.result))
        self._left -= count
        if not count or self._left:
            return
        if self._rest and self._problem is None:
            self._order(self._rest)
        else:
            self._done(self._problem)

    def close(self) -> None:
        self._loop.remove_reader(self._bell)
        self._ask(self._destroy, self._context)
        os.close(self._bell)

    def _ask(self, number: int, *arguments: object) -> int:
        """A system call. Raises OSError."""
        result = int(self._call(ctypes.c_long(number), *arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result


def _numbers() -> tuple[int, int, int, int]:
    numbers = _CALLS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        raise OSError(errno.ENOSYS, "how to call aio here is not known")
    return numbers


class ThreadForcer:
    """By a thread, which must have the interpreter for a moment before and after."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self._loop = loop
        self._done = done
        self._work: SimpleQueue[Sequence[int]] = SimpleQueue()
        self._worker = Thread(target=self._run, name="spool-sync", daemon=True)
        self._worker.start()

    def begin(self, files: Sequence[int]) -> None:
        self._work.put(files)

    def close(self) -> None:
        self._work.put(())
        self._worker.join(timeout=5)

    def _run(self) -> None:
        while files := self._work.get():
            problem = _force(files)
            try:
                self._loop.call_soon_threadsafe(self._done, problem)
            except RuntimeError:  # the loop is closed: nobody is left to tell
                return


def _force(files: Sequence[int]) -> OSError | None:
    try:
        for file in files:
            os.fdatasync(file)
    except OSError as problem:
        return problem
    return None
