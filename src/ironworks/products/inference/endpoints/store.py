"""What the gateway reads of endpoints, in one statement, and what is known of their use."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from ironworks.products.inference.endpoints.idling import Activity
from ironworks.products.inference.endpoints.model import ENDPOINT, Endpoint
from ironworks.shared.context import Context
from ironworks.shared.rendering import rendered

_ROWS_AT_ONCE: Final = 25


async def live_endpoints(ctx: Context, only: Collection[UUID] | None, unreadable: list[str]) -> list[Endpoint]:
    """Endpoints that are not being deleted, or those among `only`; `unreadable` gets the names of those that fail.

    Read a few at a time: the gateway's event loop serves requests in between.
    """
    cursor = await ctx.db.cursor(
        f"select {rendered(ENDPOINT)} from {ENDPOINT.table} t"
        " where t.deletion_timestamp is null and ($1::uuid[] is null or t.uid = any ($1)) order by t.path, t.name",
        None if only is None else list(only),
    )
    found: list[Endpoint] = []
    while rows := await cursor.fetch(_ROWS_AT_ONCE):
        found += ENDPOINT.parse_all([row[0] for row in rows], unreadable)
    return found


async def existing(ctx: Context, uids: list[UUID]) -> set[UUID]:
    """Those of `uids` that are endpoints, also while they are being deleted."""
    rows = await ctx.db.fetch(f"select uid from {ENDPOINT.table} where uid = any ($1)", uids)
    return {row["uid"] for row in rows}


async def fetch_activity(ctx: Context, uid: UUID) -> Activity:
    row = await ctx.db.fetchrow(
        "select last_used_at, woken_at, wakes, slept_after from inference_endpoints.activity where endpoint = $1", uid
    )
    return Activity(**row) if row else Activity()


async def save_sleep(ctx: Context, uid: UUID, wakes: int) -> None:
    """It is sent to sleep by somebody who had read so many wake-ups."""
    await ctx.db.execute(
        "insert into inference_endpoints.activity (endpoint, wakes, slept_after) values ($1, $2, $2)"
        " on conflict (endpoint) do update set slept_after = excluded.slept_after",
        uid,
        wakes,
    )


async def note_use(ctx: Context, uids: Collection[UUID], at: datetime) -> None:
    await ctx.db.execute("select inference_endpoints.note_use($1, $2)", list(uids), at)


async def wake(ctx: Context, uid: UUID, at: datetime) -> bool:
    return bool(await ctx.db.fetchval("select inference_endpoints.wake($1, $2)", uid, at))
