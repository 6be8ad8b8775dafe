"""The audit trail on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from ironworks.platform.audit.declarations import DECLARATIONS
from ironworks.shared.declarations import AuditAction, Declarations
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase

BUCKETS = Declarations(audit_actions=(AuditAction("bucket.create", "Create buckets"),))


@pytest_asyncio.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with lower_world(database, {"platform.audit": DECLARATIONS, "test.buckets": BUCKETS}) as opened:
        yield opened
