"""Price versions and the lines that they make. Amounts are whole nano-units (10⁻⁹) of the currency."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple, Self, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field

from ironworks.platform import metering
from ironworks.shared.errors import Conflict, invalid
from ironworks.shared.path import OPERATOR, covers, parent

NANO: Final = 10**9
ANY_MODEL: Final = "*"
CURRENCY: Final = "USD"
"""In which usage is rated where the account has no other; budgets and the gateway's quotes know this one alone."""
CURRENCY_CODE: Final = re.compile("[A-Z]{3}")
MAX_LINE_NANO: Final = 10**14
"""100,000 units of currency for one quantity of one request: held for a person to look at, not charged."""
MAX_UNIT_PRICE: Final = Decimal(10**6)
MAX_SCALE: Final = 18
FALLBACKS: Final[Mapping[str, str]] = {
    metering.CACHED_INPUT_TOKENS: metering.INPUT_TOKENS,
    metering.INPUT_AUDIO_TOKENS: metering.INPUT_TOKENS,
    metering.REASONING_TOKENS: metering.OUTPUT_TOKENS,
    metering.OUTPUT_AUDIO_TOKENS: metering.OUTPUT_TOKENS,
}
"""A meter without a price of its own costs what the one it is a part of costs."""


class PriceKey(NamedTuple):
    """What a price is for. `model` is `*` for every model that has no price of its own; `scope` is the path of the
    scope at and below which it holds, empty for all."""

    meter: str
    model: str
    currency: str
    scope: str = OPERATOR


class BookCursor(NamedTuple):
    """Where a page of versions ended: the last one's key, and the moment or day from which it holds, as text."""

    meter: str
    model: str
    currency: str
    scope: str
    valid_from: str


@dataclass(frozen=True, slots=True)
class Price:
    """One version of a price.

    Args:
        unit_price: exact, in `currency` for one unit of the meter.
        valid_from, valid_to: [from, to); open while no later version of the same key exists.
        withdrawn: from then on the key has no price, and the next one in the order of `lookups` counts.
    """

    id: UUID
    key: PriceKey
    unit_price: Decimal
    valid_from: datetime
    valid_to: datetime | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class AccountCurrency:
    """From `valid_from` on, what is used at and below `account` is rated in `currency`."""

    account: str
    currency: str
    valid_from: datetime


BookRow: TypeAlias = Price | AccountCurrency
"""What decides an amount."""


class UnratedReason(StrEnum):
    """Why a quantity has no amount yet."""

    NO_PRICE = "no_price"
    OVER_LIMIT = "over_limit"


class Measured(NamedTuple):
    """One quantity of one usage event. `scope` is the path of the tenant that pays.

    `priced_at` is the moment whose prices count, where that is not when it occurred.
    """

    usage_event_id: str
    meter: str
    quantity: int
    model: str
    scope: str
    occurred_at: datetime
    priced_at: datetime | None = None


TransferOf: TypeAlias = tuple[str, str, date]
"""(scope, currency, day): the lines of one rating that share them are moved by one transfer."""


class RatedLine(NamedTuple):
    """quantity × price version = amount, rounded once.

    Args:
        day: the one in UTC on which it was used. model: what was used; None in lines of a release that kept none.
        transfer_id: the transfer that moved it.
    """

    usage_event_id: str
    meter: str
    quantity: int
    price_id: UUID
    unit_price: Decimal
    amount_nano: int
    currency: str
    scope: str
    day: date
    model: str | None = None
    transfer_id: UUID | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """Meters and the price version that each has, in one order. Events that are priced alike share it."""

    meters: tuple[str, ...]
    prices: tuple[Price, ...]


class RatedEvent(NamedTuple):
    """Lines of one usage event which one transfer moves, or which cost nothing: a quantity and an amount for each meter
    of `tariff`. Otherwise as RatedLine."""

    usage_event_id: str
    tariff: Tariff
    quantities: Sequence[int]
    amounts_nano: Sequence[int]
    currency: str
    scope: str
    day: date
    model: str

    def lines(self) -> Iterator[RatedLine]:
        """One by one."""
        columns = self.tariff.meters, self.tariff.prices, self.quantities, self.amounts_nano
        for meter, price, quantity, nano in zip(*columns, strict=True):
            yield RatedLine(self.usage_event_id, meter, quantity, price.id, price.unit_price, nano, *self[4:])


