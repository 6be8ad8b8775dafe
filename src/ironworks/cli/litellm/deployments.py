"""One entry of `model_list`: which upstream it is, with which key, and what of it has no counterpart."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ironworks.cli.litellm.lines import Config, Path
from ironworks.cli.litellm.providers import Provider, Unknown, provider_of

ENVIRONMENT: Final = "os.environ/"
_MODES: Final = frozenset(
    {"chat", "completion", "embedding", "responses", "audio_speech", "audio_transcription", "rerank", "moderation"}
)
_NO_KEYS: Final = (None, "", "none", "None", "EMPTY", "fake-key", "not-needed", "dummy")
"""What people write where an upstream asks for no key."""
_PUBLIC_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_USED: Final = frozenset(
    {"model", "api_base", "api_key", "custom_llm_provider", "rpm", "tpm", "weight", "order", "timeout",
     "stream_timeout", "max_parallel_requests"}
)  # fmt: skip
_HARMLESS: Final = {
    "api_version": "is not sent: upstreams are asked by their v1 API, which needs none",
    "drop_params": "is not needed: what an upstream cannot do is translated or refused, never dropped",
    "max_retries": "is the route's `tries` here: num_retries",
    "tags": "has no counterpart and changes nothing for callers that send none",
}
_REASONS: Final = {
    "input_cost_per_token": "prices are the operator's price book: set them there (docs: money)",
    "output_cost_per_token": "prices are the operator's price book: set them there (docs: money)",
    "mock_response": "answers are never made up",
    "litellm_credential_name": "write api_key and api_base where they are used",
    "max_budget": "a budget is on a scope, a key or a Route, not on one deployment: ironworks budgets set",
    "budget_duration": "a budget is on a scope, a key or a Route, not on one deployment: ironworks budgets set",
    "extra_headers": "a caller's and an operator's headers are not passed on",
    "headers": "a caller's and an operator's headers are not passed on",
    "organization": "headers besides the key are not sent; a project's key implies its organization",
    "model_info": "belongs beside litellm_params",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """Where an upstream's key is: a variable of the environment, or in the file. Never shown."""

    variable: str = ""
    literal: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.variable!r})" if self.variable else "Credential(…)"

    def value(self, config: Config) -> str | None:
        return self.literal or config.variable(self.variable)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One way to be answered. `model` is the provider's name for it; rates are as LiteLLM has them, per deployment."""

    path: Path
    group: str
    provider: str
    kind: Provider
    url: str
    model: str
    credential: Credential | None
    weight: int | None = None
    order: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    timeout: float | None = None
    max_parallel: int | None = None


def read_deployment(config: Config, path: Path, entry: Any) -> Deployment | None:
    """The entry at `path`, or None with the reasons in `config.problems`; some reasons are about a part of it alone."""
    params = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(params, dict) or not isinstance(entry.get("model_name"), str):
        config.refuse(path, "needs model_name and litellm_params")
        return None
    inner = (*path, "litellm_params")
    _check_rest(config, path, entry, params)
    before = len(config.problems)
    _check_name(config, path, entry["model_name"])
    _check_mode(config, path, entry)
    params = {**params, "model": _resolved(config, (*inner, "model"), params.get("model"))}
    if len(config.problems) > before and params["model"] is None:
        return None
    try:
        name, kind, model = provider_of(params)
    except Unknown as problem:
        config.refuse((*inner, "model"), str(problem))
        return None
    if not _PUBLIC_NAME.fullmatch(model):
        config.refuse((*inner, "model"), f"{model!r} cannot be a model's name here" + _about_wildcards(model))
    url = _url(config, inner, kind, params)
    deployment = Deployment(
        path=path,
        group=entry["model_name"],
        provider=name,
        kind=kind,
        url=url,
        model=model,
        credential=_credential(config, inner, kind, params),
        weight=_count(config, inner, params, "weight", least=0),
        order=_count(config, inner, params, "order", least=0),
        rpm=_count(config, inner, params, "rpm"),
        tpm=_count(config, inner, params, "tpm"),
        timeout=_seconds(config, inner, params),
        max_parallel=_count(config, inner, params, "max_parallel_requests"),
    )
    return deployment if len(config.problems) == before else None


