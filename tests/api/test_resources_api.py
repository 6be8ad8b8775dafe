"""What every kind can do over HTTP, shown on the kinds there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from ironworks.platform.tenancy import TENANT as TENANT_KIND
from tests.support.api import ApiWorld, BootstrappedPlace, Caller, api_world, envelope, served_api

TENANT = "acme.shop.eu"
ACCOUNTS = f"scopes/{TENANT}/service-accounts"
ENDPOINTS = f"scopes/{TENANT}/endpoints"
ENGINE = {"versions": [{"version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]}


@pytest.fixture
async def eve(world: ApiWorld) -> Caller:
    """A tenant's administrator."""
    await world.scope(TENANT)
    return await world.subject(TENANT, "eve", "-/tenant-admin")


def document(name: str, description: str = "", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"description": description}}


# --- the life of a resource -------------------------------------------------------------------------------------------


async def test_a_resource_is_created_read_replaced_merged_and_deleted(eve: Caller) -> None:
    made = await eve.expect(201, "POST", ACCOUNTS, document("bot", "first", labels={"a": "b"}))
    assert (made["api_version"], made["kind"]) == ("v1", "ServiceAccount")
    assert (
        made["metadata"] | {"name": "bot", "scope": TENANT, "generation": 1, "labels": {"a": "b"}} == made["metadata"]
    )
    assert made["spec"] == {"description": "first", "disabled": False}, "defaults are materialised"
    assert made["status"]["phase"] == "Ready"
    one = f"{ACCOUNTS}/bot"
    assert await eve.get(one) == made
    replaced = await eve.expect(200, "PUT", one, document("bot", "second"))
    assert (replaced["metadata"]["labels"], replaced["metadata"]["generation"]) == ({}, 2)
    assert replaced["metadata"]["resource_version"] > made["metadata"]["resource_version"]
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    merged = await eve.expect(200, "PATCH", one, {"metadata": {"labels": {"x": "y"}}, "spec": {"disabled": True}})
    assert merged["spec"] == {"description": "second", "disabled": True}
    assert merged["metadata"]["labels"] == {"x": "y"}
    merged = await eve.expect(200, "PATCH", one, {"metadata": {"labels": {"x": None}}, "spec": {"disabled": None}})
    assert (merged["spec"]["disabled"], merged["metadata"]["labels"]) == (False, {}), "null removes: the default"
    gone = await eve.expect(200, "DELETE", one)
    assert gone["metadata"]["deletion_timestamp"] is not None
    envelope(await eve.call("GET", one))
    again = await eve.expect(201, "POST", ACCOUNTS, document("bot"))
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    assert (await eve.call("POST", ACCOUNTS, document("bot"))).status_code == 409


async def test_what_does_not_change_anything_writes_nothing(world: ApiWorld, eve: Caller) -> None:
    made = await eve.expect(201, "POST", ACCOUNTS, document("bot", "first"))
    before = await world.counts()
    assert await eve.expect(200, "PUT", f"{ACCOUNTS}/bot", document("bot", "first")) == made
    assert await eve.expect(200, "PATCH", f"{ACCOUNTS}/bot", {"spec": {"description": "first"}}) == made
    applied = await eve.expect(200, "POST", f"{ACCOUNTS}/bot:apply", document("bot", "first"))
    assert applied == {"action": "unchanged", "resource": made, "diff": []}
    assert await world.counts() == before


async def test_apply_makes_it_what_the_document_says(eve: Caller) -> None:
    one = f"{ACCOUNTS}/bot:apply"
    created = await eve.expect(200, "POST", one, document("bot", "first", labels={"a": "b"}))
    assert created["action"] == "created"
    updated = await eve.expect(200, "POST", one, {"spec": {"disabled": True}})
    assert updated["action"] == "updated"
    assert updated["resource"]["spec"] == {"description": "", "disabled": True}, "what is omitted is the default"
    assert updated["resource"]["metadata"]["labels"] == {}
    version = updated["resource"]["metadata"]["resource_version"]
    guarded = document("bot", "third", resource_version=version)
    assert (await eve.expect(200, "POST", one, guarded))["action"] == "updated"
    assert (await eve.call("POST", one, guarded)).status_code == 409
    missing = document("other", resource_version=version)
    assert (await eve.call("POST", f"{ACCOUNTS}/other:apply", missing)).status_code == 409


