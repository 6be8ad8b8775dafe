"""Policies' keys and sealed traces in Postgres. Nothing here can open one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ironworks.platform import secrets
from ironworks.products.tokenfactory.traces.model import TRACE_POLICY, PolicyView, SealedTrace, TraceView
from ironworks.shared.context import Context

_VIEW = (
    "t.request_id, t.path, t.policy, t.occurred_at, t.expires_at, t.operation, t.model, t.endpoint, t.key_uid,"
    " t.status, t.input_tokens, t.output_tokens, t.content_type, t.size, t.truncated"
)
_KEY = "ltree2text(k.scope) as key_scope, k.version, k.wrapped, k.master_key_id"
_BELOW = "(t.path = $1 or $1 = '' or (t.path >= $1 || '.' and t.path < $1 || '/'))"


async def list_policies(ctx: Context) -> list[PolicyView]:
    """Every policy that is on and has a key."""
    rows = await ctx.db.fetch(
        f"""
        select p.uid, p.path, p.spec ->> 'model' as model, (p.spec ->> 'sample_rate')::float8 as sample_rate,
               (p.spec ->> 'max_bytes')::int as max_bytes, (p.spec ->> 'retention_days')::int as retention_days, {_KEY}
        from {TRACE_POLICY.table} p join tokenfactory_traces.trace_key k on k.policy = p.uid
        where p.deletion_timestamp is null and (p.spec ->> 'enabled')::boolean
        """
    )
    return [
        PolicyView(
            uid=UUID(int=row["uid"].int),
            scope=row["path"],
            model=row["model"],
            sample_rate=row["sample_rate"],
            max_bytes=row["max_bytes"],
            retention_days=row["retention_days"],
            key=_key(row),
        )
        for row in rows
    ]


async def insert_key(ctx: Context, policy: UUID, key: secrets.WrappedKey) -> None:
    """Store a policy's key, unless it has one."""
    await ctx.db.execute(
        "insert into tokenfactory_traces.trace_key (policy, scope, version, wrapped, master_key_id)"
        " values ($1, $2::text::ltree, $3, $4, $5) on conflict (policy) do nothing",
        policy, key.scope, key.version, key.wrapped, key.master_key_id,
    )  # fmt: skip


async def delete_key(ctx: Context, policy: UUID) -> None:
    """Forget a policy's key, and with it, by the foreign key, what it sealed."""
    await ctx.db.execute("delete from tokenfactory_traces.trace_key where policy = $1", policy)


async def save_traces(ctx: Context, traces: Sequence[SealedTrace]) -> None:
    """Insert what is not there yet; a trace whose policy's key is gone meanwhile is left out."""
    await ctx.db.executemany(
        """
        insert into tokenfactory_traces.trace (
          request_id, scope, policy, occurred_at, expires_at, operation, model, endpoint, key_uid, status,
          input_tokens, output_tokens, content_type, size, truncated, nonce, ciphertext)
        select $1, $2::text::ltree, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
        from tokenfactory_traces.trace_key k where k.policy = $3 and k.wrapped = $18
        on conflict do nothing
        """,
        [
            (
                view.request_id, view.path, view.policy, view.occurred_at, view.expires_at, view.operation, view.model,
                view.endpoint, view.key_uid, view.status, view.input_tokens, view.output_tokens, view.content_type,
                view.size, view.truncated, trace.nonce, trace.ciphertext, trace.key.wrapped,
            )
            for trace in traces
            for view in (trace.view,)
        ],
    )  # fmt: skip


async def list_traces(ctx: Context, path: str, limit: int, before: tuple[datetime, str] | None) -> list[TraceView]:
    """Traces at and below `path`, newest first, older than `before` (time, request id)."""
    at, request_id = before or (None, None)
    rows = await ctx.db.fetch(
        f"select {_VIEW} from tokenfactory_traces.trace t where {_BELOW} and t.expires_at > $5"
        " and ($2::timestamptz is null or (t.occurred_at, t.request_id) < ($2, $3))"
        " order by t.occurred_at desc, t.request_id desc limit $4",
        path, at, request_id, limit, ctx.now(),
    )  # fmt: skip
    return [TraceView(**row) for row in rows]


async def get_trace(ctx: Context, path: str, request_id: str) -> SealedTrace | None:
    """One trace at or below `path`, if it exists for this caller and its time is not over."""
    row = await ctx.db.fetchrow(
        f"select {_VIEW}, t.nonce, t.ciphertext, {_KEY} from tokenfactory_traces.trace t"
        f" join tokenfactory_traces.trace_key k on k.policy = t.policy where t.request_id = $2 and {_BELOW}"
        " and t.expires_at > $3",
        path, request_id, ctx.now(),
    )  # fmt: skip
    if row is None:
        return None
    facts: dict[str, Any] = dict(row)
    key, nonce, ciphertext = _key(row), facts["nonce"], facts["ciphertext"]
    view = TraceView(**{name: facts[name] for name in TraceView.__slots__})
    return SealedTrace(view, key, nonce, ciphertext)


async def delete_trace(ctx: Context, path: str, request_id: str) -> str | None:
    """The scope of the trace that is now gone; None where there was none for this caller."""
    found: str | None = await ctx.db.fetchval(
        f"delete from tokenfactory_traces.trace t where t.request_id = $2 and {_BELOW} returning t.path",
        path, request_id,
    )  # fmt: skip
    return found


async def delete_expired(ctx: Context, limit: int) -> int:
    """Delete up to `limit` traces whose time is over; returns how many."""
    status = await ctx.db.execute(
        "delete from tokenfactory_traces.trace where request_id in"
        " (select t.request_id from tokenfactory_traces.trace t where t.expires_at <= $1 limit $2)",
        ctx.now(), limit,
    )  # fmt: skip
    return int(status.rpartition(" ")[2])


async def delete_of_scope(ctx: Context, path: str) -> None:
    """Delete every trace at `path`."""
    await ctx.db.execute("delete from tokenfactory_traces.trace where path = $1", path)


async def lock_keys_of_other_masters(
    ctx: Context, current: str, known: Sequence[str], limit: int
) -> list[tuple[UUID, secrets.WrappedKey]]:
    """Up to `limit` policies' keys wrapped by one of `known`, but not by `current`."""
    rows = await ctx.db.fetch(
        f"select k.policy, {_KEY} from tokenfactory_traces.trace_key k"
        " where k.master_key_id <> $1 and k.master_key_id = any ($2) order by k.policy limit $3 for update skip locked",
        current, list(known), limit,
    )  # fmt: skip
    return [(row["policy"], _key(row)) for row in rows]


async def save_wrapped(ctx: Context, keys: Sequence[tuple[UUID, secrets.WrappedKey]]) -> None:
    """Replace the wrapping of keys whose rows are locked."""
    await ctx.db.executemany(
        "update tokenfactory_traces.trace_key set wrapped = $2, master_key_id = $3 where policy = $1",
        [(policy, key.wrapped, key.master_key_id) for policy, key in keys],
    )


def _key(row: Any) -> secrets.WrappedKey:
    return secrets.WrappedKey(row["key_scope"], row["version"], row["wrapped"], row["master_key_id"])
