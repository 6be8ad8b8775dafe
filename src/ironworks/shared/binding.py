"""What a request says, bound to what an operation takes: its path, query and body, every problem told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive

from ironworks.shared.documents import problems_of, too_many
from ironworks.shared.errors import (
    IronworksError,
    TooLarge,
    Unavailable,
    field_problem,
    invalid,
)
from ironworks.shared.http import (
    Route,
)

MAX_DEPTH = 64
"""Levels of JSON; whatever walks a document may recurse this far and more."""


class UnsupportedMediaType(IronworksError):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to be, whatever Content-Length claims."""
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the body may have at most {limit} bytes", limit=limit)
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client left")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge(f"the body may have at most {limit} bytes", limit=limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


def bind(route: Route, values: Mapping[str, str], query: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """The handler's arguments; `values` are the path's. Raises Invalid with every problem of body and query."""
    arguments: dict[str, Any] = {k: v for k, v in values.items() if k in route.wants}
    problems: list[dict[str, str]] = []
    if "query" in route.wants and route.query is not None:
        try:
            arguments["query"] = route.query.model_validate(_query_values(query))
        except ValidationError as error:
            problems += problems_of(error)
    if "raw" in route.wants:
        arguments["raw"] = body
    if "body" in route.wants:
        data = _json(headers, body)
        if route.body is Any:
            arguments["body"] = data
        elif not isinstance(data, dict) and isinstance(route.body, type) and issubclass(route.body, BaseModel):
            wanted = ", ".join(f"'{name}'" for name in route.body.model_fields)
            problems.append(field_problem("body", "is no JSON object", f"send one with {wanted}"))
        else:
            try:
                arguments["body"] = TypeAdapter(route.body).validate_python(data)
            except ValidationError as error:
                problems += problems_of(error)
    if problems:
        raise too_many(problems)
    return arguments


def _query_values(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, encoding="utf-8", errors="strict")
    except ValueError:
        raise invalid("query", "is not well formed", "percent-encode UTF-8 and send at most 50 parameters") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise invalid(name[:80], "is given twice", "give it once")
        if "\x00" in value:
            raise invalid(name[:80], "holds a NUL character", "remove it")
        values[name] = value
    return values


def _json(headers: Headers, body: bytes) -> Any:
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/merge-patch+json"):
        raise UnsupportedMediaType("send JSON: content-type application/json")
    if not body:
        return {}
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(data) > MAX_DEPTH:
        raise invalid("body", f"is nested more than {MAX_DEPTH} levels deep", "make it flatter")
    if b"\\u0000" in body and _holds_nul(data):
        raise invalid("body", "holds a NUL character", "remove it")
    return data


def _depth(data: Any) -> int:
    """How deep arrays and objects are nested, looked at level by level: what walks them later may recurse."""
    depth, level = 0, [data]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _holds_nul(data: Any) -> bool:
    if isinstance(data, str):
        return "\x00" in data
    if isinstance(data, dict):
        return any(_holds_nul(k) or _holds_nul(v) for k, v in data.items())
    return isinstance(data, list) and any(map(_holds_nul, data))
