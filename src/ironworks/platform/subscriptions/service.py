"""Subscribing, changing and ending, and what happens when a payment fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid4

from ironworks.platform import policy, pricing, tenancy
from ironworks.platform.subscriptions import charges, store
from ironworks.platform.subscriptions.closing import bring_to_today, keep, measure_use, plans_of, today
from ironworks.platform.subscriptions.events import UpgradeSuggested
from ironworks.platform.subscriptions.lifecycle import (
    Plans,
    Step,
    cancel,
    change_plan,
    miss_payment,
    moment_of,
    preview_change,
    resume,
    roll,
    settle_payment,
    start,
)
from ironworks.platform.subscriptions.model import (
    LIMITS,
    THRESHOLDS,
    AlreadySubscribed,
    ListedCharge,
    MeterUse,
    NoSubscription,
    PaymentOverdue,
    Plan,
    PlanTooSmall,
    Preview,
    PreviewStale,
    Standing,
    Status,
    Subscription,
    Suggestion,
    When,
)
from ironworks.platform.subscriptions.offering import find_offer
from ironworks.shared.context import Context
from ironworks.shared.errors import Conflict, invalid
from ironworks.shared.path import level, show_path

READ: Final = "subscription:read"
UPDATE: Final = "subscription:update"
Decision = Callable[[Subscription, Plans], Step]

# --- subscriptions -----------------------------------------------------------------------------------------------


async def get_standing(ctx: Context, account: str) -> Standing:
    """An account's subscription as of today, or its last one, with what is used of what is included.

    Needs `subscription:read`. Raises NotFound and Forbidden, NoSubscription.
    """
    await _require(ctx, READ, account)
    found = await store.find_last(ctx, account)
    if found is None:
        raise NoSubscription(f"account {account} has no subscription: it pays for what it uses, by calendar month")
    plans = await plans_of(ctx, found)
    now = roll(found, plans, today(ctx)).subscription
    use = await measure_use(ctx, now, plans, now.period_start, now.period_end) if now.is_live else []
    return Standing(now, plans[now.plan_id], plans[now.next_plan_id] if now.next_plan_id else None, tuple(use))


async def list_subscriptions(
    ctx: Context,
    status: Status | None = None,
    after: tuple[str, str] = ("", ""),
    limit: int = 100,
    plan_name: str | None = None,
) -> list[Subscription]:
    """Subscriptions that the caller may see, by account and id, past `after` (account, id); those on a plan, in any of
    its versions."""
    return await store.list_subscriptions(ctx, status, after, limit, plan_name)


async def start_subscription(
    ctx: Context, account: str, plan_name: str, *, trial: bool = True, currency: str = pricing.CURRENCY
) -> Subscription:
    """Subscribe an account to the latest version of a plan, with its trial if the account never had a subscription.

    Needs `subscription:update`. Raises NotFound, Forbidden, Invalid, PlanWithdrawn, AlreadySubscribed, PaymentOverdue
    where invoices of the last one were never paid, and Conflict where the account's usage is rated in another currency.
    """
    await _require(ctx, UPDATE, account)
    plan = await find_offer(ctx, plan_name, currency)
    await _require_currency(ctx, account, currency)
    last = await _end_what_is_over(ctx, account)
    if last is not None and last.is_live:
        raise AlreadySubscribed(f"account {account} has a subscription: change its plan instead")
    if last is not None and last.unpaid:
        raise PaymentOverdue(
            f"invoices of account {account}'s last subscription are unpaid: pay them first",
            invoices=sorted(map(str, last.unpaid)),
        )
    previous_end = last.ends_on if last else None
    step = start(uuid4(), account, plan, today(ctx), trial=trial and last is None, previous_end=previous_end)
    if not await store.create_subscription(ctx, step.subscription):
        raise AlreadySubscribed(f"account {account} was subscribed at the same time: look at its subscription")
    return await keep(ctx, step.subscription, step, {plan.id: plan})


async def _end_what_is_over(ctx: Context, account: str) -> Subscription | None:
    """The account's last subscription, brought to today where it is not canceled."""
    live = await store.find_live(ctx, account, lock=True)
    return (
        await store.find_last(ctx, account)
        if live is None
        else await bring_to_today(ctx, live, await plans_of(ctx, live))
    )


async def preview_plan_change(ctx: Context, account: str, plan_name: str, when: When | None = None) -> Preview:
    """What changing to the latest version of a plan would cost today; changes nothing.

    Needs `subscription:read`. Raises what `change_subscription` raises.
    """
    await _require(ctx, READ, account)
    found = await store.find_live(ctx, account)
    if found is None:
        raise _none(account)
    known = await plans_of(ctx, found)
    plan = await find_offer(ctx, plan_name, found.currency, known[found.plan_id])
    plans = {**known, plan.id: plan}
    now = roll(found, plans, today(ctx)).subscription
    await _require_room(ctx, plans[now.plan_id], plan, when, account)
    return preview_change(now, plans, plan, when, today(ctx))


