"""Shows how each budget stands, and which leases nobody renews any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from ironworks.platform import billing
from ironworks.products.tokenfactory.budgets import service, store
from ironworks.products.tokenfactory.budgets.events import ThresholdReached
from ironworks.products.tokenfactory.budgets.forecasting import FINE_KEPT, TEN, Forecast, round_amount
from ironworks.products.tokenfactory.budgets.model import (
    ALWAYS,
    BUDGET,
    Budget,
    FrozenLease,
    Standing,
    period_of,
    show_amount,
)
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile import Outcome, Step, reconciles
from ironworks.shared.schedules import schedules

_LEASED: Final = 10.0
"""Seconds between looks at a budget of which gateways hold a part."""
_REST: Final = 3600.0
_KEPT: Final = timedelta(days=90)
_MERGED: Final = 5_000


@reconciles(BUDGET)
async def reconcile_budget(step: Step[Budget]) -> Outcome:
    """A budget works at once; this tells what is spent. It is enqueued when something is."""
    budget = step.resource
    if budget.deleting:
        return step.gone()
    start, end = period_of(budget.spec.period, step.now())
    async with step.read() as ctx:
        standing = await store.find_standing(ctx, budget.uid, start)
        forecast = await service.foresee(ctx, budget, standing.spent_nano, step.now())
    shown = _shown(budget, standing, start, end) | _foreseen(forecast)
    _tell_frozen(step, standing)
    again = _LEASED if standing.leased_nano or standing.frozen else _REST
    if end is not None:
        again = min(again, max(0.0, (end - step.now()).total_seconds()) + 0.5)
    if not standing.is_used_up(budget.spec.amount_nano):
        step.condition("WithinBudget", True, "WithinBudget")
        return step.ready(again=again, **shown)
    message = _remedy(budget, standing, end)
    step.condition("WithinBudget", False, "Exhausted", message)
    return step.ready(phase="Exhausted", reason="Exhausted", message=message, again=again, **shown)


def _shown(budget: Budget, standing: Standing, start: datetime, end: datetime | None) -> dict[str, Any]:
    frozen = [
        FrozenLease(
            holder=lease.holder,
            host=lease.host,
            amount=show_amount(max(0, lease.granted_nano - lease.used_nano)),
            since=lease.expires_at,
        ).model_dump(mode="json")
        for lease in standing.frozen
    ]
    left = budget.spec.amount_nano - standing.spent_nano - standing.leased_nano
    return {
        "period_start": start.isoformat(),
        "period_end": end.isoformat() if end else None,
        "spent": show_amount(standing.spent_nano),
        "reserved": show_amount(standing.leased_nano),
        "remaining": show_amount(max(0, left)),
        "unreserved": show_amount(standing.unreserved_nano),
        "frozen_leases": frozen,
    }


def _foreseen(forecast: Forecast) -> dict[str, Any]:
    """Roughly: it changes with every look, and a status that says the same is not written again."""
    at = forecast.runs_out_at
    return {
        "projected": None if forecast.end is None else show_amount(round_amount(forecast.end)),
        "runs_out_at": None if at is None else (at - (at - ALWAYS) % TEN).isoformat(),
    }


def _tell_frozen(step: Step[Budget], standing: Standing) -> None:
    if not standing.frozen:
        step.condition("LeasesLive", True, "LeasesLive")
        return
    held = show_amount(sum(max(0, lease.granted_nano - lease.used_nano) for lease in standing.frozen))
    hosts = ", ".join(sorted({lease.host for lease in standing.frozen}))
    step.condition(
        "LeasesLive",
        False,
        "LeasesFrozen",
        f"{held} is held by gateway processes of {hosts} that are not heard of; it is free once their spools are"
        " charged: start a gateway there, or declare them lost with `:release-lost`",
    )


def _remedy(budget: Budget, standing: Standing, end: datetime | None) -> str:
    until = f" or wait until {end.isoformat()}" if end else ""
    left, whole = budget.spec.amount_nano - standing.spent_nano, f"{budget.spec.amount} {budget.spec.currency}"
    if left <= 0 or standing.short_of is None:
        return f"all of {whole} is spent; raise the amount{until}"
    least = show_amount(standing.short_of)
    return f"{show_amount(left)} of {whole} is left, and a call that was refused needs {least}; raise the amount{until}"


@consumes(billing.UsageChargedLate.type, name="budgets.late_charges")
async def count_late_charges(ctx: Context, event: LoggedEvent) -> None:
    """What waited for a price counts when it is charged, in the period of its admission."""
    ids = event.payload_as(billing.UsageChargedLate).usage_event_ids
    await service.settle_late(ctx, ids, event.correlation_id)


@consumes(ThresholdReached.type, name="budgets.threshold_mail", start="now")
async def mail_of_threshold(ctx: Context, event: LoggedEvent) -> None:
    """Tell people what nobody watches."""
    await service.tell_of_threshold(ctx, event.event_id, event.payload_as(ThresholdReached))


@schedules(every=10)
async def freeze_leases(db: Database) -> None:
    """Mark leases that are past their expiry, so that their budgets show them."""
    async with db.transaction(system_actor("budgets")) as ctx:
        await store.freeze_leases(ctx)


@schedules(every=86_400)
async def prune_leases(db: Database) -> None:
    """Forget leases that were closed three months ago."""
    async with db.transaction(system_actor("budgets")) as ctx:
        await store.prune_leases(ctx, _KEPT)


@schedules(every=3600)
async def merge_spending(db: Database) -> None:
    """Keep what was spent some days ago by the hour."""
    merged = _MERGED
    while merged >= _MERGED:
        async with db.transaction(system_actor("budgets")) as ctx:
            merged = await store.merge_spending(ctx, ctx.now() - FINE_KEPT, _MERGED)
