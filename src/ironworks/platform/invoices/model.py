"""Invoices, their lines and states. Amounts are whole nano-units (10⁻⁹) of the currency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform.invoices.money import round_to_coin
from ironworks.shared.errors import Conflict


class InvoiceState(StrEnum):
    """Where an invoice stands."""

    DRAFT = "draft"
    """Its lines may still grow; it has no number and nobody owes it."""
    FINALIZED = "finalized"
    """Numbered and due."""
    PAID = "paid"
    VOID = "void"
    """Taken back; what it claimed is unbilled again."""
    UNCOLLECTIBLE = "uncollectible"
    """Written off; money that comes all the same still pays it."""


class CloseState(StrEnum):
    """What a close does next."""

    CHARGING = "charging"
    COLLECTING = "collecting"
    FINALIZING = "finalizing"
    DONE = "done"


class LineKind(StrEnum):
    """What a line is for."""

    USAGE = "usage"
    FEE = "fee"
    ADJUSTMENT = "adjustment"
    """What tiers, minimums, included quantities and discounts add to usage at base price, or take from it."""
    CORRECTION = "correction"
    """An earlier transfer was taken back."""


class Tax(BaseModel):
    """One tax that an account pays, on all lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=80, description="As the invoice prints it, for instance `VAT`.")
    rate: Decimal = Field(ge=0, le=1, decimal_places=6, description="A fraction: 0.19 is 19 %.")


class BillingDetails(BaseModel):
    """Who issues an invoice, or who gets it, as its documents print it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field("", max_length=200)
    address: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        (), max_length=8, description="Lines of the postal address."
    )
    email: str = Field("", max_length=254)
    tax_number: str = Field("", max_length=60)
    due_days: int = Field(14, ge=0, le=365, description="Days to pay.")
    taxes: tuple[Tax, ...] = Field((), max_length=4)
    review: bool = Field(False, description="Drafts wait until a person finalizes them.")
    note: str = Field("", max_length=2000, description="Printed at the end: bank details, terms.")


@dataclass(frozen=True, slots=True)
class AppliedTax:
    """A tax on an invoice: rate × base, rounded once to whole coins."""

    name: str
    rate: Decimal
    base_nano: int
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Close:
    """One run over the period [start, end) of an account. `subscription_id` is None for a calendar month.

    Args:
        currency: that of the subscription; invoices are made in every currency that something was charged in.
        cursor: (path, posted at, transfer id) of the last transfer that was looked at.
        since: nothing unclaimed was posted before.
        problem: why it failed the last time; it is tried again.
    """

    id: UUID
    account: str
    start: date
    end: date
    state: CloseState
    subscription_id: UUID | None
    currency: str
    since: datetime
    cursor: tuple[str, datetime, UUID]
    opened_at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NewCharge:
    """Something besides usage to put on an invoice. `reference` makes it happen once per account.

    Args:
        kind: FEE or ADJUSTMENT.
        amount_nano: negative for what is taken off.
    """

    scope: str
    kind: LineKind
    reference: str
    description: str
    amount_nano: int
    currency: str
    quantity: Decimal | None = None
    unit: str = ""
    meter: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: an exact amount, not rounded to coins. `quantity × unit_price` is it up to each request's rounding."""

    id: UUID
    invoice_id: UUID
    scope: str
    kind: LineKind
    meter: str
    model: str
    unit_price: Decimal | None
    reference: str
    description: str
    quantity: Decimal | None
    unit: str
    amount_nano: int
    currency: str

    @property
    def platform(self) -> str:
        """The path of the section that it stands in: its platform's, or the account's."""
        return ".".join(self.scope.split(".")[:2])


