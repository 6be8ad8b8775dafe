"""Counts that several processes share: what a dead one counted stays, once, and nothing grows without end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.gateway.cells import MOST_SERIES, OTHER, Cells

NAME = ("requests", "count", ("chat",))


def add(cells: Cells, by: int = 1, label: str = "chat") -> None:
    cells.values[cells.take("requests", "count", (label,))] += by


def count_and_die(directory: Path, number: int) -> None:
    cells = Cells(directory)
    for _ in range(number):
        add(cells)
    os.kill(os.getpid(), signal.SIGKILL)


def test_all_processes_are_one_sum(tmp_path: Path) -> None:
    one, other = Cells(tmp_path), Cells(tmp_path)
    add(one, 2)
    add(other, 3)
    assert one.read_host()[NAME] == other.read_host()[NAME] == [5]
    assert one.processes() == 2


def test_what_a_killed_process_counted_is_neither_lost_nor_counted_twice(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    cells = Cells(tmp_path)
    for round_ in range(1, 4):
        child = fork.Process(target=count_and_die, args=(tmp_path, 1000))
        child.start()
        child.join()
        assert cells.read_host()[NAME] == [1000 * round_]  # before anybody took it over
        cells.tidy()
        cells.tidy()
        assert cells.read_host()[NAME] == [1000 * round_]
    assert len(list(tmp_path.glob("*.cells"))) == 1


def test_a_taking_over_that_was_cut_off_counts_once(tmp_path: Path) -> None:
    gone = Cells(tmp_path)
    add(gone, 7)
    gone.close()
    [file] = tmp_path.glob("*.cells")
    before = file.read_bytes()
    Cells(tmp_path).tidy()
    file.write_bytes(before)  # as if the machine had stopped between writing the sum and removing the file
    cells = Cells(tmp_path)
    cells.tidy()
    assert cells.read_host()[NAME] == [7]


def test_how_numbers_come_together(tmp_path: Path) -> None:
    one, other, gone = Cells(tmp_path), Cells(tmp_path), Cells(tmp_path)
    for cells, value in ((one, 3), (other, 5), (gone, 9)):
        for how in ("sum", "max", "min"):
            cells.values[cells.take(how, how, ())] = value  # type: ignore[arg-type]
    gone.close()
    found = one.read_host()
    assert [found[how, how, ()] for how in ("sum", "max", "min")] == [[8], [5], [3]]


def test_label_sets_are_bounded_in_a_process_and_over_all_that_ever_were(tmp_path: Path) -> None:
    for life in range(4):
        cells = Cells(tmp_path)
        for number in range(2 * MOST_SERIES):
            add(cells, 1, f"model-{life}-{number}")
        assert len(cells.read_host()) <= MOST_SERIES + 2
        cells.tidy()
        cells.close()
    found = Cells(tmp_path).read_host()
    assert len(found) <= MOST_SERIES + 2
    assert sum(values[0] for values in found.values()) == 4 * 2 * MOST_SERIES
    assert found["requests", "count", (OTHER,)][0] >= MOST_SERIES


def test_a_torn_common_file_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text(json.dumps({"counts": []})[:5])
    cells = Cells(tmp_path)
    add(cells)
    assert cells.read_host()[NAME] == [1]


def test_where_no_file_can_be_made_a_process_counts_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    cells = Cells(tmp_path)
    add(cells, 4)
    assert not cells.shared
    assert cells.read_host()[NAME] == [4]
    assert not list(tmp_path.iterdir())


def test_numbers_are_left_after_the_end(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    cells.close()
    add(cells)  # a request that ends late breaks nothing
    assert Cells(tmp_path).read_host()[NAME] == [1]
