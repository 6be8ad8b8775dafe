"""Ledger accounts, transfers and balances. Amounts are whole nano-units (10⁻⁹) of the currency."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from ironworks.shared.errors import Conflict
from ironworks.shared.path import covers

MAX_AMOUNT_NANO: Final = 2**63 - 1


class Purpose(StrEnum):
    """What a ledger account is for."""

    RECEIVABLE = "receivable"
    """What the scope owes for what it used and no invoice names yet: debits add to it."""
    DUE = "due"
    """What an account owes by its invoices: debits add to it."""
    CREDIT = "credit"
    """What an account has paid, or was given, beforehand: credits add to it."""
    REVENUE = "revenue"
    """What was earned: credits add to it."""
    CASH = "cash"
    """What came in: debits add to it."""
    PROMOTION = "promotion"
    """Credit that was given away: debits add to it."""
    TAX = "tax"
    """What is owed to tax offices: credits add to it."""
    ROUNDING = "rounding"
    """What invoices in whole cents leave over, either way."""
    LOSS = "loss"
    """What will never be paid: debits add to it."""


class TransferKind(StrEnum):
    """Why money moved."""

    USAGE = "usage"
    REVERSAL = "reversal"
    FEE = "fee"
    """A plan's base fee, whole or in part."""
    ADJUSTMENT = "adjustment"
    """What a period's close adds to usage at base price, or takes from it: tiers, minimums, discounts."""
    INVOICE = "invoice"
    """What was used and is invoiced now: from `receivable` to `due`."""
    TAX = "tax"
    ROUNDING = "rounding"
    PAYMENT = "payment"
    REFUND = "refund"
    CREDIT_GRANT = "credit_grant"
    CREDIT_USE = "credit_use"
    CREDIT_EXPIRY = "credit_expiry"
    CREDIT_NOTE = "credit_note"
    WRITE_OFF = "write_off"


class AccountName(NamedTuple):
    """Names a ledger account; it is opened by the first transfer. `scope` is a path."""

    scope: str
    purpose: Purpose
    currency: str


def new_transfer_id() -> UUID:
    """A UUID of version 7 (RFC 9562): ids sort by time, so an index grows at one end."""
    import time

    milliseconds = int(time.time() * 1000)
    chance = int.from_bytes(os.urandom(10))
    number = milliseconds << 80 | 0x7 << 76 | (chance >> 68) << 64 | 0b10 << 62 | chance & (1 << 62) - 1
    return UUID(int=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """A transfer to post. Raises ValueError for one that could not balance or would cross scopes.

    Args:
        correlation: the request, batch or run that caused it.
        corrects: the transfer that this one takes back.
        day: the one in UTC that it belongs to, which may be before the one on which it is posted: an invoice takes
            what belongs to its period. A transfer never spans two.
    """

    debit: AccountName
    credit: AccountName
    amount_nano: int
    kind: TransferKind
    correlation: str
    corrects: UUID | None = None
    day: date = field(default_factory=lambda: datetime.now(UTC).date())
    id: UUID = field(default_factory=new_transfer_id)

    def __post_init__(self) -> None:
        if not 0 < self.amount_nano <= MAX_AMOUNT_NANO:
            raise ValueError(f"a transfer moves 1 to {MAX_AMOUNT_NANO} nano-units, not {self.amount_nano}")
        if self.debit.currency != self.credit.currency:
            raise ValueError("a transfer does not convert currencies")
        if self.debit == self.credit:
            raise ValueError("a transfer needs two ledger accounts")
        if not (covers(self.debit.scope, self.credit.scope) or covers(self.credit.scope, self.debit.scope)):
            raise ValueError("money moves between a scope and one at or above it")

    @property
    def currency(self) -> str:
        return self.debit.currency

    @property
    def scope(self) -> str:
        """The lower one of its two scopes: whoever may see that one's bill sees this."""
        return max(self.debit.scope, self.credit.scope, key=len)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A posted transfer."""

    id: UUID
    debit: AccountName
    credit: AccountName
    amount_nano: int
    kind: TransferKind
    correlation: str
    corrects: UUID | None
    posted_at: datetime
    day: date


@dataclass(frozen=True, slots=True)
class Balance:
    """Debits minus credits of the ledger accounts of one purpose and currency: positive is owed by the scope."""

    purpose: Purpose
    currency: str
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A kept balance that does not agree with the transfers it was made of.

    Args:
        ledger_account: its id. cluster, horizon: which snapshot. kept_nano: what it says. summed_nano: what is true.
    """

    ledger_account: UUID
    scope: str
    cluster: int
    horizon: int
    kept_nano: int
    summed_nano: int


@dataclass(frozen=True, slots=True)
class Posting:
    """What a transfer added to what a scope owes for its usage; negative for what it took off."""

    transfer_id: UUID
    scope: str
    currency: str
    kind: TransferKind
    amount_nano: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class PostingQuery:
    """Which postings of an account to look for.

    Args:
        account: its path.
        since: nothing is looked for that was posted earlier.
        before: only transfers of earlier days.
        after: (path, posted at, id) of the last one that was found before.
    """

    account: str
    since: datetime
    before: date
    after: tuple[str, datetime, UUID]


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """A ledger account with its balance: debits minus credits, in nano-units; positive is owed by the scope."""

    id: UUID
    name: AccountName
    opened_at: datetime
    balance_nano: int


@dataclass(frozen=True, slots=True)
class TransferQuery:
    """Which transfers to look for, newest first. What is None does not matter.

    Args:
        path: at this scope and below it; '' everywhere.
        account: to or from this ledger account. purpose: to or from one of this purpose that the caller may see.
        since, until: posted in [since, until).
        before: (posted at, id) of the last one that was found before.
    """

    path: str
    account: UUID | None = None
    purpose: Purpose | None = None
    kind: TransferKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, UUID] | None = None


class AlreadyReversed(Conflict):
    """A transfer is taken back once."""

    code = "ALREADY_REVERSED"
