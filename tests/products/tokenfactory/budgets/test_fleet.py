"""The promise, through real processes and a real database: no overshoot, and no refusal while there is budget left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from ironworks.products.tokenfactory import budgets
from tests.products.tokenfactory.budgets.books import Books
from tests.products.tokenfactory.budgets.fleet import AUTHORIZATION, COST, call, hold, request, run_fleet
from tests.products.tokenfactory.world import SCOPE
from tests.support.postgres import TestDatabase


async def budget(ledger: Books, nano: int, **spec: object) -> object:
    await ledger.world.scope(SCOPE)
    made = await ledger.budget("b", SCOPE, budgets.show_amount(nano), **{"period": "total", **spec})
    return made.uid


async def test_a_thousand_at_once_overshoot_by_nothing_and_use_what_there_is(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    body = request()
    amount = 400 * COST + 777
    uid = await budget(ledger, amount)
    async with run_fleet(ledger, database, tmp_path, 3) as fleet:
        found = await fleet.crowd(1000, body)
        await fleet.settled()
        standing = await ledger.period(uid)  # type: ignore[arg-type]
        assert standing["spent"] == found["answered"] * COST
        assert standing["spent"] <= amount
        assert standing["unreserved"] == 0
        assert amount - standing["spent"] < hold(body), "the last request that fits was served"
        assert set(found) == {"answered", "budget_exhausted"}, found


async def test_nobody_is_refused_while_there_is_budget_left(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    """All of them fit at their true cost, though their worst cases together are more than the amount."""
    body = request(output=40)
    uid = await budget(ledger, 300 * COST + hold(body))
    assert 300 * hold(body) > 5 * 300 * COST
    async with run_fleet(ledger, database, tmp_path, 3) as fleet:
        found = await fleet.crowd(300, body)
        assert found == {"answered": 300}
        await fleet.settled()
    assert await ledger.period(uid) == {"spent": 300 * COST, "unreserved": 0, "leased": 0}  # type: ignore[arg-type]


async def test_all_that_a_killed_process_held_comes_back_once_its_spool_is_replayed(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    amount = 100 * hold(request("waits"))
    uid = await budget(ledger, amount)
    async with run_fleet(ledger, database, tmp_path, 2) as fleet:
        doomed, other = fleet.members
        async with httpx.AsyncClient(timeout=30, headers=AUTHORIZATION) as http:
            await _answered(http, doomed.url)
            calls = [
                asyncio.create_task(http.post(f"{doomed.url}/v1/chat/completions", json=request("waits", stream=True)))
                for _ in range(10)
            ]
            await _until(lambda: len(fleet.upstream.received) == 11)
            await asyncio.sleep(0.3)
            before = await ledger.period(uid)  # type: ignore[arg-type]
            assert before["leased"] >= 10 * hold(request("waits"))
            doomed.kill()
            await asyncio.gather(*calls, return_exceptions=True)
            async with asyncio.timeout(20):
                while any(lease["state"] == "open" for lease in await ledger.leases(uid)):  # type: ignore[arg-type]
                    await asyncio.sleep(0.1)
            standing = await ledger.period(uid)  # type: ignore[arg-type]
            assert standing["leased"] == 0
            assert COST < standing["spent"] <= COST + 10 * hold(request("waits")), "what was sent is charged"
            rest = amount - standing["spent"]
            answer = await http.post(f"{other.url}/v1/chat/completions", json=request(output=(rest - 5000) // 400))
            assert answer.status_code == 200, "all of it can be held again"


async def test_a_lost_spool_stays_frozen_until_it_is_declared_lost(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    amount = 40 * hold(request())
    uid = await budget(ledger, amount)
    async with run_fleet(ledger, database, tmp_path, 1) as fleet:
        lost = await fleet.start("elsewhere")
        async with httpx.AsyncClient(timeout=30, headers=AUTHORIZATION) as http:
            await _answered(http, lost.url)
            await fleet.settled()
            lost.kill()
            await lost.process.wait()
            (lease,) = await ledger.leases(uid)  # type: ignore[arg-type]
            held = lease["granted_nano"] - lease["used_nano"]
            assert 0 < held <= amount // 8, "no more than a slice"
            large = request(output=(amount - 2 * COST - held // 2) // 400)
            assert amount - COST - held < hold(large) < amount - COST
            waiting = asyncio.create_task(call(fleet.members[0].url, large))
            await asyncio.sleep(1)
            assert not waiting.done(), "what is frozen is not free"
            await ledger.world.admin.execute(
                "update tokenfactory_budgets.lease set expires_at = now() where id = $1", lease["id"]
            )
            async with ledger.world.acting(ledger.world.operator) as ctx:
                freed = await budgets.release_lost(ctx, SCOPE, "b", lease["holder"], None)
            assert [nano for _, _, nano in freed] == [held]
            assert (await waiting)[0] == 200


async def _answered(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post(f"{url}/v1/chat/completions", json=request())
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ironworks-cost"] == "0.000002900"


async def _until(what: object) -> None:
    async with asyncio.timeout(20):
        while not what():  # type: ignore[operator]
            await asyncio.sleep(0.02)
