"""Iam's SQL: calls of the functions in `sql/policy.sql`, which alone see its tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ironworks.platform.iam.links import Accepted, Invitation, Invited
from ironworks.platform.iam.model import GatewayKey, OwnSession
from ironworks.platform.iam.tokens import VerificationKey
from ironworks.shared.context import Context, to_json


@dataclass(frozen=True, slots=True)
class StoredKey:
    """`state` is ok, disabled, expired, halted or orphaned; `unseen`: its use should be noted."""

    hash: bytes
    previous_hash: bytes | None
    name: str
    unseen: bool
    state: str


@dataclass(frozen=True, slots=True)
class KeyFacts:
    owner: str
    active: bool
    expires_at: datetime | None
    issued_at: datetime | None
    last_used_at: datetime | None
    previous_until: datetime | None


@dataclass(frozen=True, slots=True)
class Login:
    """What a sign-in is checked against; `hash` is None for a user without a password."""

    user_uid: UUID
    hash: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class Renewal:
    """`outcome` is renewed, unknown, ended or reused."""

    outcome: str
    session_id: UUID | None
    user_uid: UUID | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Redeemed:
    signup_uid: UUID
    email: str
    account: UUID


@dataclass(frozen=True, slots=True)
class Armed:
    """Where a link goes; `known`: the address has a user already. What is not of its purpose is None."""

    email: str
    known: bool
    display_name: str | None
    account: str | None
    scope: str | None
    role: str | None
    inviter: str | None


_ROWS_AT_ONCE: Final = 250

# --- keys --------------------------------------------------------------------------------------------------------


async def save_key_hash(ctx: Context, key: UUID, hashed: bytes, grace: timedelta) -> None:
    await ctx.db.execute("select platform_iam.issue_key($1, $2, $3)", key, hashed, grace)


async def fetch_key(ctx: Context, key: UUID) -> StoredKey | None:
    row = await ctx.db.fetchrow("select * from platform_iam.find_key($1)", key)
    return StoredKey(**row) if row else None


async def touch_keys(ctx: Context, keys: Sequence[UUID]) -> None:
    await ctx.db.execute("select platform_iam.touch_keys($1)", list(keys))


async def fetch_key_facts(ctx: Context, key: UUID) -> KeyFacts | None:
    row = await ctx.db.fetchrow("select * from platform_iam.key_facts($1)", key)
    return KeyFacts(**row) if row else None


async def fetch_gateway_keys(ctx: Context, only: Collection[UUID] | None) -> list[GatewayKey]:
    """Read a few at a time: the gateway's event loop serves requests in between."""
    cursor = await ctx.db.cursor(
        "select key as uid, hash, previous_hash, previous_until, scope, name, owner, not active as disabled,"
        " expires_at, paths, halted as suspended from platform_iam.gateway_keys($1)",
        None if only is None else list(only),
    )
    found: list[GatewayKey] = []
    while rows := await cursor.fetch(_ROWS_AT_ONCE):
        found += [GatewayKey(**{**row, "paths": tuple(row["paths"])}) for row in rows]
    return found


async def fetch_people_with(ctx: Context, permission: str, place: str) -> list[tuple[UUID, str]]:
    rows = await ctx.db.fetch(
        "select person, address from platform_iam.people_with($1, $2::text::ltree)", permission, place
    )
    return [(row["person"], row["address"]) for row in rows]


# --- passwords and sessions --------------------------------------------------------------------------------------


async def begin_attempt(ctx: Context, guards: Mapping[str, int]) -> datetime | None:
    """Count an attempt at each guard (name → how many are free); until when they refuse, or None."""
    until: datetime | None = await ctx.db.fetchval(
        "select platform_iam.begin_attempt($1, $2, $3)", list(guards), list(guards.values()), ctx.now()
    )
    return until


async def end_attempt(ctx: Context, account_guard: str, address_guard: str) -> None:
    await ctx.db.execute("select platform_iam.attempt_succeeded($1, $2)", account_guard, address_guard)


async def fetch_login(ctx: Context, email: str) -> Login | None:
    row = await ctx.db.fetchrow("select * from platform_iam.find_login($1)", email)
    return Login(**row) if row else None


async def save_password(ctx: Context, user: UUID, hashed: str) -> None:
    await ctx.db.execute("select platform_iam.set_password($1, $2, $3)", user, hashed, ctx.now())


async def insert_session(
    ctx: Context, session: UUID, user: UUID, hashed: bytes, until: datetime, user_agent: str | None
) -> None:
    await ctx.db.execute(
        "select platform_iam.open_session($1, $2, $3, $4, $5, $6, $7)",
        session, user, ctx.actor.address, user_agent, hashed, ctx.now(), until,
    )  # fmt: skip


async def renew_session(ctx: Context, hashed: bytes, next_hash: bytes) -> Renewal:
    row = await ctx.db.fetchrow("select * from platform_iam.renew_session($1, $2, $3)", hashed, next_hash, ctx.now())
    assert row is not None
    return Renewal(**row)


