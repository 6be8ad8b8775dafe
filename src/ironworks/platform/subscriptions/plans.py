"""The plans of a new installation, the prices beyond what they include, and what makes a plan one.

Base fees, platforms, tenants, features, invocations and rows of D1 are Neutrino's; the rest follows their proportions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Final

from ironworks.platform import policy
from ironworks.platform.subscriptions.model import (
    APP_RUNTIME_SECONDS,
    D1_ROWS_READ,
    D1_ROWS_WRITTEN,
    FEATURES,
    GPU_SECONDS,
    KV_READS,
    LIMITS,
    MAX_TRIAL_DAYS,
    PLATFORMS,
    R2_GIB_MONTHS,
    R2_OPERATIONS,
    TENANTS,
    WORKER_INVOCATIONS,
    Plan,
)
from ironworks.shared.errors import invalid

MAX_FEE_NANO: Final = 10**15
MAX_QUANTITY: Final = 10**15
MAX_LIMIT: Final = 10**12
MAX_UNIT_PRICE: Final = Decimal(10**6)
MAX_SCALE: Final = 18
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MILLION: Final = 10**6


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A version of a plan that is to be added; the fields are `Plan`'s."""

    title: str
    base_fee_nano: int
    currency: str = "USD"
    limits: Mapping[str, int | None] = field(default_factory=dict)
    included: Mapping[str, int] = field(default_factory=dict)
    overage: Mapping[str, Decimal] = field(default_factory=dict)
    trial_days: int = 0
    withdrawn: bool = False

    @classmethod
    def withdrawing(cls, plan: Plan) -> NewPlan:
        """The version after `plan`, by which it is offered no more."""
        return replace(cls(**{its.name: getattr(plan, its.name) for its in fields(cls)}), withdrawn=True)

    def is_like(self, plan: Plan) -> bool:
        """Whether a version says the same."""
        return all(getattr(self, its.name) == getattr(plan, its.name) for its in fields(self))


def _included(times: int) -> dict[str, int]:
    """What Starter includes, so many times."""
    return {
        WORKER_INVOCATIONS: 5 * _MILLION * times,
        D1_ROWS_READ: 25 * _MILLION * times,
        D1_ROWS_WRITTEN: 5 * _MILLION * times // 2,
        R2_GIB_MONTHS: 10 * times,
        R2_OPERATIONS: _MILLION * times,
        KV_READS: 10 * _MILLION * times,
    }


DEFAULT_PLANS: Final[Mapping[str, NewPlan]] = {
    "starter": NewPlan(
        "Starter", 49 * 10**9, limits={PLATFORMS: 1, TENANTS: 2, FEATURES: 3}, included=_included(1), trial_days=14
    ),
    "growth": NewPlan(
        "Growth", 199 * 10**9, limits={PLATFORMS: 3, TENANTS: 10, FEATURES: None}, included=_included(10), trial_days=14
    ),
    "scale": NewPlan("Scale", 799 * 10**9, limits=dict.fromkeys(LIMITS), included=_included(100)),
}

DEFAULT_PRICES: Final[Mapping[str, Decimal]] = {
    WORKER_INVOCATIONS: Decimal("0.0000005"),
    D1_ROWS_READ: Decimal("0.000000002"),
    D1_ROWS_WRITTEN: Decimal("0.0000015"),
    R2_GIB_MONTHS: Decimal("0.02"),
    R2_OPERATIONS: Decimal("0.000005"),
    KV_READS: Decimal("0.0000006"),
    GPU_SECONDS: Decimal("0.0007"),
    APP_RUNTIME_SECONDS: Decimal("0.000005"),
}
"""In USD for one unit, whatever the model, until the operator says otherwise: what is beyond a plan, or without one."""


def check_plan(name: str, plan: NewPlan) -> None:
    """Raises Invalid, naming the field, for a plan that could not be charged or enforced."""
    if not _NAME.fullmatch(name):
        raise invalid("name", f"{name[:80]!r} is no plan's name", "use 1 to 63 of a-z, 0-9 and '-'")
    if name == policy.CANCELED:
        raise invalid("name", f"{name!r} is what accounts are on whose subscription is over", "use another")
    if not 1 <= len(plan.title) <= 80:
        raise invalid("title", "is no title", "use 1 to 80 characters")
    if not 0 <= plan.base_fee_nano <= MAX_FEE_NANO:
        raise invalid("base_fee", "is no fee", "use 0 to 1,000,000")
    if not 0 <= plan.trial_days <= MAX_TRIAL_DAYS:
        raise invalid("trial_days", "is no number of days", f"use 0 to {MAX_TRIAL_DAYS}")
    for limit, number in plan.limits.items():
        if limit not in LIMITS:
            raise invalid(f"limits.{limit[:40]}", "is nothing that a plan limits", f"use {', '.join(LIMITS)}")
        if number is not None and not 0 <= number <= MAX_LIMIT:
            raise invalid(f"limits.{limit}", "is no number", f"use 0 to {MAX_LIMIT}, or null for no limit")
    for meter, quantity in plan.included.items():
        if not 0 < quantity <= MAX_QUANTITY:
            raise invalid(f"included.{meter[:40]}", "is no quantity", f"use 1 to {MAX_QUANTITY}")
    for meter, price in plan.overage.items():
        _check_price(f"overage.{meter[:40]}", price)
        if meter not in plan.included:
            raise invalid(
                f"overage.{meter[:40]}", "is of a meter that the plan does not include", "set its price instead"
            )


def _check_price(field_name: str, price: Decimal) -> None:
    exponent = price.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= price <= MAX_UNIT_PRICE or exponent < -MAX_SCALE:
        raise invalid(
            field_name, "is no price", f"use a decimal from 0 to {MAX_UNIT_PRICE}, at most {MAX_SCALE} places"
        )
