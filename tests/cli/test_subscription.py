"""`ironworks plans` and `ironworks subscription` against a served API, as a customer's bookkeeper and as a stranger."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.conftest import KeyOf, Run
from tests.support.api import ServedApi


@pytest.fixture(scope="module")
def run(api: ServedApi, run: Run, key_of: KeyOf) -> Run:
    """The command by whoever is named."""
    tokens = {
        "operator": api.place.operator_token,
        "payer": key_of("acme", "billing-admin"),
        "viewer": key_of("acme", "viewer"),
        "rival": key_of("rival", "billing-admin"),
    }

    def invoke(*words: str, by: str = "payer", code: int = 0, typed: str | None = None) -> str:
        return run(*words, token=tokens[by], code=code, typed=typed)

    return invoke


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
    assert "version 1" in run("plans", "create", "-", by="operator", typed=plan)  # the same again adds nothing
    run("plans", "withdraw", "team", code=4)
    assert "offered no more (version 2)" in run("plans", "withdraw", "team", by="operator")
    assert "team" not in run("plans", "list")
    assert "is offered no more" in run("subscription", "start", "team", "-s", "acme", by="operator", code=5)
    assert "version 3" in run("plans", "create", "-", by="operator", typed=plan)
    assert run("plans", "list").count("team") == 1
    assert run("plans", "list", "--every-version").count("team") == 3
    for bad in (
        "{name: x",
        "[]",
        "{name: UP, title: a, base_fee: 1}",
        "{name: x, title: a, base_fee: 1, included: {nuts: 1}}",
    ):
        run("plans", "create", "-", by="operator", typed=bad, code=2)
