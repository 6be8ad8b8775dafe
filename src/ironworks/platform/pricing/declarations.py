"""What pricing registers."""

from ironworks.platform.pricing.events import PriceCreated
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission

DECLARATIONS = Declarations(
    permissions=(Permission("price:create", "Add a version to the price book"),),
    audit_actions=(AuditAction("pricing.price.create", "A price version was added"),),
    events=(EventClass("platform.pricing.price_created.v1", PriceCreated),),
)
