"""Secret fields of a spec: taken out on the way in, `***` on the way out.

The stored spec holds `***` wherever a secret is set, so what is read needs no masking; the values live in the vault
under a pointer: `auth.password`, or `upstreams[eu].credential` where `eu` is the element's key field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ironworks.shared.errors import Invalid, field_problem
from ironworks.shared.kind import MASK, Kind


def take_secrets(kind: Kind, spec: dict[str, Any], stored: dict[str, Any] | None) -> tuple[dict[str, str], list[str]]:
    """Replace every secret in `spec` by `***`, in place.

    Returns the new values by pointer, and the pointers of stored secrets that `spec` no longer has. A `***` in `spec`
    keeps what is stored. Raises Invalid where nothing is stored, or where a field that says where the secret is sent
    has changed: whoever may edit the address must not thereby receive the secret.
    """
    before = {p: (holder, name) for p, holder, name, _ in _places(kind, stored or {}) if holder.get(name)}
    values: dict[str, str] = {}
    places = list(_places(kind, spec))
    problems = _told_apart(pointer for pointer, *_ in places)
    seen = set()
    for pointer, holder, name, sent_to in places:
        value = holder.get(name)
        if value is None or value == "":
            continue
        seen.add(pointer)
        if value != MASK:
            values[pointer] = str(value)
            holder[name] = MASK
        elif pointer not in before:
            problems.append(
                field_problem(f"spec.{pointer}", f"{MASK} stands for a stored secret; there is none", "give the value")
            )
        else:
            old_holder = before[pointer][0]
            moved = [f for f in sent_to if holder.get(f) != old_holder.get(f)]
            if moved:
                problems.append(
                    field_problem(
                        f"spec.{pointer}",
                        f"{', '.join(moved)} changed, which says where it is sent",
                        "give the secret again",
                    )
                )
    if problems:
        raise Invalid("; ".join(f"{p['field']}: {p['problem']}" for p in problems), fields=problems)
    return values, sorted(set(before) - seen)


def _told_apart(pointers: Iterable[str]) -> list[dict[str, str]]:
    """A problem for each two elements with one key: the secret of one would be taken for the other's."""
    return [
        field_problem(f"spec.{pointer}", "another element has the same key", "give each element a key of its own")
        for pointer, times in Counter(pointers).items()
        if times > 1
    ]


def _places(kind: Kind, spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, tuple[str, ...]]]:
    """(pointer, the object that holds the field, the field, its destination fields) of each secret place in `spec`."""
    for dotted, mark in kind.secrets.items():
        parts = dotted.split(".")
        for pointer, holder in _holders(kind, spec, parts[:-1], "", ""):
            yield f"{pointer}{parts[-1]}", holder, parts[-1], mark.sent_to


def _holders(
    kind: Kind, node: Any, parts: list[str], pointer: str, dotted: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(node, dict):
        return
    if not parts:
        yield pointer, node
        return
    first, rest = parts[0], parts[1:]
    if not first.endswith("[]"):
        yield from _holders(kind, node.get(first), rest, f"{pointer}{first}.", f"{dotted}{first}.")
        return
    key = kind.list_keys.get(dotted + first)
    for index, element in enumerate(node.get(first[:-2]) or []):
        if isinstance(element, dict):
            label = element.get(key, index) if key else index
            yield from _holders(kind, element, rest, f"{pointer}{first[:-2]}[{label}].", f"{dotted}{first}.")
