"""The whole configuration as resources: ExternalEndpoints, Routes over them, Limits and a Budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from ironworks.cli.litellm.deployments import Credential, Deployment, read_deployment
from ironworks.cli.litellm.lines import Config, Path, entries
from ironworks.cli.litellm.settings import Settings, read_settings

MASK: Final = "***"
"""Stands where a credential belongs: the API refuses it as a new credential, so it cannot go unnoticed."""
MAX_WEIGHT: Final = 1000
_MAX_MODELS: Final = 200


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a document's credential goes, and where it comes from."""

    document: dict[str, Any]
    credential: Credential

    def fill(self, config: Config) -> bool:
        """Put it in its place; whether it was found."""
        value = self.credential.value(config)
        if value:
            self.document["spec"]["upstreams"][0]["auth"]["credential"] = value
        return bool(value)


@dataclass(slots=True)
class Converted:
    """Documents in an order that they can be applied in, and the credentials that belong in them."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)

    def leave_out(self, external: str) -> None:
        """Do without an external endpoint: what leads to it alone goes too."""
        gone: set[str] = set()
        for document in self.documents:
            if document["kind"] == "Route":
                targets = [each for each in document["spec"]["targets"] if each["external"] != external]
                document["spec"]["targets"] = targets
                gone |= set() if targets else {document["spec"]["model"]}
        self.documents = [each for each in self.documents if not _leads_to(each, external, gone)]


def _leads_to(document: dict[str, Any], external: str, models: set[str]) -> bool:
    spec = document["spec"]
    if document["kind"] == "ExternalEndpoint":
        return bool(document["metadata"]["name"] == external)
    return spec.get("model") in models or spec.get("route") in models


def convert(config: Config, scope: str) -> Converted:
    """Everything that can be taken over, for `scope`; what cannot is in `config.problems`, what differs in `notes`."""
    settings = read_settings(config)
    listed = entries(config, ("model_list",), config.values["model_list"])
    deployments = [found for path, entry in listed if (found := read_deployment(config, path, entry)) is not None]
    deployments = [replace(each, max_parallel=each.max_parallel or settings.max_parallel) for each in deployments]
    made = Converted()
    names = Names()
    places = _make_externals(made, deployments, names, scope)
    groups: dict[str, list[Deployment]] = {}
    for each in deployments:
        groups.setdefault(each.group, []).append(each)
    for route in _routes(config, settings, groups, places):
        made.documents.append(_document("Route", names.take("Route", route["model"]), scope, route))
    for name, spec in _limits(config, settings, groups):
        made.documents.append(_document("Limit", names.take("Limit", name), scope, spec))
    if settings.budget is not None:
        amount, period = settings.budget
        made.documents.append(_document("Budget", "all", scope, {"amount": amount, "period": period}))
    return made


class Names:
    """Resource names: what a text leaves of letters, digits and hyphens, each once for a kind."""

    def __init__(self) -> None:
        self._taken: set[tuple[str, str]] = set()

    def take(self, kind: str, text: str) -> str:
        stem = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:56].strip("-") or "model"
        name, number = stem, 1
        while (kind, name) in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add((kind, name))
        return name


def _document(kind: str, name: str, scope: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"api_version": "v1", "kind": kind, "metadata": {"name": name, "scope": scope}, "spec": spec}


# --- external endpoints ----------------------------------------------------------------------------------------------

Place = tuple[str, str, Credential | None, int]
"""(dialect, address, credential, number): what one external endpoint stands for; it holds so many models."""


def _make_externals(made: Converted, deployments: Sequence[Deployment], names: Names, scope: str) -> dict[Path, str]:
    """One for each address and credential; returns where each deployment went."""
    documents: dict[Place, dict[str, Any]] = {}
    places: dict[Path, str] = {}
    for each in deployments:
        number = 0
        while (document := documents.get(_place(each, number))) is not None and _is_full(document, each.model):
            number += 1
        if document is None:
            document = documents[_place(each, number)] = _external(each, names, scope)
            made.documents.append(document)
            if each.credential is not None:
                made.secrets.append(Secret(document, each.credential))
        document["spec"]["upstreams"][0]["model_mapping"][each.model] = each.model
        places[each.path] = document["metadata"]["name"]
    return places


def _place(each: Deployment, number: int) -> Place:
    return each.kind.dialect, each.url, each.credential, number


def _is_full(document: dict[str, Any], model: str) -> bool:
    mapping = document["spec"]["upstreams"][0]["model_mapping"]
    return len(mapping) >= _MAX_MODELS and model not in mapping


def _external(each: Deployment, names: Names, scope: str) -> dict[str, Any]:
    host = (urlsplit(each.url).hostname or "").removeprefix("api.")
    stem = each.provider if each.url == each.kind.url else f"{each.provider}-{host.split('.')[0]}"
    auth = {"type": each.kind.auth, **({"credential": MASK} if each.credential is not None else {})}
    upstream: dict[str, Any] = {"name": "main", "url": each.url, "dialect": each.kind.dialect, "auth": auth}
    upstream["model_mapping"] = {}
    return _document("ExternalEndpoint", names.take("ExternalEndpoint", stem), scope, {"upstreams": [upstream]})


# --- routes ----------------------------------------------------------------------------------------------------------


def _routes(
    config: Config, settings: Settings, groups: dict[str, list[Deployment]], places: dict[Path, str]
) -> Iterator[dict[str, Any]]:
    """The spec of every Route: one for each model's name, then for each other name of one."""
    aliases = {alias: target for _, alias, target in settings.aliases}
    fallbacks = _fallbacks(config, settings, groups, aliases)
    for group, deployments in groups.items():
        yield _route(config, settings, group, deployments, [groups[name] for name in fallbacks.get(group, [])], places)
    for path, alias, target in settings.aliases:
        if target not in groups:
            config.refuse(path, f"there is no model {target!r} that could be taken over")
        elif alias in groups:
            config.refuse(path, f"{alias!r} is also the name of a model")
        else:
            if any(each.rpm or each.tpm for each in groups[target]):
                config.note(path, f"calls by this name are not counted by the limit of {target!r}")
            others = [groups[name] for name in fallbacks.get(alias, fallbacks.get(target, []))]
            yield _route(config, settings, alias, groups[target], others, places)


