"""Use cases of keys, roles, links and the caller; proving who one is has modules of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from ironworks.platform.iam import store
from ironworks.platform.iam.events import KeyRotated
from ironworks.platform.iam.links import LIVES, LinkMail, Purpose, new_token
from ironworks.platform.iam.model import (
    API_KEY,
    MAX_GRACE,
    MAX_PREFERENCES,
    PRESETS,
    USER,
    GatewayKey,
    OwnSession,
    new_key,
    preset_permissions,
    token_hash,
)
from ironworks.shared.context import Context, to_json
from ironworks.shared.errors import Conflict, Forbidden, NotFound, invalid
from ironworks.shared.lookup import load
from ironworks.shared.path import parse_path, show_path


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key's text, shown this once."""

    uid: UUID
    name: str
    text: str = field(repr=False)


async def arm_link(ctx: Context, link: UUID) -> LinkMail | None:
    """Make the next token of a link, and what to mail it with; None where nothing waits. For the worker."""
    purpose = cast(Purpose | None, await store.fetch_link_purpose(ctx, link))
    if purpose is None:
        return None
    token, life = new_token(purpose), LIVES[purpose]
    armed = await store.arm_link(ctx, link, token_hash(token), ctx.now() + life)
    if armed is None:
        return None
    if purpose == "password":
        await ctx.audit("iam.password.link", USER.name, armed.email)
    elif purpose == "invitation":
        await ctx.touch("invitations", parse_path(armed.scope or "-"))
    return LinkMail(
        purpose, armed.email, token, life, armed.known, name=armed.display_name or "", account=armed.account or "",
        scope=armed.scope or "", role=armed.role or "", inviter=armed.inviter or "",
    )  # fmt: skip


async def rotate_key(ctx: Context, path: str, name: str, grace: timedelta = timedelta(0)) -> IssuedKey:
    """Issue an API key's secret, or replace it; the former one goes on working for `grace`, at most 7 days.

    Whoever learns the secret must hold all that the key holds. Raises NotFound, Forbidden, Conflict, Invalid.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise invalid("grace_seconds", "is out of range", f"0 to {int(MAX_GRACE.total_seconds())}")
    key = await load(ctx, API_KEY, path, name)
    if key.deleting:
        raise Conflict(f"the key {name!r} is being deleted")
    await ctx.require("api-key:rotate", path)
    text = new_key(key.uid)
    await store.save_key_hash(ctx, key.uid, token_hash(text), grace)
    await ctx.audit(
        "iam.key.rotate", API_KEY.name, f"{show_path(path)}/{name}", path,
        after={"grace_seconds": int(grace.total_seconds())},
    )  # fmt: skip
    await ctx.emit(KeyRotated(key=key.uid), path)
    return IssuedKey(key.uid, f"{show_path(path)}/{name}", text)


async def set_password(ctx: Context, name: str, hashed: str) -> None:
    """Set another user's password and end his sessions; the caller must hold everything that user holds.

    `hashed` is from `PasswordHashing.hash`. Raises NotFound, Forbidden.
    """
    user = await load(ctx, USER, "", name)
    await store.save_password(ctx, user.uid, hashed)
    await store.end_sessions(ctx, user.uid, "password")
    await ctx.audit("iam.password.change", USER.name, f"-/{name}")


async def list_own_sessions(ctx: Context) -> list[OwnSession]:
    """The caller's sign-ins that last, those used last first; at most 1,000. Raises Forbidden for what is no user."""
    _require_user(ctx)
    return await store.fetch_own_sessions(ctx)


async def end_own_session(ctx: Context, session: UUID) -> None:
    """End one of the caller's sign-ins. Raises NotFound for one that is over or another's, Forbidden."""
    _require_user(ctx)
    if not await store.end_own_sessions(ctx, only=session):
        raise NotFound(f"you have no session {session} that lasts")
    await ctx.audit("iam.session.end", USER.name, ctx.actor.name, after={"session": str(session)})


async def end_own_sessions(ctx: Context, *, but_this: bool) -> int:
    """End all of the caller's sign-ins, or all but the one he acts in; returns how many. Raises Forbidden."""
    _require_user(ctx)
    ended = await store.end_own_sessions(ctx, but=ctx.actor.session if but_this else None)
    if ended:
        await ctx.audit("iam.session.end", USER.name, ctx.actor.name, after={"sessions": ended})
    return ended


def _require_user(ctx: Context, what: str = "sessions") -> None:
    if ctx.actor.kind != "user":
        raise Forbidden(f"only a signed-in user has {what}")


async def list_people_with(ctx: Context, permission: str, place: str) -> list[tuple[UUID, str]]:
    """(user, e-mail address) of those who are to be told of what concerns a scope, by address; at most 100.

    They hold the permission there by a role of the account that the scope lies in; where it has nobody, by one of the
    operator's. For the worker.
    """
    return await store.fetch_people_with(ctx, permission, place)


