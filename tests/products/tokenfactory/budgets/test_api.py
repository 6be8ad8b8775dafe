"""Budgets over the API: what is accepted, who may do what, and what is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ironworks.products.tokenfactory import budgets
from ironworks.shared.context import system_actor
from ironworks.shared.db import Database
from ironworks.shared.reconcile_runtime import ReconcileRuntime
from tests.support.api import ApiWorld, api_world, bootstrapped_database, envelope
from tests.support.postgres import Server

TENANT = "acme.shop.eu"
URL = f"scopes/{TENANT}/budgets"


@pytest.fixture
async def world(postgres: Server, run_folder: Path) -> AsyncIterator[ApiWorld]:
    place = bootstrapped_database(postgres, run_folder)
    async with api_world(place) as found:
        await found.scope(TENANT)
        yield found
    postgres.drop_database(place)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.amount"),
        ({"amount": "-1"}, "spec.amount"),
        ({"amount": "1e3"}, "spec.amount"),
        ({"amount": "1.0000000001"}, "spec.amount"),
        ({"amount": "1000000000.1"}, "spec.amount"),
        ({"amount": 5}, "spec.amount"),
        ({"amount": "1", "currency": "EUR"}, "spec.currency"),
        ({"amount": "1", "period": "year"}, "spec.period"),
        ({"amount": "1", "thresholds": [0]}, "spec.thresholds"),
        ({"amount": "1", "mode": "loud"}, "spec.mode"),
        ({"amount": "1", "key": "a", "route": "b"}, "spec"),
    ],
)
async def test_what_is_no_budget(world: ApiWorld, spec: dict[str, Any], field: str) -> None:
    answer = await world.operator.call("POST", URL, {"metadata": {"name": "b"}, "spec": spec})
    assert answer.status_code == 422, answer.text
    problems = envelope(answer)["details"]["fields"]
    assert any(each["field"].startswith(field) for each in problems), problems


async def test_defaults_are_written_out(world: ApiWorld) -> None:
    made = await world.operator.create("budgets", TENANT, "b", {"amount": "12.50"})
    assert made["spec"] == {
        "amount": "12.50", "currency": "USD", "period": "month", "mode": "hard", "on_failure": "closed",
        "thresholds": [50, 80, 100], "key": None, "route": None, "endpoint": None,
    }  # fmt: skip


async def test_it_lives_at_every_level(world: ApiWorld) -> None:
    for path in ("-", "acme", "acme.shop", TENANT):
        await world.operator.create("budgets", path, "b", {"amount": "1"})
    assert len(await world.operator.items("scopes/acme/budgets")) == 3


async def test_whom_it_is_about_does_not_change(world: ApiWorld) -> None:
    await world.key(TENANT, "one")
    await world.key(TENANT, "two")
    await world.operator.create("budgets", TENANT, "b", {"amount": "1", "key": "one"})
    answer = await world.operator.call("PATCH", f"{URL}/b", {"spec": {"key": "two"}})
    assert answer.status_code == 422
    answer = await world.operator.call("DELETE", f"scopes/{TENANT}/api-keys/one")
    assert answer.status_code == 409, "a key that a budget names is still needed"


async def lease(world: ApiWorld, uid: Any, holder: str, wanted: int) -> budgets.Terms:
    database = await Database.connect(world.place.url("gateway"), world.process.database.services)
    try:
        async with database.transaction(system_actor("test")) as ctx:
            ask = budgets.Ask(
                budget=uid, start=datetime(2000, 1, 1, tzinfo=UTC), holder=holder, host="gw-7", wanted=wanted,
                full=wanted, least=wanted,
            )  # fmt: skip
            return await budgets.adjust_lease(ctx, ask)
    finally:
        await asyncio.wait_for(database.close(), 60)


async def reconcile(world: ApiWorld) -> None:
    database = await Database.connect(world.place.url("worker"), world.process.database.services)
    own = [each for each in world.process.catalogue.reconcilers if each.kind.name == "Budget"]
    try:
        await world.admin.execute("update shared.work_item set due_at = now() where kind = 'Budget'")
        await ReconcileRuntime(database, own, {}).run_until_idle()
    finally:
        await asyncio.wait_for(database.close(), 60)


async def test_leases_are_listed_for_who_may_see_the_budget(world: ApiWorld) -> None:
    uid = (await world.operator.create("budgets", TENANT, "b", {"amount": "1", "period": "total"}))["metadata"]["uid"]
    for number in range(3):
        await lease(world, uid, f"holder-{number}", 1_000_000)
    viewer = await world.subject(TENANT, "vera", "-/viewer")
    page = await viewer.get(f"{URL}/b/leases", params={"limit": 2})
    assert [each["holder"] for each in page["items"]] == ["holder-2", "holder-1"]
    assert page["items"][0] | {"granted_at": "", "expires_at": ""} == {
        "id": page["items"][0]["id"], "period_start": "2000-01-01T00:00:00Z", "holder": "holder-2", "host": "gw-7",
        "epoch": 1, "granted": "0.001", "used": "0", "state": "open", "granted_at": "", "expires_at": "",
        "closed_at": None,
    }  # fmt: skip
    rest = await viewer.get(f"{URL}/b/leases", params={"limit": 2, "cursor": page["next_cursor"]})
    assert [each["holder"] for each in rest["items"]] == ["holder-0"]
    assert rest["next_cursor"] is None
    for cursor in ("x", "WyItMSIsICIiXQ", "WyI5OTk5OTk5OTk5OTk5OTk5OTk5OTk5IiwgIiJd"):
        assert (await viewer.call("GET", f"{URL}/b/leases", params={"cursor": cursor})).status_code in (400, 422)
    await world.scope("acme.shop.us")
    stranger = await world.subject("acme.shop.us", "sven", "-/tenant-admin")
    assert (await stranger.call("GET", f"{URL}/b/leases")).status_code == 404


async def test_the_status_says_what_is_spent_and_reserved(world: ApiWorld) -> None:
    uid = (await world.operator.create("budgets", TENANT, "b", {"amount": "1", "period": "total"}))["metadata"]["uid"]
    await lease(world, uid, "one", 250_000_000)
    await world.admin.execute("update tokenfactory_budgets.budget_period set spent_nano = 500000001")
    await reconcile(world)
    shown = await world.operator.get(f"{URL}/b")
    status = shown["status"]
    assert (status["spent"], status["reserved"], status["remaining"]) == ("0.500000001", "0.25", "0.249999999")
    assert status["phase"] == "Ready"
    await world.admin.execute("update tokenfactory_budgets.budget_period set spent_nano = 1000000000")
    await reconcile(world)
    status = (await world.operator.get(f"{URL}/b"))["status"]
    assert (status["phase"], status["remaining"]) == ("Exhausted", "0")
    assert next(each for each in status["conditions"] if each["type"] == "WithinBudget")["reason"] == "Exhausted"


async def test_who_may_declare_a_spool_lost(world: ApiWorld) -> None:
    uid = (await world.operator.create("budgets", TENANT, "b", {"amount": "1", "period": "total"}))["metadata"]["uid"]
    await lease(world, uid, "one", 250_000_000)
    release = f"{URL}/b:release-lost"
    answer = await world.operator.call("POST", release, {})
    assert (answer.status_code, envelope(answer)["code"]) == (404, "NOTHING_LOST"), "it is alive"
    await world.admin.execute("update tokenfactory_budgets.lease set expires_at = now()")
    for role in ("-/viewer", "-/developer", "-/tenant-admin"):
        caller = await world.subject(TENANT, role[2:], role)
        assert (await caller.call("POST", release, {})).status_code in (403, 404)
    other = await world.operator.call("POST", release, {"host": "gw-8"})
    assert other.status_code == 404
    freed = await world.operator.expect(200, "POST", release, {"host": "gw-7"})
    assert freed == {"released": [{"holder": "one", "host": "gw-7", "amount": "0.25"}]}
    record = await world.admin.fetchrow("select * from platform_audit.pending where action = 'budget.release-lost'")
    assert record is not None


async def test_how_it_burns_down_is_shown_to_who_may_see_it(world: ApiWorld) -> None:
    made = await world.operator.create("budgets", TENANT, "b", {"amount": "4", "period": "month", "thresholds": [50]})
    await world.admin.execute(
        "insert into tokenfactory_budgets.budget_period (budget, period_start, scope, spent_nano)"
        " values ($1, date_trunc('month', now(), 'UTC'), $2::text::ltree, 2000000000)",
        made["metadata"]["uid"], TENANT,
    )  # fmt: skip
    await world.admin.execute(
        "insert into tokenfactory_budgets.spending (budget, period_start, at, scope, spent_nano)"
        " select budget, period_start, now(), scope, spent_nano from tokenfactory_budgets.budget_period"
    )
    await world.admin.execute(
        "insert into tokenfactory_budgets.threshold_told (budget, period_start, percent)"
        " select budget, period_start, 50 from tokenfactory_budgets.budget_period"
    )
    viewer = await world.subject(TENANT, "vera", "-/viewer")
    shown = await viewer.get(f"{URL}/b/burn-down")
    assert (shown["name"], shown["scope"], shown["spent"], shown["amount"]) == ("b", TENANT, "2", "4")
    assert shown["points"][0]["spent"] == "0"
    assert shown["points"][-1]["spent"] == "2"
    (threshold,) = shown["thresholds"]
    assert (threshold["percent"], threshold["amount"], threshold["told_at"] is not None) == (50, "2", True)
    forecast = shown["forecast"]
    assert (forecast["basis"], forecast["low"], float(forecast["spent"]) > 2) == ("lifetime", None, True)
    before = await viewer.get(f"{URL}/b/burn-down", params={"at": "2026-01-15T00:00:00Z"})
    assert (before["spent"], before["forecast"], before["period_end"]) == ("0", None, "2026-02-01T00:00:00Z")
    for at in ("2126-01-15T00:00:00Z", "yesterday", "2026-01-15"):
        answer = await viewer.call("GET", f"{URL}/b/burn-down", params={"at": at})
        assert answer.status_code in (400, 422), at
        assert any(each["field"] == "at" for each in envelope(answer)["details"]["fields"])
    await world.scope("acme.shop.us")
    stranger = await world.subject("acme.shop.us", "sven", "-/tenant-admin")
    assert (await stranger.call("GET", f"{URL}/b/burn-down")).status_code == 404
