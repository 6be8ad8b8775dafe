"""The runtime behind `shared.reconcile`: what turns queue items into steps and outcomes into one fenced write each.

A batch of claimed items costs one query to load; a step that only reports status costs one more round trip, whatever
it says. `app.wiring` makes the one `ReconcileRuntime` of a worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from ironworks.shared import telemetry
from ironworks.shared.changelog import LoggedChange
from ironworks.shared.consumers import Consumer
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database, DatabaseUnavailable, new_request_id
from ironworks.shared.errors import IronworksError
from ironworks.shared.kind import Condition
from ironworks.shared.notify import CHANGED, Notifier
from ironworks.shared.queue import CHANNEL, LEASE, POLL, TAKEN_OVER, Item, Job, QueueRunner, backoff, enqueue, injected
from ironworks.shared.reconcile import READY, RECONCILE_ERROR, Outcome, Reconciler, Step, Watch, merged_status
from ironworks.shared.rendering import rendered
from ironworks.shared.schedules import Schedule, ScheduleLane

log = telemetry.logger(__name__)

STEPS = telemetry.counter("ironworks_reconcile_steps_total", "Steps of controllers.", ("kind", "result"))
TOOK = telemetry.histogram("ironworks_reconcile_seconds", "Length of steps, reading and writing included.", ("kind",))


_PASSING = (
    DatabaseUnavailable,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InsufficientResourcesError,
)
"""Our own database's troubles: no fault of the resource, so the step is taken again and its status says nothing."""


class _TakenOver(Exception):
    """Another worker has the item; nothing of this step was written."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A resource as loaded for a batch: its JSON text and its stored status."""

    document: str
    status: dict[str, Any]


