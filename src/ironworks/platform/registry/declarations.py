"""What the registry registers about itself."""

from ironworks.platform.registry.events import EntrySwitched
from ironworks.platform.registry.model import MANAGE, READ
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission(READ, "See what the installation's domains declare"),
        Permission(MANAGE, "Disable and enable registry entries"),
    ),
    audit_actions=(
        AuditAction("registry.entry.disable", "A registry entry was switched off"),
        AuditAction("registry.entry.enable", "A registry entry was switched on again"),
    ),
    events=(EventClass("platform.registry.entry_switched.v1", EntrySwitched),),
    topics=(Topic("registry", READ, "What domains declare, and what of it is switched off"),),
)
