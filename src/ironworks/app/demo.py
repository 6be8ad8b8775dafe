"""The main job, run by `ironworks up`: a tenant deploys a model, talks to it, and sees what it cost.

It goes through the API and the gateway like any customer. What is done already is left as it is, so a second run only
tells again; `run/demo.json` remembers the one request it made.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from ironworks.app.bootstrap import OPERATOR_TOKEN
from ironworks.app.credentials import replace_secret
from ironworks.app.prerequisites import CannotRun
from ironworks.app.progress import Progress, Step
from ironworks.app.settings import Settings
from ironworks.products.inference import clusters, engines, models
from ironworks.sdk import ApiError, Client, Profile, Unreachable

TENANT = "demo.app.dev"
ENDPOINT = "smollm2"
KEY_FILE = "demo-key"
PROMPT = "In one sentence: what is an ironworks?"
RUNNING_WITHIN = 600.0
"""Seconds; the model is fetched over the network the first time."""

MANIFESTS: tuple[dict[str, Any], ...] = (
    {"kind": "Account", "metadata": {"scope": "-", "name": "demo"}, "spec": {}},
    {"kind": "Platform", "metadata": {"scope": "demo", "name": "app"}, "spec": {}},
    {"kind": "Tenant", "metadata": {"scope": "demo.app", "name": "dev"}, "spec": {}},
    {"kind": "ServiceAccount", "metadata": {"scope": TENANT, "name": "demo"}, "spec": {}},
    {
        "kind": "RoleAssignment",
        "metadata": {"scope": TENANT, "name": "demo"},
        "spec": {"subject": f"service-account:{TENANT}/demo", "role": "-/tenant-admin"},
    },
    {
        "kind": "ApiKey",
        "metadata": {"scope": TENANT, "name": "demo"},
        "spec": {"owner": f"service-account:{TENANT}/demo"},
    },
    {
        "kind": "Endpoint",
        "metadata": {"scope": TENANT, "name": ENDPOINT},
        "spec": {"model": {"name": "smollm2"}, "variables": {"engine_args": {"ctx_size": 8192}}},
    },
)


async def run_demo(settings: Settings, progress: Progress) -> None:
    """Run the main job, and tell what came of it. Raises CannotRun."""
    profile = Profile(settings.api_url, settings.secret(OPERATOR_TOKEN))
    with Client(profile) as operator:
        async with progress.step("demo tenant") as step:
            step.outcome = await _do(_declare, operator)
        async with progress.step("demo key") as step:
            key, step.outcome = await _do(_ensure_key, operator, settings)
        async with progress.step("model") as step:
            step.outcome = await _do(_wait_running, operator, step)
        record = settings.run / "demo.json"
        if not record.exists():
            progress.say(f"\n  {PROMPT}")
            told = await _do(_talk, settings.gateway_url, key, progress)
            replace_secret(record, json.dumps(told))
        told = json.loads(record.read_text())
        with Client(Profile(settings.api_url, key)) as tenant:
            chain = await _do(_explain, tenant, told["request_id"])
    _tell(settings, progress, told, chain)


async def _do(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run blocking work beside the progress display; what a person can mend becomes CannotRun."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except ApiError as problem:
        raise CannotRun(f"the API refused the main job: {problem.message}") from problem
    except Unreachable as problem:
        raise CannotRun(str(problem)) from problem


def _declare(operator: Client) -> str:
    """Apply the builtins and the demo's resources, waiting for the platform that the tenant lives in."""
    actions = [
        operator.apply(manifest)["action"]
        for manifest in (*engines.builtins(), *models.builtins(), *clusters.builtins(), *MANIFESTS[:2])
    ]
    _wait_for(operator, "Platform", "demo", "app", "active", 30.0)
    actions += [operator.apply(manifest)["action"] for manifest in MANIFESTS[2:]]
    changed = [action for action in actions if action != "unchanged"]
    return f"{TENANT} {'ready' if not changed else f'made of {len(changed)} resources'}"


def _wait_for(client: Client, kind: str, scope: str, name: str, phase: str, within: float) -> None:
    found = client.kinds.find(kind)
    assert found is not None
    until = time.monotonic() + within
    while (now := client.get(found, scope, name)["status"].get("phase")) != phase:
        if time.monotonic() > until:
            raise CannotRun(f"{kind} {scope}/{name} stays {now}: is the worker running? ironworks status")
        time.sleep(0.1)


def _ensure_key(operator: Client, settings: Settings) -> tuple[str, str]:
    """The tenant's key and how it was come by; one that was lost or no longer works is replaced."""
    file = settings.credentials / KEY_FILE
    if file.exists():
        key = file.read_text().strip()
        with Client(Profile(settings.api_url, key)) as tenant:
            try:
                tenant.request("GET", "/api/v1/me")
                return key, "kept"
            except ApiError as problem:
                if problem.status != 401:
                    raise
    issued: str = operator.request("POST", f"/api/v1/scopes/{TENANT}/api-keys/demo:rotate", body={})["key"]
    replace_secret(file, issued)
    return issued, "issued"


def _wait_running(operator: Client, step: Step) -> str:
    """Wait until the endpoint serves, showing its phase and what it is doing."""
    kind = operator.kinds.find("Endpoint")
    assert kind is not None
    until = time.monotonic() + RUNNING_WITHIN
    while True:
        endpoint = operator.get(kind, TENANT, ENDPOINT)
        status = endpoint["status"]
        settled = status.get("observed_generation") == endpoint["metadata"]["generation"]
        if status["phase"] == "Running" and settled:
            return f"{ENDPOINT} runs on {endpoint['spec']['cluster']}"
        messages = [c.get("message", "") for c in status.get("conditions", []) if c["status"] != "True"]
        step.doing = " ".join([f"{ENDPOINT}: {status['phase']}", *(m for m in messages[:1] if m)])
        if time.monotonic() > until:
            raise CannotRun(f"{step.doing}; see: ironworks describe endpoint/{TENANT}/{ENDPOINT}")
        time.sleep(0.3)


def _talk(gateway: str, key: str, progress: Progress) -> dict[str, Any]:
    """Stream one chat completion, printing it as it comes."""
    body = {
        "model": ENDPOINT,
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 80,
        "temperature": 0.2,
    }
    answer = ""
    usage: dict[str, Any] = {}
    progress.out.write("  ")
    with _reached(gateway, key, body) as response:
        for line in response.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line[6:])
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices", []):
                piece = choice.get("delta", {}).get("content") or ""
                answer += piece
                progress.out.write(piece)
                progress.out.flush()
        request_id = response.headers["x-request-id"]
    progress.say()
    return {"request_id": request_id, "answer": answer, "usage": usage}


def _reached(gateway: str, key: str, body: dict[str, Any], within: float = 15.0) -> Any:
    """The open stream; the gateway learns of a new key and a ready endpoint within a second."""
    until = time.monotonic() + within
    client = httpx.Client(trust_env=False, timeout=httpx.Timeout(30, read=300))
    while True:
        request = client.build_request(
            "POST", f"{gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        )
        try:
            response = client.send(request, stream=True)
        except httpx.HTTPError as problem:
            raise CannotRun(f"the gateway does not answer at {gateway}: {problem}") from problem
        if response.status_code == 200:
            return _Closing(response, client)
        text = response.read().decode(errors="replace")[:300]
        if response.status_code not in (401, 404, 503) or time.monotonic() > until:
            raise CannotRun(f"the gateway answers {response.status_code}: {text}")
        time.sleep(0.2)


class _Closing:
    """A response that closes its client with it."""

    def __init__(self, response: httpx.Response, client: httpx.Client) -> None:
        self._response, self._client = response, client

    def __enter__(self) -> httpx.Response:
        return self._response

    def __exit__(self, *about: object) -> None:
        self._response.close()
        self._client.close()


def _explain(tenant: Client, request_id: str, within: float = 30.0) -> dict[str, Any]:
    """The chain from the request to the ledger, once its spool was shipped."""
    until = time.monotonic() + within
    while True:
        try:
            chain: dict[str, Any] = tenant.request("GET", f"/api/v1/billing/requests/{request_id}")
        except ApiError as problem:
            if problem.status != 404 or time.monotonic() > until:
                raise
        else:
            if chain["transfers"]:
                return chain
        if time.monotonic() > until:
            raise CannotRun(f"request {request_id} was not charged within {within:.0f} s: is the gateway running?")
        time.sleep(0.1)


def _tell(settings: Settings, progress: Progress, told: dict[str, Any], chain: dict[str, Any]) -> None:
    """What was answered, what it used, what it cost down to the ledger, and where everything is."""
    quantities = chain["usage"]["quantities"]
    total = ", ".join(f"{each['amount']} {each['currency']}" for each in chain["total"])
    say = progress.say
    say()
    say(f"  answer      {told['answer'].strip()}")
    say(f"  tokens      {', '.join(f'{n} {meter}' for meter, n in sorted(quantities.items()) if n)}")
    for line in chain["lines"]:
        say(f"  rated       {line['quantity']} {line['meter']} x {line['unit_price']} = {line['cost']['amount']}")
    for transfer in chain["transfers"]:
        debit, credit = transfer["debit"], transfer["credit"]
        say(
            f"  transfer    {transfer['id']}: {transfer['moved']['amount']} {transfer['moved']['currency']},"
            f" {debit['purpose']} of {debit['scope']} to {credit['purpose']} of {credit['scope']}"
        )
    say(f"  cost        {total} (ironworks billing explain {told['request_id']})")
    say()
    say(f"  API         {settings.api_url}")
    say(f"  gateway     {settings.gateway_url}/v1")
    say(f"  console     {settings.api_url}  (the first one there sets it up, with the text of operator-token)")
    say(f"  credentials {settings.credentials} (operator-token, operator-password, {KEY_FILE})")
    say('  next        eval "$(.venv/bin/ironworks env)"; .venv/bin/ironworks chat')