async def end_session(ctx: Context, hashed: bytes) -> tuple[UUID, UUID, str] | None:
    """(session, user, e-mail) of the session that ended."""
    row = await ctx.db.fetchrow("select * from platform_iam.end_session($1, $2)", hashed, ctx.now())
    return (row["session_id"], row["user_uid"], row["email"]) if row else None


async def end_sessions(ctx: Context, user: UUID, reason: str) -> None:
    await ctx.db.execute("select platform_iam.end_sessions($1, $2, $3)", user, reason, ctx.now())


async def fetch_own_sessions(ctx: Context) -> list[OwnSession]:
    """The caller's, those used last first."""
    return [OwnSession(**row) for row in await ctx.db.fetch("select * from platform_iam.own_sessions($1)", ctx.now())]


async def end_own_sessions(ctx: Context, only: UUID | None = None, but: UUID | None = None) -> int:
    """How many of the caller's it ended: `only` this one, or all `but` this one."""
    ended: int = await ctx.db.fetchval("select platform_iam.end_own_sessions($1, $2, $3)", only, but, ctx.now())
    return ended


async def setup_needed(ctx: Context, *, alone: bool) -> bool:
    """Whether nobody but the bootstrapped operator may do everything; `alone`: the next who asks so waits for us."""
    needed: bool = await ctx.db.fetchval("select platform_iam.setup_needed($1)", alone)
    return needed


async def purge(ctx: Context) -> None:
    await ctx.db.execute("select platform_iam.purge($1)", ctx.now())


async def publish_signing_key(ctx: Context, kid: str, public: bytes, until: datetime) -> None:
    await ctx.db.execute("select platform_iam.publish_signing_key($1, $2, $3, $4)", kid, public, ctx.now(), until)


async def fetch_signing_keys(ctx: Context) -> dict[str, VerificationKey]:
    rows = await ctx.db.fetch("select * from platform_iam.signing_keys($1)", ctx.now())
    return {row["kid"]: VerificationKey(**row) for row in rows}


# --- links that are mailed ---------------------------------------------------------------------------------------


async def fetch_link_purpose(ctx: Context, link: UUID) -> str | None:
    """None where nothing waits any more."""
    purpose: str | None = await ctx.db.fetchval("select platform_iam.link_purpose($1)", link)
    return purpose


async def arm_link(ctx: Context, link: UUID, hashed: bytes, until: datetime) -> Armed | None:
    row = await ctx.db.fetchrow("select * from platform_iam.arm_link($1, $2, $3, $4)", link, hashed, ctx.now(), until)
    return Armed(**row) if row else None


async def link_works(ctx: Context, hashed: bytes, purpose: str) -> bool:
    works: bool = await ctx.db.fetchval("select platform_iam.link_works($1, $2, $3)", hashed, purpose, ctx.now())
    return works


async def insert_signup(
    ctx: Context, uid: UUID, email: str, title: str | None, hashed: str, account: UUID, account_name: str
) -> None:
    await ctx.db.execute(
        "select platform_iam.begin_signup($1, $2, $3, $4, $5, $6, $7)",
        uid, email, title, hashed, account, account_name, ctx.now(),
    )  # fmt: skip


async def ask_signups_again(ctx: Context, email: str, asked_before: datetime) -> list[UUID]:
    rows = await ctx.db.fetch(
        "select uid from platform_iam.ask_signups_again($1, $2, $3) as uid", email, asked_before, ctx.now()
    )
    return [row["uid"] for row in rows]


async def redeem_signup(ctx: Context, hashed: bytes) -> Redeemed | None:
    row = await ctx.db.fetchrow("select * from platform_iam.redeem_signup($1, $2)", hashed, ctx.now())
    return Redeemed(**row) if row else None


async def admit_newcomer(ctx: Context, signup: UUID, name: str, role: str, path: str) -> UUID:
    """Returns the user's uid."""
    user: UUID = await ctx.db.fetchval(
        "select platform_iam.admit_newcomer($1, $2, $3, $4::text::ltree)", signup, name, role, path
    )
    return user


async def invite(
    ctx: Context, uid: UUID, email: str, scope: str, role: str, asked_before: datetime
) -> tuple[UUID, str, bool]:
    """(link, role as `path/name`, whether a mail is due)."""
    row = await ctx.db.fetchrow(
        "select * from platform_iam.invite($1, $2, $3::text::ltree, $4, $5, $6)",
        uid, email, scope, role, ctx.now(), asked_before,
    )  # fmt: skip
    assert row is not None
    return row["link_uid"], row["role"], row["mailed"]


async def fetch_invitations(
    ctx: Context, scope: str, after: tuple[str, str] = ("", ""), limit: int = 1, only: UUID | None = None
) -> list[Invitation]:
    """By address, past `after` (address, uid)."""
    rows = await ctx.db.fetch(
        "select * from platform_iam.invitations($1::text::ltree, $2, $3, $4, $5, $6)",
        scope, *after, limit, only, ctx.now(),
    )  # fmt: skip
    return [Invitation(**row) for row in rows]


