"""Leases over HTTP. Everything else about budgets is what every kind has."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from ironworks.products.tokenfactory.budgets import service
from ironworks.products.tokenfactory.budgets.declarations import RELEASE_LOST
from ironworks.products.tokenfactory.budgets.model import Lease, LeaseState, show_amount
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor

router = Router("tokenfactory.budgets")


class LeasesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)
    state: LeaseState | None = Field(None, description="Only leases in this state.")


class LeaseView(BaseModel):
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
        return cls(
            id=lease.id,
            period_start=lease.period_start,
            holder=lease.holder,
            host=lease.host,
            epoch=lease.epoch,
            granted=show_amount(lease.granted_nano),
            used=show_amount(lease.used_nano),
            state=lease.state,
            granted_at=lease.granted_at,
            expires_at=lease.expires_at,
            closed_at=lease.closed_at,
        )


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


@router.post("/api/v1/scopes/{path}/budgets/{name}:release-lost", permission=RELEASE_LOST)
async def release_lost(ctx: Context, path: str, name: str, body: ReleaseLostRequest) -> ReleaseLostView:
    """Declare a lost host's spool lost: what its frozen leases hold of the budget is free again."""
    freed = await service.release_lost(ctx, path, name, body.holder, body.host)
    return ReleaseLostView(
        released=[ReleasedView(holder=holder, host=host, amount=show_amount(nano)) for holder, host, nano in freed]
    )
