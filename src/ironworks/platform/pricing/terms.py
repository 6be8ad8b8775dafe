"""What a period's close adds to usage at base price, or takes from it: pure, exact, each step rounded once.

Usage is rated as it comes, so its sum never depends on how it was split. Only the period's whole quantity says which
tier it reached, and a tier's price replaces the base price then, by a line of its own that states the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, NamedTuple
from uuid import UUID

from ironworks.platform.pricing.model import MAX_UNIT_PRICE, NANO, PriceKey, check_decimal, lookups
from ironworks.shared.errors import invalid
from ironworks.shared.path import covers

MAX_TIERS: Final = 50
MAX_MINIMUM: Final = Decimal(10**9)
MAX_COUNT: Final = 10**15


class TierMode(StrEnum):
    """How tiers price a quantity."""

    GRADUATED = "graduated"
    """Each unit costs what the tier says in which it falls."""
    VOLUME = "volume"
    """Every unit costs what the tier says in which the last one falls."""


class Tier(NamedTuple):
    """Units up to and with number `up_to` (None: all further ones) at `unit_price`."""

    up_to: int | None
    unit_price: Decimal


class Package(NamedTuple):
    """`size` units cost `price`, and a part of them as much as the whole."""

    size: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """How a period's quantity is charged, where that is not at base price; applied in the order of the fields.

    Args:
        included: so many units are free, the first ones.
        tiers, mode: what the rest costs, instead of the base price.
        package: the same, in packages; not together with tiers.
        discount: per cent off all that.
        minimum: the period costs at least this much, in the currency, used or not.
    """

    included: int = 0
    tiers: Sequence[Tier] = ()
    mode: TierMode = TierMode.GRADUATED
    package: Package | None = None
    discount: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class TermsVersion:
    """Terms from a UTC day on: they count for the periods that begin on it or later, until the next version's.

    `withdrawn`: from then on the key has none, and the next one in the order of `lookups` counts.
    """

    id: UUID
    key: PriceKey
    terms: PriceTerms
    valid_from: date
    withdrawn: bool = False


class Step(NamedTuple):
    """One line of an adjustment; what it takes off is negative."""

    description: str
    amount_nano: int


class Period(NamedTuple):
    """What an account, and all below it, used in the UTC days [start, end), in one currency."""

    account: str
    start: date
    end: date
    currency: str


class Total(NamedTuple):
    """What a tenant used of one meter and model in a period, and what that cost at base price."""

    scope: str
    meter: str
    model: str
    quantity: int
    base_nano: int


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What terms add to a period's usage at base price, or take from it.

    Args:
        scope: the path of the scope whose quantities were added up: the terms' own, or the account.
        quantity: that sum. model: `*` for that of all models without terms of their own.
        terms_id: the version that made it.
    """

    scope: str
    meter: str
    model: str
    description: str
    quantity: int
    amount_nano: int
    terms_id: UUID


def check_terms(terms: PriceTerms) -> None:
    """Raises Invalid for terms that are no rule: tiers out of order or that end, a discount above all of it."""
    ends = [tier.up_to for tier in terms.tiers]
    if len(ends) > MAX_TIERS:
        raise invalid("tiers", f"there are more than {MAX_TIERS}", "use fewer")
    if ends and (ends[-1] is not None or not _rises(ends[:-1])):
        raise invalid("tiers", "do not rise to an open end", "let each `up_to` be larger, and leave out the last one")
    if terms.tiers and terms.package:
        raise invalid("package", "does not go with tiers", "use one of the two")
    if not 0 <= terms.included <= MAX_COUNT:
        raise invalid("included", "is no quantity", f"use a whole number from 0 to {MAX_COUNT}")
    if terms.package and not 1 <= terms.package.size <= MAX_COUNT:
        raise invalid("package.size", "is no quantity", f"use a whole number from 1 to {MAX_COUNT}")
    for index, tier in enumerate(terms.tiers):
        check_decimal(f"tiers.{index}.unit_price", tier.unit_price, MAX_UNIT_PRICE)
    if terms.package:
        check_decimal("package.price", terms.package.price, MAX_MINIMUM)
    check_decimal("discount", terms.discount, Decimal(100))
    check_decimal("minimum", terms.minimum, MAX_MINIMUM)


def _rises(ends: Sequence[int | None]) -> bool:
    before = 0
    for end in ends:
        if end is None or not before < end <= MAX_COUNT:
            return False
        before = end
    return True


def adjust(terms: PriceTerms, quantity: int, base_nano: int) -> list[Step]:
    """The lines that turn `base_nano`, what `quantity` cost at base price, into what `terms` ask for it.

    Each is rounded half to even to whole nano-units, lines of nothing are left out, and what is charged in the end is
    never negative.
    """
    charged = base_nano + (by_units := _charge_units(terms, quantity, base_nano) - base_nano)
    off = -round(charged * Fraction(terms.discount) / 100)
    more = max(0, round(Fraction(terms.minimum) * NANO) - charged - off)
    steps = (
        Step(_describe_units(terms), by_units),
        Step(f"discount of {_plain(terms.discount)} %", off),
        Step(f"up to the minimum of {_plain(terms.minimum)}", more),
    )
    return [step for step in steps if step.amount_nano]


