"""Invitations: a role that waits for whoever reads an address's mail.

Nobody is made a user before he accepts, and nobody is given a role before that. It is given as if the inviter gave it
at that moment: whoever was removed, disabled, or may no longer give that role there, invites nobody any more.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from ironworks.platform.iam import store
from ironworks.platform.iam.authentication import Identity
from ironworks.platform.iam.events import LinkRequested
from ironworks.platform.iam.links import RESEND_AFTER, Accepted, Invitation, Invited
from ironworks.platform.iam.model import (
    INVITATION_TRIES,
    LINK_TRIES,
    ROLE_ASSIGNMENT,
    token_hash,
    too_many_attempts,
    user_name,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import Forbidden, Invalid, NotFound, invalid
from ironworks.shared.http import Call
from ironworks.shared.path import parse_path, show_path


async def invite(call: Call, path: str, email: str, role: str) -> Invitation:
    """Mail somebody an invitation to a role; the one that waits for him already is sent again, in the caller's name.

    The caller needs the right to give that role there now. Within a minute of the last mail none is sent. Raises
    NotFound, Forbidden for a role that the caller may not give, Invalid for one that is none, Conflict for an address
    that has the role there, TooManyAttempts.
    """
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, {f"invite:{ctx.actor.uid}": INVITATION_TRIES})
    if until:
        raise too_many_attempts(call.database.clock(), until)
    async with call.transaction() as ctx:
        link, given, mailed = await store.invite(ctx, uuid4(), email, path, role, ctx.now() - RESEND_AFTER)
        if mailed:
            await ctx.audit(
                "iam.invitation.send", "Invitation", str(link), path, after={"email": email.lower(), "role": given}
            )
            await ctx.emit(LinkRequested(link=link), path)
        [made] = await store.fetch_invitations(ctx, path, only=link)
        return made


async def list_invitations(ctx: Context, path: str, after: tuple[str, str], limit: int) -> list[Invitation]:
    """Those to a scope that nobody has accepted, by address, past `after` (address, uid); the right was asked for."""
    return await store.fetch_invitations(ctx, path, after, limit)


async def revoke_invitation(ctx: Context, path: str, invitation: UUID) -> None:
    """Take an invitation back: its link does nothing any more; the right was asked for. Raises NotFound."""
    email = await store.delete_invitation(ctx, path, invitation)
    if email is None:
        raise NotFound(f"no invitation {invitation} waits at {show_path(path)}")
    await ctx.audit("iam.invitation.revoke", "Invitation", str(invitation), path, before={"email": email})


async def read_invitation(ctx: Context, token: str) -> Invited:
    """What an invitation is to, for whoever holds its token. Raises Invalid."""
    found = await store.fetch_invitation(ctx, token_hash(token))
    if found is None:
        raise _dead()
    return found


async def accept_invitation(ctx: Context, token: str) -> Accepted:
    """Take what one was invited to; the caller's address must be the invitation's. A second time changes nothing.

    Raises Forbidden for the session of somebody else, Invalid for the token, Conflict where the inviter may not give
    the role any more, NotFound for a scope that is gone.
    """
    if ctx.actor.kind != "user":
        raise Forbidden("only a signed-in user accepts an invitation")
    found = await store.accept_invitation(ctx, token_hash(token), user_name(ctx.actor.name))
    if found is None:
        raise _dead()
    await _record(ctx, found)
    return found


async def join_by_invitation(
    call: Call, identity: Identity, token: str, password: str, display_name: str | None
) -> Accepted:
    """Take what one was invited to as a new user with this password, who may sign in from then on.

    Raises Conflict for an address that has a user, who signs in and accepts, and what `accept_invitation` raises;
    TooManyAttempts, Unavailable.
    """
    hashed_token = token_hash(token)
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, {f"link:{call.actor.address}": LINK_TRIES})
        invited = None if until else await store.fetch_invitation(ctx, hashed_token)
    if until:
        raise too_many_attempts(call.database.clock(), until)
    if invited is None:
        raise _dead()
    password_hash = await identity.hashing.hash(password)
    async with call.transaction() as ctx:
        found = await store.join_by_invitation(ctx, hashed_token, user_name(invited.email), display_name, password_hash)
        if found is None:
            raise _dead()
        await _record(ctx, found)
        return found


async def admit_invited(ctx: Context, email: str) -> UUID | None:
    """The new user of an address that a provider proved and that was invited, with every role that waited for it.

    The provider's word is as good as the mail. None where nothing waits.
    """
    user = await store.admit_invited(ctx, email, user_name(email))
    if user is not None:
        await ctx.audit("iam.invitation.accept", "User", email.lower(), after={"by": "provider"})
    return user


async def _record(ctx: Context, found: Accepted) -> None:
    if found.inviter is not None:
        await ctx.audit(
            "iam.invitation.accept", ROLE_ASSIGNMENT.name, found.email, parse_path(found.scope),
            after={"role": found.role, "inviter": found.inviter},
        )  # fmt: skip


def _dead() -> Invalid:
    return invalid("token", "is unknown, used, expired or taken back", "ask whoever invited you to send it again")
