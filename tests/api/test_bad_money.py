"""What bad numbers, dates and cursors get from the routes of money: a 4xx, never a 500, and nothing is written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ironworks.shared.listing import encode_cursor
from tests.api.test_bad_input import nothing_written
from tests.support.api import ApiWorld

LONG = "9" * 5000
NUMBERS: list[Any] = [
    "NaN", "sNaN", "Infinity", "-Infinity", "1e400", "1e-400", -1, "-1", "-0.000000001", 2**63, 2**64, 10**18 * 10,
    "0." + "1" * 40, "1e6144", "1E+999999", "", " ", "1,5", "0x10", "1_000_000_000_000_000_000_0", LONG,
    "1\u202e", None, [], {}, [1], {"a": 1}, 1.5e308,
]  # fmt: skip
"""None of these is an amount, a price or a count."""
DAYS: list[Any] = [
    "0000-01-01", "1999-12-31", "2200-01-02", "9999-12-31", "10000-01-01", "2026-02-30", "2026-13-01", "yesterday", "",
    "2026-01-01T00:00:00+99:00", "0001-01-01T00:00:00+14:00", 10**18, -(10**18), "NaN", LONG, [], {},
]  # fmt: skip
PLAN = {"name": "fuzzed", "title": "F", "base_fee": "1"}
CREDIT = {"amount": "5", "source": "paid", "reference": "r"}
BODIES: list[tuple[str, str, dict[str, Any], str, list[Any]]] = [
    ("POST", "prices", {"meter": "images", "unit_price": "1"}, "unit_price", NUMBERS),
    ("POST", "prices", {"meter": "images", "unit_price": "1"}, "valid_from", DAYS),
    ("POST", "price-terms", {"meter": "images"}, "terms.discount", NUMBERS),
    ("POST", "price-terms", {"meter": "images"}, "terms.minimum", NUMBERS),
    ("POST", "price-terms", {"meter": "images"}, "terms.included", NUMBERS),
    ("POST", "price-terms", {"meter": "images"}, "valid_from", DAYS),
    ("POST", "plans", PLAN, "base_fee", NUMBERS),
    ("POST", "plans", PLAN, "trial_days", NUMBERS),
    ("POST", "plans", PLAN, "limits.platforms", NUMBERS),
    ("POST", "plans", {**PLAN, "overage": {"images": "1"}}, "included.images", NUMBERS),
    ("POST", "plans", {**PLAN, "included": {"images": 1}}, "overage.images", NUMBERS),
    ("POST", "cost-rates", {"meter": "images", "unit_cost": "1"}, "unit_cost", NUMBERS),
    ("POST", "cost-rates", {"meter": "images", "unit_cost": "1"}, "valid_from", DAYS),
    ("POST", "scopes/acme/credits", CREDIT, "amount", [*NUMBERS, 0, "-0"]),
    ("POST", "scopes/acme/credits", CREDIT, "priority", NUMBERS),
    ("POST", "scopes/acme/credits", CREDIT, "expires_at", DAYS),
    ("PUT", "scopes/acme/prepaid/USD", {"low": "1"}, "low", NUMBERS),
    ("PUT", "scopes/acme/prepaid/USD", {"low": "1"}, "grace_hours", NUMBERS),
    ("PUT", "scopes/acme/quotas/tenants", {"limit": 1}, "limit", NUMBERS),
    ("PUT", "scopes/acme/quotas/tenants", {"limit": 1}, "expires_at", DAYS),
    ("PUT", "scopes/acme/billing-details", {"taxes": [{"name": "VAT"}]}, "taxes.0.rate", [*NUMBERS, "1.1"]),
    ("PUT", "scopes/acme/billing-details", {}, "due_days", NUMBERS),
    ("PUT", "scopes/acme/currency", {"currency": "EUR"}, "valid_from", DAYS),
    ("PUT", "scopes/acme/currency", {}, "currency", [*NUMBERS, "eur", "EURO", "E\u0130R"]),
    ("POST", "scopes/acme/closes", {}, "until", DAYS),
    ("POST", "scopes/acme/prices:simulate", {"to": "2026-02-01"}, "from", DAYS),
]
NULL_IS_FINE = {"limit", "valid_from", "expires_at", "until", "limits.platforms"}
NULLS: tuple[Any, ...] = (None, "")
PAGES = (
    "scopes/acme/invoices", "scopes/acme/closes", "scopes/acme/credits", "scopes/acme/quotas", "payments", "prices",
    "subscriptions", "scopes/acme/subscription/charges", "scopes/acme/subscription/suggestions", "price-terms",
    "cost-rates", "payment-differences", "scopes/acme/usage/requests",
)  # fmt: skip
UID = "00000000-0000-4000-8000-000000000001"
CURSORS = [
    encode_cursor("0001-01-01T00:00:00+14:00", UID),
    encode_cursor("9999-12-31T23:59:59-14:00", UID),
    encode_cursor("0001-01-01", "x"),
    encode_cursor("9999-12-31", ""),
    encode_cursor("2026-01-01T00:00:00", UID),
    encode_cursor("nan", "nan"),
    encode_cursor(LONG[:300], LONG[:300]),
    encode_cursor("\u202e" * 50, "\U0001f4a5" * 50),
    encode_cursor('["a","b","c","d"]', "0001-01-01T00:00:00+14:00"),
    encode_cursor('["a","b","c","\\u0000"]', "2026-01-01"),
    encode_cursor("a\nb", "USD\n0001-01-01"),
    encode_cursor("a\nb", "USD\n9999-12-31"),
    base64.urlsafe_b64encode(b'["a\\u0000", "b"]').decode(),
    base64.urlsafe_b64encode(b'["\\ud800", "b"]').decode(),
    base64.urlsafe_b64encode(json.dumps(["a"]).encode()).decode(),
    base64.urlsafe_b64encode(b"[" * 300).decode(),
    "%00", "=", "\u00e9", "'; drop schema platform_ledger; --",
]  # fmt: skip


def changed(body: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A copy in which one field, named by a path, has this value."""
    made: Any = json.loads(json.dumps(body))
    *way, last = field.split(".")
    place = made
    for step in way:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    place[last] = value
    return dict(made)


