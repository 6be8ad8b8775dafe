"""A kind of its own for the tests of the work queue: boxes at the operator's scope, written as the superuser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from ironworks.shared.context import Context, Services
from ironworks.shared.db import Database
from ironworks.shared.kind import EVERYWHERE, Kind, Resource, Spec, Status
from ironworks.shared.reconcile import Reconciler
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.support.postgres import TestDatabase


class BoxSpec(Spec):
    size: int = 1


class BoxStatus(Status):
    doubled: int = 0
    seen_at: datetime | None = None


BOX = Kind(
    "Box",
    plural="boxes",
    schema="test_storage",
    levels=EVERYWHERE,
    spec=BoxSpec,
    status=BoxStatus,
    phases=("Pending", "Packing", "Ready", "Failed", "Deleting"),
)
Box: TypeAlias = Resource[BoxSpec, BoxStatus]


class Removed(BaseModel):
    owner: UUID


@dataclass
class FakeVault:
    """Remembers what it was told to forget."""

    removed: list[UUID] = field(default_factory=list)

    async def put(self, ctx: Context, scope: str, owner: UUID, values: Mapping[str, str]) -> None: ...

    async def get(self, ctx: Context, owner: UUID) -> dict[str, str]:
        return {"auth.password": f"of {owner}"}

    async def get_many(self, ctx: Context, owners: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
        return {owner: await self.get(ctx, owner) for owner in owners}

    async def remove(self, ctx: Context, owner: UUID, pointers: Sequence[str] | None = None) -> None:
        self.removed.append(owner)


async def no_audit(*_: Any) -> None: ...


@dataclass
class Boxes:
    """The table of boxes, and workers on it."""

    database: TestDatabase
    admin: asyncpg.Connection[asyncpg.Record]
    dbs: list[Database]
    vault: FakeVault

    async def worker(self, *reconcilers: Reconciler, **options: Any) -> ReconcileRuntime:
        """A runtime with a pool of its own, as another process would have."""
        services = Services(audit=no_audit, vault=self.vault)
        db = await Database.connect(self.database.url("worker"), services, max_size=5, name="test-worker")
        self.dbs.append(db)
        return ReconcileRuntime(db, reconcilers, options.pop("injected", {}), **options)

    async def create(self, name: str, size: int = 1) -> UUID:
        uid: UUID = await self.admin.fetchval(
            "insert into test_storage.box (scope, name, spec) values ('', $1, $2) returning uid",
            name,
            json.dumps({"size": size}),
        )
        return uid

    async def resize(self, uid: UUID, size: int) -> None:
        await self.admin.execute(
            "update test_storage.box set spec = $2 where uid = $1", uid, json.dumps({"size": size})
        )

    async def delete(self, uid: UUID) -> None:
        await self.admin.execute("update test_storage.box set deletion_timestamp = now() where uid = $1", uid)

    async def get(self, uid: UUID) -> dict[str, Any] | None:
        row = await self.admin.fetchrow(
            "select phase, status, resource_version from test_storage.box where uid = $1", uid
        )
        return None if row is None else {**json.loads(row["status"]), "resource_version": row["resource_version"]}

    async def status(self, uid: UUID) -> dict[str, Any]:
        found = await self.get(uid)
        assert found is not None
        return found

    async def ready(self, uid: UUID) -> dict[str, Any]:
        """The condition Ready."""
        [condition] = [c for c in (await self.status(uid))["conditions"] if c["type"] == "Ready"]
        return dict(condition)

    async def items(self) -> list[dict[str, Any]]:
        return [dict(r) for r in await self.admin.fetch("select * from shared.work_item order by kind, uid")]

    async def item(self, uid: UUID) -> dict[str, Any] | None:
        row = await self.admin.fetchrow("select * from shared.work_item where uid = $1", uid)
        return dict(row) if row else None

    async def hurry(self) -> None:
        """Make everything that waits due now."""
        await self.admin.execute("update shared.work_item set due_at = now() where token is null")
