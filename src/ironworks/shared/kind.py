"""Kinds: what a domain declares once, in its `model.py`, and everything else follows from.

class BucketSpec(Spec):
    quota_gib: int = Field(10, ge=1, description="Largest total size in GiB.")
    region: Annotated[str, Ref("Region")]

class BucketStatus(Status):
    url: str | None = None

BUCKET = Kind("Bucket", plural="buckets", short="bkt", schema="gpuaas_storage", levels=(TENANT,),
              spec=BucketSpec, status=BucketStatus, immutable=("region",), columns=("spec.quota_gib",))
Bucket = Resource[BucketSpec, BucketStatus]
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.shared import path as paths

Level: TypeAlias = Literal["operator", "account", "platform", "tenant"]
OPERATOR: Final[Level] = "operator"
ACCOUNT: Final[Level] = "account"
PLATFORM: Final[Level] = "platform"
TENANT: Final[Level] = "tenant"
EVERYWHERE: Final[tuple[Level, ...]] = (OPERATOR, ACCOUNT, PLATFORM, TENANT)

MASK: Final = "***"
"""What a secret field reads back as; written back, it keeps the stored value."""

Labels: TypeAlias = dict[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,61}[A-Za-z0-9])?$")],
    Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")],
]
Annotations: TypeAlias = dict[
    Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=4096)]
]


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a spec field as the name of another resource: `name` (same scope) or `path/name`.

    It may be a field of a list's elements (`targets[].endpoint`), not of a list within a list.
    """

    kind: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a spec field as secret: kept in the vault only, reads back as `***`.

    Args:
        sent_to: sibling fields that say where the secret is sent, with `../` those one object further out; changing one
            demands the secret again.
    """

    sent_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """Marks the field that identifies a list's element, so that `***` finds the value it stands for."""


class Spec(BaseModel):
    """What a user wants. Unknown fields are refused; defaults are materialised on write."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


class Condition(BaseModel):
    """One observed fact; `reason` is a stable CamelCase word, `message` says what a user can do."""

    model_config = ConfigDict(extra="forbid")
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Status(BaseModel):
    """What controllers observed. Written by controllers alone."""

    model_config = ConfigDict(extra="forbid")
    phase: str = "Pending"
    conditions: list[Condition] = Field(default_factory=list)
    observed_generation: int = 0


class OwnerReference(BaseModel):
    """The resource that made this one."""

    model_config = ConfigDict(extra="forbid")
    kind: str = Field(max_length=63)
    uid: UUID
    name: str = Field(max_length=63)


class Metadata(BaseModel):
    """A resource's name, place and versions; times are UTC."""

    model_config = ConfigDict(extra="forbid")
    name: str
    scope: str
    uid: UUID
    display_name: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    generation: int = 1
    resource_version: int = 0
    creation_timestamp: datetime
    update_timestamp: datetime
    deletion_timestamp: datetime | None = None
    owner_references: list[OwnerReference] = Field(default_factory=list)


S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=Status)


class Resource(BaseModel, Generic[S, T]):
    """A declared thing: wanted `spec`, observed `status`."""

    api_version: Literal["v1"] = "v1"
    kind: str
    metadata: Metadata
    spec: S
    status: T

    @property
    def uid(self) -> UUID:
        return self.metadata.uid

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def path(self) -> str:
        """The scope's path in stored form (empty for the operator's)."""
        return paths.parse_path(self.metadata.scope)

    @property
    def full_name(self) -> str:
        """`path/name`, as people and references write it."""
        return f"{self.metadata.scope}/{self.metadata.name}"

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A type of resource; see the module's example.

    Args:
        name: singular, CamelCase. plural, short: as in URLs and on the command line.
        schema: the domain's Postgres schema; the table is `<schema>.<snake_case name>`.
        levels: where it may live. inherited: readable by everything below (secrets excluded).
        spec, status: Pydantic models. immutable: dotted spec fields that never change.
        columns: dotted paths that a listing prints besides NAME, PHASE and AGE.
        node: the resource is itself a scope: its path is `scope.name`, and grants at that path reach it.
        phases: every word `status.phase` can be.
        reconciled: a controller exists; without one a deleted row goes at once.
    """

    name: str
    plural: str
    schema: str
    levels: tuple[Level, ...]
    spec: type[Spec]
    status: type[Status] = Status
    short: str = ""
    inherited: bool = False
    immutable: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    node: bool = False
    phases: tuple[str, ...] = ("Pending", "Ready", "Failed", "Deleting")
    reconciled: bool = True
    description: str = ""
    references: dict[str, str] = field(init=False, default_factory=dict)
    secrets: dict[str, Secret] = field(init=False, default_factory=dict)
    list_keys: dict[str, str] = field(init=False, default_factory=dict)
    """Dotted list (`upstreams[]`) → the field that identifies its elements."""

    def __post_init__(self) -> None:
        for dotted, marks in _marked_fields(self.spec):
            for mark in marks:
                if isinstance(mark, Ref):
                    self.references[dotted] = mark.kind
                elif isinstance(mark, Secret):
                    self.secrets[dotted] = mark
                elif isinstance(mark, Key):
                    items, _, name = dotted.rpartition(".")
                    self.list_keys[items] = name

    def parse(self, text: str | bytes) -> Resource[Any, Any]:
        """The typed resource in one of the engine's JSON texts."""
        return Resource[self.spec, self.status].model_validate_json(text)  # type: ignore[name-defined]

    def parse_all(self, texts: Iterable[str], unreadable: list[str]) -> list[Resource[Any, Any]]:
        """The typed resources of those texts that can be read; `unreadable` gets `Kind path/name` of the others.

        For those who serve many tenants: one row that is not what it should be must not keep out all the others.
        """
        found = []
        for text in texts:
            try:
                found.append(self.parse(text))
            except ValueError:
                metadata = json.loads(text)["metadata"]
                unreadable.append(f"{self.name} {metadata['scope']}/{metadata['name']}")
        return found

    @property
    def resource(self) -> str:
        """The word in permissions: `endpoint:read`."""
        return snake(self.name).replace("_", "-")

    @property
    def table(self) -> str:
        """Qualified table name."""
        return f"{self.schema}.{snake(self.name)}"

    def link_table(self, field: str) -> str:
        """The table that holds what a reference inside a list (`targets[].endpoint`) leads to."""
        return f"{self.table}_ref_{field.replace('[]', '').replace('.', '_')}"

    def permission(self, action: str) -> str:
        return f"{self.resource}:{action}"

    @property
    def quota(self) -> str:
        """The word for how many an account may have: `api_keys`; empty for a kind that only the operator has."""
        return "" if set(self.levels) == {OPERATOR} else self.plural.replace("-", "_")

    @property
    def permissions(self) -> tuple[str, ...]:
        """What every kind registers."""
        return tuple(self.permission(a) for a in ("read", "create", "update", "delete", "force-delete"))


def snake(name: str) -> str:
    """`ModelRegistry` → `model_registry`."""
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _marked_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """(dotted path, annotation marks) of every field below `model`; list elements are written `items[]`."""
    for name, info in model.model_fields.items():
        dotted = f"{prefix}{name}"
        yield dotted, list(info.metadata)
        for inner, marker in _inner_models(info.annotation):
            yield from _marked_fields(inner, f"{dotted}{marker}.")


def _inner_models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    origin = typing.get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif origin in (typing.Union, types.UnionType, Annotated):
        for part in typing.get_args(annotation):
            yield from _inner_models(part)
    elif origin is list:
        for inner, marker in _inner_models(typing.get_args(annotation)[0]):
            yield inner, "[]" + marker
