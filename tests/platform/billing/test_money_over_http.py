"""What people and programs see of usage, prices and money through the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from ironworks.platform import ledger, pricing
from ironworks.platform.billing.routes import router as billing_router
from ironworks.platform.ledger.routes import router as ledger_router
from ironworks.platform.metering.routes import router as metering_router
from ironworks.platform.pricing.routes import router as pricing_router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unauthenticated
from ironworks.shared.http import RouteTable
from ironworks.shared.listing import encode_cursor
from ironworks.shared.serving import Api
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, charge, money_world, usage
from tests.support.postgres import TestDatabase

PERIOD = "from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z"


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with money_world(database) as world:
        yield world


class Caller:
    """Calls the API as one of the subjects it was given, named by the bearer token."""

    def __init__(self, database: Database, subjects: dict[str, Actor]) -> None:
        async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
            if authorization is None:
                raise Unauthenticated("say who you are")
            return subjects[authorization.removeprefix("Bearer ")]

        routes = [*metering_router.routes, *pricing_router.routes, *ledger_router.routes, *billing_router.routes]
        api = Api(database, RouteTable(routes), authenticate)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api")  # type: ignore[arg-type]

    async def __call__(self, who: str, path: str, body: Any = None, status: int = 200) -> Any:
        method = "GET" if body is None else "POST"
        headers = {"authorization": f"Bearer {who}"}
        answer = await self.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def call(world: LowerWorld) -> AsyncIterator[Caller]:
    everything = ("usage:read", "billing:read", "price:create")
    subjects = {
        "operator": await world.subject("operator", {permission: [""] for permission in everything}),
        "tenant": await world.subject("tenant", {"usage:read": [TENANT], "billing:read": [TENANT]}),
        "rival": await world.subject("rival", {"usage:read": ["rival"], "billing:read": ["rival"]}),
        "nobody": await world.subject("nobody", {}),
    }
    caller = Caller(await world.database("api"), subjects)
    yield caller
    await caller.client.aclose()


async def test_a_request_is_explained_to_who_pays_for_it(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("req_1"), usage("req_2", tokens=(1000, 0, 0)))
    explained = await call("tenant", "billing/requests/req_1")
    assert explained["request_id"] == "req_1"
    assert explained["usage"]["quantities"] == {"input_tokens": 100, "cached_input_tokens": 20, "output_tokens": 30}
    assert explained["usage"]["endpoint"] == f"{TENANT}/smollm2"
    assert explained["total"] == [{"currency": "USD", "nano": 23_000, "amount": "0.000023000"}]
    by_meter = {line["meter"]: line for line in explained["lines"]}
    assert by_meter["output_tokens"]["unit_price"] == "0.0000004"
    assert by_meter["output_tokens"]["cost"]["amount"] == "0.000012000"
    (transfer,) = explained["transfers"]
    assert transfer["debit"] == {"scope": TENANT, "purpose": "receivable"}
    assert transfer["credit"] == {"scope": "-", "purpose": "revenue"}
    assert transfer["moved"]["nano"] == 123_000
    first = await call("tenant", f"billing/transfers/{transfer['id']}?limit=3")
    rest = await call("tenant", f"billing/transfers/{transfer['id']}?limit=3&cursor={first['next_cursor']}")
    assert sum(line["cost"]["nano"] for line in first["lines"] + rest["lines"]) == 123_000
    assert rest["next_cursor"] is None


async def test_to_everyone_else_it_does_not_exist(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("req_1"))
    transfer = (await call("tenant", "billing/requests/req_1"))["transfers"][0]["id"]
    for path in ("billing/requests/req_1", f"billing/transfers/{transfer}", "billing/transfers/no-uuid"):
        assert (await call("rival", path, status=404))["error"]["code"] == "NOT_FOUND"
        await call("nobody", path, status=403)
    for path in (f"scopes/{TENANT}/balance", f"scopes/{TENANT}/usage", f"scopes/{TENANT}/usage/requests"):
        await call("rival", path, status=404)
        await call("nobody", path, status=404)


async def test_a_balance_holds_everything_below(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("a"), usage("b", scope="acme.shop.us"))
    owed = [(await call("operator", f"scopes/{s}/balance"))["owed"] for s in (TENANT, "acme", "-", "rival")]
    assert [[money["nano"] for money in each] for each in owed] == [[23_000], [46_000], [46_000], []]


async def test_ledger_accounts_and_transfers_are_listed_to_who_may_see_the_bill(
    world: LowerWorld, call: Caller
) -> None:
    for number, scope in enumerate((TENANT, "acme.shop.us", TENANT, "rival.app")):
        await charge(world, usage(f"req_{number}", scope=scope))
    (account,) = (await call("tenant", f"scopes/{TENANT}/ledger-accounts"))["items"]
    assert (account["scope"], account["purpose"]) == (TENANT, "receivable")
    assert account["balance"] == {"currency": "USD", "nano": 46_000, "amount": "0.000046000"}
    own = (await call("tenant", f"scopes/{TENANT}/transfers?account={account['id']}"))["items"]
    assert [t["moved"]["nano"] for t in own] == [23_000, 23_000]
    assert own == sorted(own, key=lambda t: (t["posted_at"], t["id"]), reverse=True)
    assert own[0]["credit"] == {"scope": "-", "purpose": "revenue"}
    assert not (await call("tenant", f"scopes/{TENANT}/transfers?purpose=revenue"))["items"], "an account not theirs"
    for path in ("ledger-accounts", "transfers"):
        await call("tenant", f"scopes/rival.app/{path}", status=404)
        await call("operator", f"scopes/never.was/{path}", status=404)


async def test_transfers_of_everyone_in_pages_and_filtered(world: LowerWorld, call: Caller) -> None:
    for number, scope in enumerate((TENANT, "acme.shop.us", "rival.app")):
        await charge(world, usage(f"req_{number}", scope=scope))
    for scope, count in (("-", 3), ("acme", 2), ("acme.shop.us", 1)):
        seen, cursor = [], ""
        while cursor is not None:
            page = await call("operator", f"scopes/{scope}/transfers?limit=1{cursor and f'&cursor={cursor}'}")
            seen += [t["id"] for t in page["items"]]
            cursor = page["next_cursor"]
        whole = (await call("operator", f"scopes/{scope}/transfers"))["items"]
        assert seen == [t["id"] for t in whole]
        assert len(whole) == count
    assert len((await call("operator", "scopes/-/transfers?purpose=revenue&kind=usage"))["items"]) == 3
    assert not (await call("operator", "scopes/-/transfers?kind=payment"))["items"]
    middle = (await call("operator", "scopes/-/transfers"))["items"][1]["posted_at"].replace("+", "%2B")
    assert len((await call("operator", f"scopes/-/transfers?from={middle}"))["items"]) == 2
    assert len((await call("operator", f"scopes/-/transfers?to={middle}"))["items"]) == 1
    first = await call("operator", "scopes/-/ledger-accounts?limit=2")
    rest = await call("operator", f"scopes/-/ledger-accounts?cursor={first['next_cursor']}")
    told = [(a["scope"], a["purpose"]) for a in first["items"] + rest["items"]]
    assert told == [("-", "revenue"), ("acme.shop.eu", "receivable"), ("acme.shop.us", "receivable"),
                    ("rival.app", "receivable")]  # fmt: skip
    assert len((await call("operator", "scopes/-/ledger-accounts?purpose=revenue"))["items"]) == 1
    for bad in ("transfers?cursor=x", "transfers?kind=wishes", "transfers?account=x", "ledger-accounts?purpose=x"):
        await call("operator", f"scopes/-/{bad}", status=422)


async def test_a_transfer_says_what_took_it_back(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("req_1"))
    (transfer,) = (await call("tenant", f"scopes/{TENANT}/transfers"))["items"]
    async with world.system("worker") as ctx:
        reversal = await ledger.reverse_transfer(ctx, UUID(transfer["id"]), "a mistake")
    shown = await call("tenant", f"billing/transfers/{transfer['id']}")
    assert shown["corrected_by"] == str(reversal)
    assert shown["transfer"]["day"] == "2026-03-01"
    taken_back = await call("tenant", f"billing/transfers/{reversal}")
    assert (taken_back["transfer"]["corrects"], taken_back["corrected_by"]) == (transfer["id"], None)


async def test_a_scope_that_never_was_is_not_found(call: Caller) -> None:
    for path in ("usage", "usage/requests", "usage/set-aside", "balance"):
        assert (await call("operator", f"scopes/no.where/{path}", status=404))["error"]["code"] == "NOT_FOUND"
        await call("operator", f"scopes/rival/{path}")


async def test_usage_in_groups_and_pages(world: LowerWorld, call: Caller) -> None:
    await charge(world, *(usage(f"r{n}") for n in range(5)), usage("x", quantities={"bananas": 2}))
    summary = await call("tenant", f"scopes/{TENANT}/usage?group_by=day&{PERIOD}")
    assert (summary["from"], summary["group_by"]) == ("2026-03-01T00:00:00Z", "day")
    quantities = {"input_tokens": 500, "cached_input_tokens": 100, "output_tokens": 150}
    assert summary["items"] == [{"group": "2026-03-01", "requests": 5, "quantities": quantities}]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await call("tenant", f"scopes/acme.shop.eu/usage/requests?limit=2&{PERIOD}{cursor}")
        seen += [item["request_id"] for item in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert seen == ["r4", "r3", "r2", "r1", "r0"]
    (aside,) = (await call("tenant", f"scopes/{TENANT}/usage/set-aside"))["items"]
    assert (aside["event_id"], aside["reason"], aside["content"]["quantities"]) == (
        "x",
        "unknown_meter",
        {"bananas": 2},
    )


async def test_what_some_requests_cost_is_told_at_once(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("one"), usage("two"), usage("three"))
    whole = (await call("tenant", "billing/requests/one"))["total"]
    found = (await call("tenant", "billing/requests?ids=one,gone,two,one"))["items"]
    assert found == [{"request_id": "one", "total": whole}, {"request_id": "two", "total": whole}]
    assert (await call("rival", "billing/requests?ids=one,two"))["items"] == []
    await call("tenant", "billing/requests?ids=", status=422)
    await call("tenant", "billing/requests?ids=" + ",".join(map(str, range(501))), status=422)


async def test_single_requests_are_found_by_what_is_known_of_them(world: LowerWorld, call: Caller) -> None:
    course = {
        "duration_ms": 1250, "first_byte_ms": 90, "tries": 2, "streamed": 1, "asked_us": 40_100, "sent_us": 41_000,
        "ended_us": 1_249_500, "steps": [["try", 100, 40_000, "acme.shop/chat: it answered 503"]], "error": "x",
    }  # fmt: skip
    await charge(
        world,
        usage("plain", dimensions={"status": "200"}, course=course),
        usage("slow", dimensions={"status": "429"}, model="big", user="ann"),
        usage("lost", dimensions={"status": "404"}, route="best", endpoint_name=""),
    )
    everything = f"scopes/acme/usage/requests?{PERIOD}"
    key = usage("plain").key_uid
    for filters, found in (
        ("status=4xx", ["slow", "lost"]), ("status=404", ["lost"]), ("status=5xx", []), ("model=big", ["slow"]),
        ("user=ann", ["slow"]), ("route=best", ["lost"]), (f"key={key}&status=200", ["plain"]),
        (f"endpoint={TENANT}/smollm2", ["slow", "plain"]), ("model=%25", []), ("user=a__", []),
    ):  # fmt: skip
        page = await call("operator", f"{everything}&{filters}")
        assert [item["request_id"] for item in page["items"]] == found, filters
    one = await call("tenant", f"scopes/{TENANT}/usage/requests/plain")
    assert one["course"] == {
        "duration_ms": 1250, "first_byte_ms": 90, "tries": 2, "streamed": True, "asked_ms": 40.1, "sent_ms": 41.0,
        "ended_ms": 1249.5, "error": "x",
        "steps": [{"what": "try", "from_ms": 0.1, "until_ms": 40.0, "whom": "acme.shop/chat: it answered 503"}],
    }  # fmt: skip
    assert (await call("operator", "scopes/acme/usage/requests/slow"))["course"] is None
    for who, path in (
        ("operator", "scopes/rival/usage/requests/plain"),
        ("operator", "scopes/acme/usage/requests/gone"),
        ("rival", "scopes/rival/usage/requests/plain"),
        ("rival", f"scopes/{TENANT}/usage/requests/plain"),
    ):
        assert (await call(who, path, status=404))["error"]["code"] == "NOT_FOUND"
    for bad in ("status=6xx", "status=20", "key=x"):
        await call("operator", f"{everything}&{bad}", status=422)


BAD_PERIODS = [
    ("from=yesterday", "from"),
    ("from=2026-03-01T00:00:00", "from"),
    ("to=0001-01-01T00:00:00Z", "to"),
    ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
    ("group_by=colour", "group_by"),
    ("colour=red", "colour"),
]


async def test_a_bad_period_or_cursor_is_named(call: Caller) -> None:
    for query, field in BAD_PERIODS:
        error = (await call("tenant", f"scopes/{TENANT}/usage?{query}", status=422))["error"]
        assert [problem["field"] for problem in error["details"]["fields"]] == [field]
    for cursor in ("x", "W10", "WyJhIiwiYiJd", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiYiJd"):
        error = (await call("tenant", f"scopes/{TENANT}/usage/requests?cursor={cursor}", status=422))["error"]
        assert [problem["field"] for problem in error["details"]["fields"]] == ["cursor"]


async def test_the_operator_changes_a_price_and_everyone_reads_it(call: Caller) -> None:
    body = {"meter": "output_tokens", "unit_price": "0.0000006"}
    created = await call("operator", "prices", body, 201)
    assert (created["unit_price"], created["per_million"], created["model"]) == ("0.0000006", "0.6", "*")
    await call("tenant", "prices", body, 403)
    items = (await call("nobody", "prices"))["items"]
    assert created["id"] in {item["id"] for item in items}
    assert len(items) == len(pricing.DEFAULT_PRICES) + 1
    in_force = (await call("nobody", f"prices?at={created['valid_from']}"))["items"]
    tokens = {item["meter"]: item["unit_price"] for item in in_force if item["meter"].endswith("_tokens")}
    assert tokens == {
        "input_tokens": "0.0000001",
        "cached_input_tokens": "0.00000005",
        "output_tokens": "0.0000006",
    }


BAD_PRICES: list[tuple[dict[str, Any], str]] = [
    ({"meter": "bananas"}, "UNKNOWN_REGISTRY_ENTRY"),
    ({"unit_price": "-1"}, "VALIDATION_ERROR"),
    ({"unit_price": "NaN"}, "VALIDATION_ERROR"),
    ({"unit_price": "1e400"}, "VALIDATION_ERROR"),
    ({"unit_price": "0.0000000000000000001"}, "VALIDATION_ERROR"),
    ({"unit_price": None}, "VALIDATION_ERROR"),
    ({"currency": "dollar"}, "VALIDATION_ERROR"),
    ({"model": ""}, "VALIDATION_ERROR"),
    ({"valid_from": "9999-12-31T23:59:59-12:00"}, "VALIDATION_ERROR"),
    ({"surprise": 1}, "VALIDATION_ERROR"),
]


async def test_a_bad_price_is_refused(call: Caller) -> None:
    for changes, code in BAD_PRICES:
        body = {"meter": "output_tokens", "unit_price": "0.1"} | changes
        assert (await call("operator", "prices", body, 422))["error"]["code"] == code


async def test_a_price_in_the_past_that_had_one_is_a_conflict(call: Caller) -> None:
    body = {"meter": "output_tokens", "unit_price": "1", "valid_from": "2026-01-01T00:00:00Z"}
    assert (await call("operator", "prices", body, 409))["error"]["code"] == "PRICE_IN_USE"


async def test_the_price_book_in_pages_and_by_scope(call: Caller) -> None:
    for scope in ("acme", "acme.shop", "rival"):
        price = {"meter": "images", "model": "two\nlines", "unit_price": "1", "scope": scope}
        await call("operator", "prices", price, 201)
    withdrawn = await call("operator", "prices", price | {"unit_price": None, "withdrawn": True}, 201)
    assert (withdrawn["withdrawn"], withdrawn["scope"]) == (True, "rival")
    everything, cursor = [], ""
    while cursor is not None:
        page = await call("operator", f"prices?limit=3{cursor}")
        everything += page["items"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert everything == (await call("operator", "prices"))["items"]
    assert len(everything) == len(pricing.DEFAULT_PRICES) + 4
    images = [p["scope"] for p in (await call("tenant", f"prices?scope={TENANT}&meter=images"))["items"]]
    assert images == ["acme", "acme.shop"]
    bad = ([["a", "b"], "2026-03-01"], [["a", "b", "c", 4], "2026-03-01"], [["a", "b", "c", "\0"], "2026-03-01"],
           [["a", "b", "c", "\ud800"], "2026-03-01"], [["a", "b", "c", "d"], "soon"], ["a", "b"])  # fmt: skip
    for cursor in ("x", *(encode_cursor(json.dumps(key), at) for key, at in bad)):
        for path in ("prices", "price-terms"):
            error = (await call("operator", f"{path}?cursor={cursor}", status=422))["error"]
            assert [problem["field"] for problem in error["details"]["fields"]] == ["cursor"]


async def test_terms_adjust_a_period_and_a_simulation_compares_two(world: LowerWorld, call: Caller) -> None:
    world.clock = lambda: NOON
    terms = {"meter": "input_tokens", "terms": {"included": 40, "minimum": "0.00005"}, "valid_from": "2026-03-01"}
    made = await call("operator", "price-terms", terms, 201)
    assert (made["scope"], made["terms"]["included"], made["terms"]["minimum"]) == ("-", 40, "0.00005")
    await call("operator", "price-terms", terms, 409)
    await call("tenant", "price-terms", terms, 403)
    assert (await call("nobody", "price-terms"))["items"] == [made]
    assert (await call("nobody", "price-terms?meter=images"))["items"] == []
    await charge(world, usage("a"), usage("b", scope="acme.shop.us"))
    period = "from=2026-03-01&to=2026-04-01"
    shown = await call("operator", f"scopes/acme/adjustments?{period}")
    assert [(line["description"], line["adjustment"]["nano"]) for line in shown["items"]] == [
        ("40 included", -4000),
        ("up to the minimum of 0.00005", 34_000),
    ]
    assert {line["terms_id"] for line in shown["items"]} == {made["id"]}
    for path, status in (("acme.shop", 422), ("rival", 200)):
        await call("operator", f"scopes/{path}/adjustments?{period}", status=status)
    other = {
        "from": "2026-03-01",
        "to": "2026-04-01",
        "prices": [{"meter": "output_tokens", "unit_price": "0.0000008"}],
    }
    found = await call("tenant", f"scopes/{TENANT}/prices:simulate", other)
    assert (found["total"]["was"]["nano"], found["total"]["difference"]["nano"]) == (23_000, 12_000)
    assert found["groups"][0]["name"] == "output_tokens smollm2"
    await call("rival", f"scopes/{TENANT}/prices:simulate", other, status=404)


BAD_BOOKS: list[tuple[str, dict[str, Any]]] = [
    ("prices", {"meter": "images"}),
    ("prices", {"meter": "images", "unit_price": "1", "withdrawn": True}),
    ("prices", {"meter": "images", "unit_price": "1", "scope": "No Where"}),
    ("price-terms", {"meter": "images", "terms": {"tiers": [{"up_to": 5, "unit_price": "1"}]}}),
    ("price-terms", {"meter": "images", "terms": {"discount": 101}}),
    ("price-terms", {"meter": "images", "terms": {"minimum": "-1"}}),
    ("price-terms", {"meter": "images", "terms": {"included": 1}, "withdrawn": True}),
    ("price-terms", {"meter": "images", "terms": {"package": {"size": 0, "price": "1"}}}),
    ("scopes/acme/prices:simulate", {"from": "2026-03-02", "to": "2026-03-02"}),
    ("scopes/acme/prices:simulate", {"from": "2026-03-01", "to": "2026-03-02", "prices": [{"meter": "images"}]}),
]


async def test_a_bad_book_is_refused(call: Caller) -> None:
    for path, body in BAD_BOOKS:
        assert (await call("operator", path, body, 422))["error"]["code"] == "VALIDATION_ERROR"
    nowhere = {"meter": "images", "unit_price": "1", "scope": "no.where"}
    await call("operator", "prices", nowhere, 404)
    await call("operator", "prices", {"meter": "images", "withdrawn": True}, 404)
