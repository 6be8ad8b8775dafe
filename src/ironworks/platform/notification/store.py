"""The outbox in Postgres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from ironworks.platform.notification.model import MailRecord, Message, QueuedMail
from ironworks.shared.context import Context, to_json


async def insert_mail(
    ctx: Context, dedup_key: str, scope: str, template: str, recipient: str, variables: Mapping[str, str]
) -> bool:
    """Queue a mail; False when one with this key was queued before."""
    made = await ctx.db.fetchval(
        "insert into platform_notification.mail (dedup_key, scope, template, recipient, variables, created_at, due_at)"
        " values ($1, $2::text::ltree, $3, $4, $5::jsonb, $6, $6) on conflict (dedup_key) do nothing returning true",
        dedup_key, scope, template, recipient, to_json(variables), ctx.now(),
    )  # fmt: skip
    return made is not None


async def claim_due(ctx: Context, lease: timedelta) -> QueuedMail | None:
    """One mail that is due, not shown to others for `lease`; a sender that dies leaves it to the next."""
    row = await ctx.db.fetchrow(
        """
        update platform_notification.mail m set due_at = $1 + $2, attempts = attempts + 1
        where uid = (select uid from platform_notification.mail
                     where sent_at is null and given_up_at is null and due_at <= $1
                     order by due_at limit 1 for update skip locked)
        returning uid, template, recipient, variables::text as variables, attempts
        """,
        ctx.now(), lease,
    )  # fmt: skip
    return None if row is None else QueuedMail(**{**row, "variables": json.loads(row["variables"])})


async def note_sent(ctx: Context, message: Message, *, keep: bool) -> None:
    """The mail is out: forget what was in it, unless it stays on this machine anyway."""
    await ctx.db.execute(
        "update platform_notification.mail set sent_at = $2, error = null, variables = '{}', subject = $3, body = $4"
        " where uid = $1",
        message.uid, ctx.now(), message.subject, message.body if keep else None,
    )  # fmt: skip


async def note_refused(ctx: Context, uid: UUID, error: str, pause: timedelta | None) -> None:
    """The mail was refused: try again after `pause`, or never (None)."""
    await ctx.db.execute(
        "update platform_notification.mail set error = $2, due_at = coalesce($3::timestamptz + $4::interval, due_at),"
        " given_up_at = case when $4::interval is null then $3::timestamptz end,"
        " variables = case when $4::interval is null then '{}' else variables end where uid = $1",
        uid, error, ctx.now(), pause,
    )  # fmt: skip


async def fetch_mails(ctx: Context, recipient: str | None, limit: int) -> list[MailRecord]:
    """The newest mails first."""
    rows: list[Any] = await ctx.db.fetch(
        "select uid, template, recipient, created_at, sent_at, given_up_at, attempts, error, subject, body"
        " from platform_notification.mail where $1::text is null or recipient = $1"
        " order by created_at desc, uid limit $2",
        recipient, limit,
    )  # fmt: skip
    return [MailRecord(**row) for row in rows]


async def delete_old(ctx: Context, age: timedelta) -> None:
    """Remove mails that went out, or were given up, longer ago than `age`."""
    await ctx.db.execute(
        "delete from platform_notification.mail where coalesce(sent_at, given_up_at) < $1", ctx.now() - age
    )
