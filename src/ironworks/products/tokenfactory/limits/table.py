"""The counts behind limits, in a file that all gateway processes of a host map: one truth, whoever counts.

Every change that depends on what was read is made under the file's lock, which the kernel takes back from a process
that dies. A process killed in the middle leaves whole words (aligned stores of 8 bytes are never torn), at worst a
debit for a request that was never served, which drains away like any other.

- A rate's cell is `high | low | time | owner`: its key (128 bits of a keyed hash), and the theoretical arrival time of
  the generic cell rate algorithm (ITU-T I.371), in nanoseconds of the clock that counts from the host's start. One
  whose time has passed is as good as none, so it may be given to another key without anybody noticing.
- A concurrency's cell is `high | low | - | owner`, and for each process there is a column of counts, one for each such
  cell. Each process writes its own column alone, and only those of processes that live are worth anything: which, their
  locks tell.

A key's cell is one of 16 in its window. Where all 16 are in use, the owner with most of them loses the one that is
nearest to idle: who floods the table with made-up end users forgives his own. Two keys never share a cell.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final
from uuid import UUID

CELL: Final = 4
"""Words of a cell."""
HIGH: Final = 0
LOW: Final = 1
TIME: Final = 2
OWNER: Final = 3
SLOTS: Final = 256
"""Gateway processes of one host."""
WAYS: Final = 16
HEADER: Final = 512
LIVE: Final = 4
"""The header's word for one more than the highest slot in use."""
MOVES: Final = 5
"""The header's word for how often a cell was given to a key: while it stands still, so does every key's cell."""
_HOST: Final = 2
_MARK: Final = 0x49574C32
FILE: Final = "limits-2.cells"
"""Another arrangement gets another name: two versions of the program may run side by side for a while."""
_LOCKED: Final = 1 << 40
"""Where the locks of processes begin; no byte of the file is there."""
PATIENCE: Final = 0.25
"""Seconds to wait for the lock. It is held for some microseconds, unless the machine gives its holder no time."""
IMPATIENCE: Final = 1.0
"""Seconds after that for which nobody waits, so that a process that was stopped does not stop the others."""


class Stuck(Exception):
    """The lock is held by a process that was stopped in the middle, or the machine is far too busy."""


class Area:
    """A part of the file: `sets` windows of cells, from word `first` on."""

    __slots__ = ("end", "first", "sets")

    def __init__(self, first: int, sets: int) -> None:
        self.first = first
        self.sets = sets
        self.end = first + sets * WAYS * CELL

    def window(self, low: int) -> range:
        """Where the cell of a key may be."""
        first = self.first + low % self.sets * WAYS * CELL
        return range(first, first + WAYS * CELL, CELL)


RATES: Final = Area(HEADER, 4_096)
USERS: Final = Area(RATES.end, 16_384)
"""End users have an area of their own: their names are whatever callers write."""
FLIGHTS: Final = Area(USERS.end, 512)
COLUMN: Final = FLIGHTS.sets * WAYS
"""Words from one process's count of a concurrency to the next process's."""
SIZE: Final = (FLIGHTS.end + SLOTS * COLUMN) * 8


def counts_of(at: int) -> int:
    """Where the first process's count is, of the concurrency whose cell is at `at`."""
    return FLIGHTS.end + (at - FLIGHTS.first) // CELL


