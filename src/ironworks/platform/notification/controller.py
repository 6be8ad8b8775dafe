"""Turns events into mails, and sends what waits."""

from __future__ import annotations

from ironworks.platform import iam
from ironworks.platform.notification.declarations import VERIFY_ADDRESS, VERIFY_KNOWN_ADDRESS
from ironworks.platform.notification.model import Mailer, MailSettings
from ironworks.platform.notification.service import forget_old_mails, queue_mail, send_due_mails
from ironworks.shared.changelog import LoggedEvent
from ironworks.shared.consumers import consumes
from ironworks.shared.context import Context, system_actor
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules


@consumes(iam.VerificationRequested.type, name="notification.verification_mail")
async def on_verification_requested(ctx: Context, event: LoggedEvent) -> None:
    """The token is made here, so that it is in no event and no log."""
    mail = await iam.arm_signup(ctx, event.payload_as(iam.VerificationRequested).signup)
    if mail is None:
        return
    template = VERIFY_KNOWN_ADDRESS if mail.known else VERIFY_ADDRESS
    variables = {
        "name": mail.display_name or mail.email,
        "account": mail.account,
        "token": mail.token,
        "hours": str(int(mail.valid_for.total_seconds() // 3600)),
    }
    await queue_mail(ctx, f"event:{event.event_id}", template.name, mail.email, variables)


@schedules(every=2)
async def send_mails(db: Database, mailer: Mailer, settings: MailSettings) -> None:
    """Send what is due."""
    await send_due_mails(db, mailer, settings)


@schedules(every=3600)
async def forget_mails(db: Database) -> None:
    """Remove mails that were done with a month ago."""
    async with db.transaction(system_actor("notification")) as ctx:
        await forget_old_mails(ctx)
