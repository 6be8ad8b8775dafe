"""What each path does, and what a request must look like before anything is admitted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

import orjson

from ironworks.products.tokenfactory.gateway import stored, wire
from ironworks.products.tokenfactory.gateway.admission import admit, authenticate, find_route, may_call, settle
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.dialects import (
    APIS,
    MESSAGES_API,
    Api,
    is_anthropic,
    show_model,
    show_models,
)
from ironworks.products.tokenfactory.gateway.exchange import Exchange
from ironworks.products.tokenfactory.gateway.model import NOTHING, Call, Refusal, body_too_large, malformed
from ironworks.products.tokenfactory.gateway.snapshot import Snapshot
from ironworks.products.tokenfactory.gateway.sources import KeyView
from ironworks.products.tokenfactory.routing import Route
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection
    from ironworks.products.tokenfactory.gateway.heads import Request

EARLY_CHECK: Final = 64 * 1024
"""A body larger than this, or of a size that is not told, is not read before its key is known to be good."""
_CLIENT_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_PASSED_ON: Final = frozenset({b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"})
"""Headers of which a proxy sends one at least."""

_API: Final = b"/v1/"
"""Below it lies all that pages may call: what monitors ask is not for them."""

Handler: TypeAlias = "Callable[[Core, ClientConnection, Request], Exchange | None]"


@dataclass(frozen=True, slots=True)
class Operation:
    """One path. `public` ones need no key."""

    path: str
    method: bytes
    handler: Handler
    public: bool = False


def check_head(core: Core, request: Request) -> bool:
    """What can be told before the body is read; whether there is one.

    Raises Refusal: for a bad id of the caller's own, too large a body, and a large one to a bad path or with a bad key.
    """
    headers = request.headers
    origin = headers.get(b"origin")
    if origin is not None and request.url.startswith(_API):
        request.echo = core.origins.lines(origin)
    given = headers.get(b"x-request-id") or headers.get(b"x-client-request-id")
    if given is not None:
        if not _CLIENT_ID.fullmatch(given):
            raise malformed("x-request-id must be 1 to 128 of letters, digits and . _ : / + = @ -", "x-request-id")
        request.client_id = given.decode()
        request.echo += b"x-client-request-id: %b\r\n" % given
    expects = headers.get(b"expect")
    length, chunked = int(headers.get(b"content-length", b"0")), b"transfer-encoding" in headers
    if (length > EARLY_CHECK or chunked or expects is not None) and not _find(request).public:
        authenticate(core.mirror.read(), headers)
    if length > core.settings.max_body:
        raise body_too_large(core.settings.max_body)
    if expects is not None and expects.lower() != b"100-continue":
        raise Refusal(417, "expectation_failed", "expect nothing but 100-continue")
    return length > 0 or chunked


def handle(core: Core, client: ClientConnection, request: Request) -> Exchange | None:
    """Serve `request`: answered at once (None), or by the Exchange that is now under way. Raises Refusal."""
    return _find(request).handler(core, client, request)


def note_refusal(core: Core, client: ClientConnection, request: Request, refusal: Refusal) -> None:
    """Tell observers of a request that was not admitted; all paths that are none have one name."""
    found = _OPERATIONS.get(request.url)
    try:
        known = core.mirror.read()
    except Refusal:
        known = None
    core.observers.refused(request, client.address, found.path if found else "other", core.now(), refusal, known)


def _find(request: Request) -> Operation:
    operation = _OPERATIONS.get(request.url) or _operation_at(_path_of(request.url), request.method)
    if operation is None:
        raise _unknown(_path_of(request.url)[:100].decode("latin-1"))
    method = request.method
    if method != operation.method and not (method == b"HEAD" and operation.method == b"GET"):
        if method == b"OPTIONS" and b"origin" in request.headers and request.url.startswith(_API):
            return _QUESTION
        allowed = operation.method.decode()
        raise Refusal(405, "method_not_allowed", f"use {allowed} here", allow=operation.method)
    return operation


def _unknown(path: str) -> Refusal:
    return Refusal(404, "unknown_url", f"unknown path {path!r}; there are {_PATHS}")


def _operation_at(path: bytes, method: bytes) -> Operation | None:
    if path.startswith(_BELOW_MODELS):
        return _ONE_MODEL
    if path.startswith(stored.BELOW):
        if path.endswith(_INPUT_ITEMS):
            return _RESPONSE_ITEMS
        return _NO_RESPONSE if method == b"DELETE" else _ONE_RESPONSE
    return _OPERATIONS.get(path)


def _path_of(url: bytes) -> bytes:
    """The path of a request target in origin or absolute form (RFC 9112, 3.2), without its query."""
    if url[:7].lower() == b"http://" or url[:8].lower() == b"https://":
        _, slash, rest = url.partition(b"//")[2].partition(b"/")
        url = slash + rest
    return url.partition(b"?")[0]


def _call(api: Api, core: Core, client: ClientConnection, request: Request) -> Exchange | None:
    """A model's work: check, admit, and send on its way; what goes on from a stored response waits for that first."""
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers, request.digest)
    request.digest = key.digest
    call = api.read(bytes(request.body), request.headers)
    request.model = call.model
    request.body = b""
    if call.stored or call.previous_id is not None:
        return _call_stored(api, core, client, request, key, call)
    return _send(api, core, client, request, snapshot, key, call)


