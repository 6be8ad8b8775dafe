"""Use cases around stored responses: sealing and keeping them, reading them in their order, and making an end of them.

All but the last part act for one scope, named first: the database shows nothing of any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import orjson

from ironworks.platform import secrets
from ironworks.products.tokenfactory.responses import store
from ironworks.products.tokenfactory.responses.model import (
    MAX_BYTES,
    MAX_CHAIN,
    MAX_CHAIN_BYTES,
    NewResponse,
    ResponseNotFound,
    ResponseTooLarge,
    SealedResponse,
    StoredResponse,
)
from ironworks.shared.context import Context

BATCH: Final = 500


async def save_response(ctx: Context, keyring: secrets.Keyring, new: NewResponse, retention: timedelta) -> None:
    """Seal a response and keep it for `retention`. For the gateway's role.

    Raises ResponseTooLarge, MissingMasterKey, TamperedSecret.
    """
    text = orjson.dumps({"items": list(new.items), "response": dict(new.response)})
    if len(text) > MAX_BYTES:
        raise ResponseTooLarge(f"a response of {len(text)} bytes is not kept; the most is {MAX_BYTES}")
    await store.act_for(ctx, new.scope)
    key = await _key_of(ctx, keyring, new.scope)
    secret = keyring.seal(key, secrets.Place(new.key_uid, new.response_id, new.scope), text.decode())
    await store.insert_response(
        ctx,
        SealedResponse(
            scope=new.scope,
            key_uid=new.key_uid,
            response_id=new.response_id,
            previous_id=new.previous_id,
            model=new.model,
            created_at=ctx.now(),
            expires_at=ctx.now() + retention,
            size=len(text),
            key=key,
            nonce=secret.nonce,
            ciphertext=secret.ciphertext,
        ),
    )


async def _key_of(ctx: Context, keyring: secrets.Keyring, scope: str) -> secrets.WrappedKey:
    """The scope's key; the first response makes it."""
    found = await store.fetch_key(ctx, scope)
    if found is None:
        await store.insert_key(ctx, keyring.new_key(scope, 1))
        found = await store.fetch_key(ctx, scope)
    assert found is not None
    return found


async def fetch_response(ctx: Context, keyring: secrets.Keyring, scope: str, response_id: str) -> StoredResponse:
    """One of the scope's responses. Raises ResponseNotFound, MissingMasterKey, TamperedSecret."""
    await store.act_for(ctx, scope)
    found = await store.fetch_response(ctx, scope, response_id)
    if found is None:
        raise _absent(response_id)
    return open_response(keyring, found)


async def load_chain(ctx: Context, keyring: secrets.Keyring, scope: str, response_id: str) -> list[StoredResponse]:
    """A response and all it goes on from, the oldest first.

    Raises ResponseNotFound where one of them is missing, ResponseTooLarge where they are too many or too much.
    """
    await store.act_for(ctx, scope)
    chain = await store.list_chain(ctx, scope, response_id, MAX_CHAIN + 1)
    if not chain:
        raise _absent(response_id)
    if len(chain) > MAX_CHAIN or sum(size for _, _, size in chain) > MAX_CHAIN_BYTES:
        raise ResponseTooLarge(
            f"{response_id!r} goes on from more than {MAX_CHAIN} responses or {MAX_CHAIN_BYTES} bytes;"
            " send the conversation as 'input'"
        )
    if (missing := chain[-1][1]) is not None:
        raise _absent(missing)
    found = await store.fetch_responses(ctx, scope, [identifier for identifier, _, _ in chain])
    return [open_response(keyring, found[identifier]) for identifier, _, _ in reversed(chain)]


async def delete_response(ctx: Context, scope: str, response_id: str) -> None:
    """Delete one of the scope's responses before its time. Raises ResponseNotFound."""
    await store.act_for(ctx, scope)
    if not await store.delete_response(ctx, scope, response_id):
        raise _absent(response_id)


def open_response(keyring: secrets.Keyring, sealed: SealedResponse) -> StoredResponse:
    """Raises MissingMasterKey, TamperedSecret."""
    secret = secrets.SealedSecret(sealed.place, sealed.key, sealed.nonce, sealed.ciphertext)
    content = orjson.loads(keyring.open(secret))
    return StoredResponse(sealed.response_id, sealed.previous_id, content["items"], content["response"])


def _absent(response_id: str) -> ResponseNotFound:
    shown = response_id if len(response_id) <= 128 else f"{response_id[:125]}..."
    return ResponseNotFound(f"there is no stored response {shown!r}", response_id=shown)


# --- their end, for the worker -----------------------------------------------------------------------------------


async def purge_expired(ctx: Context) -> int:
    """Delete some of the responses whose time is over; returns how many."""
    return await store.delete_expired(ctx, BATCH)


async def forget_scope(ctx: Context, scope: str) -> None:
    """Delete every response of a scope that is gone, and the key they were sealed with."""
    await store.delete_scope(ctx, scope)


async def rewrap_keys(ctx: Context, keyring: secrets.Keyring) -> int:
    """Wrap some of the scopes' keys by the current master key; returns how many."""
    found: Sequence[secrets.WrappedKey] = await store.lock_keys_of_other_masters(
        ctx, keyring.current_id, keyring.known_ids, BATCH
    )
    await store.save_wrapped(ctx, [keyring.rewrap(key) for key in found])
    return len(found)
