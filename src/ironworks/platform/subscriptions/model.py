"""Plans, subscriptions and what they charge. Amounts are whole nano-units (10⁻⁹) of the currency, days are UTC's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from ironworks.platform.subscriptions.days import next_boundary
from ironworks.shared.errors import Conflict, NotFound

PLATFORMS: Final = "platforms"
TENANTS: Final = "tenants"
FEATURES: Final = "features"
LIMITS: Final = (PLATFORMS, TENANTS, FEATURES)
"""What a plan may limit; None is unlimited."""

WORKER_INVOCATIONS: Final = "worker_invocations"
D1_ROWS_READ: Final = "d1_rows_read"
D1_ROWS_WRITTEN: Final = "d1_rows_written"
R2_GIB_MONTHS: Final = "r2_gib_months"
R2_OPERATIONS: Final = "r2_operations"
KV_READS: Final = "kv_reads"
GPU_SECONDS: Final = "gpu_seconds"
APP_RUNTIME_SECONDS: Final = "app_runtime_seconds"

GRACE: Final = timedelta(days=14)
"""How long a subscription goes on after a payment failed."""
LATE: Final = timedelta(days=62)
"""How long after its end a period's included usage is looked at again, for usage that came late."""
THRESHOLDS: Final = (80, 100)
"""Percent of an included quantity at which a larger plan is suggested."""
MAX_TRIAL_DAYS: Final = 366
MAX_CHANGES: Final = 20
"""How often a plan is changed at once on one day: each one makes charges that a close has to take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a plan; it never changes, a later one takes its place for who subscribes then.

    Args:
        base_fee_nano: for a whole period, in advance.
        limits: of `LIMITS` → the most of them an account may have; None, or absent, is unlimited.
        included: meter → units that a period's fee pays for, over the whole account.
        overage: meter → exact price of a unit beyond them; where a meter is absent the price book's counts.
        withdrawn: with this version the plan is offered no more, until a later one offers it again.
        created_at: None while it is not kept.
    """

    id: UUID
    name: str
    version: int
    title: str
    currency: str
    base_fee_nano: int
    limits: Mapping[str, int | None]
    included: Mapping[str, int]
    overage: Mapping[str, Decimal]
    trial_days: int
    withdrawn: bool = False
    created_at: datetime | None = None


class Status(StrEnum):
    """Where a subscription stands."""

    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


class When(StrEnum):
    """From when a change counts."""

    NOW = "now"
    PERIOD_END = "period_end"


@dataclass(frozen=True, slots=True)
class Span:
    """From this day on the account was on this plan; of two with one day the later counts."""

    from_day: date
    plan_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An account's plan over time.

    Args:
        account: its path.
        anchor_day: 1 to 31: the day of the month on which its periods begin.
        period_start, period_end: the current period, [start, end).
        trial_end: the day on which the trial ends and the first fee is due: the first day of all where a plan without
            one was chosen on it; None where there was none.
        next_plan_id: takes its place at the period's end.
        ends_on: the first day on which it is no more; None while no end is known.
        unpaid: invoices whose payment failed; it is past due while there are any. One that ended keeps them.
        grace_until: until then it goes on although it is past due.
        closed_to: its periods are closed up to this day. opened: so is what the account used before its first one, with
            what is due in advance on that day.
    """

    id: UUID
    account: str
    plan_id: UUID
    currency: str
    status: Status
    anchor_day: int
    started_on: date
    period_start: date
    period_end: date
    closed_to: date
    opened: bool
    trial_end: date | None = None
    next_plan_id: UUID | None = None
    ends_on: date | None = None
    unpaid: frozenset[UUID] = frozenset()
    grace_until: datetime | None = None
    spans: tuple[Span, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it is not over."""
        return self.status is not Status.CANCELED

    @property
    def in_trial(self) -> bool:
        """Whether the current period is the trial, for which no fee is due."""
        return self.trial_end is not None and self.period_start < self.trial_end

    @property
    def closes_on(self) -> date | None:
        """The day on which the earliest period that is not closed ends; None when all are and no more will come."""
        if not self.opened:
            return self.started_on
        if self.ends_on is not None and self.closed_to >= self.ends_on:
            return None
        natural = self.natural_end(self.closed_to)
        return min(natural, self.ends_on) if self.ends_on else natural

    def natural_end(self, start: date) -> date:
        """Where the period that begins at `start` ends, if nobody ends it before."""
        if self.trial_end is not None and start < self.trial_end:
            return self.trial_end
        return next_boundary(self.anchor_day, start)


