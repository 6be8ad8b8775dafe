"""Whatever path calls a model: the same key check, limits, budgets and meter. A path that is added without a body here
fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironworks.platform import metering
from ironworks.products.tokenfactory.budgets import BudgetView
from ironworks.products.tokenfactory.gateway.dialects import APIS
from ironworks.products.tokenfactory.limits import LimitView
from ironworks.products.tokenfactory.routing import Dialect, Replica
from tests.products.tokenfactory.budgets.lender import FakeLender
from tests.products.tokenfactory.budgets.test_costs import WHOLE, price
from tests.products.tokenfactory.budgets.test_desk import USD, budget
from tests.products.tokenfactory.dialects.server import Models, run_models
from tests.products.tokenfactory.dialects.test_other_apis import recording
from tests.products.tokenfactory.limits.views import limit
from tests.products.tokenfactory.world import SCOPE, World, key_view, run_world, target

SAID = [{"role": "user", "content": "Tell me a story"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": SAID},
    "/v1/completions": {"prompt": "Once"},
    "/v1/embeddings": {"input": "Once"},
    "/v1/responses": {"input": "Tell me a story"},
    "/v1/messages": {"messages": SAID, "max_tokens": 50},
    "/v1/messages/count_tokens": {"messages": SAID},
    "/v1/audio/speech": {"input": "Hello", "voice": "alloy"},
    "/v1/audio/transcriptions": {},
    "/v1/rerank": {"query": "stories", "documents": ["one", "two"]},
    "/v1/moderations": {"input": "Hello"},
}
FREE = "/v1/messages/count_tokens"
STREAMS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
BOTH: tuple[Dialect, ...] = ("openai", "anthropic")
TRANSLATED = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
"""Paths that a server of either dialect can serve."""
PRICES = (
    *WHOLE,
    *(
        price(meter, "0.000001")
        for meter in (metering.SPEECH_CHARACTERS, metering.AUDIO_SECONDS, metering.RERANK_DOCUMENTS)
    ),
)


@pytest.fixture
async def models() -> AsyncIterator[Models]:
    async with run_models() as server:
        yield server


@asynccontextmanager
async def gateway(
    models: Models, folder: Path, *limits: LimitView, budgets: Sequence[BudgetView] = ()
) -> AsyncIterator[World]:
    """With a key of its own for each path."""
    targets = [
        replace(target(f"{dialect}-plain", served_as="plain"), dialect=dialect, replicas=(Replica(models.address, ""),))
        for dialect in BOTH
    ]
    keys = [key_view(path) for path in BODIES]
    lender = FakeLender({each.uid: each.amount_nano for each in budgets})
    async with run_world(
        folder / "spool", targets, keys, limits, budgets=budgets, prices=PRICES, lender=lender
    ) as world:
        yield world


async def call(
    world: World, path: str, dialect: str = "openai", *, stream: bool = False, secret: str | None = None
) -> httpx.Response:
    model = f"{dialect}-plain"
    async with world.http(path) as http:
        if secret is not None:
            http.headers = httpx.Headers({"x-api-key": secret} if secret else {})
        if path == "/v1/audio/transcriptions":
            sound = {"file": ("a.wav", recording(1.5), "audio/wav")}
            return await http.post(path, data={"model": model}, files=sound)
        body = {"model": model, **BODIES[path], **({"stream": True} if stream else {})}
        return await http.post(path, json=body)


def ways() -> Iterator[tuple[str, Dialect, bool]]:
    """(path, who serves, whether as a stream): all that there are."""
    for path in BODIES:
        for dialect in BOTH if path in TRANSLATED else BOTH[:1]:
            for stream in (False, True) if path in STREAMS else (False,):
                yield path, dialect, stream


def refusal_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_every_path_is_asked_here() -> None:
    assert set(BODIES) == {path.decode() for path in APIS}


async def test_each_needs_a_key(models: Models, tmp_path: Path) -> None:
    async with gateway(models, tmp_path) as world:
        for path in BODIES:
            assert refusal_of(await call(world, path, secret="")) == (401, "missing_api_key"), path
            assert refusal_of(await call(world, path, secret="iwk_made_up")) == (401, "invalid_api_key"), path
    assert not models.asked


async def test_each_meets_its_limits(models: Models, tmp_path: Path) -> None:
    async with gateway(models, tmp_path, limit("", per=["key"], requests_per_minute=1)) as world:
        for path in BODIES:
            first, second = [await call(world, path) for _ in range(2)]
            assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "0"), path
            assert refusal_of(second) == (429, "rate_limit_exceeded"), path
            assert int(second.headers["retry-after"]) > 0
            assert [asked.path for asked in models.asked].count(path) == (path not in TRANSLATED[1:]), path


async def test_each_keeps_to_the_models_that_are_allowed(models: Models, tmp_path: Path) -> None:
    async with gateway(models, tmp_path, limit("", allowed_models=["another"])) as world:
        for path in BODIES:
            assert refusal_of(await call(world, path)) == (403, "model_not_permitted"), path
    assert not models.asked


async def test_each_meets_its_budget(models: Models, tmp_path: Path) -> None:
    """One that is spent refuses before anybody is asked, apart from what costs nothing."""
    async with gateway(models, tmp_path, budgets=[budget(1, scope=SCOPE)]) as world:
        for path, dialect, stream in ways():
            answer = await call(world, path, dialect, stream=stream)
            if path != FREE:
                assert refusal_of(answer) == (429, "budget_exhausted"), (path, dialect, stream)
    assert [asked.path for asked in models.asked] == [FREE]


async def test_each_is_held_metered_and_told(models: Models, tmp_path: Path) -> None:
    """Exactly one record, which says what the caller was told, under the id that he was told."""
    async with gateway(models, tmp_path, budgets=[budget(USD, scope=SCOPE)]) as world:
        answers = [(await call(world, *way[:2], stream=way[2]), way) for way in ways()]
        records = {record.request_id: record for record in await world.ledger.expect(len(answers))}
        kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert all(request_id.encode() in kept for request_id in records)
    assert not any(text in kept for text in (b"Tell me", b"Once", b"Hello", b"stories")), "what is said is not stored"
    for answer, (path, dialect, stream) in answers:
        record = records[answer.headers["x-request-id"]]
        assert (answer.status_code, record.operation, record.stream) == (200, path, stream)
        assert answer.headers["x-ironworks-model"] == f"{SCOPE}/{dialect}-plain"
        assert int(answer.headers["openai-processing-ms"]) >= 0
        used = record.input_tokens + record.output_tokens + sum(quantity for _, quantity in record.extra)
        if path == FREE:
            assert (used, list(record.holds), record.cost_nano) == (0, [], 0)
            continue
        ((_, held),) = record.holds
        assert used > 0 < record.cost_nano <= held, (path, dialect, stream)
        cost = f"0.{record.cost_nano:09}"
        assert f": cost={cost} overhead_ms=" in answer.text if stream else answer.headers["x-ironworks-cost"] == cost
