"""`ironworks usage` and `top` as people and scripts see them, against a served API with charged requests behind it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ironworks.app.charging import Charging
from ironworks.app.wiring import open_process
from ironworks.cli.main import main
from ironworks.cli.usage import bars_of, duration, money, sparkline
from ironworks.products.tokenfactory.gateway import UsageRecord
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server, run_apart

Run: TypeAlias = Callable[..., str]
TENANT = "acme.shop.eu"
ENDPOINT = "00000000-0000-4000-8000-000000000002"


def record(number: int, key: str, **changes: Any) -> UsageRecord:
    """A request that ended `number` minutes ago, of a model and a user of its own every three minutes."""
    ended = time.time() - 60 * number
    fields: dict[str, Any] = {
        "request_id": f"req_{number}", "client_request_id": None, "key_uid": key, "key_scope": TENANT,
        "route_uid": ENDPOINT, "endpoint_uid": ENDPOINT, "endpoint_scope": TENANT, "endpoint_name": "chat",
        "model": f"model-{number // 3}", "route": "chat", "operation": "/v1/chat/completions", "stream": True,
        "user": f"user-{number // 3}", "metadata": {"team": "red"}, "holds": (), "priced_at": ended,
        "started_at": ended - 2, "finished_at": ended, "status": 200, "input_tokens": 1000, "cached_tokens": 0,
        "output_tokens": 10, "counted": False, "first_byte_ms": 300,
    }  # fmt: skip
    return UsageRecord(**fields | changes)


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)

    async def charge(key: str) -> None:
        async with open_process(place.settings, "gateway", connections=1) as process:
            records = [record(n, key) for n in range(6)] + [record(7, key, status=503, output_tokens=0)]
            await Charging(process.database)(records)

    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            client.apply({"kind": "Account", "metadata": {"name": "acme", "scope": "-"}})
            client.apply({"kind": "Platform", "metadata": {"name": "shop", "scope": "acme"}})
            client.apply({"kind": "Tenant", "metadata": {"name": "eu", "scope": "acme.shop"}})
            made = client.apply({"kind": "ApiKey", "metadata": {"name": "app", "scope": TENANT}, "spec": {}})
        run_apart(lambda: charge(made["resource"]["metadata"]["uid"]))
        yield served
    postgres.drop_database(place)


@pytest.fixture
def run(api: ServedApi) -> Run:
    """The command as the operator; its output, after checking its exit code."""

    def invoke(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["--url", api.url, "--token", api.place.operator_token, *words])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def test_models_in_the_order_of_what_they_did(run: Run) -> None:
    heads, *rows = run("usage", "-s", "acme", "--since", "7d").splitlines()
    assert heads == "MODEL    REQUESTS  ERRORS  INPUT  OUTPUT  COST USD  P50   P99   TTFT P50  TTFT P99"
    assert [row.split()[:6] for row in rows] == [
        ["model-0", "3", "0", "3000", "30", "0.000312"],
        ["model-1", "3", "0", "3000", "30", "0.000312"],
        ["model-2", "1", "1", "1000", "0", "0.0001"],
        ["all", "7", "1", "7000", "60", "0.000724"],
    ]
    assert rows[2].split()[6:] == ["-", "-", "-", "-"]


def test_as_data_for_programs(run: Run) -> None:
    answer = json.loads(
        run("usage", "-s", TENANT, "--by", "endpoint", "--interval", "minute", "--since", "1h", "-o", "json")
    )
    [item] = answer["items"]
    assert (item["group"], item["requests"], item["server_errors"]) == (f"{TENANT}/chat", 7, 1)
    assert 280 < item["first_token_ms"]["p50"] < 320
    assert sum(point["requests"] for point in item["series"]) == 7
    assert answer["source"] == "analytics"


def test_by_key_user_and_metadata(run: Run) -> None:
    assert re.search(rf"{TENANT}/app +7 ", run("usage", "-s", "acme", "--by", "key"))
    assert run("usage", "-s", "acme", "--by", "user").splitlines()[1].split()[:5] == ["user-0", "3", "-", "3000", "30"]
    assert run("usage", "-s", "acme", "--by", "metadata:team").splitlines()[1].split()[:2] == ["red", "7"]


def test_reports_as_tables_and_files(run: Run, tmp_path: Path) -> None:
    """Requests of the last minutes: 7,000 tokens of input and 60 of output, at the default prices."""
    since = ("--since", str(date.today() - timedelta(days=2)))
    rows = [line.split() for line in run("report", "usage", "-s", "acme", *since).splitlines()]
    assert rows == [
        ["METER", "CURRENCY", "QUANTITY", "WAITING", "COST"],
        ["input_tokens", "USD", "7000", "0", "0.0007"],
        ["output_tokens", "USD", "60", "0", "0.000024"],
    ]
    revenue = json.loads(run("report", "revenue", "-s", "-", "--by", "account", *since, "-o", "json"))
    assert revenue["items"] == [
        {"account": "acme", "currency": "USD", "revenue": "0.000724000", "revenue_nano": 724_000}
    ]
    assert "acme.shop.eu  USD       0.000724" in run("report", "unbilled", "-s", "acme", "--by", "tenant")
    assert run("report", "receivables", "-s", "-").startswith("ACCOUNT")
    sheet, table = tmp_path / "usage.csv", tmp_path / "margin.parquet"
    run("report", "usage", "-s", "acme", *since, "--file", str(sheet))
    assert sheet.read_text().splitlines()[1] == "input_tokens,USD,7000,0,0.000700000"
    said = run("report", "costs", "set", "input_tokens", "0.00000004", "--from", "2020-01-01")
    assert said == "input_tokens *: 0.00000004 USD from 2020-01-01 on\n"
    assert "input_tokens  *      0.00000004  USD       2020-01-01" in run("report", "costs", "list")
    run("report", "margin", "-s", "-", "--by", "account", *since, "--file", str(table))
    (row,) = pq.read_table(table).to_pylist()
    assert (row["charged"], row["uncosted"], row["cost"], row["margin"]) == tuple(
        Decimal(amount) for amount in ("0.000724", "0.000024", "0.00028", "0.00042")
    )
    assert "ends with neither" in run("report", "usage", "--file", "usage.xls", code=2)
    run("report", "usage", "-s", "acme", "--by", "weather", code=2)
    run("report", "revenue", "-s", "acme", "--since", "yesterday", code=2)


def test_over_time(run: Run) -> None:
    heads, *rows = run("usage", "-s", "acme", "--interval", "minute", "--since", "20m", "--by", "tenant").splitlines()
    assert heads.endswith("PER MINUTE")
    assert rows[0].count("█") == 7
    assert run("usage", "-s", "acme", "--from", "2026-01-01", "--to", "2026-01-02T00:00:00Z").count("\n") == 2


def test_what_is_busy_now(run: Run) -> None:
    first, heads, *rows = run("top", "-s", "acme", "--minutes", "30").splitlines()
    assert first.startswith("acme  ")
    assert ", errors 1, " in first
    assert heads.split()[0] == "MODEL"
    assert [row.split()[0] for row in rows] == ["model-0", "model-1", "model-2"]
    assert json.loads(run("top", "-s", "acme", "--once", "-o", "json"))["interval"] == "minute"
    assert run("top", "-s", "-", "--by", "key", "--once").count(f"{TENANT}/app") == 1


def test_what_is_wrong_is_told(run: Run) -> None:
    assert "no scope 'no.where'" in run("usage", "-s", "no.where", code=3)
    assert "is no moment" in run("usage", "--since", "yesterday", code=2)
    assert "is none of tenant" in run("usage", "--by", "colour", code=2)
    assert "3 hours" in run("usage", "-s", "acme", "--since", "4h", "--interval", "minute", code=2)


def test_what_people_look_at() -> None:
    assert [duration(ms) for ms in (None, 0.4, 12.4, 999.4, 3400, 125_000)] == [
        "-",
        "0ms",
        "12ms",
        "999ms",
        "3.4s",
        "2m05s",
    ]
    assert [money(text) for text in (None, "0.000001200", "5.000000000", "0.000000000")] == ["-", "0.0000012", "5", "0"]
    assert sparkline([0, 1, 50, 100]) == " ▁▅█"
    assert [len(bar) for bar in bars_of([0, 1, 50, 100])] == [0, 1, 8, 16]


BOOK = """
prices:
  - {meter: input_tokens, unit_price: 0.0000002}
