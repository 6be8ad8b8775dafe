"""Mail to people: an outbox, templates, and what delivers them.

Owns: queued mails and their delivery; their texts are templates that the domains declare.
Never: decides that somebody should be told (the domain whose event it is does); keeps a mail's text once it is out,
except where mails are files of this machine.
Invariants:
  - a mail is queued in the transaction of its cause and sent after it, at least once, under one Message-ID;
  - one dedup key makes one mail;
  - nothing a person typed can add a header or a recipient.
"""

from ironworks.platform.notification.adapters.file import FileMailer
from ironworks.platform.notification.adapters.smtp import SmtpMailer
from ironworks.platform.notification.model import Mailer, MailRecord, MailRefused, MailSettings, Message
from ironworks.platform.notification.service import list_mails, queue_mail, send_due_mails

__all__ = [
    "FileMailer",
    "MailRecord",
    "MailRefused",
    "MailSettings",
    "Mailer",
    "Message",
    "SmtpMailer",
    "list_mails",
    "queue_mail",
    "send_due_mails",
]
