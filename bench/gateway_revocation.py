"""How soon a revoked key stops: 10,000 keys, a gateway under load, the real database and the real change log.

`python -m bench.gateway_revocation` starts an installation of its own, revokes keys one by one over its API, and asks
the gateway with each until it refuses. It prints one line of JSON; `revocation()` gives the same to other benchmarks.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from bench.reconcile import Client, ironworks
from ironworks.app.settings import Settings, load_settings

KEYS = 10_000
REVOKED = 200
CALLERS = 8
PAUSE = 0.01
LOOK = 0.002
SCOPE, OWNER = "bench.app", "service-account:bench/robot"

FILL = """
insert into platform_iam.principal (uid, kind, scope, name, active, owner)
  select gen_random_uuid(), 'api_key', ('bench.app.t' || n % 1000)::ltree, 'bench/bulk' || n, true, o.uid
  from generate_series(1, $1::int) n, platform_iam.principal o where o.name = 'bench/robot'
"""
MATERIAL = """
insert into platform_iam.key_material (key, hash, issued_at)
  select p.uid, sha256(p.uid::text::bytea), now() from platform_iam.principal p where p.name like 'bench/bulk%'
"""


@dataclass(frozen=True)
class Revocation:
    """Seconds from the answer to the revoking request until the gateway refuses the key."""

    keys: int
    revoked: int
    requests_per_second: float
    p50: float
    p99: float
    longest: float


async def measure(settings: Settings) -> Revocation:
    """Against a running installation."""
    token = (settings.home / "credentials/operator-token").read_text().strip()
    secrets = await _make_keys(await Client(settings.api_url, token).connect(), settings)
    api = await Client(settings.api_url, token).connect()  # the first one has been idle for too long by now
    callers = [await Client(settings.gateway_url, secrets[-1]).connect() for _ in range(CALLERS)]
    served = [0]
    load = [asyncio.create_task(_call_forever(caller, served)) for caller in callers]
    began = time.perf_counter()
    took = [await _revoke(api, settings, f"k{number}", secrets[number]) for number in range(REVOKED)]
    rate = served[0] / (time.perf_counter() - began)
    for task in load:
        task.cancel()
    await asyncio.gather(*load, return_exceptions=True)
    cuts = statistics.quantiles(took, n=100)
    return Revocation(KEYS, REVOKED, round(rate), cuts[49], cuts[98], max(took))


async def _make_keys(api: Client, settings: Settings) -> list[str]:
    """The secrets of the keys that will be revoked, and of one more, for the load; the gateway knows all of them."""
    await api.apply("accounts", "Account", "-", "bench")
    await api.apply("platforms", "Platform", "bench", "app")
    await api.apply("service-accounts", "ServiceAccount", "bench", "robot")
    grant = {"subject": OWNER, "role": "-/developer"}
    await api.apply("role-assignments", "RoleAssignment", "bench", "robot", grant)
    database = await asyncpg.connect(settings.admin_url())
    await database.execute(FILL, KEYS)
    await database.execute(MATERIAL)
    await database.close()
    secrets = []
    for number in range(REVOKED + 1):
        await api.apply("api-keys", "ApiKey", SCOPE, f"k{number}", {"owner": OWNER})
        issued = await api.call("POST", f"/api/v1/scopes/{SCOPE}/api-keys/k{number}:rotate", {})
        secrets.append(issued["key"])
    async with asyncio.timeout(60):
        for secret in secrets:
            while not await _is_served(settings, secret):
                await asyncio.sleep(LOOK)
    return secrets


async def _revoke(api: Client, settings: Settings, name: str, secret: str) -> float:
    await api.apply("api-keys", "ApiKey", SCOPE, name, {"owner": OWNER, "disabled": True})
    answered = time.perf_counter()
    async with asyncio.timeout(30):
        while await _is_served(settings, secret):
            await asyncio.sleep(LOOK)
    return time.perf_counter() - answered


async def _is_served(settings: Settings, secret: str) -> bool:
    client = await Client(settings.gateway_url, secret).connect()
    try:
        await client.get("/v1/models")
    except SystemExit:  # the client's way to say that it was refused
        return False
    finally:
        client.writer.close()
    return True


async def _call_forever(caller: Client, served: list[int]) -> None:
    while True:
        await caller.get("/v1/models")
        served[0] += 1
        await asyncio.sleep(PAUSE)


def revocation() -> Revocation:
    """Start an installation, measure, and remove it."""
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        try:
            ironworks(home, "up", "--no-demo")
            return asyncio.run(measure(load_settings({**os.environ, "IRONWORKS_HOME": str(home)})))
        finally:
            ironworks(home, "down", "--purge")


if __name__ == "__main__":
    print(json.dumps(asdict(revocation())))
