"""What billing registers."""

from ironworks.platform.billing.events import UsageChargedLate
from ironworks.shared.declarations import Declarations, EventClass, Permission

DECLARATIONS = Declarations(
    permissions=(Permission("billing:read", "See balances, and why a request cost what it cost"),),
    events=(EventClass("platform.billing.usage_charged_late.v1", UsageChargedLate),),
)