async def test_a_dry_run_tells_and_changes_nothing(world: ApiWorld, eve: Caller) -> None:
    await eve.expect(201, "POST", ACCOUNTS, document("bot", "first"))
    before = await world.counts()
    changed = await eve.expect(200, "POST", f"{ACCOUNTS}/bot:apply?dry_run=true", document("bot", "second"))
    assert changed["action"] == "updated"
    assert changed["diff"] == [{"field": "spec.description", "from": "first", "to": "second"}]
    created = await eve.expect(200, "POST", f"{ACCOUNTS}?dry_run=true", document("new", labels={"a": "b"}))
    assert created["action"] == "created"
    assert {d["field"]: d["to"] for d in created["diff"]} == {
        "metadata": {"labels": {"a": "b"}}, "spec": {"description": "", "disabled": False},
    }  # fmt: skip
    merged = await eve.expect(200, "PATCH", f"{ACCOUNTS}/bot?dry_run=true", {"spec": {"disabled": True}})
    assert merged["diff"] == [{"field": "spec.disabled", "from": False, "to": True}]
    assert (await eve.expect(200, "DELETE", f"{ACCOUNTS}/bot?dry_run=true"))["action"] == "deleted"
    assert await world.counts() == before
    assert (await eve.call("POST", f"{ACCOUNTS}?dry_run=true", document("Bad"))).status_code == 422


async def test_deletion_waits_for_the_controller_and_force_does_not(world: ApiWorld, eve: Caller) -> None:
    engines = f"scopes/{TENANT}/engines"
    await eve.create("engines", TENANT, "mine", ENGINE)
    asked = await eve.expect(200, "DELETE", f"{engines}/mine")
    assert asked["metadata"]["deletion_timestamp"] is not None
    still = await eve.get(f"{engines}/mine")
    assert still["metadata"]["deletion_timestamp"] == asked["metadata"]["deletion_timestamp"]
    assert await eve.expect(200, "DELETE", f"{engines}/mine") == still, "asking again changes nothing"
    for method, path in (("PUT", "mine"), ("POST", "mine:apply")):
        answer = await eve.call(method, f"{engines}/{path}", {"spec": ENGINE})
        assert answer.status_code == 409, answer.text
    assert (await eve.call("PATCH", f"{engines}/mine", {"metadata": {"labels": {"a": "b"}}})).status_code == 409
    assert (await eve.call("POST", engines, {"metadata": {"name": "mine"}, "spec": ENGINE})).status_code == 409
    assert (await eve.call("DELETE", f"{engines}/mine?force=true")).status_code == 403, "the operator's to skip"
    await world.operator.expect(200, "DELETE", f"{engines}/mine?force=true")
    assert (await eve.call("GET", f"{engines}/mine")).status_code == 404


async def test_writes_are_told_apart_when_two_meet(eve: Caller) -> None:
    made = await eve.expect(201, "POST", ACCOUNTS, document("bot"))
    version = made["metadata"]["resource_version"]
    answers = await asyncio.gather(
        *(eve.call("PUT", f"{ACCOUNTS}/bot", document("bot", f"by {n}", resource_version=version)) for n in range(5))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409]
    patches = await asyncio.gather(
        *(eve.call("PATCH", f"{ACCOUNTS}/bot", {"metadata": {"labels": {f"l{n}": "x"}}}) for n in range(5))
    )
    kept = (await eve.get(f"{ACCOUNTS}/bot"))["metadata"]["labels"]
    assert len(kept) == sum(a.status_code == 200 for a in patches), "no write is lost unnoticed"


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_writers_that_name_no_version_do_not_trip_over_each_other(eve: Caller) -> None:
    """Nor over a controller, which may write status at any moment."""
    for name in ("busy", "busy", "busier"):
        applied = [eve.call("POST", f"{ACCOUNTS}/{name}:apply", document(name, str(n))) for n in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*applied)} == {200}
    merged = [eve.call("PATCH", f"{ACCOUNTS}/busy", {"metadata": {"labels": {f"n{n}": "x"}}}) for n in range(4)]
    assert {answer.status_code for answer in await asyncio.gather(*merged)} == {200}
    assert len((await eve.get(f"{ACCOUNTS}/busy"))["metadata"]["labels"]) == 4, "a merge keeps what others merged"
    created = [eve.call("POST", ACCOUNTS, document("once")) for _ in range(4)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*created)) == [201, 409, 409, 409]


async def test_lists_come_in_pages_of_one_order(world: ApiWorld, eve: Caller) -> None:
    await world.scope(f"{TENANT}.deep")
    names = [f"bot-{n:02}" for n in range(7)]
    for name in names:
        await eve.expect(201, "POST", ACCOUNTS, document(name, labels={"parity": str(int(name[-1]) % 2), "all": "yes"}))
    await eve.create("service-accounts", f"{TENANT}.deep", "below", {}, labels={"all": "yes"})
    expected = [(TENANT, "eve"), *((TENANT, n) for n in names), (f"{TENANT}.deep", "below")]
    expected.sort()
    for limit in (1, 2, 3, 100):
        found = await eve.items(ACCOUNTS, limit=limit)
        assert [(i["metadata"]["scope"], i["metadata"]["name"]) for i in found] == expected, limit
    odd = await eve.items(ACCOUNTS, labels="parity=1,all=yes", limit=2)
    assert [i["metadata"]["name"] for i in odd] == ["bot-01", "bot-03", "bot-05"]
    assert await eve.items(ACCOUNTS, labels="parity=1,all=no") == []
    assert len(await eve.items(ACCOUNTS, phase="Ready")) == len(expected)
    assert await eve.items(ACCOUNTS, phase="Failed") == []
    page = await eve.get(ACCOUNTS, params={"limit": 4})
    await eve.expect(200, "DELETE", f"{ACCOUNTS}/bot-00")
    rest = await eve.get(ACCOUNTS, params={"limit": 100, "cursor": page["next_cursor"]})
    assert [i["metadata"]["name"] for i in rest["items"]][:2] == [n for _, n in expected[4:6]], "no item twice or lost"


async def test_what_is_above_is_listed_where_it_is_inherited(world: ApiWorld, eve: Caller) -> None:
    await world.scope("acme.shop.us")
    for place in ("acme", "acme.shop", TENANT, "acme.shop.us"):
        await world.operator.create("engines", place, f"of-{place.split('.')[-1]}", ENGINE)

    def names(items: list[Any]) -> list[str]:
        return sorted(i["metadata"]["name"] for i in items)

    assert names(await eve.items(f"scopes/{TENANT}/engines")) == ["of-eu"]
    above = ["llama-cpp", "of-acme", "of-eu", "of-shop"]
    assert names(await eve.items(f"scopes/{TENANT}/engines", inherited="true", limit=1)) == above
    assert names(await eve.items("engines")) == above
    assert (await eve.get("scopes/acme.shop/engines/of-shop"))["kind"] == "Engine"
    assert (await eve.call("GET", "scopes/acme.shop.us/engines/of-us")).status_code == 404
    assert (await eve.call("DELETE", "scopes/acme/engines/of-acme")).status_code == 403


async def test_kinds_describe_themselves(world: ApiWorld, eve: Caller) -> None:
    described = {k["name"]: k for k in (await eve.get("kinds"))["items"]}
    assert set(described) == {k.name for k in world.kinds}
    assert described["Endpoint"]["references"] == {
        "cluster": "Cluster", "engine.engine": "Engine", "model.registry": "ModelRegistry",
    }  # fmt: skip
    assert described["Tenant"]["levels"] == list(TENANT_KIND.levels)
    assert "properties" in described["Endpoint"]["spec_schema"]


# --- references -------------------------------------------------------------------------------------------------------


async def test_what_is_referred_to_stays_and_the_refusal_names_whom_one_may_see(world: ApiWorld, eve: Caller) -> None:
    other = "acme.shop.us"
    await world.scope(other)
    await world.operator.create("engines", "acme.shop", "shared", ENGINE)
    spec = {"model": {"name": "smollm2"}, "engine": {"engine": "acme.shop/shared", "version": "1"}}
    await world.operator.create("endpoints", TENANT, "ours", spec)
    await world.operator.create("endpoints", other, "theirs", spec)
    keeper = await world.subject("acme.shop", "keeper")
    role = {"permissions": ["engine:read", "engine:delete"]}
    await world.operator.create("roles", "acme", "engine-keeper", role)
    await world.grant("service-account:acme.shop/keeper", "acme/engine-keeper", "acme.shop")
    await world.grant("service-account:acme.shop/keeper", "-/viewer", TENANT)
    answer = await keeper.call("DELETE", "scopes/acme.shop/engines/shared")
    assert answer.status_code == 409
    error = envelope(answer)
    assert error["details"] == {"referrers": [f"Endpoint {TENANT}/ours"], "hidden": 1}
    assert "theirs" not in answer.text
    assert (await keeper.get("scopes/acme.shop/engines/shared"))["metadata"]["deletion_timestamp"] is None
    for place, name in ((TENANT, "ours"), (other, "theirs")):
        await world.operator.expect(200, "DELETE", f"scopes/{place}/endpoints/{name}?force=true")
    await keeper.expect(200, "DELETE", "scopes/acme.shop/engines/shared")
    answer = await eve.call("POST", ENDPOINTS, {"metadata": {"name": "late"}, "spec": spec})
    assert answer.status_code == 422
    assert "is being deleted" in envelope(answer)["message"]


