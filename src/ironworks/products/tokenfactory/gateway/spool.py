"""The spool: what keeps every request's usage from before its upstream is called until it is charged.

    opened (written) → upstream → tokens counted in a slot → closed (synced) → terminator to the caller → charged

One directory per process, under a lock that the kernel lets go when the process dies; whoever then takes the lock
settles what it left (`shipping.py`). Segments are given up in order, each when all its closed records are charged and
its open ones are closed; the openings of long requests are written anew at the front so that they hold up no file.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from ironworks.products.tokenfactory.gateway.model import UsageRecord
from ironworks.products.tokenfactory.gateway.segments import (
    CLOSED,
    HEADER,
    OPENED,
    START,
    Segment,
    Slots,
    Ticket,
)
from ironworks.products.tokenfactory.gateway.sync import GroupSync, Then

LOCK = "lock"
UNFINISHED = ".new-"
MAX_SPARES = 4
KEPT_SEGMENTS = 2
"""Of so many, the newest, closing records are kept in memory too; what waits longer than that is on disk alone."""


class SpoolFull(Exception):
    """No slot is free: as many requests are open as this process may hold."""


class Cursor(NamedTuple):
    """How far the closed records have been read: a segment's number and a position in it."""

    segment: int = 0
    position: int = 0


class Spool:
    """One process's spool. All methods are called from the event loop; none waits for a sync."""

    def __init__(
        self,
        root: Path,
        loop: asyncio.AbstractEventLoop,
        *,
        slots: int = 16_384,
        segment: int = 4 * 1024 * 1024,
        sync: bool = True,
    ) -> None:
        """Makes and locks a directory of its own under `root`; raises OSError when the disk refuses."""
        self.directory, self._lock = make_directory(root)
        self._slots = Slots(self.directory, slots)
        self._size = segment
        self._sync = GroupSync(loop, self._sync_failed) if sync else None
        self._segments: deque[Segment] = deque()
        self._spares: list[Segment] = []
        self._late: list[tuple[Ticket, bytes]] = []
        self._acknowledged = Cursor()
        self._rotate()
        self.healthy = True
        """False from a failed write or sync until a new segment could be made."""

    @property
    def backlog(self) -> int:
        """Bytes that are written and not acknowledged."""
        number, position = self._acknowledged
        begun = max(position, START)
        return sum(s.end - (begun if s.number == number else START) for s in self._segments if s.number >= number)

    def open(self, fields: bytes, guess: int, said: tuple[object, ...] | None = None) -> Ticket:
        """Record that a request begins: the first fields of its UsageRecord, as JSON without brackets, and a guess at
        the tokens of its input. `said` are the same fields, where they may be kept until they are charged.

        Raises SpoolFull, or OSError when nothing can be written.
        """
        if not self.healthy:
            self._mend()
        taken = self._slots.take()
        if taken is None:
            raise SpoolFull
        slot, generation = taken
        ticket = Ticket(slot, generation, fields, guess, said)
        try:
            segment = self._append(OPENED, ticket.opening())
        except OSError as problem:
            self._slots.give(ticket.slot)
            self.healthy = problem.errno is None  # the record's own fault, not the disk's
            raise
        ticket.segment = segment
        segment.opened[ticket.slot] = ticket
        return ticket

    def reopen(self, ticket: Ticket, fields: bytes, guess: int, said: tuple[object, ...] | None = None) -> Ticket:
        """Record that the request goes elsewhere: this opening counts from now on, or, with an OSError, the old one."""
        fresh = Ticket(ticket.slot, ticket.generation, fields, guess, said)
        fresh.segment = segment = self._append(OPENED, fresh.opening())
        ticket.segment.opened.pop(ticket.slot, None)
        segment.opened[ticket.slot] = fresh
        return fresh

    def count(self, ticket: Ticket, tokens: int) -> None:
        """`tokens` of output have been sent so far."""
        self._slots.count(ticket.slot, tokens)

    def close(self, ticket: Ticket, others: tuple[object, ...], then: Then) -> None:
        """Record the request's true usage and call `then` once that is on disk.

        `others` are the fields of its UsageRecord after those of its opening.
        """
        payload = ticket.closing(others)
        try:
            segment = self._append_closing(ticket, payload)
        except OSError as problem:
            self.healthy = False
            self._late.append((ticket, payload))
            then(problem)
            return
        if ticket.said is not None:
            segment.kept[segment.end - len(payload) - HEADER.size] = ticket.said + others
        if self._sync is None:
            segment.synced = segment.end
            then(None)
        else:
            self._sync.submit(segment, then)

    def read_closed(self, cursor: Cursor, limit: int) -> tuple[list[UsageRecord], Cursor]:
        """Up to `limit` records closed and synced after `cursor`, and the cursor after them."""
        records: list[UsageRecord] = []
        for segment in tuple(self._segments):
            if segment.number < cursor.segment:
                continue
            if segment.number > cursor.segment:
                cursor = Cursor(segment.number, 0)
            found, position = segment.read_closed(cursor.position, limit - len(records))
            cursor = Cursor(segment.number, position)
            records += found
            if len(records) == limit:
                break
            if segment.synced < segment.closed_end:
                break
        return records, cursor

    def acknowledge(self, cursor: Cursor) -> None:
        """All before `cursor` is charged: remove the segments that nothing needs any more."""
        self._acknowledged = cursor
        while len(self._segments) > 1 and self._is_charged(self._segments[0]):
            oldest = self._segments[0]
            if oldest.opened and not self._carry(oldest):
                return
            self._segments.popleft()
            if len(self._spares) < MAX_SPARES:
                oldest.retire()
                self._spares.append(oldest)
            else:
                oldest.remove()

    def release(self, *, keep: bool = False) -> None:
        """Leave the directory to whoever takes the lock next; nothing is left of it if all in it is charged.

        `keep`: leave it all the same, for what is still to be done in its name.
        """
        if self._sync is not None:
            self._sync.close()
        finished = not self._late and all(self._is_charged(s) and not s.opened for s in self._segments)
        for segment in (*self._segments, *self._spares):
            segment.close()
        self._slots.close()
        if finished and not keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)

    def _is_charged(self, segment: Segment) -> bool:
        return self._acknowledged >= (segment.number, segment.closed_end)

    def _append(self, kind: int, payload: bytes) -> Segment:
        """Write a record to the newest segment, or to a new one. Raises OSError."""
        segment = self._segments[-1]
        if not segment.append(kind, payload):
            segment = self._rotate()
            if not segment.append(kind, payload):
                raise OSError(f"a record of {len(payload)} bytes is larger than a segment")
        return segment

    def _append_closing(self, ticket: Ticket, payload: bytes) -> Segment:
        segment = self._append(CLOSED, payload)
        ticket.segment.opened.pop(ticket.slot, None)
        self._slots.give(ticket.slot)
        return segment

    def _rotate(self) -> Segment:
        number = self._segments[-1].number + 1 if self._segments else 0
        if self._spares:
            segment = self._spares.pop()
            segment.begin(number)
        else:
            segment = Segment(self.directory, number, self._size)
        self._segments.append(segment)
        if len(self._segments) > KEPT_SEGMENTS:
            self._segments[-1 - KEPT_SEGMENTS].kept.clear()
        return segment

    def _sync_failed(self) -> None:
        """What of it reached the disk is unknown, so go on in a new file."""
        self.healthy = False

    def heal(self) -> None:
        """Try whether what could not be written can be now; twice a second while it is not healthy.

        Requests alone would not do: who sees in `/health` that nothing is served sends none.
        """
        if not self.healthy:
            with contextlib.suppress(OSError):
                self._mend()

    def _mend(self) -> None:
        """Go on in a new segment. What older ones hold is charged from memory, which makes it safe in another way."""
        for segment in self._segments:
            segment.synced = segment.end
        self._rotate()
        while self._late:
            self._append_closing(*self._late[-1]).synced = self._segments[-1].end
            self._late.pop()
        self.healthy = True

    def _carry(self, segment: Segment) -> bool:
        """Write the openings that `segment` still holds anew; False when the disk refuses."""
        try:
            for slot, ticket in list(segment.opened.items()):
                newest = self._append(OPENED, ticket.opening())
                newest.opened[slot] = ticket
                ticket.segment = newest
                del segment.opened[slot]
        except OSError:
            return False
        return True


def make_directory(root: Path) -> tuple[Path, int]:
    """A new process directory under `root` and the descriptor that locks it.

    It is locked before it has its name, so nobody can take it for a dead process's.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{time.time_ns() // 1_000_000:x}-{os.getpid()}-{secrets.token_hex(4)}"
    fresh = root / (UNFINISHED + name)
    fresh.mkdir(mode=0o700)
    lock = os.open(fresh / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fresh.rename(root / name), lock
