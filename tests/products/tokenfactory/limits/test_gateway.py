"""Limits through a real gateway: what callers see, what streams count, what leaving and dying give back."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ironworks.products.tokenfactory.gateway.limiting import Limiter
from ironworks.products.tokenfactory.gateway.model import Call, Refusal
from ironworks.products.tokenfactory.limits import LimitView
from ironworks.products.tokenfactory.routing import route_to
from tests.products.tokenfactory.limits.views import limit
from tests.products.tokenfactory.upstream import Upstream, run_upstream
from tests.products.tokenfactory.world import (
    SCOPE,
    SECRET,
    World,
    chat,
    key_view,
    listener,
    run_world,
    targets_for,
    until_healthy,
)

CHAT = "/v1/chat/completions"
ROOT = Path(__file__).parents[4]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with run_upstream() as server:
        yield server


@asynccontextmanager
async def limited(upstream: Upstream, folder: Path, *views: LimitView, **more: Any) -> AsyncIterator[World]:
    async with run_world(folder / "spool", targets_for(upstream.address), limits=views, **more) as world:
        yield world


async def until(what: Callable[[], bool], within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not what():
            await asyncio.sleep(0.005)


async def until_served(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await http.post(CHAT, json=chat())).status_code != 200:
            await asyncio.sleep(0.02)


# --- what a caller sees -----------------------------------------------------------------------------------------------


async def test_headers_tell_how_the_limits_stand(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit("", requests_per_minute=3)) as world, world.http() as http:
        for left, stream in (("2", False), ("1", True), ("0", False)):
            answer = await http.post(CHAT, json=chat(stream=stream))
            assert answer.status_code == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "3"
            assert answer.headers["x-ratelimit-remaining-requests"] == left
            assert answer.headers["ratelimit"].startswith(f'"requests-per-minute";r={left};t=')
            assert answer.headers["ratelimit-policy"] == '"requests-per-minute";q=3;w=60'
        assert answer.headers["x-ratelimit-reset-requests"] in ("1m0s", *(f"{seconds}s" for seconds in range(41, 60)))


async def test_a_refusal_is_openais_429(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, requests_per_minute=1)) as world, world.http() as http:
        assert (await http.post(CHAT, json=chat())).status_code == 200
        refused = await http.post(CHAT, json=chat())
        assert refused.status_code == 429
        assert 40 < int(refused.headers["retry-after"]) <= 60
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert error["message"].startswith(f"scope '{SCOPE}' may use 1 requests per minute; try again in ")
        assert len(upstream.received) == 1, "what is refused costs the model server nothing"
        await world.ledger.expect(1)


async def test_a_refusal_is_anthropics_429(upstream: Upstream, tmp_path: Path) -> None:
    body = {"model": "plain", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    async with limited(upstream, tmp_path, limit(SCOPE, requests_per_minute=1)) as world, world.http() as http:
        assert (await http.post("/v1/messages", json=body)).status_code == 200
        refused = await http.post("/v1/messages", json=body)
        assert refused.status_code == 429
        assert refused.json()["type"] == "error"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert "retry-after" in refused.headers


async def test_clients_of_openai_understand_it(upstream: Upstream, tmp_path: Path) -> None:
    import openai

    async with limited(upstream, tmp_path, limit(SCOPE, requests_per_minute=1)) as world, world.openai() as client:
        messages: Any = chat()["messages"]
        await client.chat.completions.create(model="plain", messages=messages)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="plain", messages=messages)


async def test_only_permitted_models_are_listed_and_called(upstream: Upstream, tmp_path: Path) -> None:
    view = limit("demo", allowed_models=("pl*", f"{SCOPE}.eu/*"))
    async with limited(upstream, tmp_path, view) as world, world.http() as http:
        listed = [model["id"] for model in (await http.get("/v1/models")).json()["data"]]
        assert sorted(listed) == [f"{SCOPE}.eu/deep", "plain"]
        assert (await http.post(CHAT, json=chat())).status_code == 200
        refused = await http.post(CHAT, json=chat("renamed"))
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (403, "model_not_permitted", "model")
        assert (await http.get("/v1/models/plain")).status_code == 200
        assert (await http.get("/v1/models/renamed")).json()["error"] == error
        assert (await http.post(CHAT, json=chat("missing"))).status_code == 404


async def test_two_hosts_enforce_a_half_each(upstream: Upstream, tmp_path: Path) -> None:
    limiter = Limiter(tmp_path / "run", asyncio.get_running_loop().call_later)
    limiter.replace([limit(SCOPE, requests_per_minute=100)])
    answers: list[int | Exception] = [2, ConnectionError("the database is away")]

    async def count(host: UUID) -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sharing = asyncio.create_task(limiter.share(count))
    await until(lambda: len(answers) == 1)
    key, route = key_view(), route_to(targets_for(upstream.address)[0])
    call = Call("plain", {}, b"")
    passed = 0
    with suppress(Refusal):
        while passed < 1_000:
            limiter.admit(key, route, call, free=False)
            passed += 1
    assert passed == 50
    sharing.cancel()


async def test_end_users_have_counts_of_their_own(upstream: Upstream, tmp_path: Path) -> None:
    view = limit(SCOPE, requests_per_minute=1, per=("end_user",))
    async with limited(upstream, tmp_path, view) as world, world.http() as http:
        told = [(await http.post(CHAT, json=chat(user=user))).status_code for user in ("ann", "bob", "ann")]
        assert told == [200, 200, 429]


async def test_keys_share_what_their_scope_may_use(upstream: Upstream, tmp_path: Path) -> None:
    other = key_view("iwk_other")
    views = (limit("demo.app", requests_per_minute=3), limit(SCOPE, key=other.uid, requests_per_minute=1))
    async with limited(upstream, tmp_path, *views, keys=[other]) as world:
        async with world.http("iwk_other") as http:
            assert [(await http.post(CHAT, json=chat())).status_code for _ in range(2)] == [200, 429]
        async with world.http() as http:
            assert [(await http.post(CHAT, json=chat())).status_code for _ in range(3)] == [200, 200, 429]


async def test_a_changed_limit_counts_at_once(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, "one", requests_per_minute=1)) as world, world.http() as http:
        assert [(await http.post(CHAT, json=chat())).status_code for _ in range(2)] == [200, 429]
        world.source.limits = []
        world.gateway.notice("")
        await until_served(http)


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_tokens_count_while_an_answer_streams(upstream: Upstream, tmp_path: Path) -> None:
    """The stream has an estimate of input and four events of text; it is not over when others are refused for it."""
    size = -(-len(json.dumps(chat("waits", stream=True), separators=(",", ":"))) // 4)
    views = (limit(SCOPE, tokens_per_minute=6, token_burst=size + 3),)
    async with limited(upstream, tmp_path, *views) as world, world.http() as http, world.http() as other:
        async with http.stream("POST", CHAT, json=chat("waits", stream=True)) as stream:
            texts = stream.aiter_text()
            await anext(texts)
            await asyncio.sleep(0.2)
            refused = await other.post("/v1/embeddings", json={"model": "plain", "input": "x"})
            assert refused.status_code == 429
            assert int(refused.headers["x-ratelimit-remaining-tokens"]) <= 1
            upstream.release.set()
            async for _ in texts:
                pass
        [record] = await world.ledger.expect(1)
        assert record.output_tokens == 5


async def test_the_true_figure_replaces_the_estimate(upstream: Upstream, tmp_path: Path) -> None:
    """The model server says 11 in and 5 out, whatever the request's size says."""
    async with limited(upstream, tmp_path, limit(SCOPE, tokens_per_minute=6_000)) as world, world.http() as http:
        body = chat(messages=[{"role": "user", "content": "x" * 8_000}])
        first = await http.post(CHAT, json=body)
        assert int(first.headers["x-ratelimit-remaining-tokens"]) < 4_100
        second = await http.post(CHAT, json=chat())
        assert 5_900 < int(second.headers["x-ratelimit-remaining-tokens"]) < 6_000


