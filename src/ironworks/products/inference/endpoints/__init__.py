"""Endpoints: models that tenants call, and the replicas that serve them.

Owns: the kind Endpoint; when replicas start, drain, stop and sleep; the key that replicas demand of the gateway; logs.
Never: runs a process itself (a cluster's driver does), or routes a request (the gateway does, from `list_targets`).
Invariants:
  - a replica takes no new requests before it is stopped, and an old one goes only when enough others serve;
  - an endpoint that is gone has no replica, whoever was killed while it went;
  - engine arguments and environment variables reach an engine only if its version knows them;
  - an endpoint that sleeps for want of requests misses no call to wake.

Besides the usual files: `idling.py`, when an endpoint sleeps.
"""

from ironworks.products.inference.endpoints.declarations import INVOKE, LOGS
from ironworks.products.inference.endpoints.model import ENDPOINT, Endpoint, GatewayAddress, Target
from ironworks.products.inference.endpoints.service import list_targets, note_use, task_of, wake_endpoint

__all__ = [
    "ENDPOINT",
    "INVOKE",
    "LOGS",
    "Endpoint",
    "GatewayAddress",
    "Target",
    "list_targets",
    "note_use",
    "task_of",
    "wake_endpoint",
]
