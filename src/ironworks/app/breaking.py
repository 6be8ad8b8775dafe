"""What breaks clients: a comparison of two API documents. What it finds breaks those that keep to the older one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LIMITS_THAT_SHRINK = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LIMITS_THAT_GROW = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_WORDS = re.compile(r"\^\(([^()]*)\)\$")


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a client of the OpenAPI document `old` can no longer rely on in `new`, one sentence each."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            now = new["paths"].get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            if now is None:
                found.append(f"{where} is gone")
                continue
            found += _parameters_broken(where, operation, now, old, new)
            found += _bodies_broken(where, operation, now, old, new)
    return found


def breaking_events(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a subscriber who keeps to the AsyncAPI document `old` can no longer rely on in `new`."""
    found: list[str] = []
    now = new["components"]["messages"]
    for name, message in old["components"]["messages"].items():
        if name not in now:
            found.append(f"event {name} is gone")
        else:
            before, after = ({"components": {"schemas": _definitions(m["payload"])}} for m in (message, now[name]))
            found += _Comparison(before, after, sent=False).of(
                f"event {name}", message["payload"], now[name]["payload"]
            )
    return found


def _definitions(payload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = payload.get("properties", {}).get("payload", {}).get("$defs", {})
    return found


def _parameters_broken(where: str, old: dict[str, Any], new: dict[str, Any], old_doc: Any, new_doc: Any) -> list[str]:
    before = {p["name"]: p for p in old.get("parameters", [])}
    after = {p["name"]: p for p in new.get("parameters", [])}
    compare = _Comparison(old_doc, new_doc, sent=True)
    found = [f"{where}: parameter {n} is gone" for n in before if n not in after]
    for name, parameter in after.items():
        if parameter.get("required") and not before.get(name, {}).get("required"):
            found.append(f"{where}: parameter {name} is now required")
        if name in before:
            found += compare.of(f"{where} parameter {name}", before[name]["schema"], parameter["schema"])
    return found


def _bodies_broken(where: str, old: dict[str, Any], new: dict[str, Any], old_doc: Any, new_doc: Any) -> list[str]:
    found: list[str] = []
    asked_now = _schema(new.get("requestBody"))
    if asked_now is not None:
        asked_before = _schema(old.get("requestBody")) or {}
        found += _Comparison(old_doc, new_doc, sent=True).of(f"{where} request", asked_before, asked_now)
    for status, answer in old.get("responses", {}).items():
        if not status.startswith("2"):
            continue
        if status not in new.get("responses", {}):
            found.append(f"{where}: answer {status} is gone")
            continue
        before, now = _schema(answer), _schema(new["responses"][status])
        if before is not None:
            found += _Comparison(old_doc, new_doc, sent=False).of(f"{where} answer", before, now or {})
    return found


def _schema(body: Any) -> dict[str, Any] | None:
    for content in (body or {}).get("content", {}).values():
        schema: dict[str, Any] | None = content.get("schema")
        return schema
    return None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two documents' schemas; `sent`: clients send them, so less must not be taken; else less must not be answered."""

    old: Any
    new: Any
    sent: bool

    def of(self, where: str, old: dict[str, Any], new: dict[str, Any], seen: frozenset[str] = frozenset()) -> list[str]:
        """What changed for the worse between two schemas."""
        if (reference := old.get("$ref")) in seen and reference:
            return []
        seen = seen | {reference} if reference else seen
        old, new = _resolved(old, self.old), _resolved(new, self.new)
        found = list(self._types(where, old, new))
        if found:
            return found
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                found.append(f"{where}: field {name} is gone")
            else:
                found += self.of(f"{where}.{name}", schema, after[name], seen)
        found += self._required(where, old, new)
        if self.sent:
            found += _tightened(where, old, new)
        for word in ("anyOf", "oneOf"):
            choices = zip(old.get(word, ()), new.get(word, ()), strict=False)
            found += [problem for a, b in choices for problem in self.of(where, a, b, seen)]
        for word in ("items", "additionalProperties"):
            if isinstance(old.get(word), dict) and isinstance(new.get(word), dict):
                found += self.of(f"{where}[]", old[word], new[word], seen)
        return found

    def _types(self, where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        before, now = _types(old, self.old), _types(new, self.new)
        if before and now and self.sent and before - now:
            yield f"{where}: {', '.join(sorted(before - now))} is no longer taken, only {', '.join(sorted(now))}"
        elif before and now and not self.sent and now - before:
            yield f"{where}: may now be {', '.join(sorted(now - before))}, not only {', '.join(sorted(before))}"

    def _required(self, where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        before, now = set(old.get("required", ())), set(new.get("required", ()))
        if self.sent:
            yield from (f"{where}: field {name} is now required" for name in sorted(now - before))
        else:
            gone = (before - now) & set(new.get("properties", {}))
            yield from (f"{where}: field {name} may now be missing" for name in sorted(gone))


def _types(schema: dict[str, Any], document: Any) -> set[str]:
    """The JSON types that a schema takes; empty where it says nothing."""
    schema = _resolved(schema, document)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        each = [_types(choice, document) for choice in choices]
        return set.union(*each) if all(each) else set()
    named = schema.get("type")
    return set(named) if isinstance(named, list) else {named} if named else set()


def _tightened(where: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What clients may send no longer."""
    if "enum" in new:
        yield from (f"{where}: value {v!r} is refused" for v in old.get("enum", ()) if v not in new["enum"])
    for word in _LIMITS_THAT_SHRINK:
        if word in new and new[word] < old.get(word, float("inf")):
            yield f"{where}: {word} is now {new[word]}"
    for word in _LIMITS_THAT_GROW:
        if word in new and new[word] > old.get(word, float("-inf")) and new[word] != 0:
            yield f"{where}: {word} is now {new[word]}"
    if "pattern" in new and not _matches_more(new["pattern"], old.get("pattern")):
        yield f"{where}: must now match {new['pattern']}"


def _matches_more(new: str, old: str | None) -> bool:
    """Whether `new` is `old`, or the same list of words, `^(a|b)$`, with more of them."""
    more, less = _WORDS.fullmatch(new), _WORDS.fullmatch(old or "")
    if more is None or less is None:
        return new == old
    return set(more[1].split("|")) >= set(less[1].split("|"))


def _resolved(schema: dict[str, Any], document: Any) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
