"""Secrets of a local run, one file each under `credentials/`, which only their owner may read."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from ironworks.app.settings import Settings

DATABASE_ROLES = ("postgres", "api", "worker", "gateway")


def ensure_credentials(settings: Settings) -> None:
    """Generate what is missing: the master key and the database passwords. Raises OSError."""
    settings.credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.credentials.chmod(0o700)
    if settings.master_key is None and settings.master_key_command is None and settings.master_key_path is None:
        create_secret(settings.master_key_file, base64.b64encode(secrets.token_bytes(32)).decode())
    for role in DATABASE_ROLES:
        create_secret(settings.credentials / f"database-{role}", secrets.token_urlsafe(32))


def role_passwords(settings: Settings) -> dict[str, str]:
    """The passwords that migrations give the login roles."""
    return {f"ironworks_{role}": settings.secret(f"database-{role}") for role in ("api", "worker", "gateway")}


def create_secret(path: Path, value: str) -> None:
    """Write a secret unless there is one; never half of it, whenever we are killed. Raises OSError."""
    if not path.exists():
        replace_secret(path, value)


def replace_secret(path: Path, value: str) -> None:
    """Write a secret, in place of the one that may be there. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
