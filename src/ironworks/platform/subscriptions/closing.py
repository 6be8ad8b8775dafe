"""What the close of a period asks: which are over, what they charge, and on to the next.

Whoever closes may die and begin again, and an account may change its plan meanwhile: the first call of
`period_charges` settles a period's charges, every later one answers the same; what comes after is the next period's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from ironworks.platform import policy, pricing
from ironworks.platform.subscriptions import charges, store
from ironworks.platform.subscriptions.allowances import (
    PartUse,
    PeriodUse,
    adjustment_nano,
    included_quantities,
    plan_days,
)
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
    Plan,
    Subscription,
)
from ironworks.shared.context import Context


async def due_periods(ctx: Context, now: datetime, limit: int = 100) -> Sequence[DuePeriod]:
    """At most `limit` periods that are over at `now` and not closed, the oldest first. For the worker.

    One per subscription: the next one is due when `advance` has closed this one.
    """
    return await store.list_due(ctx, now.astimezone(UTC).date(), limit)


async def period_charges(ctx: Context, wanted: Sequence[DuePeriod]) -> list[list[Charge]]:
    """Of each period that is over its fees, prorations and what is included: the same however often it is asked.

    At most one period per subscription. Fees are those of the period that begins as this one ends. For the worker.
    Nothing for a period that no subscription has.
    """
    locked = await store.lock_subscriptions(ctx, {period.subscription_id for period in wanted})
    settled = await charges.find_settled(ctx, wanted)
    fresh = [p for p in wanted if p.subscription_id in locked and (p.subscription_id, p.end) not in settled]
    if fresh:
        found = [locked[period.subscription_id] for period in fresh]
        plans = await plans_of_all(ctx, found)
        # a period that closes is over, also by the clock of a worker that is behind
        rolled = [roll(s, plans, max(today(ctx), p.end)) for s, p in zip(found, fresh, strict=True)]
        now = await keep_all(ctx, list(zip(found, rolled, strict=True)), plans)
        await charges.save_charges(ctx, await _included_charges(ctx, list(zip(now, fresh, strict=True)), plans))
        await charges.settle_periods(ctx, fresh)
    return await charges.list_billed(ctx, wanted)


async def advance(ctx: Context, wanted: Sequence[DuePeriod]) -> None:
    """The periods are closed: go on to the next ones. Nothing happens where that was done before. For the worker.

    Raises ValueError for a period whose charges were never asked for: they would be lost.
    """
    locked = await store.lock_subscriptions(ctx, {period.subscription_id for period in wanted})
    settled = await charges.find_settled(ctx, wanted)
    closed = []
    for period in wanted:
        subscription = locked.get(period.subscription_id)
        if subscription is None or subscription.closes_on is None or subscription.closes_on > period.end:
            continue
        if subscription.closes_on != period.end or (subscription.id, period.end) not in settled:
            raise ValueError(
                f"the period of {period.account} that ends on {period.end} is not settled: ask period_charges"
            )
        closed.append(replace(subscription, closed_to=period.end, opened=True))
    await store.save_closed_to(ctx, closed)


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
    return await plans_of_all(ctx, [subscription])


async def plans_of_all(ctx: Context, found: Iterable[Subscription]) -> Plans:
    """The same of several."""
    wanted = {plan for s in found for plan in (s.plan_id, s.next_plan_id, *(span.plan_id for span in s.spans))}
    return await store.get_plans(ctx, [plan for plan in wanted if plan is not None])


async def bring_to_today(ctx: Context, locked: Subscription, plans: Plans) -> Subscription:
    """Begin and end what is due of a locked subscription; where nothing is, nothing is written."""
    return await keep(ctx, locked, roll(locked, plans, today(ctx)), plans)


async def keep(ctx: Context, before: Subscription, step: Step, plans: Plans) -> Subscription:
    """Write what a decision about a locked subscription gave: its state, charges, events, quotas, and who did it."""
    return (await keep_all(ctx, [(before, step)], plans))[0]


async def keep_all(ctx: Context, decided: Sequence[tuple[Subscription, Step]], plans: Plans) -> list[Subscription]:
    """The same of several."""
    changed = [(before, step.subscription) for before, step in decided if step.subscription != before]
    if changed:
        await store.save_subscriptions(ctx, changed)
    await charges.save_charges(ctx, [(step.subscription, each) for _, step in decided for each in step.charges])
    for _, step in decided:
        await _tell(ctx, step, plans)
    return [step.subscription for _, step in decided]


async def _tell(ctx: Context, step: Step, plans: Plans) -> None:
    after = step.subscription
    for event in step.events:
        await ctx.emit(event, after.account)
        name = event.type.split(".")[-2].removeprefix("subscription_")
        await ctx.audit(
            f"subscription.{name}", "subscription", str(after.id), after.account, after=event.model_dump(mode="json")
        )
    if any(isinstance(event, SubscriptionStarted | PlanChanged | SubscriptionCanceled) for event in step.events):
        await _set_quotas(ctx, after, plans)


async def _set_quotas(ctx: Context, subscription: Subscription, plans: Plans) -> None:
    if subscription.is_live:
        plan = plans[subscription.plan_id]
        limits = {name: plan.limits.get(name) for name in LIMITS}
        await policy.set_plan_quotas(ctx, subscription.account, limits, plan.name)
    else:
        await policy.set_plan_quotas(ctx, subscription.account, dict.fromkeys(LIMITS, 0), policy.CANCELED)


# --- what is included --------------------------------------------------------------------------------------------


async def measure_use(ctx: Context, subscription: Subscription, plans: Plans, start: date, end: date) -> list[MeterUse]:
    """What an account used in [start, end) of what its plan included then, by meter; terms of its own go before.

    `start` is where a period of the subscription begins; nothing is included before its first one.
    """
    (found,) = await _measure_all(ctx, [(subscription, start, end)], plans)
    return [MeterUse(use.meter, use.used, use.included) for use in found]


async def _measure_all(
    ctx: Context, wanted: Sequence[tuple[Subscription, date, date]], plans: Plans
) -> list[list[PeriodUse]]:
    """Of each period what was used of each meter that a plan of it included, on each plan's days."""
    included = [_included_in(subscription, plans, start, end) for subscription, start, end in wanted]
    days = [
        (n, plan, pricing.Period(s.account, begins, ends, s.currency), start)
        for n, (s, start, end) in enumerate(wanted)
        if included[n]
        for plan, begins, ends in plan_days(s.spans, start, end)
    ]
    meters = {meter for found in included for meter in found}
    totals = await pricing.list_unadjusted(ctx, [(period, start) for _, _, period, start in days], meters)
    by_period: list[list[tuple[Plan, Sequence[pricing.Total]]]] = [[] for _ in wanted]
    for (n, plan, _, _), used in zip(days, totals, strict=True):
        by_period[n].append((plans[plan], used))
    return [
        [PeriodUse(meter, quantity, [_part(plan, meter, used) for plan, used in parts])
         for meter, quantity in sorted(found.items())]
        for found, parts in zip(included, by_period, strict=True)
    ]  # fmt: skip


