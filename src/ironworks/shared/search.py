"""Finding resources of any kind by their name: what a palette asks while somebody types.

One statement looks into every kind's table, under the caller's policies, and takes a few of each. A name that begins so
comes before one that has a part that begins so, and both before one that merely holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ironworks.shared.context import Context
from ironworks.shared.kind import Kind

_EACH = 20


@dataclass(frozen=True, slots=True)
class Hit:
    """A resource that was found. `scope` is its path."""

    kind: str
    scope: str
    name: str
    display_name: str | None
    phase: str | None


async def search_resources(ctx: Context, kinds: Sequence[Kind], text: str, scope: str, limit: int) -> list[Hit]:
    """Up to `limit` resources of `kinds` at or below `scope` whose names hold `text`, in any case; the best first."""
    if not kinds:
        return []
    parts = [
        f"(select '{kind.name}' as kind, t.path, t.name, t.display_name, t.phase, r.rank from {kind.table} t"
        " cross join lateral (select case when starts_with(t.name, $1) or starts_with(lower(t.display_name), $1) then 0"
        "   when strpos(t.name, '-' || $1) > 0 or strpos(lower(t.display_name), ' ' || $1) > 0 then 1"
        "   when strpos(t.name, $1) > 0 or strpos(lower(t.display_name), $1) > 0 then 2 end as rank) r"
        " where r.rank is not null and t.deletion_timestamp is null"
        " and ($2 = '' or t.path = $2 or (t.path >= $2 || '.' and t.path < $2 || '/'))"
        f" order by r.rank, length(t.name), t.path, t.name limit {_EACH})"
        for kind in kinds
    ]
    rows = await ctx.db.fetch(
        f"select kind, path as scope, name, display_name, phase from ({' union all '.join(parts)}) found"
        " order by rank, length(name), kind, path, name limit $3",
        text.lower(), scope, limit,
    )  # fmt: skip
    return [Hit(**row) for row in rows]
