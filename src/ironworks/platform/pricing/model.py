"""Price versions and the lines that they make. Amounts are whole nano-units (10⁻⁹) of the currency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from ironworks.shared.errors import Conflict

NANO: Final = 10**9
ANY_MODEL: Final = "*"
CURRENCY: Final = "USD"
MAX_LINE_NANO: Final = 10**14
"""100,000 units of currency for one quantity of one request: held for a person to look at, not charged."""
MAX_UNIT_PRICE: Final = Decimal(10**6)
MAX_SCALE: Final = 18


class PriceKey(NamedTuple):
    """What a price is for. `model` is `*` for every model that has no price of its own."""

    meter: str
    model: str
    currency: str


@dataclass(frozen=True, slots=True)
class Price:
    """One version of a price.

    Args:
        unit_price: exact, in `currency` for one unit of the meter.
        valid_from, valid_to: [from, to); open while no later version of the same key exists.
    """

    id: UUID
    key: PriceKey
    unit_price: Decimal
    valid_from: datetime
    valid_to: datetime | None = None


class UnratedReason(StrEnum):
    """Why a quantity has no amount yet."""

    NO_PRICE = "no_price"
    OVER_LIMIT = "over_limit"


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity of one usage event: what gets rated. `scope` is the path of the tenant that pays."""

    usage_event_id: str
    meter: str
    quantity: int
    model: str
    scope: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class RatedLine:
    """quantity × price version = amount, rounded once. `transfer_id` is the transfer that moved it."""

    usage_event_id: str
    meter: str
    quantity: int
    price_id: UUID
    unit_price: Decimal
    amount_nano: int
    currency: str
    scope: str
    transfer_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class UnratedLine:
    """A quantity that waits: for a price, or for a person."""

    measured: Measured
    reason: UnratedReason


@dataclass(frozen=True, slots=True)
class Rating:
    """What rating a batch gave."""

    lines: Sequence[RatedLine]
    unrated: Sequence[UnratedLine]


class PriceInUse(Conflict):
    """A version may not begin in a past that another version prices."""

    code = "PRICE_IN_USE"


def check_start(book: Sequence[Price], key: PriceKey, valid_from: datetime, now: datetime) -> None:
    """Raises PriceInUse unless a new version of `key` may begin at `valid_from`.

    From now on it always may: it closes the version before. In the past it may only where usage had no price, which
    is how waiting lines get one; anything else would give two prices to the same moment.
    """
    own = [p.valid_from for p in book if p.key == key]
    if valid_from in own:
        raise PriceInUse(f"a version of this price begins at {valid_from.isoformat()} already; choose another time")
    if valid_from >= now:
        return
    ends = min((start for start in own if start > valid_from), default=now)
    others = [p.valid_from for p in book if p.key == key._replace(model=ANY_MODEL)]
    if any(start < valid_from for start in own) or any(start < ends for start in others):
        raise PriceInUse("usage since then has a price already; let the new version begin now or later")


def show_nano(amount_nano: int) -> str:
    """Nano-units as an exact decimal of the currency, for people: 1200 → `0.000001200`."""
    sign, whole = ("-", -amount_nano) if amount_nano < 0 else ("", amount_nano)
    return f"{sign}{whole // NANO}.{whole % NANO:09}"
