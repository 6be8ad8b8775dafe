"""Reports read for seconds; however many somebody asks for, everybody else's requests find a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ironworks.platform.reports import service
from ironworks.platform.reports.model import Table
from ironworks.shared.serving import HEAVY_AT_ONCE
from tests.support.api import ApiWorld


async def test_short_requests_are_answered_beside_any_number_of_reports(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.scope("acme")
    go, running = asyncio.Event(), []

    async def read(*arguments: Any) -> Table:
        running.append(1)
        await go.wait()
        return Table((), ())

    monkeypatch.setattr(service, "report_usage", read)
    asked = [asyncio.create_task(world.operator.call("GET", "scopes/acme/reports/usage")) for _ in range(20)]
    try:
        async with asyncio.timeout(60):
            while not running:
                await asyncio.sleep(0.01)
            for _ in range(5):
                await world.operator.get("me")
        assert len(running) <= HEAVY_AT_ONCE
    finally:
        go.set()
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
    assert len(running) == 20
