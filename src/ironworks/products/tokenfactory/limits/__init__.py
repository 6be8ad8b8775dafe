"""Limits: how much may be called at a scope and below, by a key, of a model, or by each end user.

Owns: the kind Limit, what it applies to, and the counts behind it, one truth for all gateway processes of a host.
Never: reads a request, knows who may call what, or counts money (budgets do).
Invariants: a request is debited at every limit on its way or at none; a limit above cannot be weakened below; a count
is never shared by two subjects; what a dead process had in flight is not counted; a clock that is set changes nothing.

Besides the usual files, from the bottom: `table.py` the counts in their file; `plans.py` which limits a request meets;
`headers.py`, `refusals.py` what the caller is told; `grants.py` what an admitted request goes on to use; `desk.py`
admission, one desk per gateway process.

Across hosts each of `n` enforces an equal part of every limit (`Desk.share`). While their number stands still, at most
the limit passes in all, and where a burst or a concurrency is smaller than `n`, one request per host. When a host
joins, the others enforce their larger parts until they have counted again: one part more, for that long.
"""

from ironworks.products.tokenfactory.limits.desk import Desk
from ironworks.products.tokenfactory.limits.grants import Grant
from ironworks.products.tokenfactory.limits.model import LIMIT, Exceeded, Limit, LimitSpec, LimitView
from ironworks.products.tokenfactory.limits.plans import Plan
from ironworks.products.tokenfactory.limits.refusals import not_permitted
from ironworks.products.tokenfactory.limits.service import count_hosts, list_limits, models_allowed

__all__ = [
    "LIMIT", "Desk", "Exceeded", "Grant", "Limit", "LimitSpec", "LimitView", "Plan", "count_hosts", "list_limits",
    "models_allowed", "not_permitted",
]  # fmt: skip
