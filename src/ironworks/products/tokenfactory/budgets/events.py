"""What budgets publish."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class ThresholdReached(Event):
    """Spending reached `percent` of the amount, for the first time in the period that begins at `period_start`."""

    type: ClassVar[str] = "tokenfactory.budgets.threshold_reached.v1"
    governed: ClassVar[bool] = True
    budget: UUID
    name: str
    scope: str
    period_start: datetime
    percent: int
    currency: str
    amount_nano: int
    spent_nano: int
