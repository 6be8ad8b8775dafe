"""Use cases around budgets: refuse what could never apply, lend, settle, and declare lost what will not come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from ironworks.platform import billing, iam, notification, pricing, registry
from ironworks.products.tokenfactory.budgets import forecasting, store
from ironworks.products.tokenfactory.budgets.declarations import RELEASE_LOST, THRESHOLD, UPDATE
from ironworks.products.tokenfactory.budgets.events import ThresholdReached
from ironworks.products.tokenfactory.budgets.model import (
    ALWAYS,
    BUDGET,
    Ask,
    Budget,
    BudgetView,
    Charge,
    Lease,
    LeaseState,
    NothingLost,
    Standing,
    Terms,
    period_of,
    show_amount,
)
from ironworks.shared.context import Context
from ironworks.shared.declarations import NOTIFICATION_TEMPLATE
from ironworks.shared.errors import invalid
from ironworks.shared.lookup import load
from ironworks.shared.path import covers, show_path
from ironworks.shared.resources import Change, admits

NEWEST: Final = 2**63 - 1
NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class BurnDown:
    """One period of a budget, [start, end), as it is at `until`.

    Args:
        begins: since when it counts in this period: not before it was made. told: percent → when it was told.
        points: what was spent by when since then.
        forecast: of a period that runs.
    """

    budget: Budget
    start: datetime
    end: datetime | None
    begins: datetime
    until: datetime
    standing: Standing
    told: Mapping[int, datetime]
    points: Sequence[forecasting.Spent]
    forecast: forecasting.Forecast | None


@admits(BUDGET)
async def admit_budget(ctx: Context, change: Change[Budget]) -> None:
    """Refuse a budget for a key outside its scope: nobody there could see why the key stops. Raises Invalid."""
    budget = change.new
    if budget is None or budget.spec.key is None:
        return
    path, slash, _ = budget.spec.key.rpartition("/")
    if slash and not covers(budget.path, "" if path == "-" else path):
        raise invalid("spec.key", "lives outside the budget's scope", "make the budget at the key's scope or above it")


async def list_views(ctx: Context) -> Sequence[BudgetView]:
    """Every budget of the installation, for gateways."""
    return await store.list_views(ctx)


async def adjust_lease(ctx: Context, ask: Ask) -> Terms:
    """Change, renew, open or close one lease of a gateway process."""
    return await store.adjust_lease(ctx, ask)


async def recalled_leases(ctx: Context, holder: str) -> Sequence[tuple[UUID, datetime]]:
    """(budget, period start) of the holder's leases whose idle money others wait for."""
    return await store.recalled_leases(ctx, holder)


async def close_leases(ctx: Context, holder: str) -> int:
    """Free what a process that is gone still held; only once all in its spool is charged. Returns how many leases."""
    return await store.close_leases(ctx, holder)


async def settle_usage(ctx: Context, charges: Sequence[Charge]) -> None:
    """Count newly charged requests, in the transaction that charges them, and tell of thresholds that they reached."""
    if not charges:
        return
    for reached in await store.settle_usage(ctx, charges):
        await ctx.emit(
            ThresholdReached(
                budget=reached.budget,
                name=reached.name,
                scope=reached.scope,
                period_start=reached.period_start,
                percent=reached.percent,
                currency="USD",
                amount_nano=reached.amount_nano,
                spent_nano=reached.spent_nano,
            ),
            scope=reached.scope,
        )


async def tell_of_threshold(ctx: Context, event: UUID, reached: ThresholdReached) -> None:
    """Mail those who may change the budget, each once. Nobody where the operator switched the template off."""
    if not await registry.is_enabled(ctx, NOTIFICATION_TEMPLATE, THRESHOLD.name):
        return
    start = reached.period_start.astimezone(UTC)
    variables = {
        "budget": f"{show_path(reached.scope)}/{reached.name}",
        "percent": str(reached.percent),
        "spent": show_amount(reached.spent_nano),
        "amount": show_amount(reached.amount_nano),
        "currency": reached.currency,
        "since": "in all" if start == ALWAYS else f"since {start.date().isoformat()} (UTC)",
    }
    for person, address in await iam.list_people_with(ctx, UPDATE, reached.scope):
        key = f"event:{event}:{person}"
        await notification.queue_mail(ctx, key, THRESHOLD.name, address, variables, reached.scope)


