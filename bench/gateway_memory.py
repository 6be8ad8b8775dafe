"""What our gateway holds in memory: with thousands of streams open, and while a million requests pass.

Only what is the process's own counts (`Rss` of `/proc/<pid>/smaps_rollup`, its mapped spool included).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Held:
    """Bytes before, the most during, and after the load; `errors` of the load."""

    before: int
    most: int
    after: int
    errors: int
    done: int


def resident(pid: int) -> int:
    """Bytes of the process that are in memory."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Rss:"))


def under_load(pid: int, config: dict[str, object], core: int, within: float) -> Held:
    """Measure `pid` while `gateway_load.py` does as `config` says."""
    before = resident(pid)
    command = ["taskset", "-c", str(core), sys.executable, str(HERE / "gateway_load.py"), json.dumps(config)]
    with _watched(pid) as seen:
        out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=within).stdout)
    return Held(before, max(seen, default=before), resident(pid), out["errors"], out["requests"])


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            seen.append(resident(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def many_requests(pid: int, config: dict[str, object], core: int, total: int, steps: int = 10) -> list[int]:
    """Resident bytes before the first of `total` requests and after each tenth of them; shows how far it is."""
    sizes = [resident(pid)]
    for step in range(steps):
        began = time.monotonic()
        under_load(pid, {**config, "count": total // steps, "seconds": 600}, core, 660)
        sizes.append(resident(pid))
        done = (step + 1) * total // steps
        print(
            f"  {done:,} of {total:,} requests, {sizes[-1] / MIB:.1f} MiB ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    return sizes
