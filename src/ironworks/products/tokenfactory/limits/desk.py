"""Where a request is let past its limits, and where what it uses is counted: one desk per gateway process.

`admit` debits every count of a request at once or none of them, in one round trip to the table's lock; while no other
process is there, that is kept for all requests of a turn of the event loop. Output is counted as it streams; the counts
of all streams go to the table together, with the next request that is admitted or after a twentieth of a second: so
much later do other processes see a stream's tokens.
"""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from ironworks.products.tokenfactory.limits.grants import Grant
from ironworks.products.tokenfactory.limits.headers import limit_lines, policy_line
from ironworks.products.tokenfactory.limits.model import Caller, Exceeded, LimitView
from ironworks.products.tokenfactory.limits.plans import (
    Book,
    Gate,
    Gates,
    Plan,
    Rule,
    identity_of,
    rules_of,
)
from ironworks.products.tokenfactory.limits.refusals import exceeded, not_permitted, uncountable
from ironworks.products.tokenfactory.limits.table import (
    COLUMN,
    FLIGHTS,
    LIVE,
    LOW,
    MOVES,
    RATES,
    TIME,
    USERS,
    Area,
    Stuck,
    Table,
    counts_of,
)  # fmt: skip

POSTED_AFTER: Final = 0.05
"""Seconds for which a stream's tokens may wait to be counted."""
PEOPLE: Final = 65_536
"""End users whose counts a process remembers the places of; their names are whatever callers write."""
_TAKE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
_GIVE: Final = fcntl.LOCK_UN

Later = Callable[[float, Callable[[], None]], Any]
"""(seconds, what to call then): an event loop's `call_later`."""


