"""Budgets: what they say, whom they apply to, calendar periods, and what a lease is between a process and Postgres.

Amounts are whole nano-units (10⁻⁹) of the currency. A budget counts what a request costs whoever shares it; all budgets
that match a request apply, so one set above cannot be weakened from below.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ironworks.shared.errors import NotFound
from ironworks.shared.kind import EVERYWHERE, Kind, Ref, Resource, Spec, Status
from ironworks.shared.path import covers

Period: TypeAlias = Literal["day", "week", "month", "total"]
Mode: TypeAlias = Literal["soft", "hard"]
OnFailure: TypeAlias = Literal["open", "closed"]
LeaseState: TypeAlias = Literal["open", "frozen", "closed", "declared_lost"]

NANO: Final = 10**9
MAX_AMOUNT: Final = Decimal(10**9)
ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Where the one period of a `total` budget begins."""
_REFERENCE: Final = Field(min_length=1, max_length=600)


class BudgetSpec(Spec):
    """How much may be spent in each period, and what happens at its end."""

    amount: str = Field(
        max_length=32,
        pattern=r"^[0-9]{1,10}(\.[0-9]{1,9})?$",
        json_schema_extra={"format": "money"},
        description="What may be spent in a period: a decimal with at most 9 places, for instance 250 or 0.5.",
    )
    currency: Literal["USD"] = "USD"
    period: Period = Field("month", description="By the UTC calendar; a week begins on Monday.")
    mode: Mode = Field("hard", description="hard refuses what would exceed the amount; soft only tells of thresholds.")
    on_failure: OnFailure = Field(
        "closed",
        description="When leased money is used up and the database cannot be asked: refuse, or serve without promise.",
    )
    thresholds: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        default_factory=lambda: [50, 80, 100],
        max_length=16,
        description="Percents of the amount that each tell once in a period, by an event.",
    )
    key: Annotated[str | None, Ref("ApiKey"), _REFERENCE] = Field(
        None, description="Only what this key spends; it must live at the budget's scope or below."
    )
    route: Annotated[str | None, Ref("Route"), _REFERENCE] = Field(
        None,
        description="Only calls of this route: by keys at the scope and below; by all, if the route lives there too.",
    )
    endpoint: Annotated[str | None, Ref("Endpoint"), _REFERENCE] = Field(
        None, description="As `route`, for an endpoint that is called by its own name."
    )

    @field_validator("amount")
    @classmethod
    def _is_payable(cls, value: str) -> str:
        if Decimal(value) > MAX_AMOUNT:
            raise ValueError(f"must be at most {MAX_AMOUNT}")
        return value

    @field_validator("thresholds")
    @classmethod
    def _sorted_once(cls, value: list[int]) -> list[int]:
        return sorted(set(value))

    @model_validator(mode="after")
    def _one_subject(self) -> BudgetSpec:
        if sum(each is not None for each in (self.key, self.route, self.endpoint)) > 1:
            raise ValueError("name one of key, route and endpoint, or none for everything at the scope and below")
        return self

    @property
    def amount_nano(self) -> int:
        return parse_amount(self.amount)


class FrozenLease(BaseModel):
    """Money of a process that is not heard of: not free until its spool is charged, or declared lost."""

    model_config = ConfigDict(extra="forbid")
    holder: str
    host: str
    amount: str
    since: datetime


class BudgetStatus(Status):
    """The period that is running. All amounts are exact decimals of the currency."""

    period_start: datetime | None = None
    period_end: datetime | None = None
    spent: str = "0"
    reserved: str = "0"
    remaining: str = "0"
    unreserved: str = "0"
    """Of `spent`, what was served without a reservation: soft, or open while the database could not be asked."""
    projected: str | None = None
    """What will be spent when the period ends, if it goes on as of late, to two digits; None for a total."""
    runs_out_at: datetime | None = None
    """When all will be spent, if it goes on as of late, to the ten minutes; None where it lasts for the period."""
    frozen_leases: list[FrozenLease] = Field(default_factory=list)


BUDGET = Kind(
    "Budget",
    plural="budgets",
    short="bud",
    schema="tokenfactory_budgets",
    levels=EVERYWHERE,
    spec=BudgetSpec,
    status=BudgetStatus,
    immutable=("key", "route", "endpoint"),
    columns=("spec.amount", "spec.period", "spec.mode", "status.spent", "status.reserved", "status.remaining"),
    phases=("Pending", "Ready", "Exhausted", "Failed", "Deleting"),
    description="How much may be spent at a scope and below, with a key, or on a route, in each period.",
)
Budget: TypeAlias = Resource[BudgetSpec, BudgetStatus]


def parse_amount(text: str) -> int:
    """A decimal of the currency in nano-units."""
    return int(Decimal(text) * NANO)


