"""Sealed values and wrapped keys in Postgres. Nothing here can open them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from ironworks.platform.secrets.model import KeyReport, Place, SealedSecret, WrappedKey
from ironworks.shared.context import Context
from ironworks.shared.errors import Forbidden
from ironworks.shared.path import show_path

_NEWER = "select from platform_secrets.data_key n where n.scope = k.scope and n.version > k.version"


async def fetch_current_key(ctx: Context, scope: str) -> WrappedKey | None:
    """The key that seals what is written at `scope`; it stays until the transaction ends."""
    row = await ctx.db.fetchrow("select * from platform_secrets.current_key($1::text::ltree)", scope)
    return WrappedKey(scope, **row) if row else None


async def insert_key(ctx: Context, key: WrappedKey) -> None:
    """Store a data key, unless another transaction stored that version first. Raises Forbidden."""
    try:
        await ctx.db.execute(
            "insert into platform_secrets.data_key (scope, version, wrapped, master_key_id)"
            " values ($1::text::ltree, $2, $3, $4) on conflict do nothing",
            key.scope,
            key.version,
            key.wrapped,
            key.master_key_id,
        )
    except asyncpg.InsufficientPrivilegeError as problem:
        raise Forbidden(f"this caller may keep no secret at {show_path(key.scope)!r}") from problem


async def save_secrets(ctx: Context, secrets: Sequence[SealedSecret]) -> None:
    """Insert or replace. The values are given twice, since reading `excluded` takes the right to read the column."""
    await ctx.db.executemany(
        """
        insert into platform_secrets.secret (owner, pointer, scope, key_version, nonce, ciphertext)
        values ($1, $2, $3::text::ltree, $4, $5, $6)
        on conflict (owner, pointer) do update
          set scope = $3::text::ltree, key_version = $4, nonce = $5, ciphertext = $6, updated_at = clock_timestamp()
        """,
        [(s.place.owner, s.place.pointer, s.place.scope, s.key.version, s.nonce, s.ciphertext) for s in secrets],
    )


async def fetch_secrets(ctx: Context, owner: UUID) -> list[SealedSecret]:
    rows = await ctx.db.fetch(_SECRETS + " where s.owner = $1 order by s.pointer", owner)
    return [_secret(row) for row in rows]


async def fetch_secrets_of(ctx: Context, owners: Sequence[UUID]) -> list[SealedSecret]:
    rows = await ctx.db.fetch(_SECRETS + " where s.owner = any ($1) order by s.owner, s.pointer", list(owners))
    return [_secret(row) for row in rows]


async def delete_secrets(ctx: Context, owner: UUID, pointers: Sequence[str] | None) -> None:
    """Delete those of `pointers`, or all."""
    await ctx.db.execute(
        "delete from platform_secrets.secret where owner = $1 and ($2::text[] is null or pointer = any ($2))",
        owner,
        None if pointers is None else list(pointers),
    )


async def lock_keys_of_other_masters(
    ctx: Context, current: str, known: Sequence[str], after: tuple[str, int], limit: int
) -> list[WrappedKey]:
    """Up to `limit` data keys after (scope, version) wrapped by one of `known`, but not by `current`."""
    rows = await ctx.db.fetch(
        """
        select ltree2text(scope) as scope, version, wrapped, master_key_id from platform_secrets.data_key
        where master_key_id <> $1 and master_key_id = any ($2) and (scope, version) > ($3::text::ltree, $4)
        order by data_key.scope, version limit $5 for no key update skip locked
        """,
        current,
        list(known),
        *after,
        limit,
    )
    return [WrappedKey(**row) for row in rows]


async def save_wrapped(ctx: Context, keys: Sequence[WrappedKey]) -> None:
    """Replace the wrapping of data keys whose rows are locked."""
    await ctx.db.executemany(
        "update platform_secrets.data_key set wrapped = $3, master_key_id = $4"
        " where scope = $1::text::ltree and version = $2",
        [(key.scope, key.version, key.wrapped, key.master_key_id) for key in keys],
    )


async def mark_for_rotation(ctx: Context, scope: str, now: Any) -> int:
    """Ask for new data keys at `scope` and below; returns how many keys are newly marked."""
    status = await ctx.db.execute(
        f"""
        update platform_secrets.data_key k set rotate_requested_at = $2
        where k.scope <@ $1::text::ltree and k.rotate_requested_at is null and not exists ({_NEWER})
        """,
        scope,
        now,
    )
    return int(status.rpartition(" ")[2])


async def lock_marked_keys(ctx: Context, limit: int) -> list[tuple[str, int]]:
    """(scope, version) of up to `limit` current keys that are to be replaced."""
    rows = await ctx.db.fetch(
        f"""
        select ltree2text(k.scope) as scope, k.version from platform_secrets.data_key k
        where k.rotate_requested_at is not null and not exists ({_NEWER})
        order by k.scope limit $1 for no key update of k skip locked
        """,
        limit,
    )
    return [(row["scope"], row["version"]) for row in rows]


async def lock_outdated_secrets(ctx: Context, after: tuple[UUID, str], limit: int) -> list[SealedSecret]:
    """Up to `limit` values after (owner, pointer) whose key has been replaced."""
    rows = await ctx.db.fetch(
        f"""
        {_SECRETS} where (s.owner, s.pointer) > ($1, $2) and exists ({_NEWER})
        order by s.owner, s.pointer limit $3 for update of s skip locked
        """,
        *after,
        limit,
    )
    return [_secret(row) for row in rows]


async def delete_unused_keys(ctx: Context, limit: int) -> int:
    """Delete replaced keys that seal nothing; those that a writer holds now are left for the next time."""
    rows = await ctx.db.fetch(
        f"""
        select ltree2text(k.scope) as scope, k.version from platform_secrets.data_key k
        where exists ({_NEWER}) and not exists (
          select from platform_secrets.secret s where s.scope = k.scope and s.key_version = k.version)
        limit $1 for update of k skip locked
        """,
        limit,
    )
    # A second statement: its snapshot shows what a writer committed before it let go of the key.
    status = await ctx.db.execute(
        """
        delete from platform_secrets.data_key k
        using unnest($1::text[], $2::integer[]) as u(scope, version)
        where k.scope = u.scope::ltree and k.version = u.version and not exists (
          select from platform_secrets.secret s where s.scope = k.scope and s.key_version = k.version)
        """,
        [row["scope"] for row in rows],
        [row["version"] for row in rows],
    )
    return int(status.rpartition(" ")[2])


async def fetch_report(ctx: Context) -> KeyReport:
    rows = await ctx.db.fetch(
        f"""
        select master_key_id, count(*) as keys, count(*) filter (where newest and rotate_requested_at is not null)
          as requested, count(*) filter (where not newest) as retired
        from (select k.*, not exists ({_NEWER}) as newest
              from (select scope, version, master_key_id, rotate_requested_at from platform_secrets.data_key) k) k
        group by master_key_id order by master_key_id
        """
    )
    return KeyReport(
        by_master_key={row["master_key_id"]: row["keys"] for row in rows},
        requested=sum(row["requested"] for row in rows),
        retired=sum(row["retired"] for row in rows),
    )


_SECRETS = """
    select s.owner, s.pointer, ltree2text(s.scope) as scope, s.nonce, s.ciphertext, k.version, k.wrapped,
           k.master_key_id
    from platform_secrets.secret s
    join platform_secrets.data_key k on k.scope = s.scope and k.version = s.key_version
"""


def _secret(row: Any) -> SealedSecret:
    return SealedSecret(
        Place(row["owner"], row["pointer"], row["scope"]),
        WrappedKey(row["scope"], row["version"], row["wrapped"], row["master_key_id"]),
        row["nonce"],
        row["ciphertext"],
    )
