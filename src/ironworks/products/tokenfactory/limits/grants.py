"""A request that was let past its limits: what it goes on to use, and the end of it."""

from __future__ import annotations

from typing import Protocol

from ironworks.products.tokenfactory.limits.headers import limit_lines
from ironworks.products.tokenfactory.limits.plans import Gate, Gates, Plan


class Till(Protocol):
    """What a grant needs of the desk that gave it."""

    def note(self, grant: Grant) -> None:
        """It owes something."""

    def settle(self, gate: Gate, tokens: int, end: int, now: int) -> int:
        """Debit `tokens`; see `Desk.settle`."""

    def leave(self, gate: Gate) -> None:
        """It is no longer in flight."""


class Grant:
    """A request that was let past its limits."""

    __slots__ = (
        "_desk", "_drained", "_estimated", "_flights", "_gates", "_given_back", "_now", "_owed", "_plan", "_queued",
        "_spent", "_streamed", "_times",
    )  # fmt: skip

    def __init__(self, desk: Till, plan: Plan, gates: Gates, times: list[int], now: int, input_tokens: int) -> None:
        self._desk = desk
        self._plan = plan
        self._gates = gates
        self._times = times
        self._now = now
        self._estimated = input_tokens
        self._spent = 0
        self._owed = 0
        self._given_back = 0
        self._queued = False
        self._flights = gates.flights
        self._drained: list[int] | None = None

    def spend(self, output_tokens: int) -> None:
        """So many more tokens came. They are counted whatever they exceed: a running answer is not cut off."""
        if output_tokens and self._gates.tokens:
            self._spent += output_tokens
            self._owed += output_tokens
            self._queue()

    def correct(self, input_tokens: int, output_tokens: int | None = None) -> None:
        """The true figures: the difference is debited or given back. `output_tokens` None: `spend` was right."""
        if not self._gates.tokens:
            return
        self._given_back += input_tokens - self._estimated
        self._estimated = input_tokens
        if output_tokens is not None:
            self._owed += output_tokens - self._spent
            self._spent = output_tokens
        if self._given_back or self._owed:
            self._queue()

    def release(self) -> None:
        """The request is over. A second call changes nothing."""
        flights, self._flights = self._flights, ()
        for gate in flights:
            self._desk.leave(gate)

    def headers(self) -> bytes:
        """Header lines, each with its CRLF: how the limits stood when the request was let in."""
        return limit_lines(self._plan, self._gates, self._times, self._now)

    def _queue(self) -> None:
        if not self._queued:
            self._queued = True
            self._desk.note(self)

    def post(self, now: int) -> None:
        """Put what is owed in the table. For the desk, under the lock."""
        self._queued = False
        owed, self._owed = self._owed, 0
        input_change, self._given_back = self._given_back, 0
        first = len(self._gates.rates) - len(self._gates.tokens)
        if self._drained is None:
            self._drained = self._times[first:]
        for n, gate in enumerate(self._gates.tokens):
            if input_change:
                self._desk.settle(gate, input_change, self._times[first + n], now)
            if owed:
                self._drained[n] = self._desk.settle(gate, owed, self._drained[n], now)
