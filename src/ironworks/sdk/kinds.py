"""Kinds as the API describes them, found by any of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KindInfo:
    """One kind; see `GET /api/v1/kinds`."""

    name: str
    plural: str
    short: str
    description: str
    levels: tuple[str, ...]
    inherited: bool
    node: bool
    columns: tuple[str, ...]
    references: dict[str, str]
    spec_schema: dict[str, Any]

    def names(self) -> set[str]:
        """Every spelling: `ModelRegistry`, `model-registries`, `modelregistry`, `mr`."""
        plain = {
            self.name,
            self.plural,
            self.short,
            f"{self.short}s" if self.short else "",
            self.plural.replace("-", ""),
        }
        return {n.lower() for n in plain if n}


class Kinds:
    """All kinds of one API."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.all = [
            KindInfo(
                i["name"], i["plural"], i["short"], i["description"], tuple(i["levels"]), i["inherited"], i["node"],
                tuple(i["columns"]), i["references"], i["spec_schema"],
            )
            for i in items
        ]  # fmt: skip

    def find(self, word: str) -> KindInfo | None:
        """By name, plural or short form, in any case; also with hyphens (`api-key`)."""
        wanted = word.lower()
        for kind in self.all:
            if wanted in kind.names() or wanted.replace("-", "").replace("_", "") in {
                kind.name.lower(),
                kind.plural.replace("-", ""),
            }:
                return kind
        return None

    def order(self) -> dict[str, int]:
        """Kind name → rank, such that what others live in or refer to comes first; equals may keep their order."""
        levels = ("operator", "account", "platform", "tenant")
        ranks = {k.name: min(map(levels.index, k.levels)) for k in self.all if k.node}
        rest = [k for k in self.all if not k.node]
        rank = len(levels)
        while rest:
            free = [k for k in rest if all(t in ranks or t == k.name for t in k.references.values())] or rest
            ranks.update(dict.fromkeys((k.name for k in free), rank))
            rest = [k for k in rest if k not in free]
            rank += 1
        return ranks
