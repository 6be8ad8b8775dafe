"""What one customer can learn of another's money, or do to it: nothing, by any route, whatever he holds at home.

Two accounts have used, owed and paid; then every route of the money domains is called with the names of one by subjects
of the other, by a neighbour within the account, by who holds a tenant below, and by keys that are limited or stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ironworks.app.wiring import open_process
from ironworks.platform.billing.controller import charge_ingested_usage
from ironworks.platform.invoices.controller import open_due_closes, run_closes
from ironworks.shared.http import PUBLIC, Route
from tests.support.api import ApiWorld, Caller

TENANT, SIBLING, RIVAL = "acme.shop.eu", "acme.shop.us", "rival.shop.eu"
DOMAINS = ("metering", "pricing", "ledger", "billing", "subscriptions", "invoices", "payments", "policy", "reports")
MONEY = (
    "/billing/", "/invoice", "/payment", "/subscription", "/usage", "/credit", "/prepaid", "/price", "/plans",
    "/quotas", "/reports/", "/cost-rates", "/adjustments", "/balance", "/closes", "/currency", "/billing-details",
    "/ledger-accounts", "/transfers",
)  # fmt: skip
NOBODYS = ("POST /api/v1/webhooks/stripe",)


@dataclass
class Books:
    """The world, and the names of what `acme` has."""

    world: ApiWorld
    names: dict[str, str]

    @property
    def ids(self) -> list[str]:
        """Those that nobody else's have."""
        return [self.names[kind] for kind in ("invoice", "line", "payment", "request_id", "transfer_id", "number")]

    @property
    def routes(self) -> list[Route]:
        return [
            r for r in self.world.api.table.routes if any(word in r.path for word in MONEY) and r.permission != PUBLIC
        ]

    def url(self, route: Route, path: str) -> str:
        found = route.path
        for name in route.parameters:
            found = found.replace(f"{{{name}}}", path if name == "path" else self.names.get(name, "acme"))
        return found + QUERIES.get(f"{route.method} {route.path.removeprefix('/api/v1')}", "").format_map(self.names)

    def body(self, route: Route) -> Any:
        """One that would be taken."""
        written = f"{route.method} {route.path.removeprefix('/api/v1')}"
        return BODIES.get(written, {}) | {k: self.names[v] for k, v in NAMED.get(written, {}).items()}


BODIES: dict[str, dict[str, Any]] = {
    "POST /prices": {"meter": "images", "unit_price": "0", "scope": "acme"},
    "POST /price-terms": {"meter": "images", "scope": "acme", "terms": {"discount": "100"}},
    "PUT /scopes/{path}/currency": {"currency": "XTS"},
    "POST /scopes/{path}/prices:simulate": {"from": "2026-01-01", "to": "2030-01-01"},
    "POST /plans": {"name": "free", "title": "Free", "base_fee": "0"},
    "POST /cost-rates": {"meter": "images", "unit_cost": "0"},
    "POST /scopes/{path}/credits": {"amount": "1000", "source": "promotion", "reference": "a present"},
    "PUT /scopes/{path}/prepaid/{currency}": {"low": "1"},
    "POST /scopes/{path}/subscription": {"plan": "scale"},
    "POST /scopes/{path}/subscription:preview": {"plan": "scale"},
    "POST /scopes/{path}/subscription:change": {"plan": "scale"},
    "POST /scopes/{path}/payment-methods:checkout": {"success_url": "https://a.example", "cancel_url": "https://a.example"},
    "PUT /scopes/{path}/quotas/{name}": {"limit": None},
    "PUT /scopes/{path}/billing-details": {"name": "Mallory", "taxes": []},
    "POST /invoices/{invoice}:void": {"reason": "mine"},
    "POST /invoices/{invoice}:write-off": {"reason": "mine"},
    "POST /invoices/{invoice}/credit-notes": {"reason": "mine", "amount_nano": 10**7, "reference": "mine"},
    "POST /payments:record": {"amount_nano": 10**7, "method": "cash", "reference": "mine"},
    "POST /payments/{payment}:refund": {"amount_nano": 10**7},
    "POST /usage": {"events": [{"specversion": "1.0"}]},
}  # fmt: skip
QUERIES = {
    "GET /scopes/{path}/adjustments": "?from=2026-01-01&to=2030-01-01",
    "GET /billing/requests": "?ids={request_id}",
}
NAMED = {"POST /payments": {"invoice": "invoice"}, "POST /payments:record": {"invoice": "invoice"}}


