"""Appending to the trail, sealing it, reading it, and checking that it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ironworks.platform import registry
from ironworks.platform.audit import store
from ironworks.platform.audit.model import (
    ACCESS_DENIED,
    RESULTS,
    VERIFY,
    Anchor,
    BadResult,
    Chain,
    ChainReport,
    NewRecord,
    Record,
    TrailQuery,
    clean,
    clean_json,
    scope_of,
)
from ironworks.shared.context import Connection, Context
from ironworks.shared.declarations import AUDIT_ACTION
from ironworks.shared.errors import Invalid
from ironworks.shared.path import OPERATOR, parse_path


async def append_record(
    ctx: Context,
    action: str,
    target_type: str,
    target_id: str,
    scope: str,
    result: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    """Append one record in the caller's transaction; this is the kernel's `AuditSink`.

    `before` and `after` must hold no secret. Raises UnknownEntry or DisabledEntry for an action that is not
    registered: what cannot be recorded does not happen.
    """
    if result not in RESULTS:
        raise BadResult(f"an audit result is one of {', '.join(RESULTS)}, not {result!r}")
    if not await store.append(
        ctx, action, _fields(ctx, NewRecord(target_type, target_id, scope, after), result, before)
    ):
        await registry.require(ctx, AUDIT_ACTION, action)


async def append_records(ctx: Context, action: str, records: Sequence[NewRecord]) -> None:
    """Append records of one action that was done to many, at the cost of one. Raises what append_record raises."""
    await registry.require(ctx, AUDIT_ACTION, action)
    await store.append_all(ctx, action, [_fields(ctx, record, "ok", None) for record in records])


def _fields(ctx: Context, record: NewRecord, result: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
    client_request_id = ctx.client_request_id
    return {
        "actor": clean(ctx.actor.name),
        "address": clean(ctx.actor.address),
        "target_type": clean(record.target_type),
        "target_id": clean(record.target_id),
        "scope": record.scope,
        "result": result,
        "client_request_id": None if client_request_id is None else clean(client_request_id),
        "before": clean_json(before),
        "after": clean_json(record.after),
    }


async def record_denied(
    ctx: Context,
    target_type: str,
    target_id: str,
    scope: str = "",
    *,
    action: str = ACCESS_DENIED,
    permission: str | None = None,
    reason: str | None = None,
) -> None:
    """Append a record of an attempt that was refused.

    Call it in a transaction of its own: the refused one rolls back and would take the record with it. Where the actor
    sees nothing of `scope`, or `scope` is no path, the record lies at the operator's scope: probing made-up scopes
    must not fill other people's trails.

    Args:
        target_type, target_id: what was aimed at, for instance `route` and `POST /api/v1/scopes/a.b/buckets`.
        action: a domain's own registered action (`iam.login.fail`), or the general one.
        permission: the one that was missing. reason: the error code that the caller got.
    """
    facts = {"permission": permission, "reason": reason}
    after = {name: value for name, value in facts.items() if value is not None}
    await ctx.audit(action, target_type, target_id, await _own_scope(ctx, scope), "denied", after=after or None)


async def _own_scope(ctx: Context, scope: str) -> str:
    try:
        path = parse_path(scope)
    except Invalid:
        return OPERATOR
    return path if await store.sees_scope(ctx, path) else OPERATOR


async def seal_records(db: Connection, limit: int = 1000) -> int:
    """Chain up to `limit` committed records; returns how many. Give it a transaction of its own.

    Called by the sequencer's loop; a second caller at the same time gets 0.
    """
    return await store.seal(db, limit)


async def list_records(ctx: Context, query: TrailQuery) -> list[Record]:
    """Records that the caller may read, newest first, sealed or not yet."""
    return await store.fetch_trail(ctx, query)


async def verify_chain(ctx: Context, platform: str, anchor: Anchor | None = None) -> ChainReport:
    """Recompute one platform's chain from its rows (`-`: the chain above platforms).

    Needs `audit:verify` at the platform, for `-` at the operator's scope. With `anchor`, a head noted earlier and
    elsewhere, it also finds a chain that was rebuilt as a whole, or removed.
    """
    await ctx.require(VERIFY, scope_of(platform))
    chain = Chain(platform, anchor)
    head = await store.fetch_head(ctx, platform)
    async for records in store.read_chain(ctx, platform, head.chain_seq if head else 0):
        chain.feed(records)
        if chain.bad:
            break
    return chain.finish(head, await store.fetch_beyond(ctx, platform))


async def verify_all(ctx: Context) -> list[ChainReport]:
    """Every chain's report. Needs `audit:verify` at the operator's scope."""
    await ctx.require(VERIFY, "")
    return [await verify_chain(ctx, platform) for platform in await store.fetch_chains(ctx)]
