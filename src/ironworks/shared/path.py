"""Paths: the names of scopes. `acme.shop.eu` is tenant `eu` of platform `shop` of account `acme`.

The operator's scope is the empty path, written `-` in URLs, files and the command line. A tree has at most 8 levels.
"""

from __future__ import annotations

import re

from ironworks.shared.errors import invalid

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
MAX_LEVELS = 8
OPERATOR = ""


def parse_path(text: str, field: str = "scope") -> str:
    """The stored form of a path as people write it: `-` becomes the empty path.

    Raises Invalid, naming `field`, when a label or the depth is wrong.
    """
    if text in ("-", ""):
        return OPERATOR
    labels = text.split(".")
    if len(labels) > MAX_LEVELS:
        raise invalid(field, f"a path has at most {MAX_LEVELS} levels", "shorten it")
    for label in labels:
        check_label(label, field)
    return text


def check_label(label: str, field: str = "metadata.name") -> str:
    """`label` itself when it is a valid name; raises Invalid otherwise."""
    if not LABEL.fullmatch(label):
        shown = label if len(label) <= 80 else label[:77] + "..."
        raise invalid(
            field,
            f"{shown!r} is not a valid name",
            "use 1 to 63 of a-z, 0-9 and '-', not beginning or ending with '-'",
        )
    return label


def show_path(path: str) -> str:
    """The written form: the empty path becomes `-`."""
    return path or "-"


def join(path: str, label: str) -> str:
    """The path of a child."""
    return f"{path}.{label}" if path else label


def parent(path: str) -> str:
    """The path above; the operator's scope is its own parent."""
    return path.rpartition(".")[0]


def level(path: str) -> int:
    """0 operator, 1 account, 2 platform, 3 and more tenant."""
    return path.count(".") + 1 if path else 0


def covers(upper: str, lower: str) -> bool:
    """Whether `lower` is `upper` or lies below it."""
    return not upper or lower == upper or lower.startswith(upper + ".")
