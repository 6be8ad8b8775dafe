"""Moves an endpoint's replicas towards its spec, one step at a time.

Every step looks at the cluster first and decides from what it sees, so it does not matter where the last one was cut
off: replicas have names that follow from what they run, and whoever wants one twice gets one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ironworks.products.inference import clusters, engines, models
from ironworks.products.inference.endpoints import service, store
from ironworks.products.inference.endpoints.idling import Activity, sleeps_since
from ironworks.products.inference.endpoints.model import (
    ENDPOINT,
    SERVING,
    Endpoint,
    EndpointStatus,
    GatewayAddress,
    Moves,
    ReplicaView,
    ServedModel,
    plan_moves,
    revision_of,
    view_replicas,
)
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.kind import Kind
from ironworks.shared.lookup import find
from ironworks.shared.reconcile import Outcome, Step, reconciles
from ironworks.shared.schedules import schedules

MOVING: Final = 0.5
"""Seconds between looks while something is under way."""
SETTLED: Final = 5.0
"""Seconds between looks at replicas that serve: how late a crash can show in the status."""
UNREACHABLE: Final = 3.0
NOTICE: Final = timedelta(seconds=1.5)
"""How long the gateway gets to hear that a replica takes no new requests; its feed is heard within a second."""
GIVEN_UP: Final = 3
"""After so many restarts in a row a replica that never served counts as failed, though it is tried further."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an endpoint refers to, the key of its replicas (empty: none made yet), and how it is used."""

    cluster: clusters.Cluster
    engine: engines.Engine
    registry: models.ModelRegistry
    key: str
    activity: Activity


@dataclass(frozen=True, slots=True)
class Goal:
    """What the spec means, down to the exact bytes: replicas of one revision are alike."""

    source: models.ModelSource
    engine: engines.EngineVersion
    task: models.Task
    revision: str