async def describe_caller(ctx: Context) -> dict[str, Any]:
    """Who the caller is, its roles and where it holds them. Raises NotFound for one that is gone or disabled."""
    found = await store.fetch_caller(ctx)
    if found is None:
        raise NotFound("this subject is gone or disabled: it may do nothing")
    return found


async def read_preferences(ctx: Context) -> dict[str, Any]:
    """What the caller's pages remember of him. Raises Forbidden for what is no user."""
    _require_user(ctx, "preferences")
    return await store.fetch_preferences(ctx)


async def save_preferences(ctx: Context, preferences: dict[str, Any]) -> None:
    """Make these all that the caller's pages remember. Raises Invalid for too much, Forbidden for what is no user."""
    _require_user(ctx, "preferences")
    size = len(to_json(preferences).encode())
    if size > MAX_PREFERENCES:
        raise invalid("preferences", f"has {size} bytes as JSON", f"send at most {MAX_PREFERENCES}")
    await store.save_preferences(ctx, preferences)


async def rename_self(ctx: Context, display_name: str | None) -> None:
    """Change how the caller is called. Raises Forbidden for what is no user."""
    _require_user(ctx, "a name to change here")
    before = await store.rename_self(ctx, display_name)
    if before != display_name:
        await ctx.audit(
            "iam.profile.change", USER.name, ctx.actor.name,
            before={"display_name": before}, after={"display_name": display_name},
        )  # fmt: skip


async def explain_access(ctx: Context, subject: str, permission: str, scope: str) -> dict[str, Any]:
    """Why `subject` (`user:…`, `service-account:…` or `api-key:…`) holds a permission in `scope`, or why not.

    The right to read the assignments there was asked for. Raises NotFound for a subject that the caller does not know.
    """
    found = await store.explain_access(ctx, subject, permission, scope)
    if found is None:
        raise _unknown(subject)
    return found


async def list_held_permissions(ctx: Context, subject: str, scope: str) -> dict[str, Any]:
    """All that `subject` may do in `scope` now; the right to read the assignments there was asked for.

    Raises NotFound for a subject that the caller does not know.
    """
    found = await store.fetch_held(ctx, subject, scope)
    if found is None:
        raise _unknown(subject)
    return found


def _unknown(subject: str) -> NotFound:
    return NotFound(f"no subject {subject[:120]!r} that you may see: write user:alice@example.com,"
                    " service-account:path/name or api-key:path/name")  # fmt: skip


async def list_members(ctx: Context, scope: str, *, below: bool, after: str, limit: int) -> dict[str, Any]:
    """Who has a role in `scope` or above it, or only `below` it, by subject, past the subject `after`.

    The right to read the assignments there was asked for; of those above, what the caller may read is told.
    """
    return await store.fetch_members(ctx, scope, below=below, after=after, limit=limit)


async def list_gateway_keys(ctx: Context, only: Collection[UUID] | None = None) -> list[GatewayKey]:
    """What the gateway must know of every issued key, or of those that are among `only` or whose owner is.

    For the gateway's role. A key that is gone is not among them.
    """
    return await store.fetch_gateway_keys(ctx, only)


async def touch_keys(ctx: Context, keys: Sequence[UUID]) -> None:
    """Note that these keys were used now; kept to within five minutes."""
    await store.touch_keys(ctx, keys)


async def sync_presets(ctx: Context, declared: Iterable[str]) -> None:
    """Make the preset roles hold what the declared permissions give them. At start, as the worker; idempotent."""
    held = preset_permissions(declared)
    await store.sync_presets(
        ctx, {name: {"permissions": held[name], "description": text} for name, text in PRESETS.items()}
    )


async def ensure_operator(
    ctx: Context, email: str, hashed_password: str | None = None, name: str = "operator", *, reissue: bool = False
) -> IssuedKey | None:
    """Make the first operator, with the role `operator` everywhere and an API key of the same name.

    Call it as the worker, after `sync_presets`. Returns the key where its secret was issued now, to be stored where
    only the operator can read it; None where it was issued before, unless `reissue` replaces one that was lost.
    """
    user, key, issued = await store.ensure_operator(ctx, name, email, name)
    if hashed_password is not None:
        await store.save_password(ctx, user, hashed_password)
    if issued and not reissue:
        return None
    text = new_key(key)
    await store.save_key_hash(ctx, key, token_hash(text), timedelta(0))
    await ctx.audit("iam.operator.create", USER.name, f"-/{name}", after={"email": email})
    await ctx.emit(KeyRotated(key=key))
    return IssuedKey(key, f"-/{name}", text)
