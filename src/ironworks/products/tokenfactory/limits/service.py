"""Use cases around limits: refuse what could not count anything, and tell the gateway what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from ironworks.products.tokenfactory.limits import store
from ironworks.products.tokenfactory.limits.model import LIMIT, Caller, Limit, LimitView
from ironworks.shared.context import Context
from ironworks.shared.documents import too_many
from ironworks.shared.errors import field_problem
from ironworks.shared.path import covers, parse_path, show_path
from ironworks.shared.resources import Change, admits

NO_KEY: Final = UUID(int=0)


@admits(LIMIT)
async def admit_limit(ctx: Context, change: Change[Limit]) -> None:
    """Refuse a limit on what lies outside its scope: it would count nothing there. Raises Invalid."""
    limit = change.new
    if limit is None:
        return
    home, spec = limit.path, limit.spec
    places = {"spec.scope": spec.scope, "spec.key": spec.key.rpartition("/")[0] if spec.key else ""}
    problems = [
        field_problem(
            field, f"lies outside {show_path(home)!r}, where the limit is", "put the limit there, or above both"
        )
        for field, place in places.items()
        if place and not covers(home, parse_path(place, field))
    ]
    if problems:
        raise too_many(problems)


async def list_limits(ctx: Context) -> list[LimitView]:
    """Every limit of the installation. For the gateway's role."""
    return await store.live_limits(ctx)


async def models_allowed(ctx: Context, path: str) -> Callable[[UUID, str, str], bool]:
    """Whether limits let every key at `path` call a route, by its uid, scope and name; limits of single keys apart.

    It tells no more of limits above than a refused call does.
    """
    views = await store.allowing_limits(ctx, path)

    def permits(uid: UUID, scope: str, name: str) -> bool:
        caller = Caller(NO_KEY, path, uid, scope, name)
        return all(view.permits(caller) for view in views if view.applies(caller))

    return permits


async def count_hosts(ctx: Context, host: UUID) -> int:
    """How many hosts run gateways now, `host` among them, which this keeps alive: call it every few seconds.

    A host that stops calling is counted for 15 seconds more. For the gateway's role.
    """
    return max(1, await store.mark_host(ctx, host))
