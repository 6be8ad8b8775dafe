"""What one gateway process holds of budgets: a slice for each budget and period, and what was reserved from it.

The lease's money is `free + reserved + settled`, always: reserving moves it from the first to the second, settling from
there to the third and back to the first. Only an answer of the lender changes the sum.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from ironworks.products.tokenfactory.budgets.model import Ask, BudgetView
from ironworks.products.tokenfactory.budgets.refusals import Refused

NEVER: Final = float("-inf")
EVER: Final = float("inf")
UNTOLD: Final = 2**63


class Slice:
    """One lease, as its holder counts it. Times are monotonic seconds.

    Attributes:
        start: of the period. lease, epoch: as the lender last said; empty and 0 while there is none.
        free, reserved, settled: nano-units. uncharged: settled requests whose charge is not known to be committed.
        good_until: nothing is reserved from it later than this.
        waiters: requests that it cannot cover, in their order. busy: the lender is being asked.
        tight: money is short: nothing is kept idle. left: the budget's amount less what is spent, as last told while
            money was short. spent_out_until: until when `left` is believed without asking again.
        failing: the lender could not answer when it was asked last.
        low: with less free than this, more is asked for before it runs out. largest, taken, pace: what requests hold,
            at most, since the last look, and per second.
        retired: the period or the budget is over; it only waits for its requests.
        turn: how often in a row asking did not help.
    """

    __slots__ = (
        "account",
        "busy",
        "epoch",
        "failing",
        "free",
        "good_until",
        "largest",
        "lease",
        "left",
        "low",
        "pace",
        "reserved",
        "retired",
        "returning",
        "settled",
        "spent_out_until",
        "start",
        "taken",
        "tight",
        "turn",
        "uncharged",
        "used_at",
        "waiters",
    )

    def __init__(self, account: Account, start: datetime, now: float) -> None:
        self.account = account
        self.start = start
        self.lease = ""
        self.epoch = 0
        self.free = 0
        self.reserved = 0
        self.settled = 0
        self.uncharged = 0
        self.good_until = NEVER
        self.waiters: deque[Waiter] = deque()
        self.busy = False
        self.tight = False
        self.left = UNTOLD
        self.spent_out_until = NEVER
        self.failing = False
        self.low = 0
        self.largest = 0
        self.taken = 0
        self.pace = 0.0
        self.used_at = now
        self.retired = False
        self.returning = False
        self.turn = 0

    @property
    def granted(self) -> int:
        """All that the lease holds."""
        return self.free + self.reserved + self.settled

    @property
    def quiet(self) -> bool:
        """Whether nothing is in flight: no request holds of it, and all that it paid for is charged."""
        return not self.reserved and not self.uncharged and not self.waiters

    def goal(self, horizon: float) -> int:
        """How much should lie ready: some of the largest requests, or what is held in `horizon` seconds."""
        return max(8 * self.largest, int(self.pace * horizon))

    def part_for(self, waiter: Waiter, now: float) -> int:
        """How much it gives towards `waiter`; 0 where it cannot, or others stand before it."""
        if self.good_until <= now or (self.waiters and self.waiters[0] is not waiter):
            return 0
        if self.free >= waiter.wanted:
            return waiter.wanted
        enough = self.left < waiter.wanted or waiter.last
        return self.free if enough and self.free >= max(waiter.least, 1) else 0

    def give_back(self) -> None:
        """Let go of what is idle, before the lender is told: it must never be counted twice."""
        self.free = min(self.free, 0)


class Account:
    """A hard budget as this process knows it, through changes of its spec.

    `begins`, `ends`: of the period, by the wall clock. `gone`: it was deleted, or counts by another period now.
    """

    __slots__ = ("begins", "ends", "gone", "slice", "view")

    def __init__(self, view: BudgetView) -> None:
        self.view = view
        self.begins = EVER
        self.ends = NEVER
        self.slice: Slice | None = None
        self.gone = False

    def ends_in(self, moment: float) -> float | None:
        """Seconds from `moment`, by the wall clock, to the period's end; None where it has none."""
        return None if self.ends == EVER else max(0.0, self.ends - moment)


@dataclass(frozen=True, slots=True)
class Plan:
    """The hard budgets that a key's calls of a route are paid from. Good until the next `Desk.replace`."""

    accounts: tuple[Account, ...]
    key_scope: str

    @property
    def closed(self) -> bool:
        """Whether one of them refuses what cannot be reserved."""
        return any(account.view.closed for account in self.accounts)


class Reservation:
    """Money held for one request, the same amount of every budget. Settle or release it, once.

    `holds`: (lease, nano-units) for the spool; empty where every budget failed open. `attend` is told of a slice in
    which something came free that others wait for.
    """

    __slots__ = ("_attend", "_slices", "amount_nano", "holds")

    def __init__(self, attend: Callable[[Slice], None], slices: tuple[Slice, ...], amount_nano: int) -> None:
        self._attend = attend
        self._slices = slices
        self.amount_nano = amount_nano
        self.holds = tuple([(each.lease, amount_nano) for each in slices])

    def settle(self, cost_nano: int) -> None:
        """The request is over and cost so much, which its record in the spool says too; the rest is free at once."""
        amount, slices = self.amount_nano, self._slices
        self._slices = ()
        for each in slices:
            each.reserved -= amount
            each.free += amount - cost_nano
            each.settled += cost_nano
            each.uncharged += 1
            if each.waiters or each.tight or each.retired:
                self._attend(each)

    def release(self) -> None:
        """There is no request after all, and no record of it."""
        amount, slices = self.amount_nano, self._slices
        self._slices = ()
        for each in slices:
            each.reserved -= amount
            each.free += amount
            if each.waiters or each.tight or each.retired:
                self._attend(each)


Then: TypeAlias = Callable[[Reservation | Refused], None]


class Waiter:
    """A request that waits for money. `slice`: where it stands in line. `over`: answered, or its caller left."""

    __slots__ = ("deadline", "last", "least", "over", "plan", "slice", "then", "wanted")

    def __init__(self, plan: Plan, least: int, wanted: int, then: Then, deadline: float) -> None:
        self.plan = plan
        self.least = least
        self.wanted = wanted
        self.then = then
        self.deadline = deadline
        self.slice: Slice | None = None
        self.over = False
        self.last = False


def compose_ask(held: Slice, holder: str, host: str, ttl: float, horizon: float) -> Ask:
    """What to ask the lender for now. Idle money that it gives back is gone from the slice already.

    With requests waiting while money is short, what lies idle goes back in the same order that asks for the first one's
    need: otherwise several processes could each hold too little for one more request, for ever.
    """
    head = held.waiters[0] if held.waiters else None
    full = least = wanted = 0
    if held.retired or (held.returning and head is None):
        held.give_back()
    elif head is None:
        if held.tight:
            held.give_back()
        else:
            wanted = max(0, held.goal(horizon) - held.free)
    else:
        if held.tight:
            held.give_back()
        full, least = (max(0, each - max(held.free, 0)) for each in (head.wanted, head.least))
        if head.last:
            full = least
        line = sum(waiter.wanted for waiter in held.waiters)
        wanted = max(line if held.tight else max(line, held.goal(horizon)), full) - max(held.free, 0)
        wanted = max(wanted, full)
    return Ask(
        budget=held.account.view.uid,
        start=held.start,
        holder=holder,
        host=host,
        epoch=held.epoch,
        keep=max(held.granted, 0),
        wanted=wanted,
        full=full,
        least=least,
        hold=held.largest,
        ttl=ttl,
        close=(held.retired or held.returning) and held.quiet,
    )
