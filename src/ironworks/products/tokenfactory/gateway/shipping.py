"""From the spool to the charge: this process's closed records in batches, and what dead processes left behind.

`charge` is idempotent by request id, so a batch whose answer was lost, or a directory that was half shipped when its
shipper died too, is simply sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.model import Charge, UsageRecord, read_opening
from ironworks.products.tokenfactory.gateway.segments import CLOSED, SUFFIX, read_segments, read_slots
from ironworks.products.tokenfactory.gateway.spool import LOCK, UNFINISHED, Cursor, Spool
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

LONGEST_WAIT = 5.0
STRIDE = 16
"""Records read before requests get their turn: some tens of microseconds' worth."""
LOST = 499
"""The status of a request whose process died: nobody knows what the caller was told."""


class Shipper:
    """Charges what the spool holds, for as long as the process lives, and what is left of others."""

    def __init__(
        self,
        spool: Spool,
        root: Path,
        charge: Charge,
        *,
        every: float,
        batch: int,
        charged: Callable[[Sequence[UsageRecord]], None] = lambda records: None,
        close_leases: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`charged` is told what is charged of our own; `close_leases` gives back what a dead process had leased."""
        self._spool = spool
        self._root = root
        self._charge = charge
        self._every = every
        self._batch = batch
        self._charged = charged
        self._close_leases = close_leases
        self._cursor = Cursor()
        self.charged = 0
        self.recovered = 0
        self._failing_since: float | None = None
        self._charged_up_to = time.monotonic()

    @property
    def lag(self) -> float:
        """Seconds: all that ended longer ago is charged. While charging works, about as long as it pauses."""
        return time.monotonic() - self._charged_up_to

    @property
    def failing_for(self) -> float:
        """Seconds for which charging has failed; 0 while it works."""
        return 0.0 if self._failing_since is None else time.monotonic() - self._failing_since

    async def run(self) -> None:
        """Ship for ever; cancel to stop. Whatever goes wrong is tried again."""
        wait = self._every
        while True:
            try:
                busy = await self.ship_once()
            except Exception as problem:
                wait = min(LONGEST_WAIT, max(wait, self._every) * 2)
                self._note(problem)
                await asyncio.sleep(wait)
            else:
                self._failing_since, wait = None, self._every
                if not busy:
                    await asyncio.sleep(self._every)

    async def ship_once(self) -> bool:
        """Charge one batch; True when there may be more at once. Raises what `charge` raises."""
        begun = time.monotonic()
        records, cursor = await self._gather()
        if records:
            await self._charge(records)
            self.charged += len(records)
            self._charged(records)
        self._cursor = cursor
        self._spool.acknowledge(cursor)
        if len(records) < self._batch:
            self._charged_up_to = begun
        return len(records) == self._batch

    async def _gather(self) -> tuple[list[UsageRecord], Cursor]:
        """A batch of what is closed, and the cursor after it; nobody waits while a large one is read."""
        records, cursor = self._spool.read_closed(self._cursor, min(STRIDE, self._batch))
        some = len(records)
        while some == STRIDE and len(records) < self._batch:
            await asyncio.sleep(0)
            more, cursor = self._spool.read_closed(cursor, min(STRIDE, self._batch - len(records)))
            some = len(more)
            records += more
        return records, cursor

    async def ship_all(self, limit: float) -> bool:
        """Charge all there is; False when that did not work within `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while True:
                    try:
                        while await self.ship_once():
                            pass
                    except Exception as problem:
                        self._note(problem)
                        await asyncio.sleep(self._every)
                    else:
                        return True
        return False

    async def recover_forever(self, every: float = 5.0) -> None:
        """Look for dead processes' spools now and then; cancel to stop."""
        while True:
            try:
                await self.recover_once()
            except Exception as problem:
                self._note(problem)
            await asyncio.sleep(every)

    async def recover_once(self) -> int:
        """Settle and charge what dead processes left; the number of records.

        What cannot be settled holds up no other: the first problem, such as one of `charge`, is raised at the end.
        """
        total = 0
        problems = []
        for directory in sorted(self._root.iterdir()):
            if directory != self._spool.directory and directory.is_dir():
                try:
                    total += await self._recover(directory)
                except Exception as problem:
                    problems.append(problem)
        self.recovered += total
        if problems:
            raise problems[0]
        return total

    async def _recover(self, directory: Path) -> int:
        with locked(directory) as mine:
            if not mine:
                return 0
            total = 0
            if not directory.name.startswith(UNFINISHED):
                records = dead_records(directory)
                while batch := list(islice(records, self._batch)):
                    await self._charge(batch)
                    total += len(batch)
                if self._close_leases is not None:  # all it spent is charged: the rest of what it held is free
                    await self._close_leases(directory.name)
                log.info("settled the spool of a process that is gone", directory=directory.name, records=total)
            shutil.rmtree(directory, ignore_errors=True)
            return total

    def _note(self, problem: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            log.warning("usage cannot be charged now; it is kept in the spool", problem=repr(problem))


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Whether the block has `directory` for itself: its process is gone and nobody else settles it."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield (directory / LOCK).exists()
    finally:
        os.close(lock)


def dead_records(directory: Path) -> Iterator[UsageRecord]:
    """What a dead process's spool amounts to: its closed records, then its open ones settled from their counts."""
    opened: dict[str, list[Any]] = {}
    for kind, payload in read_segments(directory):
        fields = orjson.loads(payload)
        if kind == CLOSED:
            opened.pop(fields[0], None)
            yield UsageRecord.read(fields)
        else:
            opened[fields[2]] = fields
    slots = read_slots(directory)
    died_at = _last_change(directory)
    for slot, generation, *opening in opened.values():
        yield settle_lost(opening, slots.get((slot, generation), 0), died_at)


def settle_lost(opening: list[Any], tokens: int, died_at: float) -> UsageRecord:
    """The record of a request whose process died: the tokens its caller was sent, and its prompt if there were any.

    A caller who got nothing pays nothing: that the process died is our fault.
    """
    *fields, guessed_input = opening
    return UsageRecord(*(*read_opening(fields), died_at, LOST, guessed_input if tokens else 0, 0, tokens, True))


def _last_change(directory: Path) -> float:
    """When the process last wrote: the same at each recovery, so that a second one charges the very same record."""
    return max(path.stat().st_mtime for path in (*directory.glob("*" + SUFFIX), directory / LOCK))
