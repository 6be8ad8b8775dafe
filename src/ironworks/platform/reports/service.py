"""Making reports, each of what its caller may see, and keeping what usage costs the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from typing import Any, Final

from ironworks.platform import invoices, ledger, pricing, registry, tenancy
from ironworks.platform.reports import store
from ironworks.platform.reports.model import (
    AGES,
    COST,
    MARGIN,
    MAX_ROWS,
    Column,
    ColumnType,
    CostRate,
    CostRateInUse,
    Margin,
    Owed,
    Table,
    age_of,
    check_period,
    check_size,
    check_unit_cost,
    cost_of,
    group_columns,
    spans,
)
from ironworks.shared import path as paths
from ironworks.shared.context import Context
from ironworks.shared.declarations import METER
from ironworks.shared.errors import Forbidden, invalid
from ironworks.shared.grouping import PLACES, check_grouping

_PAGE: Final = 500


async def report_revenue(ctx: Context, scope: str, start: date, end: date, by: Sequence[str]) -> Table:
    """What was earned from a scope and all below it on the days [start, end), in UTC, as the ledger says.

    Usage at base price, fees and adjustments, less what was taken back. `by`: ledger.EARNED_BY. Raises Invalid and
    NotFound.
    """
    path = await _scope(ctx, scope, start, end)
    sums = await ledger.sum_earned(ctx, path, start, end, by, MAX_ROWS + 1)
    columns = (*group_columns(by), Column("revenue", ColumnType.MONEY))
    return _table(columns, [(*_shown(by, s.group), s.currency, s.amount_nano) for s in sums])


async def report_usage(ctx: Context, scope: str, start: date, end: date, by: Sequence[str]) -> Table:
    """What a scope and all below it used on the days [start, end), in UTC, and what it cost at base price.

    Quantities are there where `by` (pricing.RATED_BY) holds the meter; `waiting` is what has no price yet.
    """
    path = await _scope(ctx, scope, start, end)
    sums = await pricing.sum_rated(ctx, path, start, end, by, MAX_ROWS + 1)
    counts = ("quantity", "waiting") if "meter" in by else ()
    columns = (
        *group_columns(by),
        *(Column(name, ColumnType.COUNT) for name in counts),
        Column("cost", ColumnType.MONEY),
    )
    return _table(
        columns,
        [
            (*_shown(by, s.group), s.currency, *((s.quantity, s.waiting) if counts else ()), s.amount_nano)
            for s in sums
        ],
    )  # fmt: skip


async def report_unbilled(ctx: Context, scope: str, by: Sequence[str]) -> Table:
    """What a scope and all below it owe by now that no invoice names, by places (shared.grouping.PLACES)."""
    path = paths.parse_path(scope)
    await tenancy.require_scope(ctx, path)
    sums = await ledger.sum_owed(ctx, path, ledger.Purpose.RECEIVABLE, by, MAX_ROWS + 1)
    columns = (*group_columns(by), Column("unbilled", ColumnType.MONEY))
    return _table(columns, [(*_shown(by, s.group), s.currency, s.amount_nano) for s in sums])


async def report_receivables(ctx: Context, scope: str, by: Sequence[str]) -> Table:
    """What the finalized invoices of an account, or of all (the operator's scope), leave to pay, by days overdue.

    `by`: account, invoice. Of those invoices that the caller may see. Raises Invalid, NotFound.
    """
    path = paths.parse_path(scope)
    if paths.level(path) > 1:
        raise invalid("scope", f"{scope!r} gets no invoices", "name an account, or '-' for all")
    check_grouping(by, {"account": "", "invoice": ""})
    await tenancy.require_scope(ctx, path)
    found: dict[tuple[Any, ...], Owed] = {}
    async for invoice in _open_invoices(ctx, path):
        words = {"account": invoice.account, "invoice": invoice.number or ""}
        due = (invoice.due_at or invoice.created_at).astimezone(UTC).date()
        row = (*(words[word] for word in by), invoice.currency)
        found.setdefault(row, Owed()).add(age_of(due, ctx.now().date()), invoice.open_nano)
    columns = (
        *group_columns(by),
        Column("invoices", ColumnType.COUNT),
        *(Column(age, ColumnType.MONEY) for age in AGES),
        Column("total", ColumnType.MONEY),
    )
    return _table(
        columns, [(*row, o.invoices, *o.nano.values(), sum(o.nano.values())) for row, o in sorted(found.items())]
    )


async def _open_invoices(ctx: Context, path: str) -> AsyncIterator[invoices.Invoice]:
    before = None
    while page := await invoices.list_invoices(ctx, path, [invoices.InvoiceState.FINALIZED], before, _PAGE):
        for invoice in page:
            yield invoice
        if len(page) < _PAGE:
            return
        before = (page[-1].created_at, page[-1].id)


async def report_margin(ctx: Context, scope: str, start: date, end: date, by: Sequence[str]) -> Table:
    """What usage was charged at base price and what it cost the operator, by cost rates of the day it was used.

    `margin` is of what has a cost rate; `uncosted` is what was charged for the rest. Needs `report:margin` at the
    operator's scope. Raises Forbidden, Invalid, NotFound.
    """
    await _require(ctx, MARGIN)
    path = await _scope(ctx, scope, start, end)
    check_grouping(by, pricing.RATED_BY)
    rates = await store.list_rates(ctx)
    inner = list(dict.fromkeys((*by, "meter", "model")))
    found: dict[tuple[Any, ...], Margin] = {}
    for first, after in spans(start, end, rates):
        sums = await pricing.sum_rated(ctx, path, first, after, inner, MAX_ROWS + 1)
        check_size(sums)
        for s in sums:
            of = dict(zip(inner, s.group, strict=True))
            unit_cost = cost_of(of["meter"], of["model"], s.currency, first, rates)
            row = (*_shown(by, s.group[: len(by)]), s.currency)
            found.setdefault(row, Margin()).add(s.quantity, s.amount_nano, unit_cost)
    return _margins(by, found)


def _margins(by: Sequence[str], found: Mapping[tuple[Any, ...], Margin]) -> Table:
    counts = ("quantity",) if "meter" in by else ()
    measures = ("charged", "uncosted", "cost", "margin")
    columns = (
        *group_columns(by),
        *(Column(name, ColumnType.COUNT) for name in counts),
        *(Column(name, ColumnType.MONEY) for name in measures),
    )
    rows = [
        (*row, *((m.quantity,) if counts else ()), m.charged_nano, m.uncosted_nano, m.cost_nano, m.margin_nano)
        for row, m in sorted(found.items(), key=lambda item: item[0])
    ]
    return _table(columns, rows)


async def list_cost_rates(
    ctx: Context, after: tuple[str, str, str, date] | None = None, limit: int = 100
) -> list[CostRate]:
    """Every version, by (meter, model, currency, day), past `after`; for who sees margins."""
    await _require(ctx, MARGIN)
    return await store.list_rates(ctx, after, limit)


async def create_cost_rate(
    ctx: Context, meter: str, model: str, currency: str, unit_cost: Decimal, valid_from: date
) -> CostRate:
    """Add a version, from a day on; it closes the version before. A day that is over changes the reports about it.

    Needs `report:cost` at the operator's scope. Raises Forbidden, UnknownEntry and DisabledEntry (the meter), Invalid
    and CostRateInUse (the day).
    """
    await _require(ctx, COST)
    await registry.require(ctx, METER, meter)
    check_unit_cost(unit_cost)
    rate = await store.save_rate(ctx, meter, model, currency, unit_cost, valid_from)
    if rate is None:
        raise CostRateInUse("a version of this rate begins on that day already; choose another")
    said = {"meter": meter, "model": model, "currency": currency, "unit_cost": format(unit_cost, "f")}
    await ctx.audit(
        "reports.rate.create", "cost_rate", str(rate.id), after={**said, "valid_from": valid_from.isoformat()}
    )
    return rate


async def _require(ctx: Context, permission: str) -> None:
    if not await ctx.allows(permission, paths.OPERATOR):
        raise Forbidden(f"this needs the permission {permission!r} at '-': what things cost the operator is its own")


async def _scope(ctx: Context, scope: str, start: date, end: date) -> str:
    check_period(start, end)
    path = paths.parse_path(scope)
    await tenancy.require_scope(ctx, path)
    return path


def _shown(by: Sequence[str], group: tuple[Any, ...]) -> tuple[Any, ...]:
    """Paths as people write them."""
    return tuple(paths.show_path(v) if word in PLACES else v for word, v in zip(by, group, strict=True))


def _table(columns: tuple[Column, ...], rows: Sequence[tuple[Any, ...]]) -> Table:
    check_size(rows)
    return Table(columns, rows)
