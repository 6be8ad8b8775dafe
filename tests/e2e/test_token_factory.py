"""The token factory as one tenant lives with it: a provider, a route with fallbacks, both dialects, limits, a budget.

Two gateway processes, the real model beside a provider that a test plays, and the books behind every answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.e2e.site import CHAT, TENANT, Site, eventually, fresh_home
from tests.products.tokenfactory.upstream import run_upstream
from tests.support.installation import installation
from tests.support.postgres import free_port

PROMPT = [{"role": "user", "content": "Say in one sentence what a foundry is."}]
CREDENTIAL = "provider-credential-of-the-test"


@contextmanager
def provider() -> Iterator[str]:
    """Somebody else's API on loopback, for as long as the block lasts; yields its base URL."""
    ready, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with run_upstream() as upstream:
            found.append(f"http://{upstream.address}/v1")
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(10)


@pytest.fixture(scope="module")
def site(run_folder: Path) -> Iterator[Site]:
    with (
        provider() as url,
        installation(
            fresh_home(run_folder), IRONWORKS_PRIVATE_UPSTREAMS="127.0.0.0/8", IRONWORKS_GATEWAYS="2"
        ) as installed,
    ):
        started = installed.run("up")
        assert started.returncode == 0, started.stdout + started.stderr
        site = Site(installed)
        dead = f"http://127.0.0.1:{free_port()}/v1"
        upstreams = [
            {"name": name, "url": url, "auth": {"credential": CREDENTIAL}, "model_mapping": {"large": "plain"}}
            for name, url in (("gone", dead), ("here", url))
        ]
        site.apply("ExternalEndpoint", TENANT, "provider", {"upstreams": upstreams})
        targets = [{"external": "provider", "model": "large"}, {"endpoint": CHAT}]
        site.apply("Route", TENANT, "assistant", {"targets": targets, "strategy": "ordered_fallback"})
        site.wait_for("ExternalEndpoint", TENANT, "provider", "Degraded")
        eventually(lambda: ask(site, "assistant").status_code == 200)
        yield site


def ask(site: Site, model: str, **more: Any) -> httpx.Response:
    with site.gateway() as http:
        return http.post("/chat/completions", json={"model": model, "messages": PROMPT, "max_tokens": 8, **more})


def explained(site: Site, request_id: str) -> dict[str, Any]:
    """The bill of one request, once it is shipped."""
    return eventually(lambda: site.operator.request("GET", f"/api/v1/billing/requests/{request_id}"))


def test_a_route_falls_back_and_says_what_served(site: Site) -> None:
    answer = ask(site, "assistant")
    assert answer.headers["x-ironworks-model"] == f"{TENANT}/provider"
    assert answer.json()["model"] == "assistant"
    bill = explained(site, answer.headers["x-request-id"])
    assert bill["usage"]["route"] == "assistant"
    [total] = bill["total"]
    assert total["amount"] == answer.headers["x-ironworks-cost"]


def test_the_provider_s_credential_is_nowhere_to_be_read(site: Site) -> None:
    shown = site.get("ExternalEndpoint", TENANT, "provider")
    assert {upstream["auth"]["credential"] for upstream in shown["spec"]["upstreams"]} == {"***"}
    for log in site.installation.settings.logs.glob("*.log"):
        assert CREDENTIAL not in log.read_text(errors="replace")


@pytest.mark.parametrize("model", ["assistant", CHAT])
@pytest.mark.parametrize("stream", [False, True])
def test_both_dialects_reach_both_kinds_of_target(site: Site, model: str, stream: bool) -> None:
    base, key = site.env["OPENAI_BASE_URL"], site.env["OPENAI_API_KEY"]
    theirs = anthropic.Anthropic(base_url=base.removesuffix("/v1"), api_key=key, max_retries=0)
    ours = openai.OpenAI(base_url=base, api_key=key, max_retries=0)
    if stream:
        with theirs.messages.stream(model=model, max_tokens=8, messages=PROMPT) as events:  # type: ignore[arg-type]
            said: Any = events.get_final_message()
        chunks: list[Any] = list(
            ours.chat.completions.create(model=model, max_tokens=8, messages=PROMPT, stream=True)  # type: ignore[call-overload]
        )
        assert chunks[-1].choices[0].finish_reason
    else:
        said = theirs.messages.create(model=model, max_tokens=8, messages=PROMPT)  # type: ignore[arg-type]
        answer = ours.responses.create(model=model, max_output_tokens=16, input="What is a foundry?")
        assert answer.output_text
    assert said.content[0].type == "text"
    assert said.usage.input_tokens > 0
    assert said.usage.output_tokens > 0


def test_a_caller_who_leaves_pays_for_exactly_his_prompt(site: Site) -> None:
    whole = ask(site, CHAT).json()["usage"]["prompt_tokens"]
    with (
        site.gateway() as http,
        http.stream(
            "POST", "/chat/completions", json={"model": CHAT, "messages": PROMPT, "max_tokens": 500, "stream": True}
        ) as answer,
    ):
        request_id = answer.headers["x-request-id"]
        next(answer.iter_lines())
    usage = explained(site, request_id)["usage"]
    assert usage["counted"]
    assert usage["quantities"].get("input_tokens", 0) + usage["quantities"].get("cached_input_tokens", 0) == whole
    assert 0 < usage["quantities"]["output_tokens"] < 500


def test_a_limit_counts_across_processes(site: Site) -> None:
    site.apply("Limit", TENANT, "few", {"route": "assistant", "requests_per_minute": 3})
    try:
        eventually(lambda: "x-ratelimit-limit-requests" in ask(site, "assistant", max_tokens=1).headers)
        answers = [ask(site, "assistant", max_tokens=1) for _ in range(6)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) >= 3  # three a minute, one of which may have come back meanwhile
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert ask(site, CHAT, max_tokens=1).status_code == 200
    finally:
        site.delete("Limit", TENANT, "few")
    eventually(lambda: ask(site, "assistant", max_tokens=1).status_code == 200)


def test_a_budget_is_used_up_and_never_overshot(site: Site) -> None:
    key = site.issue_key(TENANT, "spender", site.get("ApiKey", TENANT, "demo")["status"]["owner"])
    amount = "0.0002"  # some fifty requests, less what the worst case of one holds
    site.apply("Budget", TENANT, "small", {"amount": amount, "period": "total", "key": "spender"})
    body = {"model": "assistant", "messages": PROMPT, "max_tokens": 5}

    def spend() -> httpx.Response:
        with site.gateway(key) as http:
            return http.post("/chat/completions", json=body)

    def state() -> dict[str, Any]:
        return dict(site.get("Budget", TENANT, "small")["status"])

    try:
        eventually(lambda: state().get("period_start"))
        for _ in range(200):
            answer = spend()
            if answer.status_code != 200:
                break
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_exhausted")
        eventually(lambda: float(state()["spent"]) > 0)
        assert float(state()["spent"]) <= float(amount)
        site.apply("Budget", TENANT, "small", {"amount": "1", "period": "total", "key": "spender"})
        eventually(lambda: spend().status_code == 200, within=60)
    finally:
        site.delete("Budget", TENANT, "small")