async def test_a_node_stays_while_something_lives_in_it(world: ApiWorld, eve: Caller) -> None:
    answer = await world.operator.call("DELETE", "scopes/acme/platforms/shop")
    assert answer.status_code == 409
    assert envelope(answer)["details"]["living"]["Tenant"] == 1
    assert (await eve.call("GET", f"scopes/{TENANT}/endpoints")).status_code == 200


# --- repeated requests ------------------------------------------------------------------------------------------------


async def test_a_repeated_request_gets_the_first_one_s_answer(world: ApiWorld, eve: Caller) -> None:
    key = {"Idempotency-Key": "order-7"}
    first = await eve.call("POST", ACCOUNTS, document("bot"), headers=key)
    before = await world.counts()
    again = await eve.call("POST", ACCOUNTS, document("bot"), headers=key)
    assert (first.status_code, first.content) == (201, again.content)
    assert (again.status_code, again.headers["idempotent-replay"]) == (201, "true")
    assert await world.counts() == before
    other = await eve.call("POST", ACCOUNTS, document("other"), headers=key)
    assert (other.status_code, envelope(other)["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    # the key belongs to who used it, where he used it
    peer = await world.subject(TENANT, "peer", "-/tenant-admin")
    assert (await peer.call("POST", ACCOUNTS, document("bot"), headers=key)).status_code == 409
    assert (await peer.call("POST", ACCOUNTS, document("peers"), headers=key)).status_code == 201
    assert (await eve.call("POST", ENDPOINTS, {"metadata": {"name": "e"}, "spec": {}}, headers=key)).status_code == 422


async def test_a_key_stands_for_the_query_too(world: ApiWorld) -> None:
    """Or a forced deletion would be answered by the one that only asked."""
    await world.scope(TENANT)
    await world.operator.create("engines", TENANT, "mine", ENGINE)
    mine, headers = f"scopes/{TENANT}/engines/mine", {"idempotency-key": "one"}
    await world.operator.expect(200, "DELETE", mine, headers=headers)
    refused = await world.operator.expect(409, "DELETE", f"{mine}?force=true", headers=headers)
    assert refused["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_request_that_failed_may_be_tried_again(eve: Caller) -> None:
    key = {"Idempotency-Key": "order-8"}
    assert (await eve.call("POST", ACCOUNTS, document("Bad"), headers=key)).status_code == 422
    assert (await eve.call("POST", ACCOUNTS, document("good"), headers=key)).status_code == 201


async def test_a_replay_asks_for_the_permission_again(world: ApiWorld, eve: Caller) -> None:
    key = {"Idempotency-Key": "order-9"}
    assert (await eve.call("POST", ACCOUNTS, document("bot"), headers=key)).status_code == 201
    (assignment,) = await world.operator.items(f"scopes/{TENANT}/role-assignments")
    await world.operator.expect(200, "DELETE", f"scopes/{TENANT}/role-assignments/{assignment['metadata']['name']}")
    assert (await eve.call("POST", ACCOUNTS, document("bot"), headers=key)).status_code in (403, 404)


async def test_of_many_at_once_with_one_key_one_acts(world: ApiWorld, eve: Caller) -> None:
    key = {"Idempotency-Key": "order-10"}
    answers = await asyncio.gather(*(eve.call("POST", ACCOUNTS, document("bot"), headers=key) for _ in range(4)))
    assert [a.status_code for a in answers] == [201] * 4
    assert len({a.content for a in answers}) == 1
    assert sum("idempotent-replay" in a.headers for a in answers) == 3


async def test_a_secret_that_was_shown_once_is_not_shown_by_a_replay(world: ApiWorld, eve: Caller) -> None:
    made = await eve.create("api-keys", TENANT, "mine", {})
    url, key = f"scopes/{TENANT}/api-keys/mine:rotate", {"Idempotency-Key": "order-11"}
    issued = (await eve.call("POST", url, {}, headers=key)).json()
    again = await eve.call("POST", url, {}, headers=key)
    assert again.status_code == 409
    assert envelope(again)["details"] == {"uid": made["metadata"]["uid"]}
    assert issued["key"] not in again.text
    assert (await world.calling(issued["key"]).get("me"))["name"] == f"{TENANT}/mine", "the first secret still works"
    stored = await world.admin.fetch("select encode(response, 'escape') as text from shared.idempotency")
    assert not any(row["text"] and "iwk_" in row["text"] for row in stored)


# --- watching, over a real connection ---------------------------------------------------------------------------------


class Events:
    """A stream of server-sent events, one at a time."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self.lines = lines

    async def next(self) -> tuple[str, Any]:
        word, data = "", ""
        async for line in self.lines:
            if line.startswith("event: "):
                word = line[7:]
            elif line.startswith("data: "):
                data += line[6:]
            elif not line and word:
                return word, json.loads(data)
        return "end", None


@pytest.fixture
async def served(bootstrapped: BootstrappedPlace) -> AsyncIterator[tuple[ApiWorld, str]]:
    """A world, and the address at which the same database's API is served."""
    async with api_world(bootstrapped) as world:
        context: Iterator[Any] = served_api(bootstrapped)  # type: ignore[assignment]
        api = await asyncio.to_thread(context.__enter__)  # type: ignore[attr-defined]
        try:
            yield world, api.url
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)  # type: ignore[attr-defined]


async def test_a_watch_tells_each_caller_what_is_his(served: tuple[ApiWorld, str]) -> None:
    world, url = served
    rival = "rival.shop.eu"
    callers = {}
    for place in (TENANT, rival):
        await world.scope(place)
        callers[place] = await world.subject(place, "eve", "-/tenant-admin")
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        cursors = {p: (await c.get("service-accounts"))["resource_cursor"] for p, c in callers.items()}
        bad = await Caller(client, callers[TENANT].token).call("GET", "service-accounts?watch=true&resource_cursor=x")
        assert envelope(bad)["details"]["fields"][0]["field"] == "resource_cursor"
        for place, name in ((TENANT, "one"), (rival, "two"), (TENANT, "three")):
            await world.operator.create("service-accounts", place, name, {})
        await world.operator.expect(200, "DELETE", f"{ACCOUNTS}/one")
        expected = {TENANT: {("deleted", "one"), ("added", "three")}, rival: {("added", "two")}}
        for place, caller in callers.items():
            options = {
                "params": {"watch": "true", "resource_cursor": cursors[place]},
                "headers": {"authorization": f"Bearer {caller.token}"},
            }
            async with client.stream("GET", "/api/v1/service-accounts", **options) as answer:  # type: ignore[arg-type]
                assert answer.headers["content-type"].startswith("text/event-stream")
                events, told = Events(answer.aiter_lines()), set()
                while not expected[place] <= told:
                    word, body = await events.next()
                    assert body["metadata"]["scope"] == place
                    told.add((word, body["metadata"]["name"]))
                # what was committed before the cursor and numbered after it is told again
                assert told - expected[place] <= {("added", "eve")}


# --- moments and names that came to harm ------------------------------------------------------------------------------


async def test_a_moment_is_kept_in_utc_whatever_its_offset(eve: Caller) -> None:
    keys = f"scopes/{TENANT}/api-keys"
    spec = {"expires_at": "2198-11-23T14:36:17-23:47"}
    made = await eve.expect(201, "POST", keys, {"metadata": {"name": "far"}, "spec": spec})
    assert made["spec"]["expires_at"] == "2198-11-24T14:23:17Z"
    for moment in ("0198-11-23T14:36:17-23:47", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"):
        answer = await eve.call("POST", keys, {"metadata": {"name": "x"}, "spec": {"expires_at": moment}})
        assert envelope(answer)["details"]["fields"][0]["field"] == "spec.expires_at"


async def test_a_field_comes_back_under_the_name_it_was_sent_by(eve: Caller) -> None:
    version = {**ENGINE["versions"][0], "values_schema": {"properties": {"a": {"type": "string", "maxLength": 7}}}}
    made = await eve.create("engines", TENANT, "mine", {"versions": [version]})
    argument = made["spec"]["versions"][0]["values_schema"]["properties"]["a"]
    assert (argument["maxLength"], "max_length" in argument) == (7, False)
    assert (await eve.expect(200, "PUT", f"scopes/{TENANT}/engines/mine", made)) == made
