"""`contracts/` is what the code says, nothing is owned twice, and what was published is not broken."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironworks.app.api import all_routers
from ironworks.app.breaking import breaking_changes, breaking_events
from ironworks.app.contracts import PUBLISHED, _load, documents, published_problems, schema_document, write_contracts
from ironworks.app.domains import collect
from ironworks.app.ownership import ownership_problems, routes_of
from ironworks.shared.context import Event
from ironworks.shared.declarations import Declarations, EventClass
from ironworks.shared.http import AUTHENTICATED, PUBLIC, Router, RouteTable
from ironworks.shared.migrations import PACKAGE
from lint import sql_schemas
from tests.support.postgres import TestDatabase

FOLDER = Path(__file__).parents[2] / "contracts"
REMEDY = "run `make contracts` and look at the difference"


async def _no_watch(*_: Any) -> Any:
    raise AssertionError("nothing is watched here")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return documents()


@pytest.mark.parametrize("name", ["openapi.yaml", "asyncapi.yaml", "authz.txt", "ownership.md", "feature.schema.json"])
def test_what_is_committed_is_what_the_code_says(made: dict[str, str], name: str) -> None:
    assert (FOLDER / name).read_text() == made[name], REMEDY


def test_each_operation_has_a_name_of_its_own(made: dict[str, str]) -> None:
    """Clients that are generated call them by it."""
    paths = _load(made["openapi.yaml"])["paths"].values()
    names = Counter(operation["operationId"] for path in paths for operation in path.values())
    assert [name for name, times in names.items() if times > 1] == []


async def test_the_committed_schema_is_what_migrations_make(database: TestDatabase) -> None:
    assert (FOLDER / "schema.sql").read_text() == await schema_document(database.admin), REMEDY


def test_nothing_published_is_broken(made: dict[str, str]) -> None:
    assert all((FOLDER / "published" / name).exists() for name in PUBLISHED)
    assert published_problems(FOLDER, made) == []


def test_contracts_are_written_and_compared(tmp_path: Path) -> None:
    assert write_contracts(tmp_path / "c", {"a.txt": "1", "b.txt": "2"}, check=False) == ["a.txt", "b.txt"]
    assert write_contracts(tmp_path / "c", {"a.txt": "1", "b.txt": "3"}, check=True) == ["b.txt"]
    assert (tmp_path / "c" / "b.txt").read_text() == "2"


# --- what breaks clients ----------------------------------------------------------------------------------------------


def document() -> dict[str, Any]:
    """A small API document."""
    return {
        "paths": {
            "/things": {
                "get": {
                    "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 500}}],
                    "responses": {"200": _content({"$ref": "#/components/schemas/Thing"})},
                },
                "post": {
                    "requestBody": _content(
                        {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string", "maxLength": 63},
                                "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                                "shape": {"anyOf": [_shape(), {"type": "null"}]},
                                "color": {"enum": ["red", "blue"], "type": "string"},
                                "kind": {"pattern": "^(a|b)$", "type": "string"},
                            },
                        }
                    ),
                    "responses": {"201": _content({"$ref": "#/components/schemas/Thing"})},
                },
            }
        },
        "components": {
            "schemas": {
                "Thing": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                    },
                }
            }
        },
    }


def _shape() -> dict[str, Any]:
    return {"type": "object", "properties": {"width": {"type": "integer"}}}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _asked(doc: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = doc["paths"]["/things"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


BREAKING = {
    "GET /things is gone": lambda d: d["paths"]["/things"].pop("get"),
    "GET /things: parameter limit is gone": lambda d: d["paths"]["/things"]["get"].pop("parameters"),
    "GET /things: parameter limit is now required": lambda d: d["paths"]["/things"]["get"]["parameters"][0].update(
        required=True
    ),
    "GET /things parameter limit: maximum is now 100": lambda d: d["paths"]["/things"]["get"]["parameters"][0][
        "schema"
    ].update(maximum=100),
    "POST /things: answer 201 is gone": lambda d: d["paths"]["/things"]["post"]["responses"].pop("201"),
    "POST /things request: field name is gone": lambda d: _asked(d)["properties"].pop("name"),
    "POST /things request: field color is now required": lambda d: _asked(d)["required"].append("color"),
    "POST /things request.name: maxLength is now 20": lambda d: _asked(d)["properties"]["name"].update(maxLength=20),
    "POST /things request.name: must now match ^a": lambda d: _asked(d)["properties"]["name"].update(pattern="^a"),
    "POST /things request.kind: must now match ^(a|c)$": lambda d: _asked(d)["properties"]["kind"].update(
        pattern="^(a|c)$"
    ),
    "POST /things request.size: null is no longer taken, only integer": lambda d: _asked(d)["properties"].update(
        size={"type": "integer"}
    ),
    "POST /things request.color: value 'red' is refused": lambda d: _asked(d)["properties"]["color"].update(
        enum=["blue"]
    ),
    "POST /things request.shape: field width is gone": lambda d: _asked(d)["properties"]["shape"]["anyOf"][0].update(
        properties={}
    ),
    "GET /things answer: field parts is gone": lambda d: d["components"]["schemas"]["Thing"]["properties"].pop("parts"),
    "GET /things answer: field name may now be missing": lambda d: d["components"]["schemas"]["Thing"].pop("required"),
    "GET /things answer.name: may now be null, not only string": lambda d: d["components"]["schemas"]["Thing"][
        "properties"
    ]["name"].update(type=["string", "null"]),
}


@pytest.mark.parametrize("sentence", sorted(BREAKING))
def test_a_breaking_change_is_told(sentence: str) -> None:
    changed = document()
    BREAKING[sentence](changed)
    found = breaking_changes(document(), changed)
    assert sentence in found
    verb = sentence.partition(" ")[0]
    assert all(f.startswith(verb) or "Thing" in str(changed) for f in found)


def _loosen(doc: dict[str, Any]) -> None:
    asked = _asked(doc)
    asked["properties"]["weight"] = {"type": "number"}
    asked["properties"]["kind"]["pattern"] = "^(c|a|b)$"
    asked["properties"]["name"]["maxLength"] = 200
    asked["properties"]["color"]["enum"].append("green")
    doc["components"]["schemas"]["Thing"]["properties"]["made_at"] = {"type": "string"}
    doc["components"]["schemas"]["Thing"]["required"].append("parts")
    doc["paths"]["/things"]["get"]["parameters"].append({"name": "phase", "in": "query", "schema": {"type": "string"}})
    doc["paths"]["/others"] = {"get": {"responses": {}}}


def test_what_only_adds_breaks_nobody() -> None:
    changed = document()
    _loosen(changed)
    assert breaking_changes(document(), changed) == []


def test_a_document_does_not_break_itself(made: dict[str, str]) -> None:
    openapi, asyncapi = _load(made["openapi.yaml"]), _load(made["asyncapi.yaml"])
    assert breaking_changes(openapi, openapi) == []
    assert breaking_events(asyncapi, asyncapi) == []


def test_a_changed_event_is_told(made: dict[str, str]) -> None:
    old = _load(made["asyncapi.yaml"])
    new = copy.deepcopy(old)
    messages = new["components"]["messages"]
    del messages["platform.iam.key_rotated.v1"]
    payload = messages["platform.tenancy.platform_suspended.v1"]["payload"]["properties"]["payload"]
    del payload["properties"]["reason"]
    assert breaking_events(old, new) == [
        "event platform.iam.key_rotated.v1 is gone",
        "event platform.tenancy.platform_suspended.v1.payload: field reason is gone",
    ]


def test_a_published_document_that_would_break_is_found(tmp_path: Path, made: dict[str, str]) -> None:
    write_contracts(tmp_path / "published", {name: made[name] for name in PUBLISHED}, check=False)
    assert published_problems(tmp_path, made) == []
    changed = made["openapi.yaml"].replace("  /api/v1/kinds:", "  /api/v1/sorts:")
    assert published_problems(tmp_path, {**made, "openapi.yaml": changed}) == ["GET /api/v1/kinds is gone"]


# --- one owner for everything -----------------------------------------------------------------------------------------


class Happened(Event):
    type = "platform.iam.key_rotated.v1"


def test_nothing_is_owned_twice() -> None:
    catalogue = collect()
    assert ownership_problems(catalogue, all_routers(catalogue, _no_watch)) == []


def test_a_path_that_two_domains_claim_is_found() -> None:
    first, second = Router("platform.iam"), Router("platform.audit")

    async def handler() -> None: ...

    first.add("GET", "/api/v1/things/{name}", handler, permission=PUBLIC)
    second.add("POST", "/api/v1/things/{uid}", handler, permission=PUBLIC)
    found = ownership_problems(collect(()), [first, second])
    assert found == ["/api/v1/things/{} is owned by platform.iam and by platform.audit"]
    second.add("GET", "/api/v1/things/{other}", handler, permission=PUBLIC)
    with pytest.raises(ValueError, match=r"owned by platform\.iam already"):
        RouteTable([*first.routes, *second.routes])


def test_an_event_that_two_domains_claim_is_found() -> None:
    catalogue = collect()
    catalogue.declarations["platform.audit"] = Declarations(events=(EventClass(Happened.type, Happened),))
    found = ownership_problems(catalogue, [])
    assert f"{Happened.type} is published by platform.audit: its name must begin with platform.audit." in found
    assert f"{Happened.type} is owned by platform.audit and by platform.iam" in found


def test_every_route_needs_a_permission_that_is_declared() -> None:
    catalogue = collect()
    declared = {*catalogue.permissions, PUBLIC, AUTHENTICATED}
    assert {r.permission for r in routes_of(all_routers(catalogue, _no_watch))} - declared == set()


PUBLIC_ROUTES = {
    "GET /.well-known/jwks.json", "GET /api/v1/auth/jwks", "GET /api/v1/openapi.json", "GET /healthz", "GET /readyz",
    "POST /api/v1/auth:login", "POST /api/v1/auth:logout", "POST /api/v1/auth:refresh", "POST /api/v1/signup",
    "POST /api/v1/signup:resend", "POST /api/v1/signup:verify", "POST /api/v1/password:forgot",
    # with a mailed link's token in their bodies
    "POST /api/v1/password:reset", "POST /api/v1/invitations:read", "POST /api/v1/invitations:join",
    "GET /api/v1/session/oidc", "GET /api/v1/session/oidc/callback",
    "GET /api/v1/console", "POST /api/v1/session", "POST /api/v1/session/token", "DELETE /api/v1/session",
    "POST /api/v1/setup",  # with the operator's key in its body
    "GET /console/features/{digest}/index.js",  # who knows the digest knows the content
    "POST /api/v1/webhooks/stripe",  # signed by who sends it
}  # fmt: skip


def test_what_anyone_may_call_without_a_credential() -> None:
    routes = routes_of(all_routers(collect(), _no_watch))
    assert {f"{r.method} {r.path}" for r in routes if r.permission == PUBLIC} == PUBLIC_ROUTES


def test_events_that_are_declared_are_those_that_are_emitted() -> None:
    declared = {event.model.__name__ for d in collect().declarations.values() for event in d.events}
    assert _emitted() == declared


def _emitted() -> set[str]:
    """Names of our event classes that the code makes somewhere."""
    trees = [ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")]
    called = {n.func.id for t in trees for n in ast.walk(t) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return {c.__name__ for c in _subclasses(Event) if c.__module__.startswith("ironworks.")} & called


def _subclasses(of: type[Event]) -> Iterator[type[Event]]:
    for found in of.__subclasses__():
        yield found
        yield from _subclasses(found)


# --- a domain's SQL names its own schema ------------------------------------------------------------------------------


def test_no_sql_names_another_domain_s_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    assert sql_schemas.problems() == []


def test_sql_that_names_another_domain_s_schema_is_found() -> None:
    schemas = {"platform_iam", "platform_audit", "shared"}

    def found(sql: str) -> list[str]:
        return sql_schemas.foreign_names(sql, "platform_audit", schemas)

    assert found("select * from platform_iam.user u") == ["platform_iam.user"]
    assert found('select * from "platform_iam"."user"') == ["platform_iam.user"]
    assert found("select platform_audit.seal(1), shared.subject() -- platform_iam.user") == []
    assert (
        found("select shared.create_kind_table('A', 'platform_audit.a', refs => '{\"b\": \"platform_iam.b\"}')") == []
    )
