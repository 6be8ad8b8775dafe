"""Signing up: an account that waits until somebody has shown that the address is his."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from ironworks.platform import tenancy
from ironworks.platform.iam import store
from ironworks.platform.iam.authentication import Identity
from ironworks.platform.iam.events import SignupVerified, VerificationRequested
from ironworks.platform.iam.links import RESEND_AFTER
from ironworks.platform.iam.model import SIGNUP_TRIES, token_hash, too_many_attempts, user_name
from ironworks.shared.context import Context
from ironworks.shared.errors import Conflict, invalid
from ironworks.shared.http import Call


async def sign_up(
    call: Call, identity: Identity, email: str, password: str, account: str, display_name: str | None
) -> None:
    """Open an account that waits until the address is verified. Answers the same whether the address is known or not.

    The password counts only once this sign-up's own token is used, so nobody can plant one for another's address.
    Raises Conflict for an account name that is or was in use, TooManyAttempts, Invalid.
    """
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, {f"signup:{call.actor.address}": SIGNUP_TRIES})
    if until:
        raise too_many_attempts(call.database.clock(), until)
    hashed = await identity.hashing.hash(password)
    async with call.transaction() as ctx:
        opened = await tenancy.open_account(ctx, account, email, display_name)
        signup = uuid4()
        await store.insert_signup(ctx, signup, email, display_name, hashed, opened, account)
        await ctx.audit("iam.signup.begin", "Account", f"-/{account}", account, after={"email": email.lower()})
        await ctx.emit(VerificationRequested(signup=signup))


async def resend_verification(ctx: Context, email: str) -> None:
    """Have the mail sent again, if somebody waits for one; says nothing about whether somebody does."""
    for signup in await store.ask_signups_again(ctx, email, ctx.now() - RESEND_AFTER):
        await ctx.emit(VerificationRequested(signup=signup))


@dataclass(frozen=True, slots=True)
class Verified:
    """An account that works now, and who may sign in to it."""

    account: str
    email: str


async def verify_signup(ctx: Context, token: str) -> Verified:
    """Use a mailed token: the account becomes active and its first administrator may sign in.

    Raises Invalid for a token that is unknown, used or expired; Conflict where the account is gone.
    """
    found = await store.redeem_signup(ctx, token_hash(token))
    if found is None:
        raise invalid("token", "is unknown, used or expired", "ask for another with /api/v1/signup:resend")
    path = await tenancy.activate_account(ctx, found.account)
    if path is None:
        raise Conflict("the account is gone: sign up again")
    user = await store.admit_newcomer(ctx, found.signup_uid, user_name(found.email), "platform-admin", path)
    await ctx.audit("iam.signup.verify", "Account", f"-/{path}", path, after={"email": found.email})
    await ctx.emit(SignupVerified(account=found.account, user=user), path)
    return Verified(path, found.email)
