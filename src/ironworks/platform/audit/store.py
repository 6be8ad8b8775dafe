"""The audit trail's SQL: append, seal, read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from ironworks.platform.audit.model import ChainHead, Record, SealedRecord, TrailQuery, chain_of
from ironworks.shared.context import Connection, Context, to_json
from ironworks.shared.path import level

_BATCH = 1000
_TRAIL = """platform, chain_seq, uid, occurred_at, actor_uid, actor_kind, actor, address, action, target_type,
  target_id, path, result, correlation_id, client_request_id, before::text as before, after::text as after"""
_SEALED = """platform, chain_seq, previous_hash, hash, sealed_at, uid, occurred_at, actor_uid, actor_kind, actor,
  address, action, target_type, target_id, ltree2text(scope) as scope, path, result, correlation_id,
  client_request_id, before::text as before, after::text as after"""


_APPEND = """
  insert into platform_audit.pending
    (occurred_at, actor_uid, actor_kind, actor, address, action, target_type, target_id, scope, result,
     correlation_id, client_request_id, before, after)
  select $1, $2, $3, $4, $5, $6, $7, $8, $9::text::ltree, $10, $11, $12, $13::jsonb, $14::jsonb
  where shared.registered('audit_action', $6)
"""


async def append(ctx: Context, action: str, fields: Mapping[str, Any]) -> bool:
    """Insert a pending record; False, and nothing inserted, where the action may not be used."""
    status = await ctx.db.execute(_APPEND, *_values(ctx, action, fields))
    return status.endswith(" 1")


async def append_all(ctx: Context, action: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Insert pending records of one action, which may be used, at the cost of one round trip."""
    await ctx.db.executemany(_APPEND, [_values(ctx, action, fields) for fields in records])


def _values(ctx: Context, action: str, fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        ctx.now(),
        ctx.actor.uid,
        ctx.actor.kind,
        fields["actor"],
        fields["address"],
        action,
        fields["target_type"],
        fields["target_id"],
        fields["scope"],
        fields["result"],
        ctx.request_id,
        fields["client_request_id"],
        _json(fields["before"]),
        _json(fields["after"]),
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else to_json(value)


async def seal(db: Connection, limit: int) -> int:
    sealed: int = await db.fetchval("select platform_audit.seal($1)", limit)
    return sealed


async def fetch_trail(ctx: Context, query: TrailQuery) -> list[Record]:
    """Records in the order (occurred_at, uid), newest first, as far as the caller may read them."""
    args: list[Any] = []
    conditions = list(_conditions(query, args))
    where = " and ".join(conditions) or "true"
    args.append(query.limit)
    rows = await ctx.db.fetch(
        f"select {_TRAIL} from platform_audit.trail where {where} "
        f"order by occurred_at desc, uid desc limit ${len(args)}",
        *args,
    )
    return [Record(**row) for row in rows]


def _conditions(query: TrailQuery, args: list[Any]) -> list[str]:
    """SQL conditions; their values are appended to `args`."""

    def bind(template: str, *values: Any) -> str:
        args.extend(values)
        first = len(args) - len(values) + 1
        return template.format(*(f"${first + index}" for index in range(len(values))))

    conditions = []
    depth = level(query.path)
    if depth >= 2:  # its platform's index holds all of it, in order
        conditions.append(bind("platform = {0}", chain_of(query.path)))
    if depth not in (0, 2):  # all of the installation, or of a platform, needs no further test
        below = (query.path, f"{query.path}.", f"{query.path}/")
        conditions.append(bind("(path = {0} or (path >= {1} and path < {2}))", *below))
    begins = query.action is not None and query.action.endswith("*")
    if query.action is not None and begins:
        conditions.append(bind("starts_with(action, {0})", query.action[:-1]))
    equal = {
        "action": None if begins else query.action,
        "actor": query.actor,
        "result": query.result,
        "target_type": query.target_type,
        "target_id": query.target,
        "uid": query.uid,
        "correlation_id": query.correlation_id,
    }
    conditions += [bind(column + " = {0}", value) for column, value in equal.items() if value is not None]
    if query.since is not None:
        conditions.append(bind("occurred_at >= {0}", query.since))
    if query.until is not None:
        conditions.append(bind("occurred_at < {0}", query.until))
    if query.after is not None:
        conditions.append(bind("(occurred_at, uid) < ({0}, {1})", *query.after))
    return conditions


async def fetch_head(ctx: Context, platform: str) -> ChainHead | None:
    row = await ctx.db.fetchrow(
        "select platform, chain_seq, hash from platform_audit.chain_head where platform = $1", platform
    )
    return ChainHead(**row) if row else None


async def fetch_chains(ctx: Context) -> list[str]:
    """Every chain there is a trace of, be it a head or records alone."""
    rows = await ctx.db.fetch(
        "select platform from platform_audit.chain_head union select distinct platform from platform_audit.record"
        " order by platform"
    )
    return [row["platform"] for row in rows]


async def read_chain(ctx: Context, platform: str, end: int) -> AsyncIterator[list[SealedRecord]]:
    """The sealed records of a chain up to number `end`, in order, in batches."""
    after = -(2**62)  # a tamperer may have numbered below 1
    while True:
        rows = await ctx.db.fetch(
            f"select {_SEALED} from platform_audit.record "
            "where platform = $1 and chain_seq > $2 and chain_seq <= $3 order by chain_seq limit $4",
            platform,
            after,
            end,
            _BATCH,
        )
        if not rows:
            return
        yield [SealedRecord(**row) for row in rows]
        after = rows[-1]["chain_seq"]


async def fetch_beyond(ctx: Context, platform: str) -> int | None:
    """The first record past the chain's noted end; one statement, so that sealing meanwhile does not matter."""
    beyond: int | None = await ctx.db.fetchval(
        """
        select min(chain_seq) from platform_audit.record where platform = $1 and chain_seq > coalesce(
          (select chain_seq from platform_audit.chain_head where platform = $1), 0)
        """,
        platform,
    )
    return beyond


async def sees_scope(ctx: Context, path: str) -> bool:
    """Whether the actor holds any right at `path`."""
    sees: bool = await ctx.db.fetchval("select shared.sees($1::text::ltree)", path)
    return sees
