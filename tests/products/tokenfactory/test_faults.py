"""Model servers that do wrong, callers that leave, and what each of them costs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import httpx
import openai
import pytest

from ironworks.products.tokenfactory.gateway.model import UsageRecord
from tests.products.tokenfactory.upstream import BEHAVIOURS, Received, Upstream, run_upstream, whole
from tests.products.tokenfactory.world import World, chat, listener, post, run_world, target, targets_for


def bill(record: UsageRecord) -> tuple[int, int, int, bool]:
    return record.input_tokens, record.cached_tokens, record.output_tokens, record.counted


async def stream_of(world: World, model: str) -> str:
    async with world.http() as http:
        text = ""
        with suppress(httpx.RemoteProtocolError):
            async with http.stream("POST", "/v1/chat/completions", json=chat(model, stream=True)) as answer:
                async for piece in answer.aiter_text():
                    text += piece
    return text


async def test_any_cut_of_the_stream_is_the_same_stream(world: World) -> None:
    text = await stream_of(world, "byte-by-byte")
    assert text.count('"content":') == 6
    assert '"usage"' not in text
    assert text.endswith("data: [DONE]\n\n")
    [record] = await world.ledger.expect(1)
    assert bill(record) == (11, 4, 5, False)


async def test_no_usage_is_counted_and_says_so(world: World) -> None:
    await stream_of(world, "without-usage")
    async with world.http() as http:
        await http.post("/v1/chat/completions", json=chat("without-usage"))
    streamed, whole = await world.ledger.expect(2)
    assert streamed.counted
    assert whole.counted
    assert streamed.output_tokens == 5
    assert streamed.input_tokens > 0
    assert 0 < whole.output_tokens < 10


async def test_a_stream_without_done_gets_one(world: World) -> None:
    assert (await stream_of(world, "without-done")).count("[DONE]") == 1
    [record] = await world.ledger.expect(1)
    assert bill(record) == (11, 4, 5, False)


async def test_usage_beside_choices_is_read_and_hidden(world: World) -> None:
    text = await stream_of(world, "usage-with-choices")
    assert "prompt_tokens" not in text
    assert text.count('"content":') == 6
    [record] = await world.ledger.expect(1)
    assert bill(record) == (11, 4, 5, False)


async def test_lies_about_usage_are_not_believed(world: World) -> None:
    async with world.http() as http:
        assert (await http.post("/v1/chat/completions", json=chat("lies"))).status_code == 200
    [record] = await world.ledger.expect(1)
    assert record.counted
    assert record.output_tokens > 0


async def test_zero_stays_zero(world: World) -> None:
    async with world.http() as http:
        assert (await http.post("/v1/chat/completions", json=chat("zero"))).status_code == 200
    [record] = await world.ledger.expect(1)
    assert bill(record) == (0, 0, 0, False)


@pytest.mark.parametrize(("model", "words"), [("dies-in-stream", 3), ("ends-early", 3), ("error-in-stream", 2)])
async def test_a_stream_that_breaks_off(world: World, model: str, words: int) -> None:
    text = await stream_of(world, model)
    assert '"code":"upstream_error"' in text
    assert "[DONE]" not in text
    assert "deadbeef" not in text
    [record] = await world.ledger.expect(1)
    assert (record.status, record.output_tokens, record.counted) == (502, words, True)
    async with world.openai() as client:
        stream = await client.chat.completions.create(**chat(model, stream=True))
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("html", 502, "upstream_error"),
        ("bad-gateway", 502, "upstream_error"),
        ("error-as-200", 502, "upstream_error"),
        ("unauthorized", 502, "upstream_error"),
        ("not-http", 502, "upstream_error"),
        ("dies-at-once", 503, "upstream_error"),
        ("too-long", 400, "invalid_request"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_answers_that_are_none_cost_nothing(
    world: World, model: str, status: int, code: str, stream: bool
) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat(model, stream=stream))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "API Key" not in answer.text
    [record] = await world.ledger.expect(1)
    assert (record.status, bill(record)) == (status, (0, 0, 0, False))


async def test_the_models_own_refusal_is_passed_on(world: World) -> None:
    async with world.openai() as client:
        with pytest.raises(openai.BadRequestError, match="the context has 8192 tokens"):
            await client.chat.completions.create(**chat("too-long"))


async def test_what_an_upstream_says_holds_no_credential_and_no_name_of_its_own(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies repeat the key that they were shown, and servers the path of their model; cut off or not."""

    async def tells(upstream: Upstream, received: Received, writer: asyncio.StreamWriter) -> None:
        shown = received.headers["authorization"].removeprefix("Bearer ")
        words = f"model '/models/secret.gguf' (not /models/secret.gguf2) and key {shown}: {'x' * 980} {shown}"
        whole(writer, json.dumps({"error": {"message": words}}).encode(), "400 Bad Request")

    monkeypatch.setitem(BEHAVIOURS, "/models/secret.gguf", tells)
    chatty = target("public", upstream.address, served_as="/models/secret.gguf")
    async with run_world(tmp_path / "spool", [chatty]) as world, world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("public"))
    message = answer.json()["error"]["message"]
    assert message.startswith("model 'public' (not /models/secret.gguf2) and key ***: xxx")
    assert len(message) == 1000
    assert "replica" not in message


