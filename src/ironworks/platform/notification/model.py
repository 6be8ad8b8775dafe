"""Mails, how they are written from templates, and what sends them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final, Protocol
from uuid import UUID

from ironworks.shared.declarations import NotificationTemplate
from ironworks.shared.errors import Unavailable

LAST_ATTEMPT: Final = 12
"""After so many refusals a mail is given up, some 3 hours after the first."""
LONGEST_PAUSE: Final = timedelta(minutes=30)
KEPT_FOR: Final = timedelta(days=30)


class MailRefused(Unavailable):
    """The mail system did not take the mail; it is tried again later."""

    code = "MAIL_REFUSED"


@dataclass(frozen=True, slots=True)
class Message:
    """One mail as it goes out. `uid` makes its Message-ID, so that a receiver can tell a repetition."""

    uid: UUID
    recipient: str
    subject: str
    body: str = field(repr=False)


class Mailer(Protocol):
    """What delivers mails; `adapters/smtp.py` and `adapters/file.py` are two.

    `keeps`: mails stay on this machine, so their text may be shown to the operator.
    """

    keeps: ClassVar[bool]

    async def send(self, message: Message) -> None:
        """Deliver, or raise MailRefused. May be called twice for one message."""


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`public_url`: where people reach this installation, without a slash at its end."""

    public_url: str


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail that waits."""

    uid: UUID
    template: str
    recipient: str
    variables: Mapping[str, str] = field(repr=False)
    attempts: int


@dataclass(frozen=True, slots=True)
class MailRecord:
    """A mail as the operator sees it. `body` is None unless mails stay on this machine."""

    uid: UUID
    template: str
    recipient: str
    created_at: datetime
    sent_at: datetime | None
    given_up_at: datetime | None
    attempts: int
    error: str | None
    subject: str | None
    body: str | None


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many refusals: 5 s, 10 s, 20 s, … 30 minutes."""
    return min(LONGEST_PAUSE, timedelta(seconds=5 * 2 ** min(attempts - 1, 20)))


def write_message(template: NotificationTemplate, mail: QueuedMail, settings: MailSettings) -> Message:
    """Fill a template in; `{public_url}` is always there. Raises KeyError for a variable that is missing."""
    values = {**mail.variables, "public_url": settings.public_url}
    subject = string.Formatter().vformat(template.subject, (), values)
    body = string.Formatter().vformat(template.body, (), values)
    return Message(mail.uid, mail.recipient, one_line(subject), body)


def one_line(text: str) -> str:
    """Text for a mail's header: no line can be broken out of it, and no control character stays."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
