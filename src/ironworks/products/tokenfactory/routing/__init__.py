"""Routing: which replicas answer to a model name, and which of them takes the next request.

Owns: the table from (a key's scope, model name) to a target and its replicas, the choice among replicas, and the
passive health they are chosen by.
Never: opens a connection, reads a request's body, or knows who may call what.
Invariants: a table never changes after it is made (a change makes another); a name resolves at the key's own scope or
below it, never above; a replica that is set aside is tried again.

Besides the usual files: `balance.py`, the choice of a replica.
"""

from ironworks.products.tokenfactory.routing.balance import Balancer, Pick, ReplicaState
from ironworks.products.tokenfactory.routing.model import (
    CachePolicy,
    Dialect,
    Leg,
    Replica,
    Route,
    RouteSource,
    RouteTable,
    Strategy,
    Target,
    route_to,
)

__all__ = [
    "Balancer",
    "CachePolicy",
    "Dialect",
    "Leg",
    "Pick",
    "Replica",
    "ReplicaState",
    "Route",
    "RouteSource",
    "RouteTable",
    "Strategy",
    "Target",
    "route_to",
]
