"""Tenancy's SQL: the register of paths. Accounts, platforms and tenants themselves are the resource engine's."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ironworks.platform.tenancy.model import Node, Phase, ScopeEntry
from ironworks.shared.context import Context, to_json

_NODE = "path::text as path, uid, kind, phase, external_id, reason, ends_at"


def _node(row: Any) -> Node:
    return Node(**dict(row))


async def fetch_node(ctx: Context, uid: UUID, *, lock: bool = False) -> Node | None:
    """The node of a resource, if the caller may see it; `lock` keeps it still until the transaction ends."""
    row = await ctx.db.fetchrow(
        f"select {_NODE} from platform_tenancy.node_path where uid = $1" + (" for no key update" if lock else ""), uid
    )
    return None if row is None else _node(row)


async def move_node(
    ctx: Context, uid: UUID, was: Phase, phase: Phase, reason: str = "", ends_at: datetime | None = None
) -> Node | None:
    """Take a node from one phase to another; None where it is no longer in `was`, or the caller may not."""
    row = await ctx.db.fetchrow(
        "update platform_tenancy.node_path set phase = $3, phase_since = $4, reason = $5, ends_at = $6"
        f" where uid = $1 and phase = $2 returning {_NODE}",
        uid, was, phase, ctx.now(), reason, ends_at,
    )  # fmt: skip
    return None if row is None else _node(row)


async def fetch_ended(ctx: Context, limit: int = 100) -> list[Node]:
    """Platforms whose pending cancellation is due, locked; those that another worker holds are left out."""
    rows = await ctx.db.fetch(
        f"select {_NODE} from platform_tenancy.node_path where phase = 'pending_cancellation' and ends_at <= $1"
        " order by ends_at limit $2 for no key update skip locked",
        ctx.now(), limit,
    )  # fmt: skip
    return [_node(row) for row in rows]


async def fetch_scopes(ctx: Context, around: str, limit: int) -> list[ScopeEntry]:
    """Up to `limit` scopes that the caller may read, in the order of the tree, and those on the way to `around`."""
    rows = await ctx.db.fetch(
        """
        select n.path::text as path, n.kind, n.phase, case n.kind
          when 'Account' then (select a.display_name from platform_tenancy.account a where a.uid = n.uid)
          when 'Platform' then (select p.display_name from platform_tenancy.platform p where p.uid = n.uid)
          else (select t.display_name from platform_tenancy.tenant t where t.uid = n.uid) end as display_name
        from (
          (select * from platform_tenancy.node_path where phase <> 'deleted' order by path limit $2)
          union
          (select * from platform_tenancy.node_path where phase <> 'deleted' and path @> $1::text::ltree)
        ) n order by n.path
        """,
        around, limit,
    )  # fmt: skip
    return [ScopeEntry(**row) for row in rows]


async def is_known(ctx: Context, path: str) -> bool:
    """Whether the scope exists or did."""
    known: bool = await ctx.db.fetchval("select platform_tenancy.scope_known($1::text::ltree)", path)
    return known


async def is_open(ctx: Context, path: str) -> bool:
    """Whether the scope exists and is not being deleted; its deletion waits until the transaction ends."""
    found: bool = await ctx.db.fetchval("select platform_tenancy.scope_open($1::text::ltree)", path)
    return found


async def fetch_halted(ctx: Context) -> list[str]:
    """Paths at and below which no key may act."""
    rows = await ctx.db.fetch("select path::text as path from platform_tenancy.halted_scopes() as path order by 1")
    return [row["path"] for row in rows]


async def open_account(ctx: Context, name: str, spec: dict[str, Any], title: str | None) -> UUID:
    """Make a pending account. The database refuses a name that is or was in use."""
    made: UUID = await ctx.db.fetchval(
        "select platform_tenancy.open_account($1, $2::jsonb, $3)", name, to_json(spec), title
    )
    return made


async def activate_account(ctx: Context, uid: UUID) -> str | None:
    """Make a pending account active; its path, or None when it was not pending."""
    path: str | None = await ctx.db.fetchval("select platform_tenancy.activate_account($1)::text", uid)
    return path
