"""Limits and hosts as the gateway reads them, and keys as a limit's admission does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

from ironworks.products.tokenfactory.limits.model import LIMIT, LimitSpec, LimitView
from ironworks.shared.context import Context
from ironworks.shared.path import parse_path

STRIDE: Final = 100
"""Rows read before the event loop gets its turn."""
SILENT: Final = timedelta(seconds=15)
"""A host that was not seen for so long runs no gateway."""


async def live_limits(ctx: Context) -> list[LimitView]:
    """Every limit that is not being deleted. For the gateway's role."""
    rows = await ctx.db.fetch(
        f"select uid, path, ref_key, spec::text as spec from {LIMIT.table}"
        " where deletion_timestamp is null order by path, name"
    )
    found = []
    for number, row in enumerate(rows, 1):
        found.append(_view(row["uid"], row["path"], row["ref_key"], row["spec"]))
        if number % STRIDE == 0:
            await asyncio.sleep(0)  # requests go on meanwhile
    return found


async def allowing_limits(ctx: Context, path: str) -> list[LimitView]:
    """Limits that name the models which may be called at `path` or of what lies below, whoever's key it is."""
    rows = await ctx.db.fetch("select uid, home, spec from tokenfactory_limits.allowing($1)", path)
    return [_view(row["uid"], row["home"], None, row["spec"]) for row in rows]


def _view(uid: UUID, home: str, key: UUID | None, text: str) -> LimitView:
    spec = LimitSpec.model_validate_json(text)
    return LimitView(
        uid=UUID(int=uid.int),
        home=home,
        scope=home if spec.scope is None else parse_path(spec.scope),
        narrowed=spec.scope is not None,
        key=None if key is None else UUID(int=key.int),
        route=spec.route,
        per=tuple(spec.per),
        requests_per_second=spec.requests_per_second,
        requests_per_minute=spec.requests_per_minute,
        tokens_per_minute=spec.tokens_per_minute,
        burst=spec.burst,
        token_burst=spec.token_burst,
        concurrency=spec.concurrency,
        allowed_models=None if spec.allowed_models is None else tuple(spec.allowed_models),
    )


async def mark_host(ctx: Context, uid: UUID) -> int:
    """Note that the host `uid` lives; how many do. Those that fell silent are forgotten. For the gateway's role."""
    await ctx.db.execute(
        "insert into tokenfactory_limits.host (uid, seen_at) values ($1, clock_timestamp())"
        " on conflict (uid) do update set seen_at = clock_timestamp()",
        uid,
    )
    await ctx.db.execute(
        f"delete from tokenfactory_limits.host where seen_at < clock_timestamp() - interval '{SILENT}'"
    )
    count = await ctx.db.fetchval("select count(*) from tokenfactory_limits.host")
    return int(count)