def used(scope: str, name: str, **data: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(days=2)
    return {
        "specversion": "1.0", "type": "ironworks.usage.v1", "source": "/meter", "id": name, "subject": scope,
        "time": at.isoformat(), "data": {"quantities": {"input_tokens": 50_000_000}, "model": f"{scope}-model", **data},
    }  # fmt: skip


@pytest.fixture
async def books(world: ApiWorld) -> Books:
    operator = world.operator
    for scope in (TENANT, SIBLING, RIVAL):
        await world.scope(scope)
    events = [used(TENANT, "job-1"), used(SIBLING, "job-2"), used(RIVAL, "job-3")]
    handed_in = await operator.expect(200, "POST", "usage", {"events": events})
    assert handed_in["accepted"] == 3, handed_in
    request = handed_in["items"][0]["event_id"]
    async with open_process(world.place.settings, "worker", connections=5) as worker:
        await charge_ingested_usage(worker.database)
        for account in ("acme", "rival"):
            await operator.expect(202, "POST", f"scopes/{account}/closes", {"until": f"{datetime.now(UTC):%Y-%m-%d}"})
        await run_closes(worker.database)
    (invoice,) = await operator.items("scopes/acme/invoices")
    for account in ("acme", "rival"):
        given = {"amount": "5", "source": "paid", "reference": "bank"}
        await operator.expect(201, "POST", f"scopes/{account}/credits", given)
        await operator.expect(201, "POST", f"scopes/{account}/subscription", {"plan": "growth"})
        await operator.expect(200, "PUT", f"scopes/{account}/billing-details", {"name": f"{account} Ltd"})
        await operator.expect(200, "PUT", f"scopes/{account}/quotas/tenants", {"limit": 7})
        await operator.expect(201, "POST", "prices", {"meter": "images", "unit_price": "0.5", "scope": account})
        await operator.expect(
            201, "POST", "price-terms", {"meter": "images", "scope": account, "terms": {"included": 5}}
        )
    await operator.expect(201, "POST", "cost-rates", {"meter": "images", "unit_cost": "0.25"})
    receipt = {"invoice": invoice["number"], "amount_nano": 10**7, "method": "cash", "reference": "R-acme"}
    payment = await operator.expect(201, "POST", "payments:record", receipt)
    cent = {"reason": "an outage", "amount_nano": 10**7, "reference": "ticket-17"}
    note = await operator.expect(201, "POST", f"invoices/{invoice['id']}/credit-notes", cent)
    (line, *_) = await operator.items(f"invoices/{invoice['id']}/lines")
    explained = await operator.get(f"billing/requests/{request}")
    names = {
        "invoice": invoice["number"], "line": line["id"], "payment": payment["id"], "method": "pm_1", "name": "tenants",
        "meter": "input_tokens", "currency": "USD", "request_id": request, "request": request, "number": note["number"],
        "transfer_id": explained["transfers"][0]["id"],
    }  # fmt: skip
    return Books(world, names)


async def attack(books: Books, who: Caller, places: tuple[str, ...], secret: tuple[str, ...]) -> None:
    """Every route with every place: nothing is changed, and nothing is told of what is another's."""
    before = await books.world.counts()
    for route in books.routes:
        for place in places if route.scope else ("",):
            url = books.url(route, place)
            body = None if route.method in ("GET", "DELETE") else books.body(route)
            answer = await who.call(route.method, url, body)
            asked = f"{route.method} {url}: {answer.status_code} {answer.text}"
            open_list = route.method == "GET" and not route.parameters
            assert answer.status_code in ((200, 403) if open_list else (403, 404)), asked
            if answer.status_code == 200:
                told = [word for word in secret if word in answer.text]
                assert not told, f"{told} in {asked}"
            else:
                assert "acme Ltd" not in answer.text, asked
    assert not await books.world.written_since(before)


async def test_another_account_learns_and_does_nothing(books: Books) -> None:
    administrator = await books.world.subject("rival", "mallory", "-/platform-admin", "-/billing-admin")
    await attack(books, administrator, ("acme", TENANT, "-"), ("acme", *books.ids))


async def test_a_neighbour_within_the_account_learns_and_does_nothing(books: Books) -> None:
    """What holds for the account he sees: its prices count for him. What it owes and pays he does not."""
    neighbour = await books.world.subject(SIBLING, "nell", "-/tenant-admin", "-/billing-admin")
    secret = (
        TENANT,
        "acme Ltd",
        *(v for k, v in books.names.items() if k not in ("name", "meter", "currency", "method")),
    )
    await attack(books, neighbour, ("acme", TENANT, "-"), secret)


async def test_who_holds_a_tenant_sees_its_own_lines_and_not_the_accounts_money(books: Books) -> None:
    tenant = await books.world.subject(TENANT, "tess", "-/tenant-admin", "-/billing-admin")
    opened = await tenant.get(f"invoice-lines/{books.names['line']}")
    assert opened["items"][0]["request_id"] == books.names["request_id"]
    for path in (
        f"invoices/{books.names['invoice']}", f"invoices/{books.names['invoice']}/document", "scopes/acme/credit",
        "scopes/acme/subscription", f"payments/{books.names['payment']}", "scopes/acme/reports/receivables",
        f"scopes/{TENANT}/reports/margin", "cost-rates", "scopes/-/reports/revenue",
    ):  # fmt: skip
        answer = await tenant.call("GET", path)
        assert answer.status_code in (403, 404), f"{path}: {answer.text}"
    for path in ("payments", "subscriptions"):
        assert (await tenant.get(path))["items"] == []


@pytest.mark.parametrize("scope", ["acme", "-"])
async def test_a_key_is_limited_to_what_it_lists(books: Books, scope: str) -> None:
    """Also one of an operator: what a key does not list it does not reach, however much its owner may."""
    world = books.world
    owner = f"service-account:{scope}/owner"
    await world.subject(scope, "owner", "-/operator")
    key = await world.key(scope, "little", owner=owner, permissions=["endpoint:read"])
    await attack(books, key, ("acme", TENANT, "-"), ("acme Ltd", *books.ids))


async def test_what_is_suspended_or_taken_away_reaches_nothing(books: Books) -> None:
    world = books.world
    tenant = await world.subject(TENANT, "sam", "-/tenant-admin", "-/billing-admin")
    assert (await tenant.get(f"scopes/{TENANT}/balance"))["scope"] == TENANT
    await world.admin.execute("update platform_tenancy.node_path set phase = 'active' where path = 'acme.shop'")
    await world.operator.expect(200, "POST", "scopes/acme/platforms/shop:suspend", {"reason": "not paid"})
    for path in (f"scopes/{TENANT}/balance", f"invoice-lines/{books.names['line']}", f"scopes/{TENANT}/usage"):
        assert (await tenant.call("GET", path)).status_code in (401, 403, 404), path


@pytest.mark.parametrize("preset", ["platform-admin", "tenant-admin", "developer", "viewer", "billing-admin"])
async def test_no_role_of_a_customers_moves_money_at_home(books: Books, preset: str) -> None:
    """Prices, plans, terms, quotas, credit, details, receipts, refunds, closes and usage are the operator's word."""
    world = books.world
    customer = await world.subject("acme", f"carl-{preset}", f"-/{preset}")
    before = await world.counts()
    for route in books.routes:
        written = f"{route.method} {route.path.removeprefix('/api/v1')}"
        if written not in OPERATORS:
            continue
        answer = await customer.call(route.method, books.url(route, "acme"), books.body(route))
        if written == "POST /usage" and answer.status_code == 200:
            assert answer.json()["refused"] == 1
        else:
            assert answer.status_code in (403, 404), f"{written}: {answer.status_code} {answer.text}"
    assert not await world.written_since(before)


OPERATORS = (
    "POST /prices", "POST /price-terms", "PUT /scopes/{path}/currency", "POST /plans", "POST /cost-rates",
    "POST /plans/{name}:withdraw",
    "POST /scopes/{path}/credits", "PUT /scopes/{path}/prepaid/{currency}", "DELETE /scopes/{path}/prepaid/{currency}",
    "PUT /scopes/{path}/quotas/{name}", "DELETE /scopes/{path}/quotas/{name}", "PUT /scopes/{path}/billing-details",
    "POST /invoices/{invoice}:finalize", "POST /invoices/{invoice}:void", "POST /invoices/{invoice}:write-off",
    "POST /invoices/{invoice}/credit-notes", "POST /payments:record", "POST /payments/{payment}:refund",
    "POST /scopes/{path}/closes", "POST /usage",
)  # fmt: skip


def test_every_route_of_money_is_attacked(books_routes: list[str]) -> None:
    """A new one has to be found by its name, and its body to be written down here."""
    assert set(BODIES) | set(NAMED) | set(OPERATORS) <= set(books_routes)
    assert len(books_routes) >= 60


@pytest.fixture
def books_routes() -> list[str]:
    from ironworks.app.domains import collect

    catalogue = collect(tuple(f"platform.{name}" for name in DOMAINS))
    found = [f"{r.method} {r.path.removeprefix('/api/v1')}" for router in catalogue.routers for r in router.routes]
    missed = [route for route in found if not any(word in f"/api/v1{route.partition(' ')[2]}" for word in MONEY)]
    assert [f"{m} /api/v1{p}" for m, _, p in (route.partition(" ") for route in missed)] == list(NOBODYS)
    return found


async def test_a_large_plan_is_not_given_back_with_what_it_let_one_make(books: Books) -> None:
    """Over HTTP, with real platforms: the plan of an hour leaves nothing behind for free."""
    world = books.world
    payer = await world.subject("acme", "paula", "-/platform-admin")
    await payer.expect(200, "POST", "scopes/acme/subscription:change", {"plan": "scale", "when": "now"})
    for name in ("b", "c", "d"):
        await payer.create("platforms", "acme", name, {})
    refused = await payer.expect(409, "POST", "scopes/acme/subscription:change", {"plan": "starter", "when": "now"})
    assert refused["error"]["code"] == "PLAN_TOO_SMALL"
    assert refused["error"]["details"] | {"used": 4, "limit": 1} == refused["error"]["details"]
    kept = await payer.get("scopes/acme/subscription")
    assert (kept["plan"]["name"], kept["next_plan_id"]) == ("scale", None)


async def test_a_document_holds_no_markup_and_no_formula_of_a_customers(books: Books) -> None:
    """Models and addresses are people's own words: in HTML they are words, and in a spreadsheet too."""
    world = books.world
    evil = '=HYPERLINK("http://evil.example","x")<script>alert(1)</script>\n\u202egnp\x1b[31m'
    events = [used(TENANT, "evil-1", model=evil), used(TENANT, "evil-2", model="\n" * 500)]
    assert (await world.operator.expect(200, "POST", "usage", {"events": events}))["accepted"] == 2
    details = {"name": "<b>Acme</b>", "address": ["=1+1", "\u202eevil\x07"], "note": "<img src=x>" + "\n" * 1500}
    await world.operator.expect(200, "PUT", "scopes/acme/billing-details", details)
    await world.operator.expect(200, "PUT", "scopes/-/billing-details", details)
    async with open_process(world.place.settings, "worker", connections=5) as worker:
        await charge_ingested_usage(worker.database)
        await open_due_closes(worker.database)
        await run_closes(worker.database)
        await world.admin.execute(
            "update platform_subscriptions.subscription set status = 'canceled', closes_on = null"
        )
        await world.operator.expect(202, "POST", "scopes/acme/closes", {"until": _tomorrow()})
        await run_closes(worker.database)
    found = max(await world.operator.items("scopes/acme/invoices"), key=lambda invoice: invoice["created_at"])
    documents = {}
    for form in ("pdf", "html", "csv", "json"):
        answer = await world.operator.call("GET", f"invoices/{found['id']}/document?format={form}")
        assert answer.status_code == 200, f"{form}: {answer.text}"
        documents[form] = answer
    page = documents["html"].text
    for word in ("<script", "<img", "<b>Acme", "\u202e", "\x1b", "\x07"):
        assert word not in page
    assert "default-src 'none'" in documents["html"].headers["content-security-policy"]
    assert all(
        not cell.startswith(("=", '"=')) for row in documents["csv"].text.split("\r\n") for cell in row.split(",")
    )
    assert documents["pdf"].content.startswith(b"%PDF")
    json.loads(documents["json"].content)


def _tomorrow() -> str:
    return f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
