"""The contract of a console's feature: what a manifest must be, in Python and in the schema that others check by."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from ironworks.sdk import FeatureManifest, feature_schema

MANIFEST: dict[str, Any] = {
    "id": "models",
    "version": "1.2.0-rc.1+build.7",
    "display_name": "Models",
    "description": "Deploy and try models.",
    "icon": "box",
    "routes": [
        {"path": "", "page": "list", "title": "Models"},
        {"path": "deploy", "page": "deploy", "title": "Deploy", "permission": "endpoint:create"},
        {"path": "$name", "page": "detail", "title": "Model"},
    ],
    "navigation": [
        {
            "id": "models", "label": "Models", "icon": "box", "order": 10, "permission": "endpoint:read",
            "children": [
                {"id": "all", "label": "All", "route": ""},
                {"id": "new", "label": "Deploy", "route": "deploy"},
            ],
        }
    ],
    "permissions": ["endpoint:read"],
    "hooks": {"on_activate": True},
}  # fmt: skip


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MANIFEST), **fields}


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "label": name, **fields}


def test_a_manifest_has_defaults() -> None:
    manifest = FeatureManifest.model_validate(MANIFEST)
    assert (manifest.service_address, manifest.always, manifest.default_enabled) == ("/api/v1", False, True)
    assert (manifest.hooks.on_activate, manifest.hooks.on_register) == (True, False)
    jsonschema_rs.validate(feature_schema(), MANIFEST)


REFUSED_BY_BOTH: dict[str, dict[str, Any]] = {
    "id": changed(id="Models"),
    "version": changed(version="1.2"),
    "unknown": changed(script="https://evil.example/x.js"),
    "routes": changed(routes=[]),
    "path": changed(routes=[{"path": "../admin", "page": "list", "title": "x"}]),
    "absolute": changed(routes=[{"path": "/x", "page": "list", "title": "x"}]),
    "permission": changed(permissions=["everything"]),
    "service": changed(service_address="https://evil.example/api/v1"),
    "order": changed(navigation=[entry("x", route="", order=-1)]),
    "section": changed(navigation=[entry("x", route="", section="elsewhere")]),
}


@pytest.mark.parametrize("name", sorted(REFUSED_BY_BOTH))
def test_what_is_no_manifest_is_refused_here_and_by_the_schema(name: str) -> None:
    with pytest.raises(ValidationError):
        FeatureManifest.model_validate(REFUSED_BY_BOTH[name])
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(feature_schema(), REFUSED_BY_BOTH[name])


REFUSED_HERE: list[tuple[str, dict[str, Any]]] = [
    ("route 'deploy' occurs more than once", changed(routes=[*MANIFEST["routes"], MANIFEST["routes"][1]])),
    ("navigation entry 'x' occurs more than once", changed(navigation=[entry("x", route=""), entry("x", route="")])),
    ("leads nowhere", changed(navigation=[entry("x")])),
    (
        "is a child and names a section",
        changed(navigation=[entry("x", children=[entry("y", route="", section="watch")])]),
    ),
    ("no route without parameters", changed(navigation=[entry("x", route="$name")])),
    ("no route without parameters", changed(navigation=[entry("x", route="gone")])),
    (
        "more than 3 levels deep",
        changed(navigation=[entry("a", children=[entry("b", children=[entry("c", children=[entry("d", route="")])])])]),
    ),
]


@pytest.mark.parametrize(("words", "manifest"), REFUSED_HERE)
def test_what_does_not_fit_together_is_named(words: str, manifest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=words):
        FeatureManifest.model_validate(manifest)
