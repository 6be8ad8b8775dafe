"""A real model that sleeps without requests, and the request that wakes it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.site import CHAT, EMBEDDING_MODEL, TENANT, Site, eventually

DROWSY = "drowsy"


@pytest.fixture
def drowsy(site: Site) -> Iterator[str]:
    """An endpoint that has gone to sleep."""
    spec = {**EMBEDDING_MODEL, "replicas": {"num": 1, "scale_to_zero_after_seconds": 10}}
    site.endpoint(DROWSY, spec)
    site.wait_for("Endpoint", TENANT, DROWSY, "Idle")
    yield DROWSY
    site.delete("Endpoint", TENANT, DROWSY)


@pytest.mark.timeout(300)
def test_a_request_wakes_a_model_that_sleeps_and_is_answered(site: Site, drowsy: str) -> None:
    eventually(lambda: not site.get("Endpoint", TENANT, drowsy)["status"]["replicas"])
    with site.gateway() as http:
        began = time.monotonic()
        answer = http.post("/embeddings", json={"model": drowsy, "input": "Good morning"}, timeout=120)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"][0]["embedding"]) == 384
        assert time.monotonic() - began > 0.1
        assert site.get("Endpoint", TENANT, drowsy)["status"]["phase"] == "Running"
        assert http.post(
            "/chat/completions", json={"model": CHAT, "messages": [{"role": "user", "content": "Hi"}]}
        ).is_success
    site.wait_for("Endpoint", TENANT, drowsy, "Idle")
