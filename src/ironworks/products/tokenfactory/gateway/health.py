"""How a process is: what it depends on, what is wrong with that, and what it does meanwhile.

`ok` while all is well; `degraded` while something is wrong and requests are served all the same, as the settings say
they shall be; `unavailable` when they are not. What was wrong is remembered for a while, so that the control plane
hears of it even where it was itself what was missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from uuid import UUID, uuid4

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal
from ironworks.products.tokenfactory.gateway.targets import TargetState
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.core import Core
    from ironworks.products.tokenfactory.gateway.observing import Observers

log = telemetry.logger(__name__)

State: TypeAlias = Literal["degraded", "failing"]
Status: TypeAlias = Literal["ok", "degraded", "unavailable"]
MOST_INCIDENTS: Final = 50
REPORT_EVERY: Final = 10.0
_ORDINARY: Final = frozenset({"Starting", "Draining"})
"""No incident: every process begins and ends."""
LOST_AFTER: Final = 5.0
"""Seconds without a confirmation after which it is told that the control plane is out of touch."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong.

    Args:
        component: what is: `snapshot`, `spool`, `charging`, `budgets`, `certificate`, …
        state: `degraded` while requests are served all the same, `failing` when they are not.
        reason: a stable CamelCase word. message: what is wrong and what can be done, for people.
        meanwhile: what happens to requests until it is mended, as the settings say.
    """

    component: str
    state: State
    reason: str
    message: str
    meanwhile: str


Check: TypeAlias = Callable[[], Iterable[Trouble]]


@dataclass(slots=True)
class Incident:
    """A trouble over time; seconds since the epoch, `until` is None while it lasts."""

    component: str
    reason: str
    message: str
    since: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Uncharged:
    """What the spool holds for the charge: `waiting_bytes`, open requests among them, and `lag_seconds`, the time that
    charging is behind: all that ended longer ago is charged.
    """

    waiting_bytes: int = 0
    lag_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What a process tells the control plane. `uid` names the process; times are seconds since the epoch.

    Args:
        targets: of Routes, those that are not plainly well or serve somebody now; see `targets.py`.
    """

    uid: UUID
    host: str
    pid: int
    started_at: float
    status: Status
    troubles: tuple[Trouble, ...]
    incidents: tuple[Incident, ...]
    targets: tuple[TargetState, ...] = ()
    uncharged: Uncharged = Uncharged()
    stopped: bool = False

    @property
    def news(self) -> tuple[object, ...]:
        """What is told at once where it is new."""
        return self.status, len(self.incidents), tuple(t.news for t in self.targets if t.standing != "healthy")


ReportHealth: TypeAlias = Callable[[HealthReport], Awaitable[None]]


@dataclass(slots=True)
class Health:
    """The health of this process.

    Args:
        checks: asked at each `look`; whoever depends on something adds one.
        place: a folder where it is told to this host's other programs, in `<pid>.health`; None for nowhere.
        targets: looks how those of Routes stand. uncharged: how far charging is behind.
    """

    place: Path | None = None
    checks: list[Check] = field(default_factory=list)
    targets: Callable[[], tuple[TargetState, ...]] = tuple
    uncharged: Callable[[], Uncharged] = Uncharged
    troubles: tuple[Trouble, ...] = ()
    uid: UUID = field(default_factory=uuid4)
    started_at: float = field(default_factory=time.time)
    _open: dict[tuple[str, str], Incident] = field(default_factory=dict)
    _ended: deque[Incident] = field(default_factory=lambda: deque(maxlen=MOST_INCIDENTS))
    _told: bytes = b""

    @property
    def status(self) -> Status:
        if any(trouble.state == "failing" for trouble in self.troubles):
            return "unavailable"
        return "degraded" if self.troubles else "ok"

    def look(self) -> None:
        """Ask every check; twice a second."""
        found: list[Trouble] = []
        for check in self.checks:
            try:
                found += check()
            except Exception as problem:
                log.exception("a health check failed")
                found.append(
                    Trouble("health", "degraded", "CheckFailed", type(problem).__name__, "requests are served")
                )
        self.troubles = tuple(found)
        self._note(found)

    def _note(self, found: list[Trouble]) -> None:
        now = time.time()
        current = {(trouble.component, trouble.reason): trouble for trouble in found if trouble.reason not in _ORDINARY}
        for name in [name for name in self._open if name not in current]:
            incident = self._open.pop(name)
            incident.until = now
            self._ended.append(incident)
            log.info("mended", component=incident.component, reason=incident.reason)
        for name, trouble in current.items():
            if name in self._open:
                self._open[name].message = trouble.message
                continue
            self._open[name] = Incident(*name, trouble.message, now)
            log.warning("something is wrong", component=name[0], reason=name[1], problem=trouble.message)

    def document(self, *, detailed: bool = True) -> dict[str, Any]:
        """What `/health` answers; with `detailed` also messages, which may name tenants' resources."""
        since = {name: incident.since for name, incident in self._open.items()}
        if not detailed:
            return {"status": self.status, "problems": [trouble.reason for trouble in self.troubles]}
        return {
            "status": self.status,
            "problems": [trouble.reason for trouble in self.troubles],
            "checks": [
                asdict(trouble) | {"since": since.get((trouble.component, trouble.reason))} for trouble in self.troubles
            ],
        }

    def report(self, *, stopped: bool = False) -> HealthReport:
        """For the control plane: how it is now, and what was wrong lately."""
        incidents = (*self._ended, *self._open.values())
        targets = () if stopped else self.targets()
        return HealthReport(
            self.uid, socket.gethostname(), os.getpid(), self.started_at, self.status, self.troubles, incidents,
            targets, self.uncharged(), stopped,
        )  # fmt: skip

    def tell_host(self) -> None:
        """Write `<pid>.health` where it changed. A disk that does not take it is no new trouble."""
        if self.place is None:
            return
        shown = orjson.dumps(self.document())
        if shown == self._told:
            return
        fresh = self.place / f".{os.getpid()}.health"
        with contextlib.suppress(OSError):
            self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(shown)
            fresh.replace(self.place / f"{os.getpid()}.health")
            self._told = shown

    def leave_host(self) -> None:
        """The process ends."""
        if self.place is not None:
            with contextlib.suppress(OSError):
                (self.place / f"{os.getpid()}.health").unlink()


