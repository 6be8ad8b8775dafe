"""What each path does, and what a request must look like before anything is admitted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import orjson

from ironworks.products.tokenfactory.gateway.admission import admit, authenticate, find_target, settle
from ironworks.products.tokenfactory.gateway.core import Core
from ironworks.products.tokenfactory.gateway.exchange import Exchange
from ironworks.products.tokenfactory.gateway.model import NOTHING, Refusal, malformed
from ironworks.products.tokenfactory.routing import Target
from ironworks.shared import telemetry

if TYPE_CHECKING:
    from ironworks.products.tokenfactory.gateway.client import ClientConnection, Request

MAX_MODEL_NAME = 512
_CLIENT_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")

Handler: TypeAlias = "Callable[[Core, ClientConnection, Request], Exchange | None]"


@dataclass(frozen=True, slots=True)
class Operation:
    """One path. `public` ones need no key."""

    path: str
    method: bytes
    handler: Handler
    public: bool = False


def check_head(core: Core, request: Request, *, early: bool) -> None:
    """Before the body: the caller's own id, and with `early` that path and key are good. Raises Refusal."""
    given = request.headers.get(b"x-request-id") or request.headers.get(b"x-client-request-id")
    if given is not None:
        if not _CLIENT_ID.fullmatch(given):
            raise malformed("x-request-id must be 1 to 128 of letters, digits and . _ : / + = @ -", "x-request-id")
        request.client_id = given.decode()
    if early and not _find(request).public:
        authenticate(core.mirror.read(), request.headers.get(b"authorization"))


def handle(core: Core, client: ClientConnection, request: Request) -> Exchange | None:
    """Serve `request`: answered at once (None), or by the Exchange that is now under way. Raises Refusal."""
    return _find(request).handler(core, client, request)


def label(request: Request) -> str:
    """The operation's name in metrics; one word for everything that is none."""
    found = _OPERATIONS.get(request.url)
    return found.path if found else "other"


def _find(request: Request) -> Operation:
    operation = _OPERATIONS.get(request.url) or _operation_at(_path_of(request.url))
    if operation is None:
        shown = _path_of(request.url)[:100].decode("latin-1")
        raise Refusal(404, "unknown_url", f"unknown path {shown!r}; the API is below /v1")
    method = request.method
    if method != operation.method and not (method == b"HEAD" and operation.method == b"GET"):
        allowed = operation.method.decode()
        raise Refusal(405, "method_not_allowed", f"use {allowed} here", allow=operation.method)
    return operation


def _operation_at(path: bytes) -> Operation | None:
    return _ONE_MODEL if path.startswith(_BELOW_MODELS) else _OPERATIONS.get(path)


def _path_of(url: bytes) -> bytes:
    """The path of a request target in origin or absolute form (RFC 9112, 3.2), without its query."""
    if url[:7].lower() == b"http://" or url[:8].lower() == b"https://":
        _, slash, rest = url.partition(b"//")[2].partition(b"/")
        url = slash + rest
    return url.partition(b"?")[0]


def _complete(path: str, core: Core, client: ClientConnection, request: Request) -> Exchange:
    """Chat completions, completions and embeddings: check, admit, and send on its way."""
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers.get(b"authorization"))
    payload = _read_json(request)
    model = _read_model(payload)
    stream, show_usage = _read_stream(payload, path)
    hold = admit(core.admission, snapshot, key, model)
    try:
        _check_task(path, hold.target, model)
        payload["model"] = hold.target.served_as
        exchange = Exchange(core, client, request, hold, path, orjson.dumps(payload), stream, show_usage)
        exchange.begin()
    except BaseException:
        settle(core.admission, hold, NOTHING)
        raise
    request.body = b""
    return exchange


def _read_json(request: Request) -> dict[str, Any]:
    if b"content-encoding" in request.headers:
        raise Refusal(415, "unsupported_encoding", "send the body uncompressed")
    content_type = request.headers.get(b"content-type", b"application/json")
    if not content_type.lower().startswith(b"application/json"):
        raise Refusal(415, "unsupported_media_type", "send the body as application/json")
    try:
        payload = orjson.loads(request.body)
    except orjson.JSONDecodeError as problem:
        raise malformed(f"the body is not valid JSON: {problem}") from None
    if not isinstance(payload, dict):
        raise malformed("the body must be a JSON object")
    return payload


