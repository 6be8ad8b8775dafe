"""The SQL of quotas. What counts and what is used is asked of functions, which see past what the caller may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ironworks.platform.policy.model import EffectiveQuota, Override, Quotas
from ironworks.shared.context import Context, to_json


async def refuse_over(ctx: Context, quota: str, kind: str, scope: str) -> Any:
    """The limit that a resource just inserted in `scope` is beyond; None where there is room."""
    return await ctx.db.fetchrow(
        "select * from platform_policy.refuse_over($1, $2, $3::text::ltree, $4)", kind, quota, scope, ctx.now()
    )


async def list_quotas(
    ctx: Context, scope: str, kinds: Mapping[str, str], after: str, limit: int
) -> list[EffectiveQuota]:
    """Up to `limit` of the limits that count in `scope`, by name, past `after`; `kinds` says what each quota counts."""
    rows = await ctx.db.fetch(
        "select quota, path, allowed, used, plan, overridden, expires_at, reason"
        " from platform_policy.quotas_at($1::text::ltree, $2, $3, $4, $5::jsonb)",
        scope,
        ctx.now(),
        after,
        limit,
        to_json(dict(kinds)),
    )
    return [EffectiveQuota(*row) for row in rows]


async def find_plan(ctx: Context, account: str) -> str | None:
    """The name under which an account's plan set its quotas."""
    found: str | None = await ctx.db.fetchval("select platform_policy.plan_of($1::text::ltree)", account)
    return found


async def replace_plan_quotas(ctx: Context, account: str, quotas: Quotas, plan: str) -> dict[str, int | None]:
    """Make these all that the account has of its plan; returns what it had."""
    query = "select platform_policy.replace_plan_quotas($1::text::ltree, $2::jsonb, $3, $4)"
    before: dict[str, int | None] = json.loads(
        await ctx.db.fetchval(query, account, to_json(dict(quotas)), plan, ctx.now())
    )
    return before


async def save_override(ctx: Context, override: Override) -> None:
    """Insert or replace."""
    await ctx.db.execute(
        """
        insert into platform_policy.quota_override (scope, quota, allowed, expires_at, reason, set_by, set_at)
        values ($1::text::ltree, $2, $3, $4, $5, $6, $7)
        on conflict (path, quota) do update
          set allowed = excluded.allowed, expires_at = excluded.expires_at, reason = excluded.reason,
              set_by = excluded.set_by, set_at = excluded.set_at
        """,
        override.scope, override.quota, override.limit, override.expires_at, override.reason, ctx.actor.name, ctx.now(),
    )  # fmt: skip


async def fetch_override(ctx: Context, scope: str, quota: str) -> Override | None:
    """The override that stands there, also one that has expired; locked until the transaction ends."""
    row = await ctx.db.fetchrow(
        "select path, quota, allowed, expires_at, reason from platform_policy.quota_override"
        " where path = $1 and quota = $2 for update",
        scope,
        quota,
    )
    return Override(*row) if row else None


async def remove_override(ctx: Context, scope: str, quota: str) -> None:
    """Delete it."""
    await ctx.db.execute("delete from platform_policy.quota_override where path = $1 and quota = $2", scope, quota)
