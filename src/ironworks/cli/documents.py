"""Files with resources: YAML or JSON, several documents each, folders, standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from ironworks.sdk import Kinds


class PlainLoader(yaml.SafeLoader):
    """YAML as JSON has it: a moment stays the text that was written, as in YAML 1.2."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(files: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every document of the given files (`-`: standard input; a folder: its .yaml, .yml and .json files).

    Usage error that names the file and the line for anything that is not a resource.
    """
    documents = []
    for name, text in _texts(files):
        try:
            for number, document in enumerate(yaml.load_all(text, PlainLoader), 1):
                documents += _resources(document, f"{name}, document {number}")
        except yaml.YAMLError as problem:
            raise click.UsageError(f"{name}: {_where(problem)}") from None
    if not documents:
        raise click.UsageError("there is no resource in what was given")
    return documents


def in_order(documents: list[dict[str, Any]], kinds: Kinds) -> list[dict[str, Any]]:
    """What others live in or refer to comes first; otherwise as given."""
    ranks = kinds.order()

    def rank(document: dict[str, Any]) -> tuple[int, int]:
        kind = kinds.find(str(document.get("kind", "")))
        scope = str((document.get("metadata") or {}).get("scope") or "")
        return (ranks.get(kind.name, 999) if kind else 999, scope.count("."))

    return sorted(documents, key=rank)


def _texts(files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for file in files:
        if file == "-":
            yield "standard input", sys.stdin.read()
            continue
        path = Path(file)
        found = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
        for each in found:
            try:
                yield str(each), each.read_text()
            except (OSError, UnicodeDecodeError) as problem:
                raise click.UsageError(f"{each}: {getattr(problem, 'strerror', None) or 'is not text'}") from None


def _resources(document: Any, where: str) -> list[dict[str, Any]]:
    if document is None:
        return []
    if isinstance(document, dict) and "items" in document and "kind" not in document:
        return [r for item in document["items"] for r in _resources(item, where)]
    if not isinstance(document, dict) or "kind" not in document:
        raise click.UsageError(f"{where}: not a resource; it needs api_version, kind, metadata and spec")
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise click.UsageError(
            f"{where}: holds something that JSON cannot; use text, numbers, lists, objects"
        ) from None
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise click.UsageError(f"{where}: metadata.name is missing or not text (quote it if it looks like a number)")
    return [document]


def _where(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(problem, "problem", None) or problem)
