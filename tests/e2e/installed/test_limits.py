"""A limit from the command line to the gateway and back, in a whole installation."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from ironworks.cli.main import main
from tests.e2e.site import EMBED, TENANT, Site, eventually

NAME = f"{TENANT}/limited"
SOON = 20.0
"""Seconds. On a machine that does nothing else it takes less than one."""


def run(site: Site, *words: str) -> str:
    result = CliRunner().invoke(main, [*words], env={**site.env})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def key(site: Site) -> Iterator[str]:
    """A key of the operator's in the tenant, for this test."""
    yield run(site, "keys", "create", NAME).strip()
    run(site, "delete", "api-key", NAME)


def call(http: httpx.Client) -> httpx.Response:
    return http.post("/embeddings", json={"model": EMBED, "input": "hello"})


def test_a_limit_acts_soon_and_ends_as_fast(site: Site, key: str) -> None:
    with site.gateway(key) as http:
        eventually(lambda: call(http).status_code == 200)
        assert "x-ratelimit-limit-requests" not in call(http).headers
        run(site, "limits", "set", NAME, "--key", "limited", "--rpm", "1", "--burst", "2")
        try:
            until = time.monotonic() + SOON
            while "x-ratelimit-limit-requests" not in (answer := call(http)).headers:
                assert time.monotonic() < until
                time.sleep(0.01)
            assert (answer.status_code, answer.headers["x-ratelimit-remaining-requests"]) == (200, "1")
            assert call(http).status_code == 200
            refused = call(http)
            assert refused.status_code == 429
            assert refused.json()["error"]["message"].startswith("this key may use 1 requests per minute")
            assert int(refused.headers["retry-after"]) > 20
        finally:
            run(site, "delete", "limit", NAME)
        until = time.monotonic() + SOON
        while call(http).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.01)
