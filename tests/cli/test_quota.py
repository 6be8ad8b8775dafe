"""`ironworks quota` against a served API: what a plan allows, what the operator says, and what a customer is told."""

from __future__ import annotations

import json

import pytest

from ironworks.app.wiring import open_process
from ironworks.platform import policy
from ironworks.sdk import ApiError, Client
from ironworks.sdk.config import Profile
from ironworks.shared.context import system_actor
from tests.cli.conftest import KeyOf, Run
from tests.support.api import ServedApi
from tests.support.postgres import run_apart


@pytest.fixture(scope="module", autouse=True)
def subscribed(api: ServedApi, operator: Client) -> None:
    """The account is on a plan, and has the one platform that this allows."""
    operator.apply({"kind": "Platform", "metadata": {"name": "shop", "scope": "acme"}})

    async def subscribe() -> None:
        async with (
            open_process(api.place.settings, "worker", connections=1) as process,
            process.database.transaction(system_actor("subscriptions")) as ctx,
        ):
            await policy.set_plan_quotas(ctx, "acme", {"platforms": 1, "tenants": 2, "features": 3}, "starter")

    run_apart(subscribe)


@pytest.fixture(scope="module")
def customer(key_of: KeyOf) -> str:
    """The key of who administers the account."""
    return key_of("acme", "platform-admin")


def test_a_customer_sees_what_the_plan_allows_and_is_told_at_its_end(run: Run, api: ServedApi, customer: str) -> None:
    rows = [line.split() for line in run("quota", "list", "-s", "acme", token=customer).splitlines()]
    assert rows[0] == ["QUOTA", "USED", "LIMIT", "OF", "BY", "UNTIL", "REASON"]
    assert ["features", "-", "3", "acme", "plan", "starter", "-", "-"] in rows
    assert ["platforms", "1", "1", "acme", "plan", "starter", "-", "-"] in rows
    with Client(Profile(api.url, customer)) as client, pytest.raises(ApiError) as refused:
        client.apply({"kind": "Platform", "metadata": {"name": "lab", "scope": "acme"}})
    assert (refused.value.status, refused.value.code) == (409, "QUOTA_EXCEEDED")
    told = refused.value.details
    assert (told["quota"], told["limit"], told["used"], told["plan"]) == ("platforms", 1, 1, "starter")


def test_the_operator_allows_more_for_a_time_and_takes_it_back(run: Run) -> None:
    said = run("quota", "set", "acme.shop", "tenants", "10", "--until", "30d", "--reason", "a pilot")
    assert said == "tenants of acme.shop: a limit of 10, 0 used\n"
    (tenants,) = [q for q in json.loads(run("quota", "list", "-s", "acme.shop", "-o", "json"))["items"]
                  if q["quota"] == "tenants"]  # fmt: skip
    assert (tenants["limit"], tenants["scope"], tenants["overridden"]) == (10, "acme.shop", True)
    assert (tenants["reason"], tenants["plan"]) == ("a pilot", "starter")
    assert run("quota", "set", "acme", "api_keys", "none") == "api_keys of acme: no limit, 1 used\n"
    assert run("quota", "unset", "acme.shop", "tenants") == "tenants of acme.shop: as the plan says\n"
    run("quota", "unset", "acme.shop", "tenants", code=3)
    run("quota", "unset", "acme", "api_keys")


def test_who_may_not_is_refused_and_strangers_see_nothing(run: Run, customer: str) -> None:
    run("quota", "set", "acme", "platforms", "99", token=customer, code=4)
    run("quota", "unset", "acme", "platforms", token=customer, code=4)
    run("quota", "list", "-s", "rival", token=customer, code=3)
    assert "rival" not in run("quota", "list", "-s", "rival")


def test_bad_words_are_named(run: Run) -> None:
    assert "'many' is neither" in run("quota", "set", "acme", "tenants", "many", code=2)
    assert "'soon' is no moment" in run("quota", "set", "acme", "tenants", "1", "--until", "soon", code=2)
    run("quota", "set", "acme", "tenants", "1", "--until", "2020-01-01", code=2)
    run("quota", "set", "acme", "unicorns", "1", code=2)


def test_the_operator_says_what_every_account_may_have(run: Run) -> None:
    said = run("quota", "set", "-", "service_accounts", "50", "--reason", "enough")
    assert said == "service_accounts of -: a limit of 50, where nothing else is said\n"
    assert run("quota", "list", "-s", "-").splitlines()[1].split()[:5] == [
        "service_accounts",
        "-",
        "50",
        "-",
        "operator",
    ]
    (row,) = [line for line in run("quota", "list", "-s", "acme").splitlines() if "service_accounts" in line]
    assert row.split()[:6] == ["service_accounts", "1", "50", "acme", "operator,", "for"]
    run("quota", "unset", "-", "service_accounts")
    assert "service_accounts" not in run("quota", "list", "-s", "acme")


def test_pages_of_quotas_follow_each_other(operator: Client) -> None:
    first = operator.request("GET", "/api/v1/scopes/acme/quotas", query={"limit": 2})
    rest = operator.request("GET", "/api/v1/scopes/acme/quotas", query={"limit": 2, "cursor": first["next_cursor"]})
    assert [q["quota"] for q in first["items"] + rest["items"]] == ["features", "platforms", "tenants"]
    assert rest["next_cursor"] is None
