"""Accounts, platforms and tenants, and the rules of a platform's life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import Field

from ironworks.shared.errors import Conflict, Invalid
from ironworks.shared.kind import ACCOUNT as ACCOUNT_LEVEL
from ironworks.shared.kind import OPERATOR, Kind, Resource, Spec, Status
from ironworks.shared.kind import PLATFORM as PLATFORM_LEVEL
from ironworks.shared.kind import TENANT as TENANT_LEVEL

Phase: TypeAlias = Literal[
    "pending", "provisioning", "active", "suspended", "pending_cancellation", "cancelled", "deleted"
]
Action: TypeAlias = Literal["suspend", "resume", "cancel"]

Email: TypeAlias = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s<>\"',;:\\]+@[^@\s<>\"',;:\\]+$")]


class AccountSpec(Spec):
    """A customer."""

    contact_email: Email | None = Field(None, description="Where bills and notices go.")


class NodeStatus(Status):
    """An account's or a tenant's; `phase` is a word of the lifecycle."""

    phase: str = "pending"


class PlatformSpec(Spec):
    """One product environment of an account."""

    description: str = Field("", max_length=500, description="What it is for.")


class PlatformStatus(Status):
    """`id` names the platform in other systems: 10 characters of a-z and 0-9, never changed, never used again."""

    phase: str = "pending"
    id: str | None = None
    cause: str = Field("", description="Why it was suspended or cancelled.")
    ends_at: datetime | None = Field(None, description="When a pending cancellation takes effect.")


class TenantSpec(Spec):
    """The unit of isolation inside a platform; tenants nest."""

    description: str = Field("", max_length=500, description="What it is for.")


ACCOUNT = Kind(
    "Account",
    plural="accounts",
    short="acc",
    schema="platform_tenancy",
    levels=(OPERATOR,),
    spec=AccountSpec,
    status=NodeStatus,
    node=True,
    columns=("spec.contact_email",),
    phases=("pending", "active"),
    description="A customer: holds the subscription and pays.",
)
PLATFORM = Kind(
    "Platform",
    plural="platforms",
    short="pf",
    schema="platform_tenancy",
    levels=(ACCOUNT_LEVEL,),
    spec=PlatformSpec,
    status=PlatformStatus,
    node=True,
    columns=("status.id",),
    phases=("pending", "provisioning", "active", "suspended", "pending_cancellation", "cancelled"),
    description="One product environment of an account.",
)
TENANT = Kind(
    "Tenant",
    plural="tenants",
    short="tn",
    schema="platform_tenancy",
    levels=(PLATFORM_LEVEL, TENANT_LEVEL),
    spec=TenantSpec,
    status=NodeStatus,
    node=True,
    phases=("pending", "active"),
    description="The unit of isolation; tenants nest, at most 8 levels deep in all.",
)
Account: TypeAlias = Resource[AccountSpec, NodeStatus]
Platform: TypeAlias = Resource[PlatformSpec, PlatformStatus]
Tenant: TypeAlias = Resource[TenantSpec, NodeStatus]

TRANSITIONS: Final[dict[Phase, frozenset[Phase]]] = {
    "pending": frozenset({"provisioning", "deleted"}),
    "provisioning": frozenset({"active"}),
    "active": frozenset({"suspended", "pending_cancellation"}),
    "suspended": frozenset({"active", "pending_cancellation"}),
    "pending_cancellation": frozenset({"cancelled"}),
    "cancelled": frozenset({"deleted"}),
    "deleted": frozenset(),
}
"""Where a platform may go from each phase. The database asks for the same before a deletion."""

GOAL: Final[dict[Action, Phase]] = {"suspend": "suspended", "resume": "active", "cancel": "pending_cancellation"}

SUSPEND, RESUME, CANCEL = "platform:suspend", "platform:resume", "platform:cancel"

NOTICE: Final = timedelta(days=30)
"""How long a cancelled platform goes on working, unless the caller names another time."""
LONGEST_NOTICE: Final = timedelta(days=366)


class WrongPhase(Conflict):
    """The platform's phase does not allow the step."""

    code = "WRONG_PHASE"


@dataclass(frozen=True, slots=True)
class Node:
    """A row of the register of paths: the truth about a node's phase."""

    path: str
    uid: UUID
    kind: str
    phase: Phase
    external_id: str | None
    reason: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """A scope as people choose one. `kind`: Account, Platform or Tenant."""

    path: str
    kind: str
    display_name: str | None
    phase: Phase


def check_transition(path: str, now: Phase, then: Phase) -> None:
    """Raises WrongPhase unless a platform may go from `now` to `then`."""
    if then not in TRANSITIONS[now]:
        allowed = ", ".join(sorted(TRANSITIONS[now])) or "nothing"
        raise WrongPhase(f"platform {path} is {now}: it cannot become {then}, only {allowed}", phase=now, wanted=then)


def notice_ends(now: datetime, wanted: datetime | None) -> datetime:
    """When a cancellation asked for at `now` takes effect. Raises Invalid for a time too far off."""
    if wanted is None:
        return now + NOTICE
    if wanted > now + LONGEST_NOTICE:
        raise Invalid("ends_at: at most a year ahead", fields=[{"field": "ends_at", "problem": "is over a year ahead"}])
    return max(wanted, now)
