"""What this domain registers besides what its kind registers by itself."""

from __future__ import annotations

from typing import Final

from ironworks.products.tokenfactory.budgets.events import ThresholdReached
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission

RELEASE_LOST: Final = "budget:release-lost"

DECLARATIONS = Declarations(
    permissions=(Permission(RELEASE_LOST, "Declare that a lost host's spool, and what it held of a budget, is lost"),),
    audit_actions=(AuditAction("budget.release-lost", "Frozen leases of a budget were declared lost"),),
    events=(EventClass("tokenfactory.budgets.threshold_reached.v1", ThresholdReached),),
)
