"""What a model name leads to: immutable tables that a gateway process holds in memory and swaps whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from ironworks.products.tokenfactory.routing.model import Dialect, Strategy
from ironworks.shared.path import covers


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How each gateway process looks from time to time whether an upstream is well.

    Args:
        path: at its host, from `/` on; asked for with GET and the upstream's own credential.
        interval: seconds between two looks. timeout: seconds for an answer to begin.
        statuses: what one that is well answers.
        failures: so many looks in a row that find it ill set it aside.
    """

    path: str
    interval: float = 30.0
    timeout: float = 5.0
    statuses: tuple[int, ...] = (200,)
    failures: int = 3


OWN_CHECK = HealthCheck("/health", interval=5.0, timeout=10.0, statuses=(200, 404, 405, 501))
"""Of our own replicas: where engines tell of themselves. One without such a path is there, and that is all it says. A
busy one may take its time; if it is too slow, whoever runs it starts it anew."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One address that serves a target: a process of ours, or a provider's.

    Args:
        address: `host:port` to connect to, an IPv6 host in brackets.
        bearer: the credential it demands; never shown to a caller.
        tls: speak TLS, to the host in `address`, with its certificate checked.
        prefix: what stands there where callers write `/v1`, for instance `/openai/v1`.
        auth: the header that carries the credential.
        guarded: connect only where the name resolves to public addresses, looked at anew for each connection.
        check: how it is looked at between requests; None for not at all.
    """

    address: str
    bearer: str | None = field(default=None, repr=False)
    tls: bool = False
    prefix: str = "/v1"
    auth: Literal["bearer", "x-api-key"] = "bearer"
    guarded: bool = False
    check: HealthCheck | None = field(default=None, hash=False)  # every request asks for the hash


@dataclass(frozen=True, slots=True)
class Target:
    """Something that can serve a model: an endpoint of ours, or one model of an external provider's upstream.

    Args:
        uid, scope, name: the endpoint's or external endpoint's own.
        model: the name under which its use is metered and priced.
        served_as: what the replicas themselves call the model.
        replicas: those that are ready; none means it exists and cannot answer now.
        created_at: seconds since the epoch, shown by `/v1/models`.
        task: what it is for, such as `text-generation`; None where the replicas' word decides.
        dialect: whose API the replicas speak.
        wakes: it is scaled to zero and starts when asked.
        gate: what its cap counts; targets of one gate (the models of one upstream) share it.
        max_concurrency: requests at once from one gateway process, 0 for no cap; max_queue: how many more may wait.
        timeout: seconds until the first byte of an answer, None for the gateway's own.
        max_output_tokens: of one choice where the caller names no limit; what a budget holds for it.
        expansion, template_tokens: an input of `n` bytes has at most `n * expansion + template_tokens` tokens.
    """

    uid: UUID
    scope: str
    name: str
    model: str
    served_as: str
    replicas: tuple[Replica, ...] = ()
    created_at: int = 0
    task: str | None = None
    dialect: Dialect = "openai"
    wakes: bool = False
    gate: str = ""
    max_concurrency: int = 0
    max_queue: int = 0
    timeout: float | None = None
    max_output_tokens: int = 4096
    expansion: float = 1.0
    template_tokens: int = 256

    @property
    def external(self) -> bool:
        """Whether somebody else runs it, and charges for what it does."""
        return bool(self.gate)


@dataclass(frozen=True, slots=True)
class Leg:
    """A route's use of a target.

    Args:
        weight: its share under `weighted`; 0 means only when nothing else is left.
        served_as, model: the target's own, or what the route maps them to (`model` is the name it is priced under).
        gate, max_concurrency, max_queue: a cap of the route's own, besides the target's.
    """

    target: Target
    served_as: str
    model: str
    weight: int = 1
    gate: str = ""
    max_concurrency: int = 0
    max_queue: int = 0

    @property
    def place(self) -> int | None:
        """Where its target stands among those that the Route declares, from 0; None where no Route does."""
        return int(self.gate.rpartition("/")[2]) if self.gate else None

    @property
    def upstream(self) -> str:
        """The external endpoint's upstream that serves it; empty for what we run ourselves."""
        return self.target.gate.rpartition("/")[2]

    @property
    def which(self) -> str:
        """What tells it from others that lead to the same endpoint: `gpt-4o@eu`; empty where nothing is to be told."""
        whole = f"{self.target.model}@{self.upstream}" if self.target.external else ""
        return f"{whole} as {self.served_as}".lstrip() if self.served_as != self.target.served_as else whole


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Exact answers kept per tenant: for `ttl` seconds, at most `max_bytes` in all of one process."""

    ttl: float
    max_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A model name and what answers to it. An endpoint without a route of its own has one made for it.

    Args:
        uid: the Route's, or the endpoint's; of an external endpoint, one for each of its models.
        scope, name: callers at `scope` write `name` as `model`; with `inherited`, callers below do too.
        tries: how many upstreams a request may be sent to before a first byte came back.
    """

    uid: UUID
    scope: str
    name: str
    legs: tuple[Leg, ...]
    strategy: Strategy = "least_loaded"
    inherited: bool = False
    tries: int = 3
    cache: CachePolicy | None = None
    created_at: int = 0

    @property
    def task(self) -> str | None:
        """What it is for; None where its targets do not say, or not the same."""
        tasks = {leg.target.task for leg in self.legs}
        return tasks.pop() if len(tasks) == 1 else None


def route_to(target: Target) -> Route:
    """The route of an endpoint that is called by its own name."""
    leg = Leg(target, target.served_as, target.model)
    return Route(target.uid, target.scope, target.name, (leg,), created_at=target.created_at)


class RouteSource(Protocol):
    """Where routes come from: composed in `app` of Routes, endpoints and external endpoints."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds whose changes make `load_routes` answer differently."""

    async def load_routes(self) -> Sequence[Route]:
        """Every route of the installation, made ones included; raises what its database raises."""


class RouteTable:
    """(key scope, model name) → route."""

    __slots__ = ("_by_name", "routes")

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        """Where an endpoint's own name and a Route's are the same at one scope, the later one counts: the Route."""
        self._by_name = {(route.scope, route.name): route for route in routes}
        self.routes = tuple(sorted(self._by_name.values(), key=lambda route: (route.scope, route.name)))

    def resolve(self, scope: str, model: str) -> Route | None:
        """The route that a key at `scope` means by `model`.

        A bare name there; else one that is inherited, the nearest scope above first; else `path/name` below.
        """
        by_name = self._by_name
        found = by_name.get((scope, model))
        if found is not None:
            return found
        above = scope
        while above:
            above = above.rpartition(".")[0]
            found = by_name.get((above, model))
            if found is not None and found.inherited:
                return found
        path, slash, name = model.partition("/")
        return by_name.get((path, name)) if slash and covers(scope, path) else None

    def names(self, scope: str) -> Iterator[tuple[str, Route]]:
        """(model name, route) of everything that `resolve` finds from `scope`, each under its shortest name."""
        for route in self.routes:
            if route.scope == scope:
                yield route.name, route
            elif covers(scope, route.scope):
                yield f"{route.scope}/{route.name}", route
            elif route.inherited and covers(route.scope, scope) and self.resolve(scope, route.name) is route:
                yield route.name, route

    def replicas(self) -> Iterator[Replica]:
        """Every replica of every target."""
        for route in self.routes:
            for leg in route.legs:
                yield from leg.target.replicas
