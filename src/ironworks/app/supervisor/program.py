"""The life of one program: wait for what it needs, start, watch its health, restart with backoff, stop.

One task per program runs `live`. Everything that others ask for (`stop`) only says so and waits for that task.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ironworks.app.supervisor import health, listeners, logfile, process
from ironworks.app.supervisor.listeners import Listeners
from ironworks.app.supervisor.process import Process
from ironworks.app.supervisor.record import Entry
from ironworks.shared.supervision import HealthCheck, ProgramSpec, ProgramStatus, State

log = logging.getLogger(__name__)
_STARTING_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every program of a supervisor shares."""

    instance: str
    environment: Mapping[str, str]
    listeners: Listeners
    is_up: Callable[[str], bool]
    """Whether the program of this name is up, for those that come after it."""
    changed: Callable[[], None]
    """Called whenever something worth remembering on disk has changed."""


@dataclass(slots=True)
class Program:
    """One program. Make it, then run `live` in a task."""

    spec: ProgramSpec
    around: Surroundings
    restarts: int = 0
    state: State = "waiting"
    since: float = field(default_factory=time.time)
    message: str = ""
    last_exit: str | None = None
    descriptors: Mapping[str, int] = field(default_factory=dict)
    process: Process | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _failures: int = 0

    @classmethod
    def adopt(cls, entry: Entry, around: Surroundings) -> Program:
        """A program whose process was started by an earlier supervisor and still runs."""
        assert entry.process is not None
        adopted = Process(entry.process, (around.instance, entry.spec.name))
        around.listeners.take_back(adopted.pid, entry.spec.listen, entry.descriptors)
        return cls(entry.spec, around, entry.restarts, descriptors=entry.descriptors, process=adopted)

    @property
    def up(self) -> bool:
        return self.state == "ready"

    def status(self) -> ProgramStatus:
        """What to tell of it now."""
        spec = self.spec
        return ProgramStatus(
            name=spec.name,
            state=self.state,
            pid=self.process.pid if self.process else None,
            since=self.since,
            restarts=self.restarts,
            address=spec.address,
            definition=spec.definition,
            log=spec.log,
            labels=spec.labels,
            last_exit=self.last_exit,
            message=self.message,
        )

    def entry(self) -> Entry:
        """What to remember of it on disk."""
        return Entry(self.spec, self.process.identity if self.process else None, self.restarts, self.descriptors)

    def begin(self) -> None:
        """Start its life, in a task of its own."""
        self._task = asyncio.create_task(self._live(), name=self.spec.name)

    async def stop(self) -> None:
        """End its life; returns when all its processes are gone."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _live(self) -> None:
        try:
            while not self._stopping.is_set():
                if self.process is None and not await self._start():
                    break
                if not await self._watch() or not await self._back_off():
                    break
        except Exception as problem:
            log.exception("%s: given up", self.spec.name)
            self._enter("failed", f"the supervisor failed: {problem}")
        finally:
            await self._end()

    async def _start(self) -> bool:
        """Start its process. True also where that failed and is to be tried again; False when it is to stop."""
        self._enter("waiting", self._waits_for())
        while self._waits_for():
            if await self._pause(0.05):
                return False
        self._enter("starting")
        try:
            self.descriptors = self.around.listeners.open(self.spec.listen)
            environment = {**self.around.environment, **listeners.as_variable(self.descriptors)}
            output = logfile.open_log(self.spec.log)
            try:
                self.process = process.start(self.spec, self.around.instance, environment, self.descriptors, output)
            finally:
                os.close(output)
        except (OSError, KeyError) as problem:
            self.last_exit = None
            self.message = f"cannot be started: {problem}"
        else:
            self.around.changed()
        return True

    def _waits_for(self) -> str:
        missing = [name for name in self.spec.after if not self.around.is_up(name)]
        return f"for {', '.join(missing)}" if missing else ""

    async def _watch(self) -> bool:
        """Watch the process to its end. False when it is to stay ended."""
        if self.process is None:
            return True
        began = time.monotonic()
        ended = asyncio.ensure_future(self.process.wait())
        unhealthy = asyncio.ensure_future(self._mind_health())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({ended, unhealthy, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return False
            if not ended.done():  # it lives, and does not answer
                await self.process.stop(self.spec.stop_signal, self.spec.grace)
            self.last_exit = await ended
        finally:
            for task in (ended, unhealthy, stopping):
                task.cancel()
            await asyncio.gather(ended, unhealthy, stopping, return_exceptions=True)
        await self.process.clear()
        self.process = None
        if time.monotonic() - began >= self.spec.stable_after:
            self._failures = 0
        return self._wants_restart()

    def _wants_restart(self) -> bool:
        policy = self.spec.restart
        if policy == "always" or (policy == "on-failure" and self.last_exit != "exit 0"):
            return True
        self._enter("stopped" if self.last_exit == "exit 0" else "failed")
        return False

    async def _back_off(self) -> bool:
        """Wait before the next start, twice as long after each failure in a row, less a random part."""
        delay = min(self.spec.backoff_max, self.spec.backoff * 2**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures = min(self._failures + 1, 16)
        self.restarts += 1
        log.warning("%s: %s; next try in %.1f s", self.spec.name, self.last_exit or self.message, delay)
        self._enter("backoff", self.message)
        return not await self._pause(delay)

    async def _pause(self, seconds: float) -> bool:
        """Wait so long, or until it is to stop: then True."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _mind_health(self) -> None:
        """Keep `state` true while the process lives; returns when it should be restarted."""
        check = self.spec.health
        if check is None:
            self._enter("ready")
            await asyncio.Event().wait()
            return
        self._enter("starting")
        if not await self._becomes_ready(check):
            self._enter("running", f"not ready within {check.start_within:g} s")
            return
        await self._stays_ready(check)

    async def _becomes_ready(self, check: HealthCheck) -> bool:
        deadline = time.monotonic() + check.start_within
        while not await self._answers(check):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_STARTING_POLL)
        self._enter("ready")
        return True

    async def _stays_ready(self, check: HealthCheck) -> None:
        missed = 0
        while missed < check.failures:
            await asyncio.sleep(check.interval)
            missed = 0 if await self._answers(check) else missed + 1
            if missed:
                self._enter("running", f"did not answer {missed} of {check.failures} health checks")
            elif self.state != "ready":
                self._enter("ready")

    async def _answers(self, check: HealthCheck) -> bool:
        return await health.answers(check, {**self.around.environment, **self.spec.env})

    async def _end(self) -> None:
        if self.process is not None:
            self._enter("stopping")
            await self.process.stop(self.spec.stop_signal, self.spec.grace)
            self.process = None
        if self.state != "failed":
            self._enter("stopped")
        self.around.changed()

    def _enter(self, state: State, message: str = "") -> None:
        if state != self.state:
            self.since = time.time()
            log.info("%s: %s", self.spec.name, state)
        self.state, self.message = state, message
