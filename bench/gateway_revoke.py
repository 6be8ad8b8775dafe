"""How long a key still works after it was revoked: through the real API, Postgres, change log and feed.

An installation of its own is started; for each of many keys, one caller asks the gateway over and over while the key
is deleted, and notes when the first 401 comes, counted from the API's answer to the deletion.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from ironworks.app.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
PATIENCE = 10.0


def ironworks(home: Path, *arguments: str) -> None:
    """Run a command of the installation under `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IRONWORKS_")}
    environment = {**kept, "IRONWORKS_HOME": str(home), "IRONWORKS_API_RATE": "1000000"}
    command = [sys.executable, "-m", "ironworks.app", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, timeout=300)


def measure(count: int) -> list[float]:
    """Seconds from the answer to each deletion until the key is refused."""
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            return asyncio.run(_revoke_all(load_settings({**os.environ, "IRONWORKS_HOME": str(home)}), count))
        finally:
            ironworks(home, "down", "--purge")


async def _revoke_all(settings: Settings, count: int) -> list[float]:
    token = (settings.home / "credentials/operator-token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=settings.api_url, headers=headers, timeout=30) as api,
        httpx.AsyncClient(base_url=settings.gateway_url, timeout=30) as gateway,
    ):
        return [await _revoke(api, gateway, f"bench-{number}") for number in range(count)]


async def _revoke(api: httpx.AsyncClient, gateway: httpx.AsyncClient, name: str) -> float:
    made = await api.post("/api/v1/scopes/-/api-keys", json=_key(name))
    made.raise_for_status()
    shown = await api.post(f"/api/v1/scopes/-/api-keys/{name}:rotate", json={})
    shown.raise_for_status()
    headers = {"authorization": f"Bearer {_secret_in(shown.json())}"}
    await _until(gateway, headers, refused=False)
    (await api.delete(f"/api/v1/scopes/-/api-keys/{name}")).raise_for_status()
    began = time.perf_counter()
    await _until(gateway, headers, refused=True)
    return time.perf_counter() - began


async def _until(gateway: httpx.AsyncClient, headers: dict[str, str], *, refused: bool) -> None:
    async with asyncio.timeout(PATIENCE):
        while ((await gateway.get("/v1/models", headers=headers)).status_code == 401) is not refused:
            await asyncio.sleep(0.002)


def _key(name: str) -> dict[str, object]:
    return {"api_version": "v1", "kind": "ApiKey", "metadata": {"name": name}, "spec": {}}


def _secret_in(answer: dict[str, object]) -> str:
    """The one value that looks like a key, wherever the answer has it."""
    found = [value for value in json.dumps(answer).split('"') if value.startswith("iwk_")]
    if len(found) != 1:
        raise RuntimeError("the API did not show a key")
    return found[0]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
