"""Charging touches the topics that pages of usage and money follow: once a batch, where its requests were made."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ironworks.shared.topics import read_touched
from tests.support.lower import LowerWorld
from tests.support.money import charge, money_world, usage
from tests.support.postgres import TestDatabase


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


async def test_a_charged_batch_touches_usage_and_ledger_once_for_each_tenant(world: LowerWorld) -> None:
    api = await world.database("api")
    before = await read_touched(api, 0)  # another database's open transaction may hold what was before
    await charge(world, usage("req_1"), usage("req_2"), usage("req_3", scope="rival.app"))
    touched = await read_touched(api, before.oldest)
    assert touched.places - before.places == {
        (t, s) for t in ("usage", "ledger") for s in ("acme.shop.eu", "rival.app")
    }
    await charge(world, usage("req_1"), usage("req_3", scope="rival.app"))  # again, and so for nothing
    assert (await read_touched(api, touched.oldest)).places <= touched.places
    rows = await world.query("select topic from shared.touched where topic in ('usage', 'ledger')")
    assert sorted(row["topic"] for row in rows) == ["ledger", "usage"]
