"""What a shell is told, features that come and go, switches, reports: over the real API, as its callers."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from ironworks.platform import console
from ironworks.platform.console.model import MAX_MODULE, integrity_of
from ironworks.shared.ratelimit import RateLimiter
from tests.support.api import ApiWorld, Caller, envelope

MODULE = "export default (host) => ({pages: {}});"


def manifest(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "version": "1.0.0",
        "display_name": name.title(),
        "description": f"The feature {name}.",
        "icon": "box",
        "routes": [{"path": "", "page": "main", "title": name.title()}],
        **fields,
    }


BUILT = [manifest("settings", always=True), manifest("billing"), manifest("labs", default_enabled=False)]


@dataclass
class Built:
    """A build that holds these features."""

    documents: list[Any] = field(default_factory=lambda: list(BUILT))

    def manifests(self) -> bytes:
        return json.dumps(self.documents).encode()


@pytest.fixture
def shell(world: ApiWorld) -> console.Shell:
    """What the API tells shells, with a build of ours."""
    found = world.api.injected[console.Shell]
    assert isinstance(found, console.Shell)
    found.built = Built()
    return found


async def shown(caller: Caller, scope: str = "-") -> dict[str, bool]:
    """Feature → whether it is enabled."""
    found = await caller.get("console/bootstrap", params={"scope": scope})
    return {feature["manifest"]["id"]: feature["enabled"] for feature in found["features"]}


# --- the shell -------------------------------------------------------------------------------------------------------


async def test_before_anybody_signed_in_little_is_told(world: ApiWorld) -> None:
    told = await world.calling(None).get("console")
    assert set(told) == {"version", "sign_in", "setup_needed", "mail"}
    assert told["setup_needed"] is True
    assert (await world.calling(None).call("GET", "console/bootstrap")).status_code == 401


async def test_one_call_tells_a_shell_all_it_needs(world: ApiWorld, shell: console.Shell) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("other.shop")
    await world.operator.expect(200, "PATCH", "scopes/acme/platforms/shop", {"metadata": {"display_name": "The shop"}})
    eve = await world.subject("acme.shop", "eve", "-/tenant-admin")
    found = await eve.get("console/bootstrap", params={"scope": "acme.shop.eu"})
    assert (found["caller"]["kind"], found["caller"]["name"]) == ("api_key", "acme.shop/eve-key")
    assert found["services"] == dict(shell.services)
    assert found["services"]["gateway"].startswith("http://")
    assert found["permissions"]["endpoint:create"] == ["acme.shop"]
    assert "account:create" not in found["permissions"]
    scopes = [(scope["path"], scope["kind"], scope["display_name"]) for scope in found["scopes"]]
    assert scopes == [("acme.shop", "Platform", "The shop"), ("acme.shop.eu", "Tenant", None)]
    assert found["more_scopes"] is False
    kinds = {kind["name"]: kind for kind in found["kinds"]}
    assert set(kinds) == {kind.name for kind in world.kinds}
    assert kinds["Endpoint"]["plural"] == "endpoints"
    assert "spec_schema" not in kinds["Endpoint"]
    everything = await world.operator.get("console/bootstrap")
    assert everything["permissions"]["account:create"] == ["-"]
    assert {"acme", "other.shop"} <= {scope["path"] for scope in everything["scopes"]}


async def test_a_tree_that_is_too_large_is_told_in_part_with_the_way_to_where_one_is(
    world: ApiWorld, shell: console.Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironworks.platform.console.service.MAX_SCOPES", 2)
    for path in ("a.p", "b.p", "z.p.t"):
        await world.scope(path)
    found = await world.operator.get("console/bootstrap", params={"scope": "z.p.t"})
    assert [scope["path"] for scope in found["scopes"]] == ["a", "a.p", "z", "z.p", "z.p.t"]
    assert found["more_scopes"] is True
    assert envelope(await world.operator.call("GET", "console/bootstrap?scope=A..b"))["code"] == "VALIDATION_ERROR"


# --- switches --------------------------------------------------------------------------------------------------------


async def test_a_platform_has_the_features_that_were_switched_on(world: ApiWorld, shell: console.Shell) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("acme.lab")
    admin = await world.subject("acme.shop", "admin", "-/platform-admin")
    tenant = await world.subject("acme.shop.eu", "tenant", "-/viewer")
    defaults = {"settings": True, "billing": True, "labs": False}
    assert await shown(admin, "acme.shop") == defaults
    switched = await admin.expect(200, "PUT", "scopes/acme.shop/console/features/billing", {"enabled": False})
    assert (switched["manifest"]["id"], switched["enabled"]) == ("billing", False)
    await admin.expect(200, "PUT", "scopes/acme.shop/console/features/labs", {"enabled": True})
    await admin.expect(200, "PUT", "scopes/acme.shop/console/features/labs", {"enabled": True})
    for caller, scope in ((admin, "acme.shop"), (tenant, "acme.shop.eu")):
        assert await shown(caller, scope) == {"settings": True, "billing": False, "labs": True}
    assert await shown(world.operator, "acme.lab") == await shown(world.operator, "acme") == defaults
    records = await world.admin.fetch("select action from platform_audit.pending where action ~ 'console.feature'")
    assert [row["action"] for row in records] == ["console.feature.switch"] * 2


async def test_what_cannot_be_switched_says_why(world: ApiWorld, shell: console.Shell) -> None:
    await world.scope("acme.shop.eu")
    viewer = await world.subject("acme.shop", "viewer", "-/viewer")
    stranger = await world.subject("acme.shop.eu", "stranger", "-/tenant-admin")
    here, off = "scopes/acme.shop/console/features", {"enabled": False}
    for caller, path, code in (
        (world.operator, f"{here}/settings", (409, "FEATURE_ALWAYS_THERE")),
        (world.operator, f"{here}/gone", (404, "UNKNOWN_FEATURE")),
        (world.operator, "scopes/acme.shop.eu/console/features/labs", (422, "VALIDATION_ERROR")),
        (world.operator, "scopes/acme.none/console/features/labs", (404, "NOT_FOUND")),
        (viewer, f"{here}/billing", (403, "FORBIDDEN")),
        (stranger, f"{here}/billing", (403, "FORBIDDEN")),
    ):
        answer = await caller.call("PUT", path, off)
        assert (answer.status_code, envelope(answer)["code"]) == code, path
    assert await shown(world.operator, "acme.shop") == {"settings": True, "billing": True, "labs": False}


@pytest.mark.parametrize("documents", [[{"id": "broken"}], "no list", [*BUILT, 7]])
async def test_a_build_that_names_no_features_leaves_the_shell_with_what_it_has(
    world: ApiWorld, shell: console.Shell, documents: Any
) -> None:
    assert isinstance(shell.built, Built)
    shell.built.documents = documents
    assert set(await shown(world.operator)) <= {"settings", "billing", "labs"}


# --- features at run time --------------------------------------------------------------------------------------------


async def test_an_operator_adds_a_feature_that_every_browser_can_load(world: ApiWorld, shell: console.Shell) -> None:
    digest = hashlib.sha384(MODULE.encode()).hexdigest()
    body = {"manifest": manifest("hello"), "module": MODULE, "integrity": integrity_of(digest)}
    made = await world.operator.expect(200, "PUT", "console/features/hello", body)
    assert made["url"] == f"/console/features/{digest}/index.js"
    assert made["integrity"] == integrity_of(digest)
    assert await world.operator.expect(200, "PUT", "console/features/hello", body) == made

    await world.scope("acme.shop")
    eve = await world.subject("acme.shop", "eve", "-/viewer")
    found = await eve.get("console/bootstrap", params={"scope": "acme.shop"})
    [feature] = [f for f in found["features"] if f["manifest"]["id"] == "hello"]
    assert (feature["url"], feature["integrity"], feature["built_in"]) == (made["url"], made["integrity"], False)
    module = await world.calling(None).call("GET", made["url"])
    assert (module.status_code, module.text) == (200, MODULE)
    assert module.headers["content-type"] == "text/javascript; charset=utf-8"
    assert module.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert module.headers["x-content-type-options"] == "nosniff"

    newer = {"manifest": manifest("hello", version="1.1.0"), "module": MODULE + "//2"}
    replaced = await world.operator.expect(200, "PUT", "console/features/hello", newer)
    assert replaced["url"] != made["url"]
    assert (await world.calling(None).call("GET", made["url"])).status_code == 404
    assert [f["manifest"]["version"] for f in await world.operator.items("console/features")] == ["1.1.0"]
    await world.operator.expect(204, "DELETE", "console/features/hello")
    assert (await world.calling(None).call("GET", replaced["url"])).status_code == 404
    assert "hello" not in await shown(world.operator)
    assert await world.admin.fetchval("select count(*) from platform_console.feature_module") == 0
    records = await world.admin.fetch("select action from platform_audit.pending where action ~ 'console.feature'")
    assert [r["action"].rpartition(".")[2] for r in records] == ["register", "register", "remove"]


async def test_two_features_may_have_one_module(world: ApiWorld, shell: console.Shell) -> None:
    for name in ("one", "two"):
        await world.operator.expect(
            200, "PUT", f"console/features/{name}", {"manifest": manifest(name), "module": MODULE}
        )
    await world.operator.expect(204, "DELETE", "console/features/one")
    page = await world.operator.get("console/features", params={"limit": 1})
    [left] = page["items"]
    assert page["next_cursor"] is None
    assert (await world.calling(None).call("GET", left["url"])).status_code == 200


async def test_what_is_no_feature_is_refused_by_its_field(world: ApiWorld, shell: console.Shell) -> None:
    good = {"manifest": manifest("hello"), "module": MODULE}
    for body, field_name in (
        ({**good, "manifest": manifest("other")}, "manifest.id"),
        ({**good, "manifest": manifest("hello", always=True)}, "manifest.always"),
        ({**good, "manifest": manifest("hello", version="1")}, "manifest.version"),
        ({**good, "manifest": manifest("hello", url="https://evil.example")}, "manifest.url"),
        ({**good, "integrity": integrity_of("00" * 48)}, "integrity"),
        ({**good, "integrity": "sha256-x"}, "integrity"),
        ({**good, "module": ""}, "module"),
        ({**good, "module": "é" * (MAX_MODULE // 2 + 1)}, "module"),
    ):
        answer = await world.operator.call("PUT", "console/features/hello", body)
        assert answer.status_code == 422, answer.text
        assert envelope(answer)["details"]["fields"][0]["field"] == field_name
    built_in = await world.operator.call("PUT", "console/features/billing", {**good, "manifest": manifest("billing")})
    assert built_in.status_code == 409
    too_large = await world.operator.call("PUT", "console/features/hello", {**good, "module": "x" * (1 << 20)})
    assert too_large.status_code == 413
    gone = await world.operator.call("DELETE", "console/features/hello")
    assert envelope(gone)["code"] == "UNKNOWN_FEATURE"
    assert await world.operator.items("console/features") == []


async def test_features_are_the_operators(world: ApiWorld, shell: console.Shell) -> None:
    await world.scope("acme.shop")
    admin = await world.subject("acme", "admin", "-/platform-admin")
    body = {"manifest": manifest("hello"), "module": MODULE}
    for method, path, sent in (
        ("PUT", "console/features/hello", body),
        ("DELETE", "console/features/hello", None),
        ("GET", "console/features", None),
    ):
        assert (await admin.call(method, path, sent)).status_code == 403
    for digest in ("0" * 96, "x", "' or true --", "0" * 95 + "%00"):
        assert (await world.calling(None).call("GET", f"/console/features/{digest}/index.js")).status_code in (404, 422)


# --- reports ---------------------------------------------------------------------------------------------------------


async def test_pages_report_errors_and_how_fast_they_were(
    world: ApiWorld, shell: console.Shell, caplog: pytest.LogCaptureFixture
) -> None:
    failed = {
        "kind": "error",
        "message": "x is not a function",
        "feature": "billing",
        "page": "$path/billing",
        "count": 3,
    }
    fast = {"kind": "vital", "name": "lcp", "value": 0.4, "page": "$path"}
    with caplog.at_level(logging.WARNING, logger="ironworks.platform.console.routes"):
        await world.operator.expect(204, "POST", "console/reports", {"reports": [failed, fast]})
    [record] = [r for r in caplog.records if "page of the console" in r.getMessage()]
    assert record.fields["error"] == failed["message"]  # type: ignore[attr-defined]
    metrics = (await world.operator.call("GET", "/metrics")).text
    assert 'ironworks_console_reports_total{kind="error"}' in metrics
    assert 'ironworks_console_vital_seconds_count{name="lcp"}' in metrics


async def test_reports_are_bounded(world: ApiWorld, shell: console.Shell) -> None:
    vital = {"kind": "vital", "name": "lcp", "value": 0.4}
    for reports in (
        [], [vital] * 21, [{"kind": "vital", "name": "other", "value": 1}], [{**vital, "value": -1}],
        [{"kind": "error", "message": "x" * 2001}], [{"kind": "error", "message": "x", "cookie": "y"}],
    ):  # fmt: skip
        assert (await world.operator.call("POST", "console/reports", {"reports": reports})).status_code == 422
    assert (await world.calling(None).call("POST", "console/reports", {"reports": [vital]})).status_code == 401
    shell.reports = RateLimiter(rate=0.1, burst=2)
    answers = [await world.operator.call("POST", "console/reports", {"reports": [vital]}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
