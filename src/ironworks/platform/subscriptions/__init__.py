"""Subscriptions: which account is on which plan, and what that charges.

Owns: versions of plans, subscriptions with their periods, fees, prorations and included usage, suggestions of a larger
plan, and the meters of plans. `days.py` is the calendar, `lifecycle.py` how a subscription moves, `allowances.py` what
is included, `plans.py` what a new installation offers, all pure; `offering.py` is what is offered now, `closing.py`
what the close of a period asks, `charges.py` the rows that it settles, `shapes.py` what is said over HTTP.
Never: moves money or invoices it (invoices does, by `due_periods`, `period_charges` and `advance`), asks for payment,
or refuses what is beyond a limit (policy does, as the plan says).
Invariants: an account has at most one subscription that is not canceled; periods follow each other without gaps, on
whole UTC days; fees and prorations of a period add up to the days that each plan was in force, to the nano-unit; a
period's charges, once settled, never change, and each charge is taken by one close; a version of a plan never changes.
"""

from ironworks.platform.subscriptions.closing import advance, due_periods, list_subscribed, period_charges
from ironworks.platform.subscriptions.model import LATE, Charge, ChargeKind, DuePeriod, Plan, Status, Subscription, When
from ironworks.platform.subscriptions.offering import create_plan, list_plans, seed_plans, withdraw_plan
from ironworks.platform.subscriptions.plans import NewPlan
from ironworks.platform.subscriptions.service import (
    cancel_subscription,
    change_subscription,
    get_standing,
    preview_plan_change,
    resume_subscription,
    start_subscription,
)

__all__ = [
    "LATE",
    "Charge",
    "ChargeKind",
    "DuePeriod",
    "NewPlan",
    "Plan",
    "Status",
    "Subscription",
    "When",
    "advance",
    "cancel_subscription",
    "change_subscription",
    "create_plan",
    "due_periods",
    "get_standing",
    "list_plans",
    "list_subscribed",
    "period_charges",
    "preview_plan_change",
    "resume_subscription",
    "seed_plans",
    "start_subscription",
    "withdraw_plan",
]
