"""Talking to the lender: one question at a time for each slice, and what an answer makes of it.

While a question is under way requests go on taking from the slice: what it keeps is not touched by the answer, which
only adds to it. A question whose answer was lost is asked again under the epoch that the holder knows; if it was heard
the first time, the lender says so and nothing is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ironworks.products.tokenfactory.budgets.model import Ask, Lender, Terms
from ironworks.products.tokenfactory.budgets.slices import NEVER, UNTOLD, Slice, compose_ask
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

MAX_AT_ONCE = 3
"""Questions under way: the gateway's few connections are for charging too."""
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """Times are in seconds.

    Args:
        ttl: for which a lease may be reserved from without word from the lender. idle: after which an unused slice goes
            back. horizon: how much consumption a slice is to cover.
        wait: how long a request may wait for money. patience: how long the lender may take to answer; rest: how long it
            is left alone when it could not.
        recall: how often idle slices are looked after that others wait for. retry: how soon a request that waits asks
            again; longer and longer, four times that at most. recheck: how long a spent budget is taken as spent.
    """

    ttl: float = 60.0
    idle: float = 30.0
    horizon: float = 2.0
    wait: float = 10.0
    patience: float = 3.0
    rest: float = 0.5
    recall: float = 0.5
    retry: float = 0.05
    recheck: float = 0.2


class Resting(Exception):
    """The lender lately could not answer, and is not asked again so soon."""


class Talks:
    """One process's side of the ledger of leases.

    Attributes:
        active: slices with a lease, or a question, or somebody in line. by_lease: those with a lease. asked: questions.
    """

    def __init__(
        self,
        lender: Lender,
        holder: str,
        host: str,
        settings: DeskSettings,
        clock: Callable[[], float],
        *,
        answered: Callable[[Slice], None],
        lost: Callable[[Slice, bool], None],
    ) -> None:
        """`answered` is called after each question, also one that failed; `lost` when a lease, or (True) its budget, is
        over."""
        self._lender = lender
        self._holder = holder
        self._host = host
        self._settings = settings
        self._clock = clock
        self._answered = answered
        self._lost = lost
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(MAX_AT_ONCE)
        self._resting_until = NEVER
        self.active: dict[Slice, None] = {}
        self.by_lease: dict[str, Slice] = {}
        self.asked = 0

    def ask(self, held: Slice) -> None:
        """Have the lender asked about `held`, unless it is being asked."""
        self.active[held] = None
        if held.busy:
            return
        held.busy = True
        task = asyncio.get_running_loop().create_task(self._talk(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def return_all(self) -> bool:
        """Give back every lease that nothing is in flight of; whether none is left."""
        await self._settle()
        for held in list(self.by_lease.values()):
            held.returning = True
            self.ask(held)
        await self._settle()
        return not self.by_lease

    async def _settle(self) -> None:
        """Until no question is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def recalled(self) -> Collection[tuple[UUID, datetime]]:
        """(budget, period start) of leases whose idle money others wait for; empty when the lender cannot say."""
        if not self.by_lease or self._resting_until > self._clock():
            return ()
        try:
            async with self._gate, asyncio.timeout(self._settings.patience):
                return set(await self._lender.recalled(self._holder))
        except Exception as problem:
            self._rest(problem)
            return ()

    def forget(self, held: Slice) -> None:
        """There is no lease behind it any more."""
        self.by_lease.pop(held.lease, None)
        self.active.pop(held, None)
        held.lease, held.epoch, held.largest = "", 0, 0
        held.free = held.settled = 0  # the next lease begins with what it is granted
        held.good_until = NEVER
        held.returning = False

    async def _talk(self, held: Slice) -> None:
        """One question and its answer; an answer to an older one is asked about again at once."""
        try:
            async with self._gate:
                for _ in range(TRIES):
                    if await self._ask_once(held):
                        break
        except Resting:
            held.failing = True
        except Exception as problem:
            held.failing = True
            self._rest(problem)
        finally:
            held.busy = False
        self._answered(held)

    async def _ask_once(self, held: Slice) -> bool:
        if self._resting_until > self._clock():
            raise Resting
        ask = compose_ask(held, self._holder, self._host, self._settings.ttl, self._settings.horizon)
        began = self._clock()
        self.asked += 1
        async with asyncio.timeout(self._settings.patience):
            terms = await self._lender.adjust(ask)
        return self._take(held, ask, terms, began)

    def _rest(self, problem: Exception) -> None:
        now = self._clock()
        if self._resting_until == NEVER:
            log.warning("the ledger of budgets cannot be asked", problem=repr(problem))
        self._resting_until = now + self._settings.rest

    def _take(self, held: Slice, ask: Ask, terms: Terms, began: float) -> bool:
        """Do as the lender says; False: ask again."""
        if terms.outcome == "clock":
            raise ClockDiffers("this host's clock and the database's disagree about the period")
        self._resting_until = NEVER
        held.failing = False
        if terms.outcome in ("gone", "closed"):
            self.forget(held)
            self._lost(held, terms.outcome == "gone")
            return True
        if terms.lease and terms.lease != held.lease:
            held.lease = terms.lease
            self.by_lease[terms.lease] = held
        held.epoch = terms.epoch
        held.free += terms.granted - ask.keep
        if terms.outcome == "stale":
            return False
        if ask.close:
            self.forget(held)
            return True
        if held.lease:
            held.good_until = began + ask.ttl
        self._judge(held, ask, terms)
        return True

    def _judge(self, held: Slice, ask: Ask, terms: Terms) -> None:
        """What the answer says of the budget itself."""
        short = terms.tight or terms.poke
        held.tight = short
        held.left = terms.left if short else UNTOLD
        held.low = 0 if short else held.goal(self._settings.horizon) // 4
        helped = terms.granted > ask.keep or not ask.full
        held.turn = 0 if helped else held.turn + 1
        if not helped:
            held.spent_out_until = self._clock() + self._settings.recheck


class ClockDiffers(Exception):
    """By this host's clock another period is running than by the database's."""
