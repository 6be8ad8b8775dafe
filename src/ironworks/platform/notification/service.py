"""Queueing mails and sending them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ironworks.platform import registry
from ironworks.platform.notification import store
from ironworks.platform.notification.model import (
    KEPT_FOR,
    LAST_ATTEMPT,
    Mailer,
    MailRecord,
    MailRefused,
    MailSettings,
    QueuedMail,
    pause_after,
    write_message,
)
from ironworks.shared import telemetry
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.declarations import NOTIFICATION_TEMPLATE, NotificationTemplate

log = telemetry.logger(__name__)

_LEASE = timedelta(minutes=2)
_BATCH = 100


async def queue_mail(
    ctx: Context, dedup_key: str, template: str, recipient: str, variables: Mapping[str, str], scope: str = ""
) -> bool:
    """Have a mail sent once this transaction commits. For the worker.

    Args:
        dedup_key: a second mail with the same key is not queued.
        variables: what the template names; values may hold a token, so they are forgotten once the mail is out.

    Returns whether it was queued. Raises UnknownEntry, DisabledEntry for the template.
    """
    await registry.require(ctx, NOTIFICATION_TEMPLATE, template)
    return await store.insert_mail(ctx, dedup_key, scope, template, recipient, variables)


async def send_due_mails(db: Database, mailer: Mailer, settings: MailSettings) -> int:
    """Send what is due, at most a hundred mails; returns how many went out.

    A mail is claimed, sent outside of any transaction, and then noted: if the process dies in between it is sent
    again, with the same Message-ID.
    """
    sent = 0
    for _ in range(_BATCH):
        async with db.transaction(system_actor("notification")) as ctx:
            mail = await store.claim_due(ctx, _LEASE)
            template = await _template(ctx, mail.template) if mail is not None else None
        if mail is None or template is None:
            break
        sent += await _send(db, mailer, settings, mail, template)
    return sent


async def _template(ctx: Context, name: str) -> NotificationTemplate:
    """The text as its domain declares it; of one that is withdrawn, as it did."""
    entry, _ = await registry.get_entry(ctx, NOTIFICATION_TEMPLATE, name)
    return NotificationTemplate(name, **entry.body)


async def list_mails(ctx: Context, recipient: str | None = None, limit: int = 50) -> list[MailRecord]:
    """The newest mails first, to `recipient` or to anybody. Needs `mail:read` at the operator's scope."""
    await ctx.require("mail:read", "")
    return await store.fetch_mails(ctx, recipient, limit)


async def forget_old_mails(ctx: Context) -> None:
    """Remove mails that were done with a month ago."""
    await store.delete_old(ctx, KEPT_FOR)


async def _send(
    db: Database, mailer: Mailer, settings: MailSettings, mail: QueuedMail, template: NotificationTemplate
) -> bool:
    try:
        message = write_message(template, mail, settings)
        await mailer.send(message)
    except (MailRefused, KeyError) as problem:
        last = mail.attempts >= LAST_ATTEMPT or isinstance(problem, KeyError)
        log.warning("a mail was refused", mail=str(mail.uid), template=mail.template, error=str(problem), last=last)
        async with db.transaction(system_actor("notification")) as ctx:
            await store.note_refused(ctx, mail.uid, str(problem)[:500], None if last else pause_after(mail.attempts))
        return False
    async with db.transaction(system_actor("notification")) as ctx:
        await store.note_sent(ctx, message, keep=mailer.keeps)
    return True
