"""What tenancy registers."""

from __future__ import annotations

from ironworks.platform.tenancy.events import (
    AccountActivated,
    PlatformCancellationRequested,
    PlatformCancelled,
    PlatformProvisioned,
    PlatformResumed,
    PlatformSuspended,
)
from ironworks.platform.tenancy.model import CANCEL, RESUME, SUSPEND
from ironworks.shared.declarations import AuditAction, Declarations, EventClass, Permission

DECLARATIONS = Declarations(
    permissions=(
        Permission(SUSPEND, "Stop a platform: its keys stop working at once"),
        Permission(RESUME, "Let a suspended platform work again"),
        Permission(CANCEL, "End a platform, at a time or at once"),
    ),
    audit_actions=(
        AuditAction("platform.suspend", "A platform was suspended"),
        AuditAction("platform.resume", "A suspended platform was resumed"),
        AuditAction("platform.cancel", "A platform's cancellation was requested"),
        AuditAction("platform.cancelled", "A platform's cancellation took effect"),
        AuditAction("account.open", "An account was opened by sign-up"),
        AuditAction("account.activate", "A signed-up account was activated"),
    ),
    events=(
        EventClass("platform.tenancy.platform_provisioned.v1", PlatformProvisioned),
        EventClass("platform.tenancy.platform_suspended.v1", PlatformSuspended),
        EventClass("platform.tenancy.platform_resumed.v1", PlatformResumed),
        EventClass("platform.tenancy.platform_cancellation_requested.v1", PlatformCancellationRequested),
        EventClass("platform.tenancy.platform_cancelled.v1", PlatformCancelled),
        EventClass("platform.tenancy.account_activated.v1", AccountActivated),
    ),
)
