"""From a request to an answer: limits, identity, one transaction, the envelope.

An ASGI application over the routes that `shared.http` declares. What every answer has: `x-request-id` (ours; the
caller's own is validated, kept and echoed as `x-client-request-id`), security headers, and for errors the one
envelope. Nothing here knows a domain; the authenticator is handed in.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg
import orjson
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ironworks.shared import path as paths
from ironworks.shared import telemetry
from ironworks.shared.binding import bind, read_body
from ironworks.shared.context import ANONYMOUS, Actor, Context
from ironworks.shared.db import Database, new_request_id
from ironworks.shared.errors import (
    Conflict,
    Forbidden,
    Internal,
    IronworksError,
    RateLimited,
    Unauthenticated,
    Unavailable,
    invalid,
)
from ironworks.shared.http import (
    AUTHENTICATED,
    PUBLIC,
    Authenticator,
    Call,
    DryRun,
    Raw,
    Route,
    RouteTable,
    ShownOnce,
    Stream,
)
from ironworks.shared.idempotency import Attempt, begin_attempt, check_key, keep_answer
from ironworks.shared.ratelimit import RateLimiter

log = telemetry.logger(__name__)

_CLIENT_ID = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")
HEAVY_AT_ONCE: Final = 3
"""Fewer than a process has connections."""
_SECURITY = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_REQUESTS = telemetry.counter("ironworks_api_requests_total", "Requests answered.", ("operation", "status"))
_SECONDS = telemetry.histogram("ironworks_api_request_seconds", "Time to the answer.", ("operation",))


class MethodNotAllowed(IronworksError):
    """The path exists, the method does not."""

    status, code = 405, "METHOD_NOT_ALLOWED"


class NoRoute(IronworksError):
    status, code = 404, "NOT_FOUND"


async def _nothing(call: Call, error: IronworksError) -> None:
    """The default listener for refusals."""


@dataclass(slots=True)
class Api:
    """The application.

    Args:
        changed: called after every commit that may have changed something (wakes the sequencer and the workers).
        refused: told of every 401 and 403, for the audit trail.
        body_limit: bytes.
        injected: what handlers ask for, by type; LookupError at the start where something is missing.
        heavy: what heavy routes wait for, before they take a connection.
    """

    database: Database
    table: RouteTable
    authenticate: Authenticator
    changed: Callable[[], None] = lambda: None
    refused: Callable[[Call, IronworksError], Awaitable[None]] = _nothing
    limiter: RateLimiter = field(default_factory=RateLimiter)
    body_limit: int = 1 << 20
    injected: Mapping[type, object] = field(default_factory=dict)
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HEAVY_AT_ONCE))

    def __post_init__(self) -> None:
        for route in self.table.routes:
            missing = [name for name, wanted in route.injects.items() if wanted not in self.injected]
            if missing:
                raise LookupError(f"{route.method} {route.path}: nothing was wired for {', '.join(missing)}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = _Request.of(scope)
        response = await self._answer(request, receive)
        response.headers["x-request-id"] = request.id
        if request.client_id:
            response.headers["x-client-request-id"] = request.client_id
        for name, value in _SECURITY.items():
            response.headers.setdefault(name, value)
        operation = request.route.name if request.route else "none"
        elapsed = time.perf_counter() - started
        _REQUESTS.labels(operation, str(response.status_code)).inc()
        _SECONDS.labels(operation).observe(elapsed)
        log.info(
            "request",
            request_id=request.id,
            method=request.method,
            path=request.path,
            status=response.status_code,
            ms=round(elapsed * 1000, 2),
            actor=request.actor.name,
        )
        await response(scope, receive, send)

    async def _answer(self, request: _Request, receive: Receive) -> Response:
        try:
            return await self._serve(request, receive)
        except IronworksError as error:
            return await self._refusal(request, error)
        except (
            OSError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            asyncpg.CannotConnectNowError,
        ) as error:
            log.warning("database unavailable", request_id=request.id, error=repr(error))
            return _error(Unavailable("the database does not answer; try again shortly"), request.id)
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError):
            return _error(Conflict("another request was changing the same things; try again"), request.id)
        except (asyncpg.UntranslatableCharacterError, asyncpg.CharacterNotInRepertoireError):
            return _error(invalid("body", "holds a character that cannot be stored (NUL)", "remove it"), request.id)
        except Exception:
            log.exception("unexpected failure", request_id=request.id, method=request.method, path=request.path)
            return _error(Internal("something went wrong here; tell the operator the request_id"), request.id)

    async def _serve(self, request: _Request, receive: Receive) -> Response:
        request.match(self.table)
        route = request.route
        assert route is not None
        self.limiter.spend(f"address {request.address}", anonymous=True)
        await self._identify(request, route)
        body = await read_body(receive, request.headers, self.body_limit) if route.method != "GET" else b""
        arguments = bind(route, request.values, request.query, request.headers, body) | {
            n: self.injected[t] for n, t in route.injects.items()
        }
        key = request.headers.get("idempotency-key")
        if key is None or route.method == "GET" or request.actor.uid is None:
            key = None
        elif route.calls_out:
            raise invalid("Idempotency-Key", "is not kept by this operation", "leave it out")
        else:
            check_key(key)
        headers = dict(request.headers)
        call = Call(self.database, request.actor, request.id, request.client_id, headers, request.scheme)
        if route.calls_out:
            if not _decided_later(route):
                async with call.transaction() as ctx:
                    await _permit(ctx, route, request.values)
            result = await route.handler(call=call, **arguments)
            if route.method != "GET":
                self.changed()
            return _response(route, result)
        try:
            async with self.heavy if route.heavy else nullcontext(), call.transaction() as ctx:
                await _permit(ctx, route, request.values)
                response = await _run(ctx, route, arguments, request, key, body)
        except DryRun as dry:
            return _response(route, dry.answer)
        if route.method != "GET":
            self.changed()
        return response

    async def _identify(self, request: _Request, route: Route) -> None:
        authorization = request.headers.get("authorization")
        if authorization is None and route.permission == PUBLIC:
            request.actor = replace(ANONYMOUS, address=request.address)
            return
        request.actor = await self.authenticate(self.database, authorization, request.address)
        self.limiter.spend(f"subject {request.actor.uid}")

    async def _refusal(self, request: _Request, error: IronworksError) -> Response:
        if isinstance(error, Unauthenticated | Forbidden):
            call = Call(self.database, request.actor, request.id, request.client_id)
            try:
                await self.refused(call, error)
            except Exception:
                log.exception("a refusal could not be recorded", request_id=request.id)
        return _error(error, request.id)


@dataclass(slots=True)
class _Request:
    method: str
    path: str
    query: str
    headers: Headers
    address: str
    scheme: str
    id: str
    client_id: str | None
    actor: Actor = ANONYMOUS
    route: Route | None = None
    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope) -> _Request:
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        client = scope.get("client")
        return cls(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            address=client[0] if client else "local",
            scheme=scope.get("scheme", "http"),
            id=new_request_id(),
            client_id=given if _CLIENT_ID.fullmatch(given) else None,
        )

    def match(self, table: RouteTable) -> None:
        methods, values = table.find(self.path)
        if not methods:
            raise NoRoute(f"no operation at {self.path[:200]!r}; GET /api/v1/openapi.json lists them")
        method = "GET" if self.method == "HEAD" else self.method
        self.route = methods.get(method)
        if self.route is None:
            raise MethodNotAllowed(f"{self.method} is not possible here", allowed=sorted(methods))
        self.values = dict(zip(self.route.parameters, values, strict=True))
        if self.route.scope:
            self.values["path"] = paths.parse_path(self.values["path"], "path")


def _decided_later(route: Route) -> bool:
    return route.rows_decide or route.permission in (PUBLIC, AUTHENTICATED)


async def _permit(ctx: Context, route: Route, values: dict[str, str]) -> None:
    if _decided_later(route):
        return
    if route.scope:
        await ctx.require(route.permission, values["path"])
    elif not await ctx.db.fetchval("select cardinality(shared.granted($1)) > 0", route.permission):
        raise Forbidden(f"this needs the permission {route.permission!r}", permission=route.permission)


async def _run(
    ctx: Context, route: Route, arguments: dict[str, Any], request: _Request, key: str | None, body: bytes
) -> Response:
    attempt: Attempt | None = None
    if key is not None:
        attempt = await begin_attempt(ctx, route.method, request.path, key, request.query.encode() + b"\n" + body)
        if attempt.replay is not None:
            if route.rows_decide and route.scope:
                place = request.values["path"]
                await ctx.require(route.permission, paths.join(place, request.values["name"]) if route.node else place)
            status, content = attempt.replay
            return Response(content, status, {"idempotent-replay": "true"}, "application/json")
    result = await route.handler(ctx=ctx, **arguments) if "ctx" in route.wants else await route.handler(**arguments)
    response = _response(route, result)
    if attempt is not None:
        shown_once = isinstance(result, ShownOnce)
        kept = None if shown_once else bytes(response.body)
        await keep_answer(ctx, attempt, response.status_code, kept, result.uid if shown_once else None)
    return response


def _response(route: Route, result: Any) -> Response:
    if isinstance(result, ShownOnce):
        result = result.view
    if isinstance(result, Stream):
        return StreamingResponse(result.content, route.status, media_type=result.media_type)
    if isinstance(result, Raw):
        return Response(result.content, result.status or route.status, dict(result.headers), result.media_type)
    if result is None:
        return Response(status_code=204)
    if isinstance(result, BaseModel):
        content = result.model_dump_json(by_alias=True).encode()
    else:
        content = TypeAdapter(route.returns).dump_json(result, by_alias=True)
    return Response(content, route.status, media_type="application/json")


def _error(error: IronworksError, request_id: str) -> Response:
    response = Response(
        orjson.dumps(error.envelope(request_id), default=str), error.status, media_type="application/json"
    )
    if isinstance(error, RateLimited):
        response.headers["retry-after"] = str(error.details.get("retry_after", 1))
    elif isinstance(error, Unavailable):
        response.headers["retry-after"] = "1"
    elif isinstance(error, Unauthenticated):
        response.headers["www-authenticate"] = 'Bearer realm="ironworks"'
    elif isinstance(error, MethodNotAllowed):
        response.headers["allow"] = ", ".join(error.details["allowed"])
    return response
