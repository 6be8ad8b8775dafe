"""Reports as tables of exact values, and the arithmetic behind margins and ages. Amounts are whole nano-units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from ironworks.platform import pricing
from ironworks.shared.errors import Conflict, invalid

MARGIN, COST = "report:margin", "report:cost"
MAX_ROWS: Final = 50_000
MAX_DAYS: Final = 1100
MAX_UNIT_COST: Final = Decimal(10**6)
MAX_SCALE: Final = 18
AGES: Final[Mapping[str, int | None]] = {
    "not_due": 0, "days_1_30": 30, "days_31_60": 60, "days_61_90": 90, "over_90": None,
}  # fmt: skip
"""How many days an invoice is overdue, at most."""


class ColumnType(StrEnum):
    """What a column holds."""

    TEXT = "text"
    DATE = "date"
    COUNT = "count"
    """A whole number of units."""
    MONEY = "money"
    """Whole nano-units of the row's currency."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Table:
    """A report: `rows` have a value for each column, None where there is none."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class CostRate:
    """What one unit of a meter costs the operator from a day on, until the next version of the same three begins.

    Args:
        model: `*` for every model without a rate of its own. unit_cost: exact, in `currency`.
    """

    id: UUID
    meter: str
    model: str
    currency: str
    unit_cost: Decimal
    valid_from: date


class CostRateInUse(Conflict):
    """A version of this rate begins on that day already."""

    code = "COST_RATE_IN_USE"


def check_period(start: date, end: date) -> None:
    """Raises Invalid unless [start, end) holds 1 to 1,100 days."""
    if not 0 < (end - start).days <= MAX_DAYS:
        raise invalid("to", f"is not 1 to {MAX_DAYS} days after `from`", "name a later day, or a shorter period")


def check_size(rows: Sequence[Any]) -> None:
    """Raises Invalid for a report that nobody could hold."""
    if len(rows) > MAX_ROWS:
        raise invalid("by", f"makes more than {MAX_ROWS} rows", "group by less, or ask for a shorter period")


def check_unit_cost(unit_cost: Decimal) -> None:
    """Raises Invalid unless `unit_cost` is 0 to 1,000,000 with at most 18 decimal places."""
    exponent = unit_cost.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= unit_cost <= MAX_UNIT_COST or exponent < -MAX_SCALE:
        raise invalid("unit_cost", "is no cost", f"use a decimal from 0 to {MAX_UNIT_COST}, at most {MAX_SCALE} places")


def group_columns(by: Sequence[str]) -> tuple[Column, ...]:
    """The columns of what is grouped by, and the currency."""
    types = {"day": ColumnType.DATE, "month": ColumnType.DATE}
    return (*(Column(word, types.get(word, ColumnType.TEXT)) for word in by), Column("currency", ColumnType.TEXT))


# --- margins -----------------------------------------------------------------------------------------------------


def spans(start: date, end: date, rates: Iterable[CostRate]) -> list[tuple[date, date]]:
    """[start, end) cut at every day on which a rate begins: within a span nothing changes."""
    cuts = sorted({rate.valid_from for rate in rates if start < rate.valid_from < end})
    return list(zip([start, *cuts], [*cuts, end], strict=True))


def cost_of(meter: str, model: str, currency: str, day: date, rates: Iterable[CostRate]) -> Decimal | None:
    """What one unit costs on `day`; None where no rate says so.

    Looked for as prices are: the model's own before that of `*`, the meter's own before that of what it is part of.
    """
    known = {(rate.meter, rate.model): rate for rate in sorted(rates, key=lambda rate: rate.valid_from)
             if rate.currency == currency and rate.valid_from <= day}  # fmt: skip
    meters = [meter, pricing.FALLBACKS[meter]] if meter in pricing.FALLBACKS else [meter]
    found = [known[name, of] for of in (model, pricing.ANY_MODEL) for name in meters if (name, of) in known]
    return found[0].unit_cost if found else None


@dataclass(slots=True)
class Margin:
    """What a group was charged and cost. `uncosted_nano` is that part of the charge whose cost nobody told."""

    quantity: int = 0
    charged_nano: int = 0
    uncosted_nano: int = 0
    cost: Decimal = Decimal(0)

    def add(self, quantity: int, charged_nano: int, unit_cost: Decimal | None) -> None:
        self.quantity += quantity
        self.charged_nano += charged_nano
        if unit_cost is None:
            self.uncosted_nano += charged_nano
        else:
            self.cost += quantity * unit_cost

    @property
    def cost_nano(self) -> int:
        """Rounded once, half to even."""
        return int((self.cost * pricing.NANO).quantize(Decimal(1), ROUND_HALF_EVEN))

    @property
    def margin_nano(self) -> int:
        """Of what has a cost."""
        return self.charged_nano - self.uncosted_nano - self.cost_nano


# --- ages --------------------------------------------------------------------------------------------------------


def age_of(due: date, today: date) -> str:
    """Which of AGES an invoice that was due on `due` belongs to."""
    days = (today - due).days
    return next((age for age, most in AGES.items() if most is None or days <= most), "")


@dataclass(slots=True)
class Owed:
    """What a group owes by its open invoices, by age."""

    invoices: int = 0
    nano: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AGES, 0))

    def add(self, age: str, open_nano: int) -> None:
        self.invoices += 1
        self.nano[age] += open_nano


# --- charts ------------------------------------------------------------------------------------------------------


def series_of(table: Table) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """One series for each group: what names it, and its points in the order of time. Raises Invalid without a time."""
    times = [column.name for column in table.columns if column.type is ColumnType.DATE]
    if len(times) != 1:
        raise invalid("by", "has no one time to draw along", "group by day or by month, and what else you like")
    found: dict[tuple[Any, ...], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for row in table.rows:
        values = dict(zip((column.name for column in table.columns), row, strict=True))
        name = {c.name: values[c.name] for c in table.columns if c.type is ColumnType.TEXT}
        measures = {c.name: values[c.name] for c in table.columns if c.type in (ColumnType.COUNT, ColumnType.MONEY)}
        found.setdefault(tuple(name.values()), (name, []))[1].append({"at": values[times[0]], **measures})
    for _, points in found.values():
        points.sort(key=lambda point: point["at"])
    return list(found.values())


def named(table: Table) -> list[Mapping[str, Any]]:
    """The rows, each value by its column's name."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]
