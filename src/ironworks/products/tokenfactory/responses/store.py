"""Scopes' keys and sealed responses in Postgres. Nothing here can open one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ironworks.platform import secrets
from ironworks.products.tokenfactory.responses.model import SealedResponse
from ironworks.shared.context import Context

_COLUMNS = (
    "ltree2text(r.scope) as scope, r.key_uid, r.response_id, r.previous_id, r.model, r.created_at, r.expires_at,"
    " r.size, r.nonce, r.ciphertext, k.version, k.wrapped, k.master_key_id"
)
_KEYED = "tokenfactory_responses.response r join tokenfactory_responses.response_key k on k.scope = r.scope"


async def act_for(ctx: Context, scope: str) -> None:
    """The transaction's policies show what lies at `scope`, and nothing else, from now on."""
    await ctx.db.execute("select set_config('ironworks.place', $1, true)", scope)


async def fetch_key(ctx: Context, scope: str) -> secrets.WrappedKey | None:
    row = await ctx.db.fetchrow(
        "select version, wrapped, master_key_id from tokenfactory_responses.response_key where scope = $1::text::ltree",
        scope,
    )
    return secrets.WrappedKey(scope, **row) if row else None


async def insert_key(ctx: Context, key: secrets.WrappedKey) -> None:
    """Store a scope's key, unless it has one."""
    await ctx.db.execute(
        "insert into tokenfactory_responses.response_key (scope, version, wrapped, master_key_id)"
        " values ($1::text::ltree, $2, $3, $4) on conflict do nothing",
        key.scope, key.version, key.wrapped, key.master_key_id,
    )  # fmt: skip


async def insert_response(ctx: Context, sealed: SealedResponse) -> None:
    await ctx.db.execute(
        """
        insert into tokenfactory_responses.response
          (scope, key_uid, response_id, previous_id, model, created_at, expires_at, size, nonce, ciphertext)
        values ($1::text::ltree, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        sealed.scope, sealed.key_uid, sealed.response_id, sealed.previous_id, sealed.model, sealed.created_at,
        sealed.expires_at, sealed.size, sealed.nonce, sealed.ciphertext,
    )  # fmt: skip


async def fetch_response(ctx: Context, scope: str, response_id: str) -> SealedResponse | None:
    """One at `scope` whose time is not over."""
    row = await ctx.db.fetchrow(
        f"select {_COLUMNS} from {_KEYED} where r.response_id = $2 and r.scope = $1::text::ltree and r.expires_at > $3",
        scope, response_id, ctx.now(),
    )  # fmt: skip
    return _sealed(row) if row else None


async def list_chain(ctx: Context, scope: str, response_id: str, limit: int) -> list[tuple[str, str | None, int]]:
    """(id, previous id, bytes) of a response and of those before it, the newest first, at most `limit`.

    It ends where there is none before, or where one is missing.
    """
    rows = await ctx.db.fetch(
        """
        with recursive chain as (
          select r.response_id, r.previous_id, r.size, 1 as at from tokenfactory_responses.response r
          where r.response_id = $2 and r.scope = $1::text::ltree and r.expires_at > $3
          union all
          select r.response_id, r.previous_id, r.size, c.at + 1
          from chain c join tokenfactory_responses.response r on r.response_id = c.previous_id
          where r.scope = $1::text::ltree and r.expires_at > $3 and c.at < $4
        )
        select response_id, previous_id, size from chain order by at
        """,
        scope, response_id, ctx.now(), limit,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def fetch_responses(ctx: Context, scope: str, ids: Sequence[str]) -> dict[str, SealedResponse]:
    rows = await ctx.db.fetch(
        f"select {_COLUMNS} from {_KEYED} where r.response_id = any ($2) and r.scope = $1::text::ltree",
        scope, list(ids),
    )  # fmt: skip
    return {row["response_id"]: _sealed(row) for row in rows}


async def delete_response(ctx: Context, scope: str, response_id: str) -> bool:
    """Whether it was there."""
    found = await ctx.db.fetchval(
        "delete from tokenfactory_responses.response where response_id = $2 and scope = $1::text::ltree"
        " and expires_at > $3 returning true",
        scope, response_id, ctx.now(),
    )  # fmt: skip
    return bool(found)


async def delete_expired(ctx: Context, limit: int) -> int:
    """Delete up to `limit` responses whose time is over; returns how many."""
    status = await ctx.db.execute(
        "delete from tokenfactory_responses.response where response_id in"
        " (select r.response_id from tokenfactory_responses.response r where r.expires_at <= $1 limit $2)",
        ctx.now(), limit,
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


async def delete_scope(ctx: Context, scope: str) -> None:
    """Forget a scope's key, and with it, by the foreign key, what it sealed."""
    await ctx.db.execute("delete from tokenfactory_responses.response_key where scope = $1::text::ltree", scope)


async def lock_keys_of_other_masters(
    ctx: Context, current: str, known: Sequence[str], limit: int
) -> list[secrets.WrappedKey]:
    """Up to `limit` keys wrapped by one of `known`, but not by `current`."""
    rows = await ctx.db.fetch(
        "select ltree2text(scope) as scope, version, wrapped, master_key_id from tokenfactory_responses.response_key"
        " where master_key_id <> $1 and master_key_id = any ($2)"
        " order by response_key.scope limit $3 for update skip locked",
        current, list(known), limit,
    )  # fmt: skip
    return [secrets.WrappedKey(**row) for row in rows]


async def save_wrapped(ctx: Context, keys: Sequence[secrets.WrappedKey]) -> None:
    """Replace the wrapping of keys whose rows are locked."""
    await ctx.db.executemany(
        "update tokenfactory_responses.response_key set wrapped = $2, master_key_id = $3 where scope = $1::text::ltree",
        [(key.scope, key.wrapped, key.master_key_id) for key in keys],
    )


def _sealed(row: Any) -> SealedResponse:
    facts = dict(row)
    key = secrets.WrappedKey(facts["scope"], facts.pop("version"), facts.pop("wrapped"), facts.pop("master_key_id"))
    return SealedResponse(**facts, key=key)
