"""Words to group sums by, and their SQL: days and months of a `day`, accounts, platforms and tenants of a `path`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ironworks.shared.errors import invalid

TIMES: Final[Mapping[str, str]] = {"day": "day", "month": "date_trunc('month', day)::date"}
PLACES: Final[Mapping[str, str]] = {
    "account": "split_part(path, '.', 1)",
    "platform": "array_to_string((string_to_array(path, '.'))[1:2], '.')",
    "tenant": "path",
}
"""A scope above the level that is asked for stands for itself."""


def check_grouping(by: Sequence[str], words: Mapping[str, str]) -> None:
    """Raises Invalid unless `by` names some of `words`, each once."""
    unknown = [word for word in by if word not in words]
    if unknown or len(set(by)) != len(by):
        problem = f"{unknown[0][:40]!r} is not there to group by" if unknown else "names a word twice"
        raise invalid("by", problem, f"use some of {', '.join(words)}, separated by commas")


def grouped_columns(by: Sequence[str], words: Mapping[str, str]) -> str:
    """The select list of `by`, each column named by its word; ends with a comma unless it is empty. Raises Invalid."""
    check_grouping(by, words)
    return "".join(f"{words[word]} as {word}, " for word in by)
