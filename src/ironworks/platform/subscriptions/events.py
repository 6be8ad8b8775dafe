"""What subscriptions tell the rest."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from ironworks.shared.context import Event


class _SubscriptionEvent(Event):
    governed: ClassVar[bool] = True
    subscription_id: UUID
    account: str


class SubscriptionStarted(_SubscriptionEvent):
    """An account subscribed; `trial_end` is the day of its first fee, where that is not the first day."""

    type: ClassVar[str] = "platform.subscriptions.subscription_started.v1"
    plan_id: UUID
    trial_end: date | None


class TrialEnded(_SubscriptionEvent):
    """The trial is over and the first fee is due."""

    type: ClassVar[str] = "platform.subscriptions.trial_ended.v1"
    plan_id: UUID


class PlanChanged(_SubscriptionEvent):
    """From `effective` on the account is on another plan."""

    type: ClassVar[str] = "platform.subscriptions.plan_changed.v1"
    previous_plan_id: UUID
    plan_id: UUID
    effective: date


class ChangeScheduled(_SubscriptionEvent):
    """At the period's end the account will be on another plan; None: it stays on its own after all."""

    type: ClassVar[str] = "platform.subscriptions.change_scheduled.v1"
    plan_id: UUID | None
    effective: date


class CancellationScheduled(_SubscriptionEvent):
    """It ends on `ends_on`; None: it goes on after all."""

    type: ClassVar[str] = "platform.subscriptions.cancellation_scheduled.v1"
    ends_on: date | None
    reason: str


class SubscriptionCanceled(_SubscriptionEvent):
    """It is over; from `ended_on` on the account pays by calendar month."""

    type: ClassVar[str] = "platform.subscriptions.subscription_canceled.v1"
    plan_id: UUID
    ended_on: date


class SubscriptionPastDue(_SubscriptionEvent):
    """A payment failed; unless it is made, the subscription ends after `grace_until`."""

    type: ClassVar[str] = "platform.subscriptions.subscription_past_due.v1"
    invoice_id: UUID
    grace_until: datetime


class SubscriptionRecovered(_SubscriptionEvent):
    """Everything is paid again."""

    type: ClassVar[str] = "platform.subscriptions.subscription_recovered.v1"


class UpgradeSuggested(_SubscriptionEvent):
    """Usage passed `percent` of what the plan includes; told once per period, meter and threshold."""

    type: ClassVar[str] = "platform.subscriptions.upgrade_suggested.v1"
    meter: str
    percent: int
    used: int
    included: int
    plan: str
