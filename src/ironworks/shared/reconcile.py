"""Reconciling: a controller gets one resource at a time and moves the world one step nearer to its spec.

    @reconciles(BUCKET, concurrency=8)
    async def reconcile_bucket(step: Step[Bucket], objects: ObjectStore) -> Outcome:
        bucket = step.resource
        if bucket.deleting:
            await objects.remove_bucket(bucket.name)
            return step.gone()
        url = await objects.ensure_bucket(bucket.name)
        return step.ready(url=url)

A step reads, acts outside of any transaction, and answers with an `Outcome`. Only the runtime commits, in one
transaction fenced by the item's token: if another worker has taken the item over meanwhile, nothing of the step is
written. Steps are level-triggered and may be taken again at any time, so what they do outside must be idempotent.
A controller that raises is shown as the condition Ready=False, reason ReconcileError, and tried again with backoff.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar
from uuid import UUID

from ironworks.shared import telemetry
from ironworks.shared.context import Actor, Context
from ironworks.shared.db import Database, new_request_id
from ironworks.shared.kind import Condition, Kind, Resource
from ironworks.shared.queue import Item

log = telemetry.logger(__name__)

R = TypeVar("R", bound=Resource[Any, Any])
F = TypeVar("F", bound=Callable[..., Awaitable["Outcome"]])
Effect: TypeAlias = Callable[[Context], Awaitable[None]]
Watch: TypeAlias = Callable[[Context, UUID], Awaitable[Iterable[UUID]]]
"""From the uid of a changed resource of another kind to the uids of ours that depend on it."""

READY: Final = "Ready"
RECONCILE_ERROR: Final = "ReconcileError"
_MARK = "__ironworks_reconciler__"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """A controller function and how it is run; made by `reconciles`."""

    kind: Kind
    act: Callable[..., Awaitable[Outcome]]
    concurrency: int
    resync: float
    timeout: float
    watches: Mapping[Kind, Watch]


def reconciles(
    kind: Kind,
    *,
    concurrency: int = 8,
    resync: float = 600.0,
    timeout: float = 300.0,
    watches: Mapping[Kind, Watch] | None = None,
) -> Callable[[F], F]:
    """Mark `async def reconcile_x(step: Step[X], …) -> Outcome` as the controller of `kind`.

    Parameters after `step` are injected by their annotated types.

    Args:
        concurrency: resources worked on at once by one worker.
        resync: seconds after which every resource is looked at again though nothing changed.
        timeout: seconds after which a step is ended and counts as failed.
        watches: other kinds whose changes matter, and which of ours each change concerns.
    """

    def mark(function: F) -> F:
        setattr(function, _MARK, Reconciler(kind, function, concurrency, resync, timeout, dict(watches or {})))
        return function

    return mark


def reconciler_of(candidate: object) -> Reconciler | None:
    """The reconciler that `candidate` was marked as."""
    found = getattr(candidate, _MARK, None)
    return found if isinstance(found, Reconciler) else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step; made by `Step`'s methods.

    Args:
        delay: seconds until the next look; None waits for a change (or, when failed, backs off).
        phase: None keeps the phase. status: the fields that change.
    """

    result: Literal["ready", "again", "failed", "gone"]
    delay: float | None = None
    phase: str | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


