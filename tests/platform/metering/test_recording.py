"""Usage is recorded once, whatever is handed in with it, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform import metering, registry
from ironworks.shared.context import to_json
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, money_world, usage
from tests.support.postgres import Role, TestDatabase


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


async def record(world: LowerWorld, *events: metering.UsageEvent) -> list[metering.UsageEvent]:
    async with world.system("gateway") as ctx:
        return await metering.record_usage(ctx, events)


async def set_aside(world: LowerWorld) -> dict[str, str]:
    rows = await world.query("select event_id, reason from platform_metering.set_aside")
    return {row["event_id"]: row["reason"] for row in rows}


async def test_an_event_comes_back_as_it_was_recorded(world: LowerWorld) -> None:
    event = usage(dimensions={"region": "eu"}, client_request_id="mine-1", counted=True)
    later = replace(
        event,
        id="req_2",
        priced_at=NOON - timedelta(seconds=3),
        metadata={"team": "a\u00e4", "": "x"},
        route_uid=event.key_uid,
        user="end user",
        cached_answer=True,
        course={"duration_ms": 1200, "tries": 2, "streamed": 1},
    )
    assert await record(world, event, later) == [event, later]
    async with world.system("worker") as ctx:
        found = await metering.find_usages(ctx, [later.id, event.id, "never was"])
        one = await metering.find_usage(ctx, later.id)
    assert [usage.event for usage in found] == [event, later]
    assert one is not None
    assert one.event == later


async def test_the_same_again_is_ignored(world: LowerWorld) -> None:
    await record(world, usage("a"), usage("b"))
    assert await record(world, usage("b"), usage("a"), usage("c"), usage("c")) == [usage("c")]
    assert await set_aside(world) == {}


async def test_the_same_moment_in_another_zone_is_the_same_content(world: LowerWorld) -> None:
    await record(world, usage("a"))
    elsewhere = NOON.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    assert await record(world, usage("a", occurred_at=elsewhere)) == []
    assert await set_aside(world) == {}


@pytest.mark.parametrize("apart", [True, False], ids=["in two batches", "in one batch"])
async def test_other_content_under_the_same_id_is_kept_as_a_conflict(world: LowerWorld, apart: bool) -> None:
    first, second = usage("a"), usage("a", tokens=(999, 0, 0))
    if apart:
        assert await record(world, first) == [first]
        assert await record(world, second) == []
        assert await record(world, second) == []
    else:
        assert await record(world, first, second, second) == [first]
    (row,) = await world.query("select * from platform_metering.set_aside")
    assert row["reason"] == "conflict"
    assert json.loads(row["content"])["quantities"]["input_tokens"] == 999
    assert row["path"] == TENANT


BAD: list[tuple[dict[str, object], str]] = [
    ({"quantities": {"input_tokens": -1}}, "bad_quantity"),
    ({"quantities": {"input_tokens": metering.MAX_QUANTITY + 1}}, "bad_quantity"),
    ({"quantities": {"input_tokens": 1.5}}, "bad_quantity"),
    ({"quantities": {"input_tokens": 10**5000}}, "bad_quantity"),
    ({"quantities": {"input_tokens": True}}, "bad_quantity"),
    ({"quantities": {"input_tokens": float("nan")}}, "bad_quantity"),
    ({"quantities": {"bananas": 1}}, "unknown_meter"),
    ({"occurred_at": NOON.replace(tzinfo=None)}, "bad_time"),
    ({"scope": "Not A Path"}, "bad_scope"),
    ({"scope": "-"}, "bad_scope"),
    ({"endpoint_scope": "a..b"}, "bad_scope"),
    ({"model": "nul\0"}, "bad_text"),
    ({"route": "half a \ud800 pair"}, "bad_text"),
    ({"client_request_id": "x" * 513}, "bad_text"),
    ({"dimensions": {"\0": "x"}}, "bad_text"),
    ({"metadata": {"a": "\0"}}, "bad_text"),
    ({"user": "x" * 513}, "bad_text"),
    ({"priced_at": NOON.replace(tzinfo=None)}, "bad_time"),
]


async def test_what_breaks_a_rule_is_set_aside_and_the_rest_of_the_batch_counts(world: LowerWorld) -> None:
    bad = [usage(f"bad-{n}", **changes) for n, (changes, _) in enumerate(BAD)]
    assert await record(world, usage("a"), *bad, usage("b")) == [usage("a"), usage("b")]
    assert await record(world, *bad) == []
    assert await set_aside(world) == {f"bad-{n}": reason for n, (_, reason) in enumerate(BAD)}


async def test_an_id_that_is_none_is_set_aside(world: LowerWorld) -> None:
    bad = [usage(event_id) for event_id in ("", "a b", "x" * 201, "nul\0", "\ud800", "'; drop table x; --")]
    assert await record(world, *bad, usage("b")) == [usage("b")]
    assert list((await set_aside(world)).values()) == ["bad_id"] * len(bad)


async def test_a_mended_event_counts_under_its_id(world: LowerWorld) -> None:
    await record(world, usage("a", quantities={"bananas": 1}))
    assert await record(world, usage("a")) == [usage("a")]


async def test_a_disabled_meter_fails_closed(world: LowerWorld) -> None:
    operator = await world.subject("operator", {"registry:manage": [""], "registry:read": [""]})
    async with world.acting(operator) as ctx:
        await registry.disable_entry(ctx, "meter", metering.OUTPUT_TOKENS)
    assert await record(world, usage("a")) == []
    assert await set_aside(world) == {"a": "unknown_meter"}


async def test_overlapping_batches_at_once_record_each_event_once(world: LowerWorld) -> None:
    events = [usage(f"req_{n:03}") for n in range(200)]

    async def send(order: Sequence[metering.UsageEvent]) -> list[metering.UsageEvent]:
        return await record(world, *order)

    answers = await asyncio.gather(*(send(events[n * 10 :] + events[: n * 10]) for n in range(8)))
    recorded = [event.id for answer in answers for event in answer]
    assert sorted(recorded) == [event.id for event in events]


async def test_a_batch_that_is_rolled_back_leaves_its_ids_free(world: LowerWorld) -> None:
    async with world.system("gateway") as ctx:
        await metering.record_usage(ctx, [usage("a")])
        await ctx.db.execute("rollback; begin")
    assert await record(world, usage("a")) == [usage("a")]


async def test_sums_by_each_group(world: LowerWorld) -> None:
    await record(
        world,
        usage("a", tokens=(1, 2, 3)),
        usage("b", tokens=(10, 20, 30), scope=f"{TENANT}.returns", model="other", key_uid=None),
        usage("c", tokens=(100, 200, 300), scope="acme.shop.europe"),
        usage("d", tokens=(7, 0, 0), occurred_at=NOON + timedelta(days=1), user="ann", metadata={"team": "red"}),
        usage("e", quantities={}, endpoint_name="", metadata={"team": "red", "other": "x"}),
    )
    groups: dict[str, dict[str, tuple[int, int]]] = {}
    by: metering.GroupBy
    for by in ("model", "key", "tenant", "day", "hour", "route", "endpoint", "user", "metadata:team"):
        async with world.system("worker") as ctx:
            totals = await metering.summarize_usage(ctx, TENANT, NOON, NOON + timedelta(days=2), by)
        groups[by] = {t.group: (t.requests, t.quantities.get("input_tokens", 0)) for t in totals}
    assert groups["model"] == {"smollm2": (3, 8), "other": (1, 10)}
    assert groups["key"] == {"": (1, 10), "00000000-0000-4000-8000-000000000001": (3, 8)}
    assert groups["tenant"] == {TENANT: (3, 8), f"{TENANT}.returns": (1, 10)}
    assert groups["day"] == {"2026-03-01": (3, 11), "2026-03-02": (1, 7)}
    assert groups["hour"] == {"2026-03-01T12:00Z": (3, 11), "2026-03-02T12:00Z": (1, 7)}
    assert groups["route"] == {"smollm2": (4, 18)}
    assert groups["endpoint"] == {"": (1, 0), f"{TENANT}/smollm2": (3, 18)}
    assert groups["user"] == {"": (3, 11), "ann": (1, 7)}
    assert groups["metadata:team"] == {"": (2, 11), "red": (2, 7)}
    async with world.system("worker") as ctx:
        (everything,) = await metering.summarize_usage(ctx, "", NOON, NOON + timedelta(seconds=1), "day")
    assert (everything.requests, everything.quantities["output_tokens"]) == (4, 333)


async def test_single_requests_in_pages_newest_first(world: LowerWorld) -> None:
    events = [usage(f"r{n}", occurred_at=NOON + timedelta(seconds=n // 2)) for n in range(5)]
    await record(world, *events, usage("other", scope="acme.shop"))
    seen: list[str] = []
    before = None
    for _ in range(3):
        async with world.system("worker") as ctx:
            page = await metering.list_usage(ctx, TENANT, NOON, NOON + timedelta(hours=1), 2, before)
        seen += [usage.event.id for usage in page]
        before = (page[-1].event.occurred_at, page[-1].event.id)
    assert seen == ["r4", "r3", "r2", "r1", "r0"]


async def test_a_reader_sees_the_usage_of_its_scopes_alone(world: LowerWorld) -> None:
    await record(world, usage("ours"), usage("theirs", scope="rival.shop.eu"), usage("x", quantities={"bananas": 1}))
    for permission in ("usage:read", "billing:read"):
        reader = await world.subject(f"reader of {permission}", {permission: ["acme"]})
        async with world.acting(reader) as ctx:
            assert await metering.find_usage(ctx, "ours") is not None
            assert await metering.find_usage(ctx, "theirs") is None
            totals = await metering.summarize_usage(ctx, "", NOON, NOON + timedelta(days=1))
            assert [t.requests for t in totals] == [1]
            assert len(await metering.list_set_aside(ctx, "", 10)) == (permission == "usage:read")


async def test_no_role_of_ours_changes_what_was_recorded(world: LowerWorld) -> None:
    await record(world, usage("a"))
    roles: tuple[Role, ...] = ("api", "worker", "gateway")
    for role, table in product(roles, ("usage_claim", "usage_event", "set_aside")):
        for statement in ("delete from {}", "update {} set event_id = 'b'", "truncate {}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with world.system(role) as ctx:
                    await ctx.db.execute(statement.format(f"platform_metering.{table}"))


def test_every_field_is_content() -> None:
    changed = {
        "occurred_at": NOON + timedelta(microseconds=1),
        "scope": "acme",
        "quantities": {},
        "model": "m",
        "route": "r",
        "endpoint_uid": usage().key_uid,
        "endpoint_name": "n",
        "endpoint_scope": "",
        "key_uid": None,
        "counted": True,
        "client_request_id": "c",
        "dimensions": {"a": "b"},
        "priced_at": NOON,
        "metadata": {"a": "b"},
        "route_uid": usage().key_uid,
        "user": "u",
        "cached_answer": True,
        "readings": {"m": 1},
        "resource": "r",
    }
    assert {field.name for field in fields(usage())} == {"id", "course", *changed}
    assert replace(usage(), course={"tries": 2}).digest() == usage().digest()
    digests = {usage().digest(), *(replace(usage(), **{name: value}).digest() for name, value in changed.items())}
    assert len(digests) == 1 + len(changed)


def test_what_was_recorded_before_an_upgrade_keeps_its_digest() -> None:
    """As the first release computed them: the same events, handed in again, are no conflicts."""
    lost = usage(
        "req_old",
        (7, 0, 3),
        dimensions={"operation": "/v1/chat/completions", "status": "200"},
        client_request_id="mine",
        counted=True,
    )
    assert usage().digest().hex() == "0fc7b5e413040de7e3874b42309519c2"
    assert lost.digest().hex() == "c95b12ec7278fb501140f77b3c23da35"


texts = st.text(st.characters(exclude_categories=()), max_size=6)


zones = st.none() | st.just(UTC) | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)
numbers = st.dictionaries(texts, st.integers(-(2**70), 2**70) | st.floats() | st.booleans(), max_size=3)


@given(
    words=st.dictionaries(texts, texts, max_size=3),
    user=texts,
    quantities=numbers,
    readings=numbers | st.dictionaries(texts, texts, max_size=2),
    at=moments,
    priced_at=st.none() | moments,
    uid=st.none() | st.uuids(),
)
def test_a_digest_is_that_of_the_first_release_whatever_an_event_holds(
    words: dict[str, str],
    user: str,
    quantities: Any,
    readings: Any,
    at: datetime,
    priced_at: datetime | None,
    uid: UUID | None,
) -> None:
    event = usage(
        occurred_at=at,
        dimensions=words,
        metadata=words,
        user=user,
        quantities=quantities,
        readings=readings,
        priced_at=priced_at,
        key_uid=uid,
        endpoint_uid=uid,
        route_uid=uid,
    )
    assert event.digest() == hashlib.blake2b(to_json(event.content()).encode(), digest_size=16).digest()
