"""What can be done to accounts and platforms besides declaring them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ironworks.platform.tenancy import store
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
    GOAL,
    PLATFORM,
    AccountSpec,
    Action,
    Node,
    Phase,
    ScopeEntry,
    check_transition,
    notice_ends,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import Conflict, Forbidden, NotFound
from ironworks.shared.lookup import load
from ironworks.shared.path import check_label, covers, join, show_path


async def suspend_platform(ctx: Context, path: str, name: str, reason: str) -> Node:
    """Stop a platform: its keys stop working within a second, and everything in it stays.

    Raises NotFound, Forbidden, WrongPhase.
    """
    node = await _move(ctx, path, name, "suspend", reason)
    await ctx.emit(PlatformSuspended(platform=node.uid, path=node.path, reason=reason), node.path)
    return node


async def resume_platform(ctx: Context, path: str, name: str) -> Node:
    """Let a suspended platform work again. Raises NotFound, Forbidden, WrongPhase."""
    node = await _move(ctx, path, name, "resume")
    await ctx.emit(PlatformResumed(platform=node.uid, path=node.path), node.path)
    return node


async def cancel_platform(ctx: Context, path: str, name: str, reason: str, ends_at: datetime | None = None) -> Node:
    """Give notice to a platform: it works until `ends_at` (UTC; 30 days from now; a past time means at once).

    Raises NotFound, Forbidden, WrongPhase, Invalid.
    """
    ends = notice_ends(ctx.now(), ends_at)
    node = await _move(ctx, path, name, "cancel", reason, ends)
    await ctx.emit(
        PlatformCancellationRequested(platform=node.uid, path=node.path, reason=reason, ends_at=ends), node.path
    )
    return await _end(ctx, node) if ends <= ctx.now() else node


async def end_cancelled_platforms(ctx: Context) -> int:
    """Cancel the platforms whose notice is over; returns how many. For the worker."""
    due = await store.fetch_ended(ctx)
    for node in due:
        await _end(ctx, node)
    return len(due)


async def find_node(ctx: Context, uid: UUID) -> Node | None:
    """The truth about a node, if the caller may see it."""
    return await store.fetch_node(ctx, uid)


async def advance_platform(ctx: Context, node: Node) -> None:
    """One step of provisioning: pending, provisioning, active. For the worker; does nothing if the node moved on."""
    then: Phase = "provisioning" if node.phase == "pending" else "active"
    check_transition(node.path, node.phase, then)
    moved = await store.move_node(ctx, node.uid, node.phase, then)
    if moved is not None and then == "active":
        await ctx.emit(PlatformProvisioned(platform=node.uid, path=node.path, id=node.external_id or ""), node.path)


async def require_scope(ctx: Context, path: str) -> None:
    """Raises NotFound for a path that never named a scope; call it after the caller's right there is checked."""
    if not await store.is_known(ctx, path):
        raise NotFound(f"no scope {show_path(path)!r} for this caller", scope=show_path(path))


async def list_scopes(ctx: Context, around: str, limit: int) -> tuple[list[ScopeEntry], bool]:
    """The first `limit` scopes that the caller may read, in the order of the tree, and whether there are more.

    Those on the way to `around`, a path, are among them in any case.
    """
    found = await store.fetch_scopes(ctx, around, limit + 1)
    kept = [scope for index, scope in enumerate(found) if index < limit or covers(scope.path, around)]
    return kept, len(found) > limit


async def is_open(ctx: Context, path: str) -> bool:
    """Whether a scope exists and is not being deleted; it stays so until the transaction ends."""
    return await store.is_open(ctx, path)


async def list_halted_scopes(ctx: Context) -> list[str]:
    """Paths at and below which no key may act: suspended, cancelled, being deleted, or not yet verified."""
    return await store.fetch_halted(ctx)


async def open_account(ctx: Context, name: str, contact_email: str, title: str | None = None) -> UUID:
    """Make an account that waits for `activate_account`; its keys do nothing until then. Needs no permission.

    Raises Invalid for a bad name and Conflict for one that is or was in use.
    """
    check_label(name, "account")
    spec = AccountSpec(contact_email=contact_email)
    uid = await store.open_account(ctx, name, spec.model_dump(mode="json"), title)
    await ctx.audit("account.open", ACCOUNT.name, f"-/{name}", name, after={"contact_email": contact_email})
    return uid


async def activate_account(ctx: Context, uid: UUID) -> str | None:
    """Make a waiting account active; its path, or None when it is gone or did not wait."""
    path = await store.activate_account(ctx, uid)
    if path is not None:
        await ctx.audit("account.activate", ACCOUNT.name, f"-/{path}", path)
        await ctx.emit(AccountActivated(account=uid, path=path), path)
    return path


async def _move(
    ctx: Context, path: str, name: str, action: Action, reason: str = "", ends_at: datetime | None = None
) -> Node:
    platform = await load(ctx, PLATFORM, path, name)
    place = join(path, name)
    if not await ctx.allows(f"platform:{action}", place):
        raise Forbidden(f"this needs the permission 'platform:{action}' at {place!r}", scope=place)
    node = await store.fetch_node(ctx, platform.uid, lock=True)
    if node is None or platform.deleting:
        raise Conflict(f"platform {place} is being deleted")
    check_transition(place, node.phase, GOAL[action])
    moved = await store.move_node(ctx, node.uid, node.phase, GOAL[action], reason, ends_at)
    assert moved is not None, "the row is locked"
    await ctx.audit(
        f"platform.{action}", PLATFORM.name, f"{path}/{name}", node.path,
        before={"phase": node.phase}, after={"phase": moved.phase, "reason": reason},
    )  # fmt: skip
    return moved


async def _end(ctx: Context, node: Node) -> Node:
    check_transition(node.path, node.phase, "cancelled")
    ended = await store.move_node(ctx, node.uid, node.phase, "cancelled", node.reason)
    await ctx.audit("platform.cancelled", PLATFORM.name, node.path, node.path, before={"phase": node.phase})
    await ctx.emit(PlatformCancelled(platform=node.uid, path=node.path), node.path)
    return ended or node
