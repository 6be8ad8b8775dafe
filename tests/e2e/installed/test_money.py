"""From a request to an invoice that is paid, and back, by the command line, in a whole installation.

What the customer asks, it asks with a bookkeeper's rights; what is the operator's is refused to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner

from ironworks.cli.main import main
from tests.e2e.site import EMBED, TENANT, Site, eventually

Ask: TypeAlias = Callable[..., Any]
ACCOUNT = "demo"
BOOKS = f"{ACCOUNT}/books"


@pytest.fixture
def operator(site: Site) -> Ask:
    """`ironworks WORDS`: what it prints, parsed where that is JSON; `code` is what it must end with."""

    def ask(*words: str, code: int = 0, token: str = site.env["IRONWORKS_TOKEN"], given: str = "") -> Any:
        ended = CliRunner().invoke(main, words, env={**site.env, "IRONWORKS_TOKEN": token}, input=given)
        assert ended.exit_code == code, f"{words}: {ended.output}"
        return json.loads(ended.stdout) if words[-2:] == ("-o", "json") and not code else ended.stdout

    return ask


@pytest.fixture
def customer(site: Site, operator: Ask) -> Iterator[Ask]:
    """The same as the customer's bookkeeper."""
    subject = f"service-account:{BOOKS}"
    site.apply("ServiceAccount", ACCOUNT, "books")
    site.apply("RoleAssignment", ACCOUNT, "books", {"subject": subject, "role": "-/billing-admin"})
    key = operator("keys", "create", BOOKS, "--owner", subject).strip()
    yield lambda *words, **more: operator(*words, token=key, **more)
    for kind in ("ApiKey", "RoleAssignment", "ServiceAccount"):
        site.delete(kind, ACCOUNT, "books")


def a_request(site: Site) -> str:
    """The id of a request that the gateway answered."""
    with site.gateway() as http:
        answer = http.post("/embeddings", json={"model": EMBED, "input": "from a request to a cent"})
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-request-id"])


def hours_of_a_gpu(now: datetime) -> str:
    """Usage that was measured elsewhere, which costs more than the tokens of one request: 7 USD."""
    data = {"quantities": {"gpu_seconds": 10_000}, "dimensions": {"sku": "h100"}}
    event = {"specversion": "1.0", "type": "ironworks.usage.v1", "source": "/test", "id": "job-1", "subject": TENANT}
    return json.dumps({**event, "time": now.isoformat(), "data": data})


def unbilled(ask: Ask) -> int:
    """What the account used and no invoice holds yet, in billionths of a dollar."""
    balance = ask("billing", "balance", "-s", ACCOUNT, "-o", "json")
    return sum(money["nano"] for money in balance["unbilled"])


def every(site: Site, line: str) -> list[tuple[str, str]]:
    """The requests and transfers behind an invoice's line; other tests of this installation make thousands of them."""
    items = site.operator.items(f"/api/v1/invoice-lines/{line}", limit=500)
    return [(item["request_id"], item["transfer_id"]) for item in items]


def test_from_a_request_to_a_paid_invoice_and_back(
    site: Site, operator: Ask, customer: Ask, tmp_path: Path
) -> None:  # fmt: skip
    request, now = a_request(site), datetime.now(UTC)
    assert operator("usage", "send", "-", given=hours_of_a_gpu(now)).startswith("1 accepted")

    def explained() -> Any:
        return customer("billing", "explain", request, "-o", "json")

    (charged,) = eventually(lambda: explained()["transfers"])
    eventually(lambda: unbilled(customer) >= 7 * 10**9)
    assert explained()["invoice_lines"] == []

    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    customer("invoices", "close", ACCOUNT, "--until", tomorrow, code=4)
    close = ("invoices", "close", ACCOUNT, "--until", tomorrow, "-o", "json")
    (invoice,) = eventually(lambda: operator(*close)["items"])  # refused while the worker's daily one is under way
    number, due = invoice["number"], invoice["due"]
    assert (number, invoice["state"], due["currency"]) == ("DEMO-000001", "finalized", "USD")
    assert due["nano"] >= 7 * 10**9

    (on,) = explained()["invoice_lines"]
    assert (on["invoice_number"], on["meter"]) == (number, "input_tokens")
    assert f"invoice   {number}  line {on['line']['id']}" in customer("billing", "explain", request)
    assert customer("invoices", "explain", on["line"]["id"], "-o", "json")["items"]
    assert (request, charged["id"]) in every(site, on["line"]["id"])
    assert request in customer("billing", "transfer", charged["id"])
    shown = customer("invoices", "show", number, "-o", "json")
    exact = sum(line["amount"]["nano"] for line in shown["lines"])
    assert exact + invoice["rounding"]["nano"] + invoice["tax"]["nano"] == invoice["total"]["nano"]

    paper = tmp_path / "invoice.pdf"
    assert customer("invoices", "pdf", number, "--to", str(paper)) == f"{paper}\n"
    assert paper.read_bytes().startswith(b"%PDF-")

    receipt = ("payments", "record", number, due["amount"], "--reference", "statement 14")
    customer(*receipt, code=4)
    assert number in operator(*receipt)
    eventually(lambda: customer("invoices", "show", number, "-o", "json")["invoice"]["state"] == "paid")
    assert "bank_transfer: statement 14" in customer("invoices", "show", number)
    (paid,) = customer("payments", "list", "--invoice", number, "-o", "json")["items"]
    assert (paid["invoice_number"], paid["amount_nano"], paid["state"]) == (number, due["nano"], "succeeded")