def _fallbacks(
    config: Config, settings: Settings, groups: dict[str, list[Deployment]], aliases: dict[str, str]
) -> dict[str, list[str]]:
    """Model → the models that take over, in order."""
    found: dict[str, list[str]] = {}
    for path, model, others in settings.fallbacks:
        if model not in groups and model not in aliases:
            config.refuse(path, f"there is no model {model!r} that could be taken over")
        for other in others:
            _add_fallback(config, path, found.setdefault(model, []), aliases.get(other, other), groups)
    for path, other in settings.everywhere:
        for model in groups:
            if aliases.get(other, other) != model:
                _add_fallback(config, path, found.setdefault(model, []), aliases.get(other, other), groups)
    return found


def _add_fallback(config: Config, path: Path, into: list[str], model: str, groups: dict[str, list[Deployment]]) -> None:
    if model not in groups:
        config.refuse(path, f"there is no model {model!r} that could be taken over")
    elif model not in into:
        into.append(model)


def _route(
    config: Config, settings: Settings, name: str, deployments: Sequence[Deployment],
    fallbacks: Sequence[Sequence[Deployment]], places: dict[Path, str],
) -> dict[str, Any]:  # fmt: skip
    strategy = settings.strategy
    ordered = sorted(deployments, key=lambda each: each.order if each.order is not None else 10**9)
    if any(each.order is not None for each in deployments) or (len(deployments) == 1 and fallbacks):
        strategy = "ordered_fallback"
    weights = _weights(ordered) if strategy == "weighted" else [1] * len(ordered)
    targets = [_target(each, weight, settings, places) for each, weight in zip(ordered, weights, strict=True)]
    reserve = 1 if strategy == "ordered_fallback" else 0
    targets += [_target(each, reserve, settings, places) for group in fallbacks for each in group]
    if reserve == 0 and len(fallbacks) > 1:
        where = deployments[0].path
        config.note(where, f"the fallbacks of {name!r} are all asked when nothing else is left, in no order")
    tries = settings.tries or 3
    spec: dict[str, Any] = {"model": name, "strategy": strategy, "tries": min(10, max(tries, len(fallbacks) + 1))}
    if settings.cache_seconds is not None:
        spec["cache"] = {"ttl_seconds": settings.cache_seconds}
    return {**spec, "targets": targets}


def _target(each: Deployment, weight: int, settings: Settings, places: dict[Path, str]) -> dict[str, Any]:
    target: dict[str, Any] = {"external": places[each.path], "model": each.model}
    if weight != 1:
        target["weight"] = weight
    if (timeout := each.timeout or settings.timeout) is not None:
        target["timeout_seconds"] = timeout
    if each.max_parallel:
        target["max_concurrency"] = each.max_parallel
    return target


def _weights(deployments: Sequence[Deployment]) -> list[int]:
    """As LiteLLM's simple-shuffle: by weight, else by requests per minute, else by tokens per minute, else alike."""
    for given in ([d.weight for d in deployments], [d.rpm for d in deployments], [d.tpm for d in deployments]):
        if any(given):
            most = max(each or 0 for each in given)
            scale = min(1.0, MAX_WEIGHT / most)
            return [max(1, round(each * scale)) if each else 0 for each in given]
    return [1] * len(deployments)


# --- limits ----------------------------------------------------------------------------------------------------------


def _limits(
    config: Config, settings: Settings, groups: dict[str, list[Deployment]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for group, deployments in groups.items():
        spec: dict[str, Any] = {}
        for field_name, given in (
            ("requests_per_minute", [each.rpm for each in deployments]),
            ("tokens_per_minute", [each.tpm for each in deployments]),
        ):
            counts = [each for each in given if each is not None]
            if counts and len(counts) == len(given):
                spec[field_name] = sum(counts)
            elif counts:
                where = deployments[0].path
                config.note(where, f"{group!r} has a rate on some deployments only: {field_name} is not limited")
        if spec:
            yield group, {"route": group, **spec}
    if settings.concurrency is not None:
        yield "all", {"concurrency": settings.concurrency}