class Step(Generic[R]):
    """One look at one resource.

    Attributes:
        resource: as it is now; `deleting` asks for cleanup and `gone()`.
        runner: the host that this worker runs on.
        attempts: failures in a row before this step.
        request_id: of this step, on its log lines and what it writes.
    """

    def __init__(self, db: Database, kind: Kind, resource: R, item: Item, runner: str, actor: Actor) -> None:
        self.resource: R = resource
        self.runner = runner
        self.attempts = item.attempts
        self.request_id = new_request_id()
        self.log = log.bind(kind=kind.name, resource=resource.full_name, request_id=self.request_id)
        self._db = db
        self._kind = kind
        self._actor = actor
        self.conditions: list[Condition] = []
        self.effects: list[Effect] = []
        self.pinned_to: str | None = None

    def now(self) -> datetime:
        """The time, UTC; tests freeze it."""
        return self._db.clock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Context]:
        """A read-only transaction as the worker, for looking at more than the resource."""
        async with self._db.transaction(self._actor, self.request_id) as ctx:
            await ctx.db.execute("set transaction read only")
            yield ctx

    async def secrets(self) -> dict[str, str]:
        """The resource's secret values by pointer, for instance `auth.password`."""
        async with self.read() as ctx:
            return await self._db.services.vault.get(ctx, self.resource.uid)

    def also(self, effect: Effect) -> None:
        """Run `effect(ctx)` in the transaction that commits this step; make no network call in it."""
        self.effects.append(effect)

    def condition(
        self, type_: str, status: bool | Literal["True", "False", "Unknown"], reason: str, message: str = ""
    ) -> None:
        """Set a condition; `reason` is a stable CamelCase word, `message` says what a user can do."""
        told = status if isinstance(status, str) else "True" if status else "False"
        self.conditions = [c for c in self.conditions if c.type != type_]
        self.conditions.append(Condition(type=type_, status=told, reason=reason, message=message))

    def pin(self, runner: str) -> None:
        """From now on this resource's work belongs to the host `runner`; until it is gone or pinned elsewhere."""
        self.pinned_to = runner

    def ready(
        self, *, phase: str = READY, reason: str = READY, message: str = "", again: float | None = None, **status: Any
    ) -> Outcome:
        """The world matches the spec. `again`: look once more after so many seconds though nothing changed."""
        self.condition(READY, True, reason, message)
        return Outcome("ready", again, self._phase(phase), status)

    def again(
        self, seconds: float, *, phase: str | None = None, reason: str | None = None, message: str = "", **status: Any
    ) -> Outcome:
        """Not there yet: look again after `seconds`. With a `reason` the condition Ready becomes False."""
        if reason is not None:
            self.condition(READY, False, reason, message)
        return Outcome("again", seconds, self._phase(phase), status)

    def failed(
        self,
        reason: str,
        message: str,
        *,
        phase: str | None = None,
        retry_in: float | None = None,
        **status: Any,
    ) -> Outcome:
        """It cannot be done as things are: Ready becomes False, the phase Failed (Deleting while deleting).

        Tried again with backoff, or after `retry_in` seconds.
        """
        self.condition(READY, False, reason, message)
        return Outcome("failed", retry_in, self._phase(phase or "Failed"), status, f"{reason}: {message}")

    def gone(self) -> Outcome:
        """Cleaned up: the row and its secrets go."""
        return Outcome("gone")

    def _phase(self, phase: str | None) -> str | None:
        if self.resource.deleting and phase in (None, READY, "Failed"):
            phase = "Deleting"
        if phase is None or phase in self._kind.phases:
            return phase
        if phase in ("Failed", "Deleting"):
            return None
        raise ValueError(f"{phase!r} is not a phase of {self._kind.name}: {', '.join(self._kind.phases)}")


def merged_status(
    status: Mapping[str, Any], conditions: Sequence[Condition], *, phase: str | None, generation: int, now: datetime
) -> dict[str, Any]:
    """`status` (JSON) brought up to date. A condition that keeps its status keeps its transition time."""
    merged = {**status, "observed_generation": generation}
    if phase is not None:
        merged["phase"] = phase
    told = {c["type"]: c for c in status["conditions"]}
    for condition in conditions:
        before = told.get(condition.type)
        kept = before is not None and before["status"] == condition.status
        since = before["last_transition_time"] if kept and before else _json_time(now)
        told[condition.type] = {**condition.model_dump(mode="json"), "last_transition_time": since}
    merged["conditions"] = list(told.values())
    return merged


def _json_time(moment: datetime) -> str:
    """As Pydantic writes it, so that reading and writing again changes nothing."""
    dumped: dict[str, Any] = Condition(type="", status="True", last_transition_time=moment).model_dump(mode="json")
    return str(dumped["last_transition_time"])
