"""What reports registers. Reports of what customers may know of themselves ask for the permissions of bills."""

from ironworks.platform.reports.model import COST, MARGIN
from ironworks.shared.declarations import AuditAction, Declarations, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission(MARGIN, "See what usage costs the operator, and what is earned on it"),
        Permission(COST, "Say what usage costs the operator"),
    ),
    audit_actions=(AuditAction("reports.rate.create", "A cost rate's version was added"),),
    topics=(Topic("cost-rates", MARGIN, "What usage costs the operator"),),
)
