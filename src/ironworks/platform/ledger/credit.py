"""Prepaid credit: which grant pays first, what an expiry takes, and where an account stands. Pure rules.

Amounts are whole nano-units (10⁻⁹) of the currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from ironworks.shared.errors import Conflict

DEFAULT_PRIORITY: Final = 50
DEFAULT_GRACE: Final = timedelta(hours=24)
MAX_GRACE: Final = timedelta(days=31)
HELD_FOR: Final = timedelta(days=40)
"""An invoice comes at most a month after what it is for, and its close some days later."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class CreditSource(StrEnum):
    """Where credit comes from."""

    PAID = "paid"
    PROMOTION = "promotion"


class CreditState(StrEnum):
    """Where a prepaid account stands, worst last."""

    HEALTHY = "healthy"
    LOW_BALANCE = "low_balance"
    AUTO_RELEASE_PENDING = "auto_release_pending"
    DEPLETED = "depleted"


@dataclass(frozen=True, slots=True)
class CreditGrant:
    """Credit given to an account at once.

    Args:
        account: its path. remaining_nano: what was neither used nor expired.
        priority: 0 to 100; the lower is used first.
        expires_at: from then on it pays for nothing new; None: never.
        held: it expired, and what remains is kept for usage from before.
        reference: what it was given for; once per account.
    """

    id: UUID
    account: str
    currency: str
    amount_nano: int
    remaining_nano: int
    source: CreditSource
    priority: int
    expires_at: datetime | None
    reference: str
    note: str
    granted_by: str
    granted_at: datetime
    held: bool = False

    def is_usable(self, now: datetime) -> bool:
        """Whether it may pay at `now`."""
        return self.remaining_nano > 0 and (self.held or self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Draw:
    """So much from one grant; negative gives it back."""

    grant_id: UUID
    amount_nano: int


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """How an account pays beforehand.

    Args:
        low_nano: at this much, or less, its balance is low. grace: between nothing left and the release of what runs.
    """

    low_nano: int
    grace: timedelta = DEFAULT_GRACE


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of an account since when; `release_at` while a release is pending, or after it."""

    state: CreditState
    since: datetime
    release_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PrepaidAccount:
    """An account that pays beforehand."""

    account: str
    currency: str
    terms: CreditTerms
    standing: Standing


@dataclass(frozen=True, slots=True)
class CreditBalance:
    """What an account may still use.

    Args:
        credit_nano: what its usable grants hold. unbilled_nano: used and not invoiced. due_nano: invoiced and unpaid.
        prepaid: how it pays beforehand; None for an account that pays afterwards.
    """

    account: str
    currency: str
    credit_nano: int
    unbilled_nano: int
    due_nano: int
    prepaid: PrepaidAccount | None = None

    @property
    def available_nano(self) -> int:
        """Negative once more was used than was paid for."""
        return self.credit_nano - self.unbilled_nano - self.due_nano


class ReferenceUsed(Conflict):
    """Another grant has this reference."""

    code = "CREDIT_REFERENCE_USED"


class CreditUsedUp(Conflict):
    """A prepaid account has nothing left to use."""

    code = "CREDIT_USED_UP"


def in_order(grants: Iterable[CreditGrant]) -> list[CreditGrant]:
    """The order of use: priority, then what expires first, then gifts before what was paid for, then the oldest."""
    return sorted(
        grants,
        key=lambda g: (g.priority, g.expires_at or _NEVER, g.source is CreditSource.PAID, g.granted_at, g.id),
    )


def plan_use(grants: Iterable[CreditGrant], amount_nano: int, now: datetime) -> list[Draw]:
    """What to draw from which grant to use `amount_nano`, or as much of it as there is."""
    draws = []
    for grant in in_order(grant for grant in grants if grant.is_usable(now)):
        if amount_nano <= 0:
            break
        taken = min(amount_nano, grant.remaining_nano)
        draws.append(Draw(grant.id, taken))
        amount_nano -= taken
    return draws


def plan_holds(expired: Sequence[CreditGrant], held_nano: int, owed_nano: int) -> dict[UUID, int]:
    """How much of each grant that just expired is kept for what was used before.

    Args:
        held_nano: what is held of earlier ones. owed_nano: unbilled and due together.
    """
    open_nano = max(0, owed_nano - held_nano)
    holds = {}
    for grant in in_order(expired):
        holds[grant.id] = min(grant.remaining_nano, open_nano)
        open_nano -= holds[grant.id]
    return holds


def next_standing(current: Standing, terms: CreditTerms, available_nano: int, now: datetime) -> Standing:
    """Where an account with so much available stands now; `current` itself when nothing changes.

    A release that was begun is over only when there is credit again: owing nothing is not enough.
    """
    if available_nano > 0:
        state = CreditState.LOW_BALANCE if available_nano <= terms.low_nano else CreditState.HEALTHY
        return current if current.state is state else Standing(state, now)
    if current.release_at is None:
        return Standing(CreditState.AUTO_RELEASE_PENDING, now, now + terms.grace)
    if current.state is CreditState.AUTO_RELEASE_PENDING and now >= current.release_at:
        return Standing(CreditState.DEPLETED, now, current.release_at)
    return current
