"""Clusters: places that run replicas, and the one interface every kind of place offers.

A replica's name is made from what it runs, so whoever asks for it twice asks for the same one: a controller that dies
between starting a replica and writing that down finds it again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ironworks.products.inference import models
from ironworks.shared.errors import NotFound, Unavailable
from ironworks.shared.kind import EVERYWHERE, Kind, Resource, Spec, Status

ClusterType: TypeAlias = Literal["local"]
Runtime: TypeAlias = Literal["llamacpp"]

_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|[KMGT]i?)?")
_SCALES: Final[dict[str | None, float]] = {
    None: 1, "m": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def parse_quantity(text: str) -> float:
    """A Kubernetes quantity as a plain number: `500m` → 0.5, `2Gi` → 2147483648. Raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError("must be a quantity such as 2, 500m, 512Mi or 2Gi")
    return float(match[1]) * _SCALES[match[2]]


class LocalConfig(BaseModel):
    """How much of this machine endpoints may have; without a limit, all of it."""

    model_config = ConfigDict(extra="forbid")
    cpu: str | None = Field(
        None,
        max_length=32,
        description="Cores, as a quantity: 2 or 1500m.",
        json_schema_extra={"format": "quantity-cpu"},
    )
    memory: str | None = Field(
        None, max_length=32, description="Memory, as a quantity: 8Gi.", json_schema_extra={"format": "quantity-memory"}
    )

    @field_validator("cpu", "memory")
    @classmethod
    def _is_quantity(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quantity(value)
        return value


class ClusterConfig(BaseModel):
    """One section per cluster type; the one that `type` names applies."""

    model_config = ConfigDict(extra="forbid")
    local: LocalConfig | None = None


class ClusterSpec(Spec):
    type: ClusterType = Field(description="local: processes on the machine of the control plane.")
    config: ClusterConfig = Field(default_factory=ClusterConfig)

    @model_validator(mode="after")
    def _default_section(self) -> ClusterSpec:
        if self.config.local is None:
            self.config.local = LocalConfig()
        return self


class Resources(BaseModel):
    """Amounts of what replicas use; memory in bytes."""

    model_config = ConfigDict(extra="forbid")
    cpu: float = 0
    memory: int = 0


class ResourceInfo(BaseModel):
    """`available` is what no replica has asked for."""

    model_config = ConfigDict(extra="forbid")
    allocatable: Resources = Field(default_factory=Resources)
    available: Resources = Field(default_factory=Resources)


class NodeView(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    address: str
    state: Literal["Ready", "NotReady"]
    resources: Resources = Field(default_factory=Resources)


class ClusterStatus(Status):
    ready_nodes: int = 0
    desired_nodes: int = 0
    nodes: list[NodeView] = Field(default_factory=list)
    resource_info: ResourceInfo = Field(default_factory=ResourceInfo)


CLUSTER = Kind(
    "Cluster",
    plural="clusters",
    short="cl",
    schema="inference_clusters",
    levels=EVERYWHERE,
    spec=ClusterSpec,
    status=ClusterStatus,
    inherited=True,
    immutable=("type",),
    columns=("spec.type", "status.ready_nodes", "status.desired_nodes"),
    phases=("Pending", "Initializing", "Running", "Failed", "Deleting"),
    description="A place that runs endpoints.",
)
Cluster: TypeAlias = Resource[ClusterSpec, ClusterStatus]


class ClusterUnavailable(Unavailable):
    """The cluster does not answer."""

    code = "CLUSTER_UNAVAILABLE"


class ReplicaNotFound(NotFound):
    """No such replica runs on the cluster."""

    code = "REPLICA_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """All that a driver needs to run one replica.

    `group` is the endpoint's uid, `revision` a hash of everything that makes replicas of one endpoint alike, `alias`
    the model's name in answers, `key` the bearer key that the replica demands, `cpu` cores (0: the driver's choice),
    `memory` bytes (0: unknown), times in seconds.
    """

    group: UUID
    revision: str
    ordinal: int
    runtime: Runtime
    task: models.Task
    alias: str
    model: models.Placed
    key: str = field(repr=False)
    args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cpu: float = 0
    memory: int = 0
    start_within: float = 300
    drain: float = 60

    @property
    def name(self) -> str:
        return replica_name(self.group, self.revision, self.ordinal)


ReplicaPhase: TypeAlias = Literal["starting", "ready", "unresponsive", "crashed", "stopping"]


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica as the cluster sees it. `crashed`: it ended and will be tried again; `message` says how."""

    name: str
    revision: str
    ordinal: int
    phase: ReplicaPhase
    host: str
    port: int
    restarts: int = 0
    message: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def short_name(self) -> str:
        """Enough to tell an endpoint's replicas apart."""
        return f"{self.revision}-{self.ordinal}"


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a look at the cluster showed."""

    nodes: tuple[NodeView, ...]
    info: ResourceInfo


class ClusterDriver(Protocol):
    """Runs replicas in one place. Every method raises ClusterUnavailable when the place does not answer."""

    async def inspect(self) -> ClusterFacts: ...

    async def place_model(self, source: models.ModelSource) -> models.Placement:
        """Have the model where replicas can read it; answers at once, works on behind."""
        ...

    async def list_replicas(self, group: UUID) -> list[Replica]:
        """All replicas of an endpoint, whatever their revision, by name."""
        ...

    async def start_replica(self, plan: ReplicaPlan) -> None:
        """Have this replica running; nothing happens when it does, or is about to."""
        ...

    async def stop_replica(self, name: str) -> None:
        """Begin to stop it, letting requests finish; nothing happens when it is not there."""
        ...

    async def open_log(self, group: UUID, name: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[bytes]:
        """The lines of one replica's log, or of all the endpoint's; `follow` goes on until the reader leaves.

        `tail`: only the last so many lines. Raises ReplicaNotFound before the first line.
        """
        ...

    async def list_groups(self) -> set[UUID]:
        """Every endpoint that has replicas here, also one that is no more."""
        ...

    async def clean_up(self) -> None:
        """Throw away what replicas that are long gone have left."""
        ...


DriverFactory: TypeAlias = Callable[[Cluster], ClusterDriver]


class Drivers:
    """The drivers there are, by cluster type. Made by `app.wiring`."""

    def __init__(self, by_type: Mapping[str, DriverFactory]) -> None:
        self._by_type = by_type

    def of(self, cluster: Cluster) -> ClusterDriver:
        """The driver of a cluster. Raises ClusterUnavailable where this process has none for its type."""
        factory = self._by_type.get(cluster.spec.type)
        if factory is None:
            raise ClusterUnavailable(f"nothing here can run a cluster of type {cluster.spec.type!r}")
        return factory(cluster)


_NAME: Final = re.compile(r"replica-([0-9a-f]{32})-([0-9a-f]{8})-([0-9]+)")


def replica_name(group: UUID, revision: str, ordinal: int) -> str:
    """The name a replica has on every cluster."""
    return f"{group_prefix(group)}{revision}-{ordinal}"


def group_prefix(group: UUID) -> str:
    """What the names of an endpoint's replicas begin with."""
    return f"replica-{group.hex}-"


def parse_replica_name(name: str) -> tuple[UUID, str, int] | None:
    """(group, revision, ordinal) of a replica's name; None when it is not one."""
    match = _NAME.fullmatch(name)
    return (UUID(match[1]), match[2], int(match[3])) if match else None
