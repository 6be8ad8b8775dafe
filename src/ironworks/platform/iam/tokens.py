"""JSON Web Tokens signed with Ed25519 (RFC 7519, RFC 8037): sessions for people, short passes between our processes.

Each process signs with a key of its own that is made in its memory, never leaves it and lives for a day; only public
halves are published. So no private key is stored anywhere, and a stolen database mints no session.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ironworks.shared.errors import Unauthenticated

ISSUER: Final = "ironworks"
SESSION_AUDIENCE: Final = "ironworks:api"
SERVICE_LIFE: Final = timedelta(minutes=1)
SIGNS_FOR: Final = timedelta(hours=24)
VERIFIES_FOR: Final = SIGNS_FOR + timedelta(hours=1)
_SKEW: Final = timedelta(seconds=30)
_ALGORITHM: Final = "EdDSA"

Use = Literal["session", "service"]


class BadToken(Unauthenticated):
    """Not a token of ours, for somebody else, or too old."""

    code = "BAD_TOKEN"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A process's own key, until `signs_until`."""

    kid: str
    private: Ed25519PrivateKey = field(repr=False)
    signs_until: datetime

    @classmethod
    def new(cls, now: datetime) -> SigningKey:
        return cls(secrets.token_urlsafe(12), Ed25519PrivateKey.generate(), now + SIGNS_FOR)

    @property
    def public(self) -> bytes:
        """The 32 bytes to publish."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """The public half of some process's key. `process`: api, worker or gateway, as the database knows it."""

    kid: str
    process: str
    public_key: bytes
    verifies_until: datetime

    def as_jwk(self) -> dict[str, str]:
        """RFC 8037, section 2."""
        x = base64.urlsafe_b64encode(self.public_key).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": _ALGORITHM, "kid": self.kid, "x": x}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `subject`: a user's uid, or a process; `session`: of a user's token."""

    subject: str
    name: str
    session: UUID | None
    expires_at: datetime


def sign_session(key: SigningKey, user: UUID, email: str, session: UUID, now: datetime, life: timedelta) -> str:
    """An access token for a user."""
    said = {"sub": str(user), "email": email, "sid": str(session), "use": "session", "aud": SESSION_AUDIENCE}
    return _sign(key, said, now, life)


def sign_service(key: SigningKey, process: str, audience: str, now: datetime) -> str:
    """A pass for one minute from one of our processes to another, good for `audience` alone."""
    return _sign(key, {"sub": process, "use": "service", "aud": _service_audience(audience)}, now, SERVICE_LIFE)


def verify_session(token: str, keys: Mapping[str, VerificationKey], now: datetime) -> Claims:
    """Raises BadToken unless an API process signed it, for users, and it is still good at `now`."""
    said, key = _verify(token, keys, "session", SESSION_AUDIENCE, now)
    if key.process != "api":
        raise BadToken("this token was not made by the API")
    try:
        session = UUID(said["sid"])
        return Claims(str(UUID(said["sub"])), str(said["email"]), session, _time(said["exp"]))
    except (KeyError, ValueError) as problem:
        raise BadToken("this token lacks what a session's token says") from problem


def verify_service(token: str, keys: Mapping[str, VerificationKey], audience: str, now: datetime) -> Claims:
    """Raises BadToken unless the process that it names signed it, for `audience`, and it is still good at `now`."""
    said, key = _verify(token, keys, "service", _service_audience(audience), now)
    if said["sub"] != key.process:
        raise BadToken("this token names another process than the one that signed it")
    return Claims(key.process, key.process, None, _time(said["exp"]))


def key_id(token: str) -> str | None:
    """The key that a token says signed it; None for what is no token of ours."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and len(kid) <= 64 else None


def _sign(key: SigningKey, said: dict[str, Any], now: datetime, life: timedelta) -> str:
    times = {"iat": int(now.timestamp()), "exp": int((now + life).timestamp())}
    claims = {"iss": ISSUER, "jti": secrets.token_urlsafe(12), **times, **said}
    return jwt.encode(claims, key.private, _ALGORITHM, {"kid": key.kid})


def _verify(
    token: str, keys: Mapping[str, VerificationKey], use: Use, audience: str, now: datetime
) -> tuple[dict[str, Any], VerificationKey]:
    key = keys.get(key_id(token) or "")
    if key is None or key.verifies_until <= now:
        raise BadToken("this token is not of this installation, or too old: sign in again")
    try:
        said: dict[str, Any] = jwt.decode(
            token,
            Ed25519PublicKey.from_public_bytes(key.public_key),
            [_ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            # times are checked below against the caller's clock
            options={"require": ["exp", "iat", "sub", "aud"], "verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError as problem:
        raise BadToken("this token is damaged or meant for somebody else") from problem
    if said.get("use") != use:
        raise BadToken(f"this is no {use} token")
    if now >= _time(said["exp"]) or now + _SKEW < _time(said["iat"]):
        raise BadToken("this token has expired: refresh it, or sign in again")
    return said, key


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def _service_audience(audience: str) -> str:
    return f"ironworks:service:{audience}"
