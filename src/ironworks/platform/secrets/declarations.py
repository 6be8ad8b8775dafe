"""What the secret store registers."""

from ironworks.platform.secrets.model import ROTATE
from ironworks.shared.declarations import AuditAction, Declarations, Permission

DECLARATIONS = Declarations(
    permissions=(Permission(ROTATE, "Have the keys that secrets are kept with replaced, and see how far that is"),),
    audit_actions=(AuditAction("secrets.rotation.request", "New data keys were asked for"),),
)
