"""The real engine behind the gateway: it speaks both dialects itself, so translation can be held against its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory.routing import Replica as Upstream
from tests.products.inference.serving import KEY, Replica, fetched, served
from tests.products.tokenfactory.world import World, run_world, target
from tests.support.postgres import run_apart

ASKED: dict[str, Any] = {
    "max_tokens": 12,
    "system": "You are brief.",
    "messages": [{"role": "user", "content": "Count to three."}],
    "extra_body": {"temperature": 0, "seed": 1},
}


@pytest.fixture(scope="module")
def engine(run_folder: Path) -> Iterator[Replica]:
    folder = run_folder / "models"
    folder.mkdir(exist_ok=True)
    file = run_apart(lambda: fetched(folder, "smollm2"))
    with served(file, "--args", '{"ctx_size": 1024, "parallel": 1, "cache_prompt": false}') as replica:
        yield replica


@pytest.fixture
async def world(engine: Replica, tmp_path: Path) -> AsyncIterator[World]:
    upstream = (Upstream(f"127.0.0.1:{engine.port}", KEY),)
    targets = [replace(target("openai", served_as="m"), replicas=upstream)]
    targets.append(replace(target("anthropic", served_as="m"), replicas=upstream, dialect="anthropic"))
    async with run_world(tmp_path / "spool", targets) as made:
        yield made


async def test_both_dialects_say_and_bill_the_same(world: World) -> None:
    client = world.anthropic()
    said = []
    for dialect in ("openai", "anthropic"):
        message = await client.messages.create(model=dialect, **ASKED)
        async with client.messages.stream(model=dialect, **ASKED) as stream:
            streamed = await stream.get_final_message()
        counted = await client.messages.count_tokens(model=dialect, system=ASKED["system"], messages=ASKED["messages"])
        for each in (message, streamed):
            assert each.stop_reason in ("end_turn", "max_tokens")
            assert each.usage.input_tokens + (each.usage.cache_read_input_tokens or 0) == counted.input_tokens
            said.append(each.content[0].to_dict()["text"])
    assert len(set(said)) == 1
    records = [record for record in await world.ledger.expect(6) if record.operation == "/v1/messages"]
    assert len({(record.input_tokens, record.output_tokens, record.counted) for record in records}) == 1
    assert not records[0].counted


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_response(world: World, dialect: str) -> None:
    response = await world.openai().responses.create(model=dialect, input="Say hello.", max_output_tokens=5)
    assert response.output_text
    assert response.usage is not None
    record = (await world.ledger.expect(1))[0]
    assert (record.input_tokens, record.output_tokens) == (response.usage.input_tokens, response.usage.output_tokens)


async def test_a_caller_who_leaves_is_billed_for_what_was_said(world: World) -> None:
    client = world.anthropic()
    stream = await client.messages.create(model="openai", stream=True, **{**ASKED, "max_tokens": 500})
    seen = 0
    async for event in stream:
        seen += event.type == "content_block_delta"
        if seen == 3:
            break
    await stream.close()
    await asyncio.sleep(0)
    record = (await world.ledger.expect(1))[0]
    assert record.status == 499
    assert 3 <= record.output_tokens < 500
