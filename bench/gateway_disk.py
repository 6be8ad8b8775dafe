"""What the disk itself takes to force the records of a moment: no gateway that syncs can be quicker than that."""

from __future__ import annotations

import mmap
import os
import statistics
import tempfile
import time
from pathlib import Path

SIZE = 4 * 1024 * 1024
RECORDS = 2_000
"""Bytes between two syncs: the opening and closing records of a few requests."""


def syncs(folder: Path, count: int = 2_000) -> tuple[float, float]:
    """(p50, p99) in milliseconds of one fdatasync after another, in `folder`, of a file written as the spool is."""
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, SIZE)
        view = mmap.mmap(file.fileno(), SIZE)
        times = [_force(view, file.fileno(), number * RECORDS % (SIZE - RECORDS)) for number in range(count)]
        view.close()
    cuts = statistics.quantiles(times, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def _force(view: mmap.mmap, file: int, at: int) -> float:
    """Seconds."""
    view[at : at + RECORDS] = os.urandom(RECORDS)
    began = time.perf_counter()
    os.fdatasync(file)
    return time.perf_counter() - began
