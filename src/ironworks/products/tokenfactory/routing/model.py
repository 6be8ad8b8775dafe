"""What a model name leads to: immutable tables that a gateway process holds in memory and swaps whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from ironworks.shared.path import covers


@dataclass(frozen=True, slots=True)
class Replica:
    """One process that serves a target.

    Args:
        address: `host:port`, an IPv6 host in brackets.
        bearer: the replica's own key; never shown to a caller.
    """

    address: str
    bearer: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint that can be called.

    Args:
        uid, scope, name: the endpoint's; `name` is what callers at `scope` write as `model`.
        model: the name under which its use is metered and priced.
        served_as: what the replicas themselves call the model.
        replicas: those that are ready; none means the endpoint exists and cannot answer now.
        created_at: seconds since the epoch, shown by `/v1/models`.
        task: what it is for, such as `text-generation`; None where the replicas' word decides.
    """

    uid: UUID
    scope: str
    name: str
    model: str
    served_as: str
    replicas: tuple[Replica, ...] = ()
    created_at: int = 0
    task: str | None = None


class TargetSource(Protocol):
    """Where targets come from: implemented by whoever runs endpoints, handed over in `app.wiring`."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds whose changes make `load_targets` answer differently."""

    async def load_targets(self) -> Sequence[Target]:
        """Every target of the installation; raises what its database raises."""


class RouteTable:
    """(key scope, model name) → target."""

    __slots__ = ("_by_name", "targets")

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self.targets = tuple(sorted(targets, key=lambda target: (target.scope, target.name)))
        self._by_name = {(target.scope, target.name): target for target in self.targets}

    def resolve(self, scope: str, model: str) -> Target | None:
        """The target that a key at `scope` means by `model`: a bare name there, or `path/name` there or below."""
        found = self._by_name.get((scope, model))
        if found is not None or "/" not in model:
            return found
        path, _, name = model.rpartition("/")
        return self._by_name.get((path, name)) if covers(scope, path) else None

    def names(self, scope: str) -> Iterator[tuple[str, Target]]:
        """(model name, target) of everything that `resolve` finds from `scope`, each under its shortest name."""
        for target in self.targets:
            if target.scope == scope:
                yield target.name, target
            elif covers(scope, target.scope):
                yield f"{target.scope}/{target.name}", target

    def replicas(self) -> Iterator[Replica]:
        """Every replica of every target."""
        for target in self.targets:
            yield from target.replicas
