"""What a request used, in each dialect's words. OpenAI's chat usage is read by `answers.read_usage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ironworks.products.tokenfactory.gateway.model import Usage

_MOST = 2**31 - 1
_OF_THE_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def whole_number(value: object) -> int | None:
    """A plausible count of tokens; None for anything else."""
    return value if type(value) is int and 0 <= value <= _MOST else None


def read_messages_usage(usage: object) -> Usage | None:
    """Anthropic's `usage`; None when there is none or its numbers are nonsense.

    What went into the cache and what came out of it are input besides `input_tokens`.
    """
    if not isinstance(usage, dict):
        return None
    made = whole_number(usage.get("output_tokens"))
    given, written, cached = (whole_number(usage.get(name) or 0) for name in _OF_THE_INPUT)
    if made is None or given is None or written is None or cached is None:
        return None
    details = usage.get("output_tokens_details")
    thought = whole_number(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return Usage(given + written + cached, cached, made, reasoning_tokens=min(thought or 0, made))


def merge_messages_usage(begun: Mapping[str, Any], later: object) -> dict[str, Any] | None:
    """A stream's last `usage` over its first: the last one may tell the output alone. None where it tells nothing."""
    if not isinstance(later, dict):
        return None
    return {**begun, **{name: value for name, value in later.items() if value is not None}}


def write_messages_usage(usage: Usage) -> dict[str, Any]:
    """As Anthropic tells it: what came out of the cache is not among `input_tokens`."""
    told: dict[str, Any] = {
        "input_tokens": usage.input_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told


def write_chat_usage(usage: Usage) -> dict[str, Any]:
    """As chat completions tell it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": usage.input_audio_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }


def write_responses_usage(usage: Usage) -> dict[str, Any]:
    """As the Responses API tells it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
