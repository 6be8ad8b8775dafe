"""Clusters: the places that run replicas.

Owns: the kind Cluster; the interface that every kind of place offers (`ClusterDriver`); the driver of the local one.
Never: decides how many replicas there should be, or which (endpoints does).
Invariants:
  - a replica's name follows from what it runs, so starting it twice starts it once;
  - a local replica belongs to the process supervisor, never to the worker that asked for it;
  - only the operator can declare a cluster on the operator's machines.
"""

from ironworks.products.inference.clusters.adapters.local import LocalCluster
from ironworks.products.inference.clusters.declarations import builtins
from ironworks.products.inference.clusters.model import (
    CLUSTER,
    Cluster,
    ClusterDriver,
    ClusterUnavailable,
    Drivers,
    Replica,
    ReplicaNotFound,
    ReplicaPhase,
    ReplicaPlan,
    Resources,
    parse_quantity,
    replica_name,
)

__all__ = [
    "CLUSTER",
    "Cluster",
    "ClusterDriver",
    "ClusterUnavailable",
    "Drivers",
    "LocalCluster",
    "Replica",
    "ReplicaNotFound",
    "ReplicaPhase",
    "ReplicaPlan",
    "Resources",
    "builtins",
    "parse_quantity",
    "replica_name",
]
