"""The shared table: several processes, processes that die, cells that meet, clocks that jump."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.limits import Desk, Exceeded
from ironworks.products.tokenfactory.limits import desk as desks
from ironworks.products.tokenfactory.limits import table as tables
from ironworks.products.tokenfactory.limits.table import FLIGHTS, RATES, SIZE, USERS, WAYS, Area, Table
from tests.products.tokenfactory.limits.views import SECOND, Clock, admitted, desk_with, limit, plan

PROCESS = """
import os, sys
from pathlib import Path
from tests.products.tokenfactory.limits.views import Clock, admitted, desk_with, limit, plan
folder, what = Path(sys.argv[1]), sys.argv[2]
desk = desk_with(folder, Clock(), limit(name="one", requests_per_second=500, tokens_per_minute=100_000, concurrency=3))
of = plan(desk)
print("ready", flush=True)
sys.stdin.readline()
if what == "hammer":
    print(admitted(desk, of, int(sys.argv[3])), flush=True)
elif what == "report":
    desk.replace([limit(name="many", requests_per_second=1_000_000)])
    log = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        desk.admit(of, "chat", 1)
        os.write(log, b"1")
elif what == "hold":
    desk.admit(of, "chat", 1)
    print("held", flush=True)
elif what == "lock":
    desk.table.lock()
    print("locked", flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(folder: Path, what: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another gateway process, waiting for the word to begin."""
    command = [sys.executable, "-c", PROCESS, str(folder), what, *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def begin(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def shared_desk(folder: Path) -> Desk:
    return desk_with(
        folder, Clock(), limit(name="one", requests_per_second=500, tokens_per_minute=100_000, concurrency=3)
    )


# --- processes --------------------------------------------------------------------------------------------------------


def test_several_processes_together_pass_exactly_the_limit(folder: Path) -> None:
    with (
        process(folder, "hammer", "400") as one,
        process(folder, "hammer", "400") as two,
        process(folder, "hammer", "400") as three,
    ):
        for child in (one, two, three):
            begin(child)
        counts = [int(line(child)) for child in (one, two, three)]
    assert sum(counts) == 500, counts


def test_processes_that_are_killed_at_any_moment_corrupt_nothing(folder: Path, tmp_path: Path) -> None:
    """Each is killed in the middle of counting; one request may have been debited that it had not written down."""
    kills, log = 6, tmp_path / "log"
    for number in range(kills):
        with process(folder, "report", str(log)) as child:
            begin(child)
            while not log.exists() or log.stat().st_size < 1_000 * (number + 1):
                time.sleep(0.001)
            child.kill()
    desk = desk_with(folder, Clock(), limit(name="many", requests_per_second=1_000_000))
    lines = desk.admit(plan(desk), "chat", 1).headers()
    debited = 1_000_000 - int(lines.partition(b"x-ratelimit-remaining-requests: ")[2].partition(b"\r\n")[0]) - 1
    written = log.stat().st_size
    assert written <= debited <= written + kills
    assert desk.table.evicted == desk.stuck == 0


def test_a_process_that_is_killed_gives_back_what_it_had_in_flight(folder: Path) -> None:
    desk = shared_desk(folder)
    of = plan(desk)
    with process(folder, "hold") as one, process(folder, "hold") as two:
        for child in (one, two):
            begin(child)
            assert line(child) == "held"
        mine = desk.admit(of, "chat", 1)
        with pytest.raises(Exceeded, match="in flight"):
            desk.admit(of, "chat", 1)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        desk.admit(of, "chat", 1)
        with pytest.raises(Exceeded, match="in flight"):
            desk.admit(of, "chat", 1)
        mine.release()
        desk.admit(of, "chat", 1)


def test_a_lock_is_released_by_death(folder: Path) -> None:
    desk = shared_desk(folder)
    of = plan(desk)
    with process(folder, "lock") as child:
        begin(child)
        assert line(child) == "locked"
        with pytest.raises(Exceeded) as caught:
            desk.admit(of, "chat", 1)
        assert (caught.value.code, caught.value.status, desk.stuck) == ("limits_unavailable", 503, 1)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        desk.admit(of, "chat", 1)  # at once, however impatient it was


def test_while_the_lock_is_held_the_event_loop_is_kept_no_longer_than_said(folder: Path) -> None:
    desk = shared_desk(folder)
    with process(folder, "lock") as child:
        begin(child)
        assert line(child) == "locked"
        began = time.monotonic()
        with pytest.raises(tables.Stuck):
            desk.table.lock()
        assert time.monotonic() - began < 4 * tables.PATIENCE
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(tables.Stuck):
                desk.table.lock()
        assert time.monotonic() - began < tables.PATIENCE, "it is not waited for again and again"


def test_a_process_that_ends_and_comes_back_takes_its_place_again(folder: Path, clock: Clock) -> None:
    first, second = Table(folder, clock), Table(folder, clock)
    assert (first.slot, second.slot) == (0, 1)
    assert (folder / tables.FILE).stat().st_mode & 0o777 == 0o600
    first.close()
    assert Table(folder, clock).slot == 0


def test_the_counts_of_the_dead_are_not_inherited(folder: Path) -> None:
    with process(folder, "hold") as child:
        begin(child)
        assert line(child) == "held"
    desk = shared_desk(folder)
    of = plan(desk)
    for _ in range(3):
        desk.admit(of, "chat", 1)


# --- cells ------------------------------------------------------------------------------------------------------------


def low_of(area: Area, window: int, number: int) -> int:
    return window + number * area.sets


def placed(table: Table, area: Area, number: int, owner: int, now: int, until: int = 0) -> int:
    """The cell of the `number`th key of window 7, in use until `until`."""
    at = table.place(area, number, low_of(area, 7, number), owner, now, ())
    if at >= 0 and until:
        table.words[at + tables.TIME] = until
    return at


def test_keys_in_one_window_never_share_a_cell(folder: Path, clock: Clock) -> None:
    table = Table(folder, clock)
    found = [placed(table, RATES, number, 1, clock.now, clock.now + 1) for number in range(1, WAYS)]
    half = table.place(RATES, 99, low_of(RATES, 7, 1), 1, clock.now, ())
    assert len({*found, half}) == WAYS, "half a hash is not enough"
    assert [placed(table, RATES, number, 1, clock.now) for number in range(1, WAYS)] == found


def test_an_idle_cell_is_given_away_and_one_in_use_is_not(folder: Path, clock: Clock) -> None:
    table = Table(folder, clock)
    for number in range(1, WAYS + 1):
        placed(table, RATES, number, 1, clock.now, clock.now + 10)
    idle = placed(table, RATES, 5, 1, clock.now, clock.now - 1)
    assert placed(table, RATES, 100, 1, clock.now, clock.now + 10) == idle
    assert table.evicted == 0


def test_who_floods_a_window_forgives_his_own(folder: Path, clock: Clock) -> None:
    table = Table(folder, clock)
    quiet = [placed(table, USERS, number, 1, clock.now, clock.now + 1) for number in (1, 2)]
    for number in range(3, 200):
        placed(table, USERS, number, 2, clock.now, clock.now + 50 * number)
    assert [placed(table, USERS, number, 1, clock.now) for number in (1, 2)] == quiet
    assert table.evicted == 200 - 3 - (WAYS - 2)


def test_what_is_in_flight_is_never_given_away(folder: Path, clock: Clock) -> None:
    table = Table(folder, clock)
    for number in range(1, WAYS + 1):
        at = placed(table, FLIGHTS, number, 1, clock.now)
        table.words[tables.counts_of(at)] = 1
    assert placed(table, FLIGHTS, 100, 1, clock.now) == -1
    assert table.unplaced == 1


def test_a_count_without_room_lets_requests_pass(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_with(folder, clock, limit(concurrency=1), limit(requests_per_minute=3))
    monkeypatch.setattr(desk.table, "_is_idle", lambda area, at, now: area is not FLIGHTS)
    of = plan(desk)
    assert [bool(desk.admit(of, "chat", 1)) for _ in range(3)] == [True] * 3
    with pytest.raises(Exceeded, match="per minute"):
        desk.admit(of, "chat", 1)
    assert desk.table.unplaced == 4, "each of them tried"


def test_made_up_end_users_refuse_nobody_and_harm_no_other_tenant(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "USERS", Area(USERS.first, 2))
    view = limit("acme", requests_per_minute=2, per=("end_user",))
    desk = desk_with(folder, clock, view)
    victim, flooder = plan(desk, key_scope="acme.shop.us"), plan(desk)
    assert admitted(desk, victim, 5, end_user="alice") == 2
    for number in range(500):
        assert admitted(desk, flooder, 1, end_user=f"made up {number}") == 1
    assert desk.table.evicted >= 500 - 2 * WAYS
    assert admitted(desk, victim, 5, end_user="alice") == 0


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_restart_of_the_program_keeps_the_counts(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(name="one", requests_per_minute=5))
    assert admitted(desk, plan(desk), 3) == 3
    desk.close()
    again = desk_with(folder, clock, limit(name="one", requests_per_minute=5))
    assert admitted(again, plan(again), 9) == 2


def test_a_restart_of_the_host_voids_them(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desk_with(folder, clock, limit(name="one", requests_per_minute=5))
    host = desk.host
    assert admitted(desk, plan(desk), 9) == 5
    desk.close()
    monkeypatch.setattr(tables, "_boot_mark", lambda: 42)
    clock.now = 7 * SECOND  # the clock began anew: the old times would refuse for a quarter of an hour
    again = desk_with(folder, clock, limit(name="one", requests_per_minute=5))
    assert again.host != host
    assert admitted(again, plan(again), 9) == 5


def test_a_table_that_was_cut_off_in_the_making_is_made_anew(folder: Path, clock: Clock) -> None:
    folder.mkdir()
    (folder / tables.FILE).write_bytes(os.urandom(3_000))
    desk = desk_with(folder, clock, limit(concurrency=1))
    desk.admit(plan(desk), "chat", 1)
    assert (folder / tables.FILE).stat().st_size == SIZE


def test_setting_the_clock_of_the_day_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(folder)
    desk.replace([limit(requests_per_minute=5)])
    of = plan(desk)
    assert admitted(desk, of, 3) == 3
    for day in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda day=day: day)
        assert admitted(desk, of, 1) == 1
    assert admitted(desk, of, 3) == 0


def test_tokens_of_streams_reach_the_table_without_another_request(folder: Path, clock: Clock) -> None:
    due = []
    desk = Desk(folder, later=lambda seconds, what: due.append((seconds, what)), clock=clock)
    desk.replace([limit(name="one", tokens_per_minute=60)])
    elsewhere = desk_with(folder, clock, limit(name="one", tokens_per_minute=60))
    grant = desk.admit(plan(desk), "chat", 1)
    for _ in range(59):
        grant.spend(1)
    assert len(due) == 1, "one timer for all that comes until it rings"
    seconds, flush = due[0]
    assert seconds <= 0.1
    flush()
    assert admitted(elsewhere, plan(elsewhere), 1) == 0
