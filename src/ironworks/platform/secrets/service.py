"""Keeping secrets, and rotating the keys they are kept with.

A rotation is told from the rows alone, in steps that may each be cut off and run again, by any worker:

1. rewrap: data keys wrapped by a former master key are wrapped by the current one;
2. rotate: a scope whose key is to be replaced gets the next version, which seals everything written from then on;
3. re-encrypt: values sealed with a replaced key are sealed anew;
4. purge: replaced keys that seal nothing any more are deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from ironworks.platform.secrets import store
from ironworks.platform.secrets.cipher import Keyring
from ironworks.platform.secrets.model import (
    MAX_VALUE_BYTES,
    ROTATE,
    KeyReport,
    MasterKeySource,
    MissingMasterKey,
    Place,
    TamperedSecret,
    WrappedKey,
    parse_master_keys,
)
from ironworks.shared import telemetry
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Invalid, field_problem
from ironworks.shared.path import show_path

log = telemetry.logger(__name__)

BATCH = 100
_FIRST_OWNER = UUID(int=0)
C = TypeVar("C")


async def load_keyring(source: MasterKeySource) -> Keyring:
    """The keyring of this process. Raises BadMasterKey, which stops a start."""
    return Keyring(parse_master_keys(await source.read()))


@dataclass(frozen=True, slots=True)
class EnvelopeVault:
    """The kernel's `Vault`. Writing needs the API's or the worker's role, reading the worker's or the gateway's."""

    keyring: Keyring

    async def put(self, ctx: Context, scope: str, owner: UUID, values: Mapping[str, str]) -> None:
        """Insert or replace the values of `owner`, which lives at `scope`.

        Raises Invalid, which tells no value, for one over 64 KiB or with characters that are no text.
        """
        if not values:
            return
        _check_values(values)
        key = await _current_key(ctx, self.keyring, scope)
        sealed = [self.keyring.seal(key, Place(owner, pointer, scope), value) for pointer, value in values.items()]
        await store.save_secrets(ctx, sealed)

    async def get(self, ctx: Context, owner: UUID) -> dict[str, str]:
        """All values of `owner` by pointer. Raises MissingMasterKey, TamperedSecret."""
        return {secret.place.pointer: self.keyring.open(secret) for secret in await store.fetch_secrets(ctx, owner)}

    async def get_many(self, ctx: Context, owners: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
        """Values by owner and pointer, in one query. Who has one that does not open is left out, and logged."""
        found: dict[UUID, dict[str, str]] = {owner: {} for owner in owners}
        for secret in await store.fetch_secrets_of(ctx, owners):
            owner = secret.place.owner
            try:
                value = self.keyring.open(secret)
            except (MissingMasterKey, TamperedSecret) as problem:
                log.error("a secret does not open", owner=str(owner), problem=str(problem))
                found.pop(owner, None)
            else:
                if owner in found:
                    found[owner][secret.place.pointer] = value
        return found

    async def remove(self, ctx: Context, owner: UUID, pointers: Sequence[str] | None = None) -> None:
        """Delete values of `owner`: those of `pointers`, or all."""
        await store.delete_secrets(ctx, owner, pointers)


def _check_values(values: Mapping[str, str]) -> None:
    problems = []
    for pointer, value in values.items():
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            problems.append(field_problem(f"spec.{pointer}", "is not valid Unicode text", "send UTF-8"))
            continue
        if size > MAX_VALUE_BYTES:
            problems.append(field_problem(f"spec.{pointer}", f"is over {MAX_VALUE_BYTES} bytes", "shorten it"))
    if problems:
        raise Invalid("; ".join(f"{p['field']} {p['problem']}" for p in problems), fields=problems)


async def _current_key(ctx: Context, keyring: Keyring, scope: str) -> WrappedKey:
    """The scope's key; its first one is made here. Of two that make it at once, one waits and takes the other's."""
    while (key := await store.fetch_current_key(ctx, scope)) is None:
        await store.insert_key(ctx, keyring.new_key(scope, 1))
    return key


async def request_rotation(ctx: Context, scope: str = "") -> int:
    """Have the data keys at `scope` and below replaced; the worker does it. Returns how many keys that is.

    Needs `secrets:rotate` there. Asking again before it is done changes nothing.
    """
    await ctx.require(ROTATE, scope)
    marked = await store.mark_for_rotation(ctx, scope, ctx.now())
    await ctx.audit("secrets.rotation.request", "scope", show_path(scope), scope, after={"data_keys": marked})
    return marked


async def report_keys(ctx: Context) -> KeyReport:
    """How far rotations are, over all data keys that the caller may rotate."""
    return await store.fetch_report(ctx)


async def rewrap_data_keys(
    ctx: Context, keyring: Keyring, after: tuple[str, int] = ("", 0), limit: int = BATCH
) -> tuple[str, int] | None:
    """Wrap up to `limit` data keys by the current master key; returns where to go on, None at the end.

    Keys of masters that are not at hand stay as they are; a key that does not open is logged and left.
    """
    keys = await store.lock_keys_of_other_masters(ctx, keyring.current_id, keyring.known_ids, after, limit)
    await store.save_wrapped(ctx, [new for key in keys if (new := _attempt(keyring.rewrap, key)) is not None])
    return (keys[-1].scope, keys[-1].version) if keys else None


async def rotate_data_keys(ctx: Context, keyring: Keyring, limit: int = BATCH) -> int:
    """Give up to `limit` scopes that asked for it the next version of their key; returns how many."""
    marked = await store.lock_marked_keys(ctx, limit)
    for scope, version in marked:
        await store.insert_key(ctx, keyring.new_key(scope, version + 1))
    return len(marked)


async def reencrypt_secrets(
    ctx: Context, keyring: Keyring, after: tuple[UUID, str] = (_FIRST_OWNER, ""), limit: int = BATCH
) -> tuple[UUID, str] | None:
    """Seal up to `limit` values of replaced keys anew; returns where to go on, None at the end.

    A value that does not open is logged and left.
    """
    outdated = await store.lock_outdated_secrets(ctx, after, limit)
    current: dict[str, WrappedKey] = {}
    fresh = []
    for secret in outdated:
        place = secret.place
        if place.scope not in current:
            current[place.scope] = await _current_key(ctx, keyring, place.scope)
        value = _attempt(keyring.open, secret)
        if value is not None:
            fresh.append(keyring.seal(current[place.scope], place, value))
    await store.save_secrets(ctx, fresh)
    return (outdated[-1].place.owner, outdated[-1].place.pointer) if outdated else None


async def purge_data_keys(ctx: Context, limit: int = BATCH) -> int:
    """Delete up to `limit` replaced data keys that seal nothing; returns how many."""
    return await store.delete_unused_keys(ctx, limit)


A = TypeVar("A")
R = TypeVar("R")


def _attempt(do: Callable[[A], R], subject: A) -> R | None:
    """What `do` returns; None, with a line in the log, where keys or values do not open."""
    try:
        return do(subject)
    except (MissingMasterKey, TamperedSecret) as problem:
        log.error("a rotation leaves something as it is", problem=problem.message)
        return None


async def run_rotation(db: Database, keyring: Keyring) -> None:
    """Run all four steps until nothing is left to do, each batch in a transaction of its own. Needs the worker's role.

    What writers touch meanwhile is left for the next run.
    """
    await _walk(db, lambda ctx, at: rewrap_data_keys(ctx, keyring, at), ("", 0))
    await _repeat(db, lambda ctx: rotate_data_keys(ctx, keyring))
    await _walk(db, lambda ctx, at: reencrypt_secrets(ctx, keyring, at), (_FIRST_OWNER, ""))
    await _repeat(db, purge_data_keys)


async def _walk(db: Database, step: Callable[[Context, C], Awaitable[C | None]], at: C) -> None:
    cursor: C | None = at
    while cursor is not None:
        async with db.transaction(system_actor("secrets")) as ctx:
            cursor = await step(ctx, cursor)


async def _repeat(db: Database, step: Callable[[Context], Awaitable[int]]) -> None:
    done = BATCH
    while done >= BATCH:
        async with db.transaction(system_actor("secrets")) as ctx:
            done = await step(ctx)
