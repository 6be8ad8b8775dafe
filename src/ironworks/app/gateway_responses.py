"""Who keeps responses for the gateway: the database, sealed under this process's master key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ironworks.platform import secrets
from ironworks.products.tokenfactory import responses
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database

ACTOR: Final = system_actor("gateway")


@dataclass(frozen=True, slots=True)
class Responses:
    """`responses.KeepResponses`."""

    database: Database
    keyring: secrets.Keyring
    retention: timedelta

    async def save(self, new: responses.NewResponse) -> None:
        async with self.database.transaction(ACTOR) as ctx:
            await responses.save_response(ctx, self.keyring, new, self.retention)

    async def fetch(self, scope: str, response_id: str) -> responses.StoredResponse:
        async with self.database.transaction(ACTOR) as ctx:
            return await responses.fetch_response(ctx, self.keyring, scope, response_id)

    async def load_chain(self, scope: str, response_id: str) -> list[responses.StoredResponse]:
        async with self.database.transaction(ACTOR) as ctx:
            return await responses.load_chain(ctx, self.keyring, scope, response_id)

    async def delete(self, scope: str, response_id: str) -> None:
        async with self.database.transaction(ACTOR) as ctx:
            await responses.delete_response(ctx, scope, response_id)