@dataclass(frozen=True, slots=True)
class Totals:
    """What an invoice's lines come to. All but `lines_nano` and `rounding_nano` are in whole coins."""

    lines_nano: int
    rounding_nano: int
    taxes: tuple[AppliedTax, ...]

    @property
    def net_nano(self) -> int:
        return self.lines_nano + self.rounding_nano

    @property
    def tax_nano(self) -> int:
        return sum(tax.amount_nano for tax in self.taxes)

    @property
    def total_nano(self) -> int:
        return self.net_nano + self.tax_nano


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice. `number`, totals, parties and times are set when it is finalized, and never change then.

    Args:
        total_nano: with taxes, in whole coins; negative where more was taken off than charged.
        credit_nano: what prepaid credit paid when it was finalized.
        paid_nano: payments less refunds, as far as they count for it.
        noted_nano: what credit notes took off what was due.
    """

    id: UUID
    account: str
    currency: str
    period_start: date
    period_end: date
    state: InvoiceState
    number: str | None
    lines_nano: int
    rounding_nano: int
    taxes: tuple[AppliedTax, ...]
    total_nano: int
    credit_nano: int
    paid_nano: int
    noted_nano: int
    issuer: BillingDetails
    payer: BillingDetails
    created_at: datetime
    finalized_at: datetime | None
    due_at: datetime | None
    paid_at: datetime | None
    reason: str

    @property
    def net_nano(self) -> int:
        return self.lines_nano + self.rounding_nano

    @property
    def tax_nano(self) -> int:
        return sum(tax.amount_nano for tax in self.taxes)

    @property
    def open_nano(self) -> int:
        """What is still to pay, whatever the state; never negative."""
        return max(self.total_nano, 0) - self.credit_nano - self.paid_nano - self.noted_nano

    @property
    def due_nano(self) -> int:
        """What the customer is asked for now."""
        return self.open_nano if self.state is InvoiceState.FINALIZED else 0


@dataclass(frozen=True, slots=True)
class FinalInvoice:
    """What a draft gets when it is finalized."""

    invoice_id: UUID
    number: str
    totals: Totals
    payer: BillingDetails
    credit_nano: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that came in for an invoice, or went back (negative). `to_credit_nano` is what it was too much."""

    id: UUID
    invoice_id: UUID
    amount_nano: int
    to_credit_nano: int
    method: str
    reference: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class CreditNote:
    """What was taken back of an invoice, taxes included. `to_credit_nano` of it went to the prepaid credit."""

    id: UUID
    invoice_id: UUID
    number: str
    amount_nano: int
    tax_nano: int
    to_credit_nano: int
    reason: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that an invoice's documents print."""

    invoice: Invoice
    lines: Sequence[Line]
    payments: Sequence[Payment] = field(default_factory=tuple)
    notes: Sequence[CreditNote] = field(default_factory=tuple)

    @property
    def sections(self) -> dict[str, list[Line]]:
        """Lines by platform, in the order of paths."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.platform, []).append(line)
        return dict(sorted(found.items()))


def total_up(lines_nano: int, currency: str, taxes: Sequence[Tax]) -> Totals:
    """Round the sum of the lines to whole coins once, half to even, and put the taxes on that, each rounded once."""
    net = round_to_coin(lines_nano, currency)
    applied = tuple(
        AppliedTax(tax.name, tax.rate, net, round_to_coin(int((net * tax.rate).to_integral_value()), currency))
        for tax in taxes
    )
    return Totals(lines_nano, net - lines_nano, applied)


def tax_part(amount_nano: int, invoice: Invoice) -> int:
    """How much of an amount of an invoice, taxes included, is tax; in whole coins."""
    if not invoice.total_nano:
        return 0
    share = Decimal(amount_nano) * invoice.tax_nano / invoice.total_nano
    return round_to_coin(int(share.to_integral_value()), invoice.currency)


def number_of(account: str, count: int, series: str = "invoice") -> str:
    """The number of an account's `count`th document: `ACME-000001`, `ACME-CN-000001`."""
    return f"{account.upper()}-{'CN-' if series == 'credit_note' else ''}{count:06}"


def month_of(day: date) -> tuple[date, date]:
    """The calendar month before the one that holds `day`: its first day, and the first one after it."""
    end = day.replace(day=1)
    start = end.replace(year=end.year - 1, month=12) if end.month == 1 else end.replace(month=end.month - 1)
    return start, end


class Charger(Protocol):
    """Who charges what is due, if anybody does: `payments.PaymentProvider` is one."""

    def smallest_charge(self, currency: str) -> int:
        """Nano-units below which it charges nothing."""


class AnyAmount:
    """Nothing is too small: what is due comes in by itself."""

    def smallest_charge(self, currency: str) -> int:
        return 0


Smallest: TypeAlias = Callable[[str], int]
"""Currency → nano-units below which nobody is sent an invoice; it waits for the next one."""
any_amount: Final[Smallest] = AnyAmount().smallest_charge


class WrongState(Conflict):
    """An invoice is in a state that does not allow it."""

    code = "WRONG_INVOICE_STATE"


class ReferenceInUse(Conflict):
    """A payment's or credit note's reference was used before, for something else."""

    code = "REFERENCE_IN_USE"


class BooksDiffer(Exception):
    """Lines and ledger do not agree: nothing is finalized until a person has looked."""


def stored_taxes(taxes: Sequence[AppliedTax]) -> list[dict[str, Any]]:
    """Taxes as JSON."""
    return [
        {"name": t.name, "rate": str(t.rate), "base_nano": t.base_nano, "amount_nano": t.amount_nano} for t in taxes
    ]


def read_taxes(stored: Sequence[Mapping[str, Any]]) -> tuple[AppliedTax, ...]:
    """What `stored_taxes` made."""
    return tuple(AppliedTax(t["name"], Decimal(t["rate"]), t["base_nano"], t["amount_nano"]) for t in stored)