class Desk:
    """One process's view of the limits and of the table.

    Attributes:
        refused: how many requests, by code. stuck: how often the table's lock was not to be had.
        table: the shared counts; its `evicted` and `unplaced` tell of an overfull one.
        hosts: how many share the limits.
    """

    def __init__(
        self,
        folder: Path,
        later: Later | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        keeps: bool = False,
    ) -> None:
        """The table is a file in `folder`, one for all gateway processes of this host. Raises OSError.

        `later` calls back in the event loop; without it, `flush` every now and then. `keeps`: nothing else in this
        process has such a table, so while no other process does, the lock may be kept for a turn of the loop.
        """
        self.table = Table(folder, clock)
        self.refused: Counter[str] = Counter()
        self.stuck = 0
        self._later = later
        self._waiting = False
        self._keeps = keeps
        self._kept = False
        self._clock = clock
        self._words = self.table.words
        self._fd = self.table.fd
        self._mine = self.table.slot * COLUMN
        self._dirty: list[Grant] = []
        self.hosts = 1
        self._book = Book()
        self._generation = 0
        self._people: dict[tuple[Plan, str | None], Gates] = {}

    @property
    def host(self) -> UUID:
        """A name for this host, the same for all its gateway processes."""
        return self.table.host

    # what there is

    def replace(self, views: Sequence[LimitView]) -> None:
        """These are the limits from now on. A count goes on where its limit is still there."""
        self._book = Book(views)
        self._begin_anew()

    def share(self, hosts: int) -> None:
        """So many hosts enforce the limits together, each an equal part."""
        if hosts != self.hosts and hosts > 0:
            self.hosts = hosts
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._generation += 1
        self._people = {}

    def plan(self, key_uid: UUID, key_scope: str, route_uid: UUID, route_scope: str, route_name: str) -> Plan | None:
        """What calls with this key of this route must pass; None where no limit applies. Keep it until `replace`."""
        plan = Plan(Caller(key_uid, key_scope, route_uid, route_scope, route_name))
        return plan if self._renew(plan) else None

    def permits(self, plan: Plan) -> bool:
        """Whether the model is among those that may be called."""
        if plan.generation != self._generation:
            self._renew(plan)
        return not plan.denied

    def _renew(self, plan: Plan) -> bool:
        """Find the limits anew; whether there are any."""
        caller = plan.caller
        views = self._book.applying_to(caller)
        ruled = [(view, rule) for view in views for rule in rules_of(view, self.hosts)]
        plan.denied = not all(view.permits(caller) for view in views)
        plan.personal = tuple(each for each in ruled if "end_user" in each[0].per)
        plan.gates = Gates([self._gate(plan, *each, None) for each in ruled if "end_user" not in each[0].per])
        plan.policy = policy_line(rule for _, rule in ruled)
        plan.generation = self._generation
        return bool(views)

    def _gate(self, plan: Plan, view: LimitView, rule: Rule, end_user: str | None) -> Gate:
        caller = plan.caller
        key = self.table.key_of(*identity_of(view, rule, caller, end_user))
        owner = int.from_bytes(blake2b(caller.key_scope.encode(), digest_size=7).digest(), "little")
        return Gate(key, owner, rule, view.subject(caller), "end_user" in view.per)

    def _gates_of(self, plan: Plan, end_user: str | None) -> Gates:
        found = self._people.get((plan, end_user))
        if found is None:
            if len(self._people) >= PEOPLE:
                self._people.clear()
            own = [self._gate(plan, view, rule, end_user) for view, rule in plan.personal]
            found = self._people[plan, end_user] = Gates([*plan.gates.rates, *plan.gates.flights, *own])
        return found

    # requests

    def admit(self, plan: Plan, model: str, input_tokens: int, end_user: str | None = None) -> Grant:
        """Let a request past all its limits, or past none: raises Exceeded.

        `input_tokens` is an estimate; `Grant.correct` puts it right. Release every grant once.
        """
        if plan.generation != self._generation:
            self._renew(plan)
        if plan.denied:
            raise self._count(not_permitted(model))
        gates = self._gates_of(plan, end_user) if plan.personal else plan.gates
        for gate in gates.tokens:
            gate.step = (input_tokens or 1) * gate.price // gate.units
        if not self._kept:
            self._take()
        try:
            return self._pass(plan, gates, input_tokens or 1)
        finally:
            if not self._kept:
                self._give()

    def _pass(self, plan: Plan, gates: Gates, input_tokens: int) -> Grant:
        """Look at every count, then change them all. Written out, for it is what every request waits for."""
        words = self._words
        if self._dirty:
            self._post()
        now = self._clock()
        if words[MOVES] != gates.moves:
            gates = self._placed(gates, now)
        times: list[int] = []
        alone = words[LIVE] == 1
        for gate in gates.rates:
            before: int = words[gate.at + TIME]
            after = (before if before > now else now) + gate.step
            if after - now > gate.span:
                raise self._refuse(plan, gates, now)
            times.append(after)
        for gate in gates.flights:
            first = gate.count
            inside: int = words[first] if alone else sum(words[first : first + words[LIVE] * COLUMN : COLUMN])
            if inside >= gate.limit and not self._room_after_all(gate):
                raise self._refuse(plan, gates, now)
        for gate in gates.flights:
            words[gate.count + self._mine] += 1
        for n, gate in enumerate(gates.rates):
            words[gate.at + TIME] = times[n]
        return Grant(self, plan, gates, times, now, input_tokens)

    def _room_after_all(self, gate: Gate) -> bool:
        """Whether the requests of processes that are gone were all that was in the way."""
        self.table.reap()
        return self.table.in_flight(gate.at) < gate.limit

    def _placed(self, gates: Gates, now: int) -> Gates:
        """The gates with their cells in the table; one for which there is no room lets everything pass."""
        every = [*gates.rates, *gates.flights]
        keep = {gate.at for gate in every if self._is_there(gate)}
        found = []
        for gate in every:
            if not self._is_there(gate):
                area = _area_of(gate)
                gate.at = self.table.place(area, gate.high, gate.low, gate.owner, now, keep)
                keep.add(gate.at)
            if gate.at > 0:
                gate.count = counts_of(gate.at)
                found.append(gate)
            else:
                gate.at = 0
        if len(found) < len(every):
            return Gates(found)
        gates.moves = self._words[MOVES]
        return gates

    def _is_there(self, gate: Gate) -> bool:
        words, at = self._words, gate.at
        return words[at] == gate.high and words[at + LOW] == gate.low

    def _take(self) -> None:
        """The table's lock."""
        try:
            fcntl.flock(self._fd, _TAKE)
        except BlockingIOError:  # somebody else has it
            try:
                self.table.wait()
            except Stuck:
                self.stuck += 1
                raise self._count(uncountable()) from None

    def _give(self) -> None:
        """Let go of the lock: at once, or, while nobody else is there, when this turn of the loop is over."""
        if self._keeps and self._later is not None and self._words[LIVE] == 1:
            self._kept = True
            self._later(0, self._let_go)
        else:
            fcntl.flock(self._fd, _GIVE)

    def _let_go(self) -> None:
        if self._kept:
            self._kept = False
            self.table.unlock()

    def _refuse(self, plan: Plan, gates: Gates, now: int) -> Exceeded:
        """Tell of the limit that will take longest to let the request pass."""
        times = [max(self._words[gate.at + TIME], now) for gate in gates.rates]
        late = [(after + gate.step - now - gate.span, gate) for gate, after in zip(gates.rates, times, strict=True)]
        late = [each for each in late if each[0] > 0]
        if late:  # one that the request alone is too large for is the one to tell of
            wait, gate = max(late, key=lambda each: (each[1].step > each[1].span, each[0]))
        else:
            wait, gate = 0, next(each for each in gates.flights if self.table.in_flight(each.at) >= each.limit)
        return self._count(exceeded(gate, wait, limit_lines(plan, gates, times, now)))

    def _count(self, refusal: Exceeded) -> Exceeded:
        self.refused[refusal.code] += 1
        return refusal

    # what is used

    def flush(self) -> None:
        """Put what streams used in the table."""
        self._waiting = False
        if not self._dirty:
            return
        try:
            self.table.lock()
        except Stuck:
            self.stuck += 1
            self._wake_later()
            return
        self._kept = True
        try:
            self._post()
        finally:
            self._let_go()

    def note(self, grant: Grant) -> None:
        """It owes something: the next `flush` or `admit` puts it in the table."""
        self._dirty.append(grant)
        if not self._waiting:
            self._wake_later()

    def _wake_later(self) -> None:
        if self._later is not None:
            self._waiting = True
            self._later(POSTED_AFTER, self.flush)

    def _post(self) -> None:
        """Only under the lock."""
        dirty, self._dirty = self._dirty, []
        now = self._clock()
        for grant in dirty:
            grant.post(now)

    def knows(self, gates: Gates) -> bool:
        """Whether their cells are certainly where they were. Only under the lock, as what follows."""
        return self._words[MOVES] == gates.moves

    def time_of(self, gate: Gate, now: int, *, known: bool, wanted: bool) -> int:
        """The time of its cell, `now` at the earliest; one is made if need be and `wanted`. -1 where there is none."""
        if not known and not self._is_there(gate):
            if not wanted:
                return -1
            gate.at = max(0, self.table.place(_area_of(gate), gate.high, gate.low, gate.owner, now, ()))
            if not gate.at:
                return -1
        time: int = self._words[gate.at + TIME]
        return time if time > now else now

    def set_time(self, gate: Gate, time: int) -> None:
        """Its cell is there."""
        self._words[gate.at + TIME] = time

    def leave(self, gate: Gate) -> None:
        """A request is over: our own count alone changes, which needs no lock."""
        self._words[gate.count + self._mine] -= 1

    def close(self) -> None:
        """Count what is left, and let go of the table."""
        self.flush()
        self._let_go()
        self.table.close()


def _area_of(gate: Gate) -> Area:
    if not gate.window:
        return FLIGHTS
    return USERS if gate.personal else RATES
