"""The table of names and the choice of a replica, without a network."""

from __future__ import annotations

import random

import pytest

from ironworks.products.tokenfactory.routing import Balancer, Replica, RouteTable
from tests.products.tokenfactory.world import target


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
    table = RouteTable([target("m", scope=path) for path in ("a.b.c", "a.b.c.d", "a.b.cc")])
    resolved = table.resolve(scope, model)
    assert (resolved.scope if resolved else None) == found


def test_every_listed_name_resolves() -> None:
    table = RouteTable([target(name, scope=path) for path in ("a", "a.b", "a.b.c", "b") for name in ("m", "n")])
    for scope in ("", "a", "a.b", "b", "c"):
        names = list(table.names(scope))
        assert all(table.resolve(scope, name) is found for name, found in names)
    assert len(list(table.names("a"))) == 6
    assert not list(table.names("c"))


def test_the_less_loaded_of_two_is_taken() -> None:
    balancer = Balancer(random.Random(1))
    where = target("m", *(f"h:{port}" for port in range(10)))
    balancer.replace(where.replicas)
    for _ in range(1000):
        state = balancer.pick(where, 0)
        assert state is not None
        state.in_flight += 1
    loads = [state.in_flight for state in balancer._states.values()]
    assert max(loads) - min(loads) <= 6


def test_failing_replicas_are_set_aside_and_tried_again() -> None:
    balancer = Balancer()
    where = target("m", "h:1", "h:2")
    balancer.replace(where.replicas)
    bad = balancer._states["h:1"]
    bad.failed(100.0, unreachable=True)
    assert {balancer.pick(where, 100.5).replica.address for _ in range(50)} == {"h:2"}  # type: ignore[union-attr]
    assert {balancer.pick(where, 101.5).replica.address for _ in range(50)} == {"h:1", "h:2"}  # type: ignore[union-attr]
    for _ in range(20):
        bad.failed(200.0, unreachable=True)
    assert 200.0 < bad.ejected_until <= 230.0
    bad.succeeded()
    assert bad.ejected_until == 0.0
    for _ in range(2):
        bad.failed(300.0, unreachable=False)
    assert bad.ejected_until == 0.0
    bad.failed(300.0, unreachable=False)
    assert bad.ejected_until == 301.0


def test_when_all_are_set_aside_the_first_to_return_is_used() -> None:
    balancer = Balancer()
    where = target("m", "h:1", "h:2")
    balancer.replace(where.replicas)
    balancer._states["h:1"].failed(5.0, unreachable=True)
    balancer._states["h:2"].failed(5.5, unreachable=True)
    picked = balancer.pick(where, 5.6)
    assert picked is not None
    assert picked.replica.address == "h:1"
    assert balancer.ejected(5.6) == 2
    assert balancer.pick(where, 5.6, ("h:1", "h:2")) is None


def test_states_outlive_a_change_of_the_table() -> None:
    balancer = Balancer()
    balancer.replace([Replica("h:1", "old"), Replica("h:2")])
    balancer._states["h:1"].in_flight = 7
    balancer.replace([Replica("h:1", "new"), Replica("h:3")])
    assert balancer._states["h:1"].in_flight == 7
    assert balancer._states["h:1"].replica.bearer == "new"
    assert set(balancer._states) == {"h:1", "h:3"}


def test_a_replicas_key_is_not_printed() -> None:
    assert "hunter2" not in repr(target("m", "h:1")) + repr(Replica("h:1", "hunter2"))
