"""The composition root: what each process is made of, and which adapter stands behind which Protocol."""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ironworks.app.adapters import adapters_of
from ironworks.app.domains import Catalogue, collect
from ironworks.app.settings import Role, Settings
from ironworks.platform import audit, ledger, policy, secrets
from ironworks.shared.changelog import Sequencer, Tail
from ironworks.shared.context import Context, Services
from ironworks.shared.db import Database
from ironworks.shared.notify import CHANGED, Notifier
from ironworks.shared.queue import CHANNEL as WORK
from ironworks.shared.queue import injected

SEALS = ("select platform_audit.seal($1)",)
"""What the leader of the change log does besides, batch by batch."""
_TAIL_POLL: dict[Role, float] = {"api": 1.0, "worker": 1.0, "gateway": 0.3}
"""Seconds between looks at the log without a wake-up; a revoked key must stop within a second though all are lost."""


@dataclass(frozen=True, slots=True)
class Process:
    """What every process of ours has."""

    settings: Settings
    role: Role
    catalogue: Catalogue
    keyring: secrets.Keyring
    database: Database
    notifier: Notifier
    tail: Tail

    @property
    def url(self) -> str:
        return self.settings.database_url(self.role)

    def changed(self) -> None:
        """Wake whoever waits for changes or for work; call it after a commit."""
        self.notifier.poke(CHANGED)
        self.notifier.poke(WORK)

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside the process's own work, until it is cancelled."""
        common = [self.notifier.run(), self.tail.run()]
        return common if self.role == "gateway" else [*common, Sequencer(self.url, SEALS).run()]


async def check_creation(ctx: Context, quota: str, kind: str, scope: str) -> None:
    """What a plan or a prepaid balance refuses to create. Raises QuotaExceeded, CreditUsedUp."""
    await ledger.require_credit(ctx, scope)
    await policy.check_quota(ctx, quota, kind, scope)


@asynccontextmanager
async def open_process(settings: Settings, role: Role, *, connections: int = 10) -> AsyncIterator[Process]:
    """Everything wired, and closed at the end. Raises UnsafeRole, BadMasterKey, FileNotFoundError, OSError."""
    catalogue = collect()
    keyring = await secrets.load_keyring(master_key_source(settings))
    admissions = bound_admissions(catalogue, adapters_of(settings, keyring))
    services = Services(audit.append_record, secrets.EnvelopeVault(keyring), admissions, check_creation)
    url = settings.database_url(role)
    # the gateway serves without its database, also from its start on
    database = await Database.connect(
        url, services, max_size=connections, name=f"ironworks-{role}", at_once=role != "gateway"
    )
    try:
        yield Process(settings, role, catalogue, keyring, database, Notifier(url), Tail(url, poll=_TAIL_POLL[role]))
    finally:
        await database.close()


def bound_admissions(
    catalogue: Catalogue, available: Mapping[type, object]
) -> dict[str, tuple[Callable[..., Awaitable[None]], ...]]:
    """The catalogue's admissions, given what they ask for by type besides the context and the change."""
    return {
        kind: tuple(partial(function, **injected(function, available, given=2)) for function in functions)
        for kind, functions in catalogue.admissions.items()
    }


def master_key_source(settings: Settings) -> secrets.MasterKeySource:
    """A value, a command, or a file: the first that the settings name."""
    if settings.master_key is not None:
        return secrets.TextMasterKeys(settings.master_key)
    if settings.master_key_command is not None:
        return secrets.CommandMasterKeys(tuple(shlex.split(settings.master_key_command)))
    return secrets.FileMasterKeys(settings.master_key_file)


def host_name() -> str:
    """The name under which this host's own work is pinned."""
    return socket.gethostname()


async def run_together(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends or fails; then end the others."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
