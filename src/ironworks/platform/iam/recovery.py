"""A password that somebody forgot, set anew by whoever reads the address's mail.

Nothing here says whether an address has a user: asking writes the same rows for any address and answers the same, and
the worker finds out whom there is to write to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from ironworks.platform.iam import store
from ironworks.platform.iam.authentication import Identity
from ironworks.platform.iam.events import LinkRequested
from ironworks.platform.iam.links import HANDED_LIFE, RESEND_AFTER, link_address, new_token
from ironworks.platform.iam.model import (
    ADDRESS_TRIES,
    FORGOTTEN_TRIES,
    LINK_TRIES,
    USER,
    account_guard,
    token_hash,
    too_many_attempts,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import Invalid, invalid
from ironworks.shared.http import Call
from ironworks.shared.lookup import load


async def ask_password(call: Call, email: str) -> None:
    """Have a link mailed to the user of an address, if there is one; not twice within a minute.

    Raises TooManyAttempts, which depends on how often this address and this caller asked and on nothing else.
    """
    guards = {f"forgotten:{call.actor.address}": ADDRESS_TRIES, f"forgotten {account_guard(email)}": FORGOTTEN_TRIES}
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, guards)
    if until:
        raise too_many_attempts(call.database.clock(), until)
    async with call.transaction() as ctx:
        link = await store.ask_password(ctx, uuid4(), email, ctx.now() - RESEND_AFTER)
        if link is not None:
            await ctx.emit(LinkRequested(link=link))


async def reset_password(call: Call, identity: Identity, token: str, password: str) -> str:
    """Set the password of the user whose link it is; all his sessions end, his keys go on. Returns his address.

    Raises Invalid for a token that is unknown, used or expired, TooManyAttempts, Unavailable.
    """
    hashed_token, guard = token_hash(token), f"link:{call.actor.address}"
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, {guard: LINK_TRIES})
        works = not until and await store.link_works(ctx, hashed_token, "password")
    if until:
        raise too_many_attempts(call.database.clock(), until)
    if not works:
        raise _dead()
    hashed = await identity.hashing.hash(password)
    async with call.transaction() as ctx:
        email = await store.reset_password(ctx, hashed_token, hashed)
        if email is None:
            raise _dead()
        await store.end_attempt(ctx, account_guard(email), guard)
        await ctx.audit("iam.password.reset", USER.name, email)
        return email


@dataclass(frozen=True, slots=True)
class PasswordLink:
    """A link that sets a user's password, shown this once."""

    uid: str
    address: str = field(repr=False)
    expires_at: datetime


async def make_password_link(ctx: Context, identity: Identity, name: str) -> PasswordLink:
    """A link to hand to another user; it works once, within a day. The link before does nothing any more.

    Takes what setting his password takes. Raises NotFound, Forbidden.
    """
    user = await load(ctx, USER, "", name)
    token, until = new_token("password"), ctx.now() + HANDED_LIFE
    await store.issue_password_link(ctx, user.uid, uuid4(), token_hash(token), until)
    await ctx.audit("iam.password.link", USER.name, f"-/{name}")
    return PasswordLink(str(user.uid), link_address(identity.url, token), until)


def _dead() -> Invalid:
    return invalid("token", "is unknown, used or expired", "ask for another link")
