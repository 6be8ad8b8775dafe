"""What the examples of money hold is taken, tables are aligned, and what is wrong is named with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from click.testing import CliRunner

from ironworks.cli.main import main
from ironworks.cli.output import at_second, decimal, show_table
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server

Run: TypeAlias = Callable[..., str]
EXAMPLES = Path(__file__).parents[2] / "examples" / "money"
TENANT = "acme.shop.eu"


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            for kind, name, scope in (
                ("Account", "acme", "-"),
                ("Platform", "shop", "acme"),
                ("Tenant", "eu", "acme.shop"),
            ):
                client.apply({"kind": kind, "metadata": {"name": name, "scope": scope}})
        yield served
    postgres.drop_database(place)


@pytest.fixture
def run(api: ServedApi) -> Run:
    def invoke(*words: str, code: int = 0, given: str | None = None) -> str:
        found = CliRunner().invoke(main, ["--url", api.url, "--token", api.place.operator_token, *words], input=given)
        assert found.exit_code == code, found.output
        return found.output if code else found.stdout

    return invoke


def test_every_example_says_how_it_is_used_and_is_taken(run: Run) -> None:
    said = run("plans", "create", str(EXAMPLES / "plan.yaml"))
    assert said == "plan team, version 1: 99.00 USD a month\n"
    assert "0.0000004 USD" in run("plans", "show", "team")
    details = yaml.safe_load(run("invoices", "details", "-s", "acme", "-f", str(EXAMPLES / "billing-details.yaml")))
    assert (details["name"], details["taxes"]) == ("Acme Corporation", [{"name": "VAT", "rate": "0.20"}])
    assert run("prices", "simulate", "-f", str(EXAMPLES / "book.yaml"), "-s", "acme").startswith("METER")
    assert "1000000 included, 2 graduated tiers" in run("prices", "terms", "-f", str(EXAMPLES / "book.yaml"))
    for file in EXAMPLES.iterdir():
        assert f" examples/money/{file.name}" in file.read_text()


def test_details_that_were_printed_can_be_handed_back(run: Run) -> None:
    printed = run("invoices", "details", "-s", "-", "-f", "-", given="{name: '007', note: 'IBAN: x', due_days: 30}")
    assert run("invoices", "details", "-f", "-", given=printed) == printed == run("invoices", "details", "-s", "-")
    said = run("invoices", "details", "-f", "-", given="taxes: [{name: VAT, rate: 19}]", code=2)
    assert "taxes[0].rate: Input should be less than or equal to 1" in said
    assert "neither YAML nor JSON" in run("invoices", "details", "-f", "-", given="{name", code=2)


def test_usage_from_a_file_is_told_event_by_event(run: Run) -> None:
    now = datetime.now(UTC)

    def event(ident: str, **more: Any) -> dict[str, Any]:
        about = {"specversion": "1.0", "type": "ironworks.usage.v1", "source": "/farm", "id": ident, "subject": TENANT}
        return {**about, "time": now.isoformat(), "data": {"quantities": {"images": 1}}, **more}

    late = (now - timedelta(days=36)).isoformat()
    events = [event("a"), event("a"), event("a", data={"quantities": {"images": 2}}), event("b", time=late)]
    lines = "\n".join(map(json.dumps, events))
    said = run("usage", "send", "-", given=lines, code=1)
    assert "1 accepted, 1 duplicate, 1 conflict, 1 refused" in said
    assert "event 3 (/farm a): conflict: id: " in said
    assert "; give another event another id" in said
    assert "event 4 (/farm b): refused: time: " in said
    outcomes = json.loads(run("usage", "send", "-", "-o", "json", given=json.dumps(events[:2])))["items"]
    assert [item["outcome"] for item in outcomes] == ["duplicate", "duplicate"]
    assert {"conflict", "too_late"} <= set(run("usage", "set-aside", "-s", "acme").split())
    assert "gpu_seconds" in run("usage", "meters")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("invoices", "close", "acme", "--until", "soon"), "'soon' is no day: say 2026-03-15, today or tomorrow"),
        (("invoices", "close", "acme", "--timeout", "soon"), "'soon' is not a time"),
        (("invoices", "close", "acme", "--until", "2099-01-01"), "until: is yet to come"),
        (("invoices", "credit", "X-1", "1.0000000001", "--reason", "r", "--reference", "r"), "is no amount of money"),
        (("payments", "record", "X-1", "-5", "--reference", "r"), "'-5' is below zero"),
        (("payments", "record", "X-1", "five", "--reference", "r"), "'five' is no amount of money: write 49.00"),
    ],
)
def test_what_is_wrong_is_named(run: Run, words: tuple[str, ...], says: str) -> None:
    assert says in run(*words, code=2)


def test_what_is_not_there_is_named(run: Run) -> None:
    assert "no invoice 'X-1'" in run("payments", "list", "--invoice", "X-1", code=3)
    assert "no invoice 'X-1'" in run("invoices", "show", "X-1", code=3)


def test_numbers_stand_to_the_right_and_words_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["WHAT", "COST", "ID"], [["a", "1,234.50 USD", "x1"], ["bcd", "-", "y"], ["e", "-7.00 USD", "z"]])
    assert capsys.readouterr().out.splitlines() == [
        "WHAT          COST  ID",
        "a     1,234.50 USD  x1",
        "bcd              -  y",
        "e        -7.00 USD  z",
    ]
    show_table(["NOTHING"], [])
    assert capsys.readouterr().out == "NOTHING\n"


def test_amounts_and_moments_are_short() -> None:
    assert [decimal(text) for text in ("0.000012000", "25.500000000", "-3", "0.000000000")] == [
        "0.000012", "25.50", "-3.00", "0.00"
    ]  # fmt: skip
    assert at_second("2026-03-01T12:00:00.123456Z") == "2026-03-01T12:00:00Z"
    assert at_second(None) == "-"
