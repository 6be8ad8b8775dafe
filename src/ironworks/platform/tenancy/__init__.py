"""The tree of scopes: accounts, their platforms, and the tenants in them.

Owns: the kinds Account, Platform and Tenant; the register of every path that ever named one; a platform's lifecycle.
Never: decides who may do what (iam does), or what a plan allows (policy does).
Invariants:
  - a path never changes and never names a second node, not even after the first is deleted;
  - a node is deleted only when nothing is left in it, and nothing enters one that is being deleted;
  - a platform's phase moves along `model.TRANSITIONS` only; what it holds outlives every suspension;
  - from the commit on that suspends or cancels a platform, `shared.scope_running` is false in it: no key acts there.

Its hooks: `platform_tenancy.scope_open` says whether a scope exists, `shared.scope_running` whether keys may act in it.
"""

from ironworks.platform.tenancy.events import (
    AccountActivated,
    PlatformCancellationRequested,
    PlatformCancelled,
    PlatformProvisioned,
    PlatformResumed,
    PlatformSuspended,
)
from ironworks.platform.tenancy.model import (
    ACCOUNT,
    PLATFORM,
    TENANT,
    Account,
    Email,
    Node,
    Platform,
    ScopeEntry,
    Tenant,
    WrongPhase,
)
from ironworks.platform.tenancy.service import (
    activate_account,
    cancel_platform,
    end_cancelled_platforms,
    is_open,
    list_halted_scopes,
    list_scopes,
    open_account,
    require_scope,
    resume_platform,
    suspend_platform,
)

__all__ = [
    "ACCOUNT",
    "PLATFORM",
    "TENANT",
    "Account",
    "AccountActivated",
    "Email",
    "Node",
    "Platform",
    "PlatformCancellationRequested",
    "PlatformCancelled",
    "PlatformProvisioned",
    "PlatformResumed",
    "PlatformSuspended",
    "ScopeEntry",
    "Tenant",
    "WrongPhase",
    "activate_account",
    "cancel_platform",
    "end_cancelled_platforms",
    "is_open",
    "list_halted_scopes",
    "list_scopes",
    "open_account",
    "require_scope",
    "resume_platform",
    "suspend_platform",
]
