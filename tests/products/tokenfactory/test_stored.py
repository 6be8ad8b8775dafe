"""Stored responses through the gateway: kept, gone on from, read, listed, deleted; and what is said when that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ironworks.products.tokenfactory.responses import NewResponse, ResponseNotFound, ResponseTooLarge, StoredResponse
from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import World, key_view, run_world, targets_for

OTHERS = "iwk_test_other_tenant"
COLLEAGUE = "iwk_test_colleague"


@dataclass
class Memory:
    """KeepResponses without a database."""

    kept: dict[tuple[str, str], NewResponse] = field(default_factory=dict)
    broken: bool = False
    slow: float = 0.0

    async def save(self, new: NewResponse) -> None:
        await asyncio.sleep(self.slow)
        if self.broken:
            raise ConnectionError("the database is down")
        self.kept[new.scope, new.response_id] = new

    async def fetch(self, scope: str, response_id: str) -> StoredResponse:
        await asyncio.sleep(self.slow)
        if self.broken:
            raise ConnectionError("the database is down")
        if response_id == "resp_long":
            raise ResponseTooLarge("send the conversation as 'input'")
        new = self.kept.get((scope, response_id))
        if new is None:
            raise ResponseNotFound(f"there is no stored response {response_id!r}")
        return StoredResponse(new.response_id, new.previous_id, new.items, new.response)

    async def load_chain(self, scope: str, response_id: str) -> list[StoredResponse]:
        last = await self.fetch(scope, response_id)
        before = [] if last.previous_id is None else await self.load_chain(scope, last.previous_id)
        return [*before, last]

    async def delete(self, scope: str, response_id: str) -> None:
        await self.fetch(scope, response_id)
        del self.kept[scope, response_id]


@dataclass
class Stored:
    world: World
    memory: Memory
    http: httpx.AsyncClient

    async def respond(self, said: Any = "Tell me a story", **more: Any) -> dict[str, Any]:
        answer = await self.http.post("/v1/responses", json={"model": "plain", "input": said, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, **more: Any) -> tuple[int, str]:
        answer = await self.http.post("/v1/responses", json={"model": "plain", "input": "And then?", **more})
        return answer.status_code, answer.json()["error"]["code"]


@asynccontextmanager
async def storing(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Stored]:
    keys = [key_view(OTHERS, "other.app.dev"), key_view(COLLEAGUE)]
    memory = Memory()
    async with (
        run_world(tmp_path, targets_for(upstream.address), keys, keep=memory) as world,
        world.http() as http,
    ):
        yield Stored(world, memory, http)


@pytest.fixture
async def stored(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Stored]:
    async with storing(tmp_path, upstream) as made:
        yield made


async def test_nothing_is_kept_that_nobody_asked_to_keep(stored: Stored) -> None:
    response = await stored.respond()
    assert response["store"] is False
    assert (await stored.http.get(f"/v1/responses/{response['id']}")).status_code == 404
    assert stored.memory.kept == {}


async def test_what_was_kept_is_read_as_it_was_answered(stored: Stored) -> None:
    response = await stored.respond(store=True)
    assert response["store"] is True
    found = await stored.http.get(f"/v1/responses/{response['id']}")
    assert (found.status_code, found.json()) == (200, response)
    items = (await stored.http.get(f"/v1/responses/{response['id']}/input_items")).json()
    [item] = items["data"]
    assert (item["role"], item["content"]) == ("user", [{"type": "input_text", "text": "Tell me a story"}])
    assert items["first_id"] == items["last_id"] == item["id"]


async def test_a_conversation_goes_on_with_all_that_was_said(stored: Stored, upstream: Upstream) -> None:
    first = await stored.respond("one", store=True)
    second = await stored.respond("two", store=True, previous_response_id=first["id"])
    third = await stored.respond([{"role": "user", "content": "three"}], previous_response_id=second["id"])
    assert second["previous_response_id"] == first["id"]
    assert third["store"] is False
    asked = upstream.received[-1].body["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "user", "assistant", "user"]
    assert [message["content"] for message in asked if message["role"] == "user"] == ["one", "two", "three"]
    assert stored.memory.kept["demo.app.dev", second["id"]].items[0]["content"][0]["text"] == "two"
    assert len(stored.memory.kept["demo.app.dev", second["id"]].items) == 1
    listed = (await stored.http.get(f"/v1/responses/{second['id']}/input_items?order=asc&limit=2")).json()
    assert [item["role"] for item in listed["data"]] == ["user", "assistant"]
    assert listed["has_more"] is True
    rest = await stored.http.get(f"/v1/responses/{second['id']}/input_items?order=asc&after={listed['last_id']}")
    assert [item["content"][0]["text"] for item in rest.json()["data"]] == ["two"]


async def test_a_stream_is_kept_whole(stored: Stored) -> None:
    body = {"model": "plain", "input": "Hello", "store": True, "stream": True}
    text = (await stored.http.post("/v1/responses", json=body)).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert events[-1]["type"] == "response.completed"
    final = events[-1]["response"]
    assert final["store"] is True
    assert (await stored.http.get(f"/v1/responses/{final['id']}")).json() == final
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_cannot_be_kept_is_given_and_says_so(stored: Stored, stream: bool) -> None:
    stored.memory.broken = True
    body = {"model": "plain", "input": "Hello", "store": True, "stream": stream}
    answer = await stored.http.post("/v1/responses", json=body)
    assert answer.status_code == 200
    if stream:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        response = events[-1]["response"]
    else:
        response = answer.json()
    assert (response["status"], response["store"]) == ("completed", False)
    assert response["output"][0]["content"][0]["text"]
    [record] = await stored.world.ledger.expect(1)
    assert record.output_tokens > 0
    assert 'ironworks_gateway_dropped_total{what="response"} 1' in (await stored.http.get("/metrics")).text


async def test_a_gateway_that_keeps_nothing_says_so_from_the_start(tmp_path: Path, upstream: Upstream) -> None:
    async with run_world(tmp_path, targets_for(upstream.address)) as world, world.http() as http:
        answer = await http.post("/v1/responses", json={"model": "plain", "input": "Hello", "store": True})
        assert answer.json()["store"] is False
        body = {"model": "plain", "input": "Hello", "previous_response_id": "resp_1"}
        assert (await http.post("/v1/responses", json=body)).status_code == 404


async def test_colleagues_share_and_other_tenants_see_nothing(stored: Stored) -> None:
    response = await stored.respond(store=True)
    path = f"/v1/responses/{response['id']}"
    async with stored.world.http(COLLEAGUE) as http:
        assert (await http.get(path)).status_code == 200
    async with stored.world.http(OTHERS) as http:
        for answer in (await http.get(path), await http.delete(path), await http.get(f"{path}/input_items")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "response_not_found")
        missing = (await http.get("/v1/responses/resp_never")).json()["error"]
        foreign = (await http.get(path)).json()["error"]
        assert missing["message"].replace("resp_never", response["id"]) == foreign["message"]
    async with httpx.AsyncClient(base_url=stored.world.url) as http:
        assert (await http.get(path)).status_code == 401


async def test_a_deleted_response_is_gone(stored: Stored) -> None:
    response = await stored.respond(store=True)
    path = f"/v1/responses/{response['id']}"
    deleted = await stored.http.delete(path)
    assert (deleted.status_code, deleted.json()) == (200, {"id": response["id"], "object": "response", "deleted": True})
    assert (await stored.http.get(path)).status_code == 404
    assert (await stored.http.delete(path)).status_code == 404
    assert await stored.refused(previous_response_id=response["id"]) == (404, "previous_response_not_found")
    assert len(await stored.world.ledger.expect(1)) == 1


async def test_what_cannot_be_gone_on_from_costs_nothing(stored: Stored) -> None:
    assert await stored.refused(previous_response_id="resp_never") == (404, "previous_response_not_found")
    assert await stored.refused(previous_response_id="resp_long") == (400, "conversation_too_long")
    stored.memory.broken = True
    assert await stored.refused(previous_response_id="resp_any") == (503, "responses_unavailable")
    assert (await stored.http.get("/v1/responses/resp_any")).status_code == 503
    await asyncio.sleep(0.1)
    assert stored.world.ledger.records == {}


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=101", "order=up", "after=msg_never"])
async def test_a_listing_is_asked_for_with_care(stored: Stored, query: str) -> None:
    response = await stored.respond(store=True)
    answer = await stored.http.get(f"/v1/responses/{response['id']}/input_items?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])


async def test_other_methods_are_refused(stored: Stored) -> None:
    for method, path in (("POST", "/v1/responses/resp_1"), ("DELETE", "/v1/responses/resp_1/input_items")):
        answer = await stored.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_caller_who_leaves_while_his_conversation_is_looked_for_costs_nothing(stored: Stored) -> None:
    first = await stored.respond("one", store=True)
    stored.memory.slow = 0.3
    with pytest.raises(httpx.ReadTimeout):
        await stored.http.post(
            "/v1/responses",
            json={"model": "plain", "input": "two", "previous_response_id": first["id"]},
            timeout=0.1,
        )
    await asyncio.sleep(0.6)
    assert len(await stored.world.ledger.expect(1)) == 1


async def test_requests_behind_one_that_waits_keep_their_order(stored: Stored) -> None:
    first = await stored.respond("one", store=True)
    stored.memory.slow = 0.1
    lines = [
        f"GET /v1/responses/{first['id']} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer iwk_test_dev\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nhost: g\r\nauthorization: Bearer iwk_test_dev\r\nconnection: close\r\n\r\n",
    ]
    answers = await stored.world.raw("".join(lines).encode())
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.index(b'"object":"response"') < answers.index(b'"object":"list"')


async def test_the_official_client_stores_reads_and_deletes(stored: Stored) -> None:
    client = stored.world.openai()
    first = await client.responses.create(model="plain", input="one", store=True)
    second = await client.responses.create(model="plain", input="two", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert (await client.responses.retrieve(first.id)).output_text == first.output_text
    assert [item.type async for item in client.responses.input_items.list(first.id)] == ["message"]
    await client.responses.delete(first.id)
    with pytest.raises(Exception, match="no stored response"):
        await client.responses.retrieve(first.id)
