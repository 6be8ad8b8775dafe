"""What the audit trail registers."""

from ironworks.platform.audit.model import ACCESS_DENIED, READ, VERIFY
from ironworks.shared.declarations import AuditAction, Declarations, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission(READ, "Read the audit trail of a scope and all below"),
        Permission(VERIFY, "Verify the audit chain of a platform, for which all its records are read"),
    ),
    audit_actions=(AuditAction(ACCESS_DENIED, "A request was refused for lack of a right"),),
    topics=(Topic("audit", READ, "Records of the audit trail"),),
)
