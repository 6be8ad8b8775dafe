"""Master keys in a file that only our user can read."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import dataclass
from pathlib import Path

from ironworks.platform.secrets.model import BadMasterKey


@dataclass(frozen=True, slots=True)
class FileMasterKeys:
    """A MasterKeySource. Refuses a file that others may read."""

    path: Path

    async def read(self) -> str:
        return await asyncio.to_thread(self._read)

    def _read(self) -> str:
        try:
            if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                raise BadMasterKey(f"{self.path} can be read by others: chmod 600 it")
            return self.path.read_text("ascii")
        except OSError as problem:
            raise BadMasterKey(f"cannot read the master key file {self.path}: {problem.strerror}") from None
        except UnicodeDecodeError:
            raise BadMasterKey(f"{self.path} is not text") from None
