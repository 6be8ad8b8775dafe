"""What pricing publishes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class PriceCreated(Event):
    """A price version begins at `valid_from`; `unit_price` is an exact decimal for one unit of the meter.

    It holds at and below the path `scope`; `withdrawn`: from then on there is none, and `unit_price` means nothing.
    """

    type: ClassVar[str] = "platform.pricing.price_created.v1"
    governed: ClassVar[bool] = True
    price_id: UUID
    meter: str
    model: str
    currency: str
    unit_price: str
    valid_from: datetime
    scope: str = ""
    withdrawn: bool = False


class TermsCreated(Event):
    """Terms for the periods that begin on the UTC day `valid_from` or later; `withdrawn`: none from then on."""

    type: ClassVar[str] = "platform.pricing.terms_created.v1"
    governed: ClassVar[bool] = True
    terms_id: UUID
    meter: str
    model: str
    currency: str
    scope: str
    terms: dict[str, Any]
    valid_from: date
    withdrawn: bool


class CurrencySet(Event):
    """What is used at and below `account` is rated in `currency` from `valid_from` on."""

    type: ClassVar[str] = "platform.pricing.currency_set.v1"
    governed: ClassVar[bool] = True
    account: str
    currency: str
    valid_from: datetime
