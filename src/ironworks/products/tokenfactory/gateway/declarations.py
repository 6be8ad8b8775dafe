"""What the gateway registers."""

from __future__ import annotations

from typing import Final

from ironworks.shared.declarations import Declarations, Permission

READ: Final = "gateway:read"

DECLARATIONS = Declarations(permissions=(Permission(READ, "See how the gateway's processes are, and what was wrong"),))
