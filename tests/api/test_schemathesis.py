"""Whatever the API document allows to be sent, and whatever it does not: the answer is one that the document tells.

Each operation is called with generated requests, by the operator and by a tenant's administrator: as they come, and
aimed at a resource that exists. No answer may be a 5xx, have an undeclared status, or a body that its schema does not
know; what the document forbids must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ironworks.app.api import all_routers, api_document
from ironworks.app.domains import collect
from tests.support.api import ServedApi, api_world, bootstrapped_database, served_api
from tests.support.postgres import Server, run_apart

EXAMPLES = 6
TENANT = "acme.shop.eu"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


async def _no_watch(*_: Any) -> Any:
    raise AssertionError("documents are made, not served")


DOCUMENT = json.loads(json.dumps(api_document(all_routers(collect(), _no_watch))))
OPERATIONS = sorted(f"{m.upper()} {p}" for p, methods in DOCUMENT["paths"].items() for m in methods)
GENERATION = GenerationConfig(with_security_parameters=False)  # credentials have tests of their own
SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT, config=SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=GENERATION)))
)
TRUE = {"true", "1", "yes", "on", "t", "y"}
"""What asks for a stream that does not end."""
NEEDS_A_SUPERVISOR = "GET /api/v1/scopes/{path}/endpoints/{name}/logs"
"""Nothing runs models here, so this may answer 503."""


@dataclass(frozen=True)
class Target:
    """The served API, and a key of each caller."""

    api: ServedApi
    tokens: dict[str, str]
    client: httpx.Client


@pytest.fixture(scope="module")
def target(postgres: Server, run_folder: Path) -> Iterator[Target]:
    place = bootstrapped_database(postgres, run_folder)

    async def prepare() -> str:
        async with api_world(place) as world:
            await world.scope(TENANT)
            admin = await world.subject(TENANT, "admin", "-/tenant-admin")
            for plural, spec in SPECS.items():
                await world.operator.create(plural, TENANT, "thing", spec)
            assert admin.token is not None
            return admin.token

    tokens = {"tenant": run_apart(prepare), "operator": place.operator_token}
    with served_api(place) as api, httpx.Client(base_url=api.url, timeout=30) as client:
        yield Target(api, tokens, client)
    postgres.drop_database(place)


AIM = {"path": TENANT, "name": "thing"}
SPECS: dict[str, dict[str, Any]] = {
    "endpoints": {"model": {"name": "smollm2"}},
    "service-accounts": {},
    "tenants": {},
    "engines": {"versions": [{"version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]},
    "model-registries": {"type": "package"},
    "api-keys": {},
}


@pytest.mark.parametrize("who", ["operator", "tenant"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_are_what_the_document_tells(target: Target, operation: str, who: str) -> None:
    method, _, path = operation.partition(" ")
    told = SCHEMA[path][method.lower()]
    aim = {name: value for name, value in AIM.items() if f"{{{name}}}" in path}
    checks = CHECKS[1:] if operation == NEEDS_A_SUPERVISOR else CHECKS

    def run(mode: GenerationMode, *more: Any, **fixed: Any) -> None:
        @QUICK
        @given(case=told.as_strategy(generation_mode=mode, **fixed))
        def call(case: Case) -> None:
            answer = _send(target, case, who)
            told_so_far = CHECKS[:-1] if _streams(answer) else checks  # a stream is read up to its first bytes
            case.validate_response(answer, checks=[*told_so_far, *more])

        call()

    aimed = {"path_parameters": aim} if aim else {}
    run(GenerationMode.POSITIVE, **aimed)
    if who == "operator" and told.path_parameters:
        run(GenerationMode.POSITIVE)
    if who == "operator" and (told.query or told.body):  # what is malformed is so for everybody
        run(GenerationMode.NEGATIVE, negative_data_rejection, **aimed)


def _send(target: Target, case: Case, who: str) -> httpx.Response:
    for stream in ("watch", "follow"):
        if isinstance(case.query, dict) and str(case.query.get(stream)).lower() in TRUE:
            del case.query[stream]
    request = case.as_transport_kwargs(base_url=target.api.url)
    headers = {k: v for k, v in dict(request.get("headers") or {}).items() if k.lower() != "authorization"}
    headers["authorization"] = f"Bearer {target.tokens[who]}"
    with target.client.stream(
        request["method"], request["url"], params=request.get("params"), headers=headers,
        json=request.get("json"), content=request.get("data"),
    ) as response:  # fmt: skip
        if not _streams(response):
            response.read()
            return response
        begun = next(response.iter_bytes())  # it does not end
    answer = httpx.Response(response.status_code, headers=response.headers, content=begun, request=response.request)
    answer.elapsed = timedelta()
    return answer


def _streams(response: httpx.Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/event-stream")
