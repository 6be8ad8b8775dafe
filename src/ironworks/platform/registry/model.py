"""What an entry of the registry is, and how the use of an unusable one fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ironworks.shared.declarations import CATEGORIES, Category, Declaration, Declarations
from ironworks.shared.errors import Conflict, Invalid, invalid

MANAGE: Final = "registry:manage"
READ: Final = "registry:read"

# Without these an operator could not take a switch back.
ALWAYS_ENABLED: Final = frozenset(
    {
        ("permission", MANAGE),
        ("audit_action", "registry.entry.enable"),
        ("audit_action", "registry.entry.disable"),
        ("event_class", "platform.registry.entry_switched.v1"),
    }
)


class UnknownEntry(Invalid):
    """No domain of this installation declares it."""

    code = "UNKNOWN_REGISTRY_ENTRY"


class DisabledEntry(Conflict):
    """It is declared, and an operator switched it off or its domain withdrew it."""

    code = "DISABLED_REGISTRY_ENTRY"


@dataclass(frozen=True, slots=True)
class Entry:
    """One declared word.

    Args:
        source: the domain that declares it (`platform.metering`).
        version: counts the changes of this entry, the operator's switch included.
        declared: false once its domain has withdrawn it.
    """

    category: Category
    name: str
    source: str
    version: int
    body: dict[str, Any]
    enabled: bool
    declared: bool
    updated_at: datetime

    @property
    def usable(self) -> bool:
        return self.enabled and self.declared


@dataclass(frozen=True, slots=True)
class EntryVersion:
    """What an entry said from `registry_version` on."""

    version: int
    registry_version: int
    body: dict[str, Any]
    enabled: bool
    declared: bool
    changed_at: datetime


def parse_category(text: str) -> Category:
    """`text` as a category; raises Invalid, naming the categories there are."""
    for category in CATEGORIES:
        if category == text:
            return category
    raise invalid("category", f"{text!r} is not a category", f"use one of {', '.join(CATEGORIES)}")


def collect_declared(
    declared: Iterable[tuple[str, Declarations]],
) -> dict[tuple[Category, str], tuple[str, Declaration]]:
    """Every declaration by (category, name), with its source.

    Raises ValueError when two sources, or one source twice, declare the same word: one of them would win by chance.
    """
    found: dict[tuple[Category, str], tuple[str, Declaration]] = {}
    for source, declarations in declared:
        for declaration in declarations:
            key = (declaration.category, declaration.name)
            if key in found:
                raise ValueError(f"{key[0]} {key[1]!r} is declared by {found[key][0]} and again by {source}")
            found[key] = (source, declaration)
    return found


def check_may_disable(category: Category, name: str) -> None:
    """Raises Conflict for the entries that switching back on depends on."""
    if (category, name) in ALWAYS_ENABLED:
        raise Conflict(f"{category} {name!r} cannot be disabled: it is needed to enable it again")
