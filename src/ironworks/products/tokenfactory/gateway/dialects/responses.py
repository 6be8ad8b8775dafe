"""OpenAI's Responses API as callers speak it.

Unlike at OpenAI, `store` is off unless it is asked for: prompts and answers are not kept here by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.dialects import responses_to_anthropic, responses_to_openai
from ironworks.products.tokenfactory.gateway.dialects.base import Api
from ironworks.products.tokenfactory.gateway.dialects.pieces import new_id
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_count,
    read_json,
    read_metadata,
    read_model,
    read_switch,
    read_text,
    read_user,
    size_of_image,
)
from ironworks.products.tokenfactory.gateway.dialects.sse import named_event
from ironworks.products.tokenfactory.gateway.model import Call, Refusal

RESPONSES = "/v1/responses"


def read_response(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A request for a response. Raises Refusal."""
    payload = read_json(body, headers)
    model = read_model(payload)
    responses_to_openai.check(payload)
    previous = payload.get("previous_response_id")
    images, inline = measure_images(payload.get("input"))
    return Call(
        model,
        payload,
        body,
        stream=read_switch(payload, "stream"),
        show_usage=True,
        max_output=read_count(payload, "max_output_tokens"),
        images=images,
        inline=inline,
        user=read_user(payload, "safety_identifier", "user"),
        metadata=read_metadata(headers, payload.get("metadata")),
        stored=read_switch(payload, "store"),
        response_id=new_id("resp_"),
        previous_id=None if previous is None else read_text(previous, "previous_response_id"),
    )


def measure_images(given: object) -> tuple[int, int]:
    """(number, bytes in the request itself) of an input's images and files.

    Only of images the bytes say nothing about their tokens.
    """
    number = size = 0
    for item in given if isinstance(given, list) else ():
        content = item.get("content") or item.get("output") if isinstance(item, dict) else None
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            number += kind in ("input_image", "input_file")
            size += size_of_image(part.get("image_url")) if kind == "input_image" else 0
    return number, size


def error_event(refusal: Refusal, request_id: str) -> bytes:
    """The event by which a stream of this API says why it breaks off; OpenAI's client looks for `error` in it."""
    error = wire.error_object(refusal)
    told: dict[str, Any] = {"type": "error", "code": refusal.code, "message": refusal.message, "param": refusal.param}
    return named_event({**told, "error": error, "sequence_number": 0})


RESPONSES_API = Api(
    RESPONSES,
    "openai",
    "text-generation",
    read_response,
    {"openai": responses_to_openai.ADAPTER, "anthropic": responses_to_anthropic.ADAPTER},
    lambda refusal, _: wire.error_body(refusal),
    error_event,
)
