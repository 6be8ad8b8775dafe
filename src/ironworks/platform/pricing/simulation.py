"""What a past period would have cost under other prices and terms: pure, and exact to the nano-unit.

The other book is laid over the present one: its prices hold for the whole period in the place of their own key's
versions, go before what they would go before in any lookup, and leave every other line as it is. Nothing is changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from ironworks.platform.pricing.model import PriceKey, lookups
from ironworks.platform.pricing.terms import TermsBook, TermsVersion, Total, adjustments


class GroupBy(StrEnum):
    """What the groups of a simulation are."""

    METER = "meter"
    """By meter and model."""
    ACCOUNT = "account"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class OtherBook:
    """Prices, in currency for one unit, and terms, to simulate a period under."""

    prices: dict[PriceKey, Decimal] = field(default_factory=dict)
    terms: Sequence[TermsVersion] = ()


class Rated(NamedTuple):
    """The lines of a period that were rated by one price; without one, those that wait."""

    scope: str
    meter: str
    model: str
    key: PriceKey | None


class Rerated(NamedTuple):
    """What a tenant used of one meter and model, and what it cost and would have cost at base price.

    `waiting`: so much of the quantity has no price, and `would_wait` would have none.
    """

    scope: str
    meter: str
    model: str
    quantity: int
    was_nano: int
    would_nano: int
    waiting: int
    would_wait: int


class Difference(NamedTuple):
    """One group: `name` is a meter and a model, an account or a tenant. `adjusted_*` is what terms make of it; only
    groups of whole accounts have it."""

    name: str
    quantity: int
    was_nano: int
    would_nano: int
    adjusted_was_nano: int = 0
    adjusted_would_nano: int = 0

    @property
    def difference_nano(self) -> int:
        return self.would_nano + self.adjusted_would_nano - self.was_nano - self.adjusted_was_nano


@dataclass(frozen=True, slots=True)
class Simulation:
    """The groups, the largest difference first, and their sum.

    `waiting`, `would_wait`: quantities without a price.
    """

    groups: Sequence[Difference]
    total: Difference
    waiting: int
    would_wait: int


def price_under(book: OtherBook, rated: Rated, currency: str) -> Decimal | None:
    """What a unit of these lines would have cost; None where `book` says nothing of it."""
    for key in lookups(rated.meter, rated.model, currency, rated.scope):
        if key in book.prices:
            return book.prices[key]
        if key == rated.key:
            return None
    return None


def compare(
    rerated: Sequence[Rerated],
    present: Sequence[TermsVersion],
    other: OtherBook,
    start: date,
    currency: str,
    group_by: GroupBy,
    *,
    adjust: bool = True,
) -> Simulation:
    """Group what was rated anew, with what terms make of it. `adjust`: the lines are those of whole accounts."""
    was, would = _adjust(rerated, present, other, start, currency) if adjust else ({}, {})
    names: dict[str, list[Rerated]] = defaultdict(list)
    for each in rerated:
        names[_name(each, group_by)].append(each)
    whole = group_by is GroupBy.ACCOUNT
    for account in (*was, *would) if whole else ():
        names.setdefault(account, [])
    groups = [
        _sum(name, lines, was.get(name, 0) if whole else 0, would.get(name, 0) if whole else 0)
        for name, lines in names.items()
    ]
    return Simulation(
        sorted(groups, key=lambda group: (-abs(group.difference_nano), group.name)),
        _sum("", rerated, sum(was.values()), sum(would.values())),
        sum(each.waiting for each in rerated),
        sum(each.would_wait for each in rerated),
    )


def _name(each: Rerated, group_by: GroupBy) -> str:
    if group_by is GroupBy.METER:
        return f"{each.meter} {each.model or '*'}"
    return each.scope if group_by is GroupBy.TENANT else _account_of(each)


def _account_of(each: Rerated) -> str:
    return each.scope.partition(".")[0]


def _sum(name: str, lines: Iterable[Rerated], was: int, would: int) -> Difference:
    quantity = base_was = base_would = 0
    for line in lines:
        quantity += line.quantity
        base_was += line.was_nano
        base_would += line.would_nano
    return Difference(name, quantity, base_was, base_would, was, would)


def _adjust(
    rerated: Sequence[Rerated], present: Sequence[TermsVersion], other: OtherBook, start: date, currency: str
) -> tuple[dict[str, int], dict[str, int]]:
    """By account: what terms made of the period, and what they would have."""
    theirs = {version.key for version in other.terms}
    books = TermsBook(present, start), TermsBook([*(v for v in present if v.key not in theirs), *other.terms], start)
    found: tuple[dict[str, int], dict[str, int]] = {}, {}
    for account, group in groupby(sorted(rerated), key=_account_of):
        lines = list(group)
        was = [Total(e.scope, e.meter, e.model, e.quantity - e.waiting, e.was_nano) for e in lines]
        would = [Total(e.scope, e.meter, e.model, e.quantity - e.would_wait, e.would_nano) for e in lines]
        for sums, book, totals in zip(found, books, (was, would), strict=True):
            sums[account] = sum(each.amount_nano for each in adjustments(book, account, currency, totals))
    return found
