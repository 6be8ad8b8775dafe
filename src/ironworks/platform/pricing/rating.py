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
from typing import NamedTuple

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
    chain_of,
    lookups,
)
from ironworks.shared.path import OPERATOR


def nano_amount(quantity: int, unit_price: Decimal) -> int:
    """quantity × unit_price in whole nano-units, half to even (IEEE 754 roundTiesToEven). Neither may be negative."""
    return _nano(quantity, *_nano_ratio(unit_price))


@lru_cache(maxsize=4096)
def _nano_ratio(unit_price: Decimal) -> tuple[int, int]:
    """The nano-units that one unit costs, as a fraction in lowest terms. Raises ValueError for what is no number."""
    if not unit_price.is_finite():
        raise ValueError(f"{unit_price} is no price")
    number, divisor = unit_price.as_integer_ratio()
    common = gcd(NANO, divisor)
    return number * (NANO // common), divisor // common


def _nano(quantity: int, number: int, divisor: int) -> int:
    if divisor == 1:
        return quantity * number
    quotient, rest = divmod(quantity * number, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1))


class _Version(NamedTuple):
    """A price version with the fraction of nano-units that it is, so that no line works it out again."""

    price: Price
    number: int
    divisor: int


class PriceBook:
    """Price versions, found by meter, model, moment and scope, in the order of `lookups`. Holds future versions too."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._versions: dict[PriceKey, list[_Version]] = {}
        for price in sorted(prices, key=lambda p: p.valid_from):
            self._versions.setdefault(price.key, []).append(_Version(price, *_nano_ratio(price.unit_price)))
        self._found: dict[tuple[str, str, str, str], list[tuple[list[datetime], list[_Version]]]] = {}
        self.scopes = frozenset(key.scope for key in self._versions)
        """Where anything has a price of its own."""
        self._nearest: dict[str, str] = {}

    def find(self, meter: str, model: str, currency: str, at: datetime, scope: str = OPERATOR) -> Price | None:
        """The version in force at `at` for usage of `scope`, or None."""
        found = self.find_version(meter, model, currency, at, scope)
        return found.price if found else None

    def find_version(self, meter: str, model: str, currency: str, at: datetime, scope: str) -> _Version | None:
        """As find, with the price as a fraction of nano-units."""
        priced = self._nearest.get(scope)
        if priced is None:
            priced = self._nearest[scope] = next((at for at in chain_of(scope) if at in self.scopes), OPERATOR)
        asked = (meter, model, currency, priced)
        chain = self._found.get(asked)
        if chain is None:
            chain = self._found[asked] = self._chain(PriceKey(*asked))
        for starts, versions in chain:
            index = bisect_right(starts, at)
            if index and not versions[index - 1].price.withdrawn:
                return versions[index - 1]
        return None

    def _chain(self, key: PriceKey) -> list[tuple[list[datetime], list[_Version]]]:
        """Every version that could price it, by the order in which they are asked."""
        found = [self._versions[each] for each in lookups(*key) if each in self._versions]
        return [([version.price.valid_from for version in versions], versions) for versions in found]


class Currencies:
    """The currency of every account, by moment: CURRENCY for those that have no other."""

    def __init__(self, rows: Iterable[AccountCurrency] = ()) -> None:
        self._versions: dict[str, list[AccountCurrency]] = {}
        self.known = {CURRENCY}
        """Every currency that `find` could say."""
        for row in sorted(rows, key=lambda row: row.valid_from):
            self._versions.setdefault(row.account, []).append(row)
            self.known.add(row.currency)

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
    occurrence = None
    for m in measured:
        event_id, meter, quantity, model, *where = m
        if where != occurrence:  # the quantities of one event follow each other
            occurrence, scope, at, day = where, m.scope, m.at, m.day
            currency = known.find(scope, at)
        version = book.find_version(meter, model, currency, at, scope)
        amount = _nano(quantity, version.number, version.divisor) if version else 0
        if version is None:
            unrated.append(UnratedLine(m, UnratedReason.NO_PRICE))
        elif amount > MAX_LINE_NANO:
            unrated.append(UnratedLine(m, UnratedReason.OVER_LIMIT))
        else:
            price = version.price
            lines.append(
                RatedLine(event_id, meter, quantity, price.id, price.unit_price, amount, currency, scope, day, model)
            )
    return Rating(lines, unrated)
