"""What a gateway process keeps in memory of texts that a tenant wants kept: which, how much, and not for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from ironworks.platform import secrets
from ironworks.products.tokenfactory.traces import Captured, Captures, PolicyView
from ironworks.products.tokenfactory.traces.service import seal_trace

ROUTE, OTHER = uuid4(), uuid4()
KEYRING = secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))
FACTS = Captured(
    request_id="req_1", scope="a.b.c", key_uid=uuid4(), occurred_at=1_800_000_000.0, operation="/v1/chat/completions",
    model="m", endpoint="a.b.c/m", status=200, input_tokens=1, output_tokens=2, content_type="application/json",
)  # fmt: skip


def policy(**changes: Any) -> PolicyView:
    values: dict[str, Any] = {
        "uid": uuid4(), "scope": "a.b.c", "model": "m", "sample_rate": 1.0, "max_bytes": 1000, "retention_days": 7,
        "key": KEYRING.new_key("a.b.c", 1),
    }  # fmt: skip
    return PolicyView(**(values | changes))


def resolve(scope: str, model: str) -> UUID | None:
    return {("a.b.c", "m"): ROUTE, ("a.b", "c/m"): ROUTE}.get((scope, model))


class Shelf:
    """A KeepTraces that keeps, or fails."""

    def __init__(self) -> None:
        self.kept: list[Captured] = []
        self.broken = False

    async def __call__(self, batch: Sequence[Captured]) -> None:
        if self.broken:
            raise ConnectionError("the database is down")
        self.kept += batch


def captures(*policies: PolicyView, limit: int = 10_000) -> tuple[Captures, Shelf]:
    shelf = Shelf()
    made = Captures(shelf, limit)
    made.replace(policies, resolve)
    return made, shelf


def test_without_a_policy_nothing_is_on() -> None:
    assert not captures()[0].on
    assert not captures(policy(model="unheard-of"))[0].on
    assert captures(policy())[0].on
    off = Captures(None)
    off.replace([policy()], resolve)
    assert not off.on


@pytest.mark.parametrize(
    ("where", "model", "route", "scope", "wanted"),
    [
        ("a.b.c", "m", ROUTE, "a.b.c", True),
        ("a.b.c", "m", ROUTE, "a.b.c.d", True),
        ("a.b", "c/m", ROUTE, "a.b.c", True),
        ("a.b.c", "m", ROUTE, "a.b", False),  # who calls from above is not the tenant's to look at
        ("a.b.c", "m", ROUTE, "a.b.x", False),
        ("a.b.c", "m", OTHER, "a.b.c", False),
        ("a.b.c", "*", OTHER, "a.b.c", True),
        ("a.b.c", "*", OTHER, "a.b.cc", False),
    ],
)
def test_whom_a_policy_concerns(where: str, model: str, route: UUID, scope: str, wanted: bool) -> None:
    made, _ = captures(policy(scope=where, model=model))
    assert (made.begin(route, scope, b"text") is not None) == wanted


def test_the_nearest_policy_counts() -> None:
    made, _ = captures(policy(scope="a.b", model="c/m", max_bytes=1), policy(max_bytes=2))
    found = made.begin(ROUTE, "a.b.c", b"text")
    assert found is not None
    assert found.policy.max_bytes == 2


def test_a_sample_is_a_sample() -> None:
    made, _ = captures(policy(sample_rate=0.2), limit=10**6)
    taken = sum(made.begin(ROUTE, "a.b.c", b"x") is not None for _ in range(5000))
    assert 800 < taken < 1200


async def test_texts_are_cut_off_and_say_so() -> None:
    made, shelf = captures(policy(max_bytes=5))
    found = made.begin(ROUTE, "a.b.c", b"123456789")
    assert found is not None
    for piece in (b"abc", b"def", b"ghi"):
        found.add(piece)
    made.finish(found, FACTS)
    await made.flush()
    [kept] = shelf.kept
    assert (kept.request, kept.answer, kept.truncated) == (b"12345", b"abcde", True)


async def test_memory_is_bounded_over_all_and_given_back() -> None:
    made, shelf = captures(policy(max_bytes=100), limit=150)
    one, other = made.begin(ROUTE, "a.b.c", b"x" * 100), made.begin(ROUTE, "a.b.c", b"y" * 100)
    assert one is not None
    assert other is not None
    other.add(b"z" * 100)
    for found in (one, other):
        made.finish(found, FACTS)
    await made.flush()
    assert [(len(kept.request), len(kept.answer)) for kept in shelf.kept] == [(100, 0), (50, 0)]
    assert shelf.kept[1].truncated
    again = made.begin(ROUTE, "a.b.c", b"x" * 100)
    assert again is not None
    assert not again.truncated


async def test_what_cannot_be_stored_is_tried_again_and_then_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    made, shelf = captures(policy())
    shelf.broken = True
    found = made.begin(ROUTE, "a.b.c", b"x" * 1000)
    assert found is not None
    made.finish(found, FACTS)
    await made.flush()
    assert (made.failing, made.lost) == ("ConnectionError", 0)
    shelf.broken = False
    await made.flush()
    assert (len(shelf.kept), made.failing) == (1, "")
    shelf.broken = True
    for _ in range(3):
        late = made.begin(ROUTE, "a.b.c", b"x" * 1000)
        assert late is not None
        made.finish(late, FACTS)
    monkeypatch.setattr("ironworks.products.tokenfactory.traces.capture.LONGEST", -1.0)
    await made.flush()
    assert made.lost == 3
    roomy = made.begin(ROUTE, "a.b.c", b"x" * 1000)
    assert roomy is not None
    assert not roomy.truncated


def test_a_sealed_trace_opens_in_its_place_alone() -> None:
    view = policy()
    captured = replace(FACTS, policy=view, request=b"what I asked \xff", answer=b"what it said")
    sealed = seal_trace(KEYRING, captured, view)
    assert b"asked" not in sealed.ciphertext
    assert "asked" not in repr(sealed)
    assert "asked" not in repr(captured)
    assert "what I asked \N{REPLACEMENT CHARACTER}" in KEYRING.open(sealed.sealed)
    for moved in ({"request_id": "req_2"}, {"path": "a.b.x"}, {"policy": uuid4()}):
        elsewhere = replace(sealed, view=replace(sealed.view, **moved))
        with pytest.raises(secrets.TamperedSecret):
            KEYRING.open(elsewhere.sealed)