async def settle_late(ctx: Context, request_ids: Sequence[str], correlation: str) -> None:
    """Count what these requests were charged by the transfers of `correlation`, some time after their first charge."""
    await settle_usage(ctx, [await _late_charge(ctx, each, correlation) for each in request_ids])


async def _late_charge(ctx: Context, request_id: str, correlation: str) -> Charge:
    explained = await billing.explain_request(ctx, request_id)
    late = {transfer.id for transfer in explained.transfers if transfer.correlation == correlation}
    event = explained.usage.event
    return Charge(
        key_uid=event.key_uid or NOBODY,
        key_scope=event.scope,
        route_uid=event.route_uid or NOBODY,
        admitted_at=(event.priced_at or event.occurred_at).timestamp(),
        cost_nano=sum(
            line.amount_nano
            for line in explained.lines
            if line.transfer_id in late and line.currency == pricing.CURRENCY
        ),
    )


async def list_leases(
    ctx: Context, path: str, name: str, before: int, limit: int, state: LeaseState | None = None
) -> list[Lease]:
    """A page of a budget's leases, newest first, of one state or all. Raises NotFound."""
    budget = await load(ctx, BUDGET, path, name)
    return await store.list_leases(ctx, budget.uid, before, limit, state)


async def burn_down(ctx: Context, path: str, name: str, at: datetime | None = None) -> BurnDown:
    """How a budget's money goes, or went in the period that `at` is in. Raises NotFound, Invalid for a time to come."""
    now = ctx.now()
    budget = await load(ctx, BUDGET, path, name)
    if at is not None and at > now:
        raise invalid("at", "is in the future", "name a moment of the period that runs, or of one before it")
    period = budget.spec.period
    start, end = period_of(period, at or now)
    standing = await store.find_standing(ctx, budget.uid, start)
    runs = end is None or now < end
    until = now if end is None else min(now, end)
    begins = min(max(start, budget.metadata.creation_timestamp), until)
    rows = await store.list_spending(ctx, budget.uid, start)
    told = await store.list_told(ctx, budget.uid, start)
    forecast = await foresee(ctx, budget, standing.spent_nano, now) if runs else None
    return BurnDown(budget, start, end, begins, until, standing, told, forecasting.burn(rows, begins, until), forecast)


async def foresee(ctx: Context, budget: Budget, spent_nano: int, now: datetime) -> forecasting.Forecast:
    """Where the running period of a budget, of which so much is spent, will end."""
    period, since = budget.spec.period, now - forecasting.RECENT
    recent = await store.list_recent(ctx, budget.uid, since, period_of(period, since)[0])
    amount, born = budget.spec.amount_nano, budget.metadata.creation_timestamp
    return forecasting.foresee(period, amount, spent_nano, recent, born, now, period_of(period, now)[1])


async def release_lost(
    ctx: Context, path: str, name: str, holder: str | None, host: str | None
) -> Sequence[tuple[str, str, int]]:
    """Declare that the spools behind a budget's frozen leases are lost; (holder, host, nano-units freed) of each.

    What such a spool held is never charged, unless it turns up after all; then it counts in full. Raises NotFound,
    Forbidden, NothingLost.
    """
    budget = await load(ctx, BUDGET, path, name)
    await ctx.require(RELEASE_LOST, path)
    freed = await store.release_lost(ctx, budget.uid, holder, host)
    if not freed:
        raise NothingLost("no lease of this budget is frozen, or none of that holder and host; see its `leases`")
    await ctx.audit(
        "budget.release-lost",
        BUDGET.name,
        str(budget.uid),
        path,
        after={
            "holder": holder,
            "host": host,
            "released": [{"holder": who, "host": where, "amount": show_amount(nano)} for who, where, nano in freed],
        },
    )
    return freed
