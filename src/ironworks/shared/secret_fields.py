"""Secret fields of a spec: taken out on the way in, `***` on the way out.

The stored spec holds `***` wherever a secret is set, so what is read needs no masking; the values live in the vault
under a pointer: `auth.password`, or `upstreams[eu].credential` where `eu` is the element's key field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ironworks.shared.errors import Invalid, field_problem
from ironworks.shared.kind import MASK, Kind


def take_secrets(kind: Kind, spec: dict[str, Any], stored: dict[str, Any] | None) -> tuple[dict[str, str], list[str]]:
    """Replace every secret in `spec` by `***`, in place.

    Returns the new values by pointer, and the pointers of stored secrets that `spec` no longer has. A `***` in `spec`
    keeps what is stored. Raises Invalid where nothing is stored, or where a field that says where the secret is sent
    has changed: whoever may edit the address must not thereby receive the secret.
    """
    before = {p: holders for p, holders, name, _ in _places(kind, stored or {}) if holders[-1].get(name)}
    values: dict[str, str] = {}
    places = list(_places(kind, spec))
    problems = _told_apart(pointer for pointer, *_ in places)
    seen = set()
    for pointer, holders, name, sent_to in places:
        holder = holders[-1]
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
            moved = [f.removeprefix("../") for f in sent_to if _at(holders, f) != _at(before[pointer], f)]
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


def _at(holders: Sequence[dict[str, Any]], field: str) -> Any:
    """The value of a destination field: beside the secret, or with `../` beside the object that holds it."""
    if field.startswith("../"):
        return _at(holders[:-1], field.removeprefix("../"))
    return holders[-1].get(field)


def _told_apart(pointers: Iterable[str]) -> list[dict[str, str]]:
    """A problem for each two elements with one key: the secret of one would be taken for the other's."""
    return [
        field_problem(f"spec.{pointer}", "another element has the same key", "give each element a key of its own")
        for pointer, times in Counter(pointers).items()
        if times > 1
    ]


def _places(kind: Kind, spec: dict[str, Any]) -> Iterator[tuple[str, Sequence[dict[str, Any]], str, tuple[str, ...]]]:
    """(pointer, the objects that hold the field, outermost first, the field, its destinations) of each secret place."""
    for dotted, mark in kind.secrets.items():
        parts = dotted.split(".")
        for pointer, holders in _holders(kind, (spec,), parts[:-1], "", ""):
            yield f"{pointer}{parts[-1]}", holders, parts[-1], mark.sent_to


def _holders(
    kind: Kind, holders: tuple[dict[str, Any], ...], parts: list[str], pointer: str, dotted: str
) -> Iterator[tuple[str, tuple[dict[str, Any], ...]]]:
    if not parts:
        yield pointer, holders
        return
    first, rest = parts[0], parts[1:]
    if not first.endswith("[]"):
        inner = holders[-1].get(first)
        if isinstance(inner, dict):
            yield from _holders(kind, (*holders, inner), rest, f"{pointer}{first}.", f"{dotted}{first}.")
        return
    key = kind.list_keys.get(dotted + first)
    for index, element in enumerate(holders[-1].get(first[:-2]) or []):
        if isinstance(element, dict):
            label = element.get(key, index) if key else index
            inside = f"{pointer}{first[:-2]}[{label}]."
            yield from _holders(kind, (*holders, element), rest, inside, f"{dotted}{first}.")
