"""Budgets: how much may be spent at a scope, with a key or on a route, and the money that requests hold meanwhile.

Owns: the kind Budget; what is spent in each period, and when; leases, by which gateway processes reserve without
asking the database; the thresholds that were told.
Never: prices or charges anything (it counts what billing charged, in the same transaction), or keeps a request waiting
for the database while leased money covers it.
Invariants: spent + what live leases may still spend ≤ amount, unless the amount was lowered or something was served
outside the promise (soft, or open while the database was away), which is counted as such; a lease's expiry only stops
new reservations, its money is free when its holder gives it back, when the holder's spool is charged, or when an
operator declares that lost; an order about a lease names its epoch, or does nothing.

Besides the usual files: `desk.py` where a process reserves, `talks.py` how it asks for leases, `register.py` which
budgets it knows, `slices.py` what it holds of them, `refusals.py` what callers are told; pure asyncio, no SQL.
`forecasting.py` says how money burns down, and where that ends.
"""

from ironworks.products.tokenfactory.budgets.desk import Desk
from ironworks.products.tokenfactory.budgets.model import (
    BUDGET,
    Ask,
    Budget,
    BudgetView,
    Charge,
    Lender,
    NothingLost,
    Terms,
    period_of,
    show_amount,
)
from ironworks.products.tokenfactory.budgets.refusals import Refused
from ironworks.products.tokenfactory.budgets.service import (
    adjust_lease,
    close_leases,
    list_views,
    recalled_leases,
    release_lost,
    settle_usage,
)
from ironworks.products.tokenfactory.budgets.slices import Plan, Reservation
from ironworks.products.tokenfactory.budgets.talks import DeskSettings

__all__ = [
    "BUDGET",
    "Ask",
    "Budget",
    "BudgetView",
    "Charge",
    "Desk",
    "DeskSettings",
    "Lender",
    "NothingLost",
    "Plan",
    "Refused",
    "Reservation",
    "Terms",
    "adjust_lease",
    "close_leases",
    "list_views",
    "period_of",
    "recalled_leases",
    "release_lost",
    "settle_usage",
    "show_amount",
]
