"""Counts that every process of this host can see, and that outlive the process which made them.

Each gateway process counts in a file of its own that it maps: adding one is an addition in memory, nothing is sent or
written. Whoever is asked for metrics reads all files. A file's lock goes when its process does; what a dead process
counted is then added to one common file, so that a sum over the host never falls.

    magic | bytes of names | names, one JSON line each | 64-bit numbers

A name is `[family, how, labels, cells]`; its numbers follow those of the name before. `how` says what becomes of the
numbers when processes are put together: `count` adds up and stays when the process is gone; `sum`, `max` and `min`
are of the processes that live. Without a directory, or where the disk is full, counts are this process's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from operator import add
from pathlib import Path
from typing import Final, Literal, TypeAlias

How: TypeAlias = Literal["count", "sum", "max", "min"]
Name: TypeAlias = tuple[str, str, tuple[str, ...]]
"""(family, how, label values)."""
Numbers: TypeAlias = dict[Name, list[int]]

OTHER: Final = "other"
MOST_SERIES: Final = 250
"""Label sets of one family; what comes after is counted under `other`."""
_MAGIC: Final = b"iwcells1"
_NAMES: Final = 1 << 20
_CELLS: Final = 1 << 16
_SPILL: Final = 64
"""Numbers at the end that have no name: what is counted there is seen by nobody."""
_FIRST: Final = len(_MAGIC) + 8 + _NAMES
_SIZE: Final = _FIRST + 8 * _CELLS
_SUFFIX: Final = ".cells"
_GONE: Final = "gone.json"


class Cells:
    """One process's numbers, and the way to everybody's.

    Attributes:
        values: the numbers; `values[i] += n` is all that counting takes, for an `i` that `take` gave out.
        shared: whether other processes see them.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._lock = -1
        view = memoryview(self._open())
        self._used = view[len(_MAGIC) : len(_MAGIC) + 8].cast("q")
        self.values = view[_FIRST:].cast("q")
        self._view = view
        self._taken = 0
        self._places: dict[Name, int] = {}
        self._series: dict[str, int] = {}

    @property
    def shared(self) -> bool:
        return self._path is not None

    def take(self, family: str, how: How, labels: tuple[str, ...], cells: int = 1) -> int:
        """The place of the first of `cells` numbers for these labels; the same labels have the same place.

        Past `MOST_SERIES` label sets of a family new ones get the place of `other`.
        """
        name = (family, how, labels)
        place = self._places.get(name)
        if place is not None:
            return place
        if labels and self._series.get(family, 0) >= MOST_SERIES and labels != (OTHER,) * len(labels):
            return self._places.setdefault(name, self.take(family, how, (OTHER,) * len(labels), cells))
        self._series[family] = self._series.get(family, 0) + 1
        return self._add(name, cells)

    def _add(self, name: Name, cells: int) -> int:
        line = json.dumps([*name, cells], separators=(",", ":")).encode() + b"\n"
        used, place = self._used[0], self._taken
        if used + len(line) > _NAMES or place + cells > _CELLS - _SPILL:  # cannot be while families are few
            return self._places.setdefault(name, _CELLS - _SPILL)
        start = len(_MAGIC) + 8 + used
        self._view[start : start + len(line)] = line
        self._used[0] = used + len(line)  # only now does the name exist for readers
        self._taken += cells
        self._places[name] = place
        return place

    def read_host(self) -> Numbers:
        """Everybody's numbers put together: the living ones', and the counts of those that are gone."""
        total: Numbers = {}
        if self._directory is None or not self.shared:
            _merge(total, _decode(self._view))
            return total
        with _locked(self._directory):
            for path, alive in _files(self._directory, self._path):
                _merge(total, _read(path), alive=alive)
            _merge(total, _read_gone(self._directory)[0], alive=False)
        return total

    def processes(self) -> int:
        """How many processes of this host count now."""
        if self._directory is None or not self.shared:
            return 1
        return sum(alive for _, alive in _files(self._directory, self._path))

    def tidy(self) -> None:
        """Add what dead processes counted to the common file. A disk that is full leaves their files for later."""
        if self._directory is None:
            return
        with contextlib.suppress(OSError), _locked(self._directory):
            _fold(self._directory, self._path)

    def close(self) -> None:
        """Let go of the file: from here on the process counts as gone. What it still counts is counted all the same."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self) -> mmap.mmap:
        if self._directory is not None:
            with contextlib.suppress(OSError):
                return self._open_file(self._directory)
        return mmap.mmap(-1, _SIZE)

    def _open_file(self, directory: Path) -> mmap.mmap:
        """A file that is locked before it has its name, so that nobody takes it for a dead process's."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns() // 1_000_000:x}-{os.getpid()}-{secrets.token_hex(4)}"
        fresh = directory / f".new-{name}"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        lock = os.open(fresh, os.O_RDONLY)  # apart from `fd`, of which the mapping keeps a copy
        try:
            os.posix_fallocate(fd, 0, _SIZE)  # a hole that could not be filled later would kill the process
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(fd, _MAGIC, 0)
            made = mmap.mmap(fd, _SIZE)
            path = directory / (name + _SUFFIX)
            fresh.rename(path)
        except OSError:
            os.close(lock)
            fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        self._lock, self._path = lock, path
        return made


