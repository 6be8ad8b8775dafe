"""What can be done with registries: refuse an unsafe one, list its models, and find one model exactly."""

from __future__ import annotations

from ironworks.products.inference.models.adapters import directory
from ironworks.products.inference.models.model import (
    MODEL_REGISTRY,
    ListedModel,
    ModelRegistry,
    ModelSource,
    choose,
    package_source,
)
from ironworks.shared.context import Context
from ironworks.shared.errors import invalid
from ironworks.shared.resources import Change, admits


@admits(MODEL_REGISTRY)
async def admit_registry(ctx: Context, change: Change[ModelRegistry]) -> None:
    """A folder on the operator's machines can be offered by the operator alone. Raises Invalid."""
    registry = change.new
    if registry is not None and registry.spec.type == "directory" and registry.path:
        raise invalid(
            "spec.type",
            "a directory registry reads files of the operator's machines, so only the operator may have one",
            "use type package here, or ask the operator for a registry in scope '-'",
        )


def list_models(registry: ModelRegistry) -> list[ListedModel]:
    """Every model of a registry, by name and version. Reads the disk for a directory. Raises RegistryUnreadable."""
    if registry.spec.type == "directory":
        found = directory.list_directory(registry.spec.directory or "")
    else:
        found = [
            ListedModel(m.name, m.version, m.task, m.file, m.size_bytes, m.license, m.description)
            for m in registry.spec.models
        ]
    return sorted(found, key=lambda model: (model.name, model.version, model.file))


def find_model(registry: ModelRegistry, name: str, version: str | None, file: str | None) -> ModelSource:
    """The one model of that name, and how to get it. Reads the disk for a directory.

    Raises ModelNotFound (also where the name alone fits several), RegistryUnreadable.
    """
    listed = choose(list_models(registry), registry.full_name, name, version, file)
    if registry.spec.type == "directory":
        return directory.source_of(registry.spec.directory or "", listed)
    packaged = next(m for m in registry.spec.models if (m.name, m.version) == (listed.name, listed.version))
    return package_source(packaged)
