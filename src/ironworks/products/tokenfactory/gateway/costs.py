"""What a request costs and could cost, in whole nano-units, as pricing will rate it: same book, same rounding.

A price in force now may be one that was added a moment ago and is not known here yet. So a request is priced at a
moment of which all is known: `LAG` before now or, with the control plane out of reach, before it was last confirmed.
Its usage record says which (`priced_at`), and rating prices it there too: what was quoted is what is charged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from ironworks.platform import metering, pricing
from ironworks.products.tokenfactory.gateway.model import Usage

LAG: Final = 2.0
"""Seconds by which a new price takes effect later here than its `valid_from`."""
UNLIMITED: Final = 2**31
_CURRENCY: Final = pricing.CURRENCY
_INPUT: Final = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.INPUT_AUDIO_TOKENS)
_OUTPUT: Final = (metering.OUTPUT_TOKENS, metering.REASONING_TOKENS, metering.OUTPUT_AUDIO_TOKENS)
_PLAIN: Final = (metering.INPUT_TOKENS, metering.CACHED_INPUT_TOKENS, metering.OUTPUT_TOKENS)
"""What most requests use; their prices are mostly whole nano-units."""
_NEVER: Final = float("inf")


def quantities_of(usage: Usage) -> dict[str, int]:
    """Usage by meter: the parts of input and output that have meters of their own are apart from the rest."""
    return {
        metering.INPUT_TOKENS: max(0, usage.input_tokens - usage.cached_tokens - usage.input_audio_tokens),
        metering.CACHED_INPUT_TOKENS: usage.cached_tokens,
        metering.INPUT_AUDIO_TOKENS: usage.input_audio_tokens,
        metering.OUTPUT_TOKENS: max(0, usage.output_tokens - usage.reasoning_tokens - usage.output_audio_tokens),
        metering.REASONING_TOKENS: usage.reasoning_tokens,
        metering.OUTPUT_AUDIO_TOKENS: usage.output_audio_tokens,
        **dict(usage.extra),
    }


class Rate:
    """One unit price as a fraction of nano-units: what `pricing.nano_amount` computes, prepared once."""

    __slots__ = ("divisor", "number")

    def __init__(self, price: pricing.Price) -> None:
        number, divisor = price.unit_price.as_integer_ratio()
        self.number = number * pricing.NANO
        self.divisor = divisor
        if not self.number % divisor:
            self.number, self.divisor = self.number // divisor, 1

    def cost(self, quantity: int) -> int:
        """Half to even, as a rated line is."""
        if self.divisor == 1:
            return quantity * self.number
        quotient, rest = divmod(quantity * self.number, self.divisor)
        return quotient + (2 * rest > self.divisor or (2 * rest == self.divisor and quotient % 2 == 1))


class Quote:
    """The prices of one model at one moment; `at` is in seconds since the epoch. Lives as long as they do not change.

    Attributes:
        complete: every token has a price; without one, use waits unrated and is charged when there is one.
    """

    __slots__ = ("_input", "_output", "_plain", "_rates", "_spare_in", "_spare_out", "complete")

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._rates = rates
        self.complete = all(meter in rates for meter in (*_INPUT, *_OUTPUT))
        plain = [rates.get(meter) for meter in _PLAIN]
        whole = [each.number for each in plain if each is not None and each.divisor == 1]
        self._plain = (whole[0], whole[1], whole[2]) if len(whole) == len(_PLAIN) else None
        self._input, self._spare_in = _dearest([rates[meter] for meter in _INPUT if meter in rates])
        self._output, self._spare_out = _dearest([rates[meter] for meter in _OUTPUT if meter in rates])

    def covers(self, extra: Sequence[tuple[str, int]]) -> bool:
        """Whether every token, and every meter of `extra`, has a price."""
        return self.complete and (not extra or all(meter in self._rates for meter, _ in extra))

    def cost(self, usage: Usage) -> int | None:
        """What `usage` costs, each meter's quantity rounded once; None where one that is not zero has no price."""
        given, cached, made, _, thought, heard, spoken, extra = usage
        if self._plain is not None and not (thought or heard or spoken or extra) and cached <= given:
            one, kept, other = self._plain
            return (given - cached) * one + cached * kept + made * other
        rates = self._rates
        total = 0
        for meter, quantity in quantities_of(usage).items():
            if quantity:
                rate = rates.get(meter)
                if rate is None:
                    return None
                total += rate.cost(quantity)
        return total

    def worst(self, input_tokens: int, output_tokens: int, extra: Sequence[tuple[str, int]] = ()) -> int:
        """The most that so much can cost, however it is split into cached, audio and reasoning tokens."""
        numerator, divisor = self._input
        total = -(-input_tokens * numerator // divisor) + self._spare_in
        numerator, divisor = self._output
        total += -(-output_tokens * numerator // divisor) + self._spare_out
        for meter, quantity in extra:
            rate = self._rates.get(meter)
            total += rate.cost(quantity) if rate else 0
        return total

    def affordable_output(self, nano: int, input_tokens: int) -> int:
        """The most output tokens that `worst` allows for `nano`; 0 where the input alone takes it all."""
        numerator, divisor = self._output
        left = nano - self.worst(input_tokens, 0)
        if left < 0:
            return 0
        return min(UNLIMITED, left * divisor // numerator) if numerator else UNLIMITED


def _dearest(rates: Iterable[Rate]) -> tuple[tuple[int, int], int]:
    """((number, divisor) of the dearest rate, nano-units for lines that are rounded up, by a half at most)."""
    kept = list(rates)
    if not kept:
        return (0, 1), 0
    top = max(kept, key=lambda rate: rate.number / rate.divisor)
    return (top.number, top.divisor), (0 if all(rate.divisor == 1 for rate in kept) else len(kept))


class Prices:
    """The price book in memory, and how late it was known to be whole."""

    def __init__(self, rows: Iterable[pricing.BookRow] = ()) -> None:
        known = list(rows)
        kept = [row for row in known if isinstance(row, pricing.Price) and row.key.currency == _CURRENCY]
        others = [row for row in known if isinstance(row, pricing.AccountCurrency)]
        self._book = pricing.PriceBook(kept)
        self._meters = frozenset({price.key.meter for price in kept} | {*_INPUT, *_OUTPUT})
        self._currencies = pricing.Currencies(others)
        starts = [price.valid_from for price in kept] + [other.valid_from for other in others]
        self._turns = sorted({start.timestamp() for start in starts})
        self._local = (self._book.scopes | {row.account for row in others}) - {""}
        self._places: dict[str, str] = {}
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._since, self._until = _NEVER, -_NEVER

    def quote(self, model: str, at: float, scope: str = "") -> Quote:
        """The prices of `model` for usage of `scope` at `at`, seconds since the epoch; none where its account has
        another currency. Made once between two changes of any price, for all scopes that have the same ones."""
        if not self._since <= at < self._until:
            self._turn_to(at)
        place = self._place(scope) if self._local else ""
        found = self._quotes.get((model, place))
        if found is None:
            if len(self._quotes) > MAX_QUOTES:
                self._quotes.clear()
            found = self._quotes[model, place] = self._make(model, place, datetime.fromtimestamp(at, UTC))
        return found

    def _place(self, scope: str) -> str:
        """The nearest scope, at or above `scope`, that has prices of its own."""
        place = self._places.get(scope)
        if place is None:
            if len(self._places) > MAX_QUOTES:
                self._places.clear()
            place = next((above for above in pricing.chain_of(scope) if above in self._local), "")
            self._places[scope] = place
        return place

    def _turn_to(self, at: float) -> None:
        self._quotes.clear()
        self._since = max((turn for turn in self._turns if turn <= at), default=-_NEVER)
        self._until = min((turn for turn in self._turns if turn > at), default=_NEVER)

    def _make(self, model: str, place: str, at: datetime) -> Quote:
        if self._currencies.find(place, at) != _CURRENCY:
            return Quote({})
        found = {meter: self._book.find(meter, model, _CURRENCY, at, place) for meter in self._meters}
        return Quote({meter: Rate(price) for meter, price in found.items() if price is not None})


MAX_QUOTES: Final = 10_000


def lag_of(age: float) -> float:
    """How many seconds ago the prices were in force that count now; the book was last confirmed `age` seconds ago."""
    return max(LAG, age + 1.0)
