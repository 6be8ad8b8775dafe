"""What no upstream gave a figure for is counted by the model's own tokenizer, or estimated where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ironworks.products.tokenfactory.gateway.shipping import dead_records
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, chat, post, run_world, targets_for

SIX_WORDS = {"messages": [{"role": "user", "content": "Tell me a long story"}]}
PROMPT = 6  # the role is a word of the template


async def test_a_caller_who_leaves_pays_for_the_prompt_by_the_models_tokens(world: World, upstream: Upstream) -> None:
    upstream.tokenizes = True
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(post("/v1/chat/completions", chat("waits", stream=True, **SIX_WORDS)))
    while b" a" not in await reader.read(65536):
        pass
    writer.transport.abort()
    [record] = await world.ledger.expect(1)
    assert (record.status, record.input_tokens, record.output_tokens, record.counted) == (499, PROMPT, 3, True)


async def test_an_answer_without_usage_is_counted(world: World, upstream: Upstream) -> None:
    upstream.tokenizes = True
    async with world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("without-usage", **SIX_WORDS))
    made = len(answer.json()["choices"][0]["message"]["content"].split())
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.output_tokens, record.counted) == (PROMPT, made, True)


async def test_a_stream_without_usage_tells_what_is_billed(world: World, upstream: Upstream) -> None:
    upstream.tokenizes = True
    async with world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("without-usage", stream=True, **SIX_WORDS))
    assert answer.text.endswith("data: [DONE]\n\n")
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.output_tokens, record.counted) == (PROMPT, 5, True)


async def test_an_upstream_without_tokenizer_is_asked_once(tmp_path: Path, upstream: Upstream) -> None:
    async with run_world(tmp_path, targets_for(upstream.address)) as world, world.http() as http:
        for _ in range(3):
            await http.post("/v1/chat/completions", json=chat("without-usage", **SIX_WORDS))
        records = await world.ledger.expect(3)
    assert len({record.input_tokens for record in records}) == 1
    assert all(record.counted and record.input_tokens > PROMPT for record in records)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}


async def test_an_images_bytes_are_not_taken_for_text(world: World, upstream: Upstream) -> None:
    looks = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]}
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat("without-usage", **looks))
    [record] = await world.ledger.expect(1)
    assert record.counted
    assert record.input_tokens < 2_000
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(post("/v1/chat/completions", chat("waits", stream=True, **looks)))
    while b" a" not in await reader.read(65536):
        pass
    [spool] = world.spool.iterdir()
    *_, lost = dead_records(spool)  # as if the process died now
    assert (lost.output_tokens, lost.status) == (3, 499)
    assert 0 < lost.input_tokens < 2_000
    writer.transport.abort()


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_upstream_says_is_not_counted_anew(world: World, upstream: Upstream, stream: bool) -> None:
    upstream.tokenizes = True
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat("plain", stream=stream, **SIX_WORDS))
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.output_tokens, record.counted) == (11, 5, False)
