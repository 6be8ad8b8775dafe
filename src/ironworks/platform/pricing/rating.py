"""What a quantity costs: pure, exact, rounded once.

Whole numbers throughout: a decimal price is its digits and a power of ten, so neither binary fractions nor a decimal
context's precision can touch an amount.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from math import gcd
from typing import Final, NamedTuple

from ironworks.platform import metering
from ironworks.platform.pricing.model import (
    CURRENCY,
    MAX_LINE_NANO,
    NANO,
    AccountCurrency,
    Measured,
    Price,
    PriceKey,
    RatedEvent,
    Rating,
    Tariff,
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


class _Versions(NamedTuple):
    """The version of each of some meters, from `since` on until `until`; None where there is none, and no `tariff`."""

    since: datetime
    until: datetime
    versions: Sequence[_Version | None]
    tariff: Tariff | None


_EVER: Final = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class PriceBook:
    """Price versions, found by meter, model, moment and scope, in the order of `lookups`. Holds future versions too."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._versions: dict[PriceKey, list[_Version]] = {}
        for price in sorted(prices, key=lambda p: p.valid_from):
            self._versions.setdefault(price.key, []).append(_Version(price, *_nano_ratio(price.unit_price)))
        self._found: dict[PriceKey, list[tuple[list[datetime], list[_Version]]]] = {}
        self.scopes = frozenset(key.scope for key in self._versions)
        """Where anything has a price of its own."""
        self._nearest: dict[str, str] = {}
        self._last: dict[tuple[tuple[str, ...], str, str, str], _Versions] = {}

    def find(self, meter: str, model: str, currency: str, at: datetime, scope: str = OPERATOR) -> Price | None:
        """The version in force at `at` for usage of `scope`, or None."""
        found = self._find(PriceKey(meter, model, currency, self._priced(scope)), at)
        return found.price if found else None

    def find_versions(self, meters: tuple[str, ...], model: str, currency: str, at: datetime, scope: str) -> _Versions:
        """The versions of all these meters that are in force at `at`; those found last hold until one of them ends."""
        asked = meters, model, currency, self._priced(scope)
        last = self._last.get(asked)
        if last is None or not last.since <= at < last.until:
            last = self._last[asked] = self._find_all([PriceKey(meter, *asked[1:]) for meter in meters], at)
        return last

    def _priced(self, scope: str) -> str:
        """The nearest scope where anything has a price of its own: its prices are those of `scope`."""
        priced = self._nearest.get(scope)
        if priced is None:
            priced = self._nearest[scope] = next((at for at in chain_of(scope) if at in self.scopes), OPERATOR)
        return priced

    def _find_all(self, keys: Sequence[PriceKey], at: datetime) -> _Versions:
        versions = [self._find(key, at) for key in keys]
        starts = sorted({start for key in keys for begins, _ in self._chain(key) for start in begins})
        moments = [_EVER[0], *starts, _EVER[1]]
        now = bisect_right(starts, at)
        prices = tuple(version.price for version in versions if version)
        tariff = Tariff(tuple(key.meter for key in keys), prices) if len(prices) == len(keys) else None
        return _Versions(moments[now], moments[now + 1], versions, tariff)

    def _find(self, key: PriceKey, at: datetime) -> _Version | None:
        """The version in force at `at`; `key` names a scope that has prices, or the operator's."""
        for starts, versions in self._chain(key):
            index = bisect_right(starts, at)
            if index and not versions[index - 1].price.withdrawn:
                return versions[index - 1]
        return None

    def _chain(self, key: PriceKey) -> list[tuple[list[datetime], list[_Version]]]:
        """Every version that could price it, by the order in which they are asked."""
        chain = self._found.get(key)
        if chain is None:
            found = [self._versions[each] for each in lookups(*key) if each in self._versions]
            chain = [([version.price.valid_from for version in versions], versions) for versions in found]
            self._found[key] = chain
        return chain


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


def rate(events: Iterable[metering.UsageEvent], book: PriceBook, currencies: Currencies | None = None) -> Rating:
    """Price every quantity that is not zero at its event's moment in its account's currency; what has no price in that,
    or costs absurdly much, stays unrated."""
    known = currencies or Currencies()
    rated: list[RatedEvent] = []
    unrated: list[UnratedLine] = []
    for event in events:
        used = {meter: quantity for meter, quantity in event.quantities.items() if quantity}
        if not used:
            continue
        at, scope = event.priced_at or event.occurred_at, event.scope
        currency = known.find(scope, at)
        found = book.find_versions(tuple(used), event.model, currency, at, scope)
        quantities = list(used.values())
        amounts = [
            _nano(quantity, each.number, each.divisor) if each else 0
            for quantity, each in zip(quantities, found.versions, strict=True)
        ]
        where = currency, scope, _day(event.occurred_at), event.model
        if found.tariff and min(amounts) > 0 and max(amounts) <= MAX_LINE_NANO:
            rated.append(RatedEvent(event.id, found.tariff, quantities, amounts, *where))
        else:
            rated += _apart(event.id, used, found.versions, amounts, where)
            unrated += _waiting(event, used, found.versions, amounts)
    return Rating(rated, unrated)


def _day(at: datetime) -> date:
    """The one in UTC: its period pays for what occurred then, whenever that is rated."""
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).date()


def _apart(
    event_id: str,
    used: Mapping[str, int],
    versions: Sequence[_Version | None],
    amounts: Sequence[int],
    where: tuple[str, str, date, str],
) -> Iterator[RatedEvent]:
    """What of an event costs something, and what costs nothing."""
    lines = [
        (meter, quantity, version.price, nano)
        for (meter, quantity), version, nano in zip(used.items(), versions, amounts, strict=True)
        if version and nano <= MAX_LINE_NANO
    ]
    for part in ([line for line in lines if line[3]], [line for line in lines if not line[3]]):
        if part:
            meters, quantities, prices, nanos = zip(*part, strict=True)
            yield RatedEvent(event_id, Tariff(meters, prices), quantities, nanos, *where)


def _waiting(
    event: metering.UsageEvent, used: Mapping[str, int], versions: Sequence[_Version | None], amounts: Sequence[int]
) -> Iterator[UnratedLine]:
    for (meter, quantity), version, nano in zip(used.items(), versions, amounts, strict=True):
        if version is None or nano > MAX_LINE_NANO:
            reason = UnratedReason.OVER_LIMIT if version else UnratedReason.NO_PRICE
            measured = (event.id, meter, quantity, event.model, event.scope, event.occurred_at, event.priced_at)
            yield UnratedLine(Measured(*measured), reason)
