"""What the registry publishes: processes that hold entries in memory (the gateway its meters) drop them on it."""

from __future__ import annotations

from typing import ClassVar

from ironworks.shared.context import Event


class EntrySwitched(Event):
    """An operator disabled or enabled an entry."""

    type: ClassVar[str] = "platform.registry.entry_switched.v1"
    governed: ClassVar[bool] = True

    category: str
    name: str
    enabled: bool
    version: int
