"""Policy: how many of each kind an account or a platform may have.

Owns: the quotas of plans, as subscriptions sets them; the operator's overrides, with their expiry; the refusal of what
is beyond them, in the transaction that creates it; the view of what is used.
Never: knows what a plan costs or who is on which (subscriptions does), counts usage (metering), deletes what is beyond
a limit that was lowered, or limits what the operator's own scope holds.
Invariants:
  - what has no quota has no limit;
  - however many create at once, no more get in than may, and what was deleted gives its room back when it is gone;
  - the nearest limit counts: the platform's override, else the account's, else the plan's, else that of every account;
    what a platform with a limit of its own holds counts against that limit alone.
"""

from ironworks.platform.policy.model import CANCELED, EffectiveQuota, Override, Quotas
from ironworks.platform.policy.service import (
    check_quota,
    find_plan,
    list_quotas,
    override_quota,
    remove_override,
    set_plan_quotas,
)

__all__ = [
    "CANCELED",
    "EffectiveQuota",
    "Override",
    "Quotas",
    "check_quota",
    "find_plan",
    "list_quotas",
    "override_quota",
    "remove_override",
    "set_plan_quotas",
]
