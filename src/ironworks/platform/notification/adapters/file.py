"""Mail as files that only this user can read, for a machine without a mail server."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from email import policy
from pathlib import Path
from typing import ClassVar

from ironworks.platform.notification.adapters.smtp import compose
from ironworks.platform.notification.model import MailRefused, Message


@dataclass(frozen=True, slots=True)
class FileMailer:
    """Writes `<uid>.eml` into `folder`; a mail sent twice is one file."""

    keeps: ClassVar[bool] = True
    folder: Path
    sender: str

    async def send(self, message: Message) -> None:
        """Write the mail. Raises MailRefused when the folder cannot be written."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as problem:
            raise MailRefused(f"the mail cannot be written to {self.folder}: {problem.strerror}") from problem

    def _write(self, message: Message) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.folder / f".{message.uid}.draft"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(compose(message, self.sender).as_bytes(policy=policy.SMTP))
        draft.replace(self.folder / f"{message.uid}.eml")
