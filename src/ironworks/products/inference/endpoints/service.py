"""Use cases around endpoints: refuse what could never run, tell the gateway where to go, read logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final
from uuid import UUID

from ironworks.products.inference import clusters, engines, models
from ironworks.products.inference.endpoints import store
from ironworks.products.inference.endpoints.model import (
    ENDPOINT,
    SERVING,
    Endpoint,
    Target,
    split_reference,
)
from ironworks.shared.context import Context
from ironworks.shared.documents import too_many
from ironworks.shared.errors import field_problem
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.lookup import load
from ironworks.shared.resources import Change, admits

ENGINE_KEY: Final = "engine_key"
"""Under which the vault keeps the key that an endpoint's replicas demand."""


@admits(ENDPOINT)
async def admit_endpoint(ctx: Context, change: Change[Endpoint]) -> None:
    """Refuse an engine version, argument, variable or model that does not exist. Raises Invalid with every problem."""
    endpoint = change.new
    if endpoint is None:
        if change.force:  # no controller will come to do it
            await ctx.services.vault.remove(ctx, change.subject.uid)
        return
    engine = await load_referred(ctx, engines.ENGINE, endpoint, endpoint.spec.engine.engine)
    problems = engine_problems(endpoint, engine)
    registry = await load_referred(ctx, models.MODEL_REGISTRY, endpoint, endpoint.spec.model.registry)
    if registry.spec.type == "package":  # a folder is looked at by the controller, not while a transaction is open
        problems += _model_problems(endpoint, registry)
    if problems:
        raise too_many(problems)


async def load_referred(ctx: Context, kind: Kind, endpoint: Endpoint, reference: str) -> Resource[Any, Any]:
    """The resource that a field of `endpoint` names. Raises NotFound."""
    return await load(ctx, kind, *split_reference(reference, endpoint.path))


def engine_problems(endpoint: Endpoint, engine: engines.Engine) -> list[dict[str, str]]:
    """Every reason why this engine cannot run the endpoint as it is."""
    spec = endpoint.spec
    try:
        version = engines.choose_version(engine, spec.engine.version)
    except engines.EngineVersionNotFound as problem:
        return [field_problem("spec.engine.version", problem.message, "name one of those")]
    problems = version.values_schema.problems(spec.variables.engine_args, "spec.variables.engine_args")
    problems += _environment_problems(spec.env, version)
    if spec.model.task is not None and spec.model.task not in version.supported_tasks:
        problems.append(_unsupported("spec.model.task", spec.model.task, version))
    return problems


def _environment_problems(env: Mapping[str, str], version: engines.EngineVersion) -> list[dict[str, str]]:
    known = ", ".join(sorted(version.known_environment))
    found = [
        field_problem(f"spec.env.{name[:64]}", "is no variable that this engine knows", f"use: {known}")
        for name in env
        if name not in version.known_environment
    ]
    return found + [
        field_problem(f"spec.env.{name[:64]}", "holds a NUL character", "remove it")
        for name, value in env.items()
        if "\0" in value
    ]


def _model_problems(endpoint: Endpoint, registry: models.ModelRegistry) -> list[dict[str, str]]:
    wanted = endpoint.spec.model
    try:
        models.find_model(registry, wanted.name, wanted.version, wanted.file)
    except models.ModelNotFound as problem:
        return [field_problem("spec.model", problem.message, "name a model of the registry")]
    return []


def _unsupported(field: str, task: str, version: engines.EngineVersion) -> dict[str, str]:
    return field_problem(
        field, f"engine version {version.version} cannot do {task}", f"it can do: {', '.join(version.supported_tasks)}"
    )


