"""Routing's SQL: what the gateway reads, and the request to look at an external endpoint now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ironworks.shared.context import Context
from ironworks.shared.kind import Kind, Resource
from ironworks.shared.rendering import rendered


async def fetch_live(
    ctx: Context, kind: Kind, uid: UUID | None = None, unreadable: list[str] | None = None
) -> list[Resource[Any, Any]]:
    """Resources of `kind` that are not being deleted, by path and name; or the one of that uid.

    `unreadable` gets the names of those that cannot be read; they are left out.
    """
    rows = await ctx.db.fetch(
        f"select {rendered(kind)} from {kind.table} t"
        " where t.deletion_timestamp is null and ($1::uuid is null or t.uid = $1) order by t.path, t.name",
        uid,
    )
    return kind.parse_all([row[0] for row in rows], unreadable if unreadable is not None else [])


async def fetch_generations(ctx: Context, kind: Kind, uid: UUID | None = None) -> dict[UUID, int]:
    """Of every resource of `kind`, or of the one of that uid: which spec it has now."""
    rows = await ctx.db.fetch(f"select uid, generation from {kind.table} where $1::uuid is null or uid = $1", uid)
    return {row["uid"]: row["generation"] for row in rows}


async def fetch_leading(ctx: Context, kind: Kind, external: UUID, limit: int) -> list[Resource[Any, Any]]:
    """Routes that lead to an external endpoint and that the caller may read, by path and name."""
    rows = await ctx.db.fetch(
        f"select {rendered(kind)} from {kind.table} t"
        " where t.uid in (select tokenfactory_routing.routes_to($1)) order by t.path, t.name limit $2",
        external,
        limit,
    )
    return kind.parse_all([row[0] for row in rows], [])


async def request_check(ctx: Context, uid: UUID) -> bool:
    """Have an external endpoint looked at now; False where the caller may not ask for it."""
    asked: bool = await ctx.db.fetchval("select tokenfactory_routing.request_check($1)", uid)
    return asked
