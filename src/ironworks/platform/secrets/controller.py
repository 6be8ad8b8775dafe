"""Rotation runs by itself: whatever a request, or a new master key, leaves to be done is done within a minute."""

from __future__ import annotations

from ironworks.platform.secrets.cipher import Keyring
from ironworks.platform.secrets.service import run_rotation
from ironworks.shared.db import Database
from ironworks.shared.schedules import schedules


@schedules(every=60)
async def rotate_keys(db: Database, keyring: Keyring) -> None:
    """Finish rotations that were asked for or cut off."""
    await run_rotation(db, keyring)