def _check_name(config: Config, path: Path, name: str) -> None:
    if not _PUBLIC_NAME.fullmatch(name):
        reason = f"{name!r} cannot be a model's name here" + _about_wildcards(name)
        config.refuse((*path, "model_name"), reason)


def _check_mode(config: Config, path: Path, entry: dict[str, Any]) -> None:
    info = entry.get("model_info")
    mode = info.get("mode") if isinstance(info, dict) else None
    if mode is not None and mode not in _MODES:
        config.refuse((*path, "model_info", "mode"), f"{mode!r} is not offered")


def _resolved(config: Config, path: Path, value: Any) -> Any:
    """What a variable that `value` names holds; the value itself where it names none. For what is no secret."""
    if not isinstance(value, str) or not value.startswith(ENVIRONMENT):
        return value
    variable = value.removeprefix(ENVIRONMENT)
    found = config.variable(variable)
    if found is None:
        config.refuse(path, f"set {variable} in the environment: documents hold its value")
    return found


def _about_wildcards(name: str) -> str:
    return ": a route has one name; list each model" if "*" in name else ""


def _check_rest(config: Config, path: Path, entry: dict[str, Any], params: dict[str, Any]) -> None:
    inner = (*path, "litellm_params")
    for name in params:
        if name in _HARMLESS:
            config.note((*inner, name), _HARMLESS[name])
        elif name not in _USED:
            reason = _REASONS.get(name, "has no counterpart: callers send it with their requests, or it is not used")
            config.refuse((*inner, name), reason)
    if "stream_timeout" in params:
        config.note((*inner, "stream_timeout"), "a target has one timeout, until the first byte of any answer")
    for name in entry:
        if name not in ("model_name", "litellm_params", "model_info", *_USED):
            config.refuse((*path, name), "has no counterpart")
    info = entry.get("model_info")
    for name, value in info.items() if isinstance(info, dict) else ():
        if "cost" in name and value:
            config.refuse((*path, "model_info", name), _REASONS["input_cost_per_token"])
    for name in ("rpm", "tpm"):  # also understood beside litellm_params
        if name in entry:
            params.setdefault(name, entry[name])


def _url(config: Config, path: Path, kind: Provider, params: dict[str, Any]) -> str:
    given = _resolved(config, (*path, "api_base"), params.get("api_base"))
    if given is None and "api_base" in params:
        return ""
    if given is None:
        if not kind.url:
            config.refuse(path, "needs api_base")
        return kind.url
    url = str(given).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        config.refuse((*path, "api_base"), "is not a plain http or https address")
        return ""
    if _is_private(parts.hostname):
        config.note((*path, "api_base"), "is not public: the operator must allow it in IRONWORKS_PRIVATE_UPSTREAMS")
    return url if not kind.suffix or url.endswith(kind.suffix) else url + kind.suffix


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def _credential(config: Config, path: Path, kind: Provider, params: dict[str, Any]) -> Credential | None:
    given = params.get("api_key")
    if given in _NO_KEYS:
        if not kind.key or "api_base" in params:
            if given is None:
                config.note(path, "has no api_key: none is sent")
            return None
        config.note(path, f"has no api_key: {kind.key} is used, as LiteLLM does")
        return Credential(kind.key)
    if not isinstance(given, str):
        config.refuse((*path, "api_key"), "is not text; quote it")
        return None
    if given.startswith(ENVIRONMENT):
        return Credential(given.removeprefix(ENVIRONMENT))
    config.note((*path, "api_key"), "is written in the file: keep that file secret, or use os.environ/NAME")
    return Credential(literal=given)


def _count(config: Config, path: Path, params: dict[str, Any], name: str, least: int = 1) -> int | None:
    value = params.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < least:
        config.refuse((*path, name), f"must be a whole number from {least}")
        return None
    return int(value)


def _seconds(config: Config, path: Path, params: dict[str, Any]) -> float | None:
    value = params.get("timeout")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        config.refuse((*path, "timeout"), "must be a number of seconds, at most 3600")
        return None
    return float(value)
