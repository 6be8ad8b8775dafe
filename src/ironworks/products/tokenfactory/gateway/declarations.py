"""What the gateway registers."""

from __future__ import annotations

from typing import Final

from ironworks.shared.declarations import Declarations, Permission, Topic

READ: Final = "gateway:read"

DECLARATIONS = Declarations(
    permissions=(Permission(READ, "See how the gateway's processes are, and what was wrong"),),
    topics=(Topic("route-health", "route:read", "How gateways see the targets of Routes", inherited=True),),
)
