"""What this domain registers besides what its kind registers by itself."""

from __future__ import annotations

from typing import Final

from ironworks.shared.declarations import Declarations, Permission

INVOKE: Final = "endpoint:invoke"
LOGS: Final = "endpoint:logs"

DECLARATIONS = Declarations(
    permissions=(
        Permission(INVOKE, "Call models through the gateway"),
        Permission(LOGS, "Read the logs of replicas"),
    )
)
