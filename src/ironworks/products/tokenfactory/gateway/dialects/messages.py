"""Anthropic's Messages API as callers speak it: `/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import estimate_input, parse_answer
from ironworks.products.tokenfactory.gateway.dialects import messages_native, messages_to_openai
from ironworks.products.tokenfactory.gateway.dialects.base import Answer, Api
from ironworks.products.tokenfactory.gateway.dialects.openai_to_anthropic import MESSAGES
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_count,
    read_json,
    read_metadata,
    read_model,
    read_object,
    read_objects,
    read_switch,
    read_user,
)
from ironworks.products.tokenfactory.gateway.dialects.sse import named_event
from ironworks.products.tokenfactory.gateway.dialects.usage import whole_number
from ironworks.products.tokenfactory.gateway.model import NOTHING, Call, Refusal, Usage, malformed, upstream_failed

COUNT_TOKENS = "/v1/messages/count_tokens"
ESTIMATED = b"x-ironworks-estimated: true\r\n"
"""The header line of a count that is no tokenizer's."""
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_BOUNDED = ("text", "tool_use", "thinking", "redacted_thinking")
"""Blocks whose bytes bound their tokens."""


def read_messages(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A message request. Raises Refusal."""
    call = _read(body, headers)
    payload = call.payload or {}
    call.stream = read_switch(payload, "stream")
    call.max_output = read_count(payload, "max_tokens")
    if call.max_output is None:
        raise malformed("'max_tokens' is required", "max_tokens")
    call.user = read_user(read_object(payload.get("metadata") or {}, "metadata"), "user_id")
    return call


def read_count_tokens(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A request to count a message request's input. Raises Refusal."""
    call = _read(body, headers)
    call.max_output = 0
    return call


def _read(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    payload = read_json(body, headers)
    model = read_model(payload)
    messages = read_objects(payload.get("messages"), "messages")
    if not messages:
        raise malformed("'messages' must hold at least one message", "messages")
    measured = [_measure_images(message.get("content")) for message in messages]
    return Call(
        model,
        payload,
        body,
        show_usage=True,
        images=sum(number for number, _ in measured),
        inline=sum(size for _, size in measured),
        metadata=read_metadata(headers),
    )


def _measure_images(content: object) -> tuple[int, int]:
    """(number, bytes in the request itself) of blocks that are neither text nor of tools.

    Only of images the bytes say nothing about their tokens.
    """
    number = size = 0
    for block in content if isinstance(content, list) else ():
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "tool_result":
            inner, inner_size = _measure_images(block.get("content"))
            number, size = number + inner, size + inner_size
        elif kind not in _BOUNDED:
            number += 1
            source = block.get("source") if kind == "image" else None
            data = source.get("data") if isinstance(source, dict) and source.get("type") == "base64" else None
            size += len(data) if isinstance(data, str) else 0
    return number, size


def error_body(refusal: Refusal, request_id: str) -> bytes:
    """Anthropic's error object, with our stable code besides."""
    return orjson.dumps(_error(refusal, request_id))


def error_event(refusal: Refusal, request_id: str) -> bytes:
    """The same as an event, for a stream that breaks off."""
    return named_event(_error(refusal, request_id))


def _error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    kind = _KINDS.get(refusal.status, "api_error")
    error = {"type": kind, "message": refusal.message, "code": refusal.code, "param": refusal.param}
    return {"type": "error", "error": error, "request_id": request_id}


class CountingAdapter:
    """Counting at an upstream that offers Anthropic's path for it: Anthropic, llama.cpp, vLLM."""

    path = COUNT_TOKENS

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        return orjson.dumps({**(call.payload or {}), "model": served_as}), wire.JSON

    def reader(self, call: Call) -> messages_native.MessagesReader:
        raise upstream_failed("the model server streams a count")

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        answer = parse_answer(body)
        if answer is None or whole_number(answer.get("input_tokens")) is None:
            raise upstream_failed("the model server's answer is not what was asked for")
        return Answer(body, NOTHING)

    def guess(self, call: Call, body: bytes) -> Usage:
        return NOTHING


def estimate(call: Call) -> Answer:
    """Our own count, for an upstream that cannot count; says so in a header."""
    return Answer(orjson.dumps({"input_tokens": estimate_input(call)}), NOTHING, headers=ESTIMATED)


MESSAGES_API = Api(
    MESSAGES,
    "anthropic",
    "text-generation",
    read_messages,
    {"anthropic": messages_native.ADAPTER, "openai": messages_to_openai.ADAPTER},
    error_body,
    error_event,
)
COUNT_API = Api(
    COUNT_TOKENS,
    "anthropic",
    "text-generation",
    read_count_tokens,
    {"anthropic": CountingAdapter(), "openai": CountingAdapter()},
    error_body,
    error_event,
    free=True,
    otherwise=estimate,
)
