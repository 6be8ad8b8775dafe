"""A folder of GGUF files: `name.gguf`, `name/file.gguf` or `name/version/file.gguf`."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ironworks.products.inference.models.model import (
    FileSource,
    ListedModel,
    ModelSource,
    RegistryUnreadable,
    Task,
)

MAX_FILES = 10_000
_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_STRING = 8  # GGUF's type number
_EMBEDDERS = ("bert", "nomic-bert", "jina-bert-v2", "nomic-bert-moe", "modern-bert", "gemma-embedding")


def list_directory(directory: str) -> list[ListedModel]:
    """Every model in `directory`. Raises RegistryUnreadable."""
    root = Path(directory)
    try:
        return [_listed(root, file) for file in _files(root)]
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise RegistryUnreadable(f"the folder {directory} cannot be read: {reason}", directory=directory) from problem


def source_of(directory: str, model: ListedModel) -> ModelSource:
    """The exact file of a listed model. Raises RegistryUnreadable when it has gone since."""
    path = Path(directory) / model.file
    try:
        facts = path.stat()
    except OSError as problem:
        raise RegistryUnreadable(f"{path} cannot be read: {problem.strerror}", directory=directory) from problem
    return ModelSource(model.name, model.version, model.task, FileSource(str(path), facts.st_size, facts.st_mtime_ns))


def _files(root: Path) -> Iterator[Path]:
    found = 0
    for folder, below, names in os.walk(root, onerror=_raise):
        below.sort()
        if len(Path(folder).relative_to(root).parts) >= 2:
            below.clear()
        for name in sorted(names):
            if name.endswith(_SUFFIX) and not name.startswith(".") and found < MAX_FILES:
                found += 1
                yield Path(folder) / name


def _raise(problem: OSError) -> None:
    raise problem


def _listed(root: Path, file: Path) -> ListedModel:
    parts = file.relative_to(root).parts
    name = parts[0] if len(parts) > 1 else parts[0].removesuffix(_SUFFIX)
    version = parts[1] if len(parts) > 2 else ""
    return ListedModel(name, version, _task(file), "/".join(parts), file.stat().st_size)


def _task(file: Path) -> Task:
    return "text-embedding" if _architecture(file) in _EMBEDDERS else "text-generation"


def _architecture(file: Path) -> str:
    """The value of `general.architecture`, which every writer puts first; empty when the file is no such GGUF.

    Layout: magic, u32 version, u64 tensors, u64 entries; entry = u64 length, key, u32 type, u64 length, value.
    """
    with file.open("rb") as stream:
        head = stream.read(4096)
    if head[:4] != _MAGIC or len(head) < 32:
        return ""
    (length,) = struct.unpack_from("<Q", head, 24)
    key, after = head[32 : 32 + length], 32 + length
    if key != b"general.architecture" or struct.unpack_from("<I", head, after)[0] != _STRING:
        return ""
    (length,) = struct.unpack_from("<Q", head, after + 4)
    return head[after + 12 : after + 12 + length].decode(errors="replace")
