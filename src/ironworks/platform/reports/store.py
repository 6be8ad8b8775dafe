"""Cost rates in Postgres."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

from ironworks.platform.reports.model import CostRate
from ironworks.shared.context import Context

_COLUMNS = "id, meter, model, currency, unit_cost, valid_from"
_FIRST = ("", "", "", date.min)


async def list_rates(
    ctx: Context, after: tuple[str, str, str, date] | None = None, limit: int | None = None
) -> list[CostRate]:
    """Every version, by (meter, model, currency, day), past `after`."""
    rows = await ctx.db.fetch(
        f"select {_COLUMNS} from platform_reports.cost_rate"
        " where (meter, model, currency, valid_from) > ($1, $2, $3, $4)"
        " order by meter, model, currency, valid_from limit $5",
        *(after or _FIRST),
        limit,
    )
    return [CostRate(*row) for row in rows]


async def save_rate(
    ctx: Context, meter: str, model: str, currency: str, unit_cost: Decimal, valid_from: date
) -> CostRate | None:
    """Add a version; None when one of the same three begins on the same day."""
    found: UUID | None = await ctx.db.fetchval(
        """
        insert into platform_reports.cost_rate (meter, model, currency, unit_cost, valid_from, created_by)
        values ($1, $2, $3, $4, $5, $6) on conflict (meter, model, currency, valid_from) do nothing returning id
        """,
        meter,
        model,
        currency,
        unit_cost,
        valid_from,
        ctx.actor.name,
    )
    return CostRate(found, meter, model, currency, unit_cost, valid_from) if found else None
