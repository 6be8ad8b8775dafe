"""The world that these tests play in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from ironworks.platform import iam
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.postgres import TestDatabase
from tests.support.world import World, scope_world


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    async with scope_world(database) as made:
        yield made


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API, with nothing to show."""
    identity = iam.Identity(
        world.identity.hashing, world.identity.signer, world.identity.verifier, "https://iron.example"
    )
    api = Api(
        database=await world.database(),
        table=RouteTable([route for router in world.catalogue.routers for route in router.routes]),
        authenticate=iam.BearerAuthenticator(world.identity, remember=0),
        injected={iam.Identity: identity, iam.SingleSignOn: iam.SingleSignOn()},
    )
    transport = httpx.ASGITransport(app=api, client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client
