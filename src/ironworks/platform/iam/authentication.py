"""Proving who one is: keys, sessions, and passes between our own processes.

What lives as long as a process (its signing key, the others' public keys, the hashing threads) is an `Identity`, made
once by `app.wiring` and handed in; nothing here is ambient. Hashing happens between two short transactions, never
inside one.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from ironworks.platform.iam import store, tokens
from ironworks.platform.iam.model import (
    ACCESS_LIFE,
    ACCOUNT_TRIES,
    ADDRESS_TRIES,
    API_KEY,
    KEY_PREFIX,
    REFRESH_PREFIX,
    SESSION_LIFE,
    USER,
    SessionEnded,
    WrongCredentials,
    account_guard,
    key_owner,
    new_secret,
    token_hash,
    too_many_attempts,
)
from ironworks.platform.iam.passwords import PasswordHashing
from ironworks.platform.iam.tokens import BadToken, SigningKey, VerificationKey
from ironworks.shared.context import ANONYMOUS, Actor, Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Forbidden, Unauthenticated
from ironworks.shared.http import Call
from ironworks.shared.path import parse_path

_TOLD_EVERY: Final = 60.0
"""Seconds between two audit records of the same refused key, in each process."""
_REFUSED_KEYS: Final = {
    "disabled": "this API key is disabled",
    "expired": "this API key has expired",
    "orphaned": "this API key's owner is disabled",
    "halted": "this API key's platform or account is suspended",
}


# --- what a process keeps ----------------------------------------------------------------------------------------


class Signer:
    """This process's signing key: made when first needed, published before it signs, replaced after a day."""

    def __init__(self) -> None:
        self._key: SigningKey | None = None
        self._lock = asyncio.Lock()

    async def key(self, database: Database) -> SigningKey:
        """A key that may sign now; opens a transaction of its own when a new one must be published."""
        async with self._lock:
            now = database.clock()
            if self._key is None or self._key.signs_until <= now:
                made = SigningKey.new(now)
                async with database.transaction(system_actor("iam")) as ctx:
                    await store.publish_signing_key(ctx, made.kid, made.public, now + tokens.VERIFIES_FOR)
                self._key = made
            return self._key


class Verifier:
    """The public keys of all processes, read again for a key id never seen, at most once a second.

    Whoever comes with an unknown one waits for the next reading, which all who wait share: another process may have
    published the key a moment ago.
    """

    def __init__(self, every: float = 1.0) -> None:
        self._every = every
        self._keys: Mapping[str, VerificationKey] = {}
        self._read_at = float("-inf")
        self._next: asyncio.Task[None] | None = None

    async def keys_for(self, database: Database, token: str) -> Mapping[str, VerificationKey]:
        """Keys among which the token's is, if there is such a key."""
        kid = tokens.key_id(token)
        if kid is not None and kid not in self._keys:
            self._next = self._next or asyncio.create_task(self._read(database))
            await asyncio.shield(self._next)
        return self._keys

    async def _read(self, database: Database) -> None:
        await asyncio.sleep(self._read_at + self._every - time.monotonic())
        self._read_at, self._next = time.monotonic(), None  # what is published from here on takes another reading
        async with database.transaction(system_actor("iam")) as ctx:
            self._keys = await store.fetch_signing_keys(ctx)


@dataclass(frozen=True, slots=True)
class Identity:
    """What one process needs to prove who it is and to check who others are. `url`: how browsers reach the API."""

    hashing: PasswordHashing = field(default_factory=PasswordHashing)
    signer: Signer = field(default_factory=Signer)
    verifier: Verifier = field(default_factory=Verifier)
    url: str = ""


