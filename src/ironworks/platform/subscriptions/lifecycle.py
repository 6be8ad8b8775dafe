"""How a subscription moves: pure decisions, each giving the new state, its charges and what to tell.

Whatever is decided begins with `roll`, which brings a subscription to today: so a worker that is late, or a change
during a close, finds the same periods, fees and plans as one in time. All fees and prorations of a period add up to
the days that each plan was in force, to the nano-unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from ironworks.platform.subscriptions.days import next_boundary, share
from ironworks.platform.subscriptions.events import (
    CancellationScheduled,
    ChangeScheduled,
    PlanChanged,
    SubscriptionCanceled,
    SubscriptionPastDue,
    SubscriptionRecovered,
    SubscriptionStarted,
    TrialEnded,
)
from ironworks.platform.subscriptions.model import (
    GRACE,
    MAX_CHANGES,
    AlreadyOnPlan,
    Charge,
    ChargeKind,
    NewCharge,
    NoSubscription,
    PaymentOverdue,
    Plan,
    Preview,
    Span,
    Status,
    Subscription,
    SubscriptionEnding,
    TooManyChanges,
    When,
)
from ironworks.shared.context import Event

_DAY = timedelta(days=1)
Plans: TypeAlias = Mapping[UUID, Plan]
"""At least the plans that the subscription names."""


@dataclass(frozen=True, slots=True)
class Step:
    """A subscription after a decision, the charges that it made, and what is to be told."""

    subscription: Subscription
    charges: tuple[NewCharge, ...] = ()
    events: tuple[Event, ...] = ()

    def then(self, decide: Callable[[Subscription], Step]) -> Step:
        """The next decision, with all that came before it."""
        after = decide(self.subscription)
        return Step(after.subscription, self.charges + after.charges, self.events + after.events)


def start(
    subscription_id: UUID, account: str, plan: Plan, today: date, *, trial: bool, previous_end: date | None = None
) -> Step:
    """A new subscription: its first fee is due at once, or when the trial ends, which then is its anchor.

    What the account used before is closed with it: since the month began, or since `previous_end`, the day on which its
    last subscription ended.
    """
    trial_end = today + timedelta(days=plan.trial_days) if trial and plan.trial_days else None
    anchor = trial_end or today
    made = Subscription(
        id=subscription_id,
        account=account,
        plan_id=plan.id,
        currency=plan.currency,
        status=Status.TRIALING if trial_end else Status.ACTIVE,
        anchor_day=anchor.day,
        started_on=today,
        period_start=today,
        period_end=trial_end or next_boundary(anchor.day, today),
        closed_to=max(today.replace(day=1), previous_end or date.min),
        opened=False,
        trial_end=trial_end,
        spans=(Span(today, plan.id),),
    )
    told = SubscriptionStarted(subscription_id=made.id, account=account, plan_id=plan.id, trial_end=trial_end)
    return Step(made, () if trial_end else _fee(made, plan), (told,))


def roll(now: Subscription, plans: Plans, today: date) -> Step:
    """Bring a subscription to `today`: end it where it is to end, begin every period that has begun."""
    step = Step(now)
    while (at := step.subscription).status is not Status.CANCELED and today >= (at.ends_on or at.period_end):
        step = step.then(lambda s: _next_period(s, plans) if s.ends_on is None else _end(s, plans))
    return step


def _end(now: Subscription, plans: Plans) -> Step:
    """Over on `ends_on`: what was paid for later days is taken back."""
    assert now.ends_on is not None
    over = replace(now, status=Status.CANCELED, period_end=now.ends_on, next_plan_id=None)
    told = SubscriptionCanceled(subscription_id=now.id, account=now.account, plan_id=now.plan_id, ended_on=now.ends_on)
    return Step(over, _unused(now, plans[now.plan_id], now.ends_on, due_on=now.ends_on), (told,))


def _next_period(now: Subscription, plans: Plans) -> Step:
    begins = now.period_end
    plan_id = now.next_plan_id or now.plan_id
    base = {"subscription_id": now.id, "account": now.account}
    events: list[Event] = [TrialEnded(**base, plan_id=plan_id)] if now.trial_end == begins else []
    spans = now.spans
    if plan_id != now.plan_id:
        spans = (*spans, Span(begins, plan_id))
        events.append(PlanChanged(**base, previous_plan_id=now.plan_id, plan_id=plan_id, effective=begins))
    begun = replace(
        now,
        plan_id=plan_id,
        next_plan_id=None,
        status=Status.ACTIVE if now.status is Status.TRIALING else now.status,
        period_start=begins,
        period_end=now.natural_end(begins),
        spans=spans,
    )
    return Step(begun, _fee(begun, plans[plan_id]), tuple(events))


def change_plan(now: Subscription, plans: Plans, plan: Plan, when: When | None, today: date) -> Step:
    """Put a rolled subscription on `plan`. Default: a dearer one at once, any other at the period's end.

    Raises NoSubscription, SubscriptionEnding, AlreadyOnPlan and TooManyChanges. Choosing the present plan takes back a
    change that is scheduled.
    """
    _require_going_on(now)
    old = plans[now.plan_id]
    base = {"subscription_id": now.id, "account": now.account}
    if plan.id == old.id:
        if now.next_plan_id is None:
            raise AlreadyOnPlan(f"the account is on {plan.title} already", plan=plan.name)
        told = ChangeScheduled(**base, plan_id=None, effective=now.period_end)
        return Step(replace(now, next_plan_id=None), (), (told,))
    if moment_of(old, plan, when) is When.PERIOD_END:
        if now.next_plan_id == plan.id:
            raise AlreadyOnPlan(f"the change to {plan.title} is scheduled already", plan=plan.name)
        told = ChangeScheduled(**base, plan_id=plan.id, effective=now.period_end)
        return Step(replace(now, next_plan_id=plan.id), (), (told,))
    if sum(span.from_day == today for span in now.spans) > MAX_CHANGES:
        raise TooManyChanges(f"the plan was changed {MAX_CHANGES} times today: change it at the period's end")
    changed = replace(now, plan_id=plan.id, next_plan_id=None, spans=(*now.spans, Span(today, plan.id)))
    event = PlanChanged(**base, previous_plan_id=old.id, plan_id=plan.id, effective=today)
    if now.in_trial:
        return Step(changed, (), (event,)).then(lambda s: _shorten_trial(s, plans, plan, today))
    due = today + _DAY
    return Step(changed, (*_unused(now, old, today, due), *_remaining(changed, plan, today, due)), (event,))


def _shorten_trial(now: Subscription, plans: Plans, plan: Plan, today: date) -> Step:
    """There is one trial, from the first day on: a plan with a shorter one, or none, ends it, at the earliest today,
    and is paid from then on; one with a longer trial adds nothing."""
    ends = max(today, min(now.period_end, now.started_on + timedelta(days=plan.trial_days)))
    shorter = replace(now, trial_end=ends, period_end=ends, anchor_day=ends.day)
    return _next_period(shorter, {**plans, plan.id: plan}) if ends == today else Step(shorter)


def moment_of(old: Plan, new: Plan, when: When | None) -> When:
    """From when a change counts, where nobody said."""
    return when or (When.NOW if new.base_fee_nano > old.base_fee_nano else When.PERIOD_END)


def preview_change(now: Subscription, plans: Plans, plan: Plan, when: When | None, today: date) -> Preview:
    """What `change_plan` would do today. Raises what it raises."""
    step = change_plan(now, plans, plan, when, today)
    then = moment_of(plans[now.plan_id], plan, when)
    return Preview(
        plan,
        then,
        today if then is When.NOW else now.period_end,
        tuple(new.charge for new in step.charges),
        plan.base_fee_nano,
        step.subscription.period_end,
    )


def cancel(now: Subscription, when: When, reason: str, today: date) -> Step:
    """End a rolled subscription with its period, or with today (which is paid for). Raises NoSubscription."""
    _require_live(now)
    ends = now.period_end if when is When.PERIOD_END else min(today + _DAY, now.period_end)
    if now.ends_on is not None and now.ends_on <= ends:
        return Step(now)
    told = CancellationScheduled(subscription_id=now.id, account=now.account, ends_on=ends, reason=reason)
    return Step(replace(now, ends_on=ends), (), (told,))


def resume(now: Subscription, at: datetime) -> Step:
    """Take a cancellation back before it took effect; nothing happens where there is none.

    Raises NoSubscription, and PaymentOverdue where it ends because nobody paid.
    """
    _require_live(now)
    if now.grace_until is not None and now.grace_until <= at:
        raise PaymentOverdue(
            f"the time to pay was over on {now.grace_until.date()}: pay first, then resume",
            invoices=sorted(map(str, now.unpaid)),
        )
    if now.ends_on is None:
        return Step(now)
    told = CancellationScheduled(subscription_id=now.id, account=now.account, ends_on=None, reason="")
    return Step(replace(now, ends_on=None), (), (told,))


def miss_payment(now: Subscription, invoice_id: UUID, at: datetime) -> Step:
    """An invoice was not paid: past due, with grace from the first one on. Told once per invoice."""
    if now.status is Status.CANCELED or invoice_id in now.unpaid:
        return Step(now)
    until = now.grace_until or at + GRACE
    late = replace(now, status=Status.PAST_DUE, unpaid=now.unpaid | {invoice_id}, grace_until=until)
    told = SubscriptionPastDue(subscription_id=now.id, account=now.account, invoice_id=invoice_id, grace_until=until)
    return Step(late, (), (told,))


def settle_payment(now: Subscription, invoice_id: UUID) -> Step:
    """An invoice was paid, or is no longer asked for: active again when it was the last one."""
    if invoice_id not in now.unpaid:
        return Step(now)
    left = now.unpaid - {invoice_id}
    if left:
        return Step(replace(now, unpaid=left))
    if now.status is Status.CANCELED:
        return Step(replace(now, unpaid=left, grace_until=None))
    status = Status.TRIALING if now.in_trial else Status.ACTIVE
    well = replace(now, unpaid=left, grace_until=None, status=status)
    return Step(well, (), (SubscriptionRecovered(subscription_id=now.id, account=now.account),))


def _require_live(now: Subscription) -> None:
    if now.status is Status.CANCELED:
        raise NoSubscription(f"account {now.account} has no subscription: start one")


def _require_going_on(now: Subscription) -> None:
    _require_live(now)
    if now.ends_on is not None:
        raise SubscriptionEnding(f"the subscription ends on {now.ends_on}: resume it first", ends_on=str(now.ends_on))


def _fee(now: Subscription, plan: Plan) -> tuple[NewCharge, ...]:
    """The whole period's fee, due on its first day."""
    begins, ends = now.period_start, now.period_end
    text = f"{plan.title}, {begins} to {ends - _DAY}"
    return _charge(now, ChargeKind.FEE, text, 1, "month", plan.base_fee_nano, begins, f"fee:{begins}")


