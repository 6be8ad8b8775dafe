"""What the ledger registers."""

from ironworks.platform.ledger.events import CreditExpired, CreditGranted, CreditStateChanged, SnapshotMismatch
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission, Topic

POST = "ledger:post"

DECLARATIONS = Declarations(
    permissions=(Permission(POST, "Move money by hand: credit, manual payments, credit notes (the operator's)"),),
    audit_actions=(
        AuditAction("ledger.credit.grant", "An account got credit"),
        AuditAction("ledger.prepaid.set", "How an account pays beforehand was set"),
        AuditAction("ledger.prepaid.remove", "An account pays afterwards again"),
    ),
    events=(
        EventClass(CreditGranted.type, CreditGranted),
        EventClass(CreditExpired.type, CreditExpired),
        EventClass(CreditStateChanged.type, CreditStateChanged),
        EventClass(SnapshotMismatch.type, SnapshotMismatch),
    ),
    topics=(Topic("ledger", "billing:read", "Transfers, and so balances; credit, and who pays beforehand"),),
)
