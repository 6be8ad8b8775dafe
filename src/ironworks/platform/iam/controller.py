"""Shows what each API key is worth now, and clears away what has expired."""

from __future__ import annotations

from typing import Any

from ironworks.platform.iam import store
from ironworks.platform.iam.model import API_KEY, ApiKey
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile import Outcome, Step, reconciles
from ironworks.shared.schedules import schedules


@reconciles(API_KEY)
async def reconcile_key(step: Step[ApiKey]) -> Outcome:
    """A key works at once; this only tells how it stands."""
    if step.resource.deleting:
        return step.gone()
    async with step.read() as ctx:
        facts = await store.fetch_key_facts(ctx, step.resource.uid)
    if facts is None:
        return step.failed("OwnerGone", "its owner was deleted: delete it too")
    shown: dict[str, Any] = {
        "owner": facts.owner,
        "issued_at": facts.issued_at,
        "last_used_at": facts.last_used_at,
        "previous_until": facts.previous_until,
    }
    if facts.issued_at is None:
        return step.again(3600, phase="Pending", reason="NotIssued", message="rotate it to issue its secret", **shown)
    if not facts.active:
        return step.again(3600, phase="Disabled", reason="Disabled", message="it or its owner is disabled", **shown)
    if facts.expires_at is None:
        return step.ready(**shown)
    left = (facts.expires_at - step.now()).total_seconds()
    if left <= 0:
        return step.again(3600, phase="Expired", reason="Expired", message="move expires_at, or delete it", **shown)
    return step.ready(again=min(left + 1, 3600), **shown)


@schedules(every=600)
async def clear_expired(db: Database) -> None:
    """Sessions a week after their end, idle guards, public keys that verify nothing any more."""
    async with db.transaction(system_actor("iam")) as ctx:
        await store.purge(ctx)
