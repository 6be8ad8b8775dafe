"""What billing publishes."""

from __future__ import annotations

from typing import ClassVar

from ironworks.shared.context import Event


class UsageChargedLate(Event):
    """Quantities of these usage events waited for a price and were charged now; at most a thousand."""

    type: ClassVar[str] = "platform.billing.usage_charged_late.v1"
    governed: ClassVar[bool] = True
    usage_event_ids: list[str]