terms:
  - {meter: output_tokens, terms: {discount: 100}}
"""


def test_a_past_month_under_another_book(run: Run, tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(BOOK)
    words = ("prices", "simulate", "-f", str(tmp_path / "book.yaml"), "--to", "2199-01-01", "-s", "acme")
    found = json.loads(run(*words, "-o", "json"))
    sums = {group["name"].partition(" ")[0]: 0 for group in found["groups"]}
    for group in found["groups"]:
        sums[group["name"].partition(" ")[0]] += group["difference"]["nano"]
    assert sums == {"input_tokens": 7 * 1000 * 100, "output_tokens": 0}
    assert found["total"]["adjusted_would_be"]["nano"] == -6 * 10 * 400
    assert "total" in run(*words)
    assert "would be" in run(*words, "--by", "account").lower()
    (tmp_path / "book.yaml").write_text("colours: []")
    run(*words, code=2)


def test_an_accounts_currency_is_shown_and_set(run: Run) -> None:
    assert run("prices", "currency", "acme").split()[-3:] == ["acme", "USD", "-"]
    assert "EUR" in run("prices", "currency", "acme", "EUR", "--from", "2199-01-01T00:00:00Z")
    run("prices", "currency", "acme", "euro", code=2)
    run("prices", "currency", "acme", "EUR", "--from", "2199-01-01T00:00:00Z", code=5)


def test_prices_are_set_for_a_scope_listed_and_withdrawn(run: Run, tmp_path: Path) -> None:
    key = ("images", "--model", "painter", "-s", "acme.shop")
    assert "costs 0.04 USD" in run("prices", "set", "images", "0.04", *key[1:])
    listed = json.loads(run("prices", "list", "-s", TENANT, "-o", "json"))["items"]
    assert [p["unit_price"] for p in listed if p["meter"] == "images"] == ["0.04"]
    assert "is withdrawn" in run("prices", "withdraw", *key)
    assert "withdrawn" in run("prices", "list")
    assert "output_tokens" in run("billing", "prices")
    (tmp_path / "terms.yaml").write_text(
        "terms: [{meter: images, scope: acme.shop, terms: {included: 10, minimum: 0.30, discount: 2.5,"
        " tiers: [{up_to: 100, unit_price: 0.04}, {unit_price: 0.03}]}}]"
    )
    added = run("prices", "terms", "-f", str(tmp_path / "terms.yaml"))
    assert "10 included, 2 graduated tiers, 2.5 % off, at least 0.30" in added
    assert "images" in run("prices", "terms", "-s", TENANT)


def test_usage_from_elsewhere_counts_once(run: Run, tmp_path: Path) -> None:
    """Last, because it adds to what the others look at."""
    event = {
        "specversion": "1.0", "type": "ironworks.usage.v1", "source": "/farm", "id": "1", "subject": TENANT,
        "time": datetime.now(UTC).isoformat(), "data": {"quantities": {"images": 2}},
    }  # fmt: skip
    lines, array, text = (tmp_path / name for name in ("lines", "array", "text"))
    lines.write_text("\n".join(json.dumps(event | {"id": str(n)}) for n in range(3)))
    array.write_text(json.dumps([event, event | {"data": {"quantities": {"bananas": 1}}, "id": "9"}]))
    text.write_text("all of it")
    assert run("usage", "send", str(lines)) == "3 accepted, 0 duplicate, 0 conflict, 0 refused\n"
    counted = run("usage", "meter", "images", "-s", "acme", "--by", "tenant,dimension:source").splitlines()
    assert counted[0].split() == ["DAY", "TENANT", "DIMENSION:SOURCE", "QUANTITY"]
    assert [row.split()[1:] for row in counted[1:]] == [[TENANT, "/farm", "6"]]
    told = run("usage", "send", str(array), code=1)
    assert "event 2 (/farm 9): refused: data.quantities: unknown_meter" in told
    assert "0 accepted, 1 duplicate, 0 conflict, 1 refused" in told
    assert "neither a JSON array nor one event to a line" in run("usage", "send", str(text), code=1)
