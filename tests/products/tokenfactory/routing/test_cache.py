"""What counts as the same request, and how much is kept of the answers."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.gateway.cache import AnswerCache, Kept, cache_key
from ironworks.products.tokenfactory.gateway.model import Call
from ironworks.products.tokenfactory.routing import CachePolicy, Pick, Replica, ReplicaState, Route, route_to
from tests.products.tokenfactory.world import _NAMES, target

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]


def caching(name: str = "m", ttl: float = 60.0, max_bytes: int = 10_000) -> Route:
    return replace(route_to(target(name, "h:1")), uid=uuid5(_NAMES, name), cache=CachePolicy(ttl, max_bytes))


def call(**payload: Any) -> Call:
    return Call("m", {"model": "m", "messages": MESSAGES, **payload}, b"", stream=bool(payload.get("stream")))


def key(scope: str = "a.b.c", api: str = CHAT, route: Route | None = None, **payload: Any) -> bytes | None:
    return cache_key(route or caching(), scope, api, call(**payload))


SAME: list[dict[str, Any]] = [{"user": "eve"}, {"metadata": {"team": "x"}}, {"safety_identifier": "eve"}]
DIFFERENT: list[dict[str, Any]] = [
    {"temperature": 0}, {"temperature": 1}, {"seed": 1}, {"stream": True}, {"n": 2}, {"max_tokens": 5},
    {"messages": [{"role": "user", "content": "hello"}]}, {"messages": [*MESSAGES, *MESSAGES]}, {"tools": []},
]  # fmt: skip


@pytest.mark.parametrize("payload", SAME)
def test_who_asks_does_not_shape_the_answer(payload: dict[str, Any]) -> None:
    assert key(**payload) == key() is not None


def test_the_order_of_fields_does_not_either() -> None:
    turned = Call("m", {"messages": [{"content": "Hello", "role": "user"}], "model": "m"}, b"")
    assert cache_key(caching(), "a.b.c", CHAT, turned) == key()


def test_everything_else_does() -> None:
    keys = [key(), *(key(**payload) for payload in DIFFERENT), key(scope="a.b"), key(api="/v1/completions")]
    keys.append(key(route=caching("other")))
    keys.append(cache_key(caching(), "a.b.c", CHAT, replace(call(), show_usage=True)))
    moved = replace(caching(), legs=tuple(replace(leg, served_as="other") for leg in caching().legs))
    keys.append(key(route=moved))
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_what_is_not_kept() -> None:
    assert key(api="/v1/responses") is None
    assert cache_key(replace(caching(), cache=None), "a", CHAT, call()) is None
    assert cache_key(caching(), "a", CHAT, call(), b"no-store") is None
    assert cache_key(caching(), "a", CHAT, Call("m", None, b"multipart")) is None


def kept(size: int) -> Kept:
    leg = caching().legs[0]
    return Kept(Pick(leg, ReplicaState(Replica("h:1"))), b"application/json", b"x" * size)


def test_answers_grow_old() -> None:
    cache, route = AnswerCache(100_000), caching(ttl=10)
    cache.keep(route, b"k", kept(100), now=5)
    assert cache.find(route, b"k", 14.9) is not None
    assert cache.find(route, b"k", 15.0) is None
    assert cache.size == 0
    assert (cache.hits, cache.misses) == (1, 1)


def test_the_least_lately_used_make_room() -> None:
    cache, route = AnswerCache(100_000), caching(max_bytes=5_000)
    for name in (b"a", b"b", b"c"):
        cache.keep(route, name, kept(1000), now=0)
    assert cache.find(route, b"a", 1) is not None
    cache.keep(route, b"d", kept(1000), now=1)
    assert [name for name in (b"a", b"b", b"c", b"d") if cache.find(route, name, 1)] == [b"a", b"c", b"d"]
    cache.keep(route, b"huge", kept(6000), now=1)
    assert cache.find(route, b"huge", 1) is None
    cache.replace([])
    assert cache.size == 0
    assert cache.find(route, b"a", 1) is None


@given(st.integers(0, 2**32), st.integers(2_000, 20_000))
def test_no_more_is_kept_than_may_be(seed: int, limit: int) -> None:
    chance = random.Random(seed)
    cache = AnswerCache(limit)
    routes = [caching(f"r{n}", max_bytes=chance.randrange(1_000, 9_000)) for n in range(4)]
    for now in range(300):
        route = chance.choice(routes)
        name = b"%d" % chance.randrange(20)
        if not cache.find(route, name, now):
            cache.keep(route, name, kept(chance.randrange(3_000)), now)
        sizes = {each.uid: sum(k.size for _, k in cache._routes.get(each.uid, {}).values()) for each in routes}
        assert sum(sizes.values()) == cache.size <= limit
        assert all(sizes[each.uid] <= (each.cache.max_bytes if each.cache else 0) for each in routes)