async def test_a_failed_request_gives_its_tokens_back(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, tokens_per_minute=6_000)) as world, world.http() as http:
        body = chat("html", messages=[{"role": "user", "content": "x" * 8_000}])
        assert (await http.post(CHAT, json=body)).status_code == 502
        answer = await http.post(CHAT, json=chat())
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) > 5_900


async def test_a_request_too_large_for_its_limit_is_413(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, tokens_per_minute=100)) as world, world.http() as http:
        refused = await http.post(CHAT, json=chat(messages=[{"role": "user", "content": "x" * 8_000}]))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large_for_limit")
        assert "retry-after" not in refused.headers


async def test_an_image_does_not_count_by_its_bytes(upstream: Upstream, tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    body = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}])
    async with limited(upstream, tmp_path, limit(SCOPE, tokens_per_minute=2_000)) as world, world.http() as http:
        answer = await http.post(CHAT, json=body)
        assert answer.status_code == 200
        assert 800 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 1_000


# --- concurrency ------------------------------------------------------------------------------------------------------


async def test_a_caller_that_leaves_makes_room(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, concurrency=1)) as world, world.http() as http:
        async with world.http() as leaving, leaving.stream("POST", CHAT, json=chat("waits", stream=True)) as stream:
            await anext(stream.aiter_text())
            refused = await http.post(CHAT, json=chat())
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests_in_flight")
        await until(lambda: upstream.left == 1)
        await until_served(http)


