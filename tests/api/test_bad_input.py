"""What bad input gets: a 4xx in the one envelope that names the field, all problems at once, and nothing written.

Never a 500, never a stack trace. Every table's rows are counted before and after; the audit trail alone may grow, for
it keeps what was denied.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from ironworks.platform.iam.model import new_key
from ironworks.shared.http import Route
from tests.support.api import ApiWorld, Caller, envelope

TENANT, RIVAL = "acme.shop.eu", "rival.shop.eu"
ENDPOINT = {"model": {"name": "smollm2"}}
ENDPOINTS = f"scopes/{TENANT}/endpoints"


@pytest.fixture
async def eve(world: ApiWorld) -> Caller:
    """The administrator of one tenant, beside another with an endpoint of its own."""
    for place in (TENANT, RIVAL):
        await world.scope(place)
    await world.operator.create("endpoints", RIVAL, "theirs", ENDPOINT)
    await world.operator.create("endpoints", TENANT, "ours", ENDPOINT)
    return await world.subject(TENANT, "eve", "-/tenant-admin")


@asynccontextmanager
async def nothing_written(world: ApiWorld) -> AsyncIterator[None]:
    """Fails if any table has another number of rows at the end, but those that tell of the refusal."""
    before = await world.counts()
    yield
    assert not await world.written_since(before)


def refused(answer: httpx.Response, status: int, *fields: str) -> dict[str, Any]:
    """The error; fails unless it has the status and names exactly these fields."""
    asked = f"{answer.request.method} {answer.request.url}"
    assert answer.status_code == status, f"{asked}: {answer.status_code} {answer.text}"
    error = envelope(answer)
    assert error["message"], asked
    if fields:
        named = [problem["field"] for problem in error["details"]["fields"]]
        assert sorted(named) == sorted(fields), f"{asked}: {error}"
        assert all(problem["problem"] for problem in error["details"]["fields"])
    return error


def document(name: str = "new", **changes: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": ENDPOINT, **changes}


# --- bytes that are no document ---------------------------------------------------------------------------------------

NO_JSON = {
    "truncated": b'{"metadata": {',
    "trailing": b'{"metadata": {}} and more',
    "two documents": b"{}{}",
    "yaml": b"metadata:\n  name: x\n",
    "single quotes": b"{'a': 1}",
    "bad UTF-8": b'{"metadata": {"name": "\xff\xfe"}}',
    "UTF-16": '{"metadata": {}}'.encode("utf-16"),
    "half a character": b'{"a": "\xc3"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number without end": b'{"a": 1e99999}',
    "nested without end": b"[" * 200_000 + b"]" * 200_000,
    "nested objects without end": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "control character": b'{"a": "\x01"}',
    "NUL byte": b'{"a": "b\x00"}',
}


async def test_what_is_not_json_is_refused(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for content in NO_JSON.values():
            for method, path in (("POST", ENDPOINTS), ("PATCH", f"{ENDPOINTS}/ours"), ("POST", "prices")):
                headers = {"content-type": "application/json"}
                refused(await eve.call(method, path, content=content, headers=headers), 422, "body")


@pytest.mark.parametrize("depth", [65, 200, 500, 900, 1000, 1020])
async def test_json_that_is_nested_too_deeply_is_refused(world: ApiWorld, eve: Caller, depth: int) -> None:
    args = b'{"a":' * depth + b'"\\u0000"' + b"}" * depth
    plain = args.replace(b"\\u0000", b"")
    async with nothing_written(world):
        for value in (args, plain):
            content = b'{"metadata":{"name":"x"},"spec":{"model":{"name":"m"},"variables":{"engine_args":%b}}}' % value
            for method, path in (("POST", ENDPOINTS), ("PATCH", f"{ENDPOINTS}/ours")):
                headers = {"content-type": "application/json"}
                refused(await eve.call(method, path, content=content, headers=headers), 422, "body")


async def test_a_body_of_another_type_or_size_is_refused(world: ApiWorld, eve: Caller) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    async with nothing_written(world):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/yaml", "nonsense", ""):
            answer = await eve.call("POST", ENDPOINTS, content=b"{}", headers={"content-type": kind})
            refused(answer, 415)
        large = json.dumps(document(padding="x" * (1 << 20))).encode()
        refused(await eve.call("POST", ENDPOINTS, content=large), 413)
        refused(await eve.call("POST", ENDPOINTS, content=pieces()), 413)


# --- documents with problems ------------------------------------------------------------------------------------------

LONG = "x" * 64
DOCUMENTS: list[tuple[Any, list[str]]] = [
    ([], ["body"]),
    (None, ["metadata.name", "spec"]),
    ("text", ["body"]),
    ({}, ["metadata.name", "spec"]),
    (document(kind="Gadget"), ["kind"]),
    (document(api_version="v2"), ["api_version"]),
    (document(colour="red"), ["colour"]),
    (document(metadata=[]), ["metadata", "metadata.name"]),
    (document(metadata={"name": "new", "color": 1}), ["metadata.color"]),
    (document(metadata={"name": 7}), ["metadata.name"]),
    (document(metadata={"name": LONG}), ["metadata.name"]),
    (document(metadata={"name": "New"}), ["metadata.name"]),
    (document(metadata={"name": "-new"}), ["metadata.name"]),
    (document(metadata={"name": "a/b"}), ["metadata.name"]),
    (document(metadata={"name": "a.b"}), ["metadata.name"]),
    (document(metadata={"name": ""}), ["metadata.name"]),
    (document(metadata={"name": "new\n"}), ["metadata.name"]),
    (document(metadata={"name": "ñandú"}), ["metadata.name"]),
    (document(metadata={"name": "new", "scope": RIVAL}), ["metadata.scope"]),
    (document(metadata={"name": "new", "display_name": "x" * 129}), ["metadata.display_name"]),
    (document(metadata={"name": "new", "labels": {"a b": "c"}}), ["metadata.labels.a b.[key]"]),
    (document(metadata={"name": "new", "labels": {"a": "b c"}}), ["metadata.labels.a"]),
    (document(metadata={"name": "new", "labels": {"a": 1}}), ["metadata.labels.a"]),
    (document(metadata={"name": "new", "labels": {f"l{n}": "x" for n in range(65)}}), ["metadata.labels"]),
    (document(metadata={"name": "new", "annotations": {"a": "x" * 4097}}), ["metadata.annotations.a"]),
    (
        document(metadata={"name": "new", "owner_references": [{"kind": "X", "uid": "no", "name": "n"}]}),
        ["metadata.owner_references[0].uid"],
    ),
    (document(metadata={"name": "new", "resource_version": -1}), ["metadata.resource_version"]),
    (document(metadata={"name": "new", "resource_version": 2**63}), ["metadata.resource_version"]),
    (document(metadata={"name": "new", "resource_version": 10**40}), ["metadata.resource_version"]),
    (document(metadata={"name": "new", "resource_version": "latest"}), ["metadata.resource_version"]),
    (document(spec="text"), ["spec"]),
    (document(spec={}), ["spec.model"]),
    (document(spec={**ENDPOINT, "colour": 1}), ["spec.colour"]),
    (document(spec={**ENDPOINT, "replicas": {"num": "three"}}), ["spec.replicas.num"]),
    (document(spec={**ENDPOINT, "replicas": {"num": 1.5}}), ["spec.replicas.num"]),
    (document(spec={**ENDPOINT, "replicas": {"num": -1}}), ["spec.replicas.num"]),
    (document(spec={**ENDPOINT, "replicas": {"num": 2**70}}), ["spec.replicas.num"]),
    (document(spec={**ENDPOINT, "replicas": None}), ["spec.replicas"]),
    (document(spec={"model": {"name": "smollm2", "task": "dreaming"}}), ["spec.model.task"]),
    (document(spec={"model": {"name": "gpt-9"}}), ["spec.model"]),
    (document(spec={"model": {"name": "x" * 129}}), ["spec.model.name"]),
    (document(spec={**ENDPOINT, "resources": {"cpu": "lots"}}), ["spec.resources.cpu"]),
    (document(spec={**ENDPOINT, "variables": {"engine_args": {"rm": "-rf"}}}), ["spec.variables.engine_args.rm"]),
    (document(spec={**ENDPOINT, "env": {"LD_PRELOAD": "/tmp/x.so"}}), ["spec.env.LD_PRELOAD"]),
    (document(spec={**ENDPOINT, "engine": {"version": "99"}}), ["spec.engine.version"]),
    (document(spec={**ENDPOINT, "cluster": "-/nowhere"}), ["spec.cluster"]),
    (document(spec={**ENDPOINT, "cluster": f"{RIVAL}/theirs"}), ["spec.cluster"]),
    (document(spec={**ENDPOINT, "cluster": "a/b/c"}), ["spec.cluster"]),
    (document(spec={**ENDPOINT, "cluster": "/"}), ["spec.cluster"]),
    (document(spec={**ENDPOINT, "cluster": ""}), ["spec.cluster"]),
    (document(spec={**ENDPOINT, "cluster": "-/local'; drop schema shared; --"}), ["spec.cluster"]),
    (document(status={"phase": "Running"}), ["status"]),
]


async def test_a_document_with_a_problem_is_refused_by_its_field(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for body, fields in DOCUMENTS:
            content = b"" if body is None else json.dumps(body).encode()
            for path in (ENDPOINTS, f"{ENDPOINTS}?dry_run=true"):
                refused(await eve.call("POST", path, content=content), 422, *fields)


async def test_all_problems_are_told_at_once(world: ApiWorld, eve: Caller) -> None:
    body = {
        "api_version": "v7", "kind": "Gadget", "surprise": 1,
        "metadata": {"name": "No Name", "scope": RIVAL, "labels": {"a b": "c d"}},
        "spec": {"model": {"name": "", "size": 1}, "replicas": {"num": "x"}, "cluster": 7},
    }  # fmt: skip
    fields = [
        "api_version", "kind", "surprise", "metadata.name", "metadata.scope", "metadata.labels.a b.[key]",
        "metadata.labels.a b", "spec.model.name", "spec.model.size", "spec.replicas.num", "spec.cluster",
    ]  # fmt: skip
    async with nothing_written(world):
        refused(await eve.call("POST", ENDPOINTS, body), 422, *fields)
        unresolved = {
            "model": {"name": "m", "registry": "nope"}, "engine": {"engine": "none"}, "cluster": "-/nowhere",
        }  # fmt: skip
        wanted = ("spec.model.registry", "spec.engine.engine", "spec.cluster")
        refused(await eve.call("POST", ENDPOINTS, document(spec=unresolved)), 422, *wanted)
        many = {"metadata": {"name": "x"}, "spec": {**ENDPOINT, **{f"f{n}": 1 for n in range(500)}}}
        error = refused(await eve.call("POST", ENDPOINTS, many), 422)
        assert len(error["details"]["fields"]) == 100
        assert "and 497 more" in error["message"]


PATCHES: list[tuple[Any, int, list[str]]] = [
    ([], 422, ["body"]),
    ("x", 422, ["body"]),
    ({"spec": None}, 422, ["spec"]),
    ({"spec": {"model": None}}, 422, ["spec.model"]),
    ({"spec": {"replicas": {"num": "x"}}}, 422, ["spec.replicas.num"]),
    ({"spec": {"cluster": "-/other"}}, 422, ["spec.cluster"]),
    ({"metadata": {"name": "other"}}, 422, ["metadata.name"]),
    ({"metadata": {"resource_version": 1}}, 409, []),
    ({"status": {"phase": "Running"}}, 422, ["status"]),
    ({"kind": "Gadget"}, 422, ["kind"]),
    ({"surprise": {"a": 1}}, 422, ["surprise"]),
]


async def test_a_bad_patch_changes_nothing(world: ApiWorld, eve: Caller) -> None:
    before = await eve.get(f"{ENDPOINTS}/ours")
    async with nothing_written(world):
        for patch, status, fields in PATCHES:
            refused(await eve.call("PATCH", f"{ENDPOINTS}/ours", patch), status, *fields)
    assert await eve.get(f"{ENDPOINTS}/ours") == before


async def test_what_is_the_server_s_is_not_written(world: ApiWorld, eve: Caller) -> None:
    """A document that was read may be sent back; what the server owns is not taken over from it."""
    before = await eve.get(f"{ENDPOINTS}/ours")
    sent = json.loads(json.dumps(before))
    sent["metadata"] |= {"uid": str(uuid4()), "generation": 99, "creation_timestamp": "1970-01-01T00:00:00Z"}
    assert await eve.expect(200, "PUT", f"{ENDPOINTS}/ours", sent) == before
    sent["status"]["phase"] = "Running"
    refused(await eve.call("PUT", f"{ENDPOINTS}/ours", sent), 422, "status")
    refused(await eve.call("POST", f"{ENDPOINTS}/ours:apply", sent), 422, "status")
    stale = {**document("ours"), "metadata": {"name": "ours", "resource_version": 1}}
    for method, path in (("PUT", "ours"), ("POST", "ours:apply")):
        error = refused(await eve.call(method, f"{ENDPOINTS}/{path}", stale), 409)
        assert error["details"]["field"] == "metadata.resource_version"
        assert error["details"]["current"] == before["metadata"]["resource_version"]
    assert await eve.get(f"{ENDPOINTS}/ours") == before


BAD_PATHS = [
    "Acme", "acme..shop", "acme.", ".acme", "-acme", "acme-", "a_b", "acme.shop.", "ä", "a" * 64, "a.b.c.d.e.f.g.h.i",
    "acme shop", "acme%2Fshop", "acme%00", "acme%0d%0aset-cookie", "*", "%25", "acme'--", "--", "acme,shop", "{path}",
]  # fmt: skip


async def test_a_bad_path_is_named(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for path in BAD_PATHS:
            for plural in ("endpoints", "usage", "audit"):
                answer = await eve.call("GET", f"scopes/{path}/{plural}")
                if "%2F" not in path:
                    refused(answer, 422, "path")
                else:
                    refused(answer, 404)
            if "%2F" not in path:
                refused(await eve.call("POST", f"scopes/{path}/endpoints", document()), 422, "path")
                refused(await eve.call("GET", f"{ENDPOINTS}/{path}"), 422, "name")
        for path in ("nowhere", "acme.nowhere", "acme.shop.eu.nowhere"):
            refused(await eve.call("POST", f"scopes/{path}/endpoints", document()), 422 if path.count(".") < 2 else 404)
        refused(await eve.call("POST", f"scopes/{TENANT}/gadgets", document()), 404)
        refused(await eve.call("GET", "/nothing/here"), 404)


BAD_QUERIES = [
    ("limit=0", "limit"), ("limit=501", "limit"), ("limit=many", "limit"), ("limit=1&limit=2", "limit"),
    ("limit=99999999999999999999", "limit"), ("limit=", "limit"), ("watch=perhaps", "watch"), ("colour=red", "colour"),
    ("labels=a", "labels"), ("labels==", "labels"), ("labels=a=b,,", "labels"), ("cursor=x", "cursor"),
    ("cursor=W10", "cursor"), ("cursor=WzEsMl0", "cursor"), ("phase=" + "x" * 65, "phase"), ("phase=%00", "phase"),
    ("labels=a%00=b", "labels"), ("cursor=" + "A" * 1025, "cursor"), ("limit=%ff", "query"), ("=1", ""),
    ("&".join(f"a{n}=1" for n in range(60)), "query"),
]  # fmt: skip


async def test_a_bad_query_is_named(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for query, field in BAD_QUERIES:
            refused(await eve.call("GET", f"{ENDPOINTS}?{query}"), 422, field)
        error = refused(await eve.call("GET", f"{ENDPOINTS}?limit=0&watch=perhaps&colour=red"), 422)
        assert {p["field"] for p in error["details"]["fields"]} == {"limit", "watch", "colour"}
        for query, field in (("dry_run=perhaps", "dry_run"), ("force=2", "force"), ("dryrun=true", "dryrun")):
            refused(await eve.call("DELETE", f"{ENDPOINTS}/ours?{query}"), 422, field)


async def test_a_method_that_is_not_possible_says_which_are(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for route in world.api.table.routes:
            path = route.path.replace("{path}", TENANT).replace("{name}", "ours").replace("{", "").replace("}", "")
            methods, _ = world.api.table.find(path)
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - set(methods):
                answer = await eve.call(method, path)
                refused(answer, 405)
                assert answer.headers["allow"] == ", ".join(sorted(methods))


HEADERS = [
    ({"idempotency-key": ""}, "Idempotency-Key"),
    ({"idempotency-key": "with space"}, "Idempotency-Key"),
    ({"idempotency-key": "x" * 256}, "Idempotency-Key"),
    ({"idempotency-key": b"\xc3\xa4"}, "Idempotency-Key"),
]


async def test_bad_headers(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for headers, field in HEADERS:
            refused(await eve.call("POST", ENDPOINTS, document(), headers=headers), 422, field)
        for sent in ("a b", "<script>", "x" * 200, "a\tb"):
            answer = await eve.call("GET", ENDPOINTS, headers={"x-request-id": sent})
            assert "x-client-request-id" not in answer.headers
    answer = await eve.call("GET", ENDPOINTS, headers={"x-request-id": "job-7/a.b"})
    assert answer.headers["x-client-request-id"] == "job-7/a.b"
    assert answer.headers["x-request-id"].startswith("req_")


# --- who may not ------------------------------------------------------------------------------------------------------


async def test_another_tenant_s_object_does_not_exist(world: ApiWorld, eve: Caller) -> None:
    theirs, absent = f"scopes/{RIVAL}/endpoints/theirs", f"scopes/{RIVAL}/endpoints/absent"
    requests: list[tuple[str, str, Any]] = [
        ("GET", "", None), ("PUT", "", document("theirs")), ("PATCH", "", {"spec": {}}), ("DELETE", "", None),
        ("DELETE", "?force=true", None), ("POST", ":apply", document("theirs")), ("GET", "/logs", None),
        ("PATCH", "?dry_run=true", {"spec": {}}),
    ]  # fmt: skip
    async with nothing_written(world):
        for method, tail, body in requests:
            answers = []
            for one, name in ((theirs, "theirs"), (absent, "absent")):
                sent = json.loads(json.dumps(body).replace("theirs", name)) if body else None
                answer = await eve.call(method, one + tail, sent)
                error = refused(answer, 404)
                answers.append(json.dumps({**error, "request_id": ""}).replace(name, "?"))
            assert answers[0] == answers[1], "a difference tells that it exists"
        refused(await eve.call("POST", f"scopes/{RIVAL}/endpoints", document()), 404)
        for path in ("usage", "balance", "audit", "usage/requests"):
            refused(await eve.call("GET", f"scopes/{RIVAL}/{path}"), 404)
        assert await eve.items(f"scopes/{RIVAL}/endpoints") == []
        assert {e["metadata"]["scope"] for e in await eve.items("endpoints")} == {TENANT}


async def test_what_is_seen_and_not_allowed_is_forbidden(world: ApiWorld, eve: Caller) -> None:
    viewer = await world.subject(TENANT, "watcher", "-/viewer")
    async with nothing_written(world):
        for caller in (viewer,):
            refused(await caller.call("POST", ENDPOINTS, document()), 403)
            refused(await caller.call("PUT", f"{ENDPOINTS}/ours", document("ours")), 403)
            refused(await caller.call("PATCH", f"{ENDPOINTS}/ours", {"metadata": {"labels": {"a": "b"}}}), 403)
            refused(await caller.call("DELETE", f"{ENDPOINTS}/ours"), 403)
        refused(await eve.call("DELETE", f"{ENDPOINTS}/ours?force=true"), 403)
        refused(await eve.call("GET", "mails"), 403)
        refused(await eve.call("POST", "prices", {"meter": "output_tokens", "unit_price": "0"}), 403)
        refused(await eve.call("PATCH", "scopes/-/engines/llama-cpp", {"metadata": {"labels": {"a": "b"}}}), 403)


async def test_a_credential_that_is_none_is_refused(world: ApiWorld, eve: Caller) -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    expired = await world.key(TENANT, "expired", expires_at=past)
    disabled = await world.key(TENANT, "disabled")
    await world.operator.expect(200, "PATCH", f"scopes/{TENANT}/api-keys/disabled", {"spec": {"disabled": True}})
    deleted = await world.key(TENANT, "deleted")
    await world.operator.expect(200, "DELETE", f"scopes/{TENANT}/api-keys/deleted")
    replaced = await world.key(TENANT, "replaced")
    await world.operator.expect(200, "POST", f"scopes/{TENANT}/api-keys/replaced:rotate", {})
    assert eve.token is not None
    tokens = [
        expired.token, disabled.token, deleted.token, replaced.token, new_key(uuid4()), eve.token[:-1], eve.token + "x",
        eve.token.lower(), "iwk_", "iwk_' or 1=1 --", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 5000,
    ]  # fmt: skip
    headers: list[dict[str, Any]] = [{"authorization": f"Bearer {token}"} for token in tokens]
    headers += [{}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": "Bearer "}]
    headers += [{"authorization": "Basic ZXZlOmV2ZQ=="}, {"authorization": eve.token}]
    headers += [{"authorization": b"Bearer \xff\xfe"}]
    nobody = world.calling(None)
    async with nothing_written(world):
        for sent in headers:
            for method, path, body in (("GET", ENDPOINTS, None), ("POST", ENDPOINTS, document()), ("GET", "me", None)):
                answer = await nobody.call(method, path, body, headers=sent)
                refused(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        # a bad credential is not as good as none, also where none is needed
        refused(await nobody.call("GET", "auth/jwks", headers={"authorization": "Bearer x"}), 401)


IDENTITY: list[tuple[str, str, dict[str, Any], int, str | None]] = [
    ("roles", "acme", {"permissions": ["nonsense:read"]}, 403, None),
    ("role-assignments", TENANT, {"subject": "user:nobody@example.com", "role": "-/viewer"}, 422, "spec.subject"),
    ("role-assignments", TENANT, {"subject": "eve", "role": "-/viewer"}, 422, "spec.subject"),
    ("role-assignments", TENANT, {"subject": f"service-account:{TENANT}/eve", "role": "viewer"}, 422, "spec.role"),
    ("role-assignments", TENANT, {"subject": f"service-account:{TENANT}/eve", "role": "-/operator"}, 403, None),
    ("api-keys", TENANT, {"owner": "user:nobody@example.com"}, 422, "spec.owner"),
    ("api-keys", TENANT, {"permissions": ["nonsense:read"]}, 422, "spec.permissions"),
    ("api-keys", TENANT, {"permissions": ["no colon"]}, 422, "spec.permissions[0]"),
    ("api-keys", TENANT, {"expires_at": "tomorrow"}, 422, "spec.expires_at"),
    ("api-keys", TENANT, {"expires_at": "2030-01-01T00:00:00"}, 422, "spec.expires_at"),
    ("clusters", TENANT, {"type": "local"}, 422, "spec.type"),
    ("model-registries", TENANT, {"type": "directory", "directory": "/etc"}, 422, "spec.type"),
    ("platforms", TENANT, {}, 422, "metadata.scope"),
]


async def test_what_the_domains_refuse(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for plural, path, spec, status, field in IDENTITY:
            answer = await eve.call("POST", f"scopes/{path}/{plural}", {"metadata": {"name": "new"}, "spec": spec})
            refused(answer, status, *([field] if field else []))
    user = {"metadata": {"name": "eva"}, "spec": {"email": "eva@example.com"}}
    await world.operator.expect(201, "POST", "scopes/-/users", user)
    async with nothing_written(world):
        taken = {"metadata": {"name": "eva2"}, "spec": {"email": "EVA@example.com"}}
        assert (
            refused(await world.operator.call("POST", "scopes/-/users", taken), 409)["details"]["field"] == "spec.email"
        )
        refused(await world.operator.call("POST", "scopes/-/users", user), 409)
        refused(await world.operator.call("DELETE", "scopes/-/accounts/acme"), 409)
        wide = {"metadata": {"name": "wide"}, "spec": {"permissions": ["nonsense:read"]}}
        refused(await world.operator.call("POST", "scopes/acme/roles", wide), 422, "spec.permissions")


# --- injection, in every string ---------------------------------------------------------------------------------------

INJECTIONS = [
    "'; drop schema shared cascade; --", '" or 1=1 --', "$1", "%s%n", "\\", "a\r\nset-cookie: a=b", "\x1b[2J", "${7*7}",
    "../../../etc/passwd", "<script>alert(1)</script>", "\u202egpj.exe", "\U0010ffff", "x" * 70_000, "a\x00b", "***",
]  # fmt: skip


def specs() -> dict[str, tuple[str, dict[str, Any]]]:
    """Plural → a scope, and a spec that sets every string field there is."""
    model = {
        "name": "m", "version": "1", "package": "p", "package_version": "1", "sha256": "0" * 64, "file": "f",
        "license": "l", "description": "d",
    }  # fmt: skip
    argument = {"type": "string", "description": "d", "default": "x", "enum": ["x"]}
    version = {
        "version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"],
        "values_schema": {"properties": {"a": argument}}, "capabilities": {"metrics_export": {"path": "/m"}},
    }  # fmt: skip
    endpoint = {
        "cluster": "-/local",
        "model": {"name": "smollm2", "registry": "-/builtin", "version": "", "file": "model.gguf"},
        "engine": {"engine": "-/llama-cpp", "version": "1.0"},
        "resources": {"cpu": "1", "memory": "1Gi"},
        "env": {"LANG": "C"},
    }
    upstream = {
        "name": "main", "url": "https://api.example.com/v1", "dialect": "openai",
        "auth": {"type": "bearer"}, "model_mapping": {"m": "m"},
    }  # fmt: skip
    limit = {
        "scope": TENANT, "key": "eve-key", "route": "chat", "per": ["end_user"], "concurrency": 1,
        "allowed_models": ["m"],
    }  # fmt: skip
    budget = {
        "amount": "1", "currency": "USD", "period": "day", "mode": "hard", "on_failure": "closed", "key": "eve-key",
    }  # fmt: skip
    return {
        "accounts": ("-", {"contact_email": "a@example.com"}),
        "platforms": ("acme", {"description": "d"}),
        "tenants": ("acme.shop", {"description": "d"}),
        "users": ("-", {"email": "b@example.com"}),
        "service-accounts": (TENANT, {"description": "d"}),
        "roles": ("acme", {"permissions": ["role:read"], "description": "d"}),
        "role-assignments": (TENANT, {"subject": "user:operator@localhost", "role": "-/viewer"}),
        "api-keys": (TENANT, {"owner": "user:operator@localhost", "permissions": ["role:read"], "expires_at": None}),
        "engines": (TENANT, {"versions": [version]}),
        "model-registries": (TENANT, {"type": "package", "models": [model]}),
        "clusters": ("-", {"type": "local"}),
        "endpoints": (TENANT, endpoint),
        "limits": (TENANT, limit),
        "budgets": (TENANT, budget),
        "external-endpoints": (TENANT, {"upstreams": [upstream]}),
        "routes": (TENANT, {"model": "m", "strategy": "weighted", "targets": [{"endpoint": "ours"}]}),
        "trace-policies": (TENANT, {"model": "m"}),
    }


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the strings of a document are."""
    if isinstance(node, str):
        yield at
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*at, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from places(value, (*at, index))


