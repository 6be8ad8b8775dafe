"""Setting quotas, showing them, and refusing what is beyond them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from ironworks.platform import registry, tenancy
from ironworks.platform.policy import store
from ironworks.platform.policy.model import (
    CANCELED,
    MAX_QUOTAS,
    OVERRIDE,
    EffectiveQuota,
    Override,
    Quotas,
    check_limit,
    check_place,
    check_plan,
    quota_exceeded,
)
from ironworks.shared import path as paths
from ironworks.shared.context import Context
from ironworks.shared.declarations import QUOTA
from ironworks.shared.errors import Forbidden, NotFound, invalid


async def check_quota(ctx: Context, quota: str, kind: str, scope: str) -> None:
    """Refuse the resource of `kind` that was just inserted in `scope`, if it is one too many.

    One statement, and no lock where nothing is limited; else creators take turns by account and quota until they
    commit, so that exactly as many get in as may. Raises QuotaExceeded.
    """
    over = await store.refuse_over(ctx, quota, kind, scope)
    if over is not None:
        raise quota_exceeded(quota, over["path"], over["allowed"], over["used"], over["plan"], over["overridden"])


async def set_plan_quotas(ctx: Context, account: str, quotas: Quotas, plan: str) -> None:
    """Make `quotas` all that `account` (its path) is allowed by its plan; `{}` takes every limit away.

    A limit of None is shown as unlimited. A name that no kind of this installation has is kept and shown, and limits
    nothing. What there is already stays, though it is more than the limit. Overrides stay. For our worker, and for who
    holds `subscription:update` at the account. Idempotent. Raises Invalid, Forbidden.
    """
    check_plan(account, quotas, plan)
    await tenancy.require_scope(ctx, account)
    before = await store.replace_plan_quotas(ctx, account, quotas, plan)
    if before != dict(quotas):
        await ctx.audit(
            "policy.plan.set", "account", account, account, before=before, after={"plan": plan, "quotas": dict(quotas)}
        )


async def find_plan(ctx: Context, account: str) -> str | None:
    """The name of the plan that says what `account` is allowed; None where it has none, or had one that is over."""
    plan = await store.find_plan(ctx, account)
    return None if plan == CANCELED else plan


async def list_quotas(ctx: Context, scope: str, after: str = "", limit: int = 100) -> list[EffectiveQuota]:
    """The limits that count for what is created in `scope`, with what is used of them, by name, past `after`.

    At the operator's scope those of every account. Of what has none, nothing is said. Raises NotFound for a scope that
    does not exist.
    """
    path = paths.parse_path(scope)
    await tenancy.require_scope(ctx, path)
    return await store.list_quotas(ctx, path, await _kinds(ctx), after, limit)


async def _kinds(ctx: Context) -> dict[str, str]:
    """The kind that each declared quota counts."""
    entries = await registry.list_entries(ctx, QUOTA, limit=MAX_QUOTAS)
    return {entry.name: entry.body["kind"] for entry in entries if entry.declared}


async def override_quota(
    ctx: Context, scope: str, quota: str, limit: int | None, expires_at: datetime | None, reason: str
) -> EffectiveQuota:
    """Let `limit` (None: no limit) count in an account or platform instead, until `expires_at` (None: for ever); at the
    operator's scope in every account where neither its plan nor such a word says anything of that quota.

    What a platform with a limit of its own holds counts against that alone and no more against its account's. Needs
    `quota:override` at the operator's scope. Raises Forbidden, NotFound (scope), UnknownEntry (quota), Invalid.
    """
    path = await _operators(ctx, scope)
    await registry.require(ctx, QUOTA, quota)
    entry, _ = await registry.get_entry(ctx, QUOTA, quota)
    check_place(path, quota, entry.body["levels"])
    check_limit(limit)
    if expires_at is not None and expires_at <= ctx.now():
        raise invalid("expires_at", "is over already", "name a time to come, or leave it out")
    wanted = Override(path, quota, limit, expires_at, reason)
    before = await store.fetch_override(ctx, path, quota)
    if before != wanted:
        await store.save_override(ctx, wanted)
        await _audit(ctx, "policy.quota.override", before, wanted)
    found = await store.list_quotas(ctx, path, await _kinds(ctx), "", MAX_QUOTAS * 2)
    return next(q for q in found if q.name == quota)


async def remove_override(ctx: Context, scope: str, quota: str) -> None:
    """Let the plan's limit count again. Needs `quota:override` at the operator's scope. Raises Forbidden, NotFound."""
    path = await _operators(ctx, scope)
    before = await store.fetch_override(ctx, path, quota)
    if before is None:
        raise NotFound(f"no override of quota {quota[:63]!r} at {paths.show_path(path)!r}")
    await store.remove_override(ctx, path, quota)
    await _audit(ctx, "policy.quota.restore", before, None)


async def _operators(ctx: Context, scope: str) -> str:
    if not await ctx.allows(OVERRIDE, paths.OPERATOR):
        raise Forbidden(
            f"this needs the permission {OVERRIDE!r} at '-': what is allowed beyond plans is the operator's"
        )
    path = paths.parse_path(scope)
    await tenancy.require_scope(ctx, path)
    return path


async def _audit(ctx: Context, action: str, before: Override | None, after: Override | None) -> None:
    override = after or before
    assert override is not None
    await ctx.audit(
        action, "quota", f"{override.scope}/{override.quota}", override.scope,
        before=asdict(before) if before else None, after=asdict(after) if after else None,
    )  # fmt: skip
