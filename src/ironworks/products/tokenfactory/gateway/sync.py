"""Group commit: one `fdatasync` at a time, on a thread, for everybody who asked since the last one began.

The event loop never waits for the disk, and the busier the process, the more requests share a sync: each costs the
processor as much as one or two requests. So two never begin within `APART`, nor sooner than the loop takes note of one,
for nobody would hear of the next any earlier; and where the process uses nearly all of its processor, so that waiting
for a sync only takes the place of waiting for a turn, they begin `MOST_APART`. The thread does that waiting itself,
since the loop's clock counts in milliseconds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from ironworks.products.tokenfactory.gateway.segments import Segment
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

Then: TypeAlias = Callable[[OSError | None], None]
"""Called in the event loop when the bytes are on disk, or with why they are not."""
_Group: TypeAlias = tuple[dict[Segment, tuple[int, int]], list[Then]]


APART = 0.0003
"""Seconds between the beginnings of two syncs, at least."""
MOST_APART = 0.002
"""And at most, while somebody waits."""
BUSY = 0.7
"""Share of a processor that the process may use before syncs begin further apart."""
SMOOTHED = 8
"""Syncs over which delay and share are averaged, about."""


class GroupSync:
    """Forces segments to disk for the event loop's callers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[], None]) -> None:
        """`failed` is told in the event loop, before the callers, that a sync went wrong."""
        self._loop = loop
        self._failed = failed
        self._guard = threading.Lock()
        self._segments: dict[Segment, tuple[int, int]] = {}
        self._waiting: list[Then] = []
        self._busy = False
        self._began = time.monotonic()
        self._used = time.process_time()
        self._share = 0.0
        self._delay = 0.0
        self._work: SimpleQueue[bool] = SimpleQueue()
        self._syncer = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._syncer.start()

    def submit(self, segment: Segment, then: Then) -> None:
        """Call `then` once all that `segment` now holds is on disk."""
        with self._guard:
            self._segments[segment] = (segment.number, segment.end)
            self._waiting.append(then)
            sleeps, self._busy = not self._busy, True
        if sleeps:
            self._work.put(True)

    def close(self) -> None:
        """End the thread after the group it is at."""
        self._work.put(False)
        self._syncer.join(timeout=5)

    # on the thread

    def _run(self) -> None:
        while self._work.get():
            while (group := self._take()) is not None:
                problem = _sync_all(group)
                try:
                    self._loop.call_soon_threadsafe(self._done, group, problem, time.monotonic())
                except RuntimeError:  # the loop is closed: nobody is left to tell
                    return

    def _take(self) -> _Group | None:
        """All that waits, when it is time for the next sync; None where nothing does."""
        wait = self._began + self._apart() - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        with self._guard:
            if not self._waiting:
                self._busy = False
                return None
            group = (self._segments, self._waiting)
            self._segments, self._waiting = {}, []
        self._measure()
        return group

    def _apart(self) -> float:
        """Seconds from the beginning of the last sync to that of the next."""
        busy = (self._share - BUSY) / (1 - BUSY)
        return min(max(APART, self._delay, MOST_APART * busy), MOST_APART)

    def _measure(self) -> None:
        """A sync begins: how busy has the process been since the last one?"""
        now, used = time.monotonic(), time.process_time()
        share = (used - self._used) / max(now - self._began, APART)
        self._share += (share - self._share) / SMOOTHED
        self._began, self._used = now, used

    # in the event loop

    def _done(self, group: _Group, problem: OSError | None, ended: float) -> None:
        segments, waiting = group
        self._delay += (time.monotonic() - ended - self._delay) / SMOOTHED
        if problem is None:
            for segment, (number, end) in segments.items():
                if segment.number == number:  # else it was used again meanwhile
                    segment.synced = max(segment.synced, end)
        else:
            self._failed()
        for then in waiting:
            try:
                then(problem)
            except Exception:  # one caller's trouble is not that of all who shared its sync
                log.exception("what waited for a sync could not go on")


def _sync_all(group: _Group) -> OSError | None:
    try:
        for segment in group[0]:
            segment.sync()
    except OSError as problem:
        return problem
    return None