class Table:
    """The mapped file, and this process's place in it.

    Attributes:
        words: the file as 64-bit integers. slot: which count of a concurrency's cell is ours.
        host: names the table, and so the host, until its next start.
        evicted: cells taken from their keys before they were idle. unplaced: cells for which there was no room.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Opens the file in `folder`, making it where there is none or one from before the host's last start.

        Raises OSError: the disk is full, the folder is not ours, or 256 processes are there already.
        """
        self.clock = clock
        self.evicted = self.unplaced = 0
        self._impatient_until = 0.0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
            try:
                self._begin()
                self.slot = self._take_slot()
            finally:
                fcntl.flock(self.fd, fcntl.LOCK_UN)
        except BaseException:
            os.close(self.fd)
            raise
        self._salt = struct.pack("<qq", *self.words[_HOST : _HOST + 2])
        self.host = UUID(bytes=self._salt)

    def _begin(self) -> None:
        """Map the file, after voiding one from before the host's last start, or that was cut off in the making.

        A file in use is neither, so nobody loses what he has mapped.
        """
        head = struct.pack("<qq", _MARK, _boot_mark())
        fresh = os.pread(self.fd, len(head), 0) != head
        if fresh:
            os.ftruncate(self.fd, 0)
        os.posix_fallocate(self.fd, 0, SIZE)
        self._map = mmap.mmap(self.fd, SIZE)
        self.words = memoryview(self._map).cast("q")
        if fresh:
            self._map[_HOST * 8 : _HOST * 8 + 16] = secrets.token_bytes(16)
            self._map[: len(head)] = head

    # processes

    def _take_slot(self) -> int:
        for slot in range(SLOTS):
            if self._lock_slot(slot):
                self._clear(slot)
                self.words[LIVE] = max(self.words[LIVE], slot + 1)
                return slot
        raise OSError(f"{SLOTS} gateway processes use this host's limits already")

    def _lock_slot(self, slot: int, kind: int = fcntl.F_WRLCK) -> bool:
        """Whether the slot was free. The lock belongs to the open file, and goes with the process."""
        lock = struct.pack("hhqqi4x", kind, os.SEEK_SET, _LOCKED + slot, 1, 0)
        try:
            fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, lock)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _clear(self, slot: int) -> None:
        first = FLIGHTS.end + slot * COLUMN
        self._map[first * 8 : (first + COLUMN) * 8] = bytes(COLUMN * 8)

    def reap(self) -> None:
        """Take back the counts of processes that are gone. Only under the lock."""
        live = self.slot + 1
        for slot in range(self.words[LIVE]):
            if slot == self.slot:
                continue
            if self._lock_slot(slot):
                self._clear(slot)
                self._lock_slot(slot, fcntl.F_UNLCK)
            else:
                live = max(live, slot + 1)
        self.words[LIVE] = live

    # the lock

    def lock(self) -> None:
        """Take the lock. Raises Stuck."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.wait()

    def wait(self) -> None:
        """Take the lock from whoever has it, as soon as he lets go. Raises Stuck."""
        began = time.monotonic()
        if began < self._impatient_until:
            raise Stuck
        tries = 0
        while time.monotonic() < began + PATIENCE:
            if tries < 50:
                os.sched_yield()
            else:
                time.sleep(0.00005)
            tries += 1
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return
        self._impatient_until = time.monotonic() + IMPATIENCE
        raise Stuck

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    # cells

    def key_of(self, *parts: bytes) -> tuple[int, int]:
        """(high, low) of what is counted; nobody can choose names that fall into another's window."""
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for part in parts:
            digest.update(struct.pack("<I", len(part)) + part)
        high, low = struct.unpack("<qq", digest.digest())
        return high, low

    def place(self, area: Area, high: int, low: int, owner: int, now: int, keep: Collection[int]) -> int:
        """Where the key's cell is, made if need be and not of those in `keep`; -1 without room. Only under the lock."""
        words, idle = self.words, -1
        for at in area.window(low):
            if words[at] == high and words[at + LOW] == low:
                return at
            if idle < 0 and at not in keep and self._is_idle(area, at, now):
                idle = at
        if idle < 0:
            idle = self._give_up(area, low, keep)
        if idle < 0:
            self.unplaced += 1
            return -1
        words[MOVES] += 1
        words[idle + TIME] = 0
        words[idle + OWNER] = owner
        words[idle + LOW] = low
        words[idle + HIGH] = high
        return idle

    def _is_idle(self, area: Area, at: int, now: int) -> bool:
        return self.words[at + TIME] <= now if area is not FLIGHTS else not self.in_flight(at)

    def in_flight(self, at: int) -> int:
        """Requests in flight of all processes, by the concurrency's cell at `at`."""
        first = counts_of(at)
        return sum(self.words[first : first + self.words[LIVE] * COLUMN : COLUMN])

    def _give_up(self, area: Area, low: int, keep: Collection[int]) -> int:
        """The cell that its owner must do without. A count of requests in flight is never given up."""
        if area is FLIGHTS:
            return -1
        words = self.words
        there = [at for at in area.window(low) if at not in keep]
        most = Counter(words[at + OWNER] for at in there).most_common(1)
        self.evicted += 1
        return min((at for at in there if words[at + OWNER] == most[0][0]), key=lambda at: words[at + TIME])

    def close(self) -> None:
        """Give back what this process counts, and let go of the file."""
        self._clear(self.slot)
        self.words.release()
        self._map.close()
        os.close(self.fd)


def _boot_mark() -> int:
    """A number that is another after each start of the host; the file's times mean nothing then."""
    text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    return int(struct.unpack("<q", hashlib.blake2b(text, digest_size=8).digest())[0])