async def change_subscription(
    ctx: Context, account: str, plan_name: str, when: When | None = None, expected_nano: int | None = None
) -> Subscription:
    """Put an account on the latest version of a plan: a dearer one at once, any other at the period's end.

    Args:
        when: otherwise.
        expected_nano: what the preview said is due; refused where it is something else by now.

    Needs `subscription:update`. Raises NotFound, Forbidden, Invalid, NoSubscription, AlreadyOnPlan, SubscriptionEnding,
    PlanWithdrawn, PlanTooSmall, TooManyChanges and PreviewStale.
    """
    await _require(ctx, UPDATE, account)
    found = await store.find_live(ctx, account, lock=True)
    if found is None:
        raise _none(account)
    present = (await plans_of(ctx, found))[found.plan_id]
    plan = await find_offer(ctx, plan_name, found.currency, present)
    await _require_room(ctx, present, plan, when, account)

    def decide(now: Subscription, plans: Plans) -> Step:
        step = change_plan(now, plans, plan, when, today(ctx))
        due = sum(new.charge.amount_nano for new in step.charges)
        if expected_nano not in (None, due):
            raise PreviewStale(
                f"this would cost {pricing.show_nano(due)} {now.currency}, not what was expected: preview it again",
                due_nano=due,
            )
        return step

    return await _decide(ctx, found, decide, plan)


async def cancel_subscription(
    ctx: Context, account: str, when: When = When.PERIOD_END, reason: str = ""
) -> Subscription:
    """End an account's subscription with its period, or with today; days that are paid and not used are taken back.

    Needs `subscription:update`. Raises NotFound, Forbidden and NoSubscription.
    """
    return await _change(ctx, account, lambda now, plans: cancel(now, when, reason, today(ctx)))


async def resume_subscription(ctx: Context, account: str) -> Subscription:
    """Take a cancellation back before it takes effect.

    Needs `subscription:update`. Raises NotFound, Forbidden, NoSubscription, and PaymentOverdue where it ends because
    nobody paid.
    """
    return await _change(ctx, account, lambda now, plans: resume(now, ctx.now()))


async def list_charges(ctx: Context, account: str, before: tuple[date, str], limit: int = 100) -> list[ListedCharge]:
    """An account's charges, newest first, past `before` (day, reference)."""
    await _require(ctx, READ, account)
    return await charges.list_charges(ctx, account, before, limit)


async def list_suggestions(
    ctx: Context, account: str, before: tuple[datetime, str], limit: int = 100
) -> list[Suggestion]:
    """Larger plans that were suggested to an account, newest first, older than `before` (time, `meter:percent`)."""
    await _require(ctx, READ, account)
    return await charges.list_suggestions(ctx, account, before, limit)


async def _change(ctx: Context, account: str, decide: Decision) -> Subscription:
    await _require(ctx, UPDATE, account)
    found = await store.find_live(ctx, account, lock=True)
    if found is None:
        raise _none(account)
    return await _decide(ctx, found, decide)


async def _decide(ctx: Context, locked: Subscription, decide: Decision, *more: Plan) -> Subscription:
    """Bring a locked subscription to today, then decide, and keep both."""
    plans = {**await plans_of(ctx, locked), **{plan.id: plan for plan in more}}
    step = roll(locked, plans, today(ctx)).then(lambda now: decide(now, plans))
    return await keep(ctx, locked, step, plans)


async def _require(ctx: Context, permission: str, account: str) -> None:
    await ctx.require(permission, account)
    if level(account) != 1:
        raise invalid("path", f"{show_path(account)!r} is no account", "an account holds the subscription: name it")
    await tenancy.require_scope(ctx, account)


async def _require_room(ctx: Context, present: Plan, wanted: Plan, when: When | None, account: str) -> None:
    """Nobody takes a large plan and gives it back on the same day, for nothing, with all that it let him make."""
    if moment_of(present, wanted, when) is not When.NOW or wanted.base_fee_nano >= present.base_fee_nano:
        return
    for quota in await policy.list_quotas(ctx, account):
        most = wanted.limits.get(quota.name)
        if quota.name in LIMITS and not quota.overridden and most is not None and (quota.used or 0) > most:
            raise PlanTooSmall(
                f"{wanted.title} allows {most} {quota.name} and there are {quota.used}: delete what is too much,"
                " or change at the period's end",
                quota=quota.name, limit=most, used=quota.used,
            )  # fmt: skip


async def _require_currency(ctx: Context, account: str, currency: str) -> None:
    """What a plan includes is taken off usage in its own currency, and off no other."""
    await pricing.lock_currency(ctx, account)
    rated = await pricing.find_currency(ctx, account)
    if rated != currency:
        raise Conflict(f"account {account} is charged in {rated}: choose a plan in {rated}", currency=rated)
    for later in await pricing.list_currencies(ctx, account):
        if later.valid_from > ctx.now() and later.currency != currency:
            raise Conflict(
                f"account {account} is charged in {later.currency} from {later.valid_from:%Y-%m-%d %H:%M} UTC on:"
                f" choose a plan in {later.currency} then",
                currency=later.currency,
            )


