"""What tenancy tells the rest about the life of accounts, platforms and tenants."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class _PlatformEvent(Event):
    platform: UUID
    path: str


class PlatformProvisioned(_PlatformEvent):
    """A platform became active for the first time."""

    type: ClassVar[str] = "platform.tenancy.platform_provisioned.v1"
    id: str


class PlatformSuspended(_PlatformEvent):
    """Its keys stop now; nothing of it is lost."""

    type: ClassVar[str] = "platform.tenancy.platform_suspended.v1"
    governed: ClassVar[bool] = True
    reason: str


class PlatformResumed(_PlatformEvent):
    """Its keys work again."""

    type: ClassVar[str] = "platform.tenancy.platform_resumed.v1"
    governed: ClassVar[bool] = True


class PlatformCancellationRequested(_PlatformEvent):
    """It goes on working until `ends_at`."""

    type: ClassVar[str] = "platform.tenancy.platform_cancellation_requested.v1"
    governed: ClassVar[bool] = True
    reason: str
    ends_at: datetime


class PlatformCancelled(_PlatformEvent):
    """It stopped for good; it may now be deleted."""

    type: ClassVar[str] = "platform.tenancy.platform_cancelled.v1"
    governed: ClassVar[bool] = True


class AccountActivated(Event):
    """A signed-up account's e-mail address was verified."""

    type: ClassVar[str] = "platform.tenancy.account_activated.v1"
    governed: ClassVar[bool] = True
    account: UUID
    path: str
