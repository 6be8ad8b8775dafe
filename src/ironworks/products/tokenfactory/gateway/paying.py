"""What a request may cost, held of its budgets before it starts, and what it did cost, settled at its end.

The hold is a bound, not a guess: input is at most the bytes of the request times what the model declares a byte can
become, output at most the limit that its upstream is given, times the answers asked for. What an upstream reports
beyond that it did not do for this caller.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ironworks.platform import metering, pricing
from ironworks.products.tokenfactory import budgets
from ironworks.products.tokenfactory.gateway.answers import estimate_input
from ironworks.products.tokenfactory.gateway.costs import LAG, Prices, lag_of
from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, UsageRecord, unavailable
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.products.tokenfactory.routing import Leg, Route
from ironworks.shared import telemetry

log = telemetry.logger(__name__)

LEAST_OUTPUT: Final = 16
"""Tokens of output without which a request is not worth starting when a budget runs out."""
TOKENS_OF_AN_IMAGE: Final = 8_192
"""More than models count for one; its bytes, or its address, bound nothing."""
SPLIT: Final = 16
"""Pieces that a stream may have beyond its limit in tokens before it is cut: some servers split one."""
TICK: Final = 0.5
UNBOUND: Final = 2**62
MAX_PLANS: Final = 200_000


class Bounds:
    """What bounds any request of a route, worked out once: the largest of what its legs could come to."""

    __slots__ = ("_inputs", "output_tokens")

    def __init__(self, route: Route) -> None:
        targets = [leg.target for leg in route.legs]
        self._inputs = list({(each.expansion, each.template_tokens) for each in targets})
        self.output_tokens = max([each.max_output_tokens for each in targets])

    def input_tokens(self, size: int) -> int:
        """The most tokens that an input of so many bytes can have."""
        most = 0
        for expansion, template in self._inputs:
            product = size * expansion
            whole = int(product)
            most = max(most, whole + (whole < product) + template)
        return most


class Bill:
    """One request's.

    Attributes:
        at, scope: the moment, seconds since the epoch, and the path of the tenant whose prices are the request's.
        input_tokens, output_tokens: the bounds; of output for each of `choices` answers. extra: other quantities.
        reservation: what is held; None where no hard budget applies.
    """

    __slots__ = (
        "_named",
        "_payments",
        "at",
        "choices",
        "extra",
        "input_tokens",
        "output_tokens",
        "plan",
        "reservation",
        "scope",
        "wanted",
    )

    def __init__(self, payments: Payments, at: float, scope: str, plan: budgets.Plan | None) -> None:
        self._payments = payments
        self._named = True
        self.at = at
        self.scope = scope
        self.plan = plan
        self.input_tokens = self.output_tokens = 0
        self.choices = 1
        self.wanted = UNBOUND
        self.extra: tuple[tuple[str, int], ...] = ()
        self.reservation: budgets.Reservation | None = None

    def bound(self, bounds: Bounds, call: Call) -> None:
        """Work out this request's bounds."""
        size = len(call.body) - call.inline
        self.input_tokens = bounds.input_tokens(size) + call.images * TOKENS_OF_AN_IMAGE
        named = call.max_output
        self._named = named is not None
        self.output_tokens = bounds.output_tokens if named is None else named
        self.choices = max(1, call.choices)
        self.extra = call.extra

    @property
    def holds(self) -> tuple[tuple[str, int], ...]:
        """(lease, nano-units) for the usage record."""
        return self.reservation.holds if self.reservation is not None else ()

    def limit(self, leg: Leg) -> int | None:
        """Output tokens of one choice that the upstream is allowed; None: as the caller wrote."""
        if self.reservation is None or not self.output_tokens:
            return None
        most = self._most(leg)
        return None if self._named and most == self.output_tokens else max(1, most)

    def _most(self, leg: Leg) -> int:
        """Output tokens of one choice that the hold pays for."""
        if not self.holds:
            return self.output_tokens
        assert self.reservation is not None
        if self.reservation.amount_nano >= self.wanted:
            return self.output_tokens
        quote = self._payments.prices.quote(leg.model, self.at, self.scope)
        afforded = quote.affordable_output(self.reservation.amount_nano, self.input_tokens)
        return min(self.output_tokens, afforded // self.choices)

    def reroute(self) -> None:
        """Another route than was held for, whose legs may be dearer: work out anew what the hold pays for."""
        self.wanted = UNBOUND

    def longest(self, leg: Leg) -> int:
        """Output tokens in all that the hold pays for."""
        return self._most(leg) * self.choices if self.holds and self.output_tokens else UNBOUND

    def cut(self, leg: Leg, usage: Usage) -> Usage:
        """`usage` as far as the hold goes; of what is reported beyond it nothing is charged."""
        if not self.holds:
            return usage
        given, made = min(usage.input_tokens, self.input_tokens), usage.output_tokens
        if self.output_tokens:
            made = min(made, self._most(leg) * self.choices)
        extra = _cut_extra(usage.extra, dict(self.extra)) if usage.extra else ()
        if (given, made, extra) == (usage.input_tokens, usage.output_tokens, usage.extra):
            return usage
        self._payments.cuts += 1
        cached = min(usage.cached_tokens, given)
        heard = min(usage.input_audio_tokens, given - cached)
        thought = min(usage.reasoning_tokens, made)
        spoken = min(usage.output_audio_tokens, made - thought)
        return Usage(given, cached, made, usage.counted, thought, heard, spoken, extra)

    def guess(self, call: Call) -> int:
        """Input tokens by the size of the request, for the one whose end nobody sees; no more than it is held to."""
        return min(estimate_input(call), self.input_tokens) if self.holds else estimate_input(call)

    def cost(self, leg: Leg, usage: Usage) -> int:
        """What `usage` costs in nano-units, -1 where something in it has no price."""
        cost = self._payments.prices.quote(leg.model, self.at, self.scope).cost(usage)
        return -1 if cost is None else cost

    def settle(self, cost: int) -> None:
        """It cost so much, and its closing record is about to say so."""
        held, self.reservation = self.reservation, None
        if held is not None:
            held.settle(max(0, cost))

    def release(self) -> None:
        """It never began."""
        held, self.reservation = self.reservation, None
        if held is not None:
            held.release()


def _cut_extra(used: Iterable[tuple[str, int]], held: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Quantities as far as the request's own bound them; that an answer was kept is our word, not an upstream's."""
    most = {metering.CACHED_RESPONSES: 1, **held}
    return tuple([(meter, min(quantity, most.get(meter, 0))) for meter, quantity in used])


class Payments:
    """One process's prices, and its desk of budgets.

    Attributes:
        cuts: answers whose upstream reported more than it could have done. missing: requests refused for want of a
            price.
    """

    def __init__(self, lender: budgets.Lender | None, holder: str, host: str) -> None:
        """`lender`: the ledger of leases; without one there are no budgets."""
        self.prices = Prices()
        self.desk = budgets.Desk(lender, holder, host) if lender is not None else None
        self.lender = lender
        self.cuts = 0
        self.missing = 0
        self._lag = LAG
        self._plans: dict[Route, dict[bytes, budgets.Plan | None]] = {}
        self._bounds: dict[Route, Bounds] = {}
        self._size = 0

    def replace(self, views: Sequence[budgets.BudgetView] | None = None) -> None:
        """These are the budgets from now on, or, with None, there are other routes."""
        if views is not None and self.desk is not None:
            self.desk.replace(views)
        self._plans = {}
        self._bounds = {}
        self._size = 0

    def reprice(self, prices: Iterable[pricing.Price]) -> None:
        """This is the price book from now on."""
        self.prices = Prices(prices)

    def tick(self, age: float) -> None:
        """Twice a second: `age` seconds ago the price book was last known to be current."""
        self._lag = lag_of(age + TICK) if math.isfinite(age) else LAG

    def typical_cost(self, model: str) -> float:
        """What a thousand tokens each way cost at most now, in nano-units, where no scope has prices of its own;
        infinite where a price is missing."""
        quote = self.prices.quote(model, time.time() - self._lag)
        return quote.worst(1000, 1000) if quote.complete else math.inf

    def bill(self, key: KeyView, route: Route, call: Call, *, free: bool = False) -> Bill:
        """For a request of `key`. Raises Refusal where a budget would have to pay what has no price."""
        plan = None if free or self.desk is None else self._plan(key, route)
        bill = Bill(self, time.time() - self._lag, key.scope, plan)
        if plan is not None:
            bounds = self._bounds.get(route)
            if bounds is None:
                bounds = self._bounds[route] = Bounds(route)
            bill.bound(bounds, call)
            for leg in route.legs:
                if not self.prices.quote(leg.model, bill.at, bill.scope).covers(bill.extra):
                    self._do_without(bill, plan)
                    break
        return bill

    def _do_without(self, bill: Bill, plan: budgets.Plan) -> None:
        if plan.closed:
            self.missing += 1
            raise unavailable(
                "price_missing", "a budget applies here and the model has no price that it could be held to", 60
            )
        bill.plan = None

    def reserve(self, bill: Bill, route: Route, then: Callable[[budgets.Reservation | budgets.Refused], None]) -> bool:
        """Hold what the request may cost; False: `then` is called when there is an answer."""
        if bill.plan is None or self.desk is None:
            return True
        few = min(bill.output_tokens, LEAST_OUTPUT) * bill.choices
        many = bill.output_tokens * bill.choices
        wanted = least = 0
        for leg in route.legs:
            quote = self.prices.quote(leg.model, bill.at, bill.scope)
            wanted = max(wanted, quote.worst(bill.input_tokens, many, bill.extra))
            least = max(least, quote.worst(bill.input_tokens, few, bill.extra))
        bill.wanted = wanted
        bill.reservation = self.desk.reserve(bill.plan, least, wanted, then)
        return bill.reservation is not None

    def cancel(self, then: Callable[[budgets.Reservation | budgets.Refused], None]) -> None:
        """The caller left before there was an answer."""
        if self.desk is not None:
            self.desk.cancel(then)

    def _plan(self, key: KeyView, route: Route) -> budgets.Plan | None:
        """By the key's digest, whose hash is kept, and the route itself, which lives as long as its table."""
        assert self.desk is not None
        plans = self._plans.get(route)
        if plans is None:
            plans = self._plans[route] = {}
        try:
            return plans[key.digest]
        except KeyError:
            pass
        if self._size >= MAX_PLANS:
            self.replace()
            plans = self._plans[route] = {}
        self._size += 1
        plan = plans[key.digest] = self.desk.plan(key.uid, key.scope, route.uid, route.scope)
        return plan

    def charged(self, records: Iterable[UsageRecord]) -> None:
        """These are charged for good."""
        if self.desk is not None:
            for record in records:
                for lease, _ in record.holds:
                    self.desk.charged(lease)

    async def run(self) -> None:
        """Look after leases, for ever; cancel to stop."""
        if self.desk is not None:
            await self.desk.run()

    def wake(self) -> None:
        """Somebody waits for budgets' money, or some came free."""
        if self.desk is not None:
            self.desk.wake()

    async def close(self) -> bool:
        """Give back what is leased; False: it is to be closed by whoever takes over the spool."""
        if self.desk is None:
            return True
        closed = await self.desk.close()
        if not closed:
            log.warning("leases of budgets are not given back yet; another gateway process will close them")
        return closed

    def gauges(self) -> dict[str, tuple[str, float]]:
        """What an operator should see."""
        if self.desk is None:
            return {}
        figures: dict[str, Any] = self.desk.figures()
        return {
            "budget_leased_free_nano": ("Leased and held by no request, in nano-units", figures["free_nano"]),
            "budget_reserved_nano": ("Held by requests, in nano-units", figures["reserved_nano"]),
            "budget_lease_remaining_seconds": (
                "Until the first lease runs out, 0 without one",
                figures["lease_seconds"],
            ),
            "budgets_failing": ("Budgets whose ledger of leases cannot be asked", figures["failing"]),
            "budget_leases": ("Leases of budgets that are held", figures["leases"]),
            "budget_waiting": ("Requests that wait for a budget's money", figures["waiting"]),
            "budget_questions": ("Questions to the ledger of leases since the start", figures["asked"]),
            "budget_refused": ("Requests refused by budgets since the start", figures["refused"]),
            "budget_outside": ("Requests that passed a budget which fails open since the start", figures["outside"]),
            "budget_price_missing": ("Requests refused for want of a price since the start", self.missing),
            "budget_usage_cut": ("Answers whose upstream reported more than it was held to", self.cuts),
        }


def refused_by_budget(refused: budgets.Refused) -> Refusal:
    """What the caller is told."""
    kind = "insufficient_quota" if refused.status == 429 else "server_error"
    return Refusal(refused.status, refused.code, refused.message, kind=kind, retry_after=refused.retry_after)
