"""What this domain registers besides what its kind registers by itself."""

from __future__ import annotations

from typing import Final

from ironworks.shared.declarations import AuditAction, Declarations, Permission

READ: Final = "endpoint:trace-read"
DELETE: Final = "endpoint:trace-delete"
READ_ACTION: Final = "trace.read"
DELETE_ACTION: Final = "trace.delete"

DECLARATIONS = Declarations(
    permissions=(
        Permission(READ, "Read the texts of requests and answers that were traced"),
        Permission(DELETE, "Delete traces before their time"),
    ),
    audit_actions=(
        AuditAction(READ_ACTION, "Somebody read the texts of a traced request"),
        AuditAction(DELETE_ACTION, "A trace was deleted before its time"),
    ),
)
