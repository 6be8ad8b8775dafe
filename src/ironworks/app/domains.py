"""What the domains have, collected: kinds, routes, admissions, controllers, declarations.

Decorators only mark; this module looks for the marks in the files that the table in the design names. Adding a domain
is one line in `DOMAINS`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ironworks.app import operations
from ironworks.shared.consumers import Consumer, consumer_of
from ironworks.shared.declarations import Declarations, Topic, declarations_of_kind
from ironworks.shared.http import Router
from ironworks.shared.kind import Kind
from ironworks.shared.reconcile import Reconciler, reconciler_of
from ironworks.shared.schedules import Schedule, schedule_of

DOMAINS = (
    "platform.registry",
    "platform.secrets",
    "platform.audit",
    "platform.tenancy",
    "platform.iam",
    "platform.policy",
    "platform.notification",
    "platform.metering",
    "platform.pricing",
    "platform.ledger",
    "platform.billing",
    "platform.subscriptions",
    "platform.invoices",
    "platform.payments",
    "platform.reports",
    "platform.console",
    "products.inference.engines",
    "products.inference.models",
    "products.inference.clusters",
    "products.inference.endpoints",
    "products.tokenfactory.limits",
    "products.tokenfactory.budgets",
    "products.tokenfactory.routing",
    "products.tokenfactory.analytics",
    "products.tokenfactory.traces",
    "products.tokenfactory.responses",
    "products.tokenfactory.gateway",
)
"""Every domain, lower ones first."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything the domains declare and mark, in the order of `DOMAINS`."""

    kinds: tuple[Kind, ...]
    routers: tuple[Router, ...]
    admissions: dict[str, tuple[Callable[..., Any], ...]]
    reconcilers: tuple[Reconciler, ...]
    consumers: tuple[Consumer, ...]
    schedules: tuple[Schedule, ...]
    declarations: dict[str, Declarations] = field(default_factory=dict)

    def kind(self, name: str) -> Kind:
        """The kind called `name`. Raises KeyError."""
        return next(k for k in self.kinds if k.name == name)

    @property
    def permissions(self) -> tuple[str, ...]:
        """Every declared permission, sorted."""
        return tuple(sorted(p.name for d in self.declarations.values() for p in d.permissions))

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every declared topic, by name."""
        return tuple(sorted((t for d in self.declarations.values() for t in d.topics), key=lambda t: t.name))


def collect(domains: tuple[str, ...] = DOMAINS) -> Catalogue:
    """Import every domain's files and gather what they hold. Raises ValueError for a kind declared twice."""
    kinds: dict[str, Kind] = {}
    routers: list[Router] = []
    admissions: dict[str, list[Callable[..., Any]]] = {}
    reconcilers: list[Reconciler] = []
    consumers: list[Consumer] = []
    periodic: list[Schedule] = []
    declarations: dict[str, Declarations] = {"app.operations": operations.DECLARATIONS}
    for domain in domains:
        for kind in _kinds(domain):
            if kind.name in kinds:
                raise ValueError(f"kind {kind.name} is declared in {domain} and in {kinds[kind.name].schema}")
            kinds[kind.name] = kind
            declarations[f"{domain}.{kind.resource}"] = declarations_of_kind(kind)
        own = _module(domain, "declarations")
        if own is not None:
            declarations[domain] = own.DECLARATIONS
        routes = _module(domain, "routes")
        if routes is not None:
            routers.append(routes.router)
        for function in _functions(_module(domain, "service")):
            if hasattr(function, "admits"):
                admissions.setdefault(function.admits, []).append(function)
        for function in _functions(_module(domain, "controller")):
            reconcilers += filter(None, [reconciler_of(function)])
            consumers += filter(None, [consumer_of(function)])
            periodic += filter(None, [schedule_of(function)])
    return Catalogue(
        tuple(kinds.values()),
        tuple(routers),
        {name: tuple(found) for name, found in admissions.items()},
        tuple(reconcilers),
        tuple(consumers),
        tuple(periodic),
        declarations,
    )


def _module(domain: str, file: str) -> ModuleType | None:
    name = f"ironworks.{domain}.{file}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _kinds(domain: str) -> Iterator[Kind]:
    model = _module(domain, "model")
    for value in vars(model).values() if model else ():
        if isinstance(value, Kind) and value.schema == domain.removeprefix("products.").replace(".", "_"):
            yield value


def _functions(module: ModuleType | None) -> Iterator[Callable[..., Any]]:
    """The module's own functions, in the order they stand there."""
    for value in vars(module).values() if module else ():
        if callable(value) and getattr(value, "__module__", None) == getattr(module, "__name__", None):
            yield value
