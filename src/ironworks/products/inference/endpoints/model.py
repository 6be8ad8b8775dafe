"""Endpoints: a model served by an engine on a cluster, and the rules by which its replicas come and go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from ironworks.products.inference import clusters, models
from ironworks.shared.kind import TENANT, Kind, Ref, Resource, Spec, Status

MAX_REPLICAS: Final = 64
_REFERENCE: Final = Field(min_length=1, max_length=600)

ReplicaState: TypeAlias = Literal["starting", "ready", "unresponsive", "draining", "crashed", "stopping"]
SERVING: Final[tuple[ReplicaState, ...]] = ("ready", "unresponsive")
"""One that is slow to answer a health check still serves; if it stays so, its cluster restarts it."""


class ModelChoice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    registry: Annotated[str, Ref("ModelRegistry"), _REFERENCE] = "-/builtin"
    name: str = Field(min_length=1, max_length=128, description="The model's name in the registry.")
    version: str | None = Field(None, max_length=64, description="Needed where the name alone fits several.")
    file: str | None = Field(None, max_length=512, description="Needed where name and version fit several.")
    task: models.Task | None = Field(None, description="What it is for; the registry's word when left out.")


class EngineChoice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    engine: Annotated[str, Ref("Engine"), _REFERENCE] = "-/llama-cpp"
    version: str | None = Field(None, max_length=64, description="The highest when left out.")


class ResourceWishes(BaseModel):
    """What one replica asks for, as Kubernetes quantities; counted against the cluster."""

    model_config = ConfigDict(extra="forbid")
    cpu: str | None = Field(
        None, max_length=32, description="Cores, for instance 1 or 500m.", json_schema_extra={"format": "quantity-cpu"}
    )
    memory: str | None = Field(
        None, max_length=32, description="Memory, for instance 512Mi.", json_schema_extra={"format": "quantity-memory"}
    )

    @field_validator("cpu", "memory")
    @classmethod
    def _is_quantity(cls, value: str | None) -> str | None:
        if value is not None and clusters.parse_quantity(value) <= 0:
            raise ValueError("must be more than nothing")
        return value


class Replicas(BaseModel):
    model_config = ConfigDict(extra="forbid")
    num: int = Field(1, ge=0, le=MAX_REPLICAS, description="How many; 0 pauses the endpoint.")
    scale_to_zero_after_seconds: int | None = Field(
        None,
        ge=10,
        le=2_592_000,
        description="Without a request for so long, none until the next one; left out: never.",
    )


class DeploymentOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    start_timeout_seconds: int = Field(
        300, ge=5, le=3600, description="A replica that is not ready after so long is restarted."
    )
    drain_seconds: int = Field(60, ge=0, le=600, description="How long running requests get before a replica ends.")


class Variables(BaseModel):
    model_config = ConfigDict(extra="forbid")
    engine_args: dict[str, JsonValue] = Field(
        default_factory=dict, max_length=100, description="As the engine version's values_schema allows."
    )


class EndpointSpec(Spec):
    cluster: Annotated[str, Ref("Cluster"), _REFERENCE] = "-/local"
    model: ModelChoice
    engine: EngineChoice = Field(default_factory=EngineChoice)
    resources: ResourceWishes = Field(default_factory=ResourceWishes)
    replicas: Replicas = Field(default_factory=Replicas)
    deployment_options: DeploymentOptions = Field(default_factory=DeploymentOptions)
    variables: Variables = Field(default_factory=Variables)
    env: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=32, description="Environment variables, of those that the engine knows."
    )


class ReplicaView(BaseModel):
    """One replica. `draining_since`: it gets no new requests from then on, and is stopped."""

    model_config = ConfigDict(extra="forbid")
    name: str
    address: str
    state: ReplicaState
    revision: str
    restarts: int = 0
    draining_since: datetime | None = None


class ServedModel(BaseModel):
    """What the names in the spec came to mean."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    name: str
    version: str
    task: models.Task
    engine_version: str


class EndpointStatus(Status):
    service_url: str | None = None
    ready_replicas: int = 0
    desired_replicas: int = 0
    revision: str = ""
    idle_since: datetime | None = None
    model: ServedModel | None = None
    replicas: list[ReplicaView] = Field(default_factory=list)


