"""Model registries: where weights come from, and how they get onto a machine.

Owns: the kind ModelRegistry; finding the one model that a name means; the cache that a machine keeps models in; the
program that fills it (`fetch`) and the conversion of checkpoints to GGUF.
Never: runs code from a package it fetches, or installs what a package depends on.
Invariants:
  - what is fetched has exactly the pinned hash, or is refused;
  - a cached model is whole or not there: it is put together beside its place and renamed into it;
  - only the operator can point a registry at a folder of the operator's machines.
"""

from ironworks.products.inference.models.adapters.cache import CachedModels
from ironworks.products.inference.models.declarations import builtins
from ironworks.products.inference.models.model import (
    MODEL_REGISTRY,
    FileSource,
    ModelNotFound,
    ModelRegistry,
    ModelSource,
    ModelStore,
    PackageSource,
    Placed,
    Placement,
    Placing,
    RegistryUnreadable,
    Task,
    Unplaceable,
)
from ironworks.products.inference.models.service import find_model, list_models

__all__ = [
    "MODEL_REGISTRY",
    "CachedModels",
    "FileSource",
    "ModelNotFound",
    "ModelRegistry",
    "ModelSource",
    "ModelStore",
    "PackageSource",
    "Placed",
    "Placement",
    "Placing",
    "RegistryUnreadable",
    "Task",
    "Unplaceable",
    "builtins",
    "find_model",
    "list_models",
]
