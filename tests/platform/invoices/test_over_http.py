"""What people and programs get of invoices through the API, and what the operator does there."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest

from ironworks.platform import invoices
from ironworks.platform.invoices.documents import period_of, price_of, quantity_of, words_of
from ironworks.platform.invoices.model import Document, Line, LineKind
from ironworks.platform.invoices.routes import router
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Unauthenticated
from ironworks.shared.http import RouteTable
from ironworks.shared.serving import Api
from tests.support.invoicing import CENT, DOLLAR, MANAGES, check_invoices, close_all, invoice_world, only
from tests.support.lower import LowerWorld
from tests.support.money import NOON, TENANT, charge, usage
from tests.support.postgres import TestDatabase

DETAILS = {
    "name": "Ακμή <Α.Ε.>",
    "address": ["Οδός Ερμού 12", "105 63 Αθήνα"],
    "taxes": [{"name": "ΦΠΑ", "rate": "0.24"}],
    "note": "=cmd",
}


class Caller:
    """Calls the API as one of the subjects it was given, named by the bearer token."""

    def __init__(self, database: Database, subjects: dict[str, Actor]) -> None:
        async def authenticate(db: Database, authorization: str | None, address: str) -> Actor:
            if authorization is None:
                raise Unauthenticated("say who you are")
            return subjects[authorization.removeprefix("Bearer ")]

        api = Api(database, RouteTable(router.routes), authenticate)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://api")  # type: ignore[arg-type]

    async def raw(self, who: str, path: str, body: Any = None, status: int = 200, method: str = "") -> httpx.Response:
        method = method or ("GET" if body is None else "POST")
        headers = {"authorization": f"Bearer {who}"}
        answer = await self.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    async def __call__(self, *args: Any, **options: Any) -> Any:
        return (await self.raw(*args, **options)).json()


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[LowerWorld]:
    async with invoice_world(database) as world:
        yield world


@pytest.fixture
async def call(world: LowerWorld) -> AsyncIterator[Caller]:
    subjects = {
        "operator": await world.subject("operator", MANAGES),
        "payer": await world.subject("payer", {"invoice:read": ["acme"], "billing:read": ["acme"]}),
        "manager": await world.subject("manager", {"invoice:manage": ["acme"], "invoice:read": ["acme"]}),
        "tenant": await world.subject("tenant", {"invoice:read": [TENANT], "billing:read": [TENANT]}),
        "rival": await world.subject("rival", {"invoice:read": ["rival"], "billing:read": ["rival"]}),
        "nobody": await world.subject("nobody", {}),
    }
    caller = Caller(await world.database("api"), subjects)
    yield caller
    await caller.client.aclose()


async def test_from_an_invoice_to_its_requests_and_back(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("req_1"), usage("req_2", (10**6, 0, 0)), usage("req_3", scope="acme.shop.us"))
    await charge(world, *(usage(f"more_{n}", (n + 1, 0, 0)) for n in range(5)))
    await close_all(world)
    (listed,) = (await call("payer", "scopes/acme/invoices"))["items"]
    assert (listed["number"], listed["total"]["amount"], listed["state"]) == ("ACME-000001", "0.10", "finalized")
    shown = await call("payer", "invoices/acme-000001")
    assert shown["invoice"] == listed
    first = await call("payer", "invoices/ACME-000001/lines?limit=4")
    rest = await call("payer", f"invoices/ACME-000001/lines?limit=4&cursor={first['next_cursor']}")
    lines = first["items"] + rest["items"]
    assert len(lines) == 6
    exact = sum(line["amount"]["nano"] for line in lines)
    assert exact + listed["rounding"]["nano"] == listed["total"]["nano"] == 10 * CENT
    for line in lines:
        seen: list[dict[str, Any]] = []
        cursor = ""
        while cursor is not None:
            page = await call("payer", f"invoice-lines/{line['id']}?limit=2{cursor}")
            seen += page["items"]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert sum(each["amount"]["nano"] for each in seen) == line["amount"]["nano"]
        assert sum(each["quantity"] for each in seen) == int(line["quantity"])
        assert len({each["request_id"] for each in seen}) == len(seen)
        back = (await call("payer", f"billing/requests/{seen[0]['request_id']}/invoice-lines"))["items"]
        assert line["id"] in {each["line"]["id"] for each in back}
    await call("payer", "billing/requests/never-was/invoice-lines", status=404)


async def test_every_document_says_the_same(world: LowerWorld, call: Caller) -> None:
    await call("operator", "scopes/acme/billing-details", DETAILS, method="PUT")
    await charge(world, usage("a", (123_456_789, 5, 7)), usage("b", model="=HYPERLINK(1)", scope="acme.shop.us"))
    await close_all(world)
    invoice = await only(world)
    data = await call("payer", f"invoices/{invoice.number}/document?format=json")
    table = (await call.raw("payer", f"invoices/{invoice.number}/document?format=csv")).text
    page = (await call.raw("payer", f"invoices/{invoice.number}/document?format=html")).text
    paper = await call.raw("payer", f"invoices/{invoice.number}/document")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sum(int(row["amount_nano"]) for row in rows) == data["total_nano"] == invoice.total_nano
    assert {row["model"] for row in rows} >= {"'=HYPERLINK(1)"}
    assert [section["platform"] for section in data["sections"]] == ["acme.shop"]
    assert "Ακμή &lt;Α.Ε.&gt;" in page
    assert "ΦΠΑ 24 %" in page
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.headers["content-disposition"] == 'inline; filename="ACME-000001.pdf"'
    assert paper.content.startswith(b"%PDF-")
    again = await call.raw("payer", f"invoices/{invoice.number}/document?format=pdf")
    assert again.content == paper.content


async def test_to_everyone_else_it_does_not_exist(world: LowerWorld, call: Caller) -> None:
    await charge(world, usage("a"))
    await close_all(world)
    (line, *_) = (await call("payer", "invoices/ACME-000001/lines"))["items"]
    for path in ("invoices/ACME-000001", "invoices/ACME-000001/document", f"invoice-lines/{line['id']}"):
        await call("rival", path, status=404)
        await call("nobody", path, status=403)
    assert (await call("tenant", f"invoice-lines/{line['id']}"))["items"] != []
    await call("tenant", "invoices/ACME-000001", status=404)
    for path in ("invoices/x", "invoice-lines/x", "invoices/RIVAL-000001"):
        await call("payer", path, status=404)
    reason = {"reason": "because"}
    await call("payer", "invoices/ACME-000001:void", reason, 403)
    await call("manager", "invoices/ACME-000001:void", reason, 403)
    await call("manager", "scopes/acme/billing-details", DETAILS, 403, method="PUT")


async def test_the_operator_closes_finalizes_credits_and_voids(world: LowerWorld, call: Caller) -> None:
    await call("operator", "scopes/acme/billing-details", {"review": True}, method="PUT")
    await charge(world, usage("a", (10**7, 0, 0)))
    opened = await call("operator", "scopes/acme/closes", {"until": "2026-03-15"}, 202)
    assert (await call("operator", "scopes/acme/closes", {}, 409))["error"]["code"] == "WRONG_INVOICE_STATE"
    await close_all(world)
    closes = (await call("payer", "scopes/acme/closes"))["items"]
    assert (closes[-1]["id"], closes[-1]["state"], closes[-1]["period_end"]) == (
        opened["close_id"],
        "done",
        "2026-03-15",
    )
    (draft,) = (await call("operator", "scopes/acme/invoices?state=draft"))["items"]
    assert (draft["number"], draft["period_end"]) == (None, "2026-03-15")
    final = await call("operator", f"invoices/{draft['id']}:finalize", {})
    assert (final["number"], final["due"]["amount"]) == ("ACME-000001", "1.00")
    note = {"amount_nano": 25 * CENT, "reason": "an outage", "reference": "n1"}
    made = await call("operator", "invoices/ACME-000001/credit-notes", note, 201)
    assert (made["number"], made["amount"]["amount"]) == ("ACME-CN-000001", "0.25")
    shown = await call("payer", "invoices/ACME-000001")
    assert shown["invoice"]["due"]["amount"] == "0.75"
    await call("operator", "invoices/ACME-000001:void", {"reason": "no"}, 409)
    gone = await call("operator", "invoices/ACME-000001:write-off", {"reason": "bankrupt"})
    assert gone["state"] == "uncollectible"
    await charge(world, usage("b", (10**7, 0, 0), occurred_at=NOON.replace(day=20)))
    await close_all(world)
    await close_all(world)
    (draft,) = (await call("operator", "scopes/acme/invoices?state=draft"))["items"]
    assert (await call("operator", f"invoices/{draft['id']}:void", {"reason": "a test"}))["state"] == "void"
    await check_invoices(world)


async def test_what_was_paid_and_credited_is_on_every_document_and_a_credit_note_is_one(
    world: LowerWorld, call: Caller
) -> None:
    await call("operator", "scopes/acme/billing-details", DETAILS, method="PUT")
    await charge(world, usage("a", (10**8, 0, 0)))
    await close_all(world)
    invoice = await only(world)
    async with world.system("worker") as ctx:
        await invoices.record_payment(ctx, invoice.id, 5 * DOLLAR, "bank", "transfer <4711>")
    note = {"amount_nano": 124 * CENT, "reason": "an <outage>", "reference": "n1"}
    await call("operator", f"invoices/{invoice.number}/credit-notes", note, 201)
    document = f"invoices/{invoice.number}/document"
    data = await call("payer", f"{document}?format=json")
    assert [each["amount_nano"] for each in data["payments"]] == [5 * DOLLAR]
    assert [(n["number"], n["tax_nano"]) for n in data["credit_notes"]] == [("ACME-CN-000001", 24 * CENT)]
    page = (await call.raw("payer", f"{document}?format=html")).text
    assert "Payment, bank: transfer &lt;4711&gt;" in page
    assert "Credit note ACME-CN-000001: an &lt;outage&gt;" in page
    assert (await call.raw("payer", document)).content.startswith(b"%PDF")
    own = f"invoices/{invoice.number}/credit-notes/acme-cn-000001/document"
    assert (await call.raw("payer", own)).content.startswith(b"%PDF")
    page = (await call.raw("payer", f"{own}?format=html")).text
    assert all(words in page for words in ("ACME-000001", "an &lt;outage&gt;", "ΦΠΑ 24 %", "0.24", "1.24 USD"))
    await call("payer", own.replace("000001/d", "000002/d"), status=404)
    await call("rival", own, status=404)


def test_lines_are_written_as_people_write_them() -> None:
    def line(kind: str, text: str, **changes: Any) -> Line:
        ids = {"id": UUID(int=1), "invoice_id": UUID(int=2), "scope": "acme", "reference": "", "currency": "USD"}
        fields = {"meter": "", "model": "", "unit_price": None, "quantity": None, "unit": "", "amount_nano": 1}
        return Line(kind=LineKind(kind), description=text, **{**ids, **fields, **changes})

    shown = [
        line("usage", "gpu seconds", meter="gpu_seconds", quantity=Decimal(86400), unit_price=Decimal("0.0007")),
        line("usage", "input tokens", model="llama_3", quantity=Decimal(10**6), unit_price=Decimal("0.0000001")),
        line("fee", "Starter", quantity=Decimal(1), unit="month"),
        line("fee", "Unused time", quantity=Decimal(16), unit="day"),
        line("adjustment", "discount of 10 %", meter="d1_rows_read", model="*"),
    ]
    assert [(words_of(each), quantity_of(each), price_of(each)) for each in shown] == [
        ("GPU seconds", "86,400", "0.0007"),
        ("Input tokens · llama_3", "1,000,000", "0.1 / million"),
        ("Starter", "1 month", ""),
        ("Unused time", "16 days", ""),
        ("D1 rows read: discount of 10 %", "", ""),
    ]


async def test_a_bad_request_is_named(call: Caller) -> None:
    assert (await call("operator", "scopes/acme/closes", {"until": "2099-01-01"}, 422))["error"]["details"]["fields"]
    await call("operator", "scopes/acme.shop/closes", {}, 422)
    await call("operator", "scopes/acme.shop/billing-details", {}, 422, method="PUT")
    for body in ({"taxes": [{"name": "VAT", "rate": "1.5"}]}, {"due_days": -1}, {"surprise": 1}):
        await call("operator", "scopes/acme/billing-details", body, 422, method="PUT")
    for cursor in ("x", "W10", "WyJhIiwiYiJd"):
        await call("payer", f"scopes/acme/invoices?cursor={cursor}", status=422)


async def test_however_many_documents_are_asked_for_other_requests_go_on(
    world: LowerWorld, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than there are connections, each of which takes its time: one is drawn at a time, and holds none."""
    await charge(world, usage("req_1"))
    await close_all(world)
    go, at_once = threading.Event(), []

    def draw(document: Document) -> bytes:
        at_once.append(1)
        go.wait(60)
        at_once.pop()
        return b"%PDF"

    monkeypatch.setattr("ironworks.platform.invoices.paper.to_pdf", draw)
    asked = [asyncio.create_task(call.raw("payer", "invoices/ACME-000001/document")) for _ in range(40)]
    try:
        async with asyncio.timeout(60):
            while not at_once:
                await asyncio.sleep(0.01)
            shown = await call("payer", "invoices/ACME-000001")
        assert (shown["invoice"]["number"], len(at_once)) == ("ACME-000001", 1)
    finally:
        go.set()
    assert all(answer.content == b"%PDF" for answer in await asyncio.gather(*asked))


async def test_a_document_of_more_lines_than_memory_is_not_made(
    world: LowerWorld, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await charge(world, *(usage(f"req_{n}", model=f"model-{n}") for n in range(3)))
    await close_all(world)
    monkeypatch.setattr("ironworks.platform.invoices.service.MAX_LINES", 3)
    refused = await call("payer", "invoices/ACME-000001/document?format=csv", status=422)
    assert refused["error"]["details"]["fields"][0]["field"] == "invoice"
    await call("payer", "invoices/ACME-000001")
    assert len((await call("payer", "invoices/ACME-000001/lines"))["items"]) > 3


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (date(2026, 3, 1), date(2026, 4, 1), "1 March 2026 – 31 March 2026"),
        (date(2026, 3, 1), date(2026, 3, 2), "1 March 2026"),
        (date(2026, 3, 1), date(2026, 3, 1), "1 March 2026"),
    ],
)
def test_a_period_is_said_by_its_first_and_last_day(start: date, end: date, said: str) -> None:
    period: Any = SimpleNamespace(period_start=start, period_end=end)
    assert period_of(period) == said