async def delete_invitation(ctx: Context, scope: str, invitation: UUID) -> str | None:
    """Whom it was for."""
    email: str | None = await ctx.db.fetchval(
        "select platform_iam.revoke_invitation($1::text::ltree, $2)", scope, invitation
    )
    return email


async def fetch_invitation(ctx: Context, hashed: bytes) -> Invited | None:
    row = await ctx.db.fetchrow("select * from platform_iam.read_invitation($1, $2)", hashed, ctx.now())
    return Invited(**row) if row else None


async def accept_invitation(ctx: Context, hashed: bytes, assignment: str) -> Accepted | None:
    row = await ctx.db.fetchrow(
        "select * from platform_iam.accept_invitation($1, $2, $3)", hashed, assignment, ctx.now()
    )
    return Accepted(**row) if row else None


async def join_by_invitation(
    ctx: Context, hashed: bytes, name: str, title: str | None, password: str
) -> Accepted | None:
    """`name` is the user's and the assignment's."""
    row = await ctx.db.fetchrow(
        "select * from platform_iam.join_by_invitation($1, $2, $3, $4, $5, $6)",
        hashed, name, title, password, name, ctx.now(),
    )  # fmt: skip
    return Accepted(**row) if row else None


async def admit_invited(ctx: Context, email: str, name: str) -> UUID | None:
    user: UUID | None = await ctx.db.fetchval("select platform_iam.admit_invited($1, $2, $3)", email, name, ctx.now())
    return user


async def ask_password(ctx: Context, uid: UUID, email: str, asked_before: datetime) -> UUID | None:
    link: UUID | None = await ctx.db.fetchval(
        "select platform_iam.ask_password($1, $2, $3, $4)", uid, email, ctx.now(), asked_before
    )
    return link


async def issue_password_link(ctx: Context, user: UUID, uid: UUID, hashed: bytes, until: datetime) -> None:
    await ctx.db.execute(
        "select platform_iam.issue_password_link($1, $2, $3, $4, $5)", user, uid, hashed, ctx.now(), until
    )


async def reset_password(ctx: Context, hashed: bytes, password: str) -> str | None:
    """The address whose user has another password now."""
    email: str | None = await ctx.db.fetchval(
        "select email from platform_iam.reset_password($1, $2, $3)", hashed, password, ctx.now()
    )
    return email


# --- start-up and the caller -------------------------------------------------------------------------------------


async def sync_presets(ctx: Context, presets: Mapping[str, Mapping[str, Any]]) -> None:
    await ctx.db.execute("select platform_iam.sync_presets($1::jsonb)", to_json(presets))


async def ensure_operator(ctx: Context, name: str, email: str, key_name: str) -> tuple[UUID, UUID, bool]:
    """(user, key, whether the key has a secret already)."""
    row = await ctx.db.fetchrow("select * from platform_iam.ensure_operator($1, $2, $3)", name, email, key_name)
    assert row is not None
    return row["user_uid"], row["key_uid"], row["key_issued"]


async def fetch_preferences(ctx: Context) -> dict[str, Any]:
    """The caller's; empty for one that saved none."""
    found: dict[str, Any] = json.loads(await ctx.db.fetchval("select platform_iam.own_preferences()::text"))
    return found


async def save_preferences(ctx: Context, preferences: Mapping[str, Any]) -> None:
    await ctx.db.execute("select platform_iam.save_preferences($1::jsonb, $2)", to_json(preferences), ctx.now())


async def rename_self(ctx: Context, display_name: str | None) -> str | None:
    """How the caller was called before."""
    before: str | None = await ctx.db.fetchval("select platform_iam.rename_self($1)", display_name)
    return before


async def explain_access(ctx: Context, subject: str, permission: str, scope: str) -> dict[str, Any] | None:
    """Why a subject may do something in a scope, or why not; None for a subject that the caller does not know."""
    text = await ctx.db.fetchval(
        "select platform_iam.explain_access($1, $2, $3::text::ltree)::text", subject, permission, scope
    )
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


async def fetch_held(ctx: Context, subject: str, scope: str) -> dict[str, Any] | None:
    """All that a subject may do in a scope; None for a subject that the caller does not know."""
    text = await ctx.db.fetchval("select platform_iam.held_permissions($1, $2::text::ltree)::text", subject, scope)
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


async def fetch_members(ctx: Context, scope: str, *, below: bool, after: str, limit: int) -> dict[str, Any]:
    """Who has a role in a scope or above it, or only `below` it; by subject, past the subject `after`."""
    text = await ctx.db.fetchval(
        "select platform_iam.list_members($1::text::ltree, $2, $3, $4)::text", scope, below, after, limit
    )
    found: dict[str, Any] = json.loads(text)
    return found


async def fetch_caller(ctx: Context) -> dict[str, Any] | None:
    """Who the caller is and what it may do; None for nobody."""
    text = await ctx.db.fetchval("select platform_iam.whoami()::text")
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found
