"""`python -m ironworks.app api`: the control API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import orjson
import uvicorn
import uvloop

from ironworks.app import operations
from ironworks.app.adapters import adapters_of
from ironworks.app.console import Build, Console
from ironworks.app.domains import Catalogue
from ironworks.app.settings import Settings
from ironworks.app.wiring import Process, open_process, run_together
from ironworks.platform import audit, console, iam
from ironworks.shared import telemetry
from ironworks.shared.catalogue_routes import catalogue_router
from ironworks.shared.errors import Forbidden, IronworksError
from ironworks.shared.http import PUBLIC, Call, Raw, Router, RouteTable
from ironworks.shared.kind_routes import OpenWatch, ReadParameters, kind_router
from ironworks.shared.openapi import openapi_document
from ironworks.shared.ratelimit import RateLimiter
from ironworks.shared.serving import Api
from ironworks.shared.watch import Watches

log = telemetry.logger(__name__)

GRANT_KINDS = ("RoleAssignment", "Role", "ApiKey", "User", "ServiceAccount", "Platform")
"""A change of one of these may change what a watcher may see."""


def main(settings: Settings, arguments: Sequence[str]) -> int | None:
    telemetry.configure(settings.log_level, "api")
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_process(settings, "api") as process:
        config = uvicorn.Config(
            await build_app(process), http="httptools", lifespan="off", log_config=None,
            access_log=False, server_header=False, date_header=True, timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 * 1024,
        )  # fmt: skip
        server = uvicorn.Server(config)
        listener = settings.listener("api")
        await run_together(server.serve(sockets=[listener]), *process.background())


async def build_app(process: Process) -> Console:
    """The API and the console's files, as browsers meet them."""
    build = Build(process.settings.console)
    api = await build_api(process, build)
    return Console(api, lambda path: bool(api.table.find(path)[0]), build, process.settings.gateway_url)


async def build_api(process: Process, build: Build | None = None) -> Api:
    """The API over this process's parts."""
    services = {"gateway": process.settings.gateway_url}
    shell = shell_of(process.catalogue, build or Build(process.settings.console), services)
    shell.mail = bool(process.settings.smtp_url)
    adapters = {**adapters_of(process.settings, process.keyring), console.Shell: shell}
    identity = adapters[iam.Identity]
    assert isinstance(identity, iam.Identity)
    watches = Watches(process.database, process.tail, grant_kinds=GRANT_KINDS)
    routers = all_routers(process.catalogue, watches.open)
    return Api(
        database=process.database,
        table=RouteTable([route for router in routers for route in router.routes]),
        authenticate=iam.BearerAuthenticator(identity),
        changed=process.changed,
        refused=_record_refusal,
        limiter=RateLimiter(process.settings.api_rate, 2.0 * process.settings.api_rate),
        injected=adapters,
    )


def shell_of(catalogue: Catalogue, built: console.BuiltFeatures, services: Mapping[str, str]) -> console.Shell:
    """What every console is told alike."""
    kinds = [
        console.ShellKind(
            kind.name, kind.plural, kind.short, kind.description, kind.schema.replace("_", ".", 1), kind.levels,
            kind.inherited, kind.node, kind.columns, kind.phases,
        )
        for kind in sorted(catalogue.kinds, key=lambda kind: kind.name)
    ]  # fmt: skip
    topics = [console.ShellTopic(topic.name, topic.permission) for topic in catalogue.topics]
    return console.Shell(version("ironworks"), kinds, topics, built, services)


def all_routers(catalogue: Catalogue, watch: OpenWatch) -> list[Router]:
    """Every route of the API: the kinds', the domains' own, and what describes the API itself."""
    routers = [
        *(kind_router(kind, watch) for kind in catalogue.kinds),
        *catalogue.routers,
        catalogue_router(list(catalogue.kinds), catalogue.topics, watch),
        operations.router,
    ]
    return [*routers, _document_router(routers)]


async def _record_refusal(call: Call, error: IronworksError) -> None:
    """Leave a trace of every 401 and 403 in the audit trail."""
    if not isinstance(error, Forbidden):
        return  # a failed login leaves its own record; a bad bearer token names nobody
    async with call.transaction() as ctx:
        await audit.record_denied(
            ctx, "permission", str(error.details.get("permission", "")), str(error.details.get("scope", "")),
            permission=error.details.get("permission"), reason=error.code,
        )  # fmt: skip


def _document_router(described: list[Router]) -> Router:
    router = Router("app.operations")
    content = b""

    @router.get("/api/v1/openapi.json", permission=PUBLIC, summary="This document.", returns=dict[str, Any])
    async def openapi(query: ReadParameters) -> Raw:
        nonlocal content
        content = content or orjson.dumps(api_document([*described, router]))
        return Raw(content)

    return router


def api_document(routers: list[Router]) -> dict[str, Any]:
    """The OpenAPI document of what is served under `/api`."""
    routes = [route for router in routers for route in router.routes if route.path.startswith("/api/")]
    return openapi_document(sorted(routes, key=lambda r: (r.path, r.method)), version("ironworks"))