def replaced(node: Any, at: tuple[Any, ...], value: str) -> Any:
    copy = json.loads(json.dumps(node))
    inner = copy
    for part in at[:-1]:
        inner = inner[part]
    inner[at[-1]] = value
    return copy


def value_at(node: Any, at: tuple[Any, ...]) -> Any:
    for part in at:
        node = node[part]
    return node


def dotted(at: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")


async def test_every_string_of_every_kind_is_refused_or_kept_as_it_is(world: ApiWorld, eve: Caller) -> None:
    made = specs()
    assert set(made) == {kind.plural for kind in world.kinds}
    kept = 0
    async with nothing_written(world):
        for kind in world.kinds:
            path, spec = made[kind.plural]
            body = {
                "api_version": "v1", "kind": kind.name,
                "metadata": {"name": "probe", "display_name": "d", "labels": {"a": "b"}, "annotations": {"a": "b"}},
                "spec": spec,
            }  # fmt: skip
            url = f"scopes/{path}/{kind.plural}?dry_run=true"
            assert (await world.operator.call("POST", url, body)).status_code == 200, kind.name
            for at in places(body):
                for text in INJECTIONS:
                    kept += await _probe(world.operator, url, replaced(body, at, text), at, text)
    assert kept > 100


async def _probe(caller: Caller, url: str, body: dict[str, Any], at: tuple[Any, ...], text: str) -> bool:
    answer = await caller.call("POST", url, body)
    if answer.status_code == 200:
        assert value_at(answer.json()["resource"], at) == text
        return True
    assert 400 <= answer.status_code < 500, f"{dotted(at)}={text[:40]!r}: {answer.status_code} {answer.text[:500]}"
    error = envelope(answer)
    named = {problem["field"] for problem in error["details"].get("fields", ())} | {error["details"].get("field")}
    top = dotted(at).split("[")[0]
    assert any(f and (f == "body" or f.startswith(top) or top.startswith(f)) for f in named), f"{dotted(at)}: {error}"
    assert len(answer.content) < 4096, "what was sent comes back at length"
    return False


@pytest.mark.parametrize("body", [[], [{}], "text", 3])
async def test_a_body_that_is_no_object_is_told_what_one_holds(world: ApiWorld, body: object) -> None:
    """Never by the name of a class of ours."""
    answer = await world.operator.call("POST", "usage", body)
    refused(answer, 422, "body")
    (problem,) = envelope(answer)["details"]["fields"]
    assert (problem["problem"], problem["remedy"]) == ("is no JSON object", "send one with 'events'")


async def test_no_route_breaks_on_what_its_parameters_hold(world: ApiWorld, eve: Caller) -> None:
    async with nothing_written(world):
        for route in world.api.table.routes:
            for text in (*INJECTIONS[::3], "a\x00b"):
                await _call_with(world.operator, route, text[:1000])


async def _call_with(caller: Caller, route: Route, text: str) -> None:
    """Each placeholder and each query parameter of a route, one after the other, holds `text`."""
    usual = {"path": TENANT, "name": "ours"}
    for parameter in route.parameters:
        values = {p: quote(text if p == parameter else usual.get(p, "x"), safe="") for p in route.parameters}
        answer = await caller.call(route.method, route.path.format(**values), {} if route.method != "GET" else None)
        assert 400 <= answer.status_code < 500, f"{route.method} {route.path} {text!r}: {answer.text[:500]}"
        envelope(answer)
    for parameter in route.query.model_fields if route.query and route.method == "GET" else ():
        path = route.path.format(**{p: usual.get(p, "x") for p in route.parameters})
        answer = await caller.call("GET", path, params={parameter: text})
        runs_nothing = answer.status_code == 503 and answer.json()["error"]["code"] == "CLUSTER_UNAVAILABLE"
        assert answer.status_code < 500 or runs_nothing, f"{route.path}?{parameter}={text!r}: {answer.text[:500]}"
