"""The promise, through real processes and a real database: no overshoot, and no refusal while there is budget left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from ironworks.platform import metering, pricing
from ironworks.products.tokenfactory import budgets
from tests.products.tokenfactory.budgets.books import Books
from tests.products.tokenfactory.budgets.fleet import AUTHORIZATION, COST, call, hold, request, run_fleet
from tests.products.tokenfactory.cuttable import cuttable
from tests.products.tokenfactory.world import SCOPE
from tests.support.postgres import TestDatabase


async def budget(ledger: Books, nano: int, **spec: object) -> UUID:
    await ledger.world.scope(SCOPE)
    made = await ledger.budget("b", SCOPE, budgets.show_amount(nano), **{"period": "total", **spec})
    return UUID(int=made.uid.int)


async def test_a_thousand_at_once_overshoot_by_nothing_and_use_what_there_is(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    body = request()
    amount = 400 * COST + 777
    uid = await budget(ledger, amount)
    async with run_fleet(ledger, database, tmp_path, 3) as fleet:
        found = await fleet.crowd(1000, body)
        await fleet.settled()
        standing = await ledger.period(uid)
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
    assert await ledger.period(uid) == {"spent": 300 * COST, "unreserved": 0, "leased": 0}


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
            before = await ledger.period(uid)
            assert before["leased"] >= 10 * hold(request("waits"))
            doomed.kill()
            await doomed.process.wait()
            assert (await ledger.period(uid))["leased"] >= 10 * hold(request("waits")), "not before the replay"
            await asyncio.gather(*calls, return_exceptions=True)
            async with asyncio.timeout(60):
                while any(lease["state"] == "open" for lease in await ledger.leases(uid)):
                    await asyncio.sleep(0.1)
            standing = await ledger.period(uid)
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
            (lease,) = await ledger.leases(uid)
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


@pytest.mark.parametrize("on_failure", ["closed", "open"])
async def test_while_the_database_is_away(
    ledger: Books, database: TestDatabase, tmp_path: Path, on_failure: str
) -> None:
    """Leased money is used first; then closed refuses and open serves. All of it is charged when it is back."""
    uid = await budget(ledger, 1000 * hold(request()), on_failure=on_failure)
    async with (
        cuttable(database.port) as way,
        run_fleet(ledger, replace(database, port=way.port), tmp_path, 1) as fleet,
    ):
        url = fleet.members[0].url
        assert (await call(url, request()))[0] == 200
        await fleet.settled()
        (lease,) = await ledger.leases(uid)
        held = lease["granted_nano"] - lease["used_nano"]
        way.cut()
        told = [await call(url, request()) for _ in range(held // COST + 5)]
        served = [status for status, _ in told].count(200)
        if on_failure == "closed":
            assert (held - hold(request())) // COST <= served <= held // COST
            assert {answer["error"]["code"] for status, answer in told if status != 200} == {"budget_unavailable"}
        else:
            assert served == len(told)
        way.mend()
        async with asyncio.timeout(60):
            while (await ledger.period(uid))["spent"] < (1 + served) * COST:
                await asyncio.sleep(0.1)
        standing = await ledger.period(uid)
        assert standing["spent"] == (1 + served) * COST
        assert (standing["unreserved"] > 0) == (on_failure == "open"), "what was outside the promise is counted as such"
        async with asyncio.timeout(60):
            while (await call(url, request()))[0] != 200:
                await asyncio.sleep(0.1)


async def test_what_was_quoted_is_charged_though_the_price_is_raised_meanwhile(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    uid = await budget(ledger, 100 * hold(request()))
    async with run_fleet(ledger, database, tmp_path, 1) as fleet:
        url = fleet.members[0].url
        waiting = asyncio.create_task(call(url, request("waits")))
        await _until(lambda: bool(fleet.upstream.received))
        async with ledger.world.acting(ledger.world.operator) as ctx:
            key = pricing.PriceKey(metering.OUTPUT_TOKENS, "*", "USD")
            await pricing.create_price(ctx, key, Decimal("0.000004"))
        await asyncio.sleep(4)
        fleet.upstream.release.set()
        assert (await waiting)[0] == 200
        assert (await call(url, request()))[0] == 200
        await fleet.settled()
    dearer = COST + 5 * 3600
    assert (await ledger.period(uid))["spent"] == COST + dearer


async def test_a_raised_amount_is_used_and_a_lowered_one_refuses(
    ledger: Books, database: TestDatabase, tmp_path: Path
) -> None:
    uid = await budget(ledger, hold(request()))
    async with run_fleet(ledger, database, tmp_path, 2) as fleet:
        urls = [member.url for member in fleet.members]
        assert (await call(urls[0], request()))[0] == 200
        await fleet.settled()
        for url in urls:
            assert (await call(url, request()))[0] == 429
        await ledger.world.change(budgets.BUDGET, SCOPE, "b", {"amount": budgets.show_amount(20 * hold(request()))})
        for url in urls:
            await _until_told(url, 200)
        await ledger.world.change(budgets.BUDGET, SCOPE, "b", {"amount": "0.000001"})
        for url in urls:
            await _until_told(url, 429)
    assert (await ledger.period(uid))["leased"] == 0, "they left in peace"


async def _until_told(url: str, status: int) -> None:
    """Where the machine does nothing else this takes less than a second."""
    async with asyncio.timeout(60):
        while (await call(url, request()))[0] != status:
            await asyncio.sleep(0.05)


async def _answered(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post(f"{url}/v1/chat/completions", json=request())
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ironworks-cost"] == "0.000002900"


async def _until(what: object) -> None:
    async with asyncio.timeout(60):
        while not what():  # type: ignore[operator]
            await asyncio.sleep(0.02)