async def test_every_end_makes_room(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, concurrency=1)) as world, world.http() as http:
        for model in ("html", "dies-at-once", "dies-in-stream", "error-in-stream", "lies", "idle", "missing", "zero"):
            for stream in (False, True):
                with suppress(httpx.RemoteProtocolError):
                    await http.post(CHAT, json=chat(model, stream=stream))
        assert (await http.post(CHAT, json=chat())).status_code == 200


# --- processes --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def processes(
    upstream: Upstream, folder: Path, count: int, *limits: dict[str, Any]
) -> AsyncIterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """(url, gateway processes that share it)."""
    sock = listener()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    config = {"fd": sock.fileno(), "upstream": upstream.address, "limits": limits,
              "spool": str(folder / "spool"), "ledger": str(folder / "ledger")}  # fmt: skip
    words = [sys.executable, "-m", "tests.products.tokenfactory.gateway_process", json.dumps(config)]
    started = [subprocess.Popen(words, cwd=ROOT, pass_fds=[sock.fileno()]) for _ in range(count)]
    try:
        await until(lambda: all((folder / f"ready-{process.pid}").exists() for process in started), 30)
        await until_healthy(url)
        yield url, started
    finally:
        for process in started:
            process.kill()
            process.wait()
        sock.close()


async def test_processes_of_a_host_enforce_one_limit(upstream: Upstream, tmp_path: Path) -> None:
    async with (
        processes(upstream, tmp_path, 3, {"requests_per_minute": 1, "burst": 25}) as (url, _),
        AsyncExitStack() as stack,
    ):
        headers = {"authorization": f"Bearer {SECRET}"}
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=30))
            for _ in range(8)
        ]
        answers = await asyncio.gather(*(client.post(CHAT, json=chat()) for client in clients for _ in range(8)))
        told = [answer.status_code for answer in answers]
        assert (told.count(200), told.count(429)) == (25, 39)


async def test_a_killed_process_gives_back_its_concurrency(upstream: Upstream, tmp_path: Path) -> None:
    async with processes(upstream, tmp_path, 1, {"concurrency": 1}) as (url, [victim]):
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
            held = asyncio.create_task(http.post(CHAT, json=chat("waits")))
            await until(lambda: bool(upstream.received))
            assert (await http.post(CHAT, json=chat())).status_code == 429
            async with (
                processes(upstream, tmp_path, 1, {"concurrency": 1}) as (other, _),
                httpx.AsyncClient(base_url=other, headers=headers, timeout=30) as survivor,
            ):
                assert (await survivor.post(CHAT, json=chat())).status_code == 429
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                assert (await survivor.post(CHAT, json=chat())).status_code == 200
            with pytest.raises(httpx.TransportError):
                await held


async def test_metrics_tell_of_limits(upstream: Upstream, tmp_path: Path) -> None:
    async with limited(upstream, tmp_path, limit(SCOPE, requests_per_minute=1)) as world, world.http() as http:
        for _ in range(3):
            await http.post(CHAT, json=chat())
        found = dict(line.rpartition(" ")[::2] for line in (await http.get("/metrics")).text.splitlines())
        told = {name: float(found[f"ironworks_gateway_limits_{name}"]) for name in ("refused", "hosts", "stuck")}
        assert told == {"refused": 2, "hosts": 1, "stuck": 0}