def _call_stored(
    api: Api, core: Core, client: ClientConnection, request: Request, key: KeyView, call: Call
) -> Exchange | None:
    def send(call: Call) -> Exchange:
        snapshot = core.mirror.read()  # the key may be gone by now
        return _send(api, core, client, request, snapshot, authenticate(snapshot, request.headers), call)

    call = core.shelf.permits(call)
    if call.previous_id is None:
        return send(call)
    core.shelf.go_on(client, request, key, call, send)
    return None


def _send(
    api: Api, core: Core, client: ClientConnection, request: Request, snapshot: Snapshot, key: KeyView, call: Call
) -> Exchange:
    route = core.known_routes.get((key.digest, api.path, call.model))
    if route is None:
        route = find_route(snapshot, key, call.model)
        _check_task(api, route, call.model)
        core.remember_route(key, api.path, call.model, route)
    hold = admit(core.admission, key, route, call, free=api.free)
    try:
        exchange = Exchange(core, client, request, api, call, hold)
        exchange.begin()
    except BaseException:
        settle(core.admission, hold, NOTHING)
        raise
    return exchange


def show_refusal(request: Request, refusal: Refusal) -> bytes:
    """An error's body, in the shape of the API that was called; of what both dialects have, in the caller's."""
    api = APIS.get(_path_of(request.url)) or (MESSAGES_API if is_anthropic(request.headers) else None)
    return api.error_body(refusal, request.id) if api else wire.error_body(refusal)


def show_break(request: Request, refusal: Refusal) -> bytes:
    """The event by which a stream says why it breaks off."""
    api = APIS.get(_path_of(request.url))
    return api.error_event(refusal, request.id) if api else wire.error_event(refusal)


def _list_models(core: Core, client: ClientConnection, request: Request) -> None:
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers)
    permits = core.limiter.permits
    models = [
        (name, route)
        for name, route in snapshot.routes.names(key.scope)
        if may_call(key, route) and permits(key, route)
    ]
    core.metrics.refused(MODELS, 200)
    client.respond(request, 200, show_models(models, request.headers))


def _get_model(core: Core, client: ClientConnection, request: Request) -> None:
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers)
    name = unquote(_path_of(request.url)[len(_BELOW_MODELS) :].decode("latin-1"))
    route = find_route(snapshot, key, name)
    core.limiter.require_permitted(key, route, name)
    core.metrics.refused(MODELS, 200)
    client.respond(request, 200, show_model(name, route, request.headers))


def _get_response(core: Core, client: ClientConnection, request: Request) -> None:
    core.shelf.show(client, request, _reader_of(core, request), _response_id(request))


