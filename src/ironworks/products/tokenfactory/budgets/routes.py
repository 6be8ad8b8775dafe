"""Leases and burn-down over HTTP. Everything else about budgets is what every kind has."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.products.tokenfactory.budgets import service
from ironworks.products.tokenfactory.budgets.declarations import RELEASE_LOST
from ironworks.products.tokenfactory.budgets.forecasting import CONFIDENCE, Basis, Forecast
from ironworks.products.tokenfactory.budgets.model import Lease, LeaseState, Period, show_amount
from ironworks.products.tokenfactory.budgets.service import BurnDown
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Router
from ironworks.shared.listing import PageQuery, decode_cursor, encode_cursor
from ironworks.shared.path import show_path
from ironworks.shared.shapes import Shape

router = Router("tokenfactory.budgets")


class LeasesQuery(PageQuery):
    state: LeaseState | None = Field(None, description="Only leases in this state.")


class LeaseView(Shape):
    """A gateway process's part of a budget. Amounts are exact decimals of the budget's currency."""

    id: int
    period_start: datetime
    holder: str = Field(description="The process, by the name of its spool directory.")
    host: str
    epoch: int
    granted: str
    used: str = Field(description="What of it is charged by now.")
    state: LeaseState
    granted_at: datetime
    expires_at: datetime = Field(description="Nothing new is reserved after it; its money goes back when it is closed.")
    closed_at: datetime | None

    @classmethod
    def of(cls, lease: Lease) -> LeaseView:
        return cls.show(lease, granted=show_amount(lease.granted_nano), used=show_amount(lease.used_nano))


class BurnDownQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    at: AwareDatetime | None = Field(None, description="A moment of the period that is meant; default: now.")


class SpentView(BaseModel):
    at: datetime
    spent: str = Field(description="In the period, by then.")


class ThresholdView(BaseModel):
    percent: int
    amount: str
    told_at: datetime | None = Field(description="Null while it is not reached.")


class ForecastView(BaseModel):
    """How the period goes on if it goes on as of late."""

    basis: Basis = Field(description="What the rate is taken from; `lifetime`: the budget is younger than 40 minutes.")
    blocks: int = Field(description="How many of them, the latest.")
    confidence: int = Field(description="Percent of the cases in which the end lies between `low` and `high`.")
    per_day: str = Field(description="The rate.")
    spent: str | None = Field(description="When the period ends; null where it never does.")
    low: str | None = Field(description="Null where there is too little to go by.")
    high: str | None
    runs_out_at: datetime | None = Field(description="Null where it lasts for the period, or is spent already.")
    runs_out_earliest: datetime | None
    runs_out_latest: datetime | None

    @classmethod
    def of(cls, found: Forecast) -> ForecastView:
        return cls(
            basis=found.basis,
            blocks=found.blocks,
            confidence=CONFIDENCE,
            per_day=show_amount(found.per_day),
            spent=_shown(found.end),
            low=_shown(found.low),
            high=_shown(found.high),
            runs_out_at=found.runs_out_at,
            runs_out_earliest=found.earliest,
            runs_out_latest=found.latest,
        )


class BurnDownView(BaseModel):
    """One period of a budget. Amounts are exact decimals of its currency."""

    scope: str
    name: str
    currency: str
    amount: str = Field(description="As it is now.")
    period: Period
    period_start: datetime
    period_end: datetime | None = Field(description="Null for a total, which never ends.")
    counts_from: datetime = Field(description="The period's beginning, or when the budget was made.")
    as_of: datetime
    spent: str
    reserved: str = Field(description="Leased to gateway processes, held for requests or not.")
    unreserved: str = Field(description="Of `spent`, what nothing was reserved for.")
    points: list[SpentView] = Field(description="In even steps, at most 752.")
    thresholds: list[ThresholdView]
    forecast: ForecastView | None = Field(description="Null for a period that is over.")

    @classmethod
    def of(cls, found: BurnDown) -> BurnDownView:
        spec, standing = found.budget.spec, found.standing
        return cls(
            scope=show_path(found.budget.path),
            name=found.budget.metadata.name,
            currency=spec.currency,
            amount=spec.amount,
            period=spec.period,
            period_start=found.start,
            period_end=found.end,
            counts_from=found.begins,
            as_of=found.until,
            spent=show_amount(standing.spent_nano),
            reserved=show_amount(standing.leased_nano),
            unreserved=show_amount(standing.unreserved_nano),
            points=[SpentView(at=point.at, spent=show_amount(point.nano)) for point in found.points],
            thresholds=[
                ThresholdView(
                    percent=percent,
                    amount=show_amount(spec.amount_nano * percent // 100),
                    told_at=found.told.get(percent),
                )
                for percent in spec.thresholds
            ],
            forecast=ForecastView.of(found.forecast) if found.forecast else None,
        )


def _shown(nano: int | None) -> str | None:
    return None if nano is None else show_amount(nano)


class LeasesPage(BaseModel):
    items: list[LeaseView]
    next_cursor: str | None


class ReleaseLostRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    holder: str | None = Field(None, max_length=256, description="Only this holder's leases.")
    host: str | None = Field(None, max_length=256, description="Only leases of this host.")


class ReleasedView(BaseModel):
    holder: str
    host: str
    amount: str


class ReleaseLostView(BaseModel):
    released: list[ReleasedView]


def _read_cursor(cursor: str) -> int:
    """The id that a page ended with. Raises Invalid for anything that was not made here."""
    number = decode_cursor(cursor)[0]
    if not (number.isascii() and number.isdigit() and int(number) <= service.NEWEST):
        raise invalid("cursor", "is not one of this list's", "use the next_cursor of a page")
    return int(number)


@router.get("/api/v1/scopes/{path}/budgets/{name}/leases", permission="budget:read")
async def list_leases(ctx: Context, path: str, name: str, query: LeasesQuery) -> LeasesPage:
    """List which gateway processes hold how much of a budget."""
    before = _read_cursor(query.cursor) if query.cursor else service.NEWEST
    found = await service.list_leases(ctx, path, name, before, query.limit + 1, query.state)
    page = found[: query.limit]
    return LeasesPage(
        items=[LeaseView.of(lease) for lease in page],
        next_cursor=encode_cursor(str(page[-1].id), "") if len(found) > query.limit else None,
    )


@router.get("/api/v1/scopes/{path}/budgets/{name}/burn-down", permission="budget:read")
async def burn_down(ctx: Context, path: str, name: str, query: BurnDownQuery) -> BurnDownView:
    """Show what was spent by when in a period, what of its thresholds was told, and where it will end."""
    return BurnDownView.of(await service.burn_down(ctx, path, name, query.at))


@router.post("/api/v1/scopes/{path}/budgets/{name}:release-lost", permission=RELEASE_LOST)
async def release_lost(ctx: Context, path: str, name: str, body: ReleaseLostRequest) -> ReleaseLostView:
    """Declare a lost host's spool lost: what its frozen leases hold of the budget is free again."""
    freed = await service.release_lost(ctx, path, name, body.holder, body.host)
    return ReleaseLostView(
        released=[ReleasedView(holder=holder, host=host, amount=show_amount(nano)) for holder, host, nano in freed]
    )
