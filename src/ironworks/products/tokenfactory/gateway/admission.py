"""The one place where a request is let in, and the one where it is settled. Limits and budgets attach here.

Every route that costs anything calls `admit` before its upstream and `settle` after; a route that does not go through
here is not served at all.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from ironworks.products.tokenfactory.gateway.limiting import Limiter
from ironworks.products.tokenfactory.gateway.model import (
    NOTHING,
    Call,
    GatewaySettings,
    Refusal,
    Usage,
    unavailable,
)
from ironworks.products.tokenfactory.gateway.snapshot import Snapshot
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.products.tokenfactory.limits import Grant
from ironworks.products.tokenfactory.routing import Route
from ironworks.shared.path import covers, show_path

_BEARER: Final = b"bearer "


class Hold:
    """What an admitted request occupies until it is settled.

    `grant`: what its limits know of it; None where none applies.
    """

    __slots__ = ("grant", "key", "route", "settled", "usage")

    def __init__(self, key: KeyView, route: Route, grant: Grant | None) -> None:
        self.key = key
        self.route = route
        self.grant = grant
        self.settled = False
        self.usage = NOTHING


class Admission:
    """The counts that admission decides by; one per process.

    `by_key`: requests in flight by their keys' digests, where the settings limit them.
    """

    __slots__ = ("by_key", "in_flight", "limiter", "most", "most_per_key")

    def __init__(self, settings: GatewaySettings, limiter: Limiter) -> None:
        self.most = settings.max_in_flight
        self.most_per_key = settings.max_in_flight_per_key
        self.limiter = limiter
        self.in_flight = 0
        self.by_key: defaultdict[bytes, int] = defaultdict(int)


def admit(admission: Admission, key: KeyView, route: Route, call: Call, *, free: bool = False) -> Hold:
    """Let a request of an authenticated key in, or raise the Refusal that says why not. Settle each Hold once.

    `free`: it is answered with no model's work.
    """
    if admission.in_flight >= admission.most:
        raise unavailable("overloaded", "the gateway is serving as many requests as it may; try again shortly")
    if admission.most_per_key and admission.by_key[key.digest] >= admission.most_per_key:
        raise Refusal(
            429,
            "too_many_requests_in_flight",
            f"this key may have {admission.most_per_key} requests in flight",
            kind="rate_limit_error",
            retry_after=1,
        )
    grant = admission.limiter.admit(key, route, call, free=free)
    admission.in_flight += 1
    if admission.most_per_key:
        admission.by_key[key.digest] += 1
    return Hold(key, route, grant)


def settle(admission: Admission, hold: Hold, usage: Usage) -> None:
    """The request is over and used `usage`: give back what it held. A second call changes nothing."""
    if hold.settled:
        return
    hold.settled = True
    hold.usage = usage
    if hold.grant is not None:
        hold.grant.correct(usage.input_tokens, usage.output_tokens)
        hold.grant.release()
    admission.in_flight -= 1
    if admission.most_per_key:
        left = admission.by_key[hold.key.digest] - 1
        if left:
            admission.by_key[hold.key.digest] = left
        else:
            del admission.by_key[hold.key.digest]


def authenticate(snapshot: Snapshot, headers: Mapping[bytes, bytes], digest: bytes | None = None) -> KeyView:
    """The key in `authorization`, or in Anthropic's `x-api-key`; `digest` is its SHA-256, where that is known.

    Raises Refusal: 401 for none, for two, and for one that is no good; 403 where its platform is suspended.
    """
    key = snapshot.keys.get(digest or hashlib.sha256(_presented(headers)).digest())
    if key is None:
        raise _unauthorized("invalid_api_key", "this API key is not known; check it or make another")
    if key.disabled:
        raise _unauthorized("api_key_disabled", "this API key is disabled")
    if key.expires_at is not None and key.expires_at <= time.time():
        raise _unauthorized("api_key_expired", "this API key has expired; rotate it")
    if key.suspended:
        raise Refusal(
            403, "platform_suspended", "the platform of this key is suspended; ask its owner", kind="permission_error"
        )
    return key


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization")
    other = headers.get(b"x-api-key")
    if authorization is None:
        if other is None:
            raise _unauthorized("missing_api_key", "no API key: send it as 'Authorization: Bearer <key>'")
        return other.strip()
    if authorization[:7].lower() != _BEARER:
        raise _unauthorized("invalid_api_key", "the Authorization header must be 'Bearer <key>'")
    presented = authorization[7:].strip()
    if other is not None and other.strip() != presented:
        raise _unauthorized("invalid_api_key", "'Authorization' and 'x-api-key' hold different keys; send one")
    return presented


def find_route(snapshot: Snapshot, key: KeyView, model: str) -> Route:
    """What `key` means by `model`; raises Refusal 403 for a key that may call nothing, 404 for what it cannot see."""
    if not key.invoke_scopes:
        raise Refusal(
            403,
            "permission_denied",
            "this key may not call models: its owner lacks the permission 'endpoint:invoke'",
            kind="permission_error",
        )
    route = snapshot.routes.resolve(key.scope, model)
    if route is None or not may_call(key, route):
        shown = model if len(model) <= 128 else model[:125] + "..."
        raise Refusal(
            404,
            "model_not_found",
            f"the model {shown!r} does not exist at {show_path(key.scope)!r}; /v1/models lists those that do",
            param="model",
        )
    return route


def find_again(snapshot: Snapshot, key: KeyView, model: str) -> Route:
    """The route of a request that waited meanwhile; raises Refusal where its key, or what it asked for, is gone."""
    now = snapshot.keys.get(key.digest)
    if now is None or now.disabled or now.suspended:
        raise _unauthorized("invalid_api_key", "this API key is not good any more")
    return find_route(snapshot, now, model)


def may_call(key: KeyView, route: Route) -> bool:
    """Whether the key's rights reach the route: at its scope, or at the key's own for one that is handed down."""
    return key.may_invoke(key.scope if route.inherited and covers(route.scope, key.scope) else route.scope)


def _unauthorized(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, kind="authentication_error")
