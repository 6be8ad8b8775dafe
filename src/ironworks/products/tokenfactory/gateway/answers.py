"""What a replica's answer says: its usage, our own count where it tells none, and its errors in the caller's terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from ironworks.products.tokenfactory.gateway.model import Call, Refusal, Usage, unavailable, upstream_failed

BYTES_PER_TOKEN: Final = 4
"""A common tokenizer's mean on English text and JSON; used only where the upstream's figure never came."""
TOKENS_OF_AN_IMAGE: Final = 1_000
"""A common model's count for a large one; its bytes say nothing about it."""
_MOST: Final = 2**31 - 1
_LONGEST: Final = 1000
"""Characters of an upstream's words that are passed on."""
_NO_DETAILS: dict[str, int] = {}
_ABOUT_THE_REQUEST: Final = frozenset({400, 409, 413, 415, 422})
"""Statuses that are the caller's business; an upstream's others are between it and us."""
_CANNOT_READ: Final = re.compile(r"(?:image|audio|video) input is not supported\b")
"""How llama.cpp's server says under a 500 that its model takes text alone."""
_NOT_GENERATED: Final = frozenset({"role", "finish_reason", "id", "type", "object", "index", "logprobs"})


def parse_answer(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object, or None."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def is_answer(answer: Mapping[str, Any] | None) -> bool:
    """Whether it is a completion or a list of embeddings, and no error under a 200."""
    return (
        answer is not None
        and not answer.get("error")
        and (isinstance(answer.get("choices"), list) or isinstance(answer.get("data"), list))
    )


def status_of(status: int, answer: Mapping[str, Any] | None) -> int:
    """An upstream's status, or 400 where it says that it failed for what is the caller's doing: no fault of its own."""
    return 400 if status == 500 and _CANNOT_READ.match(_message(answer) or "") else status


def refusal_of(status: int, answer: Mapping[str, Any] | None, conceal: Callable[[str], str]) -> Refusal:
    """An upstream's error status in the caller's terms. Its words are passed on only if about the request."""
    if status in _ABOUT_THE_REQUEST:
        said = conceal(_message(answer) or "the model server refused the request")
        return Refusal(status, "invalid_request", said[:_LONGEST])
    if status == 501:
        return Refusal(400, "unsupported_operation", "this model does not offer this operation", param="model")
    if status in (429, 529):  # the latter is how Anthropic says that it is overloaded
        message = "the model server has too much to do; try again shortly"
        return Refusal(429, "model_overloaded", message, kind="rate_limit_error", retry_after=1)
    if status == 503:
        return unavailable("model_not_ready", "the model server is not ready; try again shortly", 2)
    return upstream_failed(f"the model server failed with status {status}")


def _message(answer: Mapping[str, Any] | None) -> str | None:
    error = answer.get("error") if answer else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else None


def conceal(text: str, secret: str | None, inner: str, outer: str) -> str:
    """An upstream's words without the credential that we showed it, and under the model's public name."""
    if secret:
        text = text.replace(secret, "***")
    if inner != outer:
        text = re.sub(rf"(?<![\w./-]){re.escape(inner)}(?![\w/-]|\.\w)", lambda _: outer, text)
    return text


def read_usage(usage: object) -> Usage | None:
    """The `usage` object of an answer or of a stream's chunk; None when there is none or its numbers are nonsense.

    A missing output (embeddings have none) is zero; cached, reasoning and audio tokens are clamped to their whole.
    """
    if not isinstance(usage, dict):
        return None
    given = _number(usage.get("prompt_tokens"))
    made = _number(usage.get("completion_tokens", 0))
    if given is None or made is None:
        return None
    if "prompt_tokens_details" not in usage and "completion_tokens_details" not in usage:
        return Usage(given, 0, made)
    asked = _details(usage, "prompt_tokens_details")
    told = _details(usage, "completion_tokens_details")
    return Usage(
        given,
        min(asked.get("cached_tokens", 0), given),
        made,
        False,
        min(told.get("reasoning_tokens", 0), made),
        min(asked.get("audio_tokens", 0), given),
        min(told.get("audio_tokens", 0), made),
    )


def _details(usage: Mapping[str, Any], name: str) -> dict[str, int]:
    """The whole numbers of a breakdown; what is none, or absurd, is left out."""
    details = usage.get(name)
    if not isinstance(details, dict):
        return _NO_DETAILS
    return {part: value for part, value in details.items() if _number(value) is not None}


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def guess_tokens(size: int) -> int:
    """Tokens in `size` bytes, rounded up."""
    return -(-size // BYTES_PER_TOKEN)


def estimate_input(call: Call) -> int:
    """Tokens of a request's input by its size; what is no text counts by pieces."""
    return guess_tokens(max(0, len(call.body) - call.inline)) + TOKENS_OF_AN_IMAGE * call.images


def count_answer(answer: Mapping[str, Any], call: Call) -> Usage:
    """Our own count for an answer that came without usage: by the size of the request and of what was generated."""
    choices = answer.get("choices")
    made = sum(_text_size(choice) for choice in choices) if isinstance(choices, list) else 0
    return Usage(estimate_input(call), 0, guess_tokens(made), counted=True)


def _text_size(value: object) -> int:
    """Bytes of all text below `value`, apart from words that are not generated (`role`, `finish_reason`, …)."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, list):
        return sum(map(_text_size, value))
    if isinstance(value, dict):
        return sum(_text_size(inner) for name, inner in value.items() if name not in _NOT_GENERATED)
    return 0
