"""Who is next before an upstream that takes only so many at once."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.tokenfactory.routing import Gates, Leg, Place, QueueFull, route_to
from tests.products.tokenfactory.world import target


def leg(limit: int = 1, room: int = 100, *, own: int = 0, own_room: int = 100) -> Leg:
    capped = replace(target("m", "h:1"), gate="g", max_concurrency=limit, max_queue=room)
    return Leg(capped, "m", "m", 1, "own", own, own_room)


class Line:
    """Requests at one leg: who was let in, in which order, and who was sent away."""

    def __init__(self, leg: Leg) -> None:
        self.gates = Gates()
        self.leg = leg
        self.inside: list[tuple[str, Place]] = []
        self.entered: list[str] = []
        self.evicted: list[str] = []
        self.places: list[Place] = []

    def come(self, tenant: str, leg: Leg | None = None) -> Place:
        place: Place

        def ready() -> None:
            self.entered.append(tenant)
            self.inside.append((tenant, place))

        place = self.gates.enter(leg or self.leg, tenant, ready, lambda: self.evicted.append(tenant))
        self.places.append(place)
        if place.inside:
            ready()
        return place

    def go(self) -> None:
        self.inside.pop(0)[1].leave()


def test_a_noisy_tenant_waits_behind_itself() -> None:
    line = Line(leg(limit=2, room=1000))
    for _ in range(500):
        line.come("noisy")
    line.come("quiet")
    line.come("quiet")
    line.come("other")
    for _ in range(6):
        line.go()
    assert line.entered[2:8] == ["noisy", "quiet", "other", "noisy", "quiet", "noisy"]


def test_a_full_queue_makes_room_for_who_has_less_of_it() -> None:
    line = Line(leg(limit=1, room=4))
    for _ in range(5):
        line.come("noisy")
    with pytest.raises(QueueFull):
        line.come("noisy")
    line.come("quiet")
    assert line.evicted == ["noisy"]
    line.come("quiet")
    assert line.evicted == ["noisy", "noisy"]
    with pytest.raises(QueueFull):
        line.come("quiet")
    assert line.gates.waiting == 4


def test_who_leaves_frees_the_place_he_had() -> None:
    line = Line(leg(limit=1, room=2))
    first, second, third = line.come("a"), line.come("a"), line.come("b")
    second.leave()
    second.leave()
    assert line.gates.waiting == 1
    first.leave()
    assert third.inside
    third.leave()
    first.leave()
    assert line.gates.waiting == 0
    assert line.come("c").inside


def test_two_caps_are_both_kept() -> None:
    line = Line(leg(limit=3, own=2))
    other = replace(line.leg, gate="other", max_concurrency=0)
    assert [line.come("a").inside for _ in range(3)] == [True, True, False]
    assert line.come("b", other).inside
    assert not line.come("b", other).inside
    assert line.gates.full(other)
    line.go()
    assert line.entered == ["a", "a", "b", "b"], "the one who waits at the wider gate was before the one at both"
    line.go()
    assert line.entered[4:] == ["a"]


def test_a_cap_that_changes_lets_in_at_once() -> None:
    line = Line(leg(limit=1))
    for tenant in "abcd":
        line.come(tenant)
    wider = leg(limit=3)
    line.gates.replace([replace(route_to(wider.target), legs=(wider,))])
    assert line.entered == ["a", "b", "c"]
    line.gates.replace([])
    assert line.entered == ["a", "b", "c", "d"]


@given(st.lists(st.tuples(st.sampled_from(["come", "go", "leave"]), st.sampled_from("abc"), st.integers(0, 50))),
       st.integers(1, 4), st.integers(0, 6), st.integers(0, 3))  # fmt: skip
def test_places_are_never_lost_nor_given_twice(steps: list[Any], limit: int, room: int, own: int) -> None:
    line = Line(leg(limit, room, own=own, own_room=room))
    for what, tenant, number in steps:
        if what == "come":
            with contextlib.suppress(QueueFull):
                line.come(tenant)
        elif what == "go" and line.inside:
            line.go()
        elif what == "leave" and line.places:
            place = line.places[number % len(line.places)]
            line.inside = [(t, p) for t, p in line.inside if p is not place]
            place.leave()
        gates = line.gates._gates
        assert gates.get("g") is None or gates["g"].inside <= limit
        assert len(line.inside) <= min(limit, own or limit)
        if own and "own" in gates:
            assert gates["own"].inside <= own
        if any(gate.waiting for gate in gates.values()):
            assert len(line.inside) == min(limit, own or limit), "nobody waits beside an empty place"
    for place in line.places:
        place.leave()
    assert all((gate.inside, gate.waiting) == (0, 0) for gate in line.gates._gates.values())
    assert line.gates.waiting == 0


@given(st.integers(2, 6), st.integers(1, 3))
def test_tenants_get_equal_turns(tenants: int, limit: int) -> None:
    line = Line(leg(limit, 10_000))
    for number in range(tenants):
        for _ in range(20 * (number + 1)):
            line.come(f"t{number}")
    first = len(line.entered)
    for _ in range(tenants * 10):
        line.go()
    turns = Counter(line.entered[first:])
    assert max(turns.values()) - min(turns.values()) <= 1
