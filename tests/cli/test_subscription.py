"""`ironworks plans` and `ironworks subscription` against a served API, as a customer's bookkeeper and as a stranger."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from click.testing import CliRunner

from ironworks.cli.main import main
from ironworks.sdk import Client
from ironworks.sdk.config import Profile
from tests.support.api import ServedApi, bootstrapped_database, served_api
from tests.support.postgres import Server

Run: TypeAlias = Callable[..., str]


@pytest.fixture(scope="module")
def api(postgres: Server, run_folder: object) -> Iterator[ServedApi]:
    place = bootstrapped_database(postgres, run_folder)  # type: ignore[arg-type]
    with served_api(place) as served:
        with Client(Profile(served.url, place.operator_token)) as client:
            for account in ("acme", "rival"):
                client.apply({"kind": "Account", "metadata": {"name": account, "scope": "-"}})
        yield served
    postgres.drop_database(place)


def _key(api: ServedApi, account: str, role: str) -> str:
    with Client(Profile(api.url, api.place.operator_token)) as client:
        owner = f"service-account:{account}/{role}"
        client.apply({"kind": "ServiceAccount", "metadata": {"name": role, "scope": account}})
        grant = {"subject": owner, "role": f"-/{role}"}
        client.apply({"kind": "RoleAssignment", "metadata": {"name": role, "scope": account}, "spec": grant})
        client.apply({"kind": "ApiKey", "metadata": {"name": role, "scope": account}, "spec": {"owner": owner}})
        issued = client.request("POST", f"/api/v1/scopes/{account}/api-keys/{role}:rotate", body={})
    key: str = issued["key"]
    return key


@pytest.fixture(scope="module")
def run(api: ServedApi) -> Run:
    tokens = {
        "operator": api.place.operator_token,
        "payer": _key(api, "acme", "billing-admin"),
        "viewer": _key(api, "acme", "viewer"),
        "rival": _key(api, "rival", "billing-admin"),
    }

    def run(*words: str, by: str = "payer", code: int = 0, typed: str | None = None) -> str:
        result = CliRunner().invoke(main, ["--url", api.url, "--token", tokens[by], *words], input=typed)
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_a_customer_subscribes_changes_and_leaves(run: Run) -> None:
    listed = run("plans", "list")
    assert re.search(r"starter +1 +49.00 USD +1 +2 +3 +14 +6 meters", listed)
    assert "unlimited" in listed
    assert re.search(r"worker_invocations +50,000,000 +as in", run("plans", "show", "growth"))
    assert "there is no plan 'gold' in USD; there are: growth, scale, starter" in run("plans", "show", "gold", code=2)
    assert "has no subscription" in run("subscription", "show", code=3)
    assert "acme: trialing, until" in run("subscription", "start", "starter")
    assert "has a subscription: change its plan" in run("subscription", "start", "growth", code=5)
    shown = run("subscription", "show")
    assert "plan      Starter, 49.00 USD a month (version 1)" in shown
    assert re.search(r"worker_invocations +0 +5,000,000 +5,000,000", shown)
    preview = json.loads(run("subscription", "preview", "growth", "-o", "json"))
    assert (preview["when"], preview["due"]["nano"], preview["next_fee"]["amount"]) == ("now", 0, "199.000000000")
    run("subscription", "change", "growth", typed="n\n", code=1)
    assert "Growth from" in run("subscription", "change", "growth", typed="y\n")
    assert json.loads(run("subscription", "change", "starter", "-y", "-o", "json"))["next_plan_id"]
    assert "next      Starter" in run("subscription", "show")
    assert "trialing, until" in run("subscription", "cancel", "--reason", "too dear")
    run("subscription", "change", "scale", "-y", code=5)
    assert "ends on" not in run("subscription", "resume")
    assert run("subscription", "charges").split() == ["DUE", "BILLED", "KIND", "COST", "FOR"]
    assert json.loads(run("subscription", "suggestions", "-o", "json")) == {"items": []}


def test_who_else_may_what(run: Run) -> None:
    run("subscription", "start", "starter", "--no-trial", "-s", "rival", by="operator")
    assert "rival    active" in run("subscription", "list", "--status", "active", by="operator")
    assert "acme" not in run("subscription", "list", by="rival")
    for words, by, code in (
        (("show", "-s", "acme"), "rival", 3),
        (("cancel", "-s", "acme"), "rival", 3),
        (("cancel",), "viewer", 4),
        (("start", "gold", "-s", "acme"), "operator", 3),
    ):
        run("subscription", *words, by=by, code=code)
    charge = json.loads(run("subscription", "charges", "-o", "json", by="rival"))["items"][0]
    assert (charge["kind"], charge["cost"]["amount"], charge["billed_on"]) == ("fee", "49.000000000", None)


def test_only_the_operator_adds_plans(run: Run) -> None:
    plan = (
        "{name: team, title: Team, base_fee: '99.50', limits: {platforms: 2}, included: {kv_reads: 5}, trial_days: 7}"
    )
    run("plans", "create", "-", typed=plan, code=4)
    assert "plan team, version 1: 99.50 USD a month" in run("plans", "create", "-", by="operator", typed=plan)
    assert "version 2" in run("plans", "create", "-", by="operator", typed=plan)
    assert run("plans", "list").count("team") == 1
    assert run("plans", "list", "--every-version").count("team") == 2
    for bad in (
        "{name: x",
        "[]",
        "{name: UP, title: a, base_fee: 1}",
        "{name: x, title: a, base_fee: 1, included: {nuts: 1}}",
    ):
        run("plans", "create", "-", by="operator", typed=bad, code=2)
