"""An OpenID provider over HTTP: discovery, the token endpoint, and its keys.

Nothing that it says is believed before its signature, its audience, its times and the nonce of this very sign-in are
checked. Redirects are not followed: they would lead elsewhere with the client's secret. Keys are asked for at each
sign-in, which is rare, so none is used after the provider withdrew it.
"""

from __future__ import annotations

import hmac
import time
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt

from ironworks.platform.iam.signon import Pending, Proven, SignOnFailed

WITHIN: Final = 10.0
_KNOWN_FOR: Final = 3600.0
_LEEWAY: Final = 60
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Public keys alone: a token signed with the client's secret proves nothing that we could not have made ourselves."""


class HttpOpenIdProvider:
    """`OpenIdProvider` by httpx and PyJWT.

    Args:
        issuer: as the provider calls itself, to the letter. client_secret: None for a public client.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str | None = None) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._secret = client_secret
        self._found: tuple[float, dict[str, Any]] | None = None

    @property
    def issuer(self) -> str:
        return self._issuer

    async def begin(self, pending: Pending, redirect_uri: str) -> str:
        endpoint = (await self._metadata())["authorization_endpoint"]
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def prove(self, code: str, pending: Pending, redirect_uri: str) -> Proven:
        metadata = await self._metadata()
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
            "client_id": self._client_id,
        }
        headers = self._authenticate(metadata, sent)
        answer = await _ask("POST", metadata["token_endpoint"], data=sent, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignOnFailed("provider", "the token endpoint answered no ID token")
        keys = await _ask("GET", metadata["jwks_uri"])
        return self._proven(self._verified(token, keys), pending)

    def _authenticate(self, metadata: dict[str, Any], sent: dict[str, str]) -> dict[str, str]:
        """How the client shows who it is (RFC 6749, section 2.3.1); `sent` gets what belongs into the body."""
        if self._secret is None:
            return {}
        if "client_secret_basic" not in metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            sent["client_secret"] = self._secret
            return {}
        pair = httpx.BasicAuth(quote(self._client_id, safe=""), quote(self._secret, safe=""))
        request = next(pair.auth_flow(httpx.Request("POST", self._issuer)))
        return {"authorization": request.headers["authorization"]}

    async def _metadata(self) -> dict[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0); kept for an hour."""
        if self._found is not None and self._found[0] > time.monotonic():
            return self._found[1]
        found = await _ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise SignOnFailed("provider", f"the provider calls itself {str(found.get('issuer'))[:200]!r}: set that")
        schemes = ("https", urlsplit(self._issuer).scheme)
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            endpoint = found.get(name)
            if not isinstance(endpoint, str) or urlsplit(endpoint).scheme not in schemes:
                raise SignOnFailed("provider", f"the provider's {name} is no address that can be trusted")
        self._found = (time.monotonic() + _KNOWN_FOR, found)
        return found

    def _verified(self, token: str, keys: dict[str, Any]) -> dict[str, Any]:
        """What an ID token says, if the provider signed it for us and it is still good."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            found = [k for k in jwt.PyJWKSet.from_dict(keys).keys if kid is None or k.key_id == kid]
            if len(found) != 1:
                raise SignOnFailed("provider", "the ID token is signed with no key of the provider's")
            said: dict[str, Any] = jwt.decode(
                token,
                found[0],
                algorithms=_ALGORITHMS,
                audience=self._client_id,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as problem:
            raise SignOnFailed("provider", f"the ID token is not good: {problem}") from None
        return said

    def _proven(self, said: dict[str, Any], pending: Pending) -> Proven:
        nonce, email = said.get("nonce"), said.get("email")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), pending.nonce.encode()):
            raise SignOnFailed("provider", "the ID token is of another sign-in")
        if said.get("azp", self._client_id) != self._client_id:
            raise SignOnFailed("provider", "the ID token was issued to another client")
        if not isinstance(email, str) or not email or said.get("email_verified") not in (True, "true"):
            raise SignOnFailed("unverified", "the provider vouches for no e-mail address")
        return Proven(self._issuer, str(said["sub"]), email)


async def _ask(method: str, url: str, **sent: Any) -> dict[str, Any]:
    """The JSON object that an endpoint answers. Raises SignOnFailed."""
    place = urlsplit(url).netloc
    try:
        async with httpx.AsyncClient(timeout=WITHIN, follow_redirects=False, trust_env=False) as client:
            answer = await client.request(method, url, **sent)
        document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise SignOnFailed("provider", f"{place} cannot be reached: {type(problem).__name__}") from None
    except ValueError:
        raise SignOnFailed("provider", f"{place} answered no JSON") from None
    if answer.status_code != 200 or not isinstance(document, dict):
        why = str(document.get("error", ""))[:100] if isinstance(document, dict) else ""
        raise SignOnFailed("provider", f"{place} answered {answer.status_code} {why}".strip())
    return document
