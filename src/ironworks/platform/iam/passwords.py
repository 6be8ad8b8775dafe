"""Passwords, hashed with Argon2id (RFC 9106) on a few threads, so that hashing can neither stop the event loop nor take
all memory: a hash costs 46 MiB and some 40 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ironworks.shared.errors import Unavailable

T = TypeVar("T")
THREADS: Final = 2
WAITING: Final = 64
"""How many may wait for a thread; more are turned away."""

# OWASP's Password Storage Cheat Sheet, first configuration: m = 46 MiB, t = 1, p = 1
HASHER: Final = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)


class PasswordHashing:
    """The threads of one process. `hasher` decides the cost; tests take a cheap one."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._under_way = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Unavailable when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password fits. None takes as long as any hash and never fits. Raises Unavailable."""
        if stored:
            return await self._run(lambda: self._fits(stored, password))
        if self._decoy is None:
            self._decoy = await self.hash("nobody has this password")
        await self._run(lambda: self._fits(self._decoy or "", password))
        return False

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _fits(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= THREADS + WAITING:
            raise Unavailable("too many sign-ins at once: try again shortly")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1
