"""Usage from outside: each event counts once, is charged like any other, and is told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import billing, metering
from ironworks.platform.billing.controller import charge_ingested_usage
from ironworks.platform.metering.ingest import read_event
from ironworks.platform.metering.routes import router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, check_books, contents, money_world
from tests.support.postgres import TestDatabase


def event(number: int = 1, at: datetime = NOON, **changes: Any) -> dict[str, Any]:
    """A CloudEvent of 1000 input tokens."""
    fields: dict[str, Any] = {
        "specversion": "1.0", "type": "ironworks.usage.v1", "source": "/render-farm", "id": f"job-{number}",
        "subject": TENANT, "time": at.isoformat(),
        "data": {"quantities": {"input_tokens": 1000}, "model": "smollm2", "dimensions": {"sku": "a100"}},
    }  # fmt: skip
    return fields | changes


class Sender:
    """Hands in events as a subject, through the API."""

    def __init__(self, database: Database, subjects: dict[str, Actor]) -> None:
        async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
            return subjects[(authorization or "").removeprefix("Bearer ")]

        api = Api(database, RouteTable([*router.routes]), authenticate)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api")  # type: ignore[arg-type]

    async def __call__(self, *events: Any, who: str = "farm", status: int = 200) -> Any:
        answer = await self.client.post(
            "/api/v1/usage", json={"events": list(events)}, headers={"authorization": f"Bearer {who}"}
        )
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        world.clock = lambda: NOON
        yield world


@pytest.fixture
async def send(world: LowerWorld) -> AsyncIterator[Sender]:
    subjects = {
        "farm": await world.subject("farm", {"usage:write": ["acme"]}),
        "rival": await world.subject("rival", {"usage:write": ["rival"]}),
        "reader": await world.subject("reader", {"usage:read": ["acme"]}),
    }
    sender = Sender(await world.database("api"), subjects)
    yield sender
    await sender.client.aclose()


def outcomes(answer: Any) -> list[str]:
    return [item["outcome"] for item in answer["items"]]


async def test_what_is_handed_in_is_recorded_once_and_charged(world: LowerWorld, send: Sender) -> None:
    first = await send(event(1), event(2), event(1))
    assert outcomes(first) == ["accepted", "accepted", "duplicate"]
    assert (first["accepted"], first["duplicate"], first["conflict"], first["refused"]) == (2, 1, 0, 0)
    assert outcomes(await send(event(2), event(3))) == ["duplicate", "accepted"]
    worker = await world.database("worker")
    await charge_ingested_usage(worker)
    before = await contents(world)
    await send(event(3), event(2))
    await charge_ingested_usage(worker)
    assert await contents(world) == before
    await check_books(world)
    payer = await world.subject("payer", {"billing:read": ["acme"]})
    async with world.acting(payer) as ctx:
        explained = await billing.explain_request(ctx, first["items"][0]["event_id"])
        assert (await billing.get_scope_balance(ctx, "acme")).owed_nano == {"USD": 3 * 100_000}
    assert explained.total_nano == {"USD": 100_000}
    assert explained.usage.event.dimensions == {"sku": "a100", "source": "/render-farm"}
    assert explained.usage.event.client_request_id == "job-1"


async def test_other_content_under_the_same_id_is_a_conflict_that_is_kept(world: LowerWorld, send: Sender) -> None:
    await send(event(1))
    other = event(1, data={"quantities": {"input_tokens": 7}})
    answer = await send(other, other)
    assert outcomes(answer) == ["conflict", "conflict"]
    assert answer["items"][0]["problems"][0]["field"] == "id"
    (kept,) = await world.query("select reason, path from platform_metering.set_aside")
    assert tuple(kept) == ("conflict", TENANT)


BAD: list[tuple[Any, str]] = [
    ("no object", "event"),
    ([], "event"),
    (event(specversion="0.3"), "specversion"),
    (event(type="com.example.other"), "type"),
    (event(id=""), "id"),
    (event(id=7), "id"),
    (event(subject="Not A Path"), "subject"),
    (event(time="yesterday"), "time"),
    (event(time="2026-03-01T12:00:00"), "time"),
    (event(data={}), "data"),
    (event(data={"quantities": {}}), "data"),
    (event(data={"quantities": {"input_tokens": 1.5}}), "data.quantities.input_tokens"),
    (event(data={"quantities": {"input_tokens": True}}), "data.quantities.input_tokens"),
    (event(data={"quantities": {"input_tokens": -1}}), "data.quantities"),
    (event(data={"quantities": {"input_tokens": 10**13}}), "data.quantities"),
    (event(data={"quantities": {"bananas": 1}}), "data.quantities"),
    (event(data={"quantities": {"input_tokens": 1}, "price": 0}), "data.price"),
    (event(data={"quantities": {"input_tokens": 1}, "dimensions": {"source": "x"}}), "data.dimensions.source"),
    (event(subject="acme.shop.never"), "subject"),
    (event(subject="rival.app"), "subject"),
    (event(subject="-"), "subject"),
    (event(at=NOON + timedelta(minutes=5, seconds=1)), "time"),
    (event(at=NOON - timedelta(days=35, seconds=1)), "time"),
]


async def test_each_event_is_judged_by_itself(world: LowerWorld, send: Sender) -> None:
    answer = await send(*(bad for bad, _ in BAD), event(99))
    assert outcomes(answer) == ["refused"] * len(BAD) + ["accepted"]
    assert [item["problems"][0]["field"] for item in answer["items"][:-1]] == [field for _, field in BAD]
    assert all(item["event_id"] is None for item in answer["items"][:-1])


async def test_time_has_two_ends(world: LowerWorld, send: Sender) -> None:
    early, late = NOON - timedelta(days=35), NOON + timedelta(minutes=5)
    assert outcomes(await send(event(1, early), event(2, late))) == ["accepted", "accepted"]
    past = NOON - timedelta(days=36)
    assert outcomes(await send(event(3, past))) == ["refused"]
    (kept,) = await world.query("select reason from platform_metering.set_aside")
    assert kept["reason"] == "too_late"
    assert outcomes(await send(event(3, early))) == ["accepted"]


async def test_who_may_not_write_is_refused_and_uses_up_nobody_s_id(world: LowerWorld, send: Sender) -> None:
    assert outcomes(await send(event(1), who="rival")) == ["refused"]
    assert outcomes(await send(event(1, subject="rival.app"), who="rival")) == ["accepted"]
    assert outcomes(await send(event(1))) == ["accepted"]
    await send(event(1), who="reader", status=403)
    assert await world.query("select from platform_metering.set_aside") == []


async def test_a_batch_has_a_size(send: Sender) -> None:
    await send(status=422)
    await send(*[event(n) for n in range(1001)], status=422)


async def test_many_senders_at_once_count_each_event_once(world: LowerWorld, send: Sender) -> None:
    events = [event(n) for n in range(60)]
    answers = await asyncio.gather(*(send(*events[n * 10 :], *events[: n * 10]) for n in range(6)))
    assert sum(answer["accepted"] for answer in answers) == 60
    assert sum(answer["duplicate"] for answer in answers) == 300
    worker = await world.database("worker")
    await asyncio.gather(*(charge_ingested_usage(worker) for _ in range(3)))
    await check_books(world)
    (row,) = await world.query("select sum(amount_nano)::bigint as nano from platform_ledger.transfer")
    assert row["nano"] == 60 * 100_000


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(event())), anything) | anything)
def test_nothing_that_is_handed_in_breaks_the_reader(changes: Any) -> None:
    read = read_event(event() | changes if isinstance(changes, dict) else changes)
    assert isinstance(read, metering.UsageEvent) or read.problems


async def test_readings_come_from_outside_too(world: LowerWorld, send: Sender) -> None:
    await world.admin(
        "update platform_registry.entry set body = body || '{\"aggregation\": \"time_weighted\"}' where name = 'images'"
    )
    data = {"readings": {"images": 3}, "resource": "wall-1"}
    assert outcomes(await send(event(1, data=data), event(2, data=data | {"resource": ""}))) == ["accepted", "refused"]
    (row,) = await world.query("select meter, level, resource from platform_metering.reading")
    assert tuple(row) == ("images", 3, "wall-1")
