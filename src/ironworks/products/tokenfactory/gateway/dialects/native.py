"""OpenAI's chat completions, completions and embeddings, at an upstream that speaks the same: little is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import count_answer, is_answer, parse_answer, read_usage
from ironworks.products.tokenfactory.gateway.dialects.base import Adapter, Answer, Api
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_count,
    read_json,
    read_metadata,
    read_model,
    read_user,
    size_of_image,
)
from ironworks.products.tokenfactory.gateway.model import Call, Usage, malformed, upstream_failed
from ironworks.products.tokenfactory.gateway.stream import StreamReader, rename_model

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
_MOST_CHOICES = 128
_AFFINE_MESSAGES = 3
_AFFINE_BYTES = 16_384


class NativeAdapter:
    """OpenAI to OpenAI."""

    def __init__(self, path: str) -> None:
        self.path = path

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        payload = call.payload
        assert payload is not None
        payload["model"] = served_as
        if call.stream:
            payload["stream_options"] = {**(payload.get("stream_options") or {}), "include_usage": True}
        if max_output is not None:
            payload["max_completion_tokens" if "max_completion_tokens" in payload else "max_tokens"] = max_output
        return orjson.dumps(payload), wire.JSON

    def reader(self, call: Call) -> StreamReader:
        return StreamReader(call.model, call.show_usage)

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        answer = parse_answer(body)
        if answer is None or not is_answer(answer):
            raise upstream_failed("the model server's answer is not what was asked for")
        if answer.get("model") != call.model:
            body = rename_model(body, b'"model":' + orjson.dumps(call.model))
        return Answer(body, read_usage(answer.get("usage")))

    def guess(self, call: Call, body: bytes) -> Usage:
        return count_answer(parse_answer(body) or {}, call)


def read_chat(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A chat completion. Raises Refusal."""
    payload = read_json(body, headers)
    call = _read_common(payload, body, headers)
    call.max_output = read_count(payload, "max_completion_tokens") or read_count(payload, "max_tokens")
    messages = payload.get("messages")
    if isinstance(messages, list):
        call.images, call.inline = _measure_images(messages)
    return call


def read_completion(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A text completion: `best_of` candidates are generated though only `n` are shown. Raises Refusal."""
    payload = read_json(body, headers)
    call = _read_common(payload, body, headers)
    call.max_output = read_count(payload, "max_tokens")
    call.choices = max(call.choices, read_count(payload, "best_of", most=_MOST_CHOICES) or 1)
    prompt = payload.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        call.choices *= len(prompt)
    return call


def read_embeddings(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """Embeddings, which neither stream nor generate. Raises Refusal."""
    payload = read_json(body, headers)
    if payload.get("stream"):
        raise malformed("embeddings do not stream", "stream")
    return Call(
        read_model(payload),
        payload,
        body,
        max_output=0,
        user=read_user(payload, "user"),
        metadata=read_metadata(headers) if _has_metadata(headers) else {},
    )


def _read_common(payload: dict[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    model = read_model(payload)
    stream, show_usage = read_stream(payload)
    call = Call(model, payload, body, stream, show_usage)
    if "n" in payload:
        call.choices = read_count(payload, "n", most=_MOST_CHOICES) or 1
    if "user" in payload or "safety_identifier" in payload:
        call.user = read_user(payload, "safety_identifier", "user")
    if "metadata" in payload or _has_metadata(headers):
        call.metadata = read_metadata(headers, payload.get("metadata"))
    return call


def _has_metadata(headers: Mapping[bytes, bytes]) -> bool:
    return b"x-ironworks-metadata" in headers


def read_stream(payload: Mapping[str, Any]) -> tuple[bool, bool]:
    """(streams, shows usage) as asked. Raises Refusal."""
    stream = payload.get("stream")
    options = payload.get("stream_options")
    if stream is None or stream is False:
        if options is not None:
            raise malformed("'stream_options' needs 'stream': true", "stream_options")
        return False, False
    if stream is not True:
        raise malformed("'stream' must be true or false", "stream")
    if options is None:
        return True, False
    if not isinstance(options, dict):
        raise malformed("'stream_options' must be an object", "stream_options")
    shown = options.get("include_usage", False)
    if not isinstance(shown, bool):
        raise malformed("'stream_options.include_usage' must be true or false", "stream_options")
    return True, shown


def _measure_images(messages: list[Any]) -> tuple[int, int]:
    """(number, bytes in the request itself) of parts that are not text: images, files, sound.

    Only of images the bytes say nothing about their tokens.
    """
    number = size = 0
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") != "text":
                number += 1
                image = part.get("image_url") if part.get("type") == "image_url" else None
                size += size_of_image(image.get("url") if isinstance(image, dict) else None)
    return number, size


def affinity_of(call: Call) -> bytes:
    """What the same conversation always begins with: system prompt and first messages, or the prompt's start."""
    payload = call.payload or {}
    opening = [payload.get("system"), payload.get("instructions")]
    messages = payload.get("messages")
    if isinstance(messages, list):
        opening += messages[:_AFFINE_MESSAGES]
    else:
        opening.append(payload.get("prompt") or payload.get("input"))
    return orjson.dumps(opening)[:_AFFINE_BYTES]


def native_api(path: str, task: str, read: Any, adapters: Mapping[str, Adapter] | None = None) -> Api:
    """An OpenAI path whose OpenAI upstreams need no translation; `adapters` are those of other dialects."""
    return Api(
        path,
        "openai",
        task,
        read,
        {"openai": NativeAdapter(path), **(adapters or {})},  # type: ignore[dict-item]
        lambda refusal, _: wire.error_body(refusal),
        lambda refusal, _: wire.error_event(refusal),
    )
