"""Group commit: one sync at a time, for everybody who asked since the last one began.

The event loop never waits for the disk (`forcing.py`). A sync begins when the turn of the loop is over in which
somebody asked, unless one is under way: then when that is done. So the busier the process, the more requests share one;
and where it uses nearly all of its processor, so that waiting for a sync only takes the place of waiting for a turn,
they begin up to `MOST_APART`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeAlias

from ironworks.products.tokenfactory.gateway.forcing import forcer_of
from ironworks.products.tokenfactory.gateway.segments import Segment
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

Then: TypeAlias = Callable[[OSError | None], None]
"""Called in the event loop when the bytes are on disk, or with why they are not."""

MOST_APART = 0.002
"""Seconds between the beginnings of two syncs, at most, while somebody waits."""
LEAST_WAIT = 0.0005
"""Seconds that are worth waiting for: the loop's clock counts in milliseconds."""
BUSY = 0.7
"""Share of a processor that the process may use before syncs begin further apart."""
SMOOTHED = 8
"""Syncs over which the share is averaged, about."""


class GroupSync:
    """Forces segments to disk for the event loop's callers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[], None]) -> None:
        """`failed` is told in the event loop, before the callers, that a sync went wrong."""
        self._loop = loop
        self._failed = failed
        self._segments: dict[Segment, tuple[int, int]] = {}
        self._waiting: list[Then] = []
        self._synced: dict[Segment, tuple[int, int]] = {}
        self._telling: list[Then] = []
        self._under_way = False
        self._looks = False
        self._began = time.monotonic()
        self._used = time.process_time()
        self._share = 0.0
        self._forcer = forcer_of(loop, self._done)

    def submit(self, segment: Segment, then: Then) -> None:
        """Call `then` once all that `segment` now holds is on disk."""
        self._segments[segment] = (segment.number, segment.end)
        self._waiting.append(then)
        if not self._looks and not self._under_way:
            self._looks = True
            self._loop.call_soon(self._look)

    def close(self) -> None:
        """End after the sync that is under way; nobody is told any more."""
        self._forcer.close()

    def _look(self) -> None:
        """Begin, if it is time: at the end of a turn of the loop, for all who asked in it."""
        self._looks = False
        if self._under_way or not self._waiting:
            return
        wait = self._began + self._apart() - time.monotonic()
        if wait > LEAST_WAIT:
            self._looks = True
            self._loop.call_later(wait, self._look)
            return
        self._measure()
        self._under_way = True
        self._synced, self._segments = self._segments, {}
        self._telling, self._waiting = self._waiting, []
        self._forcer.begin([file for segment in self._synced for file in segment.files()])

    def _apart(self) -> float:
        """Seconds from the beginning of the last sync to that of the next."""
        return min(MOST_APART * (self._share - BUSY) / (1 - BUSY), MOST_APART)

    def _measure(self) -> None:
        """A sync begins: how busy has the process been since the last one?"""
        now, used = time.monotonic(), time.process_time()
        share = (used - self._used) / max(now - self._began, LEAST_WAIT)
        self._share += (share - self._share) / SMOOTHED
        self._began, self._used = now, used

    def _done(self, problem: OSError | None) -> None:
        """The disk has it, or refused."""
        telling, self._telling, self._under_way = self._telling, [], False
        if problem is None:
            for segment, (number, end) in self._synced.items():
                if segment.number == number:  # else it was used again meanwhile
                    segment.is_synced(end)
        else:
            # what was written meanwhile may be in the same pages, whose loss the next sync would not tell
            telling += self._waiting
            self._segments, self._waiting = {}, []
            self._failed()
        self._look()
        for then in telling:
            try:
                then(problem)
            except Exception:  # one caller's trouble is not that of all who shared its sync
                log.exception("what waited for a sync could not go on")
