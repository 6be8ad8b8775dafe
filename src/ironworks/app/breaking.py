"""What breaks clients: a comparison of two API documents. What it finds breaks those that keep to the older one."""

from __future__ import annotations

from typing import Any


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a client of `old` can no longer rely on in `new`, one sentence each."""
    found = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            now = new["paths"].get(path, {}).get(method)
            where = f"{method.upper()} {path}"
            if now is None:
                found.append(f"{where} is gone")
                continue
            found += _parameters_broken(where, operation, now)
            found += _bodies_broken(where, operation, now, old, new)
    return found


def _parameters_broken(where: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before = {p["name"]: p for p in old.get("parameters", [])}
    after = {p["name"]: p for p in new.get("parameters", [])}
    gone = [f"{where}: parameter {n} is gone" for n in before if n not in after]
    needed = [
        f"{where}: parameter {n} is now required"
        for n, p in after.items()
        if p.get("required") and not before.get(n, {}).get("required")
    ]
    return gone + needed


def _bodies_broken(where: str, old: dict[str, Any], new: dict[str, Any], old_doc: Any, new_doc: Any) -> list[str]:
    found = []
    asked_before, asked_now = _schema(old.get("requestBody")), _schema(new.get("requestBody"))
    if asked_now is not None:
        found += _compare(
            f"{where} request", asked_before or {}, asked_now, old_doc, new_doc, sent=True, seen=frozenset()
        )
    for status, answer in old.get("responses", {}).items():
        if not status.startswith("2"):
            continue
        if status not in new.get("responses", {}):
            found.append(f"{where}: answer {status} is gone")
            continue
        before, now = _schema(answer), _schema(new["responses"][status])
        if before is not None:
            found += _compare(f"{where} answer", before, now or {}, old_doc, new_doc, sent=False, seen=frozenset())
    return found


def _schema(body: Any) -> dict[str, Any] | None:
    for content in (body or {}).get("content", {}).values():
        schema: dict[str, Any] | None = content.get("schema")
        return schema
    return None


def _compare(
    where: str,
    old: dict[str, Any],
    new: dict[str, Any],
    old_doc: Any,
    new_doc: Any,
    *,
    sent: bool,
    seen: frozenset[str],
) -> list[str]:
    """What changed for the worse between two schemas; `sent`: clients send it, so less must not become required."""
    if (reference := old.get("$ref")) in seen and reference:
        return []
    seen = seen | {reference} if reference else seen
    old, new = _resolved(old, old_doc), _resolved(new, new_doc)
    if old.get("type") and new.get("type") and old["type"] != new["type"]:
        return [f"{where}: type {old['type']} became {new['type']}"]
    found = []
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name not in after:
            found.append(f"{where}: field {name} is gone")
        else:
            found += _compare(f"{where}.{name}", schema, after[name], old_doc, new_doc, sent=sent, seen=seen)
    if sent:
        added = set(new.get("required", ())) - set(old.get("required", ()))
        found += [f"{where}: field {name} is now required" for name in sorted(added)]
        if "enum" in new:
            found += [f"{where}: value {v!r} is refused" for v in old.get("enum", ()) if v not in new["enum"]]
    if "items" in old and "items" in new:
        found += _compare(f"{where}[]", old["items"], new["items"], old_doc, new_doc, sent=sent, seen=seen)
    return found


def _resolved(schema: dict[str, Any], document: Any) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema
