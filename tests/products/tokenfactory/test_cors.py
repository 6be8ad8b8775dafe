"""Pages that call from browsers: the console's, those that the settings name, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.products.tokenfactory.upstream import Upstream
from tests.products.tokenfactory.world import SECRET, World, chat, run_world, targets_for

CONSOLE = "http://127.0.0.1:7070"
OTHER = "https://elsewhere.example"
CHAT = "/v1/chat/completions"
CORS = ("access-control-allow-origin", "access-control-expose-headers", "access-control-allow-headers", "vary")


@pytest.fixture
async def world(upstream: Upstream, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that the console's pages may call."""
    origins = frozenset({CONSOLE})
    async with run_world(tmp_path / "spool", targets_for(upstream.address), origins=origins) as made:
        yield made


def question(origin: str, method: str = "POST", headers: str = "authorization,content-type") -> dict[str, str]:
    """What a browser sends before a call."""
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }


def names(answer: httpx.Response, header: str) -> set[str]:
    return set(answer.headers[header].split(", "))


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/messages", "/v1/models", "/v1/responses/resp_1"])
async def test_a_browser_may_ask_without_a_key_and_nobody_else_is_asked(
    world: World, upstream: Upstream, path: str
) -> None:
    async with httpx.AsyncClient(base_url=world.url) as http:
        answer = await http.options(path, headers=question(CONSOLE))
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == CONSOLE
    assert answer.headers["vary"] == "origin"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    assert names(answer, "access-control-allow-methods") == {"GET", "POST", "DELETE"}
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in answer.headers
    assert not upstream.received


@pytest.mark.parametrize("origin", [OTHER, "null", "http://127.0.0.1", "http://127.0.0.1:7070.example", f"{CONSOLE}/"])
async def test_other_origins_are_told_where_they_could_be_let_in(world: World, origin: str) -> None:
    async with world.http() as http:
        asked = await http.options(CHAT, headers=question(origin))
        answered = await http.post(CHAT, json=chat(), headers={"origin": origin})
    assert asked.status_code == 403
    assert asked.json()["error"]["code"] == "origin_not_allowed"
    assert "IRONWORKS_GATEWAY_CORS_ORIGINS" in asked.json()["error"]["message"]
    assert answered.status_code == 200  # the key decides; that a page may not read it is the browser's to see to
    for header in CORS:
        assert header not in asked.headers
        assert header not in answered.headers


async def test_a_page_reads_answers_with_what_they_tell_of_themselves(world: World) -> None:
    async with world.http() as http:
        for _ in range(3):  # the later ones are recognised by their head alone
            answer = await http.post(CHAT, json=chat(), headers={"origin": CONSOLE, "x-request-id": "mine"})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == CONSOLE
            assert answer.headers["x-client-request-id"] == "mine"
            shown = names(answer, "access-control-expose-headers")
            assert {"x-request-id", "x-ironworks-model", "x-ironworks-overhead-ms", "retry-after"} <= shown
            told = {name for name in answer.headers if name.startswith(("x-", "ratelimit", "openai-"))}
            assert told <= shown


async def test_streams_and_errors_can_be_read_too(world: World) -> None:
    origin = {"origin": CONSOLE}
    async with world.http() as http:
        async with http.stream("POST", CHAT, json=chat(stream=True), headers=origin) as stream:
            assert stream.headers["access-control-allow-origin"] == CONSOLE
            assert b"[DONE]" in await stream.aread()
        unknown = await http.post(CHAT, json=chat("nowhere"), headers=origin)
        no_path = await http.post("/v1/nothing", json={}, headers=origin)
        no_key = await http.post(CHAT, json=chat(), headers={**origin, "authorization": ""})
    answers = (unknown, no_path, no_key)
    assert [answer.status_code for answer in answers] == [404, 404, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == CONSOLE
        assert "x-request-id" in names(answer, "access-control-expose-headers")


async def test_who_says_no_origin_gets_no_word_of_it(world: World) -> None:
    async with world.http() as http:
        answer = await http.post(CHAT, json=chat())
        asked = await http.options(CHAT)
    assert answer.status_code == 200
    assert asked.status_code == 405
    assert asked.headers["allow"] == "POST"
    for header in CORS:
        assert header not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/health", "/metrics"])
async def test_what_monitors_ask_is_not_for_pages(world: World, path: str) -> None:
    async with httpx.AsyncClient(base_url=world.url) as http:
        answer = await http.get(path, headers={"origin": CONSOLE})
        asked = await http.options(path, headers=question(CONSOLE, "GET"))
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert asked.status_code == 405


async def test_what_is_no_list_of_names_is_not_sent_back(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.url) as http:
        bad = await http.options(CHAT, headers=question(CONSOLE, headers='<a href="x">'))
        none = await http.options(CHAT, headers={"origin": CONSOLE, "access-control-request-method": "GET"})
    assert bad.status_code == 400
    assert "access-control-allow-headers" not in bad.headers
    assert none.status_code == 200
    assert "access-control-allow-headers" not in none.headers


async def test_all_pages_may_call_where_the_operator_says_so(upstream: Upstream, tmp_path: Path) -> None:
    async with (
        run_world(tmp_path / "spool", targets_for(upstream.address), origins=frozenset({"*"})) as world,
        world.http() as http,
    ):
        asked = await http.options(CHAT, headers=question(OTHER))
        answer = await http.post(CHAT, json=chat(), headers={"origin": OTHER})
    assert asked.status_code == answer.status_code == 200
    for each in (asked, answer):
        assert each.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in each.headers


async def test_refusals_of_a_head_can_be_read_too(world: World) -> None:
    too_large = await world.raw(raw(f"origin: {CONSOLE}", "content-length: 999999999"))
    assert b" 413 " in too_large.splitlines()[0]
    assert f"access-control-allow-origin: {CONSOLE}\r\n".encode() in too_large


async def test_two_origins_at_once_are_none(world: World) -> None:
    answer = await world.raw(raw(f"origin: {CONSOLE}", f"origin: {CONSOLE}", "content-length: 0"))
    assert b"access-control-allow-origin" not in answer


def raw(*headers: str) -> bytes:
    lines = (f"POST {CHAT} HTTP/1.1", "host: a", f"authorization: Bearer {SECRET}", "connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode()
