"""Notices of providers, and where their books and ours differ, in Postgres."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from uuid import UUID

from ironworks.platform.payments.model import Difference
from ironworks.platform.payments.provider import Notice
from ironworks.shared.context import Context


async def insert_notice(ctx: Context, notice: Notice) -> bool:
    """False for one that was told before."""
    made = await ctx.db.execute(
        "insert into platform_payments.notice (id, type, object_id, related_id, told_at, received_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        notice.id, notice.type, notice.object_id, notice.related_id, notice.told_at, ctx.now(),
    )  # fmt: skip
    return bool(made == "INSERT 0 1")


async def list_new_notices(ctx: Context, limit: int) -> list[Notice]:
    rows = await ctx.db.fetch(
        "select id, type, object_id, related_id, told_at from platform_payments.notice"
        " where handled_at is null order by received_at, id limit $1",
        limit,
    )
    return [Notice(**row) for row in rows]


async def note_handled(ctx: Context, ids: Sequence[str]) -> None:
    await ctx.db.execute(
        "update platform_payments.notice set handled_at = $2 where id = any($1::text[])", list(ids), ctx.now()
    )


async def delete_notices(ctx: Context, before: datetime) -> None:
    await ctx.db.execute("delete from platform_payments.notice where handled_at < $1", before)


# --- differences --------------------------------------------------------------------------------------------------


async def end_differences(ctx: Context, compared: Collection[str], found: Sequence[Difference]) -> None:
    """What was compared and does not differ any more. A dispute ends when the provider says so, not by comparing."""
    await ctx.db.execute(
        """
        update platform_payments.difference set gone_at = $1
        where gone_at is null and kind <> 'dispute' and reference = any($2::text[])
          and (reference, kind) not in (select * from unnest($3::text[], $4::text[]))
        """,
        ctx.now(), list(compared), [d.reference for d in found], [d.kind for d in found],
    )  # fmt: skip


async def end_disputes(ctx: Context, references: Collection[str]) -> None:
    await ctx.db.execute(
        "update platform_payments.difference set gone_at = $1"
        " where gone_at is null and kind = 'dispute' and reference = any($2::text[])",
        ctx.now(), list(references),
    )  # fmt: skip


async def add_difference(ctx: Context, found: Difference) -> bool:
    """False for one that is known already."""
    made = await ctx.db.execute(
        "insert into platform_payments.difference (reference, kind, ours, theirs, payment_id, found_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (reference, kind) where gone_at is null do nothing",
        found.reference, found.kind, found.ours, found.theirs, found.payment_id, ctx.now(),
    )  # fmt: skip
    return bool(made == "INSERT 0 1")


async def note_reconciled(ctx: Context, day: date, compared: int) -> None:
    await ctx.db.execute(
        "insert into platform_payments.reconciliation (day, compared, finished_at) values ($1, $2, $3)"
        " on conflict (day) do update set compared = excluded.compared, finished_at = excluded.finished_at",
        day, compared, ctx.now(),
    )  # fmt: skip


async def last_reconciled(ctx: Context) -> tuple[date, int, datetime] | None:
    row = await ctx.db.fetchrow(
        "select day, compared, finished_at from platform_payments.reconciliation order by day desc limit 1"
    )
    return (row["day"], row["compared"], row["finished_at"]) if row else None


async def list_differences(
    ctx: Context, *, gone: bool, before: tuple[datetime, UUID] | None, limit: int
) -> list[Difference]:
    """The newest first; those that ended only when asked for."""
    rows = await ctx.db.fetch(
        """
        select id, reference, kind, ours, theirs, payment_id, found_at, gone_at from platform_payments.difference
        where (gone_at is null or $1) and ($2::timestamptz is null or (found_at, id) < ($2, $3))
        order by found_at desc, id desc limit $4
        """,
        gone, *(before or (None, None)), limit,
    )  # fmt: skip
    return [Difference(**row) for row in rows]