class Unreachable(Exception):
    """The spec cannot be reached as things are; `reason` is a condition's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def _depending(field: str, ctx: Context, uid: UUID) -> Iterable[UUID]:
    return [endpoint.uid for endpoint in await find(ctx, ENDPOINT, where={f"ref:{field}": uid})]


async def _on_registry(ctx: Context, uid: UUID) -> Iterable[UUID]:
    return await _depending("model.registry", ctx, uid)


async def _on_engine(ctx: Context, uid: UUID) -> Iterable[UUID]:
    return await _depending("engine.engine", ctx, uid)


WATCHES: Final[dict[Kind, Any]] = {models.MODEL_REGISTRY: _on_registry, engines.ENGINE: _on_engine}


@reconciles(ENDPOINT, concurrency=8, timeout=60.0, watches=WATCHES)
async def reconcile_endpoint(step: Step[Endpoint], drivers: clusters.Drivers, gateway: GatewayAddress) -> Outcome:
    """One look, one move."""
    around = await _look_around(step)
    try:
        driver = drivers.of(around.cluster)
        replicas = await driver.list_replicas(step.resource.uid)
        if step.resource.deleting:
            return await _take_down(step, driver, replicas)
        if not around.key:
            return _make_key(step)
        return await _approach(step, driver, around, replicas, gateway)
    except clusters.ClusterUnavailable as problem:
        return step.again(UNREACHABLE, reason="ClusterNotReady", message=problem.message)


async def _look_around(step: Step[Endpoint]) -> Surroundings:
    endpoint, spec = step.resource, step.resource.spec
    async with step.read() as ctx:
        cluster = await service.load_referred(ctx, clusters.CLUSTER, endpoint, spec.cluster)
        engine = await service.load_referred(ctx, engines.ENGINE, endpoint, spec.engine.engine)
        registry = await service.load_referred(ctx, models.MODEL_REGISTRY, endpoint, spec.model.registry)
        activity = await store.fetch_activity(ctx, endpoint.uid)
    kept = await step.secrets()
    return Surroundings(cluster, engine, registry, kept.get(service.ENGINE_KEY, ""), activity)


def _make_key(step: Step[Endpoint]) -> Outcome:
    """The key is committed before any replica has it: one that was lost would lock the gateway out."""
    endpoint = step.resource
    values = {service.ENGINE_KEY: secrets.token_urlsafe(32)}

    async def keep(ctx: Context) -> None:
        await ctx.services.vault.put(ctx, endpoint.path, endpoint.uid, values)

    step.also(keep)
    return step.again(0, phase="Pending", reason="Deploying", message="preparing")


async def _take_down(step: Step[Endpoint], driver: clusters.ClusterDriver, replicas: list[clusters.Replica]) -> Outcome:
    uid = step.resource.uid
    if not replicas:

        async def forget(ctx: Context) -> None:
            await ctx.services.vault.remove(ctx, uid)

        step.also(forget)
        return step.gone()
    await asyncio.gather(*(driver.stop_replica(each.name) for each in replicas if each.phase != "stopping"))
    names = {each.name for each in replicas}
    return step.again(
        MOVING,
        reason="Deleting",
        message=f"{len(replicas)} replicas are finishing their requests",
        ready_replicas=0,
        replicas=_dump(view_replicas(replicas, names, step.resource.status, step.now())),
    )


async def _approach(
    step: Step[Endpoint],
    driver: clusters.ClusterDriver,
    around: Surroundings,
    replicas: list[clusters.Replica],
    gateway: GatewayAddress,
) -> Outcome:
    """Work out what is wanted, make one move, tell what is there now. Old replicas serve on whatever goes wrong."""
    endpoint = step.resource
    if endpoint.spec.replicas.num == 0:
        return await _pause(step, driver, replicas)
    if (since := sleeps_since(endpoint, around.activity, step.now())) is not None:
        return await _sleep(step, driver, replicas, since, around.activity)
    seen = _seen(step, replicas, Moves())
    try:
        goal = await asyncio.to_thread(_set_goal, endpoint, around)
        placement = await driver.place_model(goal.source)
        if isinstance(placement, models.Placing):
            step.condition("ModelPlaced", False, "ModelDownloading", placement.message)
            return step.again(
                1.0, phase="ModelDownloading", reason="ModelDownloading", message=placement.message, **seen
            )
        if isinstance(placement, models.Unplaceable):
            raise Unreachable(placement.reason, placement.message)
        step.condition("ModelPlaced", True, "ModelPlaced")
        moves = plan_moves(replicas, goal.revision, endpoint.spec.replicas.num)
        await _refuse_without_room(driver, endpoint, moves.additional(replicas, goal.revision))
    except Unreachable as problem:
        if problem.reason not in ("InsufficientResources", "ClusterNotReady"):
            step.condition("ModelPlaced", "Unknown", problem.reason)
        return step.failed(problem.reason, str(problem), **seen)
    for ordinal in moves.start:
        await driver.start_replica(_plan(endpoint, goal, around.key, placement, ordinal))
    seen = _seen(step, replicas, moves) | {"service_url": f"{gateway.url}/v1", "model": _served(goal, endpoint)}
    await _stop_retired(step, driver, seen["replicas"], moves)
    return _tell(step, goal, replicas, seen)


def _set_goal(endpoint: Endpoint, around: Surroundings) -> Goal:
    """Reads the disk where the registry is a folder. Raises Unreachable."""
    wanted = endpoint.spec.model
    if around.cluster.deleting:
        raise Unreachable("ClusterNotReady", f"cluster {around.cluster.full_name} is being deleted")
    if problems := service.engine_problems(endpoint, around.engine):
        text = "; ".join(f"{each['field']} {each['problem']}" for each in problems[:3])
        raise Unreachable("EngineArgsInvalid", text)
    version = engines.choose_version(around.engine, endpoint.spec.engine.version)
    try:
        source = models.find_model(around.registry, wanted.name, wanted.version, wanted.file)
    except models.ModelNotFound as problem:
        raise Unreachable("ModelNotFound", problem.message) from problem
    except models.RegistryUnreadable as problem:
        raise Unreachable("RegistryUnreadable", problem.message) from problem
    task = wanted.task or source.task
    if task not in version.supported_tasks:
        raise Unreachable("TaskUnsupported", f"engine version {version.version} cannot do {task}")
    facts = {"name": around.engine.full_name, "version": version.version, "runtime": version.runtime}
    return Goal(source, version, task, revision_of(source, facts, endpoint.spec))


async def _refuse_without_room(driver: clusters.ClusterDriver, endpoint: Endpoint, starting: int) -> None:
    """Raises Unreachable when what a new replica asks for is not free."""
    cpu, memory = _wishes(endpoint)
    if not starting or not (cpu or memory):
        return
    free = (await driver.inspect()).info.available
    if cpu * starting > free.cpu or memory * starting > free.memory:
        raise Unreachable(
            "InsufficientResources",
            f"{starting} replicas need {cpu * starting:g} cores and {memory * starting / 2**20:.0f} MiB; "
            f"the cluster has {free.cpu:g} cores and {free.memory / 2**20:.0f} MiB free",
        )


def _wishes(endpoint: Endpoint) -> tuple[float, int]:
    """Cores and bytes that one replica asks for; 0 where it does not."""
    wishes = endpoint.spec.resources
    return clusters.parse_quantity(wishes.cpu or "0"), int(clusters.parse_quantity(wishes.memory or "0"))


def _plan(endpoint: Endpoint, goal: Goal, key: str, model: models.Placed, ordinal: int) -> clusters.ReplicaPlan:
    cpu, memory = _wishes(endpoint)
    options = endpoint.spec.deployment_options
    return clusters.ReplicaPlan(
        group=endpoint.uid,
        revision=goal.revision,
        ordinal=ordinal,
        runtime=goal.engine.runtime,
        task=goal.task,
        alias=endpoint.spec.model.name,
        model=model,
        key=key,
        args=endpoint.spec.variables.engine_args,
        env=endpoint.spec.env,
        cpu=cpu,
        memory=memory,
        start_within=options.start_timeout_seconds,
        drain=options.drain_seconds,
    )


async def _stop_retired(
    step: Step[Endpoint], driver: clusters.ClusterDriver, views: list[dict[str, Any]], moves: Moves
) -> None:
    """Stop what retires: at once where it serves nobody, else once the gateway has had time to hear of it.

    The time counts from the status that is stored already, so a step that is not committed stops nothing.
    """
    told = {view.name: view.draining_since for view in step.resource.status.replicas}
    for view in views:
        if view["name"] not in moves.retire:
            continue
        since = told.get(view["name"])
        if view["state"] != "draining" or (since is not None and step.now() - since >= NOTICE):
            await driver.stop_replica(view["name"])


async def _pause(step: Step[Endpoint], driver: clusters.ClusterDriver, replicas: list[clusters.Replica]) -> Outcome:
    moves = plan_moves(replicas, "", 0)
    seen = _seen(step, replicas, moves)
    await _stop_retired(step, driver, seen["replicas"], moves)
    if replicas:
        return step.again(MOVING, reason="Pausing", message="replicas are finishing their requests", **seen)
    return step.ready(phase="Paused", reason="Paused", message="replicas.num is 0", **seen, revision="")


async def _sleep(
    step: Step[Endpoint],
    driver: clusters.ClusterDriver,
    replicas: list[clusters.Replica],
    since: datetime,
    activity: Activity,
) -> Outcome:
    """Take every replica away until somebody asks for the endpoint again."""
    uid, moves = step.resource.uid, plan_moves(replicas, "", 0)
    seen = _seen(step, replicas, moves) | EndpointStatus(idle_since=since).model_dump(
        mode="json", include={"idle_since"}
    )

    async def note(ctx: Context) -> None:
        await store.save_sleep(ctx, uid, activity.wakes)

    if step.resource.status.idle_since is None:
        step.also(note)
    await _stop_retired(step, driver, seen["replicas"], moves)
    message = f"no request for {step.resource.spec.replicas.scale_to_zero_after_seconds} s; the next one starts it"
    return step.ready(
        phase="Idle", reason="ScaledToZero", message=message, again=MOVING if replicas else None, **seen, revision=""
    )


def _tell(step: Step[Endpoint], goal: Goal, replicas: list[clusters.Replica], seen: dict[str, Any]) -> Outcome:
    """Sum up what was seen."""
    wanted = step.resource.spec.replicas.num
    current = [r for r in replicas if r.revision == goal.revision and r.ordinal < wanted]
    serving = sum(r.phase in SERVING for r in current)
    if serving >= wanted:
        again = SETTLED if len(replicas) == len(current) else MOVING
        return step.ready(phase="Running", again=again, **seen, revision=goal.revision)
    crashed = [r for r in current if r.phase == "crashed"]
    if crashed and not any(r.phase in SERVING for r in replicas) and max(r.restarts for r in crashed) >= GIVEN_UP:
        return step.failed("ReplicaCrashed", _blame(step, crashed[0]), retry_in=SETTLED, **seen)
    reason, message = "Deploying", f"{serving} of {wanted} replicas are ready"
    if crashed:
        reason, message = "ReplicaCrashed", _blame(step, crashed[0])
    rolled_out = step.resource.status.revision == goal.revision
    phase = "Running" if rolled_out and serving else "Deploying"
    return step.again(MOVING, phase=phase, reason=reason, message=message, **seen)


def _blame(step: Step[Endpoint], replica: clusters.Replica) -> str:
    hint = f"see `ironworks logs endpoint/{step.resource.name}`"
    return f"a replica ended ({replica.message or 'no reason given'}) and is started again; {hint}"


def _seen(step: Step[Endpoint], replicas: list[clusters.Replica], moves: Moves) -> dict[str, Any]:
    """The part of the status that says what is there."""
    views = view_replicas(replicas, moves.retire, step.resource.status, step.now())
    return {
        "replicas": _dump(views),
        "ready_replicas": sum(view.state in SERVING for view in views),
        "desired_replicas": step.resource.spec.replicas.num,
        "idle_since": None,
    }


def _served(goal: Goal, endpoint: Endpoint) -> dict[str, Any]:
    return ServedModel(
        name=endpoint.spec.model.name,
        version=goal.source.version,
        task=goal.task,
        engine_version=goal.engine.version,
    ).model_dump()


def _dump(views: list[ReplicaView]) -> list[dict[str, Any]]:
    return [view.model_dump(mode="json") for view in views]


@schedules(every=30)
async def stop_orphans(db: Database, drivers: clusters.Drivers) -> None:
    """Stop replicas of endpoints that are gone, as after a deletion by force.

    Replicas are listed first: an endpoint is stored before it gets one, so what is not stored now never will be.
    """
    actor = system_actor("schedule/stop_orphans")
    async with db.transaction(actor) as ctx:
        places = await find(ctx, clusters.CLUSTER)
    for cluster in places:
        try:
            driver = drivers.of(cluster)
            groups = await driver.list_groups()
            async with db.transaction(actor) as ctx:
                orphans = groups - await store.existing(ctx, list(groups))
            for group in orphans:
                for replica in await driver.list_replicas(group):
                    await driver.stop_replica(replica.name)
        except clusters.ClusterUnavailable:
            continue
