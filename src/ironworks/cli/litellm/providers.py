"""Where LiteLLM's providers are, whose API they speak, and why some cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Provider:
    """How a provider is asked.

    Args:
        url: its base address, empty where `api_base` must say it. suffix: what LiteLLM leaves out of that.
        key: the environment variable that LiteLLM takes the key from where none is given; empty where it needs none.
    """

    url: str = ""
    key: str = ""
    dialect: str = "openai"
    auth: str = "bearer"
    suffix: str = ""


PROVIDERS: Final = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "text-completion-openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "anthropic", "api_key"),
    "azure": Provider("", "AZURE_API_KEY", suffix="/openai/v1"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "codestral": Provider("https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": Provider("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Provider("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
    "perplexity": Provider("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "cerebras": Provider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": Provider("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": Provider("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "gemini": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "hosted_vllm": Provider(),
    "vllm": Provider(),
    "openai_like": Provider(),
    "custom_openai": Provider(),
    "litellm_proxy": Provider(),
    "lm_studio": Provider(),
    "llamafile": Provider(),
    "ollama": Provider(suffix="/v1"),
    "ollama_chat": Provider(suffix="/v1"),
}

REFUSED: Final = {
    "bedrock": "AWS signs each request; the gateway sends a key",
    "bedrock_converse": "AWS signs each request; the gateway sends a key",
    "sagemaker": "AWS signs each request; the gateway sends a key",
    "sagemaker_chat": "AWS signs each request; the gateway sends a key",
    "vertex_ai": "Google Cloud wants short-lived tokens; the gateway sends a key (gemini/… takes one)",
    "vertex_ai_beta": "Google Cloud wants short-lived tokens; the gateway sends a key (gemini/… takes one)",
    "watsonx": "IBM wants short-lived tokens; the gateway sends a key",
    "azure_ai": "its address depends on the model; use azure/… or openai/… with its api_base",
    "cohere": "it speaks neither OpenAI's nor Anthropic's API; use openai/… with its compatibility address",
    "cohere_chat": "it speaks neither OpenAI's nor Anthropic's API; use openai/… with its compatibility address",
    "huggingface": "its address depends on the model; use openai/… with api_base",
    "replicate": "it speaks neither OpenAI's nor Anthropic's API",
    "auto_router": "routing by meaning has no counterpart; name the model",
}

_PREFIXES: Final = (
    ("gpt-", "openai"), ("chatgpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"),
    ("text-embedding-", "openai"), ("tts-", "openai"), ("whisper-", "openai"), ("omni-moderation", "openai"),
    ("davinci-", "openai"), ("babbage-", "openai"), ("claude-", "anthropic"),
)  # fmt: skip


class Unknown(ValueError):
    """The provider cannot be asked; the message says why."""


def provider_of(params: dict[str, Any]) -> tuple[str, Provider, str]:
    """(provider's name, how it is asked, its name for the model) of `litellm_params`. Raises Unknown."""
    model = params.get("model")
    if not isinstance(model, str) or not model:
        raise Unknown("names no model that is known")
    name, slash, rest = model.partition("/")
    given = params.get("custom_llm_provider")
    if isinstance(given, str) and given:
        name, rest = given, model.removeprefix(f"{given}/")
    elif not slash:
        name, rest = _by_prefix(model), model
    if name in REFUSED:
        raise Unknown(f"provider {name!r}: {REFUSED[name]}")
    if name not in PROVIDERS:
        raise Unknown(f"provider {name!r} is not known; use openai/… with api_base if it speaks OpenAI's API")
    return name, PROVIDERS[name], rest


def _by_prefix(model: str) -> str:
    for prefix, provider in _PREFIXES:
        if model.startswith(prefix):
            return provider
    raise Unknown(f"the provider of {model!r} is not known; write it as provider/model")
