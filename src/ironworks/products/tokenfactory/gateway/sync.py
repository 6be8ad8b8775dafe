"""Group commit: one `fdatasync` at a time, on a thread, for everybody who asked since the last one began.

The event loop never waits for the disk, and the busier the process, the more requests share a sync: two never begin
within the same millisecond, for each costs the loop about as much as half a request.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from ironworks.products.tokenfactory.gateway.segments import Segment

Then: TypeAlias = Callable[[OSError | None], None]
"""Called in the event loop when the bytes are on disk, or with why they are not."""
_Group: TypeAlias = tuple[dict[Segment, tuple[int, int]], list[Then]]


APART = 0.001
"""Seconds between the beginnings of two syncs."""


class GroupSync:
    """Forces segments to disk for the event loop's callers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[], None]) -> None:
        """`failed` is told in the event loop, before the callers, that a sync went wrong."""
        self._loop = loop
        self._failed = failed
        self._segments: dict[Segment, tuple[int, int]] = {}
        self._waiting: list[Then] = []
        self._busy = False
        self._began = -APART
        self._work: SimpleQueue[_Group | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether everything asked for is on disk."""
        return not self._busy

    def submit(self, segment: Segment, then: Then) -> None:
        """Call `then` once all that `segment` now holds is on disk."""
        self._segments[segment] = (segment.number, segment.end)
        self._waiting.append(then)
        if not self._busy:
            self._busy = True
            self._start_when_due()

    def close(self) -> None:
        """End the thread after the group it is at."""
        self._work.put(None)
        self._thread.join(timeout=5)

    def _start_when_due(self) -> None:
        wait = self._began + APART - time.monotonic()
        if wait > 0:
            self._loop.call_later(wait, self._start)
        else:
            self._start()

    def _start(self) -> None:
        self._began = time.monotonic()
        group = (self._segments, self._waiting)
        self._segments, self._waiting = {}, []
        self._work.put(group)

    def _run(self) -> None:
        while (group := self._work.get()) is not None:
            problem = None
            try:
                for segment in group[0]:
                    segment.sync()
            except OSError as error:
                problem = error
            try:
                self._loop.call_soon_threadsafe(self._done, group, problem)
            except RuntimeError:  # the loop is closed: nobody is left to tell
                return

    def _done(self, group: _Group, problem: OSError | None) -> None:
        segments, waiting = group
        if self._waiting:
            self._start_when_due()
        else:
            self._busy = False
        if problem is None:
            for segment, (number, end) in segments.items():
                if segment.number == number:  # else it was used again meanwhile
                    segment.synced = max(segment.synced, end)
        else:
            self._failed()
        for then in waiting:
            then(problem)
