"""Idempotency keys: a repeated request gets the first one's answer, because both live in one transaction.

Keys are unique per (subject, method, path, key) and kept for a day. A second request with the same key waits for the
first one's commit; with another query or body it is refused. An answer that showed a secret is not kept: its
repetition says which resource was made.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ironworks.shared.context import Context
from ironworks.shared.errors import Conflict, Invalid, field_problem

KEPT_HOURS = 24
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyReused(Conflict):
    code = "IDEMPOTENCY_KEY_REUSED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One keyed request; `replay` is the kept answer, if it was made before."""

    method: str
    path: str
    key: str
    replay: tuple[int, bytes] | None = None


def check_key(key: str) -> str:
    """Raises Invalid unless `key` is 1 to 255 visible ASCII characters."""
    if not _KEY.fullmatch(key):
        problem = field_problem("Idempotency-Key", "must be 1 to 255 visible ASCII characters", "use a UUID")
        raise Invalid(f"{problem['field']}: {problem['problem']}", fields=[problem])
    return key


async def begin_attempt(ctx: Context, method: str, path: str, key: str, asked: bytes) -> Attempt:
    """Claim the key, waiting for whoever holds it. Raises KeyReused, or Conflict for a secret's replay.

    `asked` is what else was sent, query and body: `?force=true` makes another request of it.
    """
    digest = hashlib.sha256(asked).digest()
    mine = await ctx.db.fetchval(
        "insert into shared.idempotency (subject, method, path, key, body_hash) values ($1, $2, $3, $4, $5)"
        " on conflict do nothing returning true",
        ctx.actor.uid, method, path, key, digest,
    )  # fmt: skip
    if mine:
        return Attempt(method, path, key)
    row = await ctx.db.fetchrow(
        "select body_hash, status, response, uid from shared.idempotency"
        " where subject = $1 and method = $2 and path = $3 and key = $4",
        ctx.actor.uid, method, path, key,
    )  # fmt: skip
    if row is None or row["status"] is None:
        raise Conflict("a request with this Idempotency-Key is under way; try again")
    if row["body_hash"] != digest:
        raise KeyReused("this Idempotency-Key was used with another query or body; use a new key for a new request")
    if row["response"] is None:
        raise Conflict("done before; the secret was shown once and is not kept", uid=row["uid"])
    return Attempt(method, path, key, (row["status"], bytes(row["response"])))


async def keep_answer(ctx: Context, attempt: Attempt, status: int, response: bytes | None, uid: str | None) -> None:
    """Keep what is about to be answered, in the transaction of its effect."""
    await ctx.db.execute(
        "update shared.idempotency set status = $5, response = $6, uid = $7"
        " where subject = $1 and method = $2 and path = $3 and key = $4",
        ctx.actor.uid, attempt.method, attempt.path, attempt.key, status, response, uid,
    )  # fmt: skip


async def forget_old_answers(ctx: Context) -> None:
    """Drop what is older than a day; the worker's schedule."""
    await ctx.db.execute(f"delete from shared.idempotency where created_at < now() - interval '{KEPT_HOURS} hours'")
