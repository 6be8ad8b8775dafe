"""A request that was let past its limits: what it goes on to use, and the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironworks.products.tokenfactory.limits.headers import limit_lines
from ironworks.products.tokenfactory.limits.plans import Gates, Plan

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.limits.desk import Desk


class Grant:
    """A request that was let past its limits."""

    __slots__ = (
        "_desk", "_drained", "_estimated", "_flights", "_gates", "_given_back", "_now", "_owed", "_plan", "_queued",
        "_spent", "_streamed", "_times",
    )  # fmt: skip

    def __init__(self, desk: Desk, plan: Plan, gates: Gates, times: list[int], now: int, input_tokens: int) -> None:
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
        if self._drained is None:
            self._drained = self._times[len(self._gates.rates) - len(self._gates.tokens) :]
        known = self._desk.knows(self._gates)
        for n, gate in enumerate(self._gates.tokens):
            time = self._desk.time_of(gate, now, known=known, wanted=owed > 0 or input_change > 0)
            if time < 0:
                continue
            if input_change:
                time = gate.moved(time, input_change, self._times[n - len(self._gates.tokens)], now)
            if owed:
                self._drained[n] = time = gate.moved(time, owed, self._drained[n], now)
            self._desk.set_time(gate, time)
