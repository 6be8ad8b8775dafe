"""What a test of a whole installation works with: its clients, its books, its processes."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx

from ironworks.sdk import ApiError, Client, Profile
from ironworks.shared.supervision import ProgramStatus
from tests.support.installation import Installation

TENANT = "demo.app.dev"
CHAT, EMBED = "smollm2", "embed"
EMBEDDING_MODEL = {"model": {"name": "all-minilm-l6-v2"}, "deployment_options": {"drain_seconds": 10}}
T = TypeVar("T")


def fresh_home(run_folder: Path, name: str = "home") -> Path:
    """A home that any user may reach, whose models are the run's: what one test fetched no other fetches again."""
    home = run_folder / f"i{uuid4().hex[:8]}" / name
    home.mkdir(parents=True)
    for folder in (home.parent, home):
        folder.chmod(0o711)
    models = run_folder / "models"
    models.mkdir(exist_ok=True)
    (home / "models").symlink_to(models)
    return home


def eventually(look: Callable[[], T], within: float = 60.0) -> T:
    """What `look` returns once that is true; an assertion that fails in it is tried again, too."""
    deadline = time.monotonic() + within
    while True:
        try:
            found = look()
            if found:
                return found
            problem: Exception = AssertionError(f"{found!r} after {within:.0f} s")
        except (AssertionError, ApiError, httpx.TransportError) as failure:
            problem = failure
        if time.monotonic() > deadline:
            raise problem
        time.sleep(0.1)


@dataclass
class Site:
    """An installation that is up and has run the main job."""

    installation: Installation

    @cached_property
    def env(self) -> dict[str, str]:
        """What `ironworks env` exports."""
        lines = self.installation.run("env").stdout.splitlines()
        words = [shlex.split(line) for line in lines]
        assert all(len(each) == 2 and each[0] == "export" for each in words), lines
        return dict(word.split("=", 1) for _, word in words)

    @cached_property
    def operator(self) -> Client:
        return Client(Profile(self.env["IRONWORKS_URL"], self.env["IRONWORKS_TOKEN"]))

    def gateway(self, key: str | None = None) -> httpx.Client:
        """The gateway as the demo tenant, or with another key."""
        return httpx.Client(**self._gateway(key))

    def async_gateway(self, key: str | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._gateway(key))

    def _gateway(self, key: str | None) -> dict[str, Any]:
        return {
            "base_url": self.env["OPENAI_BASE_URL"],
            "headers": {"authorization": f"Bearer {key or self.env['OPENAI_API_KEY']}"},
            "timeout": 60.0,
            "trust_env": False,
        }

    # --- resources ------------------------------------------------------------------------------------------------

    def apply(self, kind: str, scope: str, name: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
        """The resource as stored, after applying it as the operator."""
        document = {"kind": kind, "metadata": {"scope": scope, "name": name}, "spec": spec or {}}
        resource: dict[str, Any] = self.operator.apply(document)["resource"]
        return resource

    def get(self, kind: str, scope: str, name: str) -> dict[str, Any]:
        found = self.operator.kinds.find(kind)
        assert found is not None
        return self.operator.get(found, scope, name)

    def delete(self, kind: str, scope: str, name: str) -> None:
        found = self.operator.kinds.find(kind)
        assert found is not None
        self.operator.delete(found, scope, name)

    def wait_for(self, kind: str, scope: str, name: str, phase: str, within: float = 90.0) -> dict[str, Any]:
        """The resource, once its controller has seen its spec and put it into `phase`."""

        def look() -> dict[str, Any]:
            found = self.get(kind, scope, name)
            seen = found["status"].get("observed_generation") == found["metadata"]["generation"]
            assert (found["status"].get("phase"), seen) == (phase, True), found["status"]
            return found

        return eventually(look, within)

    def endpoint(self, name: str, spec: dict[str, Any], scope: str = TENANT) -> dict[str, Any]:
        """An endpoint that runs and that the gateway knows of."""
        self.apply("Endpoint", scope, name, spec)
        return self.wait_for("Endpoint", scope, name, "Running")

    def tenant(self, path: str, name: str = "app") -> str:
        """Make a tenant and what it lives in; returns the key of a service account that is its administrator."""
        account, platform, tenant = path.split(".")
        self.apply("Account", "-", account)
        self.apply("Platform", account, platform)
        self.wait_for("Platform", account, platform, "active")
        self.apply("Tenant", f"{account}.{platform}", tenant)
        subject = f"service-account:{path}/{name}"
        self.apply("ServiceAccount", path, name)
        self.apply("RoleAssignment", path, name, {"subject": subject, "role": "-/tenant-admin"})
        return self.issue_key(path, name, subject)

    def issue_key(self, path: str, name: str, owner: str) -> str:
        self.apply("ApiKey", path, name, {"owner": owner})
        answer = self.operator.request("POST", f"/api/v1/scopes/{path}/api-keys/{name}:rotate", body={})
        return str(answer["key"])

    def explain(self, request_id: str) -> dict[str, Any]:
        """The chain behind a request, once it is charged."""
        path = f"/api/v1/billing/requests/{request_id}"
        return eventually(lambda: dict(self.operator.request("GET", path)), 30)

    def balance(self, scope: str = "-") -> Any:
        return self.operator.request("GET", f"/api/v1/scopes/{scope}/balance")["owed"]

    def versions(self) -> dict[str, int]:
        """Every resource there is, and which version of it."""
        return {
            resource["metadata"]["uid"]: resource["metadata"]["resource_version"]
            for kind in self.operator.kinds.all
            for resource in self.operator.list(kind)
        }

    # --- processes ------------------------------------------------------------------------------------------------

    async def programs(self) -> dict[str, ProgramStatus]:
        return {each.name: each for each in await self.installation.client.list()}

    def program(self, name: str) -> ProgramStatus | None:
        return asyncio.run(self.programs()).get(name)

    def replicas(self, endpoint: dict[str, Any]) -> dict[str, ProgramStatus]:
        """The processes of an endpoint, by the supervisor's word."""
        group = endpoint["metadata"]["uid"].replace("-", "")
        return {name: each for name, each in asyncio.run(self.programs()).items() if group in name}

    def copies(self) -> dict[str, int]:
        """How many engine processes there are of each replica, by the kernel's word."""
        counted: dict[str, int] = {}
        for pid in self.installation.processes():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "--identity" in words:
                name = words[words.index("--identity") + 1]
                counted[name] = counted.get(name, 0) + 1
        return counted

    @asynccontextmanager
    async def books(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """The database as its superuser, who sees past every policy."""
        connection = await asyncpg.connect(self.installation.settings.admin_url())
        try:
            yield connection
        finally:
            await connection.close()
