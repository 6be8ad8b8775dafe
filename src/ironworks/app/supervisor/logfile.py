"""Log files that programs write themselves, rotated under their hands.

A program holds its file open for appending, so it is copied and then cut to nothing; what is written between the two
is lost, a few lines in ten megabytes. The other way, a pipe through the supervisor, would kill the programs with it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def open_log(path: str) -> int:
    """A descriptor that appends to the file, which only we may read. Raises OSError."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def rotate(path: str, limit: int, keep: int) -> bool:
    """Move the content to `<path>.1` (and that to `.2`, up to `keep`) once it exceeds `limit` bytes.

    Raises OSError, for instance when the disk is full; the log then grows on.
    """
    try:
        if os.stat(path).st_size <= limit:
            return False
    except FileNotFoundError:
        return False
    for number in range(keep - 1, 0, -1):
        older = Path(f"{path}.{number}")
        if older.exists():
            older.replace(f"{path}.{number + 1}")
    if keep:
        with open(path, "rb") as source, open(os.open(f"{path}.0", _FRESH, 0o600), "wb") as copy:
            shutil.copyfileobj(source, copy)
        os.truncate(path, 0)
        os.replace(f"{path}.0", f"{path}.1")
    else:
        os.truncate(path, 0)
    return True