def _charge_units(terms: PriceTerms, quantity: int, base_nano: int) -> int:
    """What the units cost in nano-units, before discount and minimum."""
    billed = max(0, quantity - terms.included)
    if terms.package:
        return round(-(-billed // terms.package.size) * Fraction(terms.package.price) * NANO)
    if terms.tiers:
        price = _price_graduated if terms.mode is TierMode.GRADUATED else _price_volume
        return round(price(terms.tiers, billed) * NANO)
    return round(Fraction(base_nano * billed, quantity)) if quantity else base_nano


def _price_graduated(tiers: Sequence[Tier], quantity: int) -> Fraction:
    total, below = Fraction(0), 0
    for up_to, unit_price in tiers:
        end = quantity if up_to is None else min(quantity, up_to)
        total += (end - below) * Fraction(unit_price)
        if end == quantity:
            break
        below = end
    return total


def _price_volume(tiers: Sequence[Tier], quantity: int) -> Fraction:
    return quantity * next(Fraction(price) for up_to, price in tiers if up_to is None or quantity <= up_to)


def _describe_units(terms: PriceTerms) -> str:
    words = [f"{terms.mode} tiers"] if terms.tiers else []
    if terms.package:
        words = [f"packages of {terms.package.size}"]
    if terms.included:
        words.append(f"{terms.included} included")
    return ", ".join(words)


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


class TermsBook:
    """The versions of terms that are in force on one day, found in the order of `lookups`; meters stand for themselves
    alone."""

    def __init__(self, versions: Iterable[TermsVersion], on: date) -> None:
        self._at: dict[PriceKey, TermsVersion] = {}
        for version in sorted(versions, key=lambda v: v.valid_from):
            if version.valid_from <= on:
                self._at[version.key] = version

    def find(self, meter: str, model: str, currency: str, scope: str) -> TermsVersion | None:
        """What counts for usage of `scope`, or None."""
        for key in lookups(meter, model, currency, scope):
            found = self._at.get(key) if key.meter == meter else None
            if found is not None and not found.withdrawn:
                return found
        return None

    def in_force(self) -> list[TermsVersion]:
        """All of them, by meter, model, currency and scope."""
        return [self._at[key] for key in sorted(self._at) if not self._at[key].withdrawn]


def adjustments(book: TermsBook, account: str, currency: str, totals: Iterable[Total]) -> list[Adjustment]:
    """The lines that a period of `account` needs, by meter, model and scope.

    Terms add up what is used at and below their own scope, the operator's what an account uses; `*` adds up all models
    that have no terms of their own. Usage with nearer terms counts there alone. A minimum is due without usage too.
    """
    sums = {_pool(each, account): (each, 0, 0) for each in book.in_force() if _is_own(book, each, account)}
    for total in totals:
        found = book.find(total.meter, total.model, currency, total.scope)
        if found is not None:
            pool = _pool(found, account)
            _, quantity, base = sums.get(pool, (found, 0, 0))
            sums[pool] = (found, quantity + total.quantity, base + total.base_nano)
    return [
        Adjustment(pool.scope, pool.meter, pool.model, step.description, quantity, step.amount_nano, version.id)
        for pool, (version, quantity, base) in sorted(sums.items())
        for step in adjust(version.terms, quantity, base)
        if pool.currency == currency
    ]


def _pool(version: TermsVersion, account: str) -> PriceKey:
    return version.key._replace(scope=version.key.scope or account)


def _is_own(book: TermsBook, version: TermsVersion, account: str) -> bool:
    """Whether `version` is what counts where its quantities are added up, and not terms that are nearer."""
    pool = _pool(version, account)
    return covers(account, pool.scope) and book.find(*pool) is version


def terms_to_json(terms: PriceTerms) -> dict[str, Any]:
    """What is set, in a form that JSON can hold exactly."""
    kept: dict[str, Any] = {
        "included": terms.included,
        "tiers": [{"up_to": tier.up_to, "unit_price": format(tier.unit_price, "f")} for tier in terms.tiers],
        "mode": str(terms.mode) if terms.tiers else "",
        "package": terms.package and {"size": terms.package.size, "price": format(terms.package.price, "f")},
        "discount": terms.discount and format(terms.discount, "f"),
        "minimum": terms.minimum and format(terms.minimum, "f"),
    }
    return {name: value for name, value in kept.items() if value}


def terms_of_json(kept: Mapping[str, Any]) -> PriceTerms:
    """The way back."""
    package = kept.get("package")
    return PriceTerms(
        included=int(kept.get("included", 0)),
        tiers=tuple(Tier(tier["up_to"], Decimal(tier["unit_price"])) for tier in kept.get("tiers", ())),
        mode=TierMode(kept.get("mode", TierMode.GRADUATED)),
        package=Package(int(package["size"]), Decimal(package["price"])) if package else None,
        discount=Decimal(kept.get("discount", "0")),
        minimum=Decimal(kept.get("minimum", "0")),
    )
