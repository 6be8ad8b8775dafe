"""Turns events into mails, and sends what waits."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from ironworks.platform import iam
from ironworks.platform.notification.declarations import template_of
from ironworks.platform.notification.model import Mailer, MailSettings
from ironworks.platform.notification.service import forget_old_mails, queue_mail, send_due_mails
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules


@consumes(iam.VerificationRequested.type, name="notification.verification_mail")
async def on_verification_requested(ctx: Context, event: LoggedEvent) -> None:
    """Somebody signed up."""
    await _mail_link(ctx, event, event.payload_as(iam.VerificationRequested).signup)


@consumes(iam.LinkRequested.type, name="notification.link_mail")
async def on_link_requested(ctx: Context, event: LoggedEvent) -> None:
    """Somebody was invited, or forgot his password."""
    await _mail_link(ctx, event, event.payload_as(iam.LinkRequested).link)


async def _mail_link(ctx: Context, event: LoggedEvent, link: UUID) -> None:
    """The token is made here, so that it is in no event and no log."""
    mail = await iam.arm_link(ctx, link)
    if mail is None:
        return
    variables = {
        "name": mail.name or mail.email,
        "account": mail.account,
        "scope": "the installation" if mail.scope == "-" else mail.scope,
        "role": mail.role.rpartition("/")[2],
        "inviter": mail.inviter,
        "token": mail.token,
        "life": _shown(mail.valid_for),
    }
    template = template_of(mail)
    await queue_mail(
        ctx,
        f"event:{event.event_id}",
        template.name,
        mail.email,
        {name: variables[name] for name in template.variables},
    )


def _shown(life: timedelta) -> str:
    hours = int(life.total_seconds() // 3600)
    return f"{hours // 24} days" if hours > 48 else f"{hours} hours" if hours > 1 else "an hour"


@schedules(every=2)
async def send_mails(db: Database, mailer: Mailer, settings: MailSettings) -> None:
    """Send what is due."""
    await send_due_mails(db, mailer, settings)


@schedules(every=3600)
async def forget_mails(db: Database) -> None:
    """Remove mails that were done with a month ago."""
    async with db.transaction(system_actor("notification")) as ctx:
        await forget_old_mails(ctx)
