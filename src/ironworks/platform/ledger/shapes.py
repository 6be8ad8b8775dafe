"""What is said about the ledger, and about credit, over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ironworks.platform import pricing
from ironworks.platform.ledger.credit import (
    DEFAULT_GRACE,
    DEFAULT_PRIORITY,
    MAX_GRACE,
    CreditBalance,
    CreditGrant,
    CreditSource,
    CreditState,
    PrepaidAccount,
)
from ironworks.platform.ledger.model import AccountName, LedgerAccount, Purpose, Transfer, TransferKind
from ironworks.shared.listing import PageQuery
from ironworks.shared.path import show_path
from ironworks.shared.shapes import Shape

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0, le=9_000_000_000, decimal_places=9, description="Exact, up to 9 places.")]
HOUR = timedelta(hours=1)


class CreditAmount(pricing.ExactAmount):
    """An exact amount, twice: whole nano-units for programs, a decimal for people."""


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


class CreditGrantView(Shape):
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
        return cls.show(
            grant,
            granted=CreditAmount.of(grant.currency, grant.amount_nano),
            remaining=CreditAmount.of(grant.currency, grant.remaining_nano),
        )


class CreditGrantPage(BaseModel):
    items: list[CreditGrantView]
    next_cursor: str | None


class PrepaidTerms(BaseModel):
    model_config = ConfigDict(extra="forbid")
    low: Amount = Field(Decimal(0), description="With this much left, or less, the balance is low.")
    grace_hours: int = Field(
        DEFAULT_GRACE // HOUR,
        ge=0,
        le=MAX_GRACE // HOUR,
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
            grace_hours=prepaid.terms.grace // HOUR,
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


class AccountsQuery(PageQuery):
    purpose: Purpose | None = Field(None, description="Only those for this.")


class TransfersQuery(PageQuery):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    account: UUID | None = Field(None, description="To or from this ledger account.")
    purpose: Purpose | None = Field(None, description="To or from a ledger account for this that the caller may see.")
    kind: TransferKind | None = None
    since: Moment | None = Field(None, alias="from", description="Posted at this moment or later.")
    until: Moment | None = Field(None, alias="to", description="Posted before this moment.")


class SideView(BaseModel):
    scope: str
    purpose: Purpose

    @classmethod
    def of(cls, name: AccountName) -> SideView:
        return cls(scope=show_path(name.scope), purpose=name.purpose)


class LedgerAccountBalance(BaseModel):
    id: UUID
    scope: str
    purpose: Purpose
    balance: CreditAmount = Field(description="Debits less credits: positive is owed by the scope.")
    opened_at: datetime

    @classmethod
    def of(cls, account: LedgerAccount) -> LedgerAccountBalance:
        name = account.name
        return cls(
            id=account.id,
            **SideView.of(name).model_dump(),
            balance=CreditAmount.of(name.currency, account.balance_nano),
            opened_at=account.opened_at,
        )


class LedgerAccountPage(BaseModel):
    items: list[LedgerAccountBalance]
    next_cursor: str | None


class ListedTransfer(Shape):
    id: UUID
    debit: SideView
    credit: SideView
    moved: CreditAmount
    kind: TransferKind
    correlation: str = Field(description="The batch, request or run that posted it.")
    corrects: UUID | None
    day: date = Field(description="The day, in UTC, that it belongs to.")
    posted_at: datetime

    @classmethod
    def of(cls, transfer: Transfer) -> ListedTransfer:
        return cls.show(
            transfer,
            debit=SideView.of(transfer.debit),
            credit=SideView.of(transfer.credit),
            moved=CreditAmount.of(transfer.debit.currency, transfer.amount_nano),
        )


class TransferPage(BaseModel):
    items: list[ListedTransfer]
    next_cursor: str | None