def _read_model(payload: dict[str, Any]) -> str:
    model = payload.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_NAME:
        raise malformed(f"'model' must be a text of 1 to {MAX_MODEL_NAME} characters", "model")
    return model


def _read_stream(payload: dict[str, Any], path: str) -> tuple[bool, bool]:
    """(streams, shows usage) as asked; makes `payload` ask the replica for usage in any case."""
    stream = payload.get("stream")
    if stream is None or stream is False:
        if payload.pop("stream_options", None) is not None:
            raise malformed("'stream_options' needs 'stream': true", "stream_options")
        return False, False
    if stream is not True or path == EMBEDDINGS:
        raise malformed(
            "'stream' must be true or false" if path != EMBEDDINGS else "embeddings do not stream", "stream"
        )
    options = payload.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise malformed("'stream_options' must be an object", "stream_options")
    shown = (options or {}).get("include_usage", False)
    if not isinstance(shown, bool):
        raise malformed("'stream_options.include_usage' must be true or false", "stream_options")
    payload["stream_options"] = {**(options or {}), "include_usage": True}
    return True, shown


def _list_models(core: Core, client: ClientConnection, request: Request) -> None:
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers.get(b"authorization"))
    models = [
        _show_model(name, target) for name, target in snapshot.routes.names(key.scope) if key.may_invoke(target.scope)
    ]
    core.metrics.refused(MODELS, 200)
    client.respond(request, 200, orjson.dumps({"object": "list", "data": models}))


def _get_model(core: Core, client: ClientConnection, request: Request) -> None:
    snapshot = core.mirror.read()
    key = authenticate(snapshot, request.headers.get(b"authorization"))
    name = unquote(_path_of(request.url)[len(_BELOW_MODELS) :].decode("latin-1"))
    target = find_target(snapshot, key, name)
    core.metrics.refused(MODELS, 200)
    client.respond(request, 200, orjson.dumps(_show_model(name, target)))


def _show_model(name: str, target: Target) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": target.created_at, "owned_by": target.scope}


def _show_health(core: Core, client: ClientConnection, request: Request) -> None:
    """200 while requests can be served. `draining` is told so that a balancer looks elsewhere in time."""
    problems = core.problems()
    state = {"status": "unavailable" if problems else "ok", "problems": problems}
    client.respond(request, 503 if problems else 200, orjson.dumps(state))


def _show_metrics(core: Core, client: ClientConnection, request: Request) -> None:
    """For scrapers on this machine; to anybody else the path does not exist."""
    if client.address and not ip_address(client.address).is_loopback:
        raise Refusal(404, "unknown_url", "unknown path '/metrics'; the API is below /v1")
    client.respond(request, 200, core.metrics.render(), telemetry.CONTENT_TYPE.encode())


MODELS = "/v1/models"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
_BELOW_MODELS = f"{MODELS}/".encode()
_ONE_MODEL = Operation(MODELS, b"GET", _get_model)
_TASKS = {CHAT: "text-generation", COMPLETIONS: "text-generation", EMBEDDINGS: "text-embedding"}


def _check_task(path: str, target: Target, model: str) -> None:
    """Raises Refusal for a model that is for something else: its replicas could only fail."""
    if target.task not in (None, _TASKS[path]):
        raise Refusal(
            400, "model_not_supported", f"the model {model!r} is for {target.task}: {path} is not for it", param="model"
        )


def _model_route(path: str) -> Operation:
    def handler(core: Core, client: ClientConnection, request: Request) -> Exchange:
        return _complete(path, core, client, request)

    return Operation(path, b"POST", handler)


_OPERATIONS = {
    operation.path.encode(): operation
    for operation in (
        _model_route(CHAT),
        _model_route(COMPLETIONS),
        _model_route(EMBEDDINGS),
        Operation(MODELS, b"GET", _list_models),
        Operation("/healthz", b"GET", _show_health, public=True),
        Operation("/metrics", b"GET", _show_metrics, public=True),
    )
}
