"""A budget from the command line to the gateway and back, in a whole installation."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from tests.e2e.installed.test_limits import SOON, run
from tests.e2e.site import EMBED, TENANT, Site, eventually

NAME = f"{TENANT}/thrifty"


@pytest.fixture
def key(site: Site) -> Iterator[str]:
    """A key of the operator's in the tenant, for this test."""
    yield run(site, "keys", "create", NAME).strip()
    run(site, "delete", "api-key", NAME)


def call(http: httpx.Client) -> httpx.Response:
    return http.post("/embeddings", json={"model": EMBED, "input": "hello"})


def spend(site: Site) -> Decimal:
    return Decimal(json.loads(run(site, "get", "budget", NAME, "-o", "json"))["status"]["spent"])


def test_a_budget_acts_soon_counts_what_is_charged_and_ends_as_fast(site: Site, key: str) -> None:
    with site.gateway(key) as http:
        eventually(lambda: call(http).status_code == 200)
        cost = Decimal(call(http).headers["x-ironworks-cost"])
        assert cost > 0
        run(site, "budgets", "set", NAME, "--key", "thrifty", "--amount", "0.000000001", "--period", "day")
        try:
            until = time.monotonic() + SOON
            while (answer := call(http)).status_code == 200:
                assert time.monotonic() < until
                time.sleep(0.01)
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "budget_exhausted"
            assert f"the budget {NAME}" in answer.json()["error"]["message"]
            assert int(answer.headers["retry-after"]) > 0
            before = spend(site)
            run(site, "budgets", "set", NAME, "--key", "thrifty", "--amount", "1", "--period", "day")
            until = time.monotonic() + SOON
            while call(http).status_code != 200:
                assert time.monotonic() < until
                time.sleep(0.01)
            assert call(http).status_code == 200
            eventually(lambda: spend(site) >= before + 2 * cost)
        finally:
            run(site, "delete", "budget", NAME)
        assert call(http).status_code == 200
