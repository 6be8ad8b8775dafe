"""Mail through an SMTP server (RFC 5321), on a thread: the standard library's client blocks."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from ironworks.platform.notification.model import MailRefused, Message, one_line

Security: TypeAlias = Literal["starttls", "tls", "none"]
_PORTS: Final[dict[str, int]] = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """A server and how to speak to it.

    Args:
        security: `starttls` (port 587), `tls` from the first byte (port 465), or `none` for a server on loopback.
        username, password: left out where the server asks for none.
        trust: certificates to trust; the system's by default.
    """

    keeps: ClassVar[bool] = False
    host: str
    port: int
    sender: str
    security: Security = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 20.0
    trust: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def at(cls, url: str, sender: str) -> SmtpMailer:
        """The server that a URL names: `smtp://user:password@host:587` (STARTTLS), `smtps://host:465` (TLS).

        `smtp://host:25?security=none` speaks in the clear. Raises ValueError.
        """
        parts = urlsplit(url)
        wanted = dict(parse_qsl(parts.query)).get("security") or ("tls" if parts.scheme == "smtps" else "starttls")
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or wanted not in _PORTS:
            raise ValueError("a mail server is smtp://user:password@host:587, smtps://host:465 or ?security=none")
        security: Security = "tls" if wanted == "tls" else "none" if wanted == "none" else "starttls"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname, parts.port or _PORTS[security], sender, security, user, password)

    async def send(self, message: Message) -> None:
        """Hand the mail to the server. Raises MailRefused."""
        try:
            await asyncio.to_thread(self._send, message)
        except (smtplib.SMTPException, OSError, ValueError) as problem:
            raise MailRefused(f"the mail server refused: {type(problem).__name__}: {problem}"[:500]) from problem

    def _send(self, message: Message) -> None:
        with self._connect() as server:
            if self.security == "starttls":
                server.starttls(context=self._trusted())
            if self.username:
                server.login(self.username, self.password)
            server.send_message(compose(message, self.sender))

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=self._trusted())
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout)

    def _trusted(self) -> ssl.SSLContext:
        return self.trust or ssl.create_default_context()


def compose(message: Message, sender: str) -> EmailMessage:
    """The mail as it travels (RFC 5322)."""
    mail = EmailMessage()
    mail["From"] = one_line(sender)
    mail["To"] = one_line(message.recipient)
    mail["Subject"] = message.subject
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = f"<{message.uid}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.body)
    return mail