class ChargeKind(StrEnum):
    """What a charge is. The first two are fees, the last adjusts usage that was rated at base price."""

    FEE = "fee"
    PRORATION = "proration"
    INCLUDED = "included"


@dataclass(frozen=True, slots=True)
class Charge:
    """What a plan adds to an account's bill, or takes from it.

    Args:
        scope: the account's path.
        quantity, unit: 1 `month` of a fee, `day`s of a proration, units of a meter that are included.
        amount_nano: in the subscription's currency; negative takes away, never 0.
        reference: unique for ever: post a charge once by it.
    """

    scope: str
    kind: ChargeKind
    description: str
    quantity: int
    unit: str
    amount_nano: int
    reference: str


@dataclass(frozen=True, slots=True)
class NewCharge:
    """A charge and when it is due.

    Args:
        due_on: the close that ends on this day, or the first after it, takes it.
        meter, period_start: which usage of which period it adjusts.
    """

    charge: Charge
    due_on: date
    meter: str | None = None
    period_start: date | None = None


@dataclass(frozen=True, slots=True)
class ListedCharge:
    """A charge as it is kept; `billed_on` is the end of the period whose close took it."""

    charge: Charge
    currency: str
    due_on: date
    billed_on: date | None


@dataclass(frozen=True, slots=True)
class DuePeriod:
    """A period [start, end) of a subscription that is over and not closed.

    The first ends on the day on which the subscription begins: it takes what the account used before, since the month
    began (on the first of a month nothing: `start == end`), and its charges are the first fee, in advance (none in a
    trial). Periods of one subscription come in order, without gaps, each `end` once; the last one ends where the
    subscription does.
    """

    subscription_id: UUID
    account: str
    currency: str
    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A plan that would fit better, because usage passed `percent` of what is included."""

    subscription_id: UUID
    account: str
    period_start: date
    meter: str
    percent: int
    used: int
    included: int
    plan: str
    suggested_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change of plan would do: exactly what the change itself does on the same day.

    Args:
        charges: prorations, or the fee where the change ends a trial; on the next invoice. due_nano: their sum.
        next_fee_nano: the fee that is due at `period_end`, where the period ends that is current after the change.
    """

    plan: Plan
    when: When
    effective: date
    charges: tuple[Charge, ...]
    next_fee_nano: int
    period_end: date

    @property
    def due_nano(self) -> int:
        return sum(charge.amount_nano for charge in self.charges)


@dataclass(frozen=True, slots=True)
class MeterUse:
    """How much of a period's included quantity is used; `remaining` is never negative."""

    meter: str
    used: int
    included: int

    @property
    def remaining(self) -> int:
        return max(0, self.included - self.used)


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription with its plans and what it used in its current period."""

    subscription: Subscription
    plan: Plan
    next_plan: Plan | None
    usage: tuple[MeterUse, ...] = field(default=())


class NoSubscription(NotFound):
    """The account has none: it pays for what it uses, by calendar month."""

    code = "NO_SUBSCRIPTION"


class AlreadySubscribed(Conflict):
    """An account has one subscription at a time."""

    code = "ALREADY_SUBSCRIBED"


class AlreadyOnPlan(Conflict):
    """There is nothing to change."""

    code = "ALREADY_ON_PLAN"


class SubscriptionEnding(Conflict):
    """It is to end: resume it first."""

    code = "SUBSCRIPTION_ENDING"


class PlanWithdrawn(Conflict):
    """It is offered no more; who is on it stays on it."""

    code = "PLAN_WITHDRAWN"


class PaymentOverdue(Conflict):
    """Invoices of the subscription were not paid within the time of grace, or before it ended: pay them first."""

    code = "PAYMENT_OVERDUE"


class PlanTooSmall(Conflict):
    """There is more than the plan allows: it may come at the period's end, which is paid for, but not at once."""

    code = "PLAN_TOO_SMALL"


class TooManyChanges(Conflict):
    """A plan is changed at once some times a day, not without end."""

    code = "TOO_MANY_CHANGES"


class PreviewStale(Conflict):
    """The change would cost something else than what was expected."""

    code = "PREVIEW_STALE"
