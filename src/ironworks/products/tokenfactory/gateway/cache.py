"""Answers given before, for routes that ask for it: the exact same request of the same tenant gets the same answer.

A request is the same when everything that shapes the answer is: API, model's name, messages, parameters, whether it
streams. Who the end user is and what it is grouped by shapes nothing. Tenants never share an entry, whatever a route is
shared by: what another tenant asked, and when, is its own business. All is in this process's memory and bounded.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

import orjson

from ironworks.products.tokenfactory.gateway.model import Call
from ironworks.products.tokenfactory.routing import Pick, Route

APIS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages"})
"""The APIs whose answers are kept: one request, one answer, nothing remembered in between."""
_SHAPELESS = frozenset({"user", "safety_identifier", "metadata", "stream_options"})
_OVERHEAD = 512
"""About what an entry takes besides its bytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as the caller saw it: `body` whole, or the events of a stream up to the terminator `last`."""

    pick: Pick
    content_type: bytes
    body: bytes
    last: bytes = b""

    @property
    def size(self) -> int:
        return len(self.body) + len(self.last) + _OVERHEAD


def cache_key(route: Route, scope: str, api: str, call: Call, directives: bytes = b"") -> bytes | None:
    """What stands for the request, or None where its answer is not to be kept.

    `scope` is the tenant's path, `directives` the caller's Cache-Control. Targets are part of it: what a route's former
    target said is not what it says now.
    """
    if route.cache is None or call.payload is None or api not in APIS or b"no-store" in directives:
        return None
    payload = {name: value for name, value in call.payload.items() if name not in _SHAPELESS}
    legs = [(str(leg.target.uid), leg.target.model, leg.served_as) for leg in route.legs]
    facts = [scope, str(route.uid), legs, api, call.show_usage, payload]
    try:
        told = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    return hashlib.blake2b(told, digest_size=32).digest()


class AnswerCache:
    """The answers of all routes: within `limit` bytes in all, and each route within its own."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._routes: OrderedDict[UUID, OrderedDict[bytes, tuple[float, Kept]]] = OrderedDict()
        self._sizes: dict[UUID, int] = {}
        self.size = 0
        self.hits = 0
        self.misses = 0

    def find(self, route: Route, key: bytes, now: float) -> Kept | None:
        """The answer, while it is fresh. `now` is monotonic, in seconds."""
        entries = self._routes.get(route.uid)
        found = entries.get(key) if entries is not None else None
        if entries is None or found is None:
            self.misses += 1
            return None
        until, kept = found
        if until <= now:
            self._drop(route.uid, key)
            self.misses += 1
            return None
        entries.move_to_end(key)
        self._routes.move_to_end(route.uid)
        self.hits += 1
        return kept

    def keep(self, route: Route, key: bytes, kept: Kept, now: float) -> None:
        """Remember an answer for as long as the route says; the least lately used make room."""
        policy = route.cache
        if policy is None or kept.size > min(policy.max_bytes, self._limit):
            return
        self._drop(route.uid, key)
        self._routes.setdefault(route.uid, OrderedDict())[key] = (now + policy.ttl, kept)
        self._routes.move_to_end(route.uid)
        self._sizes[route.uid] = self._sizes.get(route.uid, 0) + kept.size
        self.size += kept.size
        while self._sizes[route.uid] > policy.max_bytes:
            self._drop_oldest(route.uid)
        while self.size > self._limit:
            self._drop_oldest(next(iter(self._routes)))

    def replace(self, routes: Iterable[Route]) -> None:
        """Forget the answers of routes that are gone or keep none any more."""
        keeping: Collection[UUID] = {route.uid for route in routes if route.cache is not None}
        for uid in [uid for uid in self._routes if uid not in keeping]:
            self.size -= self._sizes.pop(uid)
            del self._routes[uid]

    def _drop_oldest(self, uid: UUID) -> None:
        self._drop(uid, next(iter(self._routes[uid])))

    def _drop(self, uid: UUID, key: bytes) -> None:
        entries = self._routes.get(uid)
        found = entries.pop(key, None) if entries is not None else None
        if found is None:
            return
        size = found[1].size
        self.size -= size
        self._sizes[uid] -= size
        if not entries:
            del self._routes[uid], self._sizes[uid]
