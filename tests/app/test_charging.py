"""What a gateway's record is charged and counted as, whichever release wrote it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.app.charging import Charging, quantities, usage_event
from ironworks.platform import billing, metering, pricing
from ironworks.products.tokenfactory.analytics.model import METERS
from ironworks.products.tokenfactory.gateway import UsageRecord
from ironworks.products.tokenfactory.gateway.costs import Prices
from ironworks.products.tokenfactory.gateway.model import Usage
from ironworks.products.tokenfactory.gateway.segments import CLOSED, OPENED, SUFFIX, encode_record
from ironworks.products.tokenfactory.gateway.shipping import dead_records
from ironworks.products.tokenfactory.gateway.spool import LOCK
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, check_books, contents, money_world
from tests.support.postgres import TestDatabase

KEY = "00000000-0000-4000-8000-000000000001"
ENDPOINT = "00000000-0000-4000-8000-000000000002"
ROUTE = "00000000-0000-4000-8000-000000000003"
BEGAN = NOON.timestamp()
FIRST_RELEASE: list[Any] = [
    "req_01old", "mine", KEY, TENANT, ENDPOINT, "acme.shop", "chat", "catalogue/smollm2", "chat",
    "/v1/chat/completions", True, 1772366400.25, 1772366401.5, 200, 120, 20, 30, False,
]  # fmt: skip
"""A closing record as the release before routes wrote it."""


def record(request_id: str = "req_1", **changes: Any) -> UsageRecord:
    made = UsageRecord(
        request_id=request_id, client_request_id=None, key_uid=KEY, key_scope=TENANT, route_uid=ROUTE,
        endpoint_uid=ENDPOINT, endpoint_scope="acme.shop", endpoint_name="chat", model="smollm2", route="best",
        operation="/v1/chat/completions", stream=True, user=None, metadata={}, holds=(), priced_at=BEGAN,
        started_at=BEGAN + 1, finished_at=BEGAN + 2, status=200, input_tokens=120, cached_tokens=20, output_tokens=30,
        counted=False, first_byte_ms=250,
    )  # fmt: skip
    return made._replace(**changes)


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


async def charging(world: LowerWorld) -> Charging:
    return Charging(await world.database("gateway"))


def test_no_token_is_under_two_meters() -> None:
    full = record(
        cached_tokens=20,
        reasoning_tokens=7,
        input_audio_tokens=10,
        output_audio_tokens=3,
        extra=(("speech_characters", 9), ("images", 0)),
        cached_answer=True,
    )
    assert quantities(full) == {
        "input_tokens": 90,
        "cached_input_tokens": 20,
        "input_audio_tokens": 10,
        "output_tokens": 20,
        "reasoning_tokens": 7,
        "output_audio_tokens": 3,
        "speech_characters": 9,
        "cached_responses": 1,
    }
    assert quantities(record()) == {"input_tokens": 100, "cached_input_tokens": 20, "output_tokens": 30}
    nothing = record(input_tokens=0, cached_tokens=0, output_tokens=0)
    assert quantities(nothing) == {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}


counts = st.integers(0, 10**6)
usages = st.builds(
    lambda cached, heard, rest, reasoned, spoken, said, extra: Usage(
        cached + heard + rest, cached, reasoned + spoken + said, False, reasoned, heard, spoken, tuple(extra.items())
    ),
    *[counts] * 6,
    st.dictionaries(st.sampled_from(["speech_characters", "images", "cached_responses"]), counts, max_size=3),
)
books = st.lists(
    st.builds(
        lambda meter, model, price, hours: pricing.Price(
            uuid4(), pricing.PriceKey(meter, model, "USD"), price, NOON + timedelta(hours=hours)
        ),
        st.sampled_from(METERS),
        st.sampled_from(["smollm2", "*"]),
        st.decimals(0, Decimal("0.001"), places=18),
        st.integers(-3, 3),
    ),
    max_size=20,
    unique_by=lambda price: (price.key, price.valid_from),
)


@given(books, usages, st.integers(-3, 3))
def test_what_the_gateway_quotes_is_what_rating_charges(book: list[pricing.Price], used: Usage, hours: int) -> None:
    at = NOON + timedelta(hours=hours)
    tokens = used._asdict()
    event = usage_event(record(priced_at=at.timestamp(), **{name: tokens[name] for name in tokens}))
    rating = pricing.rate([event], pricing.PriceBook(book))
    quoted = Prices(book).quote("smollm2", at.timestamp()).cost(used)
    if rating.unrated:
        assert quoted is None
    else:
        assert quoted == sum(line.amount_nano for line in rating.lines)


@given(st.text(max_size=2000), st.dictionaries(st.text(max_size=700), st.text(max_size=700), max_size=5))
def test_nothing_that_a_caller_writes_keeps_a_request_from_being_charged(user: str, metadata: dict[str, str]) -> None:
    event = usage_event(record(user=user, metadata=metadata))
    texts = [event.user or "", *event.metadata, *event.metadata.values()]
    assert all(len(text) <= 512 and "\0" not in text for text in texts)


def spool_of_first_release(folder: Path) -> Path:
    """A closed request and two open ones, one of which had sent five tokens when its process died."""
    closed = orjson.dumps(FIRST_RELEASE)
    payloads = [(CLOSED, closed)] + [
        (OPENED, orjson.dumps([slot, 1, f"req_open{slot}", *FIRST_RELEASE[1:12], 77])) for slot in (1, 2)
    ]
    (folder / f"{0:010d}{SUFFIX}").write_bytes(b"".join(encode_record(0, kind, data) for kind, data in payloads))
    slots = [(0, 0), (1, 5), (1, 0)]
    (folder / "slots").write_bytes(b"".join(g.to_bytes(4, "little") + n.to_bytes(4, "little") for g, n in slots))
    (folder / LOCK).touch()
    return folder


def test_how_a_request_went_is_kept_for_who_looks_at_it() -> None:
    kept = usage_event(record(tries=3)).course
    assert kept == {"duration_ms": 1000, "first_byte_ms": 250, "tries": 3, "streamed": 1}
    unanswered = usage_event(record(first_byte_ms=-1, finished_at=BEGAN, stream=False)).course
    assert unanswered == {"duration_ms": 0, "tries": 1, "streamed": 0}
    step = ("try", 90, 4000, "acme.shop/chat: it answered 503")
    failed = record(asked_us=4100, sent_us=4200, ended_us=9000, steps=(step,), error="upstream_error")
    assert usage_event(failed).course == {
        "duration_ms": 1000, "first_byte_ms": 250, "tries": 1, "streamed": 1, "asked_us": 4100, "sent_us": 4200,
        "ended_us": 9000, "steps": [list(step)], "error": "upstream_error",
    }  # fmt: skip
    unsent = usage_event(record(asked_us=4100, ended_us=9000, first_byte_ms=-1)).course
    assert unsent == {"duration_ms": 1000, "tries": 1, "streamed": 1, "asked_us": 4100, "ended_us": 9000}
    assert usage_event(record(tries=3)).digest() == usage_event(record()).digest()


def test_which_target_served_is_a_word_to_group_by_where_the_endpoint_does_not_say_it() -> None:
    assert usage_event(record()).dimensions == {"operation": "/v1/chat/completions", "status": "200"}
    assert usage_event(record(which="gpt-4o@eu")).dimensions["target"] == "gpt-4o@eu"
    longest = "m" * 200 + "@" + "u" * 63 + " as " + "s" * 256
    assert len(usage_event(record(which=longest)).dimensions["target"]) == metering.MAX_TEXT


def test_a_spool_of_the_release_before_is_read_to_its_last_record(tmp_path: Path) -> None:
    closed, talking, silent = dead_records(spool_of_first_release(tmp_path))
    assert (closed.request_id, closed.route_uid, closed.input_tokens, closed.status) == ("req_01old", "", 120, 200)
    assert (talking.output_tokens, talking.input_tokens, talking.counted) == (5, 77, True)
    assert (silent.output_tokens, silent.input_tokens) == (0, 0)


def test_its_records_are_the_events_that_they_were() -> None:
    """As the first release computed them, so that what it had charged already is not charged, nor a conflict."""
    assert usage_event(UsageRecord.read(FIRST_RELEASE)).digest().hex() == "f958613b13e039de2385979f3107b2e1"


async def test_its_records_are_charged_once(world: LowerWorld, tmp_path: Path) -> None:
    charge = await charging(world)
    records = list(dead_records(spool_of_first_release(tmp_path)))
    await charge(records)
    before = await contents(world)
    await charge(records)
    assert await contents(world) == before
    assert len(before["platform_metering.usage_event"]) == 3
    assert before["platform_metering.set_aside"] == []
    await check_books(world)


async def test_what_was_quoted_is_what_is_charged_though_the_price_changed_since(world: LowerWorld) -> None:
    """The quote's moment counts, not the end of the request nor its arrival here."""
    world.clock = lambda: NOON
    operator = await world.subject("operator", {"price:create": [""], "billing:read": [""]})
    async with world.acting(operator) as ctx:
        await pricing.create_price(ctx, pricing.PriceKey("output_tokens", "*", "USD"), Decimal(1))
    charge = await charging(world)
    told: list[int] = []
    charge.mismatched = lambda: told.append(1)
    quoted = 100 * 100 + 20 * 50 + 30 * 400
    await charge([record(priced_at=BEGAN - 1, cost_nano=quoted), record("req_2", priced_at=BEGAN)])
    async with world.acting(operator) as ctx:
        old, new = [(await billing.explain_request(ctx, name)).total_nano["USD"] for name in ("req_1", "req_2")]
    assert (old, new) == (quoted, 11_000 + 30 * 10**9)
    assert told == []
    await charge([record("req_3", cost_nano=1), record("req_4", cost_nano=-1)])
    assert told == [1]