def _get_response_items(core: Core, client: ClientConnection, request: Request) -> None:
    query = request.url.partition(b"?")[2].decode("latin-1")
    core.shelf.show_items(client, request, _reader_of(core, request), _response_id(request), query)


def _delete_response(core: Core, client: ClientConnection, request: Request) -> None:
    core.shelf.delete(client, request, _reader_of(core, request), _response_id(request))


def _reader_of(core: Core, request: Request) -> KeyView:
    """The key of a caller who may have to do with its scope's stored responses. Raises Refusal."""
    key = authenticate(core.mirror.read(), request.headers)
    request.digest = key.digest
    if not key.invoke_scopes:
        raise Refusal(403, "permission_denied", "this key may not call models", kind="permission_error")
    return key


def _response_id(request: Request) -> str:
    path = _path_of(request.url).removeprefix(stored.BELOW).removesuffix(_INPUT_ITEMS)
    return unquote(path.decode("latin-1"))


def _show_health(core: Core, client: ClientConnection, request: Request) -> None:
    """200 while requests can be served. `draining` is told so that a balancer looks elsewhere in time."""
    problems = core.problems()
    state = {"status": "unavailable" if problems else "ok", "problems": problems}
    client.respond(request, 503 if problems else 200, orjson.dumps(state))


def _show_dependencies(core: Core, client: ClientConnection, request: Request) -> None:
    """What is wrong with what this process depends on, and what it does meanwhile; 200 as long as it serves.

    To who is not on this machine only reasons are told.
    """
    core.health.look()
    status = 503 if core.health.status == "unavailable" else 200
    client.respond(request, status, orjson.dumps(core.health.document(detailed=_is_local(client, request))))


def _permit(core: Core, client: ClientConnection, request: Request) -> None:
    """What a browser asks before a page's call: it shows no key, and nobody else is asked."""
    client.respond(request, 200, b"", b"text/plain", core.origins.permit(request.headers))


def _is_local(client: ClientConnection, request: Request) -> bool:
    """Whether it was sent on this machine, and not only passed on here by a proxy for somebody else."""
    if not _PASSED_ON.isdisjoint(request.headers):
        return False
    return not client.address or ip_address(client.address).is_loopback


def _show_metrics(core: Core, client: ClientConnection, request: Request) -> None:
    """For scrapers on this machine; to anybody else the path does not exist."""
    if not _is_local(client, request):
        raise _unknown("/metrics")
    client.respond(request, 200, core.metrics.render(), telemetry.CONTENT_TYPE.encode())


MODELS = "/v1/models"
_PATHS = ", ".join([MODELS, *(api.path for api in APIS.values())])
_BELOW_MODELS = f"{MODELS}/".encode()
_ONE_MODEL = Operation(MODELS, b"GET", _get_model)
_INPUT_ITEMS = b"/input_items"
_ONE_RESPONSE = Operation(stored.RESPONSE, b"GET", _get_response)
_RESPONSE_ITEMS = Operation(stored.RESPONSE, b"GET", _get_response_items)
_QUESTION = Operation("/v1", b"OPTIONS", _permit, public=True)
_NO_RESPONSE = Operation(stored.RESPONSE, b"DELETE", _delete_response)


def _check_task(api: Api, route: Route, model: str) -> None:
    """Raises Refusal for a model that is for something else: its replicas could only fail."""
    task = route.task
    if task is not None and api.task is not None and task != api.task:
        raise Refusal(
            400, "model_not_supported", f"the model {model!r} is for {task}: {api.path} is not for it", param="model"
        )


_OPERATIONS: Final = {
    operation.path.encode(): operation
    for operation in (
        *(Operation(api.path, b"POST", partial(_call, api)) for api in APIS.values()),
        Operation(MODELS, b"GET", _list_models),
        Operation("/healthz", b"GET", _show_health, public=True),
        Operation("/health", b"GET", _show_dependencies, public=True),
        Operation("/metrics", b"GET", _show_metrics, public=True),
    )
}
