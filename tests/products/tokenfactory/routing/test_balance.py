"""The table of names, and the choice of an upstream, without a network."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.routing import Balancer, Leg, Pick, Replica, Route, RouteTable, Target, route_to
from ironworks.products.tokenfactory.routing.balance import LOAD_FACTOR
from tests.products.tokenfactory.world import target

# --- names -------------------------------------------------------------------------------------------------------


def named(name: str, scope: str, *, inherited: bool = False) -> Route:
    return replace(route_to(target(name, scope=scope)), inherited=inherited)


@pytest.mark.parametrize(
    ("scope", "model", "found"),
    [
        ("a.b.c", "m", "a.b.c"),
        ("a.b.c", "a.b.c/m", "a.b.c"),
        ("a.b.c", "a.b.c.d/m", "a.b.c.d"),
        ("a.b", "a.b.c/m", "a.b.c"),
        ("a.b", "m", None),
        ("a.b.c.d", "m", "a.b.c.d"),
        ("a.b.c.d", "a.b.c/m", None),
        ("a.b.c", "a.b.cc/m", None),
        ("a.b.c", "/m", None),
        ("a.b.c", "m/", None),
        ("a.b.c", "a.b.c/m/m", None),
        ("", "a.b.c/m", "a.b.c"),
    ],
)
def test_names_resolve_at_the_keys_scope_or_below(scope: str, model: str, found: str | None) -> None:
    table = RouteTable(named("m", path) for path in ("a.b.c", "a.b.c.d", "a.b.cc"))
    resolved = table.resolve(scope, model)
    assert (resolved.scope if resolved else None) == found


@pytest.mark.parametrize(
    ("scope", "model", "found"),
    [
        ("a.b.c", "shared", "a.b"),  # the nearest that hands it down
        ("a.b.c", "own", "a.b.c"),
        ("a.b", "own", "a"),
        ("a.x", "shared", "a"),
        ("z", "shared", None),
        ("z.y", "everywhere", ""),
        ("a.b.c", "kept", None),  # above, and not handed down
        ("a.b.c", "openai/gpt-4o", "a"),
        ("a.b.c", "openai/meta/llama", "a"),
        ("", "a/openai/meta/llama", "a"),
    ],
)
def test_inherited_names_come_from_the_nearest_scope_above(scope: str, model: str, found: str | None) -> None:
    table = RouteTable([
        named("everywhere", "", inherited=True),
        named("shared", "a", inherited=True), named("shared", "a.b", inherited=True),
        named("own", "a", inherited=True), named("own", "a.b.c"), named("kept", "a"),
        named("openai/gpt-4o", "a", inherited=True), named("openai/meta/llama", "a", inherited=True),
    ])  # fmt: skip
    resolved = table.resolve(scope, model)
    assert (resolved.scope if resolved else None) == found
    for path in ("", "a", "a.b", "a.b.c", "z"):
        assert all(table.resolve(path, name) is route for name, route in table.names(path))


def test_every_listed_name_resolves() -> None:
    table = RouteTable(named(name, path) for path in ("a", "a.b", "a.b.c", "b") for name in ("m", "n"))
    for scope in ("", "a", "a.b", "b", "c"):
        names = list(table.names(scope))
        assert all(table.resolve(scope, name) is found for name, found in names)
    assert len(list(table.names("a"))) == 6
    assert not list(table.names("c"))


# --- strategies --------------------------------------------------------------------------------------------------


def leg(name: str, *addresses: str, weight: int = 1, model: str = "", **more: Any) -> Leg:
    found: Target = replace(target(name, *addresses), gate=name)
    return Leg(found, name, model or found.model, weight, **more)


def route(strategy: str, *legs: Leg) -> Route:
    return replace(route_to(target("m")), legs=legs, strategy=strategy)  # type: ignore[arg-type]


def balancer_of(*routes: Route, seed: int = 1, **options: Any) -> Balancer:
    made = Balancer(random.Random(seed), **options)
    made.replace(routes)
    return made


def picked(balancer: Balancer, found: Route, now: float = 0, **options: Any) -> Pick:
    pick = balancer.pick(found, now, **options)
    assert pick is not None
    return pick


def addresses(balancer: Balancer, found: Route, now: float, times: int = 200) -> Counter[str]:
    return Counter(picked(balancer, found, now).state.replica.address for _ in range(times))


def states(balancer: Balancer, found: Route) -> dict[str, Any]:
    return {pick.state.replica.address: pick.state for pick in balancer._plan(found).picks}


def test_the_less_loaded_of_two_is_taken() -> None:
    where = route(
        "least_loaded", leg("a", *(f"h:{port}" for port in range(5))), leg("b", *(f"i:{p}" for p in range(5)))
    )
    balancer = balancer_of(where)
    for _ in range(1000):
        picked(balancer, where).state.in_flight += 1
    loads = [state.in_flight for state in states(balancer, where).values()]
    assert max(loads) - min(loads) <= 6


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 300))
def test_weights_are_kept_in_any_stretch(weights: list[int], requests: int) -> None:
    where = route("weighted", *(leg(f"l{n}", f"h{n}:1", weight=weight) for n, weight in enumerate(weights)))
    balancer = balancer_of(where)
    seen = Counter(picked(balancer, where).leg.target.name for _ in range(requests))
    for n, weight in enumerate(weights):
        assert abs(seen[f"l{n}"] - requests * weight / sum(weights)) < 1 + len(weights)


def test_weights_are_kept_though_the_table_changes_between_requests() -> None:
    """Or a target with a small share would never be asked where requests are rarer than changes."""
    balancer, seen = Balancer(), Counter[str]()
    for _ in range(40):
        where = route("weighted", leg("a", "a:1", weight=9), leg("b", "b:1", weight=1))
        balancer.replace([where])
        seen[picked(balancer, where).leg.target.name] += 1
    assert seen == {"a": 36, "b": 4}
    balancer.replace([])
    assert not balancer._credits


def test_a_weight_of_nothing_waits_until_nothing_else_is_left() -> None:
    for strategy in ("weighted", "least_loaded", "ordered_fallback", "lowest_latency", "prefix_affine"):
        where = route(strategy, leg("spare", "s:1", weight=0), leg("main", "m:1"))
        balancer = balancer_of(where)
        assert set(addresses(balancer, where, 0)) == {"m:1"}
        states(balancer, where)["m:1"].failed(0.0, unreachable=True)
        assert set(addresses(balancer, where, 0.5)) == {"s:1"}


def test_the_first_target_is_used_while_it_is_well() -> None:
    where = route("ordered_fallback", leg("first", "a:1", "a:2"), leg("second", "b:1"), leg("third", "c:1"))
    balancer = balancer_of(where)
    assert set(addresses(balancer, where, 0)) == {"a:1", "a:2"}
    first = picked(balancer, where)
    again = picked(balancer, where, tried=[first.state])
    assert again.leg is first.leg
    assert picked(balancer, where, tried=[first.state, again.state]).state.replica.address == "b:1"


def test_the_cheapest_target_is_used_while_it_is_well() -> None:
    where = route("lowest_cost", leg("a", "a:1", model="dear"), leg("b", "b:1", model="cheap"))
    balancer = balancer_of(where, cost={"dear": 5.0, "cheap": 1.0}.__getitem__)
    assert set(addresses(balancer, where, 0)) == {"b:1"}
    states(balancer, where)["b:1"].failed(0.0, unreachable=True)
    assert set(addresses(balancer, where, 0.5)) == {"a:1"}


def test_the_fastest_target_is_used_and_the_others_are_looked_at() -> None:
    where = route("lowest_latency", leg("a", "slow:1"), leg("b", "fast:1"), leg("c", "new:1"))
    balancer = balancer_of(where)
    known = states(balancer, where)
    known["slow:1"].observed(1.0)
    known["fast:1"].observed(0.1)
    assert picked(balancer, where).state.replica.address == "new:1", "what is unknown is tried"
    known["new:1"].observed(0.5)
    seen = addresses(balancer, where, 0, 2000)
    assert seen["fast:1"] > 1850
    assert all(seen[address] > 10 for address in ("slow:1", "new:1"))
    for _ in range(20):
        known["fast:1"].observed(3.0)
    assert addresses(balancer, where, 0)["new:1"] > 150


# --- prefix affinity ---------------------------------------------------------------------------------------------


def ring(size: int) -> Route:
    return route("prefix_affine", leg("a", *(f"h{n}:1" for n in range(size))))


def test_equal_beginnings_meet_at_one_replica_in_every_process() -> None:
    where = ring(8)
    one, other = balancer_of(where, seed=1), balancer_of(where, seed=2)
    for number in range(200):
        prefix = f"system prompt {number}".encode()
        assert picked(one, where, affinity=prefix).state.replica == picked(other, where, affinity=prefix).state.replica


def test_few_beginnings_move_when_a_replica_goes() -> None:
    before, after = ring(8), ring(7)
    one, other = balancer_of(before), balancer_of(after)
    moved = 0
    for number in range(1000):
        prefix = f"{number}".encode()
        was = picked(one, before, affinity=prefix).state.replica.address
        if was != "h7:1":
            moved += was != picked(other, after, affinity=prefix).state.replica.address
    assert moved == 0, "only those of the one that went"


@given(st.integers(2, 12), st.lists(st.integers(0, 5), min_size=1, max_size=300), st.integers(0, 1000))
def test_no_replica_gets_a_quarter_more_than_its_share(size: int, prefixes: Sequence[int], seed: int) -> None:
    """However few the beginnings: the bound of the paper, in whole requests."""
    where = ring(size)
    balancer = balancer_of(where, seed=seed)
    for number, prefix in enumerate(prefixes):
        state = picked(balancer, where, affinity=b"%d" % prefix).state
        state.in_flight += 1
        assert state.in_flight <= -(-LOAD_FACTOR * (number + 1) // size)


# --- health ------------------------------------------------------------------------------------------------------


def test_failing_replicas_are_set_aside_and_come_back_little_by_little() -> None:
    where = route("least_loaded", leg("a", "h:1", "h:2"))
    balancer = balancer_of(where)
    bad = states(balancer, where)["h:1"]
    bad.failed(100.0, unreachable=True)
    assert set(addresses(balancer, where, 100.5)) == {"h:2"}
    early, late = addresses(balancer, where, 101.5, 1000)["h:1"], addresses(balancer, where, 108.0, 1000)["h:1"]
    assert 0 < early < 150 < late
    assert 400 < addresses(balancer, where, 112.0, 1000)["h:1"] < 600
    for _ in range(20):
        bad.failed(200.0, unreachable=True)
    assert 200.0 < bad.ejected_until <= 230.0
    bad.recovered(205.0)
    assert bad.ejected_until == 205.0
    assert bad.share(205.0) == 0.1
    bad.succeeded()
    assert bad.ejected_until == 0.0
    for _ in range(2):
        bad.failed(300.0, unreachable=False)
    assert bad.ejected_until == 0.0
    bad.failed(300.0, unreachable=False)
    assert bad.ejected_until == 301.0


def test_when_all_are_set_aside_the_first_to_return_is_used() -> None:
    where = route("weighted", leg("a", "h:1", "h:2"))
    balancer = balancer_of(where)
    known = states(balancer, where)
    known["h:1"].failed(5.0, unreachable=True)
    known["h:2"].failed(5.5, unreachable=True)
    assert picked(balancer, where, 5.6).state.replica.address == "h:1"
    assert balancer.ejected(5.6) == 2
    assert balancer.pick(where, 5.6, list(known.values())) is None


def test_no_more_than_half_are_set_aside_for_broken_answers() -> None:
    where = route("least_loaded", leg("a", *(f"h:{n}" for n in range(5))))
    balancer = balancer_of(where)
    known = states(balancer, where)
    for n in range(2):
        for _ in range(3):
            known[f"h:{n}"].failed(10.0, unreachable=False)
    assert set(addresses(balancer, where, 10.1)) == {"h:2", "h:3", "h:4"}
    for _ in range(3):
        known["h:2"].failed(10.0, unreachable=False)
    assert len(addresses(balancer, where, 10.1)) == 5, "panic: better some failures than two with all the load"
    known["h:0"].failed(10.0, unreachable=True)
    assert "h:0" not in addresses(balancer, where, 10.1), "where nothing listens nothing is sent"


def test_who_asks_to_be_left_alone_is() -> None:
    where = route("weighted", leg("a", "h:1"), leg("b", "h:2"))
    alone = route("weighted", leg("c", "h:3"))
    balancer = balancer_of(where, alone)
    states(balancer, where)["h:1"].cool(10.0, 5.0)
    assert set(addresses(balancer, where, 14.9)) == {"h:2"}
    assert set(addresses(balancer, where, 15.0)) == {"h:1", "h:2"}
    states(balancer, alone)["h:3"].cool(10.0, 1e9)
    assert balancer.pick(alone, 69.0) is None
    assert balancer.resting(alone, 69.0) == 1.0
    assert balancer.pick(alone, 70.0) is not None, "a minute at most, whatever it asks for"
    assert balancer.resting(alone, 70.0) == 0.0


def test_full_targets_are_passed_over_while_another_has_room() -> None:
    where = route("weighted", leg("a", "h:1", max_concurrency=1), leg("b", "h:2", max_concurrency=1))
    busy = {"a"}
    balancer = balancer_of(where, full=lambda leg: leg.target.name in busy)
    assert set(addresses(balancer, where, 0)) == {"h:2"}
    busy.add("b")
    assert set(addresses(balancer, where, 0)) == {"h:1", "h:2"}


def test_states_outlive_a_change_of_the_table() -> None:
    def routes(*replicas: Replica) -> Route:
        return route_to(replace(target("m"), replicas=replicas))

    before = routes(Replica("h:1", "old"), Replica("h:2"))
    balancer = balancer_of(before)
    state = states(balancer, before)["h:1"]
    state.in_flight = 7
    after = routes(Replica("h:1", "new"), Replica("h:3"))
    balancer.replace([after])
    known = states(balancer, after)
    assert known["h:1"] is state
    assert known["h:1"].replica.bearer == "new"
    assert set(known) == {"h:1", "h:3"}


def test_one_address_with_two_credentials_is_two_upstreams() -> None:
    """Or one tenant's requests would be sent with another's key."""

    def external(scope: str, gate: str, bearer: str) -> Route:
        return route_to(replace(target("m", scope=scope), gate=gate, replicas=(Replica("api:443", bearer, tls=True),)))

    mine, theirs, second = external("a", "a/eu", "mine"), external("b", "b/eu", "theirs"), external("a", "a/us", "2nd")
    balancer = balancer_of(mine, theirs, second)
    assert [picked(balancer, each).state.replica.bearer for each in (mine, theirs, second)] == ["mine", "theirs", "2nd"]


def test_a_replicas_key_is_not_printed() -> None:
    assert "hunter2" not in repr(target("m", "h:1")) + repr(Replica("h:1", "hunter2"))