async def test_what_is_no_number_and_no_day_is_refused_by_its_field(world: ApiWorld) -> None:
    await world.scope("acme")
    for method, path, body, field, values in BODIES:
        async with nothing_written(world):
            for value in values:
                if value in NULLS and field in NULL_IS_FINE and value is None:
                    continue
                answer = await world.operator.call(method, path, changed(body, field, value))
                asked = f"{method} {path} {field}={str(value)[:60]!r}: {answer.status_code} {answer.text[:300]}"
                assert answer.status_code in (409, 422), asked


async def test_usage_that_is_no_number_is_refused_and_lowers_nobodys_bill(world: ApiWorld) -> None:
    await world.scope("acme.shop.eu")
    event = {
        "specversion": "1.0", "type": "ironworks.usage.v1", "source": "/s", "id": "e", "subject": "acme.shop.eu",
        "time": "2026-01-01T00:00:00Z", "data": {"quantities": {"images": 1}},
    }  # fmt: skip
    bad = [changed(event, "data.quantities.images", value) for value in [*NUMBERS, 10**12 + 1, -(2**63)]]
    bad += [changed(event, "time", value) for value in [*DAYS, "2026-01-01T00:00:00"]]
    bad += [
        changed(event, "subject", value) for value in ("-", "", "acme..shop", "../acme", "ACME", "nowhere", 7, None)
    ]
    bad += [changed(event, "id", value) for value in ("", "x" * 513, None, 7)]
    answer = await world.operator.expect(200, "POST", "usage", {"events": bad})
    assert answer["refused"] == len(bad), [i for i in answer["items"] if i["outcome"] != "refused"]
    assert all(item["problems"] for item in answer["items"])
    counts = await world.counts()
    assert counts["platform_metering.usage_event"] == counts["platform_metering.usage_claim"] == 0


@pytest.mark.parametrize("path", PAGES)
async def test_a_cursor_that_was_tampered_with_is_refused_or_is_a_place_in_the_list(world: ApiWorld, path: str) -> None:
    await world.scope("acme")
    for cursor in CURSORS:
        answer = await world.operator.call("GET", path, params={"cursor": cursor})
        asked = f"{path} {cursor[:80]!r}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code in (200, 422), asked
