"""Short ways to keys, limits, budgets and routes, against a served API."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner

from ironworks.cli.main import main
from ironworks.products.tokenfactory.routing import service
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server, _execute

Run: TypeAlias = Callable[..., str]
EJECTED = """
with p as (insert into tokenfactory_gateway.process (uid, host, pid, started_at, status, troubles)
           values (gen_random_uuid(), 'host', 1, now(), 'ok', '[]') returning uid)
insert into tokenfactory_gateway.target_state
select p.uid, r.uid, r.scope, 0, 'eu', 1, 'ejected', '2099-01-01T11:59:58Z', 'it answered 503', now(), 1, 2, 3
from p, tokenfactory_routing.route r where r.name = 'tiny'
"""
SCOPE = "acme.shop"
KIOSK = "acme.kiosk"
"""Where no model may be called: its limits are tried out."""


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: Path) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            client.apply({"kind": "Account", "metadata": {"name": "acme", "scope": "-"}})
            for name in ("shop", "kiosk"):
                client.apply({"kind": "Platform", "metadata": {"name": name, "scope": "acme"}})
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


def test_a_key_is_made_used_disabled_and_rotated(run: Run, api: ServedApi) -> None:
    def works(secret: str) -> bool:
        result = CliRunner().invoke(main, ["--url", api.url, "--token", secret, "whoami"])
        return result.exit_code == 0

    first = run("keys", "create", f"{SCOPE}/app", "--expires-in", "90d").strip()
    assert first.startswith("iwk_")
    assert works(first)
    assert run("keys", "disable", "app", "-s", SCOPE) == f"apikey/{SCOPE}/app disabled\n"
    assert not works(first)
    assert json.loads(run("keys", "enable", f"{SCOPE}/app", "-o", "json"))["spec"]["disabled"] is False
    second = run("keys", "rotate", f"{SCOPE}/app").strip()
    assert works(second)
    until = time.monotonic() + 10
    while works(first):  # the API may know a key by heart for a moment
        assert time.monotonic() < until
    [listed] = json.loads(run("keys", "list", "-s", SCOPE, "-o", "json"))["items"]
    expires = datetime.fromisoformat(listed["spec"]["expires_at"])
    assert timedelta(days=89) < expires - datetime.now(UTC) <= timedelta(days=90)
    assert "app" in run("keys", "list", "-s", SCOPE).splitlines()[1]
    made = json.loads(run("keys", "create", f"{SCOPE}/narrow", "--permission", "endpoint:invoke", "-o", "json"))
    assert made["resource"]["spec"]["permissions"] == ["endpoint:invoke"]
    assert works(made["key"])
    run("keys", "create", f"{SCOPE}/narrow", code=5)
    run("keys", "disable", f"{SCOPE}/nothing", code=3)


def test_a_limit_is_set_shown_and_set_to_something_else(run: Run) -> None:
    words = ("limits", "set", f"{KIOSK}/fair", "--rpm", "60", "--per", "key", "--per", "route")
    assert run(*words).startswith(f"limit/{KIOSK}/fair created\n")
    heads = run("limits", "list", "-s", KIOSK).splitlines()[0].split()
    assert heads[:4] == ["SCOPE", "NAME", "OF", "KEY"], "where it lives, and what it limits"
    assert run(*words).startswith(f"limit/{KIOSK}/fair unchanged\n")
    again = json.loads(run("limits", "set", "fair", "-s", KIOSK, "--tpm", "1000", "--model", "gpt-*", "-o", "json"))
    assert again["action"] == "updated"
    spec: dict[str, Any] = json.loads(run("limits", "show", f"{KIOSK}/fair", "-o", "json"))["spec"]
    set_to = {field: value for field, value in spec.items() if value not in (None, [])}
    assert set_to == {"tokens_per_minute": 1000, "allowed_models": ["gpt-*"]}, "what is left out is not limited"
    shown = run("limits", "show", f"{KIOSK}/fair")
    assert "tokens_per_minute  1000" in shown
    assert "requests_per_minute" not in shown
    assert run("limits", "set", f"{KIOSK}/none", "--no-models").startswith(f"limit/{KIOSK}/none created\n")
    assert json.loads(run("limits", "show", f"{KIOSK}/none", "-o", "json"))["spec"]["allowed_models"] == []
    names = [item["metadata"]["name"] for item in json.loads(run("limits", "list", "-s", KIOSK, "-o", "json"))["items"]]
    assert names == ["fair", "none"]
    assert run("limits", "set", "-/all", "--concurrency", "9").startswith("limit/-/all created\n")
    assert "limits nothing" in run("limits", "set", f"{KIOSK}/empty", code=2)
    run("limits", "set", f"{KIOSK}/odd", "--model", "a", "--no-models", code=2)


def test_a_budget_is_set_and_shown(run: Run) -> None:
    words = ("budgets", "set", f"{SCOPE}/team", "--amount", "250", "--threshold", "50", "--threshold", "90")
    assert run(*words).startswith(f"budget/{SCOPE}/team created\n")
    spec: dict[str, Any] = json.loads(run("budgets", "show", f"{SCOPE}/team", "-o", "json"))["spec"]
    assert (spec["amount"], spec["period"], spec["mode"], spec["on_failure"]) == ("250", "month", "hard", "closed")
    assert spec["thresholds"] == [50, 90]
    run("budgets", "set", f"{SCOPE}/team", "--amount", "1.5", "--period", "day", "--soft", "--fail-open")
    assert "day" in run("budgets", "show", f"{SCOPE}/team")
    assert "250" not in run("budgets", "list", "-s", SCOPE)
    assert "spec.amount" in run("budgets", "set", f"{SCOPE}/odd", "--amount", "much", code=2)


def test_leases_are_listed_and_declared_lost(run: Run, api: ServedApi) -> None:
    run("budgets", "set", f"{SCOPE}/leased", "--amount", "250")
    made = "select uid, timestamptz '2026-01-01Z', scope from tokenfactory_budgets.budget where name = 'leased'"
    columns = "budget, period_start, scope, holder, host, epoch, granted_nano, used_nano, state, expires_at, closed_at"
    rows = (("one", "gw-7", 2_500_000_000, "frozen"), ("two", "gw-8", 10**9, "frozen"), ("three", "gw-8", 0, "closed"))
    statements = (
        f"insert into tokenfactory_budgets.lease ({columns}) select b.*, '{holder}', '{host}', 1, {granted}, 0,"
        f" '{state}', now(), case '{state}' when 'closed' then now() end from ({made}) b"
        for holder, host, granted, state in rows
    )
    period = f"insert into tokenfactory_budgets.budget_period (budget, period_start, scope) {made}"
    asyncio.run(_execute(api.place.admin, period, *statements))
    name = f"{SCOPE}/leased"
    heads, *lines = run("budgets", "leases", name).splitlines()
    assert heads.split() == ["HOLDER", "HOST", "STATE", "GRANTED", "USED", "PERIOD", "EXPIRES", "CLOSED"]
    assert [line.split()[:4] for line in lines] == [
        ["three", "gw-8", "closed", "0"], ["two", "gw-8", "frozen", "1"], ["one", "gw-7", "frozen", "2.5"],
    ]  # fmt: skip
    assert len(run("budgets", "leases", "leased", "-s", SCOPE, "--limit", "1").splitlines()) == 2
    listed = json.loads(run("budgets", "leases", name, "--state", "frozen", "-o", "json"))["items"]
    assert [lease["holder"] for lease in listed] == ["two", "one"]
    for which in ((), ("--all", "--host", "gw-7")):
        assert "say which" in run("budgets", "release-lost", name, *which, code=2)
    assert run("budgets", "release-lost", name, "--host", "gw-7").splitlines()[1].split() == ["one", "gw-7", "2.5"]
    run("budgets", "release-lost", name, "--host", "gw-7", code=3)
    freed = json.loads(run("budgets", "release-lost", name, "--all", "-o", "json"))["released"]
    assert freed == [{"holder": "two", "host": "gw-8", "amount": "1"}]
    run("budgets", "leases", f"{SCOPE}/nothing", code=3)


def test_routes_are_listed_with_their_targets(run: Run, api: ServedApi) -> None:
    upstream = {"name": "main", "url": "https://api.example.com/v1", "model_mapping": {"gpt-4o": "gpt-4o"}}
    targets = [{"external": "openai", "model": "gpt-4o", "weight": weight} for weight in (3, 1, 0)]
    with Client(Profile(api.url, api.place.operator_token)) as client:
        meta = {"scope": SCOPE}
        client.apply(
            {"kind": "ExternalEndpoint", "metadata": {**meta, "name": "openai"}, "spec": {"upstreams": [upstream]}}
        )
        client.apply(
            {"kind": "Route", "metadata": {**meta, "name": "gpt"}, "spec": {"model": "gpt-4o", "targets": targets}}
        )
    [heads, row] = run("routes", "list", "-s", SCOPE).splitlines()
    assert heads.split() == ["SCOPE", "MODEL", "STRATEGY", "TARGETS", "PHASE"]
    assert "openai: gpt-4o x3, openai: gpt-4o, openai: gpt-4o (reserve)" in row
    [route] = json.loads(run("routes", "list", "-s", SCOPE, "-o", "json"))["items"]
    assert route["spec"]["model"] == "gpt-4o"


def test_a_route_is_set_and_shown(run: Run, api: ServedApi) -> None:
    upstream = {"name": "main", "url": "https://api.example.com/v1", "model_mapping": {"small": "small-1"}}
    with Client(Profile(api.url, api.place.operator_token)) as client:
        meta = {"scope": SCOPE, "name": "provider"}
        client.apply({"kind": "ExternalEndpoint", "metadata": meta, "spec": {"upstreams": [upstream]}})
    target = "external=provider,model=small"
    words = ("routes", "set", f"{SCOPE}/tiny", "--target", f"{target},weight=9,timeout_seconds=2.5")
    assert run(*words, "--target", f"{target},served_as=x", "--model", "a/b").startswith(
        f"route/{SCOPE}/tiny created\n"
    )
    spec: dict[str, Any] = json.loads(run("routes", "show", f"{SCOPE}/tiny", "-o", "json"))["spec"]
    assert (spec["model"], spec["strategy"], spec["tries"], spec["cache"]) == ("a/b", "weighted", 3, None)
    assert [(each["weight"], each["timeout_seconds"], each["served_as"]) for each in spec["targets"]] == [
        (9, 2.5, None), (1, None, "x"),
    ]  # fmt: skip
    run(*words, "--strategy", "ordered_fallback", "--tries", "1", "--cache-seconds", "60")
    shown = run("routes", "show", "tiny", "-s", SCOPE)
    assert "ordered_fallback" in shown
    assert '"ttl_seconds":60' in shown
    for wrong in ("external", "host=x", "weight=1,weight=2", "weight=many"):
        assert repr(wrong.rpartition(",")[2]) in run("routes", "set", "x", "--target", wrong, code=2)
    assert "spec.targets" in run("routes", "set", f"{SCOPE}/x", "--target", "weight=1", code=2)
    run("routes", "set", f"{SCOPE}/x", code=2)
    [row] = [line for line in run("routes", "models", "-s", SCOPE).splitlines() if line.startswith("tiny ")]
    assert row.split() == ["tiny", "route", SCOPE, "-", "Pending", "yes"]
    assert " unknown " in run("routes", "health", f"{SCOPE}/tiny"), "no gateway reports"
    asyncio.run(_execute(api.place.admin, EJECTED))
    heads, row = run("routes", "health", "tiny", "-s", SCOPE, code=1).splitlines()
    assert heads.split()[:3] == ["TARGET", "STATE", "AT"]
    assert " ejected until 11:59:58 " in row
    assert row.endswith(" it answered 503")
    assert json.loads(run("routes", "health", f"{SCOPE}/tiny", "-o", "json", code=1))["processes"] == 1


def test_an_external_endpoint_is_checked_by_a_worker(run: Run, api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CHECK_WITHIN", 0.5)
    upstream = {"name": "eu", "url": "https://api.example/v1", "model_mapping": {"m": "m-1"}}
    with Client(Profile(api.url, api.place.operator_token)) as client:
        document = {"kind": "ExternalEndpoint", "metadata": {"name": "far", "scope": SCOPE}}
        client.apply({**document, "spec": {"upstreams": [upstream]}})
    assert "no worker has looked at it" in run("routes", "check", f"{SCOPE}/far", code=7)
    seen = {
        "name": "eu",
        "url": "https://api.example/v1",
        "models": ["m"],
        "phase": "Failed",
        "error_message": "it is ill",
    }
    report = json.dumps({"upstream_status": [seen], "checked_at": "2026-01-01T00:00:00Z", "phase": "Failed"})

    def work() -> None:
        time.sleep(1)
        statement = (
            f"update tokenfactory_routing.external_endpoint set status = status || '{report}' where name = 'far'"
        )
        asyncio.run(_execute(api.place.admin, statement))

    monkeypatch.setattr(service, "CHECK_WITHIN", 10.0)
    worker = threading.Thread(target=work)
    worker.start()
    shown = run("routes", "check", f"{SCOPE}/far", code=1)
    worker.join()
    assert shown.splitlines()[1].split()[:4] == ["eu", "https://api.example/v1", "Failed", "m"]
