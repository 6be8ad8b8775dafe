"""Log entries that a consumer failed on and went on without: listed, shown, and tried again, for the people who run
the installation. `consumers.py` sets them aside and handles them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ironworks.shared.context import Context
from ironworks.shared.declarations import AuditAction, Declarations, Permission
from ironworks.shared.errors import NotFound
from ironworks.shared.path import show_path

READ = Permission("dead-letter:read", "See log entries that a consumer failed on")
REPLAY = Permission("dead-letter:replay", "Have a consumer try such an entry again")
DECLARATIONS = Declarations(
    permissions=(READ, REPLAY),
    audit_actions=(AuditAction("dead-letter.replay", "A consumer was told to try an entry again"),),
)
_COLUMNS = """id, consumer, position, subject, ltree2text(scope) as scope, error, attempts, failed_at,
  replay_requested_at, replayed_at"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that a consumer failed on. `subject` is the event's type, or kind and operation; `scope` its path.

    `replayed_at`: when its effect was committed after all; None while it waits.
    """

    id: int
    consumer: str
    position: int
    subject: str
    scope: str
    error: str
    attempts: int
    failed_at: datetime
    replay_requested_at: datetime | None
    replayed_at: datetime | None


async def list_dead_letters(
    ctx: Context, *, consumer: str | None = None, replayed: bool = False, limit: int = 100
) -> list[DeadLetter]:
    """What is set aside and not replayed yet, oldest first; with `replayed` what was, newest first.

    Nothing for callers without `dead-letter:read` at `-`.
    """
    which, order = ("is not null", "replayed_at desc, id desc") if replayed else ("is null", "id")
    rows = await ctx.db.fetch(
        f"select {_COLUMNS} from shared.dead_letter"
        f" where replayed_at {which} and ($1::text is null or consumer = $1) order by {order} limit $2",
        consumer, limit,
    )  # fmt: skip
    return [DeadLetter(*row.values()) for row in rows]


async def read_dead_letter(ctx: Context, letter: int) -> tuple[DeadLetter, Mapping[str, Any] | None]:
    """One, and the entry that it is about as the log keeps it: until it is replayed, for the log's time after that.

    Raises NotFound, also for callers without `dead-letter:read` at `-`.
    """
    row = await ctx.db.fetchrow(f"select {_COLUMNS} from shared.dead_letter where id = $1", letter)
    if row is None:
        raise NotFound(f"there is no dead letter {letter}", id=letter)
    entry = await ctx.db.fetchval("select shared.dead_letter_entry($1)::text", letter)
    return DeadLetter(*row.values()), json.loads(entry) if entry else None


async def replay_dead_letter(ctx: Context, letter: int) -> None:
    """Have its consumer try an entry again, in a worker, soon.

    Raises NotFound where there is none, or it was replayed already; Forbidden without `dead-letter:replay`.
    """
    await ctx.require(REPLAY.name, "")
    row = await ctx.db.fetchrow(
        "update shared.dead_letter set replay_requested_at = clock_timestamp()"
        " where id = $1 and replayed_at is null returning consumer, position, ltree2text(scope) as scope",
        letter,
    )
    if row is None:
        raise NotFound(f"there is no dead letter {letter} that waits for a replay", id=letter)
    await ctx.audit(
        "dead-letter.replay", "dead-letter", str(letter), "",
        after={"consumer": row["consumer"], "position": row["position"], "scope": show_path(row["scope"])},
    )  # fmt: skip


async def replay_dead_letters(ctx: Context, consumer: str) -> int:
    """Have a consumer try all again that it failed on, oldest first, in a worker, soon; how many that are.

    Raises NotFound where it failed on none that waits; Forbidden without `dead-letter:replay`.
    """
    await ctx.require(REPLAY.name, "")
    done = await ctx.db.execute(
        "update shared.dead_letter set replay_requested_at = clock_timestamp()"
        " where consumer = $1 and replayed_at is null",
        consumer,
    )
    count = int(done.split()[-1])
    if count == 0:
        raise NotFound(f"the consumer {consumer[:200]!r} has no dead letter that waits for a replay")
    await ctx.audit("dead-letter.replay", "consumer", consumer, "", after={"consumer": consumer, "letters": count})
    return count
