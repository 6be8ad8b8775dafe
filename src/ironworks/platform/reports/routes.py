"""Reports over HTTP: as JSON, as series for charts, as CSV and as Parquet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.platform import pricing
from ironworks.platform.reports import service
from ironworks.platform.reports.exports import CSV, FILES, PARQUET, to_csv, to_parquet
from ironworks.platform.reports.model import (
    COST,
    MARGIN,
    MAX_SCALE,
    MAX_UNIT_COST,
    ColumnType,
    CostRate,
    Table,
    named,
    series_of,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.http import Raw, Router
from ironworks.shared.listing import PageQuery, decode_cursor, encode_cursor
from ironworks.shared.shapes import Shape

router = Router("platform.reports")

Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2200, 1, 1))]
Format = Literal["json", "series", "csv", "parquet"]


class ReportQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    by: str = Field("", max_length=200, description="Words to group by, separated by commas; each report has its own.")
    format: Format = Field(
        "json", description="`series`: for charts, one for each group; needs `day` or `month` in `by`."
    )


class PeriodQuery(ReportQuery):
    start: Day | None = Field(None, alias="from", description="First day, in UTC; the first of this month if left out.")
    end: Day | None = Field(None, alias="to", description="The day after the last, in UTC; tomorrow if left out.")


class ColumnView(BaseModel):
    name: str
    type: ColumnType


class SeriesView(BaseModel):
    group: dict[str, str] = Field(description="What names it: a value for each word, and the currency.")
    points: list[dict[str, Any]] = Field(description="`at`, and each measure; amounts also as `<name>_nano`.")


class ReportView(BaseModel):
    """Amounts come twice: `<name>` is an exact decimal for people, `<name>_nano` whole nano-units for programs."""

    report: str
    scope: str
    start: date | None = Field(serialization_alias="from", description="Null: as it stands now.")
    end: date | None = Field(serialization_alias="to")
    columns: list[ColumnView]
    items: list[dict[str, Any]] | None = Field(description="The rows; null where series were asked for.")
    series: list[SeriesView] | None


class NewCostRate(BaseModel):
    model_config = ConfigDict(extra="forbid")
    meter: str = Field(min_length=1, max_length=128)
    model: str = Field(
        pricing.ANY_MODEL, min_length=1, max_length=512, description="`*` for every model without its own."
    )
    currency: str = Field(pricing.CURRENCY, pattern="^[A-Z]{3}$")
    unit_cost: Decimal = Field(ge=0, le=MAX_UNIT_COST, decimal_places=MAX_SCALE, description="Exact, for one unit.")
    valid_from: Day | None = Field(None, description="The first day it counts for; today, in UTC, if left out.")


class CostRateView(Shape):
    id: UUID
    meter: str
    model: str
    currency: str
    unit_cost: str = Field(description="Exact decimal, for one unit of the meter.")
    valid_from: date

    @classmethod
    def of(cls, rate: CostRate) -> CostRateView:
        return cls.show(rate, unit_cost=format(rate.unit_cost, "f"))


class CostRateList(BaseModel):
    items: list[CostRateView]
    next_cursor: str | None


@router.get(
    "/api/v1/scopes/{path}/reports/revenue", permission="billing:read", returns=ReportView, files=FILES, heavy=True
)
async def report_revenue(ctx: Context, path: str, query: PeriodQuery) -> Raw:
    """Report what was earned; by: day, month, account, platform, tenant, kind."""
    start, end = _period(ctx, query)
    return await _answer(
        "revenue", path, query, await service.report_revenue(ctx, path, start, end, _words(query, "day")), start, end
    )


@router.get(
    "/api/v1/scopes/{path}/reports/usage", permission="billing:read", returns=ReportView, files=FILES, heavy=True
)
async def report_usage(ctx: Context, path: str, query: PeriodQuery) -> Raw:
    """Report what was used; by: day, month, account, platform, tenant, meter, model."""
    start, end = _period(ctx, query)
    return await _answer(
        "usage", path, query, await service.report_usage(ctx, path, start, end, _words(query, "meter")), start, end
    )


@router.get("/api/v1/scopes/{path}/reports/margin", permission=MARGIN, returns=ReportView, files=FILES, heavy=True)
async def report_margin(ctx: Context, path: str, query: PeriodQuery) -> Raw:
    """Report what is earned over cost; by: day, month, account, platform, tenant, meter, model."""
    start, end = _period(ctx, query)
    return await _answer(
        "margin",
        path,
        query,
        await service.report_margin(ctx, path, start, end, _words(query, "meter,model")),
        start,
        end,
    )


@router.get(
    "/api/v1/scopes/{path}/reports/unbilled", permission="billing:read", returns=ReportView, files=FILES, heavy=True
)
async def report_unbilled(ctx: Context, path: str, query: ReportQuery) -> Raw:
    """Report what is owed and on no invoice yet; by: account, platform, tenant."""
    return await _answer("unbilled", path, query, await service.report_unbilled(ctx, path, _words(query, "account")))


@router.get(
    "/api/v1/scopes/{path}/reports/receivables", permission="invoice:read", returns=ReportView, files=FILES, heavy=True
)
async def report_receivables(ctx: Context, path: str, query: ReportQuery) -> Raw:
    """Report what open invoices leave to pay, by days overdue; by: account, invoice."""
    table = await service.report_receivables(ctx, path, _words(query, "account"))
    return await _answer("receivables", path, query, table)


@router.get("/api/v1/cost-rates", permission=MARGIN)
async def list_cost_rates(ctx: Context, query: PageQuery) -> CostRateList:
    """List what usage costs the operator: every version."""
    found = await service.list_cost_rates(ctx, _after(query.cursor), query.limit + 1)
    page = found[: query.limit]
    more = None
    if len(found) > query.limit:
        last = page[-1]
        more = encode_cursor(f"{last.meter}\n{last.model}", f"{last.currency}\n{last.valid_from}")
    return CostRateList(items=[CostRateView.of(rate) for rate in page], next_cursor=more)


@router.post("/api/v1/cost-rates", permission=COST, status=201)
async def create_cost_rate(ctx: Context, body: NewCostRate) -> CostRateView:
    """Say what a unit costs the operator, from a day on."""
    start = body.valid_from or ctx.now().date()
    rate = await service.create_cost_rate(ctx, body.meter, body.model, body.currency, body.unit_cost, start)
    return CostRateView.of(rate)


def _period(ctx: Context, query: PeriodQuery) -> tuple[date, date]:
    today = ctx.now().date()
    return query.start or today.replace(day=1), query.end or today + timedelta(days=1)


def _words(query: ReportQuery, default: str) -> Sequence[str]:
    return [word.strip() for word in (query.by or default).split(",")]


async def _answer(
    report: str, path: str, query: ReportQuery, table: Table, start: date | None = None, end: date | None = None
) -> Raw:
    if query.format in ("csv", "parquet"):
        render, kind = (to_csv, CSV) if query.format == "csv" else (to_parquet, PARQUET)
        content = await asyncio.to_thread(render, table)
        name = "-".join([report, "operator" if path == "-" else path, *(str(day) for day in (start, end) if day)])
        return Raw(content, kind, headers={"content-disposition": f'attachment; filename="{name}.{query.format}"'})
    drawn = query.format == "series"
    view = ReportView(
        report=report,
        scope=path,
        start=start,
        end=end,
        columns=[ColumnView(name=column.name, type=column.type) for column in table.columns],
        items=None if drawn else [_amounts(table, row) for row in named(table)],
        series=[SeriesView(group=group, points=[_amounts(table, point) for point in points])
                for group, points in series_of(table)] if drawn else None,
    )  # fmt: skip
    return Raw(view.model_dump_json(by_alias=True).encode())


def _amounts(table: Table, row: Any) -> dict[str, Any]:
    """A row in which each amount stands as a decimal and as nano-units."""
    money = {column.name for column in table.columns if column.type is ColumnType.MONEY}
    shown = {name: pricing.show_nano(value) if name in money else value for name, value in row.items()}
    return shown | {f"{name}_nano": value for name, value in row.items() if name in money}


def _after(cursor: str | None) -> tuple[str, str, str, date] | None:
    if cursor is None:
        return None
    try:
        (meter, model), (currency, day) = (part.split("\n") for part in decode_cursor(cursor))
        return meter, model, currency, date.fromisoformat(day)
    except ValueError:
        raise invalid(
            "cursor", "is not one of ours", "take next_cursor from the page before, or leave it out"
        ) from None
