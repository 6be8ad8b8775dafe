"""The list of models in the caller's dialect: Anthropic's clients say theirs by the header `anthropic-version`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from ironworks.products.tokenfactory.routing import Route
from ironworks.shared.path import show_path


def show_models(models: Sequence[tuple[str, Route]], headers: Mapping[bytes, bytes]) -> bytes:
    """All of (name, route) on one page, as `GET /v1/models` answers."""
    shown = [_show(name, route, headers) for name, route in models]
    if not is_anthropic(headers):
        return orjson.dumps({"object": "list", "data": shown})
    ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
    return orjson.dumps({"data": shown, "has_more": False, **ends})


def show_model(name: str, route: Route, headers: Mapping[bytes, bytes]) -> bytes:
    """One model, as `GET /v1/models/{name}` answers."""
    return orjson.dumps(_show(name, route, headers))


def is_anthropic(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a caller of a path that both dialects have speaks Anthropic's."""
    return b"anthropic-version" in headers


def _show(name: str, route: Route, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    if not is_anthropic(headers):
        return {"id": name, "object": "model", "created": route.created_at, "owned_by": show_path(route.scope)}
    created = datetime.fromtimestamp(route.created_at, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": created, "lifecycle": "active"}
