"""The four routes and the list, by the official client and by hand."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import replace
from typing import Any

import openai
import pytest

from ironworks.products.tokenfactory.gateway.exchange import Exchange
from tests.products.tokenfactory.upstream import USAGE, WORDS, Upstream
from tests.products.tokenfactory.world import SCOPE, World, chat, key_view

TEXT = "".join(WORDS)


async def test_openai_client_chats(world: World) -> None:
    async with world.openai() as client:
        answer = await client.chat.completions.create(**chat())
    assert answer.choices[0].message.content == TEXT
    assert answer.model == "plain"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens, record.counted) == (11, 4, 5, False)
    assert (record.status, record.stream, record.key_scope, record.route) == (200, False, SCOPE, "plain")
    assert (record.endpoint_name, record.endpoint_scope, record.model) == ("plain", SCOPE, "catalogue/plain")
    assert record.operation == "/v1/chat/completions"
    assert record.finished_at >= record.started_at


async def test_openai_client_streams_a_chat(world: World, upstream: Upstream) -> None:
    async with world.openai() as client:
        stream = await client.chat.completions.create(**chat(stream=True))
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert all(chunk.usage is None for chunk in chunks)
    assert upstream.received[0].body["stream_options"] == {"include_usage": True}
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (11, 4, 5)
    assert record.stream
    assert not record.counted


async def test_usage_is_shown_to_who_asks(world: World) -> None:
    async with world.openai() as client:
        stream = await client.chat.completions.create(**chat(stream=True, stream_options={"include_usage": True}))
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == USAGE["total_tokens"]


async def test_openai_client_completes(world: World) -> None:
    async with world.openai() as client:
        answer = await client.completions.create(model="plain", prompt="Once")
        assert answer.choices[0].text == TEXT
        stream = await client.completions.create(model="plain", prompt="Once", stream=True)
        assert [chunk async for chunk in stream]
    records = await world.ledger.expect(2)
    assert {record.operation for record in records} == {"/v1/completions"}


async def test_openai_client_embeds(world: World) -> None:
    async with world.openai() as client:
        answer = await client.embeddings.create(model="plain", input="hello", encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5]
    [record] = await world.ledger.expect(1)
    assert (record.input_tokens, record.output_tokens, record.operation) == (7, 0, "/v1/embeddings")


async def test_openai_client_lists_what_the_key_may_call(world: World) -> None:
    async with world.openai() as client:
        names = {model.id async for model in client.models.list()}
    assert {"plain", "idle", f"{SCOPE}.eu/deep"} <= names
    assert not any("foreign" in name for name in names)


async def test_openai_client_gets_one_model(world: World) -> None:
    async with world.openai() as client:
        assert (await client.models.retrieve("plain")).owned_by == SCOPE
        assert (await client.models.retrieve(f"{SCOPE}.eu/deep")).id == f"{SCOPE}.eu/deep"
        for unknown in ("nothing", "foreign", "other.app.dev/foreign"):
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(unknown)


async def test_a_model_for_something_else_is_not_asked(world: World, upstream: Upstream) -> None:
    tasks = {"plain": "text-embedding", "renamed": "text-generation"}
    world.source.targets = [replace(each, task=tasks.get(each.name)) for each in world.source.targets]
    world.gateway.notice("Endpoint")
    async with world.openai() as client, asyncio.timeout(60):
        refused: openai.BadRequestError | None = None
        while refused is None:
            try:
                await client.embeddings.create(model="renamed", input="hello")
            except openai.BadRequestError as problem:
                refused = problem
        assert (refused.code, refused.param) == ("model_not_supported", "model")
        upstream.received.clear()
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(**chat())
        assert (await client.embeddings.create(model="plain", input="hello", encoding_format="float")).data
    assert len(upstream.received) == 1


async def test_endpoints_below_are_called_by_their_full_name(world: World) -> None:
    async with world.openai() as client:
        for name in (f"{SCOPE}.eu/deep", f"{SCOPE}/plain"):
            assert (await client.chat.completions.create(**chat(name))).model == name
    assert {record.endpoint_scope for record in await world.ledger.expect(2)} == {SCOPE, f"{SCOPE}.eu"}


async def test_the_replica_is_asked_by_its_own_name_and_key(world: World, upstream: Upstream) -> None:
    async with world.http() as http:
        answer = await http.post(
            "/v1/chat/completions", json=chat("renamed", seed=7), headers={"cookie": "a=b", "x-evil": "1"}
        )
        streamed = await http.post("/v1/chat/completions", json=chat("renamed", stream=True))
    assert answer.json()["model"] == "renamed"
    assert "internal-name" not in answer.text + streamed.text
    assert '"model":"renamed"' in streamed.text
    received = upstream.received[0]
    assert received.body["model"] == "/models/internal-name.gguf"
    assert received.body["seed"] == 7
    assert received.headers["authorization"] == "Bearer replica-secret"
    assert received.headers["x-request-id"] == answer.headers["x-request-id"]
    assert not {"cookie", "x-evil"} & received.headers.keys()


async def test_every_answer_says_which_request_it_was(world: World) -> None:
    async with world.http() as http:
        for path, status in (("/v1/models", 200), ("/nowhere", 404), ("/healthz", 200), ("/v1/chat/completions", 405)):
            answer = await http.get(path, headers={"x-request-id": "mine-1"})
            assert answer.status_code == status
            assert answer.headers["x-request-id"].startswith("req_")
            assert len(answer.headers["x-request-id"]) == 30
            assert answer.headers["x-client-request-id"] == "mine-1"
            assert answer.headers["openai-processing-ms"].isdigit()


async def test_the_callers_id_is_kept_and_deduplicates_nothing(world: World) -> None:
    async with world.http() as http:
        for _ in range(2):
            await http.post("/v1/chat/completions", json=chat(), headers={"x-request-id": "mine-1"})
    records = await world.ledger.expect(2)
    assert [record.client_request_id for record in records] == ["mine-1", "mine-1"]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"disabled": True}, 401, "api_key_disabled"),
        ({"expires_at": 1.0}, 401, "api_key_expired"),
        ({"suspended": True}, 403, "platform_suspended"),
        ({"invoke_scopes": ()}, 403, "permission_denied"),
        ({"invoke_scopes": ("other.app.dev",)}, 404, "model_not_found"),
        ({"scope": "other.app.dev"}, 404, "model_not_found"),
        ({"scope": f"{SCOPE}.eu", "invoke_scopes": (SCOPE,)}, 404, "model_not_found"),
    ],
)
async def test_a_key_that_may_not(world: World, changes: dict[str, Any], status: int, code: str) -> None:
    world.source.keys.append(key_view("iwk_other", **changes))
    world.gateway.notice("ApiKey")
    async with world.http("iwk_other") as http:
        for _ in range(100):
            answer = await http.post("/v1/chat/completions", json=chat())
            if answer.json()["error"]["code"] != "invalid_api_key":
                break
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "header", [None, "Bearer nonsense", "Bearer", "Basic YTpi", "Bearer " + "x" * 5000, "Bearer \xff"]
)
async def test_no_good_key_is_401(world: World, header: str | None) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=world.url) as http:
        headers = {} if header is None else {"authorization": header.encode("latin-1")}
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            answer = await http.post(path, json=chat(), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await http.get("/v1/models", headers=headers)).status_code == 401


async def test_the_openai_client_understands_the_errors(world: World) -> None:
    async with world.openai("wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(**chat())
    async with world.openai() as client:
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(**chat("nothing"))
        assert missing.value.code == "model_not_found"
        assert missing.value.param == "model"
        with pytest.raises(openai.InternalServerError) as idle:
            await client.chat.completions.create(**chat("idle"))
        assert idle.value.status_code == 503
        assert idle.value.response.headers["retry-after"]
    assert not world.ledger.records


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b"null", None),
        (b'{"model": "\xff"}', None),
        (b'{"model": "\\ud800"}', None),
        (b"[" * 5000, None),
        (b'{"messages": []}', "model"),
        (b'{"model": 7}', "model"),
        (b'{"model": ""}', "model"),
        (json.dumps({"model": "x" * 600}).encode(), "model"),
        (json.dumps(chat(stream="yes")).encode(), "stream"),
        (json.dumps(chat(stream=True, stream_options=[])).encode(), "stream_options"),
        (json.dumps(chat(stream=True, stream_options={"include_usage": 1})).encode(), "stream_options"),
        (json.dumps(chat(stream_options={"include_usage": True})).encode(), "stream_options"),
    ],
)
async def test_a_body_that_is_wrong_is_400(world: World, body: bytes, param: str | None) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_embeddings_do_not_stream(world: World) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/embeddings", json={"model": "plain", "input": "x", "stream": True})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")


async def test_metrics_tell_what_happened(world: World) -> None:
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat(stream=True))
        await http.post("/v1/chat/completions", json=chat("nothing"))
        await world.ledger.expect(1)
        text = (await http.get("/metrics")).text
    assert 'ironworks_gateway_requests_total{operation="/v1/chat/completions",status="200"} 1.0' in text
    assert 'ironworks_gateway_requests_total{operation="/v1/chat/completions",status="404"} 1.0' in text
    assert 'ironworks_gateway_tokens_total{operation="/v1/chat/completions",type="output"} 5.0' in text
    assert "ironworks_gateway_in_flight 0.0" in text
    assert "ironworks_gateway_time_to_first_byte_seconds_bucket" in text


async def test_a_request_that_is_over_is_gone(world: World) -> None:
    """No cycle of references keeps it: else memory would grow until somebody looks for them, with everybody waiting."""
    gc.collect()
    gc.disable()
    try:
        async with world.http() as http:
            for stream in (False, True):
                assert (await http.post("/v1/chat/completions", json=chat(stream=stream))).status_code == 200
        await world.ledger.expect(2)
        async with asyncio.timeout(60):  # what is recorded ends a moment later
            while any(isinstance(each, Exchange) for each in gc.get_objects()):
                await asyncio.sleep(0.05)
    finally:
        gc.enable()