def _included_in(subscription: Subscription, plans: Plans, start: date, end: date) -> dict[str, int]:
    if start < subscription.started_on:
        return {}
    return included_quantities(subscription.spans, plans, start, end, subscription.natural_end(start))


def _part(plan: Plan, meter: str, totals: Sequence[pricing.Total]) -> PartUse:
    own = [each for each in totals if each.meter == meter]
    return PartUse(sum(each.quantity for each in own), sum(each.base_nano for each in own), plan.overage.get(meter))


async def _included_charges(
    ctx: Context, closing: Sequence[tuple[Subscription, DuePeriod]], plans: Plans
) -> list[tuple[Subscription, NewCharge]]:
    """What is included of the periods that close, and what came late for those before, so that each is exact."""
    before = await charges.list_settled(ctx, [(s.id, period.end - LATE) for s, period in closing])
    spans = [
        (s, start, end, period.end)
        for s, period in closing
        for start, end in [*before.get(s.id, ()), (period.start, period.end)]
    ]
    used = await _measure_all(ctx, [(s, start, end) for s, start, end, _ in spans], plans)
    busy = [(span, use) for span, use in zip(spans, used, strict=True) if any(each.used for each in use)]
    adjusted = await charges.sum_included(ctx, {(s.id, start) for (s, start, _, _), _ in busy})
    found = []
    for (s, start, end, due_on), use in busy:
        for each in use:
            wanted = adjustment_nano(each.parts, each.included)
            if amount := wanted - adjusted.get((s.id, start, each.meter), 0):
                found.append((s, _included(s, each, amount, start, end, due_on)))
    return found


def _included(
    subscription: Subscription, use: PeriodUse, amount_nano: int, start: date, end: date, due_on: date
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