class BearerAuthenticator:
    """The kernel's `Authenticator`: session tokens are verified here, API keys asked of the database once a second.

    Args:
        remember: seconds for which a key's answer is kept. capacity: how many answers are.
    """

    def __init__(self, identity: Identity, remember: float = 1.0, capacity: int = 10_000) -> None:
        self._identity = identity
        self._remember = remember
        self._capacity = capacity
        self._known: dict[bytes, tuple[float, Actor]] = {}
        self._refused: dict[UUID, float] = {}

    async def __call__(self, db: Database, authorization: str | None, address: str) -> Actor:
        """Who presents this `Authorization` header. Raises Unauthenticated."""
        scheme, _, token = (authorization or "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > 4096 or not token.isascii():
            raise Unauthenticated("send `Authorization: Bearer <session token or API key>`")
        if token.startswith(KEY_PREFIX):
            return await self._key(db, token, address)
        keys = await self._identity.verifier.keys_for(db, token)
        claims = tokens.verify_session(token, keys, db.clock())
        return Actor(UUID(claims.subject), "user", claims.name, address, claims.session)

    async def _key(self, db: Database, token: str, address: str) -> Actor:
        hashed, now = token_hash(token), time.monotonic()
        kept = self._known.get(hashed)
        if kept is not None and kept[0] > now:
            return Actor(kept[1].uid, "api_key", kept[1].name, address)
        actor = await self._ask(db, token, hashed, address)
        if len(self._known) >= self._capacity:
            self._known.clear()
        self._known[hashed] = (now + self._remember, actor)
        return actor

    async def _ask(self, db: Database, token: str, hashed: bytes, address: str) -> Actor:
        uid = key_owner(token)
        async with db.transaction(ANONYMOUS) as ctx:
            key = await store.fetch_key(ctx, uid) if uid else None
            fits = key is not None and (
                hmac.compare_digest(key.hash, hashed)
                or (key.previous_hash is not None and hmac.compare_digest(key.previous_hash, hashed))
            )
            if fits and key is not None and uid is not None and key.state == "ok" and key.unseen:
                await store.touch_keys(ctx, [uid])
        if fits and key is not None and key.state == "ok":
            return Actor(uid, "api_key", key.name, address)
        self._known.pop(hashed, None)
        if key is not None and uid is not None:
            await self._record_refusal(db, uid, key, key.state if fits else "replaced", address)
        raise Unauthenticated(_REFUSED_KEYS[key.state] if fits and key else "this API key is unknown or was replaced")

    async def _record_refusal(self, db: Database, uid: UUID, key: store.StoredKey, reason: str, address: str) -> None:
        """Leave a trace of a key that may not be used: one a minute, or a client in a loop would fill the trail."""
        now = time.monotonic()
        if now - self._refused.get(uid, float("-inf")) < _TOLD_EVERY:
            return
        if len(self._refused) >= self._capacity:
            self._refused.clear()
        self._refused[uid] = now
        scope = parse_path(key.name.rpartition("/")[0])
        async with db.transaction(Actor(None, "anonymous", "anonymous", address)) as ctx:
            await ctx.audit("iam.key.refuse", API_KEY.name, key.name, scope, "denied", after={"reason": reason})


# --- sessions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """Tokens of a signed-in user; both are shown this once."""

    access_token: str = field(repr=False)
    expires_at: datetime
    refresh_token: str = field(repr=False)


async def log_in(call: Call, identity: Identity, email: str, password: str) -> Session:
    """Begin a session.

    Raises WrongCredentials (the same for a wrong password, an unknown address and a disabled user, after the same
    time), TooManyAttempts, Unavailable.
    """
    user = await _prove_password(call, identity, email, password)
    key = await identity.signer.key(call.database)
    async with call.transaction() as ctx:
        return await begin_session(ctx, key, user, email.lower(), call.headers.get("user-agent"))


async def begin_session(
    ctx: Context, key: SigningKey, user: UUID, email: str, user_agent: str | None, issuer: str | None = None
) -> Session:
    """Sign in a user who has proven who he is, by a provider's word if `issuer` names it."""
    session, refresh = uuid4(), REFRESH_PREFIX + new_secret()
    await store.insert_session(ctx, session, user, token_hash(refresh), ctx.now() + SESSION_LIFE, user_agent)
    by = {"issuer": issuer} if issuer else {}
    await ctx.audit("iam.login.success", USER.name, email, after={"session": str(session), **by})
    return _session(ctx, key, user, email, session, refresh)


async def refresh_session(call: Call, identity: Identity, refresh_token: str) -> Session:
    """Exchange a refresh token for fresh tokens.

    It may come again while nobody used what replaced it, for an answer may be lost and two tabs may ask at once. Else a
    second use ends the session: somebody stole it. Raises SessionEnded.
    """
    key = await identity.signer.key(call.database)
    following = REFRESH_PREFIX + new_secret()
    async with call.transaction() as ctx:
        found = await store.renew_session(ctx, token_hash(refresh_token), token_hash(following))
        if found.outcome == "reused":
            await ctx.audit("iam.session.reuse", USER.name, found.email or "", result="denied")
        if found.outcome == "renewed" and found.user_uid and found.session_id:
            return _session(ctx, key, found.user_uid, found.email or "", found.session_id, following)
    raise SessionEnded


async def log_out(ctx: Context, refresh_token: str) -> None:
    """End the session of a refresh token; an unknown one is no error."""
    ended = await store.end_session(ctx, token_hash(refresh_token))
    if ended is not None:
        session, _, email = ended
        await ctx.audit("iam.session.end", USER.name, email, after={"session": str(session)})


async def change_password(call: Call, identity: Identity, current: str, new: str) -> None:
    """Change the caller's own password and end all its sessions.

    Raises Forbidden for what is no user, WrongCredentials, TooManyAttempts.
    """
    if call.actor.kind != "user" or call.actor.uid is None:
        raise Forbidden("only a signed-in user has a password")
    user = await _prove_password(call, identity, call.actor.name, current)
    if user != call.actor.uid:
        raise WrongCredentials
    hashed = await identity.hashing.hash(new)
    async with call.transaction() as ctx:
        await store.save_password(ctx, user, hashed)
        await store.end_sessions(ctx, user, "password")
        await ctx.audit("iam.password.change", USER.name, call.actor.name)


async def list_public_keys(ctx: Context) -> list[dict[str, str]]:
    """The JWKS (RFC 7517) of the processes that sign sessions."""
    keys = await store.fetch_signing_keys(ctx)
    return [key.as_jwk() for key in keys.values() if key.process == "api"]


async def _prove_password(call: Call, identity: Identity, email: str, password: str) -> UUID:
    """The user whose address and password these are. Counts the attempt before it looks."""
    guards = account_guard(email), f"address:{call.actor.address}"
    async with call.transaction() as ctx:
        until = await store.begin_attempt(ctx, dict(zip(guards, (ACCOUNT_TRIES, ADDRESS_TRIES), strict=True)))
        found = None if until else await store.fetch_login(ctx, email)
        if until:
            await ctx.audit("iam.login.blocked", USER.name, _told(email), result="denied")
    if until:
        raise too_many_attempts(call.database.clock(), until)
    fits = await identity.hashing.verify(found.hash if found else None, password)
    async with call.transaction() as ctx:
        if found is not None and fits and found.active:
            await store.end_attempt(ctx, *guards)
            return found.user_uid
        await ctx.audit("iam.login.failure", USER.name, email.lower() if found else _told(email), result="denied")
    raise WrongCredentials


def _told(email: str) -> str:
    """How an address that may be anything, a password typed into the wrong field too, is kept."""
    return account_guard(email)[:24]


def _session(ctx: Context, key: SigningKey, user: UUID, email: str, session: UUID, refresh: str) -> Session:
    access = tokens.sign_session(key, user, email, session, ctx.now(), ACCESS_LIFE)
    return Session(access, ctx.now() + ACCESS_LIFE, refresh)


# --- passes between our processes --------------------------------------------------------------------------------


async def issue_service_token(identity: Identity, database: Database, process: str, audience: str) -> str:
    """A pass good for one minute at `audience` alone. `process` is the caller's: api, worker or gateway."""
    key = await identity.signer.key(database)
    return tokens.sign_service(key, process, audience, database.clock())


async def verify_service_token(identity: Identity, database: Database, token: str, audience: str) -> Actor:
    """The process that presents a pass. Raises BadToken unless it is meant for `audience` and still good."""
    if not token.isascii() or len(token) > 4096:
        raise BadToken("this is no token")
    keys = await identity.verifier.keys_for(database, token)
    return system_actor(tokens.verify_service(token, keys, audience, database.clock()).subject)
