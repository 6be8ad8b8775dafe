"""Billing: what a customer owes, and why.

Owns: the way from usage to money (record, rate, post, in one transaction), the balance of a scope, and the explanation
of every amount down to the request.
Never: measures, prices or keeps money itself; it calls metering, pricing and ledger, which do not know each other.
Invariants: a usage event is charged once, whole or not at all, however often and from however many processes it is
handed in; the amounts of a transfer's rated lines add up to the transfer.
"""

from ironworks.platform.billing.events import UsageChargedLate
from ironworks.platform.billing.model import Charged, Explanation, ScopeBalance, UsageInput
from ironworks.platform.billing.service import (
    MAX_BATCH,
    charge_ingested,
    charge_readings,
    charge_usage,
    charge_waiting,
    explain_request,
    explain_transfer,
    get_scope_balance,
)

__all__ = [
    "MAX_BATCH",
    "Charged",
    "Explanation",
    "ScopeBalance",
    "UsageChargedLate",
    "UsageInput",
    "charge_ingested",
    "charge_readings",
    "charge_usage",
    "charge_waiting",
    "explain_request",
    "explain_transfer",
    "get_scope_balance",
]
