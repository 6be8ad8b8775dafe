"""What a quantity costs: pure, exact, rounded once.

Whole numbers throughout: a decimal price is its digits and a power of ten, so neither binary fractions nor a decimal
context's precision can touch an amount.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import gcd

from ironworks.platform.pricing.model import (
    CURRENCY,
    MAX_LINE_NANO,
    NANO,
    AccountCurrency,
    Measured,
    Price,
    PriceKey,
    RatedLine,
    Rating,
    UnratedLine,
    UnratedReason,
    lookups,
)
from ironworks.shared.path import OPERATOR


def nano_amount(quantity: int, unit_price: Decimal) -> int:
    """quantity × unit_price in whole nano-units, half to even (IEEE 754 roundTiesToEven). Neither may be negative."""
    number, divisor = _nano_ratio(unit_price)
    return quantity * number if divisor == 1 else _half_even(quantity * number, divisor)


@lru_cache(maxsize=4096)
def _nano_ratio(unit_price: Decimal) -> tuple[int, int]:
    """The nano-units that one unit costs, as a fraction in lowest terms. Raises ValueError for what is no number."""
    if not unit_price.is_finite():
        raise ValueError(f"{unit_price} is no price")
    number, divisor = unit_price.as_integer_ratio()
    common = gcd(NANO, divisor)
    return number * (NANO // common), divisor // common


def _half_even(number: int, divisor: int) -> int:
    quotient, rest = divmod(number, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1))


class PriceBook:
    """Price versions, found by meter, model, moment and scope, in the order of `lookups`. Holds future versions too."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._versions: dict[PriceKey, list[Price]] = {}
        for price in sorted(prices, key=lambda p: p.valid_from):
            self._versions.setdefault(price.key, []).append(price)
        self._found: dict[tuple[str, str, str, str], list[tuple[list[datetime], list[Price]]]] = {}
        self.scopes = frozenset(key.scope for key in self._versions)
        """Where anything has a price of its own."""

    def find(self, meter: str, model: str, currency: str, at: datetime, scope: str = OPERATOR) -> Price | None:
        """The version in force at `at` for usage of `scope`, or None."""
        asked = (meter, model, currency, scope)
        chain = self._found.get(asked)
        if chain is None:
            chain = self._found[asked] = self._chain(PriceKey(*asked))
        for starts, versions in chain:
            index = bisect_right(starts, at)
            if index and not versions[index - 1].withdrawn:
                return versions[index - 1]
        return None

    def _chain(self, key: PriceKey) -> list[tuple[list[datetime], list[Price]]]:
        """Every version that could price it, by the order in which they are asked."""
        found = [self._versions[each] for each in lookups(*key) if each in self._versions]
        return [([price.valid_from for price in versions], versions) for versions in found]


class Currencies:
    """The currency of every account, by moment: CURRENCY for those that have no other."""

    def __init__(self, rows: Iterable[AccountCurrency] = ()) -> None:
        self._versions: dict[str, list[AccountCurrency]] = {}
        for row in sorted(rows, key=lambda row: row.valid_from):
            self._versions.setdefault(row.account, []).append(row)

    def find(self, scope: str, at: datetime) -> str:
        """In which one usage of `scope` is rated whose prices are those of `at`."""
        versions = self._versions.get(scope.partition(".")[0]) if self._versions else None
        index = bisect_right(versions, at, key=lambda row: row.valid_from) if versions else 0
        return versions[index - 1].currency if versions and index else CURRENCY


def rate(measured: Iterable[Measured], book: PriceBook, currencies: Currencies | None = None) -> Rating:
    """Price every quantity at its moment in its account's currency; what has no price in that, or costs absurdly much,
    stays unrated."""
    known = currencies or Currencies()
    lines: list[RatedLine] = []
    unrated: list[UnratedLine] = []
    for m in measured:
        at = m.at
        currency = known.find(m.scope, at)
        price = book.find(m.meter, m.model, currency, at, m.scope)
        if price is None:
            unrated.append(UnratedLine(m, UnratedReason.NO_PRICE))
            continue
        amount = nano_amount(m.quantity, price.unit_price)
        if amount > MAX_LINE_NANO:
            unrated.append(UnratedLine(m, UnratedReason.OVER_LIMIT))
            continue
        lines.append(
            RatedLine(
                m.usage_event_id,
                m.meter,
                m.quantity,
                price.id,
                price.unit_price,
                amount,
                currency,
                m.scope,
                m.day,
                m.model,
            )
        )
    return Rating(lines, unrated)
