"""Forcing files to disk, by the kernel's workers and by a thread: both tell the same."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.gateway.forcing import MOST, Done, Forcer, KernelForcer, ThreadForcer, forcer_of


class Told:
    """What a forcer says, one group after the other."""

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop, Done], Forcer]) -> None:
        self.forcer = make(asyncio.get_running_loop(), self._tell)
        self._answers: asyncio.Queue[OSError | None] = asyncio.Queue()

    def _tell(self, problem: OSError | None) -> None:
        self._answers.put_nowait(problem)

    async def force(self, *files: int) -> OSError | None:
        self.forcer.begin(files)
        assert self._answers.empty()
        async with asyncio.timeout(60):
            problem = await self._answers.get()
        assert self._answers.empty()
        return problem


@pytest.fixture(params=[KernelForcer, ThreadForcer])
async def told(request: pytest.FixtureRequest) -> AsyncIterator[Told]:
    made = Told(request.param)
    yield made
    made.forcer.close()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    with ExitStack() as stack:
        opened = [stack.enter_context((tmp_path / str(number)).open("wb")) for number in range(2 * MOST + 1)]
        yield [file.fileno() for file in opened]


async def test_files_and_folders_are_forced(told: Told, files: list[int], tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.write(files[0], b"x")
    assert await told.force(files[0], folder) is None
    assert await told.force(files[0]) is None
    os.close(folder)


async def test_more_files_than_the_kernel_takes_at_once(told: Told, files: list[int]) -> None:
    assert await told.force(*files) is None
    assert await told.force(files[0]) is None


async def test_what_cannot_be_forced_is_told_and_the_next_group_is_not_blamed(told: Told, files: list[int]) -> None:
    with os.fdopen(os.eventfd(0)) as no_file:
        assert isinstance(await told.force(no_file.fileno()), OSError)
        assert isinstance(await told.force(files[0], no_file.fileno(), files[1]), OSError)
    assert await told.force(files[0]) is None


async def test_an_error_of_the_disk_is_told(files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's answer for a file of several is that of the group."""
    told = Told(KernelForcer)
    forcer = told.forcer
    assert isinstance(forcer, KernelForcer)
    ask = forcer._ask

    def spoil(number: int, *arguments: object) -> int:
        count = ask(number, *arguments)
        if number == forcer._events_of and count:
            forcer._events[0].result = -errno.EIO
        return count

    monkeypatch.setattr(forcer, "_ask", spoil)
    problem = await told.force(*files)
    assert problem is not None
    assert problem.errno == errno.EIO
    monkeypatch.undo()
    assert await told.force(*files) is None
    forcer.close()


async def test_nobody_is_told_after_the_end(told: Told, files: list[int]) -> None:
    extra = Told(type(told.forcer))
    extra.forcer.begin(files)
    extra.forcer.close()
    assert await told.force(files[0]) is None


async def test_where_aio_is_refused_a_thread_does_it(files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    told = Told(forcer_of)
    assert isinstance(told.forcer, ThreadForcer)
    assert await told.force(files[0]) is None
    told.forcer.close()