async def list_targets(
    ctx: Context, only: Collection[UUID] | None = None, unreadable: list[str] | None = None
) -> list[Target]:
    """Where to send requests for every endpoint, or for those among `only`; one that is being deleted is left out.

    An endpoint that serves nobody yet is a target without replicas; so is one whose replicas' key does not open, for it
    must not keep the others from being found. One that cannot be read is left out, its name put to `unreadable`. For
    the gateway's role.
    """
    skipped = unreadable if unreadable is not None else []
    found = await store.live_endpoints(ctx, only, skipped)
    kept = await ctx.services.vault.get_many(ctx, [endpoint.uid for endpoint in found])
    return [_target(endpoint, kept.get(endpoint.uid)) for endpoint in found]


def task_of(endpoint: Endpoint) -> models.Task:
    """What its model is for: what that came to be, or what is declared."""
    served = endpoint.status.model
    return served.task if served else endpoint.spec.model.task or "text-generation"


def _target(endpoint: Endpoint, secrets: Mapping[str, str] | None) -> Target:
    """`secrets` hold the key that the endpoint's replicas demand, once there is one; None: it does not open."""
    bearer = secrets.get(ENGINE_KEY, "") if secrets is not None else None
    serving = [view for view in endpoint.status.replicas if view.state in SERVING and bearer is not None]
    addresses = [view.address.rpartition(":") for view in serving]
    return Target(
        endpoint=endpoint.uid,
        path=endpoint.path,
        name=endpoint.name,
        task=task_of(endpoint),
        model=endpoint.spec.model.name,
        replicas=tuple((host, int(port)) for host, _, port in addresses),
        bearer=bearer or "",
        created_at=endpoint.metadata.creation_timestamp,
        generation=endpoint.metadata.generation,
        resource_version=endpoint.metadata.resource_version,
        wakes=_wakes(endpoint),
    )


def _wakes(endpoint: Endpoint) -> bool:
    """Whether it is worth waiting for; one that cannot be started as things are is not."""
    replicas = endpoint.spec.replicas
    return replicas.scale_to_zero_after_seconds is not None and replicas.num > 0 and endpoint.status.phase != "Failed"


async def note_use(ctx: Context, uids: Collection[UUID]) -> None:
    """Those endpoints serve somebody now; those that never sleep are passed over. For the gateway's role."""
    await store.note_use(ctx, uids, ctx.now())


async def wake_endpoint(ctx: Context, uid: UUID) -> bool:
    """Have an endpoint started that is scaled to zero. For the gateway's role.

    Any number of gateways may ask at once and again: all but one in a second change nothing. Returns whether this one
    did; then wake the queue's workers once it is committed.
    """
    return await store.wake(ctx, uid, ctx.now())


async def find_for_logs(ctx: Context, path: str, name: str) -> tuple[Endpoint, clusters.Cluster]:
    """An endpoint and the cluster that has its logs. Raises NotFound."""
    endpoint = await load(ctx, ENDPOINT, path, name)
    cluster = await load_referred(ctx, clusters.CLUSTER, endpoint, endpoint.spec.cluster)
    return endpoint, cluster


async def open_logs(
    drivers: clusters.Drivers,
    endpoint: Endpoint,
    cluster: clusters.Cluster,
    replica: str | None,
    *,
    follow: bool,
    tail: int | None,
) -> AsyncIterator[bytes]:
    """The lines of a replica's log, or of all. Raises ReplicaNotFound, ClusterUnavailable."""
    driver = drivers.of(cluster)
    if replica is not None:
        replica = _full_name(await driver.list_replicas(endpoint.uid), replica)
    return await driver.open_log(endpoint.uid, replica, follow=follow, tail=tail)


def _full_name(replicas: list[clusters.Replica], wanted: str) -> str:
    """The replica whose name or short name is `wanted`. Raises ReplicaNotFound."""
    for replica in replicas:
        if wanted in (replica.name, replica.short_name):
            return replica.name
    known = ", ".join(replica.short_name for replica in replicas) or "none"
    raise clusters.ReplicaNotFound(f"there is no replica {wanted[:80]!r}; there is {known}", replica=wanted[:80])