def check_core(core: Core) -> Iterator[Trouble]:
    """What every process depends on."""
    yield from _check_snapshot(core)
    if not core.spool.healthy:
        yield Trouble(
            "spool", "failing", "SpoolUnavailable", "usage cannot be recorded: is the disk full?",
            "requests are refused with 503: nothing is served that could not be billed",
        )  # fmt: skip
    if core.shipper.failing_for > 0:
        yield Trouble(
            "charging", "degraded", "ChargingFails",
            f"usage has not been charged for {core.shipper.failing_for:.0f} s; {core.spool.backlog} bytes wait",
            "requests are served; their usage stays in the spool until it is charged",
        )  # fmt: skip
    yield from _check_budgets(core)
    yield from _check_observers(core.observers)
    if core.draining:
        yield Trouble(
            "process",
            "failing",
            "Draining",
            "the process is stopping",
            "running requests are finished, no others begun",
        )


def _check_snapshot(core: Core) -> Iterator[Trouble]:
    settings, mirror = core.settings, core.mirror
    refuses = settings.when_stale == "refuse"
    meanwhile = "requests are served by what is known, " + (
        f"and refused once that is {settings.stale_after:.0f} s old" if refuses else "however old that gets"
    )
    try:
        mirror.read()
    except Refusal as refusal:
        reason = "Starting" if refusal.code == "starting" else "SnapshotStale"
        yield Trouble("snapshot", "failing", reason, refusal.message, "requests are refused with 503")
    else:
        if not mirror.is_fed and mirror.age > LOST_AFTER:
            message = f"keys and routes were last confirmed {mirror.age:.0f} s ago: is the database down?"
            yield Trouble("snapshot", "degraded", "FeedLost", message, meanwhile)
    for part, problem in mirror.problems.items():
        yield Trouble(f"snapshot.{part}", "degraded", "PartNotLoaded", f"{part}: {problem}", meanwhile)
    if core.trace_feed.problem:
        yield Trouble("traces", "degraded", "PartNotLoaded", core.trace_feed.problem, "the policies known are used")


def _check_budgets(core: Core) -> Iterator[Trouble]:
    failing = int(core.payments.gauges().get("budgets_failing", ("", 0))[1])
    if failing:
        yield Trouble(
            "budgets", "degraded", "LedgerUnreachable",
            f"the ledger of leases cannot be asked for {failing} budgets: is the database down?",
            "requests are served while their budgets' leases last; then a budget that fails closed refuses, one that"
            " fails open lets pass",
        )  # fmt: skip


def _check_observers(observers: Observers) -> Iterator[Trouble]:
    served = "requests are served; what does not fit the queue is dropped and counted"
    failing = {
        "access_log": ("AccessLogFails", "lines cannot be written", observers.access.failing),
        "spans": ("ExportFails", "the collector takes no spans", observers.spans.failing),
        "traces": ("TracesNotKept", "traces cannot be stored", observers.captures.failing),
    }
    for component, (reason, what, problem) in failing.items():
        if problem:
            yield Trouble(component, "degraded", reason, f"{what}: {problem}", served)


async def report_forever(health: Health, report: ReportHealth) -> None:
    """Tell the control plane at once of what changed, and now and then that nothing did; cancel to stop."""
    told: tuple[object, ...] | None = None
    told_at = 0.0
    while True:
        found = health.report()
        if found.news != told or time.monotonic() - told_at > REPORT_EVERY:
            try:
                await report(found)
            except Exception as problem:
                log.debug("health cannot be reported; it is once the database is back", problem=repr(problem))
            else:
                told, told_at = found.news, time.monotonic()
        await asyncio.sleep(1.0)


async def report_end(health: Health, report: ReportHealth) -> None:
    """The process stops; nobody waits long to hear of it."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(2.0):
            await report(health.report(stopped=True))
