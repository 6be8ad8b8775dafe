"""What a feature of the console says of itself: the one contract between the shell and every product's pages.

A manifest is data alone. The shell draws the navigation and decides who may enter from it, so a feature that may not be
used is never loaded. `contracts/feature.schema.json` is made from this module and TypeScript's types from that; a
manifest that this module refuses is built, registered and shown by nobody.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_DEPTH: Final = 3
"""Levels of navigation: an entry, its children, and theirs."""

Identifier: TypeAlias = Annotated[str, Field(max_length=63, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
Label: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
PermissionName: TypeAlias = Annotated[str, Field(max_length=128, pattern=r"^[a-z][-a-z0-9]*:[a-z][-a-z0-9]*$")]
RoutePath: TypeAlias = Annotated[
    str, Field(max_length=200, pattern=r"^[a-z0-9$][-a-z0-9_.$]*(/[a-z0-9$][-a-z0-9_.$]*)*$|^$")
]
SemanticVersion: TypeAlias = Annotated[
    str,
    Field(max_length=64, pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"),
]

NavigationSection: TypeAlias = Literal["start", "build", "watch", "money", "manage", "operate", "more"]
"""The headings of the navigation, in their order; `start` is above them and `more` below."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureRoute(_Strict):
    """An address of the console and the page behind it."""

    path: RoutePath = Field(
        description="Below the feature's own address, for instance `models/$name`, where `$name` is a parameter; empty"
        " for its first page."
    )
    page: Identifier = Field(description="The key of its component among the definition's `pages`.")
    title: Label = Field(description="Shown in the browser's tab and by the palette.")
    permission: PermissionName | None = Field(
        None, description="Who does not hold it at the current scope is shown no such page."
    )


class NavigationEntry(_Strict):
    """An entry of the shell's navigation. It leads to a route, or holds children that do."""

    id: Identifier
    label: Label
    icon: Identifier | None = Field(None, description="A name of the shell's icons; children may do without.")
    route: RoutePath | None = Field(None, description="The path of one of the feature's routes that has no parameter.")
    section: NavigationSection | None = Field(
        None, description="The heading it stands under, `more` where it names none; children stand with their entry."
    )
    order: int = Field(
        100, ge=0, le=10_000, description="Within its section, lower ones come first; among equals the label decides."
    )
    permission: PermissionName | None = Field(None, description="Who does not hold it does not see the entry.")
    children: list[NavigationEntry] = Field(default_factory=list, max_length=50)


class FeatureHooks(_Strict):
    """Which functions the definition has, so that the shell calls none in vain."""

    on_register: bool = Field(False, description="Called once, when the shell learns of the feature.")
    on_activate: bool = Field(False, description="Called when the first of its pages opens.")
    on_deactivate: bool = Field(False, description="Called when its last page is left.")


class FeatureManifest(_Strict):
    """Everything that the shell knows of a feature before it loads it."""

    id: Identifier = Field(description="Names the feature in addresses and switches; it never changes.")
    version: SemanticVersion
    display_name: Label
    description: str = Field(min_length=1, max_length=300)
    icon: Identifier = Field(description="A name of the shell's icons.")
    routes: list[FeatureRoute] = Field(min_length=1, max_length=100)
    navigation: list[NavigationEntry] = Field(default_factory=list, max_length=20)
    permissions: list[PermissionName] = Field(
        default_factory=list, max_length=50, description="Whoever holds none of them does not see the feature at all."
    )
    service_address: str = Field(
        "/api/v1", max_length=200, pattern=r"^/api/v1(/[-a-z0-9]+)*$", description="Where the API that it speaks to is."
    )
    providers: list[Identifier] = Field(
        default_factory=list, max_length=20, description="Keys of the definition's `providers`, outermost first."
    )
    hooks: FeatureHooks = FeatureHooks()
    always: bool = Field(False, description="It cannot be switched off.")
    default_enabled: bool = Field(True, description="Whether a platform has it that never switched it.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """What a schema cannot say: names that occur once, and entries that lead somewhere."""
        entries = list(_flat(self.navigation))
        for what, names in (
            ("route", [route.path for route in self.routes]),
            ("navigation entry", [entry.id for entry, _ in entries]),
        ):
            if twins := sorted(name for name, count in Counter(names).items() if count > 1):
                raise ValueError(f"{what} {twins[0]!r} occurs more than once: give each its own")
        places = {route.path for route in self.routes if "$" not in route.path}
        for entry, depth in entries:
            _check_entry(entry, depth, places)
        return self


def _check_entry(entry: NavigationEntry, depth: int, places: set[str]) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"navigation entry {entry.id!r} is more than {MAX_DEPTH} levels deep: make it flatter")
    if depth > 1 and entry.section is not None:
        raise ValueError(f"navigation entry {entry.id!r} is a child and names a section: only the topmost entry does")
    if entry.route is None and not entry.children:
        raise ValueError(f"navigation entry {entry.id!r} leads nowhere: give it a route or children")
    if entry.route is not None and entry.route not in places:
        raise ValueError(
            f"navigation entry {entry.id!r} leads to {entry.route!r}, which is no route without parameters"
        )


def _flat(entries: list[NavigationEntry], depth: int = 1) -> Iterator[tuple[NavigationEntry, int]]:
    for entry in entries:
        yield entry, depth
        yield from _flat(entry.children, depth + 1)


def feature_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a manifest, as its author writes it."""
    schema = FeatureManifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_titles(schema)}


def _without_titles(value: Any) -> Any:
    """Pydantic titles every field after its name, which says nothing and makes a type of each in TypeScript."""
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = isinstance(value.get("title"), str) and re.fullmatch(r"Feature\w+|Navigation\w+", value["title"])
    return {key: _without_titles(item) for key, item in value.items()
            if key != "title" or not isinstance(item, str) or named}  # fmt: skip
