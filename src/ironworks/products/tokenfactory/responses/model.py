"""A stored response, what is wrong with one that cannot be had, and who keeps them for the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from ironworks.platform import secrets
from ironworks.shared.errors import Invalid, NotFound

MAX_BYTES: Final = 4 * 1024 * 1024
"""Of one response with what it answered."""
MAX_CHAIN: Final = 256
"""Responses that may lie before one, each going on from the one before it."""
MAX_CHAIN_BYTES: Final = 16 * 1024 * 1024
DEFAULT_RETENTION_DAYS: Final = 30

Item: TypeAlias = Mapping[str, Any]
"""An item of the Responses API: a message, a call of a function, its result, …"""


class ResponseNotFound(NotFound):
    """It was never stored, is past its retention, was deleted, or belongs to somebody else: nobody is told which."""

    code = "RESPONSE_NOT_FOUND"


class ResponseTooLarge(Invalid):
    """More than is kept of one response, or of a chain of them."""

    code = "RESPONSE_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class NewResponse:
    """What is to be kept.

    Args:
        scope: where the calling key lives. key_uid: that key. previous_id: of the response that this one goes on from.
        items: what this request gave, without what came before it. response: the answer, as the caller gets it.
    """

    scope: str
    key_uid: UUID
    response_id: str
    model: str
    items: Sequence[Item] = field(repr=False)
    response: Mapping[str, Any] = field(repr=False)
    previous_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One that was kept, opened."""

    response_id: str
    previous_id: str | None
    items: Sequence[Item] = field(repr=False)
    response: Mapping[str, Any] = field(repr=False)

    @property
    def turn(self) -> list[Item]:
        """What it adds to a conversation: what was asked, and what was answered."""
        return [*self.items, *self.response.get("output", ())]


@dataclass(frozen=True, slots=True)
class SealedResponse:
    """As it is stored."""

    scope: str
    key_uid: UUID
    response_id: str
    previous_id: str | None
    model: str
    created_at: datetime
    expires_at: datetime
    size: int
    key: secrets.WrappedKey = field(repr=False)
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)

    @property
    def place(self) -> secrets.Place:
        """What it is sealed for: elsewhere it does not open."""
        return secrets.Place(self.key_uid, self.response_id, self.scope)


class KeepResponses(Protocol):
    """Who keeps responses for the gateway."""

    async def save(self, new: NewResponse) -> None:
        """Raises ResponseTooLarge, and whatever its database raises; then it is not kept."""

    async def fetch(self, scope: str, response_id: str) -> StoredResponse:
        """Raises ResponseNotFound."""

    async def load_chain(self, scope: str, response_id: str) -> list[StoredResponse]:
        """The response and all it goes on from, the oldest first. Raises ResponseNotFound, ResponseTooLarge."""

    async def delete(self, scope: str, response_id: str) -> None:
        """Raises ResponseNotFound."""
