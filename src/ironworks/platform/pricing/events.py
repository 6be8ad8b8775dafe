"""What pricing publishes."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class PriceCreated(Event):
    """A price version begins at `valid_from`; `unit_price` is an exact decimal for one unit of the meter."""

    type: ClassVar[str] = "platform.pricing.price_created.v1"
    governed: ClassVar[bool] = True
    price_id: UUID
    meter: str
    model: str
    currency: str
    unit_price: str
    valid_from: datetime
