"""Reading resources: one by its name or uid, those at and below a scope. Row-level security decides what there is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from ironworks.shared import path as paths
from ironworks.shared.context import Context
from ironworks.shared.errors import NotFound
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.rendering import rendered


async def get_resource(ctx: Context, kind: Kind, path: str, name: str) -> str:
    """The resource's JSON text. Raises NotFound."""
    return found(kind, path, name, await ctx.db.fetchval(one(kind), path, name))


@lru_cache(maxsize=256)
def one(kind: Kind) -> str:
    """The query for one resource's JSON text by (path, name)."""
    return f"select {rendered(kind)} from {kind.table} t where t.path = $1 and t.name = $2"


def found(kind: Kind, path: str, name: str, text: str | None) -> str:
    """What that query gave. Raises NotFound where it is nothing."""
    if text is None:
        raise not_found(kind, path, name)
    return text


async def load(ctx: Context, kind: Kind, path: str, name: str) -> Resource[Any, Any]:
    """The typed resource. Raises NotFound."""
    return kind.parse(await get_resource(ctx, kind, path, name))


async def load_by_uid(ctx: Context, kind: Kind, uid: UUID) -> Resource[Any, Any] | None:
    """The typed resource, or None when it is gone or not visible."""
    row = await ctx.db.fetchval(f"select {rendered(kind)} from {kind.table} t where t.uid = $1", uid)
    return kind.parse(row) if row is not None else None


async def find(
    ctx: Context, kind: Kind, *, below: str | None = None, where: Mapping[str, Any] | None = None, limit: int = 10_000
) -> list[Resource[Any, Any]]:
    """Typed resources at and below the path `below` (None: everywhere), whose dotted fields equal `where`'s values.

    A reference field is compared by the uid it resolves to: `where={"ref:cluster": uid}`, and one inside a list by any
    of its elements: `where={"ref:targets[].endpoint": uid}` (for the worker's role).
    """
    conditions: list[str] = ["true"]
    args: list[Any] = []
    if below:
        args.append(below)
        conditions.append("(t.path = $1 or (t.path >= $1 || '.' and t.path < $1 || '/'))")
    for field, value in (where or {}).items():
        args.append(value)
        if field.startswith("ref:"):
            conditions.append(_referring(kind, field.removeprefix("ref:"), len(args)))
        else:
            args.append(field.split("."))
            conditions.append(f"to_jsonb(t) #>> ${len(args)} = ${len(args) - 1}")
    rows = await ctx.db.fetch(
        f"select {rendered(kind)} from {kind.table} t where {' and '.join(conditions)}"
        f" order by t.path, t.name limit {int(limit)}",
        *args,
    )
    return [kind.parse(r[0]) for r in rows]


async def find_around(ctx: Context, kind: Kind, path: str) -> list[Resource[Any, Any]]:
    """What a key at `path` could name of `kind`: what is there and below, and above where the kind is handed down.

    Nothing that is being deleted or lies in a scope that is suspended, and nothing at all where `path` itself is.
    """
    here = f"select {rendered(kind)} as found from {kind.table} t where t.deletion_timestamp is null"
    running = "shared.scope_running(t.scope) and shared.scope_running($1::text::ltree)"
    branches = [
        f"{here} and t.path = $1 and {running}",
        f"{here} and t.path >= case $1 when '' then '!' else $1 || '.' end"
        f" and t.path < case $1 when '' then '~' else $1 || '/' end and {running}",
        *([f"{here} and t.path = any($2::text[]) and {running}"] if kind.inherited else []),
    ]
    above = [path[:end] for end, char in enumerate(path) if char == "."] + ([""] if path else [])
    rows = await ctx.db.fetch(" union all ".join(branches), path, *([above] if kind.inherited else []))
    return [kind.parse(row["found"]) for row in rows]


def _referring(kind: Kind, field: str, number: int) -> str:
    """The condition that a row's reference `field` leads to the uid in parameter `number`."""
    if "[]" not in field:
        return f"t.ref_{field.replace('.', '_')} = ${number}"
    return f"exists (select from {kind.link_table(field)} l where l.owner = t.uid and l.target = ${number})"


def not_found(kind: Kind, path: str, name: str) -> NotFound:
    """The same words whether it is absent or another's."""
    where = paths.show_path(path)
    return NotFound(f"no {kind.name} {name!r} in {where!r}", kind=kind.name, scope=where, name=name[:80])
