"""Use cases around traces: sealing what the gateway captured, reading it, and making an end of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from ironworks.platform import secrets
from ironworks.products.tokenfactory.traces import store
from ironworks.products.tokenfactory.traces.declarations import DELETE, DELETE_ACTION, READ, READ_ACTION
from ironworks.products.tokenfactory.traces.model import (
    Captured,
    OpenedTrace,
    PolicyView,
    SealedTrace,
    TraceView,
    place_of,
)
from ironworks.shared import telemetry
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound
from ironworks.shared.path import parse_path, show_path

log = telemetry.logger(__name__)

BATCH: Final = 500
_TARGET: Final = "trace"


async def list_policies(ctx: Context) -> list[PolicyView]:
    """Every policy that is on, for the gateway."""
    return await store.list_policies(ctx)


async def save_traces(ctx: Context, keyring: secrets.Keyring, captured: Sequence[Captured]) -> None:
    """Seal what the gateway captured and store it, each request once.

    A trace whose policy was switched off meanwhile is not stored, nor one whose policy's key does not open: it must not
    keep out those of others.
    """
    sealed = []
    for each in captured:
        try:
            sealed += [seal_trace(keyring, each, each.policy)] if each.policy is not None else []
        except (secrets.MissingMasterKey, secrets.TamperedSecret) as problem:
            log.error("a trace cannot be sealed and is dropped", scope=each.scope, problem=problem.message)
    await store.save_traces(ctx, sealed)


def seal_trace(keyring: secrets.Keyring, captured: Captured, policy: PolicyView) -> SealedTrace:
    """The trace as it is stored. Texts are kept as text: what was no UTF-8 is replaced."""
    occurred_at = datetime.fromtimestamp(captured.occurred_at, UTC)
    texts = [text.decode("utf-8", "replace") for text in (captured.request, captured.answer)]
    place = place_of(policy.uid, captured.request_id, captured.scope)
    sealed = keyring.seal(policy.key, place, orjson.dumps(texts).decode())
    view = TraceView(
        request_id=captured.request_id,
        path=captured.scope,
        policy=policy.uid,
        occurred_at=occurred_at,
        expires_at=occurred_at + timedelta(days=policy.retention_days),
        operation=captured.operation,
        model=captured.model,
        endpoint=captured.endpoint,
        key_uid=captured.key_uid,
        status=captured.status,
        input_tokens=captured.input_tokens,
        output_tokens=captured.output_tokens,
        content_type=captured.content_type[:200],
        size=len(captured.request) + len(captured.answer),
        truncated=captured.truncated,
    )
    return SealedTrace(view, policy.key, sealed.nonce, sealed.ciphertext)


async def list_traces(
    ctx: Context, path: str, limit: int, before: tuple[datetime, str] | None = None
) -> list[TraceView]:
    """Traces of a scope and all below it, newest first, without their texts. Needs `endpoint:trace-read`."""
    return await store.list_traces(ctx, parse_path(path), limit, before)


async def read_trace(ctx: Context, keyring: secrets.Keyring, path: str, request_id: str) -> OpenedTrace:
    """One trace with its texts; who read it goes to the audit trail. Raises NotFound, MissingMasterKey."""
    found = await store.get_trace(ctx, parse_path(path), request_id)
    if found is None:
        raise _absent(path, request_id)
    await ctx.require(READ, found.view.path)
    request, answer = orjson.loads(keyring.open(found.sealed))
    await ctx.audit(READ_ACTION, _TARGET, request_id, found.view.path, after={"model": found.view.model})
    return OpenedTrace(found.view, request, answer)


async def delete_trace(ctx: Context, path: str, request_id: str) -> None:
    """Delete one trace before its time. Raises NotFound."""
    await ctx.require(DELETE, parse_path(path))
    scope = await store.delete_trace(ctx, parse_path(path), request_id)
    if scope is None:
        raise _absent(path, request_id)
    await ctx.audit(DELETE_ACTION, _TARGET, request_id, scope)


def _absent(path: str, request_id: str) -> NotFound:
    return NotFound(f"no trace {request_id!r} at {show_path(parse_path(path))!r} or below", request_id=request_id)


async def give_key(ctx: Context, keyring: secrets.Keyring, policy: UUID, scope: str) -> None:
    """Make a policy's key, unless it has one."""
    await store.insert_key(ctx, policy, keyring.new_key(scope, 1))


async def end_policy(ctx: Context, policy: UUID) -> None:
    """Forget a policy's key; what it sealed is gone from then on, also where copies of it are left."""
    await store.delete_key(ctx, policy)


async def purge_expired(ctx: Context) -> int:
    """Delete some of the traces whose time is over; returns how many."""
    return await store.delete_expired(ctx, BATCH)


async def forget_scope(ctx: Context, path: str) -> None:
    """Delete every trace of a tenant that is gone."""
    await store.delete_of_scope(ctx, path)


async def rewrap_keys(ctx: Context, keyring: secrets.Keyring) -> int:
    """Wrap some of the policies' keys by the current master key; returns how many. One that does not open is left."""
    wrapped = []
    for policy, key in await store.lock_keys_of_other_masters(ctx, keyring.current_id, keyring.known_ids, BATCH):
        try:
            wrapped.append((policy, keyring.rewrap(key)))
        except (secrets.MissingMasterKey, secrets.TamperedSecret) as problem:
            log.error("the key of a trace policy does not open", policy=str(policy), problem=problem.message)
    await store.save_wrapped(ctx, wrapped)
    return len(wrapped)