async def test_what_waits_for_a_price_keeps_its_moment(database: TestDatabase) -> None:
    async with money_world(database, prices=False) as world:
        world.clock = lambda: NOON
        operator = await world.subject("operator", {"price:create": [""], "billing:read": [""]})
        await (await charging(world))([record(priced_at=BEGAN - 5, output_tokens=0, cached_tokens=0)])
        key = pricing.PriceKey("input_tokens", "*", "USD")
        async with world.acting(operator) as ctx:
            await pricing.create_price(ctx, key, Decimal(5), NOON)
        async with world.system("worker") as ctx:
            assert await billing.charge_waiting(ctx) == 0
        async with world.system("worker") as ctx:
            assert (await pricing.rate_usage(ctx, [usage_event(record("x"))])).lines[0].unit_price == 5


async def test_a_cached_answer_shows_and_costs_nothing(world: LowerWorld) -> None:
    cached = record(cached_answer=True, input_tokens=0, cached_tokens=0, output_tokens=0, cost_nano=0)
    await (await charging(world))([cached])
    payer = await world.subject("payer", {"billing:read": [TENANT]})
    async with world.acting(payer) as ctx:
        explained = await billing.explain_request(ctx, "req_1")
    assert [(line.meter, line.quantity, line.amount_nano) for line in explained.lines] == [("cached_responses", 1, 0)]


async def test_batches_that_overlap_are_counted_once_by_everything(world: LowerWorld) -> None:
    """Four processes hand in the same requests in another order each, as after a crash half way."""
    charge = await charging(world)
    records = [record(f"req_{n:03}", key_scope=f"acme.shop.t{n % 3}", model=f"m{n % 5}") for n in range(120)]

    async def process(seed: int) -> None:
        order = random.Random(seed).sample(records, len(records))
        for start in range(0, len(order), 30):
            await charge(order[start : start + 30])

    await asyncio.gather(*(process(seed) for seed in range(4)))
    await check_books(world)
    for table in ("hourly", "minutely"):
        (row,) = await world.query(
            f"select sum(requests)::int as requests, sum(cost_nano)::bigint as nano from tokenfactory_analytics.{table}"
        )
        assert (row["requests"], row["nano"]) == (120, 120 * 23_000)