ENDPOINT = Kind(
    "Endpoint",
    plural="endpoints",
    short="ep",
    schema="inference_endpoints",
    levels=(TENANT,),
    spec=EndpointSpec,
    status=EndpointStatus,
    immutable=("cluster",),
    columns=("spec.model.name", "status.ready_replicas", "status.desired_replicas", "spec.cluster"),
    phases=("Pending", "Deploying", "ModelDownloading", "Running", "Idle", "Failed", "Paused", "Deleting"),
    description="A model that a tenant calls through the gateway.",
)
Endpoint: TypeAlias = Resource[EndpointSpec, EndpointStatus]


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """The base address at which clients reach the gateway, for instance `http://127.0.0.1:7080`."""

    url: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where the gateway sends requests for an endpoint.

    `model` is the model's name to send upstream, `replicas` the (host, port) pairs that serve now, `bearer` the key
    that they demand, `created_at` when the endpoint was declared, `resource_version` grows with every change. `wakes`:
    it is scaled to zero without requests, and `wake_endpoint` starts it.
    """

    endpoint: UUID
    path: str
    name: str
    task: models.Task
    model: str
    replicas: tuple[tuple[str, int], ...]
    bearer: str = field(repr=False)
    created_at: datetime
    generation: int
    resource_version: int
    wakes: bool = False


def split_reference(reference: str, scope: str) -> tuple[str, str]:
    """(path, name) of a reference made at `scope`: `name`, or `path/name` with `-` for the operator's."""
    path, slash, name = reference.rpartition("/")
    if not slash:
        return scope, reference
    return ("" if path == "-" else path), name


def revision_of(source: models.ModelSource, engine: Mapping[str, Any], spec: EndpointSpec) -> str:
    """A hash of all that makes a replica what it is: replicas of another revision are replaced."""
    facts = {
        "model": source.key,
        "alias": spec.model.name,
        "task": spec.model.task or source.task,
        "engine": dict(engine),
        "args": spec.variables.engine_args,
        "env": spec.env,
        "resources": spec.resources.model_dump(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do next: ordinals of the wanted revision to have running, names of replicas to take out of service.

    A crashed replica is among `start`, in case its cluster must do more than wait.
    """

    start: tuple[int, ...] = ()
    retire: tuple[str, ...] = ()

    def additional(self, replicas: Sequence[clusters.Replica], revision: str) -> int:
        """How many of `start` are not there in any state."""
        there = {r.ordinal for r in replicas if r.revision == revision}
        return len(set(self.start) - there)


def plan_moves(replicas: Sequence[clusters.Replica], revision: str, wanted: int) -> Moves:
    """One step from the replicas there are to `wanted` ones of `revision`.

    While older ones serve, new ones start one at a time with never more than one too many there, and an old one goes
    only when enough others serve. What serves nobody goes at once.
    """
    present = [r for r in replicas if r.phase != "stopping"]
    current = [r for r in present if r.revision == revision and r.ordinal < wanted]
    surplus = [r for r in present if r not in current]
    serving_surplus = [r for r in surplus if r.phase in SERVING]
    taken = {(r.revision, r.ordinal) for r in replicas}
    missing = [n for n in range(wanted) if (revision, n) not in taken]
    settled = all(r.phase in SERVING for r in current)
    if any(r.revision != revision for r in serving_surplus):
        room = len(replicas) <= wanted  # one that is finishing its requests still takes its memory
        missing = missing[:1] if settled and room else []
    serving = sum(r.phase in SERVING for r in current) + len(serving_surplus)
    spare = max(0, serving - wanted)
    leaving = sorted(serving_surplus, key=lambda r: (r.ordinal, r.name), reverse=True)[:spare]
    idle = [r for r in surplus if r.phase not in SERVING]
    crashed = [r.ordinal for r in current if r.phase == "crashed"]
    return Moves((*missing, *crashed), tuple(r.name for r in [*idle, *leaving]))


def view_replicas(
    replicas: Sequence[clusters.Replica], retiring: Collection[str], before: EndpointStatus, now: datetime
) -> list[ReplicaView]:
    """What the status says of replicas. One that retires keeps the time at which it began to."""
    since = {view.name: view.draining_since for view in before.replicas}
    views = []
    for replica in replicas:
        drains = replica.name in retiring and replica.phase in SERVING
        views.append(
            ReplicaView(
                name=replica.name,
                address=replica.address,
                state="draining" if drains else replica.phase,
                revision=replica.revision,
                restarts=replica.restarts,
                draining_since=(since.get(replica.name) or now) if drains else None,
            )
        )
    return views