def _files(directory: Path, own: Path | None) -> Iterator[tuple[Path, bool]]:
    """(file, whether its process lives) of every process of this host."""
    for path in sorted(directory.glob("*" + _SUFFIX)):
        yield path, path == own or _is_held(path)


def _is_held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """The directory to ourselves, so that nobody sees a file both folded and not. Held for milliseconds."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _fold(directory: Path, own: Path | None) -> None:
    """Crash-safe: files that the common file says it holds are removed, never added again."""
    counts, folded = _read_gone(directory)
    for name in folded:
        (directory / name).unlink(missing_ok=True)
    dead = [path for path, alive in _files(directory, own) if not alive]
    if not dead:
        return
    for path in dead:
        _merge(counts, _read(path), alive=False)
    _write_gone(directory, counts, [path.name for path in dead])
    for path in dead:
        path.unlink(missing_ok=True)


def _read_gone(directory: Path) -> tuple[Numbers, list[str]]:
    try:
        stored = json.loads((directory / _GONE).read_bytes())
        return {(f, h, tuple(labels)): numbers for f, h, labels, numbers in stored["counts"]}, stored["folded"]
    except FileNotFoundError:
        return {}, []
    except (ValueError, KeyError, TypeError):  # torn by a machine that stopped: begin again, as after a restart
        return {}, []


def _write_gone(directory: Path, counts: Numbers, folded: list[str]) -> None:
    rows = [[family, how, labels, numbers] for (family, how, labels), numbers in counts.items()]
    fresh = directory / f".{_GONE}"
    try:
        fresh.write_text(json.dumps({"counts": rows, "folded": folded}, separators=(",", ":")))
        fresh.replace(directory / _GONE)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Numbers:
    """What a process has counted so far; nothing where it is gone, or not one of ours."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return _decode(memoryview(data)) if data.startswith(_MAGIC) and len(data) == _SIZE else {}


def _decode(view: memoryview) -> Numbers:
    used = view[len(_MAGIC) : len(_MAGIC) + 8].cast("q")[0]
    values = view[_FIRST:].cast("q")
    found: Numbers = {}
    place = 0
    for line in bytes(view[len(_MAGIC) + 8 : len(_MAGIC) + 8 + used]).splitlines():
        family, how, labels, cells = json.loads(line)
        found[family, how, tuple(labels)] = values[place : place + cells].tolist()
        place += cells
    return found


_TOGETHER: Final[Mapping[str, Callable[[int, int], int]]] = {"sum": add, "count": add, "max": max, "min": min}


def _merge(total: Numbers, more: Mapping[Name, list[int]], *, alive: bool = True) -> None:
    """Put `more` to `total`, of a dead process only what counts; keep each family within its bound."""
    sizes: dict[str, int] = {}
    for family, _, _ in total:
        sizes[family] = sizes.get(family, 0) + 1
    for (family, how, labels), numbers in more.items():
        if how != "count" and not alive:
            continue
        name = (family, how, labels)
        if name not in total and labels and sizes.get(family, 0) > MOST_SERIES:
            name = (family, how, (OTHER,) * len(labels))
        before = total.get(name)
        if before is None:
            sizes[family] = sizes.get(family, 0) + 1
            total[name] = list(numbers)
        elif len(before) == len(numbers):  # another version of ours may have other buckets
            total[name] = [_TOGETHER[how](a, b) for a, b in zip(before, numbers, strict=True)]