def _unused(now: Subscription, plan: Plan, day: date, due_on: date) -> tuple[NewCharge, ...]:
    """What the rest of the period from `day` on would have cost on `plan`, taken back."""
    left, amount = _rest(now, plan, day)
    text = f"Unused time on {plan.title} from {day}"
    tag = f"unused:{day}:{len(now.spans)}"
    return _charge(now, ChargeKind.PRORATION, text, left, "day", -amount, due_on, tag)


def _remaining(now: Subscription, plan: Plan, day: date, due_on: date) -> tuple[NewCharge, ...]:
    left, amount = _rest(now, plan, day)
    text = f"Remaining time on {plan.title} from {day}"
    tag = f"remaining:{day}:{len(now.spans)}"
    return _charge(now, ChargeKind.PRORATION, text, left, "day", amount, due_on, tag)


def _rest(now: Subscription, plan: Plan, day: date) -> tuple[int, int]:
    """Days of the current period from `day` on, and the part of the plan's fee that they bear; none in a trial."""
    days, gone = (now.period_end - now.period_start).days, (day - now.period_start).days
    return days - gone, 0 if now.in_trial else share(plan.base_fee_nano, days, gone, days)


def _charge(
    now: Subscription, kind: ChargeKind, text: str, quantity: int, unit: str, amount_nano: int, due_on: date, tag: str
) -> tuple[NewCharge, ...]:
    if amount_nano == 0:
        return ()
    reference = f"subscription:{now.id}:{tag}"
    return (NewCharge(Charge(now.account, kind, text, quantity, unit, amount_nano, reference), due_on),)
