"""Every topic of the domains: what changes it, who is told, and how a stream that was cut off goes on."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx

from ironworks.app.domains import collect
from ironworks.shared.declarations import OWN
from ironworks.shared.topics import read_touched
from tests.api.test_search_and_watch import Blocks, watching
from tests.support.api import ApiWorld, BootstrappedPlace, Caller, envelope, served_api

SOON = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()


async def test_every_declared_topic_has_tables_and_a_permission_and_every_told_table_a_topic(world: ApiWorld) -> None:
    rows = await world.admin.fetch(
        "select tgrelid::regclass::text as name, encode(tgargs, 'escape') as args from pg_trigger"
        " where tgfoid = 'shared.touch'::regproc"
    )
    told = {row["args"].split("\\000")[0] for row in rows}
    catalogue = collect()
    assert told == {topic.name for topic in catalogue.topics}
    assert {topic.permission for topic in catalogue.topics} <= {OWN, *catalogue.permissions}
    described = (await world.operator.get("topics"))["items"]
    assert [topic["name"] for topic in described] == sorted(told)
    assert {"name": "usage", "permission": "usage:read"}.items() <= described[-1].items()
    shell = await world.operator.get("console/bootstrap")
    assert {"name": "usage", "permission": "usage:read"} in shell["topics"]


async def test_whatever_changes_a_topic_touches_it_where_it_lies(world: ApiWorld) -> None:
    await world.scope("acme.shop")
    usage = {
        "specversion": "1.0", "type": "ironworks.usage.v1", "source": "/farm", "id": "job-1",
        "subject": "acme.shop", "time": datetime.now(UTC).isoformat(), "data": {"quantities": {"images": 4}},
    }  # fmt: skip
    credit = {"amount": "5", "currency": "USD", "source": "promotion", "reference": "welcome"}
    price = {
        "meter": "images",
        "model": "sdxl",
        "currency": "USD",
        "unit_price": "0.04",
        "valid_from": f"{SOON}T00:00:00Z",
    }
    places = {scope for _, scope in (await read_touched(world.process.database, 0)).places}
    for method, path, body, expected in (
        ("PUT", "scopes/acme/billing-details", {"review": True}, {("invoices", "acme"), ("audit", "acme")}),
        ("POST", "scopes/acme/credits", credit, {("ledger", "acme")}),
        ("POST", "prices", price, {("prices", "")}),
        ("PUT", "scopes/acme/quotas/endpoints", {"limit": 9}, {("quotas", "acme")}),
        ("POST", "scopes/acme/subscription", {"plan": "starter"}, {("subscriptions", "acme")}),
        ("PUT", "scopes/acme.shop/console/features/usage", {"enabled": False}, {("features", "acme.shop")}),
        ("POST", "cost-rates", {"meter": "images", "unit_cost": "0.01"}, {("cost-rates", "")}),
        ("POST", "registry/meter/rerank_documents:disable", None, {("registry", "")}),
        ("POST", "usage", {"events": [usage]}, {("usage", "acme.shop")}),
        ("POST", "usage", {"events": [usage | {"id": "job-2", "subject": "nowhere"}]}, set()),
    ):  # fmt: skip
        before = (await read_touched(world.process.database, None)).oldest
        answer = await world.operator.call(method, path, body)
        assert answer.status_code < 300, answer.text
        touched = await read_touched(world.process.database, before)
        assert touched.complete
        assert expected <= touched.places, path
        places |= {scope for _, scope in expected}  # another database's open transaction may hold what was before
        assert {scope for topic, scope in touched.places if topic != "audit"} <= places, path


class Heard:
    """What a stream tells of topics."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.cursor = ""
        self.told: set[tuple[str, str]] = set()

    async def next(self) -> tuple[str, str]:
        """The next event: a topic and a scope, or what happened to a resource and its name."""
        while True:
            block = await self.blocks.next()
            assert block, "the stream has ended"
            self.cursor = block.get("id", self.cursor)
            if block.get("event") == "changed":
                data = json.loads(block["data"])
                return data["topic"], data["scope"]
            if "event" in block:
                return block["event"], json.loads(block["data"])["metadata"]["name"]

    async def tells(self, what: tuple[str, str]) -> bool:
        """Whether it tells that next; what it told before it may tell again."""
        while (found := await self.next()) in self.told:
            pass
        self.told.add(found)
        return found == what


async def test_topics_are_told_beside_kinds_to_who_may_read_them_and_go_on_where_they_were(
    bootstrapped: BootstrappedPlace,
) -> None:
    with served_api(bootstrapped) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=30) as http, AsyncExitStack() as streams:
            operator = Caller(http, bootstrapped.operator_token)
            for account in ("acme", "rival"):
                await operator.create("accounts", "-", account, {})
            asked = {"topics": "invoices,quotas", "kinds": "accounts"}
            token = bootstrapped.operator_token
            heard = Heard(await streams.enter_async_context(watching(http, token, **asked)))
            heard.told = {("added", "acme"), ("added", "rival")}  # where the log is late
            await operator.expect(200, "PUT", "scopes/acme/billing-details", {"review": True})
            assert await heard.tells(("invoices", "acme"))
            await operator.expect(200, "PUT", "scopes/rival/quotas/endpoints", {"limit": 9})
            assert await heard.tells(("quotas", "rival"))
            await operator.create("accounts", "-", "third", {})
            assert await heard.tells(("added", "third"))
            await streams.aclose()
            await operator.expect(200, "PUT", "scopes/third/quotas/endpoints", {"limit": 9})
            again = Heard(await streams.enter_async_context(watching(http, token, **asked, cursor=heard.cursor)))
            again.told = heard.told
            assert await again.tells(("quotas", "third"))
            for query, status, field in (
                ({"topics": "things"}, 422, "topics"),
                ({"topics": "invoices,"}, 422, "topics"),
                ({"kinds": "accounts", "topics": "Account"}, 422, "topics"),
                ({"topics": ""}, 422, "kinds"),
                ({"topics": "invoices", "cursor": again.cursor}, 410, None),
            ):
                answer = await operator.call("GET", "watch", params=query)
                assert answer.status_code == status, answer.text
                if field:
                    assert envelope(answer)["details"]["fields"][0]["field"] == field
