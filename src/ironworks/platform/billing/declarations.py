"""What billing registers."""

from ironworks.shared.declarations import Declarations, Permission

DECLARATIONS = Declarations(
    permissions=(Permission("billing:read", "See balances, and why a request cost what it cost"),),
)
