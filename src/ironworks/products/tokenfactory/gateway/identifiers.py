"""Request ids: `req_` and 26 characters, 48 bits of milliseconds and 80 of chance, so that ids sort by time.

The same shape as the control API's, made about ten times faster, since every request of the data plane needs one.
"""

from __future__ import annotations

import os
import random
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]


class RequestIds:
    """Makes ids; one per process (a fork must make its own, or both make the same)."""

    __slots__ = ("_bits", "_millisecond", "_prefix")

    def __init__(self) -> None:
        # unique, not secret: seeded from the system with far more than the 80 bits it gives out
        self._bits = random.Random(os.urandom(64)).getrandbits  # noqa: S311
        self._millisecond = -1
        self._prefix = ""

    def new(self) -> str:
        """One id."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            # 48 bits of time and 2 zero bits are five pairs
            self._prefix = "req_" + "".join(_PAIRS[(millisecond >> shift) & 1023] for shift in (40, 30, 20, 10, 0))
        b = self._bits(80)
        p = _PAIRS
        return (
            f"{self._prefix}{p[b >> 70]}{p[b >> 60 & 1023]}{p[b >> 50 & 1023]}{p[b >> 40 & 1023]}"
            f"{p[b >> 30 & 1023]}{p[b >> 20 & 1023]}{p[b >> 10 & 1023]}{p[b & 1023]}"
        )
