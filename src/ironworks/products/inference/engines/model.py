"""Engines: inference servers with versions, and what each version lets an endpoint set.

An engine version names a `runtime`, a program that Ironworks knows how to run; it cannot name a command, since an
engine may be declared by a tenant and run on the operator's machines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ironworks.shared.errors import NotFound, field_problem
from ironworks.shared.kind import EVERYWHERE, Key, Kind, Resource, Spec, Status

Task: TypeAlias = Literal["text-generation", "text-embedding", "text-rerank"]
Runtime: TypeAlias = Literal["llamacpp"]
ArgumentType: TypeAlias = Literal["string", "integer", "number", "boolean"]

VERSION: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_.+]{0,62}[A-Za-z0-9])?$"
_KNOWN_ENVIRONMENT: Final[dict[Runtime, frozenset[str]]] = {
    "llamacpp": frozenset({"LANG", "LC_ALL", "OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "TZ"}),
}
"""What an endpoint may set. A list, since some variables name code to load and a tenant must not set those."""
_PYTHON_TYPES: Final[dict[ArgumentType, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class Argument(BaseModel):
    """One engine argument: the part of JSON Schema that needs no regular expressions and no remote references."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)
    type: ArgumentType
    description: str = Field("", max_length=512)
    default: JsonValue = None
    enum: list[JsonValue] | None = Field(None, min_length=1, max_length=100)
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = Field(4096, ge=0, le=65536, alias="maxLength")

    def problem(self, value: Any) -> str:
        """What is wrong with `value`, or nothing."""
        if not isinstance(value, _PYTHON_TYPES[self.type]) or (isinstance(value, bool) and self.type != "boolean"):
            return f"must be of type {self.type}"
        if self.enum is not None and value not in self.enum:
            return f"must be one of {', '.join(map(str, self.enum))}"
        if isinstance(value, int | float) and self.minimum is not None and value < self.minimum:
            return f"must be at least {self.minimum:g}"
        if isinstance(value, int | float) and self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum:g}"
        if isinstance(value, str) and (len(value) > self.max_length or "\0" in value):
            return f"must have at most {self.max_length} characters and no NUL"
        return ""


class ValuesSchema(BaseModel):
    """JSON Schema of an endpoint's `variables.engine_args`; anything it does not list is refused."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["object"] = "object"
    properties: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], Argument] = Field(
        default_factory=dict, max_length=200
    )

    def problems(self, args: Mapping[str, Any], field: str) -> list[dict[str, str]]:
        """Every problem of `args`, as entries of an error's `details.fields`; `field` is where they stand."""
        found = []
        for name, value in args.items():
            argument = self.properties.get(name)
            if argument is None:
                known = ", ".join(sorted(self.properties)) or "none"
                found.append(field_problem(f"{field}.{name}", "is no argument of this engine version", f"use: {known}"))
            elif problem := argument.problem(value):
                found.append(field_problem(f"{field}.{name}", problem, argument.description))
        return found


class MetricsExport(BaseModel):
    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    path: str = Field("/metrics", pattern=r"^/[A-Za-z0-9/_-]{0,127}$")


class Playground(BaseModel):
    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    modes: list[Literal["chat", "embedding", "rerank"]] = Field(default_factory=list)


class Capabilities(BaseModel):
    """What the console and the metrics collector may use."""

    model_config = ConfigDict(extra="forbid")
    metrics_export: MetricsExport = Field(default_factory=MetricsExport)
    playground: Playground = Field(default_factory=Playground)


class EngineVersion(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Annotated[str, Key()] = Field(pattern=VERSION)
    runtime: Runtime = Field(description="The program that serves it.")
    supported_tasks: list[Task] = Field(min_length=1)
    values_schema: ValuesSchema = Field(default_factory=ValuesSchema)
    capabilities: Capabilities = Field(default_factory=Capabilities)

    @property
    def known_environment(self) -> frozenset[str]:
        """Environment variables that an endpoint may set."""
        return _KNOWN_ENVIRONMENT[self.runtime]


class EngineSpec(Spec):
    versions: list[EngineVersion] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _versions_differ(self) -> EngineSpec:
        names = [version.version for version in self.versions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the same version twice: {', '.join(twice)}")
        return self


class EngineStatus(Status):
    supported_tasks: list[Task] = Field(default_factory=list)


ENGINE = Kind(
    "Engine",
    plural="engines",
    short="eng",
    schema="inference_engines",
    levels=EVERYWHERE,
    spec=EngineSpec,
    status=EngineStatus,
    inherited=True,
    columns=("status.supported_tasks",),
    description="An inference server and its versions.",
)
Engine: TypeAlias = Resource[EngineSpec, EngineStatus]


class EngineVersionNotFound(NotFound):
    """The engine has no such version."""

    code = "ENGINE_VERSION_NOT_FOUND"


def choose_version(engine: Engine, wanted: str | None) -> EngineVersion:
    """The version of that name; without one, the highest. Raises EngineVersionNotFound."""
    versions = sorted(engine.spec.versions, key=lambda v: _order(v.version))
    if wanted is None:
        return versions[-1]
    for version in versions:
        if version.version == wanted:
            return version
    known = ", ".join(v.version for v in versions)
    raise EngineVersionNotFound(
        f"engine {engine.full_name} has no version {wanted!r}; it has {known}", engine=engine.full_name, version=wanted
    )


def _order(version: str) -> list[tuple[int, int | str]]:
    """Numbers compare as numbers: 0.10 is after 0.9."""
    parts = re.findall(r"[0-9]+|[A-Za-z]+", version)
    return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]