async def test_an_answer_without_a_length(world: World) -> None:
    async with world.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("until-eof"))
    assert answer.json()["usage"]["completion_tokens"] == 5
    await world.ledger.expect(1)


async def test_a_second_answer_is_nobodys(world: World, upstream: Upstream) -> None:
    async with world.http() as http:
        for _ in range(5):
            answer = await http.post("/v1/chat/completions", json=chat("surplus"))
            assert "stolen" not in answer.text
            assert "stolen" not in (await http.post("/v1/chat/completions", json=chat())).text
    await world.ledger.expect(10)
    assert len(upstream.received) == 10


async def test_connections_are_kept_and_a_closed_one_is_no_failure(world: World, upstream: Upstream) -> None:
    async with world.http() as http:
        for _ in range(10):
            assert (await http.post("/v1/chat/completions", json=chat())).status_code == 200
        assert upstream.connections == 1
        for _ in range(10):
            assert (await http.post("/v1/chat/completions", json=chat("closes-after"))).status_code == 200
    await world.ledger.expect(20)
    assert len(upstream.received) == 20


async def test_another_replica_is_asked_while_nothing_came_back(upstream: Upstream, tmp_path: Path) -> None:
    nobody = listener()
    nobody.close()
    dead = f"127.0.0.1:{nobody.getsockname()[1]}" if nobody.fileno() >= 0 else "127.0.0.1:1"
    async with run_world(tmp_path, [target("plain", dead, upstream.address)]) as world, world.http() as http:
        answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=chat()) for _ in range(20)))
        metrics = (await http.get("/metrics")).text
        assert {answer.status_code for answer in answers} == {200}
        assert "ironworks_gateway_replicas_ejected 1.0" in metrics
        await world.ledger.expect(20)


async def test_a_request_is_not_sent_twice_once_something_came_back(tmp_path: Path) -> None:
    async with run_upstream() as one, run_upstream() as other:
        async with run_world(tmp_path, [target("not-http", one.address, other.address)]) as world, world.http() as http:
            assert (await http.post("/v1/chat/completions", json=chat("not-http"))).status_code == 502
        assert len(one.received) + len(other.received) == 1


async def test_no_replica_answers(tmp_path: Path) -> None:
    async with run_world(tmp_path, targets_for("127.0.0.1:1")) as world:
        async with world.http() as http:
            answer = await http.post("/v1/chat/completions", json=chat(stream=True))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_error")
        [record] = await world.ledger.expect(1)
        assert bill(record) == (0, 0, 0, False)


async def test_load_is_spread(tmp_path: Path) -> None:
    async with run_upstream() as one, run_upstream() as other:
        async with run_world(tmp_path, [target("waits", one.address, other.address)]) as world, world.http() as http:
            answers = [asyncio.create_task(http.post("/v1/chat/completions", json=chat("waits"))) for _ in range(40)]
            while len(one.received) + len(other.received) < 40:
                await asyncio.sleep(0.01)
            one.release.set()
            other.release.set()
            await asyncio.gather(*answers)
        assert abs(len(one.received) - len(other.received)) <= 4


@pytest.mark.parametrize(("stream", "made"), [(True, 3), (False, 0)])
async def test_a_caller_who_leaves_stops_the_model_and_pays_what_was_made(
    world: World, upstream: Upstream, stream: bool, made: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(post("/v1/chat/completions", chat("waits", stream=stream)))
    if stream:
        while b" a" not in await reader.read(65536):
            pass
    else:
        while not upstream.received:
            await asyncio.sleep(0.01)
    writer.transport.abort()
    [record] = await world.ledger.expect(1)
    assert (record.status, record.output_tokens, record.counted) == (499, made, True)
    assert record.input_tokens > 0
    async with asyncio.timeout(60):
        while not upstream.left:
            await asyncio.sleep(0.01)


async def test_a_caller_who_leaves_before_a_replica_is_reached(tmp_path: Path) -> None:
    """A host that drops packets: the connection hangs until the caller goes."""
    full = listener()
    full.listen(0)
    address = f"127.0.0.1:{full.getsockname()[1]}"
    fillers = [await asyncio.open_connection("127.0.0.1", full.getsockname()[1]) for _ in range(1)]
    async with run_world(tmp_path, [target("plain", address)], connect_timeout=0.3) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(post("/v1/chat/completions", chat()))
        await asyncio.sleep(0.1)
        writer.transport.abort()
        [record] = await world.ledger.expect(1)
        assert record.status == 499
    for _, filler in fillers:
        filler.close()
    full.close()
