"""What this domain registers, and the engines that every installation has."""

from __future__ import annotations

from typing import Any, Final

from ironworks.shared.declarations import Declarations

DECLARATIONS = Declarations()

LLAMACPP_VERSION: Final = "2026.10"


def _number(description: str, low: float, high: float, default: float | None = None) -> dict[str, Any]:
    """An argument between `low` and `high`; an integer when all three are."""
    whole = not any(isinstance(each, float) for each in (low, high, default))
    kind = "integer" if whole else "number"
    return {"type": kind, "description": description, "minimum": low, "maximum": high, "default": default}


def _choice(description: str, *values: str, default: str | None = None) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": list(values), "default": default}


_CACHE_TYPES: Final = ("f32", "f16", "q8_0", "q4_0")
_LLAMACPP_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "ctx_size": _number(
        "Context in tokens, shared by the requests served at once; 0 takes the model's own.", 0, 1_048_576, 0
    ),
    "parallel": _number("Requests that one replica serves at once; more wait.", 1, 64, 4),
    "batch_size": _number("Most tokens of a prompt that are taken in at once.", 32, 16_384, 2048),
    "ubatch_size": _number("Most tokens that are computed in one go.", 32, 16_384, 512),
    "n_predict": _number(
        "Most tokens of an answer when the request sets no limit; -1 is none.", -1, 1_048_576, 2048
    ),
    "chat_template": {
        "type": "string",
        "maxLength": 32_768,
        "description": "Name or text of the chat template, when the model's own is not wanted.",
    },
    "pooling": _choice(
        "How an embedding model makes one vector of many; the model's own when left out.",
        "none", "mean", "cls", "last", "rank",
    ),
    "flash_attention": _choice("Fused attention.", "auto", "on", "off", default="auto"),
    "cache_type_k": _choice("Precision of cached keys.", *_CACHE_TYPES, default="f16"),
    "cache_type_v": _choice("Precision of cached values.", *_CACHE_TYPES, default="f16"),
    "cache_prompt": {
        "type": "boolean",
        "default": True,
        "description": "Reuse the prefix that a prompt shares with an earlier one.",
    },
    "cache_ram_mib": _number("Memory for prompts of earlier requests, in MiB.", 0, 65_536, 64),
    "rope_freq_base": _number("RoPE base frequency; the model's own when left out.", 0.0, 1e9),
    "rope_freq_scale": _number("RoPE frequency scale; the model's own when left out.", 0.0, 1e3),
    "seed": _number("Seed when the request has none.", 0, 4_294_967_295),
    "temperature": _number("When the request has none.", 0.0, 2.0, 0.8),
    "top_k": _number("When the request has none.", 0, 100_000, 40),
    "top_p": _number("When the request has none.", 0.0, 1.0, 0.95),
    "min_p": _number("When the request has none.", 0.0, 1.0, 0.05),
    "repeat_penalty": _number("When the request has none.", 0.0, 10.0, 1.0),
}  # fmt: skip


def builtins() -> list[dict[str, Any]]:
    """Manifests that `ironworks up` applies in the operator's scope."""
    version = {
        "version": LLAMACPP_VERSION,
        "runtime": "llamacpp",
        "supported_tasks": ["text-generation", "text-embedding", "text-rerank"],
        "values_schema": {"type": "object", "properties": _LLAMACPP_ARGUMENTS},
        "capabilities": {"playground": {"enabled": True, "modes": ["chat", "embedding"]}},
    }
    return [
        {
            "api_version": "v1",
            "kind": "Engine",
            "metadata": {"name": "llama-cpp", "scope": "-", "display_name": "llama.cpp"},
            "spec": {"versions": [version]},
        }
    ]
