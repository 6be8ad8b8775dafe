"""The registry's SQL. Writing goes through functions, since no login role may write the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ironworks.platform.registry.model import Entry, EntryVersion
from ironworks.shared.context import Connection, Context, to_json
from ironworks.shared.declarations import Category

_COLUMNS = "category, name, source, version, body, enabled, declared, updated_at"


async def write_declared(ctx: Context, sources: Sequence[str], declared: Sequence[dict[str, Any]]) -> int:
    """Make the entries of `sources` exactly `declared`; returns the registry's version."""
    version: int = await ctx.db.fetchval(
        "select platform_registry.sync($1::text[], $2::jsonb)", list(sources), to_json(declared)
    )
    return version


async def switch(ctx: Context, category: Category, name: str, enable: bool) -> int | None:
    """The entry's version afterwards; None where there is no entry or no right."""
    version: int | None = await ctx.db.fetchval("select platform_registry.switch($1, $2, $3)", category, name, enable)
    return version


async def fetch_unusable(ctx: Context, category: Category, names: Sequence[str]) -> dict[str, bool]:
    """Those of `names` that may not be used; the value says whether the entry is known."""
    rows = await ctx.db.fetch(
        """
        select n.name, e.name is not null as known
        from unnest($2::text[]) with ordinality as n(name, position)
        left join platform_registry.entry e on e.category = $1 and e.name = n.name
        where (e.enabled and e.declared) is not true
        order by n.position
        """,
        category,
        list(names),
    )
    return {row["name"]: row["known"] for row in rows}


async def fetch_enabled_names(ctx: Context, category: Category) -> frozenset[str]:
    rows = await ctx.db.fetch(
        "select name from platform_registry.entry where category = $1 and enabled and declared", category
    )
    return frozenset(row["name"] for row in rows)


async def fetch_entry(ctx: Context, category: Category, name: str) -> Entry | None:
    row = await ctx.db.fetchrow(
        f"select {_COLUMNS} from platform_registry.entry where category = $1 and name = $2",
        category,
        name,
    )
    return _entry(row) if row else None


async def fetch_entries(
    ctx: Context, category: Category | None, source: str | None, after: tuple[str, str], limit: int
) -> list[Entry]:
    """Up to `limit` entries after (category, name), in that order."""
    rows = await ctx.db.fetch(
        f"""
        select {_COLUMNS} from platform_registry.entry
        where (category, name) > ($3, $4) and ($1::text is null or category = $1) and ($2::text is null or source = $2)
        order by category, name limit $5
        """,
        category,
        source,
        *after,
        limit,
    )
    return [_entry(row) for row in rows]


async def fetch_versions(ctx: Context, category: Category, name: str) -> list[EntryVersion]:
    """All versions of an entry, newest first."""
    rows = await ctx.db.fetch(
        """
        select v.version, v.registry_version, v.body, v.enabled, v.declared, r.changed_at
        from platform_registry.entry_version v
        join platform_registry.registry_version r on r.version = v.registry_version
        where v.category = $1 and v.name = $2 order by v.version desc
        """,
        category,
        name,
    )
    return [EntryVersion(**{**row, "body": json.loads(row["body"])}) for row in rows]


async def fetch_current_version(db: Connection) -> int:
    version: int = await db.fetchval("select platform_registry.current_version()")
    return version


def _entry(row: Any) -> Entry:
    return Entry(**{**row, "body": json.loads(row["body"])})
