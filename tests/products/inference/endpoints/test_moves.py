"""The rule by which replicas come and go, against clusters that misbehave at random."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ironworks.products.inference import clusters
from ironworks.products.inference.clusters import Replica
from ironworks.products.inference.endpoints.model import SERVING, plan_moves


def _replica(revision: str, ordinal: int, phase: clusters.ReplicaPhase = "ready") -> Replica:
    return Replica(f"{revision}-{ordinal}", revision, ordinal, phase, "127.0.0.1", 7100)


def test_from_nothing_all_start_at_once() -> None:
    assert plan_moves([], "new", 3).start == (0, 1, 2)


def test_a_replacement_starts_one_and_waits_for_it() -> None:
    old = [_replica("old", 0), _replica("old", 1)]
    first = plan_moves(old, "new", 2)
    assert (first.start, first.retire) == ((0,), ())
    waiting = plan_moves([*old, _replica("new", 0, "starting")], "new", 2)
    assert (waiting.start, waiting.retire) == ((), ())
    ready = plan_moves([*old, _replica("new", 0)], "new", 2)
    assert (ready.start, ready.retire) == ((), ("old-1",))
    gone = plan_moves([_replica("old", 0), _replica("new", 0)], "new", 2)
    assert (gone.start, gone.retire) == ((1,), ())


def test_what_serves_nobody_goes_at_once() -> None:
    moves = plan_moves([_replica("old", 0, "crashed"), _replica("old", 1, "starting")], "new", 1)
    assert set(moves.retire) == {"old-0", "old-1"}
    assert moves.start == (0,)


def test_a_name_that_is_still_stopping_is_waited_for() -> None:
    assert plan_moves([_replica("new", 0, "stopping")], "new", 1).start == ()


def test_pausing_retires_all_and_starts_none() -> None:
    moves = plan_moves([_replica("new", 0), _replica("old", 0)], "new", 0)
    assert (moves.start, set(moves.retire)) == ((), {"new-0", "old-0"})


def test_a_crashed_one_is_asked_for_again_but_is_not_another_one() -> None:
    there = [_replica("new", 0), _replica("new", 1, "crashed")]
    moves = plan_moves(there, "new", 2)
    assert (moves.start, moves.retire, moves.additional(there, "new")) == ((1,), (), 0)


@given(
    before=st.integers(0, 4),
    after=st.integers(0, 4),
    same=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_change_ends_with_what_is_wanted_and_never_serves_less_than_it_must(
    before: int, after: int, same: bool, seed: int
) -> None:
    chance = random.Random(seed)
    target = "old" if same else "new"
    there = {r.name: r for r in (_replica("old", n) for n in range(before))}
    least = min(before, after)
    for round_ in range(400):
        moves = plan_moves(list(there.values()), target, after)
        assert len(there) <= max(before, after) + 1
        for ordinal in moves.start:
            there.setdefault(f"{target}-{ordinal}", _replica(target, ordinal, "starting"))
        for name in moves.retire:
            there[name] = replace(there[name], phase="stopping")
        assert sum(r.phase in SERVING for r in there.values()) >= least
        if not moves.start and not moves.retire and _settled(there, target, after):
            break
        there = {n: _lives_on(r, chance, misbehaves=round_ < 100) for n, r in there.items() if not _ends(r, chance)}
    else:
        raise AssertionError("it does not come to rest")


def _settled(there: dict[str, Replica], target: str, wanted: int) -> bool:
    return {(r.revision, r.ordinal, r.phase) for r in there.values()} == {(target, n, "ready") for n in range(wanted)}


def _ends(replica: Replica, chance: random.Random) -> bool:
    return replica.phase == "stopping" and chance.random() < 0.5


def _lives_on(replica: Replica, chance: random.Random, *, misbehaves: bool) -> Replica:
    """What starts becomes ready, or crashes and is tried again; what is ready stays so."""
    if replica.phase in ("starting", "crashed") and chance.random() < 0.7:
        crashes = misbehaves and chance.random() < 0.3
        return replace(replica, phase="crashed" if crashes else "ready")
    return replica
