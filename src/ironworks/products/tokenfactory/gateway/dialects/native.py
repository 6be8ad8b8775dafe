"""OpenAI's chat completions, completions and embeddings, at an upstream that speaks the same: little is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
_LIMITS: Final = ("max_completion_tokens", "max_tokens", "n_predict")
"""What servers take an answer's limit by. Which of several one goes by is not known: the largest is held to."""
_NAMED_NEWLY: Final = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-[5-9])")
"""OpenAI's own reasoning models refuse `max_tokens`; many other servers know nothing else."""
_CHOICES: Final = ("n", "best_of", "n_cmpl")
_MOST_CHOICES: Final = 128
_AFFINE_MESSAGES: Final = 3
_AFFINE_BYTES: Final = 16_384


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
        return orjson.dumps(limited(payload, served_as, max_output)), wire.JSON

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


def limited(payload: dict[str, Any], served_as: str, limit: int | None) -> dict[str, Any]:
    """`payload` for a completion of no more than `limit` tokens, by each name that limits it, or by the server's."""
    if limit is None:
        return payload
    given = {name: min(payload[name], limit) for name in _LIMITS if payload.get(name) is not None}
    return payload | (given or {"max_completion_tokens" if _NAMED_NEWLY.match(served_as) else "max_tokens": limit})


def read_chat(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A chat completion. Raises Refusal."""
    payload = read_json(body, headers)
    call = _read_common(payload, body, headers)
    messages = payload.get("messages")
    if isinstance(messages, list):
        call.images, call.inline = _measure_images(messages)
    return call


def read_completion(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A text completion, or one for each of several prompts. Raises Refusal."""
    payload = read_json(body, headers)
    call = _read_common(payload, body, headers)
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
    for name in _LIMITS:
        if name in payload:
            call.max_output = max(read_count(payload, name) or 0, call.max_output or 0) or None
    for name in _CHOICES:  # candidates are generated though not all are shown
        if name in payload:
            call.choices = max(read_count(payload, name, most=_MOST_CHOICES) or 1, call.choices)
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
