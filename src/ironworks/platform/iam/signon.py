"""Signing in by an OpenID provider: what is asked of it, what must come back, and what the browser keeps meanwhile.

Authorization code with PKCE (RFC 7636), state and nonce (OpenID Connect Core 1.0). The provider proves an e-mail
address; which user that is, and what he may do, is ours to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, Protocol

from ironworks.shared.errors import Unauthenticated

PENDING_LIFE: Final = timedelta(minutes=10)
"""How long somebody may take at the provider."""
_TOKEN: Final = r"[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern
_PENDING: Final = re.compile(rf"({_TOKEN})\.({_TOKEN})\.({_TOKEN})\.([A-Za-z0-9_-]*)")
_OWN_PAGE: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")

Reason = Literal["cancelled", "expired", "provider", "unverified", "unknown-user"]


class SignOnFailed(Unauthenticated):
    """Why nobody was signed in: `reason` is for the person, the message for the log."""

    code = "SIGN_ON_FAILED"

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def own_page(address: str | None) -> str:
    """Where to go afterwards: a page of ours, whatever was asked for."""
    return address if address is not None and _OWN_PAGE.fullmatch(address) else "/"


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that waits for the provider, kept in a cookie of the browser that began it."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    return_to: str

    @classmethod
    def new(cls, return_to: str | None) -> Pending:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, own_page(return_to))

    @property
    def challenge(self) -> str:
        """The verifier as the provider is told it (S256)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def encode(self) -> str:
        page = base64.urlsafe_b64encode(self.return_to.encode()).rstrip(b"=").decode()
        return f"{self.state}.{self.nonce}.{self.verifier}.{page}"

    @classmethod
    def decode(cls, text: str | None) -> Pending | None:
        """What `encode` made; None for anything else."""
        match = _PENDING.fullmatch(text or "")
        if match is None:
            return None
        try:
            page = base64.urlsafe_b64decode(match[4] + "=" * (-len(match[4]) % 4)).decode()
        except (ValueError, binascii.Error):
            return None
        return cls(match[1], match[2], match[3], own_page(page))

    def began(self, state: str) -> bool:
        """Whether this browser began what comes back with `state`."""
        return hmac.compare_digest(self.state.encode(), state.encode())


@dataclass(frozen=True, slots=True)
class Proven:
    """Who the provider says it is. `email` is one that it verified; `subject` is its own name for the person."""

    issuer: str
    subject: str
    email: str


class OpenIdProvider(Protocol):
    """An OpenID provider. Every method raises SignOnFailed."""

    @property
    def issuer(self) -> str: ...

    async def begin(self, pending: Pending, redirect_uri: str) -> str:
        """The address to send the browser to."""
        ...

    async def prove(self, code: str, pending: Pending, redirect_uri: str) -> Proven:
        """Exchange the code that came back."""
        ...


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    """The provider of this installation, or None. `label`: what people read on the button."""

    provider: OpenIdProvider | None = None
    label: str = ""
