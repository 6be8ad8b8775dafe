"""What policy registers. Each kind declares the quota of how many of it there may be by being one."""

from ironworks.platform.policy.model import OVERRIDE, READ
from ironworks.shared.declarations import AuditAction, Declarations, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission(READ, "See quotas and what is used of them"),
        Permission(OVERRIDE, "Allow more or less than a plan does"),
    ),
    audit_actions=(
        AuditAction("policy.plan.set", "What an account's plan allows was set"),
        AuditAction("policy.quota.override", "The operator allowed something else than the plan"),
        AuditAction("policy.quota.restore", "An override of a quota was removed"),
    ),
    topics=(Topic("quotas", READ, "What accounts and platforms may create"),),
)
