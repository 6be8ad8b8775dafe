"""Where the gateway's keys come from: identity management, asked for all or for those that a change concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from ironworks.platform import iam
from ironworks.products.tokenfactory import gateway
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

ACTOR: Final = system_actor("gateway")


@dataclass(slots=True)
class Keys:
    """`KeySource` and `ChangedKeys`. `skipped`: the names of keys that the last load could not read."""

    database: Database
    kinds: frozenset[str] = frozenset(iam.KEY_SOURCES)
    single: frozenset[str] = frozenset(iam.KEY_HOLDERS)
    skipped: tuple[str, ...] = field(default=(), init=False)

    async def load_keys(self) -> Sequence[gateway.KeyView]:
        found, self.skipped = await self._load(None)
        return found

    async def load_changed(self, uids: Collection[UUID]) -> Sequence[gateway.KeyView]:
        found, skipped = await self._load(uids)
        self.skipped = tuple(sorted({*self.skipped, *skipped}))
        return found

    async def _load(self, only: Collection[UUID] | None) -> tuple[list[gateway.KeyView], tuple[str, ...]]:
        async with self.database.transaction(ACTOR) as ctx:
            rows = await iam.list_gateway_keys(ctx, only)
        views, skipped = await gateway.read_rows(rows, lambda key: list(_views_of(key)), lambda key: key.name)
        return [view for several in views for view in several], skipped


def _views_of(key: iam.GatewayKey) -> Iterator[gateway.KeyView]:
    """One for each secret that is good for it now."""
    for digest, until in _secrets_of(key):
        yield gateway.KeyView(
            uid=_plain(key.uid),
            digest=digest,
            scope=key.scope,
            owner=_plain(key.owner),
            invoke_scopes=key.paths,
            disabled=key.disabled,
            suspended=key.suspended,
            expires_at=until.timestamp() if until else None,
        )


def _secrets_of(key: iam.GatewayKey) -> Iterator[tuple[bytes, datetime | None]]:
    """(SHA-256, until when it is good) of the key's secret, and of the one before while its grace lasts."""
    yield key.hash, key.expires_at
    if key.previous_hash is not None and key.previous_until is not None:
        yield key.previous_hash, min(key.previous_until, key.expires_at or key.previous_until)


def _plain(uid: UUID) -> UUID:
    """The standard library's UUID of the driver's, which the spool's JSON encoder does not know."""
    return UUID(int=uid.int)
