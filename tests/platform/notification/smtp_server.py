"""A real SMTP server in a few lines (RFC 5321), with STARTTLS and AUTH PLAIN, that keeps what it was given."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field

LOGIN = ("mailer", "s3cret")


@dataclass
class Received:
    sender: str
    recipients: list[str]
    text: str
    encrypted: bool


@dataclass
class SmtpServer:
    """`refuse`: an answer to give to every RCPT instead of taking it. `tls`: what STARTTLS switches to."""

    tls: ssl.SSLContext | None = None
    demand_login: bool = False
    refuse: str = ""
    mails: list[Received] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> SmtpServer:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *problem: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        encrypted, known, sender, recipients = False, not self.demand_login, "", list[str]()
        say("220 test")
        while line := (await reader.readline()).decode().strip():
            verb = line.split()[0].upper()
            if verb in ("EHLO", "HELO"):
                say("250-test")
                if self.tls and not encrypted:
                    say("250-STARTTLS")
                say("250 AUTH PLAIN")
            elif verb == "STARTTLS" and self.tls:
                say("220 go on")
                await writer.drain()
                await writer.start_tls(self.tls)
                encrypted = True
            elif verb == "AUTH":
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                known = (user, password) == LOGIN
                say("235 welcome" if known else "535 who are you")
            elif verb == "MAIL":
                sender, recipients = line[10:], []
                say("250 ok" if known else "530 log in first")
            elif verb == "RCPT":
                recipients.append(line[8:])
                say(self.refuse or "250 ok")
            elif verb == "DATA":
                say("354 go on")
                lines = []
                while (part := (await reader.readline()).decode()) != ".\r\n":
                    lines.append(part)
                self.mails.append(Received(sender, recipients, "".join(lines), encrypted))
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")
        writer.close()
