"""Credit over HTTP: what an account has, what it was given, and the operator's hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform import pricing
from ironworks.platform.ledger import prepaid, service, standing
from ironworks.platform.ledger.credit import (
    DEFAULT_GRACE,
    DEFAULT_PRIORITY,
    MAX_GRACE,
    CreditBalance,
    CreditGrant,
    CreditSource,
    CreditState,
    CreditTerms,
    PrepaidAccount,
)
from ironworks.platform.ledger.declarations import POST
from ironworks.shared.context import Context
from ironworks.shared.http import Router
from ironworks.shared.listing import DEFAULT_PAGE, MAX_PAGE, decode_cursor, encode_cursor

router = Router("platform.ledger")

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0, le=9_000_000_000, decimal_places=9, description="Exact, up to 9 places.")]
_HOUR = timedelta(hours=1)


class CreditAmount(BaseModel):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""

    currency: str
    nano: int = Field(description="Whole nano-units (10⁻⁹) of the currency.")
    amount: str

    @classmethod
    def of(cls, currency: str, nano: int) -> CreditAmount:
        return cls(currency=currency, nano=nano, amount=pricing.show_nano(nano))


class NewCredit(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: Amount
    currency: Currency = pricing.CURRENCY
    source: CreditSource = Field(description="`paid` was paid for, `promotion` is a gift.")
    reference: str = Field(
        min_length=1, max_length=200, description="What it is given for. The same one again gives nothing more."
    )
    expires_at: Moment | None = Field(None, description="From then on it pays for nothing new; null: never.")
    priority: int = Field(DEFAULT_PRIORITY, ge=0, le=100, description="The lower is used first.")
    note: str = Field("", max_length=500)


class CreditGrantView(BaseModel):
    id: UUID
    account: str
    granted: CreditAmount
    remaining: CreditAmount
    source: CreditSource
    priority: int
    expires_at: datetime | None
    held: bool = Field(description="It expired; what remains is kept for what was used before.")
    reference: str
    note: str
    granted_by: str
    granted_at: datetime

    @classmethod
    def of(cls, grant: CreditGrant) -> CreditGrantView:
        return cls(
            id=grant.id,
            account=grant.account,
            granted=CreditAmount.of(grant.currency, grant.amount_nano),
            remaining=CreditAmount.of(grant.currency, grant.remaining_nano),
            source=grant.source,
            priority=grant.priority,
            expires_at=grant.expires_at,
            held=grant.held,
            reference=grant.reference,
            note=grant.note,
            granted_by=grant.granted_by,
            granted_at=grant.granted_at,
        )


class CreditsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)


class CreditGrantPage(BaseModel):
    items: list[CreditGrantView]
    next_cursor: str | None


class PrepaidTerms(BaseModel):
    model_config = ConfigDict(extra="forbid")
    low: Amount = Field(Decimal(0), description="With this much left, or less, the balance is low.")
    grace_hours: int = Field(
        DEFAULT_GRACE // _HOUR,
        ge=0,
        le=MAX_GRACE // _HOUR,
        description="From nothing left to the release.",
    )


class PrepaidView(BaseModel):
    account: str
    low: CreditAmount
    grace_hours: int
    state: CreditState
    since: datetime
    release_at: datetime | None = Field(description="When what runs is released, or was.")

    @classmethod
    def of(cls, prepaid: PrepaidAccount) -> PrepaidView:
        return cls(
            account=prepaid.account,
            low=CreditAmount.of(prepaid.currency, prepaid.terms.low_nano),
            grace_hours=prepaid.terms.grace // _HOUR,
            state=prepaid.standing.state,
            since=prepaid.standing.since,
            release_at=prepaid.standing.release_at,
        )


class CreditBalanceView(BaseModel):
    available: CreditAmount = Field(description="Credit less what is unbilled and due; negative: more was used.")
    credit: CreditAmount = Field(description="What remains of grants that may be used.")
    unbilled: CreditAmount = Field(description="Used, and on no invoice yet.")
    due: CreditAmount = Field(description="On invoices, and not paid.")
    prepaid: PrepaidView | None = Field(description="Null for an account that pays afterwards.")

    @classmethod
    def of(cls, balance: CreditBalance) -> CreditBalanceView:
        def money(nano: int) -> CreditAmount:
            return CreditAmount.of(balance.currency, nano)

        return cls(
            available=money(balance.available_nano),
            credit=money(balance.credit_nano),
            unbilled=money(balance.unbilled_nano),
            due=money(balance.due_nano),
            prepaid=PrepaidView.of(balance.prepaid) if balance.prepaid else None,
        )


class CreditView(BaseModel):
    account: str
    balances: list[CreditBalanceView] = Field(description="One per currency that it ever had money in.")


@router.get("/api/v1/scopes/{path}/credit", permission="billing:read")
async def get_credit(ctx: Context, path: str) -> CreditView:
    """Show what an account may still use, and how it pays beforehand."""
    return CreditView(account=path, balances=[CreditBalanceView.of(b) for b in await standing.list_credit(ctx, path)])


@router.get("/api/v1/scopes/{path}/credits", permission="billing:read")
async def list_credits(ctx: Context, path: str, query: CreditsQuery) -> CreditGrantPage:
    """List the credit that an account was given, or every account: `-`."""
    after = decode_cursor(query.cursor) if query.cursor else ("", "")
    found = await prepaid.list_grants(ctx, path, after, query.limit + 1)
    page = found[: query.limit]
    more = encode_cursor(page[-1].account, str(page[-1].id)) if len(found) > query.limit else None
    return CreditGrantPage(items=[CreditGrantView.of(grant) for grant in page], next_cursor=more)


@router.post("/api/v1/scopes/{path}/credits", permission=POST, status=201)
async def grant_credit(ctx: Context, path: str, body: NewCredit) -> CreditGrantView:
    """Give an account credit: paid for beforehand, or a gift."""
    await service.check_may_post(ctx)
    grant = await prepaid.grant_credit(
        ctx,
        path,
        body.currency,
        _nano(body.amount),
        body.source,
        body.reference,
        expires_at=body.expires_at,
        priority=body.priority,
        note=body.note,
    )
    return CreditGrantView.of(grant)


@router.put("/api/v1/scopes/{path}/prepaid/{currency}", permission=POST)
async def set_prepaid(ctx: Context, path: str, currency: str, body: PrepaidTerms) -> PrepaidView:
    """Have an account pay beforehand, or change how."""
    await service.check_may_post(ctx)
    terms = CreditTerms(_nano(body.low), body.grace_hours * _HOUR)
    return PrepaidView.of(await standing.set_prepaid(ctx, path, currency, terms))


@router.delete("/api/v1/scopes/{path}/prepaid/{currency}", permission=POST)
async def remove_prepaid(ctx: Context, path: str, currency: str) -> None:
    """Have an account pay afterwards again; its credit stays its own."""
    await service.check_may_post(ctx)
    await standing.remove_prepaid(ctx, path, currency)


def _nano(amount: Decimal) -> int:
    return int(amount.scaleb(9))
