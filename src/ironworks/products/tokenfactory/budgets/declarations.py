"""What this domain registers besides what its kind registers by itself."""

from __future__ import annotations

from typing import Final

from ironworks.products.tokenfactory.budgets.events import ThresholdReached
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, NotificationTemplate, Permission

RELEASE_LOST: Final = "budget:release-lost"
UPDATE: Final = "budget:update"
"""Who holds it at a budget's scope is told of its thresholds: he can do something about it."""

THRESHOLD = NotificationTemplate(
    "budgets.threshold_reached",
    subject="{percent} % of the budget {budget} is spent",
    body="""Hello,

{spent} of the {amount} {currency} of the budget {budget} is spent {since}: {percent} % or more of it.
When all is spent, a hard budget refuses calls until its next period; a soft one only tells. How it stands is shown by

    ironworks budgets show {budget}

and `ironworks budgets set` raises it. This comes once in a period for each of its thresholds, to those who may change
the budget.
""",
    variables=("budget", "percent", "spent", "amount", "currency", "since"),
)

DECLARATIONS = Declarations(
    permissions=(Permission(RELEASE_LOST, "Declare that a lost host's spool, and what it held of a budget, is lost"),),
    audit_actions=(AuditAction("budget.release-lost", "Frozen leases of a budget were declared lost"),),
    notification_templates=(THRESHOLD,),
    events=(EventClass("tokenfactory.budgets.threshold_reached.v1", ThresholdReached),),
)
