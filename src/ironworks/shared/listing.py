"""Lists behind row-level security, in pages, at the speed of an index.

A list of a scope is one branch for the scope itself and one for the range of paths below it, each in index order and
merged; an OR of the two would read the whole table (measured 14 ms instead of 0.2). Without a scope the branches come
from the caller's topmost grants. Labels are looked up in the side table, by text equality, which is leakproof.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ironworks.shared import path as paths
from ironworks.shared.errors import Invalid, invalid
from ironworks.shared.kind import Kind
from ironworks.shared.rendering import rendered

MAX_PAGE = 500
DEFAULT_PAGE = 100


class PageQuery(BaseModel):
    """How a page of a list is asked for."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, max_length=1024)


Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""The one value of a query with its arguments, as some caller: `Call.ask`, or `fetchval` of a transaction."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list is asked for. `scope` None: all that the caller may see, else that scope and all below."""

    scope: str | None = None
    inherited: bool = False
    limit: int = DEFAULT_PAGE
    cursor: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """JSON texts of resources in (path, name) order, and where the next page begins."""

    items: list[str]
    next_cursor: str | None


async def list_resources(ask: Ask, kind: Kind, query: ListQuery, granted: Sequence[str]) -> Page:
    """One page. Raises Invalid for a cursor that is not ours.

    Args:
        granted: the paths at which the caller may read the kind; they choose where to look, the policies what is seen.
    """
    branches = _branches(kind, query, granted)
    if not branches:
        return Page([], None)
    args: list[Any] = [query.limit + 1]
    items: list[str] = await ask(_page_sql(kind, query, branches, args), *args)
    if len(items) <= query.limit:
        return Page(items, None)
    last = json.loads(items[query.limit - 1])["metadata"]
    return Page(items[: query.limit], encode_cursor(paths.parse_path(last["scope"]), last["name"]))


def _branches(kind: Kind, query: ListQuery, granted: Sequence[str]) -> list[tuple[str, str]]:
    """(path, shape) pairs: `at` for equality, `below` for the range, `all` for no filter; disjoint, so no row twice."""
    if query.scope is not None:
        branches = [("", "all")] if query.scope == "" else [(query.scope, "at"), (query.scope, "below")]
        if query.inherited and kind.inherited and query.scope:
            above, upper = [("", "at")], query.scope
            while upper := paths.parent(upper):
                above.append((upper, "at"))
            branches += above
        return branches
    top = _topmost(granted)
    if "" in top:
        return [("", "all")]
    branches = []
    for p in top:
        if kind.node:
            branches.append((p, "node"))
        branches += [(p, "at"), (p, "below")]
    if kind.inherited:
        ancestors = {""} | {".".join(p.split(".")[:n]) for p in top for n in range(1, p.count(".") + 1)}
        branches += [(a, "at") for a in sorted(ancestors) if not any(paths.covers(p, a) for p in top)]
    return branches


def _topmost(granted: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for p in sorted(set(granted)):
        if not any(paths.covers(k, p) for k in kept):
            kept.append(p)
    return kept


def _page_sql(kind: Kind, query: ListQuery, branches: list[tuple[str, str]], args: list[Any]) -> str:
    def arg(value: Any) -> str:
        args.append(value)
        return f"${len(args)}"

    common = ""
    source, alias = f"{kind.table} t", "t"
    labels = list(query.labels.items())
    if labels:
        (key, value), rest = labels[0], labels[1:]
        source, alias = f"{kind.table}_label l join {kind.table} t on t.uid = l.uid", "l"
        common += f" and l.key = {arg(key)} and l.value = {arg(value)}"
        for key, value in rest:
            common += (
                f" and exists (select from {kind.table}_label x where x.uid = t.uid"
                f" and x.key = {arg(key)} and x.value = {arg(value)})"
            )
    if query.phase is not None:
        common += f" and t.phase = {arg(query.phase)}"
    if query.cursor:
        path, name = decode_cursor(query.cursor)
        common += f" and ({alias}.path, {alias}.name) > ({arg(path)}, {arg(name)})"
    parts = []
    for path, shape in branches:
        where = "true"
        if shape == "at":
            where = f"{alias}.path = {arg(path)}"
        elif shape == "below":
            where = f"{alias}.path >= {arg(path + '.')} and {alias}.path < {arg(path + '/')}"
        elif shape == "node":
            where = f"{alias}.path = {arg(paths.parent(path))} and {alias}.name = {arg(path.rpartition('.')[2])}"
        parts.append(f"(select t.* from {source} where {where}{common} order by {alias}.path, {alias}.name limit $1)")
    # rendered outside: what the merge drops is never turned into JSON
    merged = " union all ".join(parts)
    return f"select array(select {rendered(kind)} from ({merged}) t order by t.path, t.name limit $1)"


def encode_cursor(path: str, name: str) -> str:
    """An opaque cursor that begins after (path, name)."""
    return base64.urlsafe_b64encode(json.dumps([path, name]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[str, str]:
    """Raises Invalid for anything that `encode_cursor` did not make."""
    try:
        path, name = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not (isinstance(path, str) and isinstance(name, str)) or "\x00" in path + name:
            raise ValueError
        (path + name).encode()  # JSON can spell half a character, which Postgres cannot be sent
    except (ValueError, TypeError, binascii.Error, UnicodeDecodeError):
        raise bad_cursor() from None
    return path, name


def read_moment(text: str) -> datetime:
    """The moment that a cursor holds, in UTC. Raises Invalid for what is none, also in UTC."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def decode_newest(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Where a page of what has a moment and an id ended, newest first; None for the first page. Raises Invalid."""
    if not cursor:
        return None
    at, ident = decode_cursor(cursor)
    try:
        return read_moment(at), UUID(ident)
    except ValueError:
        raise bad_cursor() from None


def bad_cursor() -> Invalid:
    """What a cursor gets that we did not make."""
    return invalid("cursor", "is not one of ours", "take next_cursor from the page before, or leave it out")
