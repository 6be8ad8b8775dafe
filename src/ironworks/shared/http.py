"""Routes: declared in a domain's `routes.py`, each with the permission it needs, bound by their parameters' names.

    router = Router("platform.storage")

    @router.post("/api/v1/scopes/{path}/buckets/{name}:grant", permission="bucket:grant")
    async def grant(ctx: Context, path: str, name: str, body: GrantRequest) -> GrantView:
        return GrantView.of(await service.grant_access(ctx, path, name, body.subject))

A handler's parameters are found by name: `ctx` (one transaction for the whole request) or `call` (for a handler marked
`calls_out`, which opens its own short ones), `body` and `query` (Pydantic models, or `Any` for the bare JSON), `raw`
(the body's bytes, where they are signed), the path's placeholders as text; any other parameter is injected by
`app.wiring`, by its type. It answers a Pydantic model, None (204), `Raw`, or `Stream`. A route without a permission
cannot be declared.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel

from ironworks.shared.context import Actor, Context
from ironworks.shared.db import Database

PUBLIC: Final = "public"
"""Anyone, without a credential."""
AUTHENTICATED: Final = "authenticated"
"""Any subject with a valid credential; the use case asks for more itself."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
H = TypeVar("H", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that pass through as they are."""

    content: bytes
    media_type: str = "application/json"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes as they come; the request's transaction is over before the first."""

    content: AsyncIterator[bytes]
    media_type: str = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ShownOnce:
    """A view that holds a secret shown this once: never stored for an idempotent replay, which names `uid` instead."""

    view: BaseModel
    uid: str


class DryRun(Exception):
    """Carries an answer out of a transaction that is then rolled back."""

    def __init__(self, answer: Raw) -> None:
        super().__init__("dry run")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose use case calls out: it opens one transaction for the intent and one for the outcome."""

    database: Database
    actor: Actor
    request_id: str
    client_request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "http"
    """How the caller reached us; of a proxy on this machine, what it says."""

    def transaction(self) -> AbstractAsyncContextManager[Context]:
        """A transaction as the caller."""
        return self.database.transaction(self.actor, self.request_id, self.client_request_id)

    async def ask(self, query: str, *args: Any) -> Any:
        """The one value that `query`, which only reads, gives to the caller."""
        return await self.database.ask(self.actor, query, *args)


class Authenticator(Protocol):
    """Tells who presents a credential; `platform.iam` is one. Raises Unauthenticated."""

    async def __call__(self, db: Database, authorization: str | None, address: str) -> Actor: ...


@dataclass(frozen=True, slots=True)
class Route:
    """One API operation.

    Args:
        permission: `<resource>:<action>`, PUBLIC or AUTHENTICATED.
        rows_decide: the permission is enforced by row-level security and the resource engine, not before the handler.
        calls_out: the handler takes `call`, and no transaction is opened for it.
        heavy: it may read for seconds; a few of these run at a time, so that short requests find a connection.
        node: what `{path}` and `{name}` name is itself a scope, and the permission is asked at it.
        rehearsal: what a dry run answers, with 200, where that is not what `returns` says.
        streams: the media type of the stream that may be answered.
        files: media types of files that may be answered instead.
    """

    method: Method
    path: str
    handler: Callable[..., Any]
    permission: str
    domain: str
    status: int = 200
    summary: str = ""
    rows_decide: bool = False
    calls_out: bool = False
    heavy: bool = False
    node: bool = False
    name: str = ""
    body: Any = None
    accepts: Any = None
    """What the API document says of the body, where the handler takes bare JSON."""
    query: type[BaseModel] | None = None
    returns: Any = None
    rehearsal: Any = None
    streams: str = ""
    files: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    wants: frozenset[str] = frozenset()
    injects: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that are wired by type."""

    @property
    def scope(self) -> str | None:
        return "path" if "path" in self.parameters else None


_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PERMISSION = re.compile(r"[a-z][a-z-]*:[a-z][a-z-]*")


class Router:
    """The routes of one domain. `app.wiring` collects them."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.routes: list[Route] = []

    def add(self, method: Method, path: str, handler: Callable[..., Any], *, permission: str, **options: Any) -> Route:
        """Declare one route; raises TypeError at import for anything that could not be bound or checked later."""
        if permission not in (PUBLIC, AUTHENTICATED) and not _PERMISSION.fullmatch(permission or ""):
            raise TypeError(f"{method} {path}: {permission!r} is not a permission")
        hints = typing.get_type_hints(handler)
        wants = list(inspect.signature(handler).parameters)
        placeholders = tuple(_PLACEHOLDER.findall(path))
        injects = {n: hints.get(n) for n in wants if n not in ("ctx", "call", "body", "query", "raw", *placeholders)}
        if not all(isinstance(wanted, type) for wanted in injects.values()):
            raise TypeError(f"{method} {path}: nothing to give to {', '.join(sorted(injects))}")
        if ("call" in wants) != bool(options.get("calls_out")):
            raise TypeError(f"{method} {path}: `call` goes with calls_out=True, `ctx` without")
        route = Route(
            method=method,
            path=path,
            handler=handler,
            permission=permission,
            domain=self.domain,
            name=options.pop("name", handler.__name__),
            summary=options.pop("summary", "") or (inspect.getdoc(handler) or "").partition("\n")[0],
            body=options.pop("body", hints.get("body")),
            query=options.pop("query", hints.get("query")),
            returns=options.pop("returns", hints.get("return")),
            parameters=placeholders,
            wants=frozenset(wants),
            injects=injects,
            **options,
        )
        self.routes.append(route)
        return route

    def _verb(self, method: Method, path: str, permission: str, options: dict[str, Any]) -> Callable[[H], H]:
        def mark(handler: H) -> H:
            self.add(method, path, handler, permission=permission, **options)
            return handler

        return mark

    def get(self, path: str, *, permission: str, **options: Any) -> Callable[[H], H]:
        return self._verb("GET", path, permission, options)

    def post(self, path: str, *, permission: str, **options: Any) -> Callable[[H], H]:
        return self._verb("POST", path, permission, options)

    def put(self, path: str, *, permission: str, **options: Any) -> Callable[[H], H]:
        return self._verb("PUT", path, permission, options)

    def patch(self, path: str, *, permission: str, **options: Any) -> Callable[[H], H]:
        return self._verb("PATCH", path, permission, options)

    def delete(self, path: str, *, permission: str, **options: Any) -> Callable[[H], H]:
        return self._verb("DELETE", path, permission, options)


class RouteTable:
    """Finds the route of a request by walking its segments; `…/{name}:apply` differs from `…/{name}` by its verb.

    Raises ValueError when two routes claim one method and path.
    """

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._root: dict[str, Any] = {}
        for route in routes:
            node = self._root
            *segments, last = route.path.strip("/").split("/")
            for segment in segments:
                node = node.setdefault("{}" if segment.startswith("{") else segment, {})
            stem, _, verb = last.partition(":")
            node = node.setdefault("{}" if stem.startswith("{") else stem, {})
            methods: dict[str, Route] = node.setdefault(f":{verb}", {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is owned by {methods[route.method].domain} already")
            methods[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], list[str]]:
        """The routes at `path` by method (empty when there is none), and its placeholders' values in order."""
        node = self._root
        values: list[str] = []
        *segments, last = path.strip("/").split("/")
        stem, _, verb = last.rpartition(":") if ":" in last else (last, "", "")
        for segment in [*segments, stem]:
            if segment in node and not segment.startswith((":", "{")):
                node = node[segment]
            elif "{}" in node and segment:
                values.append(segment)
                node = node["{}"]
            else:
                return {}, []
        return node.get(f":{verb}", {}), values
