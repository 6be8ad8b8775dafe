"""The desk at which a gateway process reserves: whole numbers in memory while leased money lasts, else one question.

A request is paid by every hard budget that matches it, from all or from none. While the slices cover it, reserving is
integer arithmetic. Where one does not, the request waits in line for the lender's answer; near a budget's end for the
exact amount, and, while other requests hold money that they will not all spend, for them to settle. It is refused only
when what is left of the amount is less than its least worst case, or its wait has ended.

All methods are called from the event loop. There is no SQL here: the ledger of leases is behind `Lender`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

from ironworks.products.tokenfactory.budgets.model import BudgetView, Lender, period_of
from ironworks.products.tokenfactory.budgets.refusals import Refused, exhausted, unavailable
from ironworks.products.tokenfactory.budgets.register import Register
from ironworks.products.tokenfactory.budgets.slices import (
    EVER,
    NEVER,
    UNTOLD,
    Account,
    Plan,
    Reservation,
    Slice,
    Then,
    Waiter,
)
from ironworks.products.tokenfactory.budgets.talks import DeskSettings, Talks
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

TICK = 0.25


class Desk:
    """One per process.

    Args:
        holder: names the process for ever (its spool's directory); host: where it runs.
        wall: seconds since the epoch, which decide the period; clock: monotonic seconds, by which leases expire.
    """

    def __init__(
        self,
        lender: Lender,
        holder: str,
        host: str,
        settings: DeskSettings | None = None,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings = settings or DeskSettings()
        self._talks = Talks(lender, holder, host, settings, clock, answered=self._follow_up, lost=self._lose)
        self._wall = wall
        self._clock = clock
        self._register = Register()
        self._waiting: dict[Then, Waiter] = {}
        self._attend = self._take_note
        self._woken = asyncio.Event()
        self._recall_due = NEVER
        self._looked_at = clock()
        self.refused = 0
        self.outside = 0
        """Requests that passed a budget without a reservation, because it fails open."""

    # budgets and plans

    def replace(self, views: Iterable[BudgetView]) -> None:
        """Know exactly these budgets from now on; plans made before are void. A changed amount counts at once."""
        dropped, changed = self._register.replace(views)
        for account in dropped:
            self._retire(account)
        for account in changed:
            self._reconsider(account.slice)

    def plan(self, key_uid: UUID, key_scope: str, route_uid: UUID, route_scope: str) -> Plan | None:
        """The hard budgets of such calls, None where there are none. Keep it until the next `replace`."""
        return self._register.plan(key_uid, key_scope, route_uid, route_scope)

    # reserving

    def reserve(self, plan: Plan, least_nano: int, wanted_nano: int, then: Then) -> Reservation | None:
        """Hold `wanted_nano` of all budgets of `plan`; where only less is left at all, `least_nano` or more.

        At once where leased money covers it; else None, and `then` is called later with a Reservation, or Refused.
        """
        now, moment = self._clock(), self._wall()
        if wanted_nano <= 0:
            return Reservation(self._attend, (), 0)
        for account in plan.accounts:
            held = account.slice
            if (
                held is None
                or held.free < wanted_nano
                or held.good_until <= now
                or held.waiters
                or not account.begins <= moment < account.ends
            ):
                return self._line_up(Waiter(plan, least_nano, wanted_nano, then, now + self._settings.wait))
        slices = []
        for account in plan.accounts:
            held = account.slice
            assert held is not None
            held.free -= wanted_nano
            held.reserved += wanted_nano
            held.taken += wanted_nano
            if wanted_nano > held.largest:
                held.largest = wanted_nano
            if held.free < held.low and not held.busy:
                self._talks.ask(held)
            slices.append(held)
        return Reservation(self._attend, tuple(slices), wanted_nano)

    def cancel(self, then: Then) -> None:
        """The caller of a request that waits has left; `then` is not called any more."""
        waiter = self._waiting.pop(then, None)
        if waiter is not None:
            waiter.over = True
            self._leave_line(waiter)

    def _line_up(self, waiter: Waiter) -> Reservation | None:
        found = self._try(waiter)
        if isinstance(found, Reservation):
            return found
        self._waiting[waiter.then] = waiter
        if isinstance(found, Refused):
            self._answer(waiter, found)
        return None

    def _try(self, waiter: Waiter) -> Reservation | Refused | None:
        """Take from all its budgets, or from none; None: it stands in line at one that does not cover it."""
        now = self._clock()
        slices: list[Slice] = []
        amount = waiter.wanted
        passed = 0
        for account in waiter.plan.accounts:
            if account.gone:
                continue
            held = self._slice_of(account, now)
            part = held.part_for(waiter, now)
            if part:
                slices.append(held)
                amount = min(amount, part)
            elif held.failing:
                if account.view.closed:
                    return unavailable(account.view, waiter.plan.key_scope)
                passed += 1
            elif held.spent_out_until > now and held.left < waiter.least:
                return exhausted(account.view, waiter.plan.key_scope, account.ends_in(self._wall()), held=False)
            else:
                self._stand_in_line(waiter, held)
                return None
        self._leave_line(waiter)
        self.outside += bool(passed)
        for held in slices:
            held.free -= amount
            held.reserved += amount
            held.taken += amount
            held.largest = max(held.largest, amount)
            if held.free < held.low and not held.busy:
                self._talks.ask(held)
        return Reservation(self._attend, tuple(slices), amount)

    def _stand_in_line(self, waiter: Waiter, held: Slice) -> None:
        if waiter.slice is not held:
            self._leave_line(waiter)
            waiter.slice = held
            held.waiters.append(waiter)
            held.largest = max(held.largest, waiter.wanted)
            self._talks.active[held] = None
            if not held.busy:
                self._talks.ask(held)

    def _leave_line(self, waiter: Waiter) -> None:
        if waiter.slice is not None:
            waiter.slice.waiters.remove(waiter)
            waiter.slice = None

    def _answer(self, waiter: Waiter, found: Reservation | Refused) -> None:
        """Tell it in a turn of its own: what it then does may come back here."""
        self._leave_line(waiter)
        self.refused += isinstance(found, Refused)
        asyncio.get_running_loop().call_soon(self._deliver, waiter, found)

    def _deliver(self, waiter: Waiter, found: Reservation | Refused) -> None:
        self._waiting.pop(waiter.then, None)
        if not waiter.over:
            waiter.over = True
            waiter.then(found)
        elif isinstance(found, Reservation):
            found.release()

    def _serve(self, held: Slice) -> None:
        """Answer those in line, in their order, as far as it goes."""
        while held.waiters:
            waiter = held.waiters[0]
            found = self._try(waiter)
            if found is not None:
                self._answer(waiter, found)
            elif waiter.slice is held:
                return

    # periods

    def _slice_of(self, account: Account, now: float) -> Slice:
        """The slice of the period that is running; at its end the old one waits for its requests."""
        moment = self._wall()
        if account.slice is None or not account.begins <= moment < account.ends:
            start, end = period_of(account.view.period, datetime.fromtimestamp(moment, UTC))
            before = account.slice
            account.begins, account.ends = start.timestamp(), end.timestamp() if end else EVER
            if before is None or before.start != start:
                account.slice = Slice(account, start, now)
                if before is not None:
                    self._let_go(before, account.slice)
        assert account.slice is not None
        return account.slice

    def _let_go(self, before: Slice, after: Slice | None) -> None:
        """`before` takes no new requests; those in its line stand in line at `after`, where no money moves yet."""
        before.retired = True
        line, before.waiters = list(before.waiters), type(before.waiters)()
        for waiter in line:
            waiter.slice = None
            if after is not None:
                self._stand_in_line(waiter, after)
            elif (found := self._try(waiter)) is not None:
                self._answer(waiter, found)
        if before.lease:
            self._take_note(before)
        else:
            self._talks.active.pop(before, None)

    def _retire(self, account: Account) -> None:
        """The budget is gone, or counts by another period: nothing waits for it any more."""
        account.gone = True
        if account.slice is not None:
            self._let_go(account.slice, None)

    def _reconsider(self, held: Slice | None) -> None:
        """Its amount is another: what was said of it is void, and what is idle is asked for anew."""
        if held is None:
            return
        held.spent_out_until, held.left = NEVER, UNTOLD
        held.turn = 0
        held.tight = bool(held.lease)
        if held.lease or held.waiters:
            self._talks.ask(held)

    # asking

    def _take_note(self, held: Slice) -> None:
        """Something came free in a slice that others wait for, or that is to end."""
        if held.waiters:
            self._serve(held)
        if held.lease and not held.waiters and not held.failing and (held.free > 0 or (held.retired and held.quiet)):
            self._talks.ask(held)

    def _follow_up(self, held: Slice) -> None:
        """After an answer: serve who waits; who still does asks again a little later."""
        self._serve(held)
        if held.waiters:
            delay = self._settings.retry * min(4, held.turn)
            asyncio.get_running_loop().call_later(delay, self._retry, held)
        elif held.tight and held.free > 0 and held.lease and not held.failing and not held.retired:
            self._talks.ask(held)

    def _retry(self, held: Slice) -> None:
        if held.waiters and not held.busy:
            self._talks.ask(held)

    def _lose(self, held: Slice, gone: bool) -> None:
        """Its lease is over without us, as when it was declared lost; requests that it pays for settle all the same."""
        account = held.account
        account.gone = account.gone or gone
        if account.slice is held and not gone:
            account.slice = Slice(account, held.start, self._clock())
            self._let_go(held, account.slice)
        else:
            self._let_go(held, None)

    # charging

    def charged(self, lease: str) -> None:
        """A request that `lease` paid for is charged, at the cost that it was settled at."""
        held = self._talks.by_lease.get(lease)
        if held is not None:
            held.uncharged = max(0, held.uncharged - 1)
            if held.retired and held.quiet:
                self._take_note(held)

    # in the background

    async def run(self) -> None:
        """Renew leases, return idle ones, follow recalls, end waits; cancel to stop."""
        while True:
            try:
                self._look()
                await self._follow_recalls()
            except Exception:
                log.exception("budgets could not be looked after")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._woken.wait()
            self._woken.clear()

    def wake(self) -> None:
        """Others wait for money, or money came free: look now."""
        self._recall_due = NEVER
        self._woken.set()
        for held in list(self._talks.active):
            held.turn = 0
            self._retry(held)

    def _look(self) -> None:
        now = self._clock()
        passed = max(now - self._looked_at, 0.001)
        self._looked_at = now
        for waiter in [waiter for waiter in self._waiting.values() if waiter.deadline <= now and not waiter.over]:
            self._end_wait(waiter)
        for held in list(self._talks.active):
            if held.taken or held.reserved:
                held.used_at = now
            held.pace += (held.taken / passed - held.pace) * 0.2
            held.taken = 0
            if not held.busy:
                self._look_after(held, now)

    def _look_after(self, held: Slice, now: float) -> None:
        account = held.account
        if account.slice is held and not account.begins <= self._wall() < account.ends:
            self._slice_of(account, now)
            return
        if held.waiters:
            self._serve(held)
            return
        idle = now - held.used_at > self._settings.idle
        if not held.lease and (idle or not held.failing):
            del self._talks.active[held]
            return
        held.returning = idle
        due = held.failing or held.good_until - now < self._settings.ttl / 2
        over = (held.retired or idle) and (held.quiet or held.free > 0)
        if due or over:
            self._talks.ask(held)

    def _end_wait(self, waiter: Waiter) -> None:
        """It has waited long enough: what there is now, if that is something, or nothing."""
        held, waiter.last = waiter.slice, True
        if held is None:
            return
        found = self._try(waiter)
        if found is None:
            found = exhausted(held.account.view, waiter.plan.key_scope, held.account.ends_in(self._wall()), held=True)
        self._answer(waiter, found)

    async def _follow_recalls(self) -> None:
        """Give back what is idle where others wait for it."""
        now = self._clock()
        if now < self._recall_due:
            return
        self._recall_due = now + self._settings.recall
        recalled = await self._talks.recalled()
        for held in list(self._talks.active) if recalled else ():
            if (held.account.view.uid, held.start) in recalled and not held.waiters and not held.busy:
                held.tight, held.low = True, 0
                if held.free > 0:
                    self._talks.ask(held)

    async def close(self) -> bool:
        """Give everything back, when all is charged. False: the lender must learn it otherwise."""
        return await self._talks.return_all()

    # what to show

    def figures(self) -> dict[str, int]:
        """Sums over all slices, in nano-units, counts since the start, and seconds until the first lease runs out."""
        active = self._talks.active
        until = min((held.good_until for held in active if held.lease), default=None)
        return {
            "free_nano": sum(held.free for held in active),
            "reserved_nano": sum(held.reserved for held in active),
            "leases": len(self._talks.by_lease),
            "lease_seconds": 0 if until is None else max(0, int(until - self._clock())),
            "failing": sum(held.failing for held in active),
            "waiting": len(self._waiting),
            "asked": self._talks.asked,
            "refused": self.refused,
            "outside": self.outside,
        }
