"""What the gateway reads of endpoints, in one statement."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from ironworks.products.inference.endpoints.model import ENDPOINT, Endpoint
from ironworks.shared.context import Context
from ironworks.shared.rendering import rendered


async def live_endpoints(ctx: Context, only: Collection[UUID] | None) -> list[Endpoint]:
    """Endpoints that are not being deleted, or those among `only`."""
    rows = await ctx.db.fetch(
        f"select {rendered(ENDPOINT)} from {ENDPOINT.table} t"
        " where t.deletion_timestamp is null and ($1::uuid[] is null or t.uid = any ($1)) order by t.path, t.name",
        None if only is None else list(only),
    )
    return [ENDPOINT.parse(row[0]) for row in rows]


async def existing(ctx: Context, uids: list[UUID]) -> set[UUID]:
    """Those of `uids` that are endpoints, also while they are being deleted."""
    rows = await ctx.db.fetch(f"select uid from {ENDPOINT.table} where uid = any ($1)", uids)
    return {row["uid"] for row in rows}