class KindLane:
    """Runs one kind's controller. Raises LookupError when a parameter of it is not wired."""

    def __init__(
        self,
        db: Database,
        reconciler: Reconciler,
        available: Mapping[type, object],
        *,
        runner: str = "",
        notifier: Notifier | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._reconciler = reconciler
        self._kind = reconciler.kind
        self._arguments = injected(reconciler.act, {Database: db, **available}, given=1)
        self._runner = runner
        self._notifier = notifier
        self._wake = wake
        self._actor = system_actor(f"controller/{reconciler.kind.resource}")
        self._load = f"select t.uid, {rendered(self._kind)}, t.status from {self._kind.table} t where t.uid = any($1)"

    @property
    def kind(self) -> str:
        return self._kind.name

    @property
    def concurrency(self) -> int:
        return self._reconciler.concurrency

    async def take(self, items: Sequence[Item]) -> Sequence[Job]:
        """Load the resources of a whole batch in one query, after the claim, so that nothing newer is missed."""
        rows = await self._db.fetch(self._load, [item.uid for item in items])
        loaded = {row[0]: _Row(row[1], json.loads(row[2])) for row in rows}
        return [partial(self._step, item, loaded.get(item.uid)) for item in items]

    async def _step(self, item: Item, row: _Row | None) -> float | None:
        with TOOK.labels(self.kind).time():
            try:
                return await self._act_and_commit(item, row)
            except _TakenOver:
                STEPS.labels(self.kind, "taken_over").inc()
                log.warning("a step's item was taken over; nothing was written", kind=self.kind, uid=item.uid)
                return None

    async def _act_and_commit(self, item: Item, row: _Row | None) -> float | None:
        if row is None:  # deleted by force, or long gone
            return await self._write(item, Outcome("gone"), None, new_request_id())
        try:
            resource = self._kind.parse(row.document)
        except ValueError as problem:  # stored before a field was removed, or by hand
            return await self._refuse_row(item, row, problem)
        step = Step(self._db, self._kind, resource, item, self._runner, self._actor)
        outcome = await self._act(step)
        try:
            status = self._new_status(step, row, outcome)
        except Exception:
            step.log.exception("a controller's status does not fit its kind")
            outcome = self._error(step, "its status could not be recorded; an operator finds the cause in the log")
            status = self._new_status(step, row, outcome)
        try:
            return await self._commit(item, step, outcome, status)
        except (_TakenOver, *_PASSING):
            raise
        except Exception as problem:
            outcome = self._commit_refused(step, problem)
            return await self._commit(item, step, outcome, self._new_status(step, row, outcome))

    async def _act(self, step: Step[Any]) -> Outcome:
        try:
            async with asyncio.timeout(self._reconciler.timeout) as limit:
                return await self._reconciler.act(step, **self._arguments)
        except _PASSING:
            raise
        except IronworksError as problem:
            step.log.warning("a step failed", code=problem.code, problem=problem.message)
            return self._error(step, telemetry.redact_text(problem.message))
        except Exception as problem:
            step.log.exception("a controller raised")
            if limit.expired():
                return self._error(step, f"it took longer than {self._reconciler.timeout:g} seconds")
            return self._error(step, _internal(problem))

    @staticmethod
    def _error(step: Step[Any], message: str) -> Outcome:
        """What the step had collected is dropped."""
        step.effects.clear()
        step.conditions.clear()
        step.pinned_to = None
        return step.failed(RECONCILE_ERROR, message)

    async def _refuse_row(self, item: Item, row: _Row, problem: ValueError) -> float | None:
        log.error("a stored resource does not fit its kind", kind=self.kind, uid=item.uid, problem=str(problem))
        told = Condition(
            type=READY, status="False", reason="DoesNotFitKind", message="the stored spec is not valid; apply it again"
        )
        status = merged_status(
            {"conditions": [], **row.status},
            [told],
            phase="Failed" if "Failed" in self._kind.phases else None,
            generation=row.status.get("observed_generation", 0),
            now=self._db.clock(),
        )
        outcome = Outcome("failed", error=told.reason)
        return await self._write(item, outcome, status if status != row.status else None, new_request_id())

    def _new_status(self, step: Step[Any], row: _Row, outcome: Outcome) -> dict[str, Any] | None:
        """The status to write, or None when nothing changed."""
        if outcome.result == "gone":
            return None
        resource = step.resource
        before = resource.status.model_dump(mode="json")
        status = merged_status(
            type(resource.status).model_validate({**before, **outcome.status}).model_dump(mode="json"),
            step.conditions,
            phase=outcome.phase,
            generation=resource.metadata.generation,
            now=step.now(),
        )
        return status if status != row.status else None

    async def _commit(
        self, item: Item, step: Step[Any], outcome: Outcome, status: dict[str, Any] | None
    ) -> float | None:
        cleanup = outcome.result == "gone" and bool(self._kind.secrets)
        if not step.effects and not cleanup:
            return await self._write(item, outcome, status, step.request_id, step.pinned_to)
        async with self._db.transaction(self._actor, step.request_id) as ctx:
            for effect in step.effects:
                await effect(ctx)
            if cleanup:
                await self._db.services.vault.remove(ctx, item.uid)
            again = await self._write(item, outcome, status, step.request_id, step.pinned_to, db=ctx.db)
        self._committed(queue=True)
        return again

    def _commit_refused(self, step: Step[Any], problem: Exception) -> Outcome:
        """The database, or a use case that ran in the commit, said no: what to say instead."""
        if isinstance(problem, asyncpg.ForeignKeyViolationError | asyncpg.RestrictViolationError):
            step.log.info("a step's commit waits for referrers to go")
            return self._error(step, "another resource that is still being deleted refers to it")
        step.log.exception("a step's commit was refused")
        if isinstance(problem, IronworksError):
            return self._error(step, telemetry.redact_text(problem.message))
        return self._error(step, _internal(problem))

    async def _write(
        self,
        item: Item,
        outcome: Outcome,
        status: dict[str, Any] | None,
        request_id: str,
        pin: str | None = None,
        db: Any = None,
    ) -> float | None:
        """The fenced write, one round trip; returns the seconds until the next look. Raises _TakenOver."""
        failed = outcome.result == "failed"
        delay = outcome.delay
        if failed and delay is None:
            delay = backoff(item.attempts + 1)
        if pin is not None and pin != self._runner:
            delay = 0.0
        try:
            await (db or self._db).fetch(
                "select shared.finish_step($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                self._kind.table, item.kind, item.uid, item.token, item.wanted,
                None if status is None else json.dumps(status), outcome.result == "gone",
                None if delay is None else timedelta(seconds=delay), failed, outcome.error, pin, request_id,
            )  # fmt: skip
        except asyncpg.PostgresError as problem:
            if problem.sqlstate == TAKEN_OVER:
                raise _TakenOver from None
            raise
        STEPS.labels(self.kind, outcome.result).inc()
        if db is None and (status is not None or outcome.result == "gone"):
            self._committed(queue=pin is not None)
        return delay

    def _committed(self, *, queue: bool) -> None:
        """Tell who waits for changes, and, where a step may have enqueued something, who waits for work."""
        if self._notifier is not None:
            self._notifier.poke(CHANGED)
            if queue:
                self._notifier.poke(CHANNEL)
        if queue:
            self._wake()


def _internal(problem: Exception) -> str:
    """What may be shown of a bug: its text may hold anything."""
    return f"an internal error ({type(problem).__name__}); an operator finds it in the log"


class ReconcileRuntime:
    """The worker's engine: runs controllers, their resyncs, and schedules.

    Args:
        db: logged in as the worker.
        injected: what controllers and schedules ask for, by type.
        runner: the host's name, for pinned work.
        url: of the same login, to listen for wake-ups; None polls only.
        notifier: sends wake-ups for what steps commit.
    """

    def __init__(
        self,
        db: Database,
        reconcilers: Sequence[Reconciler],
        injected: Mapping[type, object],
        *,
        schedules: Sequence[Schedule] = (),
        runner: str = "",
        url: str | None = None,
        notifier: Notifier | None = None,
        poll: float = POLL,
        lease: float = LEASE,
    ) -> None:
        resyncs = [_resync(db, reconciler) for reconciler in reconcilers]
        self._schedules = [ScheduleLane(db, schedule, injected) for schedule in (*schedules, *resyncs)]
        kinds = [
            KindLane(db, reconciler, injected, runner=runner, notifier=notifier, wake=self.wake)
            for reconciler in reconcilers
        ]
        self.queue = QueueRunner(db, [*kinds, *self._schedules], runner=runner, url=url, poll=poll, lease=lease)

    def wake(self) -> None:
        """Look at the queue now."""
        self.queue.wake()

    def stop(self) -> None:
        """Let `run` end when the steps under way have."""
        self.queue.stop()

    async def plan(self) -> None:
        """Queue the schedules that are not queued yet."""
        for lane in self._schedules:
            await lane.plan()

    async def run(self) -> None:
        """Work until `stop`."""
        await self.plan()
        await self.queue.run()

    async def run_until_idle(self, within: float = 30.0) -> None:
        """Work until nothing is due; for tests. Schedules run only if they were planned."""
        await self.queue.run_until_idle(within)


def _resync(db: Database, reconciler: Reconciler) -> Schedule:
    """Every resource of a kind is enqueued once in `resync` seconds, spread over half of them."""
    kind = reconciler.kind

    async def enqueue_all() -> None:
        spread = timedelta(seconds=reconciler.resync / 2)
        await db.fetch("select shared.enqueue_all($1, $2, $3)", kind.table, kind.name, spread)

    return Schedule(f"resync.{kind.name}", reconciler.resync, enqueue_all)


def watch_consumers(reconcilers: Sequence[Reconciler]) -> list[Consumer]:
    """One consumer of the change log for each kind that a reconciler watches; they enqueue what a change concerns."""
    return [
        Consumer(
            f"reconcile.{reconciler.kind.name}.watch.{watched.name}",
            partial(_enqueue_concerned, reconciler.kind.name, concerned),
            kinds=(watched.name,),
            start="now",
        )
        for reconciler in reconcilers
        for watched, concerned in reconciler.watches.items()
    ]


async def _enqueue_concerned(kind: str, concerned: Watch, ctx: Context, change: LoggedChange) -> None:
    for uid in await concerned(ctx, change.uid):
        await enqueue(ctx, kind, uid)
