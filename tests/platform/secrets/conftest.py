"""The secret store on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from ironworks.platform import secrets
from ironworks.platform.secrets.declarations import DECLARATIONS
from tests.support.lower import LowerWorld, lower_world
from tests.support.postgres import TestDatabase

_BUCKETS = """
do $$ begin execute format('grant create on database %I to ironworks_owner', current_database()); end $$;
set role ironworks_owner;
select shared.create_domain_schema('test_storage');
select shared.create_kind_table('Bucket', 'test_storage.bucket', reconciled => false);
reset role;
create or replace function platform_tenancy.scope_open(scope ltree) returns boolean language sql as 'select true';
"""


async def have_bucket(world: LowerWorld, owner: UUID, scope: str) -> None:
    """The resource whose secrets are kept, if it is not there yet."""
    await world.admin(
        "insert into test_storage.bucket (uid, scope, name, spec) values ($1, $2::text::ltree, $3, '{}')"
        " on conflict (uid) do nothing",
        owner,
        scope,
        f"b-{owner}",
    )


@pytest.fixture
def keyring() -> secrets.Keyring:
    return secrets.Keyring(secrets.parse_master_keys(secrets.new_master_key()))


@pytest_asyncio.fixture
async def world(database: TestDatabase, keyring: secrets.Keyring) -> AsyncIterator[LowerWorld]:
    vault = secrets.EnvelopeVault(keyring)
    async with lower_world(database, {"platform.secrets": DECLARATIONS}, vault) as opened:
        await opened.admin(_BUCKETS)
        yield opened
