"""What the console registers."""

from ironworks.platform.console.model import REGISTER
from ironworks.shared.declarations import AuditAction, Declarations, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(Permission(REGISTER, "Register and remove features of the console, whose code every browser runs"),),
    audit_actions=(
        AuditAction("console.feature.register", "A feature of the console was registered or replaced"),
        AuditAction("console.feature.remove", "A registered feature of the console was removed"),
        AuditAction("console.feature.switch", "A feature of the console was switched for a platform"),
    ),
    topics=(
        Topic("features", "platform:read", "Features of the console, and which platform has them", inherited=True),
    ),
)
