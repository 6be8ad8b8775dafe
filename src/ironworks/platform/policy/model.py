"""Quotas: how many of a kind an account or a platform may have, and what a refusal says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from ironworks.shared import path as paths
from ironworks.shared.errors import QuotaExceeded, invalid

READ, OVERRIDE = "quota:read", "quota:override"
CANCELED: Final = "canceled"
"""The plan's name in the quotas of an account whose subscription is over: what there is stays, nothing is added."""
MAX_LIMIT: Final = 10**12
MAX_QUOTAS: Final = 100
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

Quotas: TypeAlias = Mapping[str, int | None]
"""Limits by the quota's name; None is without a limit."""


@dataclass(frozen=True, slots=True)
class EffectiveQuota:
    """The limit that counts in a scope.

    Args:
        name: the quota's (`platforms`). scope: the path of the account or platform whose limit it is.
        limit: None is without a limit. used: None for what this installation does not count.
        plan: the account's, also where an override stands before it; None without one.
        overridden: the operator's word for that scope counts, until `expires_at` (None: for ever), because of `reason`.
            Where there is neither that nor a plan, his word for every account does.
    """

    name: str
    scope: str
    limit: int | None
    used: int | None
    plan: str | None
    overridden: bool
    expires_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """What the operator allows in an account or platform instead of what counts there else; at his own scope what every
    account may have of which nothing else is said."""

    scope: str
    quota: str
    limit: int | None
    expires_at: datetime | None
    reason: str


def check_plan(account: str, quotas: Quotas, plan: str) -> None:
    """Raises Invalid unless `quotas` can be a plan's for the account of that path."""
    if paths.level(paths.parse_path(account, "account")) != 1:
        raise invalid("account", f"{account[:80]!r} is no account's path", "name one like 'acme'")
    if not 1 <= len(plan) <= 63:
        raise invalid("plan", "is no plan's name", "use 1 to 63 characters")
    if len(quotas) > MAX_QUOTAS:
        raise invalid("quotas", f"are more than {MAX_QUOTAS}", "leave out what has no limit")
    for name, limit in quotas.items():
        if not _NAME.fullmatch(name) or len(name) > 63:
            raise invalid(f"quotas.{name[:63]}", "is no quota's name", "use words of a-z and 0-9, joined by '_'")
        check_limit(limit, f"quotas.{name}")


def check_limit(limit: int | None, field: str = "limit") -> None:
    """Raises Invalid unless `limit` is 0 to a million million, or None."""
    if limit is not None and not (type(limit) is int and 0 <= limit <= MAX_LIMIT):
        raise invalid(field, f"is {limit!r}", f"use a whole number from 0 to {MAX_LIMIT}, or null for no limit")


def check_place(scope: str, quota: str, levels: list[str]) -> None:
    """Raises Invalid unless an override of `quota`, whose kind lives at `levels`, means something at `scope`."""
    if paths.level(scope) > 2:
        raise invalid("scope", f"{paths.show_path(scope)!r} has no quotas", "name an account or a platform")
    if paths.level(scope) == 2 and not {"platform", "tenant"} & set(levels):
        raise invalid("scope", f"no {quota} live in a platform", "name the account")


def quota_exceeded(quota: str, scope: str, limit: int, used: int, plan: str | None, overridden: bool) -> QuotaExceeded:
    """The refusal, with what would help."""
    counted = f"plan {plan!r}" if plan and not overridden else "the operator's limit"
    remedy = "delete one" + (", or change to a plan that allows more" if plan and not overridden else "")
    remedy += "" if plan and not overridden else ", or ask the operator for more"
    return QuotaExceeded(
        f"{scope!r} may have {limit} {quota.replace('_', ' ')} by {counted} and has {used}: {remedy}",
        quota=quota, scope=scope, limit=limit, used=used, plan=plan, overridden=overridden, remedy=remedy,
    )  # fmt: skip