@dataclass(frozen=True, slots=True)
class LineGroup:
    """Rated lines of one tenant, meter, model and unit price, added up."""

    scope: str
    meter: str
    model: str
    unit_price: Decimal
    currency: str
    quantity: int
    amount_nano: int


@dataclass(frozen=True, slots=True)
class UnratedLine:
    """A quantity that waits: for a price, or for a person."""

    measured: Measured
    reason: UnratedReason


@dataclass(frozen=True, slots=True)
class Rating:
    """What rating a batch gave; where an event has lines that cost something and others that cost nothing, it is there
    twice, one after the other."""

    events: Sequence[RatedEvent]
    unrated: Sequence[UnratedLine]

    @property
    def lines(self) -> list[RatedLine]:
        """One by one."""
        return [line for event in self.events for line in event.lines()]


class CurrencyOfPlan(Conflict):
    """An account's currency does not change while it is on a plan, which is in that currency."""

    code = "CURRENCY_OF_PLAN"


class PriceInUse(Conflict):
    """A version may not begin in a past that another version prices."""

    code = "PRICE_IN_USE"


def chain_of(scope: str) -> list[str]:
    """`scope` and every one above it, the nearest first, the operator's last."""
    chain = [scope]
    while chain[-1]:
        chain.append(parent(chain[-1]))
    return chain


def lookups(meter: str, model: str, currency: str, scope: str = OPERATOR) -> list[PriceKey]:
    """Where the price of a quantity is looked for: the nearest scope's before that of one above it; at each the model's
    own before that of `*`; for each the meter's own before that of the meter it is a part of."""
    meters = [meter, FALLBACKS[meter]] if meter in FALLBACKS else [meter]
    models = dict.fromkeys((model, ANY_MODEL))
    return [PriceKey(name, of, currency, at) for at in chain_of(scope) for of in models for name in meters]


def goes_before(key: PriceKey, other: PriceKey) -> bool:
    """Whether some quantity has both in its lookups and `key` first: what it would take the place of."""
    if key.currency != other.currency or not covers(other.scope, key.scope):
        return False
    if ANY_MODEL not in (key.model, other.model) and key.model != other.model:
        return False
    whole, others = FALLBACKS.get(key.meter), FALLBACKS.get(other.meter)
    if other.meter not in (key.meter, whole) and others != key.meter:
        return False
    if key.scope != other.scope:
        return True
    return key.model != ANY_MODEL if key.model != other.model else other.meter == whole


def check_start(book: Sequence[Price], key: PriceKey, valid_from: datetime, now: datetime) -> None:
    """Raises PriceInUse unless a new version of `key` may begin at `valid_from`.

    From now on it always may: it closes the version before. In the past it may only where usage had no price, which
    is how waiting lines get one; anything else would give two prices to the same moment. `book` holds at least every
    version of `key` and of what it goes before.
    """
    own = [p.valid_from for p in book if p.key == key]
    if valid_from in own:
        raise PriceInUse(f"a version of this price begins at {valid_from.isoformat()} already; choose another time")
    if valid_from >= now:
        return
    ends = min((start for start in own if start > valid_from), default=now)
    if any(p.key == key or goes_before(key, p.key) for p in book if _prices_within(p, book, valid_from, ends)):
        raise PriceInUse("usage since then has a price already; let the new version begin now or later")


def _prices_within(price: Price, book: Sequence[Price], start: datetime, end: datetime) -> bool:
    """Whether `price` is in force at some moment of [start, end)."""
    later = [p.valid_from for p in book if p.key == price.key and p.valid_from > price.valid_from]
    return not price.withdrawn and price.valid_from < end and (not later or min(later) > start)


def check_decimal(field: str, number: Decimal, most: Decimal) -> None:
    """Raises Invalid, naming `field`, unless `number` is 0 to `most` with at most MAX_SCALE decimal places."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= number <= most or exponent < -MAX_SCALE:
        raise invalid(field, "is no price", f"use a decimal from 0 to {most}, at most {MAX_SCALE} places")


class ExactAmount(BaseModel):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""

    currency: str
    nano: int = Field(description="Whole nano-units (10⁻⁹) of the currency.")
    amount: str

    @classmethod
    def of(cls, currency: str, nano: int) -> Self:
        return cls(currency=currency, nano=nano, amount=show_nano(nano))


def show_nano(amount_nano: int) -> str:
    """Nano-units as an exact decimal of the currency, for people: 1200 → `0.000001200`."""
    sign, whole = ("-", -amount_nano) if amount_nano < 0 else ("", amount_nano)
    return f"{sign}{whole // NANO}.{whole % NANO:09}"
