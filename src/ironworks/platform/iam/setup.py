"""The first start: whoever holds the key that the bootstrap wrote makes himself a user who may do everything.

Everything is done as that key, so it gives no right that the key has not.
"""

from __future__ import annotations

from dataclasses import replace

from ironworks.platform.iam import service, store
from ironworks.platform.iam.authentication import BearerAuthenticator, Identity, Session, begin_session
from ironworks.platform.iam.model import (
    KEY_PREFIX,
    ROLE_ASSIGNMENT,
    SIGNUP_TRIES,
    USER,
    SetUpAlready,
    WrongOperatorKey,
    too_many_attempts,
    user_name,
)
from ironworks.shared.context import Actor, Context
from ironworks.shared.errors import Unauthenticated
from ironworks.shared.http import Call
from ironworks.shared.resources import create_resource


async def is_setup_needed(ctx: Context) -> bool:
    """Whether nobody but the bootstrapped operator may do everything yet."""
    return await store.setup_needed(ctx, alone=False)


async def set_up(call: Call, identity: Identity, operator_key: str, email: str, password: str) -> Session:
    """Make the first operator who is a person, and sign him in.

    Raises WrongOperatorKey, SetUpAlready, Conflict for an address that has a user, Forbidden for the key of somebody
    else than an operator, TooManyAttempts, Unavailable.
    """
    actor = await _prove_key(call, identity, operator_key)
    hashed = await identity.hashing.hash(password)
    key = await identity.signer.key(call.database)
    name = user_name(email)
    async with replace(call, actor=actor).transaction() as ctx:
        if not await store.setup_needed(ctx, alone=True):
            raise SetUpAlready
        made = await create_resource(ctx, USER, "", {"metadata": {"name": name}, "spec": {"email": email}})
        await service.set_password(ctx, name, hashed)
        given = {"subject": f"user:{email}", "role": "operator"}
        await create_resource(ctx, ROLE_ASSIGNMENT, "", {"metadata": {"name": name}, "spec": given})
        user = USER.parse(made.json)
        return await begin_session(ctx, key, user.metadata.uid, email.lower(), call.headers.get("user-agent"))


async def _prove_key(call: Call, identity: Identity, operator_key: str) -> Actor:
    """The key's actor. Counts the attempt before it looks."""
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, {f"setup:{call.actor.address}": SIGNUP_TRIES})
    if until:
        raise too_many_attempts(call.database.clock(), until)
    if not operator_key.startswith(KEY_PREFIX):
        raise WrongOperatorKey
    try:
        return await BearerAuthenticator(identity)(call.database, f"Bearer {operator_key}", call.actor.address)
    except Unauthenticated:
        raise WrongOperatorKey from None
