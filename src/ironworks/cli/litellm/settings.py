"""What becomes of LiteLLM's settings, each by its name: used, needless here, or refused with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from ironworks.cli.litellm.lines import Config, Path, entries

STRATEGIES: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least_loaded",
    "latency-based-routing": "lowest_latency",
    "cost-based-routing": "lowest_cost",
    "usage-based-routing": "least_loaded",
    "usage-based-routing-v2": "least_loaded",
}
PERIODS: Final = {
    "1d": "day", "24h": "day", "daily": "day", "7d": "week", "1w": "week", "weekly": "week",
    "30d": "month", "31d": "month", "1mo": "month", "1m": "month", "monthly": "month",
}  # fmt: skip

_OURS: Final = "is how LiteLLM runs itself; Ironworks has settings of its own (docs: settings)"
_HEALTH: Final = "is not needed: upstreams that fail are set aside and tried again by themselves (docs: routing)"
_USED: Final = {
    "router_settings": {
        "routing_strategy", "num_retries", "timeout", "fallbacks", "default_fallbacks", "model_group_alias",
    },
    "litellm_settings": {
        "num_retries", "request_timeout", "fallbacks", "default_fallbacks", "cache", "cache_params", "max_budget",
        "budget_duration",
    },
    "general_settings": {
        "master_key", "max_budget", "budget_duration", "global_max_parallel_requests", "max_parallel_requests",
    },
}  # fmt: skip
_NEEDLESS: Final = {
    "router_settings": {
        **dict.fromkeys(("redis_host", "redis_port", "redis_password", "redis_url", "redis_db", "redis_ssl"), _OURS),
        **dict.fromkeys(("allowed_fails", "cooldown_time", "retry_after", "disable_cooldowns"), _HEALTH),
        "retry_policy": _HEALTH,
        "routing_strategy_args": "is not needed: strategies have no arguments here",
        "enable_pre_call_checks": "is not needed: what a target cannot do is refused before it is asked",
        "set_verbose": _OURS, "debug_level": _OURS, "stream_timeout": "is not used: see `timeout`",
    },
    "litellm_settings": {
        **dict.fromkeys(("set_verbose", "json_logs", "telemetry", "turn_off_message_logging"), _OURS),
        **dict.fromkeys(("allowed_fails", "cooldown_time"), _HEALTH),
        "drop_params": "is not needed: what an upstream cannot do is translated or refused, never dropped",
        "modify_params": "is not needed: requests are translated between dialects, never changed otherwise",
        "success_callback_batch_size": _OURS, "ssl_verify": "is not used: certificates are always checked",
        "return_response_headers": "is not needed: they are always told",
    },
    "general_settings": {
        **dict.fromkeys(
            ("database_url", "database_connection_pool_limit", "database_connection_timeout",
             "store_prompts_in_spend_logs", "salt_key", "proxy_batch_write_at", "disable_spend_logs", "ui_access_mode",
             "background_health_checks", "health_check_interval", "disable_error_logs", "use_redis_transaction_buffer",
             "disable_master_key_return", "proxy_budget_rescheduler_min_time", "proxy_budget_rescheduler_max_time"),
            _OURS,
        ),
        "store_model_in_db": "what was added in LiteLLM's own pages is in its database, and not in this file",
    },
}  # fmt: skip
_CALLBACKS: Final = "callbacks have no counterpart: read the usage API, events or OTLP traces instead"
_REASONS: Final = {
    "callbacks": _CALLBACKS, "success_callback": _CALLBACKS, "failure_callback": _CALLBACKS,
    "service_callback": _CALLBACKS, "audit_log_callbacks": _CALLBACKS,
    "context_window_fallbacks": "a fallback for long prompts only has no counterpart: add the model to `fallbacks`",
    "content_policy_fallbacks": "a fallback for refused prompts only has no counterpart",
    "optional_pre_call_checks": "has no counterpart; for prompt caches set strategy: prefix_affine on the Route",
    "provider_budget_config": "budgets are on scopes, keys and Routes: ironworks budgets set",
    "default_team_settings": "teams are tenants here: make them, and their limits and budgets",
    "default_internal_user_params": "users and their budgets are made one by one: ironworks keys, budgets",
    "default_key_generate_params": "keys are made one by one: ironworks keys create",
    "upperbound_key_generate_params": "set a Limit or a Budget above the keys instead",
    "max_internal_user_budget": "set a Budget on the tenant or the key instead",
    "max_end_user_budget": "an end user has limits, and no budget: ironworks limits set --per end_user",
    "custom_provider_map": "custom code is not run",
    "custom_auth": "custom code is not run: keys are Ironworks' own",
    "custom_key_generate": "custom code is not run: keys are Ironworks' own",
    "pass_through_endpoints": "paths outside the API are not passed through",
    "alerting": "alerts come from budgets' thresholds, events and metrics",
    "enable_jwt_auth": "the gateway takes API keys alone",
    "allowed_ips": "addresses are filtered in front of the gateway",
    "key_management_system": "credentials are in Ironworks' vault",
}  # fmt: skip
_SECTIONS: Final = {
    "guardrails": "guardrails have no counterpart", "mcp_servers": "tools of MCP servers have no counterpart",
    "callback_settings": _CALLBACKS, "credential_list": "write api_key and api_base where they are used",
    "include": "give the other files by themselves", "prompts": "stored prompts have no counterpart",
    "vector_store_registry": "vector stores have no counterpart", "files_settings": "has no counterpart",
    "finetune_settings": "has no counterpart", "assistant_settings": "has no counterpart",
    "search_tools": "has no counterpart",
}  # fmt: skip
_KNOWN_SECTIONS: Final = {"model_list", "environment_variables", *_USED}


@dataclass(slots=True)
class Settings:
    """What is used of them. `fallbacks` and `aliases`: (where it stands, model, others)."""

    strategy: str = "weighted"
    tries: int | None = None
    timeout: float | None = None
    cache_seconds: float | None = None
    concurrency: int | None = None
    max_parallel: int | None = None
    budget: tuple[str, str] | None = None
    fallbacks: list[tuple[Path, str, list[str]]] = field(default_factory=list)
    everywhere: list[tuple[Path, str]] = field(default_factory=list)
    aliases: list[tuple[Path, str, str]] = field(default_factory=list)


def read_settings(config: Config) -> Settings:
    """Everything but the models; what cannot be taken over is in `config.problems`."""
    for name in config.values:
        if name not in _KNOWN_SECTIONS:
            config.refuse((name,), _SECTIONS.get(name, "is not known"))
    for section, used in _USED.items():
        for name in config.section(section):
            _look_at(config, section, name, name in used)
    found = Settings()
    router, module, general = (config.section(name) for name in _USED)
    _read_strategy(config, router, found)
    _read_tries(config, router, module, found)
    _read_fallbacks(config, found)
    _read_aliases(config, router, found)
    _read_cache(config, module, found)
    for section, values in (("litellm_settings", module), ("general_settings", general)):
        _read_budget(config, section, values, found)
    if "master_key" in general:
        config.note(("general_settings", "master_key"), "is not taken over: make keys with `ironworks keys create`")
    found.concurrency = _positive(config, ("general_settings", "global_max_parallel_requests"), general)
    found.max_parallel = _positive(config, ("general_settings", "max_parallel_requests"), general)
    return found


def _look_at(config: Config, section: str, name: str, used: bool) -> None:
    path = (section, name)
    if used:
        return
    if name in _NEEDLESS[section]:
        config.note(path, _NEEDLESS[section][name])
    elif config.section(section)[name] not in (None, False, [], {}):
        config.refuse(path, _REASONS.get(name, "has no counterpart"))


def _read_strategy(config: Config, router: dict[str, Any], found: Settings) -> None:
    path, given = ("router_settings", "routing_strategy"), router.get("routing_strategy", "simple-shuffle")
    if given not in STRATEGIES:
        config.refuse(path, f"{given!r} has no counterpart; use one of {', '.join(STRATEGIES)}")
        return
    found.strategy = STRATEGIES[given]
    if given.startswith("usage-based"):
        config.note(path, "becomes least_loaded: by requests in flight, not by tokens of the last minute")


def _read_tries(config: Config, router: dict[str, Any], module: dict[str, Any], found: Settings) -> None:
    for section, values in (("router_settings", router), ("litellm_settings", module)):
        retries = _positive(config, (section, "num_retries"), values, least=0)
        if retries is not None and found.tries is None:
            found.tries = min(10, retries + 1)
    for section, values, name in (
        ("router_settings", router, "timeout"),
        ("litellm_settings", module, "request_timeout"),
    ):
        seconds = _positive(config, (section, name), values)
        if seconds is not None and found.timeout is None:
            found.timeout = float(min(seconds, 3600))
            config.note((section, name), "counts until the first byte of an answer; a stream may last longer")


def _read_fallbacks(config: Config, found: Settings) -> None:
    for section in ("router_settings", "litellm_settings"):
        values = config.section(section)
        for path, item in entries(config, (section, "fallbacks"), values.get("fallbacks") or []):
            for model, others in item.items() if isinstance(item, dict) else ():
                names = others if isinstance(others, list) else [others]
                if not all(isinstance(name, str) for name in names):
                    config.refuse(path, "a fallback must be a model's name")
                elif model == "*":
                    found.everywhere += [(path, name) for name in names]
                else:
                    found.fallbacks.append((path, model, names))
            if not isinstance(item, dict):
                config.refuse(path, "must be a mapping from a model to a list of others")
        for path, name in entries(config, (section, "default_fallbacks"), values.get("default_fallbacks") or []):
            found.everywhere.append((path, str(name)))


def _read_aliases(config: Config, router: dict[str, Any], found: Settings) -> None:
    path = ("router_settings", "model_group_alias")
    given = router.get("model_group_alias") or {}
    if not isinstance(given, dict):
        config.refuse(path, "is not a mapping")
        return
    for alias, target in given.items():
        if isinstance(target, dict):
            if target.get("hidden"):
                config.note((*path, alias), "is listed by /v1/models: a route cannot be hidden")
            target = target.get("model")
        if isinstance(target, str):
            found.aliases.append(((*path, alias), alias, target))
        else:
            config.refuse((*path, alias), "must name a model")


def _read_cache(config: Config, module: dict[str, Any], found: Settings) -> None:
    if module.get("cache") is not True:
        return
    path, given = ("litellm_settings", "cache_params"), module.get("cache_params") or {}
    kind = str(given.get("type", "local")) if isinstance(given, dict) else "?"
    if "semantic" in kind or not isinstance(given, dict):
        config.refuse(path, "a cache by meaning has no counterpart: only exactly equal requests are answered again")
        return
    if given.get("mode") == "default_off":
        config.note(path, "callers cannot switch the cache on; it stays off")
        return
    seconds = _positive(config, (*path, "ttl"), given)
    found.cache_seconds = float(min(seconds or 300, 604_800))
    config.note(path, "becomes `cache` of every Route: for each tenant by itself, in the memory of each process")


def _read_budget(config: Config, section: str, values: dict[str, Any], found: Settings) -> None:
    amount, duration = values.get("max_budget"), values.get("budget_duration")
    if amount is None:
        return
    path = (section, "max_budget")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not math.isfinite(amount) or amount < 0:
        config.refuse(path, "must be an amount")
        return
    period = "total" if duration is None else PERIODS.get(str(duration).lower())
    if period is None:
        known = "1d, 7d or 30d"
        config.refuse((section, "budget_duration"), f"{duration!r} is no day, week or month; use {known}")
        return
    if duration is not None:
        config.note((section, "budget_duration"), f"becomes the calendar {period} in UTC, whenever the budget began")
    found.budget = (f"{amount:.9f}".rstrip("0").rstrip("."), period)


def _positive(config: Config, path: Path, values: dict[str, Any], least: int = 1) -> int | None:
    value = values.get(str(path[-1]))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        config.refuse(path, f"must be a number from {least}")
        return None
    return math.ceil(value)
