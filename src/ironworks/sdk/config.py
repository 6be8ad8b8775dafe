"""Where the API is and who we are: the environment first, then what `ironworks login` stored."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:7070"


@dataclass(frozen=True, slots=True)
class Profile:
    """An API's address and a credential for it: an API key, or a session's access and refresh token."""

    url: str = DEFAULT_URL
    token: str | None = None
    refresh_token: str | None = None
    stored: bool = False


def profile_file() -> Path:
    """`~/.config/ironworks/credentials.json`, or below XDG_CONFIG_HOME."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "ironworks" / "credentials.json"


def load_profile() -> Profile:
    """IRONWORKS_URL and IRONWORKS_TOKEN, else the stored login, else the local default without a credential."""
    url, token = os.environ.get("IRONWORKS_URL"), os.environ.get("IRONWORKS_TOKEN")
    if token:
        return Profile((url or DEFAULT_URL).rstrip("/"), token)
    try:
        stored = json.loads(profile_file().read_text())
        found = Profile(stored["url"], stored["token"], stored.get("refresh_token"), stored=True)
    except (OSError, ValueError, KeyError, TypeError):
        return Profile((url or DEFAULT_URL).rstrip("/"))
    return found if url in (None, found.url) else Profile((url or DEFAULT_URL).rstrip("/"))


def save_profile(profile: Profile) -> Path:
    """Store a login, readable by its owner alone; returns the file."""
    file = profile_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump({"url": profile.url, "token": profile.token, "refresh_token": profile.refresh_token}, out)
    new.replace(file)
    return file


def forget_profile() -> bool:
    """Remove a stored login; tells whether there was one."""
    file = profile_file()
    existed = file.exists()
    file.unlink(missing_ok=True)
    return existed
