"""What clients ask of all kinds at once: a search by name, a watch over several, and the state of the system."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.api import ApiWorld, BootstrappedPlace, Caller, envelope, served_api


async def found(caller: Caller, q: str, **parameters: Any) -> list[tuple[str, str, str]]:
    page = await caller.get("search", params={"q": q, **parameters})
    return [(item["kind"], item["scope"], item["name"]) for item in page["items"]]


async def test_resources_are_found_by_their_names_the_best_first(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    for name in ("chat", "big-chat", "prechat"):
        await world.operator.create("service-accounts", "acme.shop", name, {})
    await world.operator.create("roles", "acme", "readers", {"permissions": []}, display_name="People who Chat")
    await world.operator.create("service-accounts", "acme.shop", "other", {})
    assert [name for _, _, name in await found(world.operator, "CHAT")] == ["chat", "readers", "big-chat", "prechat"]
    assert await found(world.operator, "chat", kinds="roles") == [("Role", "acme", "readers")]
    assert len(await found(world.operator, "chat", scope="acme.shop")) == 3
    assert len(await found(world.operator, "chat", limit=2)) == 2
    assert ("Platform", "acme", "shop") in await found(world.operator, "sho")
    for nothing in ("c%", "_hat", "'; drop table x", "\\", "nowhere"):
        assert await found(world.operator, nothing) == []


async def test_a_search_shows_what_the_caller_may_read_and_nothing_else(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    await world.scope("other.shop")
    for path in ("acme.shop", "other.shop"):
        await world.operator.create("service-accounts", path, "robot", {})
    eve = await world.subject("acme.shop", "eve", "-/viewer")
    assert await found(eve, "robot") == [("ServiceAccount", "acme.shop", "robot")]
    assert await found(eve, "robot", scope="other.shop") == []
    assert await found(eve, "operator", kinds="users") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("q=", "q"), ("", "q"), ("q=x&kinds=things", "kinds"), ("q=x&limit=0", "limit"), ("q=x&scope=A", "scope")],
)
async def test_a_bad_search_says_what_is_wrong(world: ApiWorld, query: str, field: str) -> None:
    answer = await world.operator.call("GET", f"search?{query}")
    assert answer.status_code == 422
    assert envelope(answer)["details"]["fields"][0]["field"] == field


# --- one watch over many kinds ---------------------------------------------------------------------------------------


class Blocks:
    """The blocks of a stream of events: each a dict of its fields."""

    def __init__(self, answer: httpx.Response) -> None:
        self.lines = answer.aiter_lines()

    async def next(self) -> dict[str, str]:
        block: dict[str, str] = {}
        async with asyncio.timeout(60):
            async for line in self.lines:
                if not line:
                    return block
                name, _, value = line.partition(": ")
                block[name or "comment"] = value
        return block


@asynccontextmanager
async def watching(
    http: httpx.AsyncClient, token: str, address: str = "/api/v1/watch", **query: str
) -> AsyncIterator[Blocks]:
    headers = {"authorization": f"Bearer {token}"}
    async with http.stream("GET", address, params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Blocks(answer)


async def test_a_browser_follows_many_kinds_in_one_stream_and_goes_on_where_it_was(
    bootstrapped: BootstrappedPlace,
) -> None:
    with served_api(bootstrapped) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as http:
            operator = Caller(http, bootstrapped.operator_token)
            await operator.create("accounts", "-", "acme", {})
            asked = {"kinds": "service-accounts,platforms", "scope": "acme"}
            async with watching(http, bootstrapped.operator_token, **asked) as events:
                first = await events.next()
                assert first["id"]
                await operator.create("service-accounts", "acme", "robot", {})
                await operator.create("roles", "acme", "unseen", {"permissions": []})
                await operator.create("service-accounts", "-", "elsewhere", {})
                told = await events.next()
                assert (told["event"], json.loads(told["data"])["kind"]) == ("added", "ServiceAccount")
            await operator.create("platforms", "acme", "shop", {})
            async with watching(http, bootstrapped.operator_token, **asked, cursor=told["id"]) as events:
                blocks = [await events.next() for _ in range(2)]
                again = next(block for block in blocks if "event" in block)
                assert (again["event"], json.loads(again["data"])["metadata"]["name"]) == ("added", "shop")
            for query, status in (
                ({"kinds": "platforms", "cursor": told["id"]}, 410),
                ({"kinds": "things"}, 422),
                ({"kinds": "platforms", "cursor": "x"}, 422),
                ({}, 422),
            ):
                answer = await operator.call("GET", "watch", params=query)
                assert answer.status_code == status, answer.text


# --- the state of the system -----------------------------------------------------------------------------------------


async def test_an_operator_sees_how_the_system_is(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    await world.admin.execute(
        "insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)"
        " values ('mail', 7, 'x.v1', '', 'broken', 5)"
    )
    await world.admin.execute("insert into shared.queue_worker values (gen_random_uuid(), 'host-1', now())")
    told = await world.operator.get("system")
    assert (told["parts"], told["dead_letters"]) == ([], 1)
    assert told["change_log"]["unnumbered"] > 0
    queues = {queue["kind"]: queue for queue in told["queues"]}
    assert queues["Platform"]["due"] == 1
    assert queues["Platform"]["oldest_due_at"] is not None
    assert [worker["host"] for worker in told["workers"]] == ["host-1"]


async def test_the_state_of_the_system_is_the_operators(world: ApiWorld) -> None:
    await world.scope("acme")
    admin = await world.subject("acme", "admin", "-/platform-admin")
    assert (await admin.call("GET", "system")).status_code == 403
    assert (await admin.call("GET", "system/watch")).status_code == 403


async def test_an_operator_follows_how_the_system_is(bootstrapped: BootstrappedPlace) -> None:
    with served_api(bootstrapped) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as http:
            operator = Caller(http, bootstrapped.operator_token)
            async with watching(http, bootstrapped.operator_token, "/api/v1/system/watch") as events:
                blocks = [await events.next(), await events.next()]
                first = {block["event"]: json.loads(block["data"]) for block in blocks}
                assert first["system"] == await operator.get("system")
                assert first["gateways"] == {"processes": [], "incidents": []}
                await operator.create("accounts", "-", "acme", {})
                while "event" not in (block := await events.next()):
                    pass
                assert block["event"] == "system"
                assert json.loads(block["data"])["change_log"]["position"] > first["system"]["change_log"]["position"]
                users = await operator.items("scopes/-/users")
                [alone] = [user["metadata"] for user in users]
                await operator.expect(200, "PATCH", f"scopes/-/users/{alone['name']}", {"spec": {"disabled": True}})
                while await events.next():
                    pass  # whoever may no longer look is told nothing more: the stream ends


async def test_dead_letters_are_listed_shown_and_replayed(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    await world.admin.execute(
        "insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)"
        " values ('mail', 1, 'Account created', 'acme', 'broken', 5), ('mail', 2, 'x.v1', '', 'broken', 5)"
    )
    [first, second] = (await world.operator.get("dead-letters"))["items"]
    assert (first["subject"], first["replayed_at"]) == ("Account created", None)
    shown = await world.operator.get(f"dead-letters/{first['id']}")
    assert shown.pop("entry") is None  # a position that nothing has yet
    assert shown == first
    assert await world.operator.expect(202, "POST", "dead-letters:replay", {"consumer": "mail"}) == {"requested": 2}
    await world.admin.execute("update shared.dead_letter set replayed_at = now() where id = $1", second["id"])
    assert [letter["id"] for letter in (await world.operator.get("dead-letters"))["items"]] == [first["id"]]
    done = await world.operator.get("dead-letters", params={"replayed": "true"})
    assert [letter["id"] for letter in done["items"]] == [second["id"]]
    for letter in ("x", "99999", "9" * 30, "²"):
        assert (await world.operator.call("GET", f"dead-letters/{letter}")).status_code == 404, letter
    answer = await world.operator.call("POST", "dead-letters:replay", {"consumer": "nobody"})
    assert answer.status_code == 404
    admin = await world.subject("acme", "admin", "-/platform-admin")
    for method, path in (("GET", f"dead-letters/{first['id']}"), ("POST", "dead-letters:replay")):
        body = {"consumer": "mail"} if method == "POST" else None
        assert (await admin.call(method, path, body)).status_code == 403, path
