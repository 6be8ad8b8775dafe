"""What the close of a period asks: which are over, what they charge, and on to the next.

Whoever closes may die and begin again, and an account may change its plan meanwhile: the first call of
`period_charges` settles a period's charges, every later one answers the same; what comes after is the next period's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from ironworks.platform import policy, pricing
from ironworks.platform.subscriptions import charges, store
from ironworks.platform.subscriptions.allowances import adjustment_nano, included_quantities, overage_prices
from ironworks.platform.subscriptions.events import (
    PlanChanged,
    SubscriptionCanceled,
    SubscriptionStarted,
)
from ironworks.platform.subscriptions.lifecycle import Plans, Step, roll
from ironworks.platform.subscriptions.model import (
    LATE,
    LIMITS,
    Charge,
    ChargeKind,
    DuePeriod,
    MeterUse,
    NewCharge,
    Subscription,
)
from ironworks.shared.context import Context

CANCELED: Final = "canceled"
"""The plan's name in the quotas of an account whose subscription is over: what there is stays, nothing is added."""


async def due_periods(ctx: Context, now: datetime, limit: int = 100) -> Sequence[DuePeriod]:
    """At most `limit` periods that are over at `now` and not closed, the oldest first. For the worker.

    One per subscription: the next one is due when `advance` has closed this one.
    """
    return await store.list_due(ctx, now.astimezone(UTC).date(), limit)


async def period_charges(ctx: Context, period: DuePeriod) -> Sequence[Charge]:
    """Fees, prorations and what is included, of a period that is over: the same however often it is asked.

    Fees are those of the period that begins as this one ends. For the worker. Empty for a period that no subscription
    has.
    """
    subscription = await store.lock_subscription(ctx, period.subscription_id)
    if subscription is None:
        return []
    if not await charges.is_settled(ctx, period):
        plans = await plans_of(ctx, subscription)
        subscription = await bring_to_today(ctx, subscription, plans)
        await charges.save_charges(ctx, subscription, await _included_charges(ctx, subscription, plans, period))
        await charges.settle_period(ctx, period)
    return await charges.list_billed(ctx, period)


async def advance(ctx: Context, period: DuePeriod) -> None:
    """The period is closed: go on to the next one. Nothing happens when it was closed before. For the worker.

    Raises ValueError for a period whose charges were never asked for: they would be lost.
    """
    subscription = await store.lock_subscription(ctx, period.subscription_id)
    if subscription is None or subscription.closes_on is None or subscription.closes_on > period.end:
        return
    if subscription.closes_on != period.end or not await charges.is_settled(ctx, period):
        raise ValueError(f"the period of {period.account} that ends on {period.end} is not settled: ask period_charges")
    await store.save_closed_to(ctx, replace(subscription, closed_to=period.end, opened=True))


async def list_subscribed(ctx: Context, accounts: Collection[str]) -> set[str]:
    """Those of these accounts of which a subscription closes what was used up to this month; the months of all others
    are closed by calendar, which those before a subscription's first day are too."""
    return await store.list_subscribed(ctx, accounts, today(ctx).replace(day=1))


# --- bringing a subscription to today ----------------------------------------------------------------------------


def today(ctx: Context) -> date:
    """The day in UTC."""
    return ctx.now().astimezone(UTC).date()


async def plans_of(ctx: Context, subscription: Subscription) -> Plans:
    """The plans that it was, is or will be on."""
    wanted = {span.plan_id for span in subscription.spans} | {subscription.plan_id, subscription.next_plan_id}
    return await store.get_plans(ctx, [plan for plan in wanted if plan is not None])


async def bring_to_today(ctx: Context, locked: Subscription, plans: Plans) -> Subscription:
    """Begin and end what is due of a locked subscription; where nothing is, nothing is written."""
    return await keep(ctx, locked, roll(locked, plans, today(ctx)), plans)


async def keep(ctx: Context, before: Subscription, step: Step, plans: Plans) -> Subscription:
    """Write what a decision about a locked subscription gave: its state, charges, events, quotas, and who did it."""
    after = step.subscription
    if after != before:
        await store.save_subscription(ctx, before, after)
    await charges.save_charges(ctx, after, step.charges)
    for event in step.events:
        await ctx.emit(event, after.account)
        name = event.type.split(".")[-2].removeprefix("subscription_")
        await ctx.audit(
            f"subscription.{name}", "subscription", str(after.id), after.account, after=event.model_dump(mode="json")
        )
    if any(isinstance(event, SubscriptionStarted | PlanChanged | SubscriptionCanceled) for event in step.events):
        await _set_quotas(ctx, after, plans)
    return after


async def _set_quotas(ctx: Context, subscription: Subscription, plans: Plans) -> None:
    if subscription.is_live:
        plan = plans[subscription.plan_id]
        limits = {name: plan.limits.get(name) for name in LIMITS}
        await policy.set_plan_quotas(ctx, subscription.account, limits, plan.name)
    else:
        await policy.set_plan_quotas(ctx, subscription.account, dict.fromkeys(LIMITS, 0), CANCELED)


# --- what is included --------------------------------------------------------------------------------------------


async def measure_use(ctx: Context, subscription: Subscription, plans: Plans, start: date, end: date) -> list[MeterUse]:
    """What an account used in [start, end) of what its plan included then, by meter; terms of its own go before.

    `start` is where a period of the subscription begins; nothing is included before its first one.
    """
    if start < subscription.started_on:
        return []
    included = included_quantities(subscription.spans, plans, start, end, subscription.natural_end(start))
    if not included:
        return []
    totals = await pricing.list_unadjusted(
        ctx, subscription.account, start, end, subscription.currency, sorted(included)
    )
    return [
        MeterUse(
            meter,
            sum(each.quantity for each in totals if each.meter == meter),
            quantity,
            sum(each.base_nano for each in totals if each.meter == meter),
        )
        for meter, quantity in sorted(included.items())
    ]


async def _included_charges(
    ctx: Context, subscription: Subscription, plans: Plans, closing: DuePeriod
) -> list[NewCharge]:
    """What is included of the period that closes, and what came late for those before, so that each is exact."""
    spans = await charges.list_settled(ctx, subscription.id, closing.end - LATE)
    found: list[NewCharge] = []
    for start, end in [*spans, (closing.start, closing.end)]:
        found += await _adjust_period(ctx, subscription, plans, start, end, closing.end)
    return found


async def _adjust_period(
    ctx: Context, subscription: Subscription, plans: Plans, start: date, end: date, due_on: date
) -> list[NewCharge]:
    used = await measure_use(ctx, subscription, plans, start, end)
    if not any(each.used for each in used):
        return []
    prices = overage_prices(subscription.spans, plans, start, end)
    before = await charges.sum_included(ctx, subscription.id, start)
    found = []
    for each in used:
        wanted = adjustment_nano(each.used, each.rated_nano, each.included, prices.get(each.meter))
        amount = wanted - before.get(each.meter, 0)
        if amount:
            found.append(_included(subscription, each, amount, start, end, due_on))
    return found


def _included(
    subscription: Subscription, use: MeterUse, amount_nano: int, start: date, end: date, due_on: date
) -> NewCharge:
    late = "" if end == due_on else f", {start} to {end - timedelta(days=1)}"
    free = min(use.used, use.included)
    charge = Charge(
        subscription.account,
        ChargeKind.INCLUDED,
        f"Included {use.meter}: {free:,} of {use.included:,}{late}",
        free,
        use.meter,
        amount_nano,
        f"subscription:{subscription.id}:included:{use.meter}:{start}:{due_on}",
    )
    return NewCharge(charge, due_on, use.meter, start)