def show_amount(nano: int) -> str:
    """Nano-units as an exact decimal without needless zeros: 1_500_000_000 → `1.5`."""
    sign, whole = ("-", -nano) if nano < 0 else ("", nano)
    return f"{sign}{whole // NANO}.{whole % NANO:09}".rstrip("0").rstrip(".")


def period_of(period: Period, at: datetime) -> tuple[datetime, datetime | None]:
    """[start, end) of the period that `at` falls in, UTC; a total never ends."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return day, day + timedelta(days=1)
        case "week":
            start = day - timedelta(days=day.weekday())
            return start, start + timedelta(days=7)
        case "month":
            start = day.replace(day=1)
            return start, (start + timedelta(days=32)).replace(day=1)
        case "total":
            return ALWAYS, None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """A budget as the gateway knows it. `key` and `route` (a Route's or an endpoint's uid) are its subject, if any."""

    uid: UUID
    name: str
    scope: str
    amount_nano: int
    period: Period = "month"
    hard: bool = True
    closed: bool = True
    key: UUID | None = None
    route: UUID | None = None

    def applies(self, key_uid: UUID, key_scope: str, route_uid: UUID, route_scope: str) -> bool:
        """Whether a call of that route with that key counts; the same rule as in `settle_usage`'s SQL."""
        if self.key is not None:
            return self.key == key_uid
        if self.route is not None and self.route != route_uid:
            return False
        return covers(self.scope, key_scope) or (self.route is not None and covers(self.scope, route_scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a lease is to become. Everything is absolute or fenced by `epoch`, so that a lost answer does no harm.

    Args:
        holder: the process, by its spool directory. epoch: of the lease as the holder last heard, 0 for none.
        keep: what of the lease's money it cannot or will not give back; the rest is free for others at once.
        wanted: more than that, if it can be had. full, least: what the request that waits first needs of it, and with
            how little it can do; 0 where none waits.
        hold: what one request lately held at most, by which scarcity is judged.
        ttl: seconds for which it may be reserved from. close: nothing is in flight, give all back for good.
    """

    budget: UUID
    start: datetime
    holder: str
    host: str
    epoch: int = 0
    keep: int = 0
    wanted: int = 0
    full: int = 0
    least: int = 0
    hold: int = 0
    ttl: float = 60.0
    close: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What became of an Ask.

    Args:
        outcome: `granted`; `stale`: another epoch, told here, is the lease's, and nothing was done; `closed`: the lease
            is over; `gone`: the budget is; `clock`: the period is not the one that the database's clock says.
        granted: the lease's money in all. left: the budget's amount less what is spent.
        tight: money is short: hold no more than what requests need. poke: others should look now.
    """

    outcome: Literal["granted", "stale", "closed", "gone", "clock"]
    lease: str = ""
    epoch: int = 0
    granted: int = 0
    left: int = 0
    tight: bool = False
    poke: bool = False


class Lender(Protocol):
    """The ledger of leases, asked over the network; `app` puts the database behind it. Raises when it cannot say."""

    async def adjust(self, ask: Ask) -> Terms:
        """Change, renew, open or close one lease."""

    async def recalled(self, holder: str) -> Collection[tuple[UUID, datetime]]:
        """(budget, period start) of the holder's leases whose idle money others wait for."""

    async def close_leases(self, holder: str) -> None:
        """The holder is gone and all in its spool is charged: what is left of its leases is free."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One newly charged request: what it cost, and what budgets reserved for it.

    `admitted_at` (seconds since the epoch) decides the period where nothing was reserved.
    """

    key_uid: UUID
    key_scope: str
    route_uid: UUID
    admitted_at: float
    cost_nano: int
    leases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that a budget's spending reached, for the first time in its period."""

    budget: UUID
    name: str
    scope: str
    period_start: datetime
    percent: int
    amount_nano: int
    spent_nano: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A process's part of a budget in one period. `expires_at` ends reserving alone; its money is free when closed."""

    id: int
    period_start: datetime
    holder: str
    host: str
    epoch: int
    granted_nano: int
    used_nano: int
    state: LeaseState
    granted_at: datetime
    expires_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands in one period.

    Args:
        leased_nano: what open and frozen leases still hold.
        short_of: the least that a call could cost which was refused because less was left; None where none was.
    """

    spent_nano: int
    unreserved_nano: int
    leased_nano: int
    short_of: int | None
    frozen: tuple[Lease, ...]

    def is_used_up(self, amount_nano: int) -> bool:
        """Whether nothing is left, or less than a call needs."""
        return amount_nano - self.spent_nano < max(1, self.short_of or 0)


class NothingLost(NotFound):
    """There is no frozen lease to declare lost."""

    code = "NOTHING_LOST"