def _none(account: str) -> NoSubscription:
    return NoSubscription(f"account {account} has no subscription: start one")


# --- without a caller --------------------------------------------------------------------------------------------


async def list_rolling(ctx: Context, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions whose period, or which themselves, are over, by id, past `after`."""
    return await store.list_rolling(ctx, today(ctx), after, limit)


async def roll_one(ctx: Context, subscription_id: UUID) -> None:
    """Begin and end the periods of a subscription where that is due. One whose account is deleted ends with its period:
    nobody is left whom another fee could be for."""
    locked = await store.lock_subscription(ctx, subscription_id)
    if locked is None or not locked.is_live:
        return
    plans, step = await plans_of(ctx, locked), Step(locked)
    if not await tenancy.is_open(ctx, locked.account):
        step = cancel(locked, When.PERIOD_END, "the account was deleted", today(ctx))
    await keep(ctx, locked, step.then(lambda now: roll(now, plans, today(ctx))), plans)


async def list_out_of_grace(ctx: Context, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions whose grace is over and which nobody has ended yet, by id, past `after`."""
    return await store.list_out_of_grace(ctx, ctx.now(), today(ctx), after, limit)


async def end_unpaid(ctx: Context, subscription_id: UUID) -> None:
    """End a subscription whose grace is over with today."""
    locked = await store.lock_subscription(ctx, subscription_id)
    if locked is not None and locked.is_live:
        await _decide(ctx, locked, lambda now, plans: _end_unpaid(ctx, now))


def _end_unpaid(ctx: Context, now: Subscription) -> Step:
    over = now.status is Status.PAST_DUE and now.grace_until is not None and now.grace_until <= ctx.now()
    return cancel(now, When.NOW, "not paid within the time of grace", today(ctx)) if over else Step(now)


async def note_unpaid(ctx: Context, account: str, invoice_id: UUID) -> None:
    """An invoice of the account was not paid: its subscription, if it has one, is past due. For the worker."""
    locked = await store.find_live(ctx, account, lock=True)
    if locked is not None:
        await _decide(ctx, locked, lambda now, plans: miss_payment(now, invoice_id, ctx.now()))


async def note_settled(ctx: Context, account: str, invoice_id: UUID) -> None:
    """An invoice of the account is paid, or no longer asked for. For the worker."""
    last = await store.find_last(ctx, account)
    locked = await store.lock_subscription(ctx, last.id) if last else None
    if locked is not None:
        await _decide(ctx, locked, lambda now, plans: settle_payment(now, invoice_id))


async def list_live(ctx: Context, after: UUID, limit: int) -> list[UUID]:
    """Subscriptions that are not over, by id, past `after`."""
    return await store.list_live(ctx, after, limit)


async def suggest_upgrade(ctx: Context, subscription_id: UUID) -> None:
    """Suggest a larger plan where usage passed a threshold, each once. For the worker."""
    found = await store.find_subscription(ctx, subscription_id)
    if found is not None:
        await _suggest(ctx, found, await store.list_plans(ctx, latest=True))


async def _suggest(ctx: Context, found: Subscription, offers: Sequence[Plan]) -> None:
    plans = await plans_of(ctx, found)
    now = roll(found, plans, today(ctx)).subscription
    if not now.is_live:
        return
    for use in await measure_use(ctx, now, plans, now.period_start, now.period_end):
        larger = _next_larger(plans[now.plan_id], use, offers)
        for percent in THRESHOLDS:
            if larger is not None and use.used * 100 >= use.included * percent:
                await _tell(ctx, now, use, percent, larger)


def _next_larger(plan: Plan, use: MeterUse, offers: Sequence[Plan]) -> Plan | None:
    """The cheapest plan that includes more of the meter than the present one."""
    more = [
        offer for offer in offers
        if offer.currency == plan.currency and offer.base_fee_nano > plan.base_fee_nano
        and offer.included.get(use.meter, 0) > plan.included.get(use.meter, 0)
    ]  # fmt: skip
    return min(more, key=lambda offer: offer.base_fee_nano, default=None)


async def _tell(ctx: Context, now: Subscription, use: MeterUse, percent: int, larger: Plan) -> None:
    suggestion = Suggestion(
        now.id, now.account, now.period_start, use.meter, percent, use.used, use.included, larger.name
    )
    if await charges.save_suggestion(ctx, suggestion, ctx.now()):
        event = UpgradeSuggested(
            subscription_id=now.id,
            account=now.account,
            meter=use.meter,
            percent=percent,
            used=use.used,
            included=use.included,
            plan=larger.name,
        )
        await ctx.emit(event, now.account)
