"""Tells a person what `up` and `down` do: a line that counts the seconds on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TextIO

_SAY_AGAIN = 15.0


@dataclass(slots=True)
class Progress:
    """Writes to `out`. `say` is a line for good; `step` is a line that ends with how it went."""

    out: TextIO

    def say(self, text: str = "") -> None:
        self.out.write(text + "\n")
        self.out.flush()

    @asynccontextmanager
    async def step(self, label: str) -> AsyncIterator[Step]:
        """Show that `label` is being done; the block may set the step's `outcome`."""
        step, began = Step(), time.monotonic()
        ticking = asyncio.create_task(self._tick(label, step, began))
        try:
            yield step
        except BaseException:
            self._close(label, "failed")
            raise
        else:
            took = time.monotonic() - began
            self._close(label, step.outcome + (f" ({took:.1f} s)" if took >= 0.1 else ""))
        finally:
            ticking.cancel()

    async def _tick(self, label: str, step: Step, began: float) -> None:
        terminal = self.out.isatty()
        while True:
            if terminal:
                self.out.write(f"\r\x1b[2K  {label:<12} {step.doing} {time.monotonic() - began:.0f} s")
                self.out.flush()
            await asyncio.sleep(0.2 if terminal else _SAY_AGAIN)
            if not terminal:
                self.say(f"  {label:<12} {step.doing} {time.monotonic() - began:.0f} s")

    def _close(self, label: str, outcome: str) -> None:
        self.say(("\r\x1b[2K" if self.out.isatty() else "") + f"  {label:<12} {outcome}")


@dataclass(slots=True)
class Step:
    """What is being done now, and how it went."""

    doing: str = "…"
    outcome: str = "done"


def standard() -> Progress:
    """Progress on standard output."""
    return Progress(sys.stdout)
