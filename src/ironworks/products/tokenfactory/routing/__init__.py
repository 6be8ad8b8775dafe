"""Routing: which upstreams answer to a model name, and which of them takes the next request.

Owns: the kinds Route and ExternalEndpoint; the table from (a key's scope, model name) to a route, the choice among its
upstreams, the health they are chosen by, and the queue before those that take only so many at once.
Never: reads a request's body, sees a prompt, or knows who may call what; opens a connection but to look at an upstream.
Invariants: a table never changes after it is made (a change makes another); a name resolves at the key's own scope,
else at the nearest one above that hands it down, else below; an upstream that is set aside is tried again; a credential
is sent to the URL it was given for and nowhere else.

Besides the usual files: `table.py`, the tables that the gateway holds; `addresses.py`, where an upstream may be;
`assembly.py`, from what is declared to a table; `balance.py`, the choice of a replica; `health.py`, what it knows of
each; `queueing.py`, who is next.
"""

from ironworks.products.tokenfactory.routing.adapters.http_probe import HttpProber
from ironworks.products.tokenfactory.routing.addresses import AddressPolicy
from ironworks.products.tokenfactory.routing.assembly import Declared, build_routes, route_of_model
from ironworks.products.tokenfactory.routing.balance import Balancer, Pick
from ironworks.products.tokenfactory.routing.health import ReplicaState, Standing
from ironworks.products.tokenfactory.routing.model import (
    EXTERNAL_ENDPOINT,
    ROUTE,
    DeclaredRoute,
    Dialect,
    EndpointHealth,
    ExternalEndpoint,
    OwnModel,
    Prober,
    RouteTarget,
    Strategy,
    TargetSights,
    public_name,
    split_reference,
)
from ironworks.products.tokenfactory.routing.queueing import Gates, Place, QueueFull
from ironworks.products.tokenfactory.routing.service import list_declared, list_leading
from ironworks.products.tokenfactory.routing.table import (
    OWN_CHECK,
    CachePolicy,
    HealthCheck,
    Leg,
    Replica,
    Route,
    RouteSource,
    RouteTable,
    Target,
    route_to,
)

__all__ = [
    "EXTERNAL_ENDPOINT",
    "OWN_CHECK",
    "ROUTE",
    "AddressPolicy",
    "Balancer",
    "CachePolicy",
    "Declared",
    "DeclaredRoute",
    "Dialect",
    "EndpointHealth",
    "ExternalEndpoint",
    "Gates",
    "HealthCheck",
    "HttpProber",
    "Leg",
    "OwnModel",
    "Pick",
    "Place",
    "Prober",
    "QueueFull",
    "Replica",
    "ReplicaState",
    "Route",
    "RouteSource",
    "RouteTable",
    "RouteTarget",
    "Standing",
    "Strategy",
    "Target",
    "TargetSights",
    "build_routes",
    "list_declared",
    "list_leading",
    "public_name",
    "route_of_model",
    "route_to",
    "split_reference",
]
