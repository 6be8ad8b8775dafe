"""Routes and external endpoints over the real API: what may be declared, by whom, and what comes of it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import httpx
import pytest

from ironworks.products.tokenfactory import routing
from ironworks.products.tokenfactory.routing import service
from ironworks.products.tokenfactory.routing.model import Finding
from ironworks.shared.context import system_actor
from tests.products.tokenfactory.routing.conftest import ENDPOINT, HIDDEN, PLACE, Routing, external, named, upstream
from tests.support.api import envelope

EXTERNALS = f"scopes/{PLACE}/external-endpoints"
TENANT = f"{PLACE}.eu"
ROUTES = f"scopes/{TENANT}/routes"


def fields(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [problem["field"] for problem in envelope(answer)["details"]["fields"]]


async def made(here: Routing, name: str = "openai", *upstreams: dict[str, Any]) -> Any:
    return await here.world.operator.expect(201, "POST", EXTERNALS, named(name, external(*upstreams)))


# --- secrets -----------------------------------------------------------------------------------------------------


async def test_credentials_lie_in_the_vault_alone(here: Routing, capfd: pytest.CaptureFixture[str]) -> None:
    operator = here.world.operator
    created = await made(here, "openai", upstream("eu"), upstream("us", url="https://us.provider.example/v1"))
    uid = created["metadata"]["uid"]
    assert [u["auth"]["credential"] for u in created["spec"]["upstreams"]] == ["***", "***"]
    assert await here.secrets(uid) == {
        "upstreams[eu].auth.credential": f"{HIDDEN}eu",
        "upstreams[us].auth.credential": f"{HIDDEN}us",
    }
    await here.reconcile()
    assert [probe.credential for probe in here.prober.seen] == [f"{HIDDEN}eu", f"{HIDDEN}us"]
    changed = named("openai", external(upstream("eu", auth={"credential": f"{HIDDEN}new"})))
    answers = [
        await operator.call("GET", f"{EXTERNALS}/openai"),
        await operator.call("GET", EXTERNALS),
        await operator.call("POST", f"{EXTERNALS}/openai:apply?dry_run=true", changed),
        await operator.call("POST", f"{EXTERNALS}/openai:apply", changed),
        await operator.call("PATCH", f"{EXTERNALS}/openai", {"spec": {"timeout_seconds": 5}}),
        await operator.call("GET", f"scopes/{PLACE}/audit"),
    ]
    assert [a.status_code for a in answers] == [200] * len(answers)
    assert not [a.request.url for a in answers if HIDDEN in a.text]
    assert await here.secrets(uid) == {"upstreams[eu].auth.credential": f"{HIDDEN}new"}
    tables = await here.world.admin.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname ~ '^(shared|[a-z]+_)'"
        " and schemaname not in ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        leaks = f"select exists (select from {table['name']} t where t::text like '%{HIDDEN}%')"
        assert not await here.world.admin.fetchval(leaks), table["name"]
    assert HIDDEN not in repr(here.prober.seen)
    out = capfd.readouterr()
    assert HIDDEN not in out.out + out.err
    await operator.expect(200, "DELETE", f"{EXTERNALS}/openai")
    await here.reconcile()
    assert await here.secrets(uid) == {}


async def test_a_stored_credential_is_sent_nowhere_else(here: Routing) -> None:
    """Whoever may edit the URL must not thereby receive the credential, which is declared one object further in."""
    await made(here)
    moved = upstream(url="https://mallory.example/v1", auth={"credential": "***"})
    answer = await here.world.operator.call("PUT", f"{EXTERNALS}/openai", named("openai", external(moved)))
    assert fields(answer) == ["spec.upstreams[eu].auth.credential"]
    assert "url changed" in envelope(answer)["message"]
    kept = upstream(auth={"type": "api_key", "credential": "***"}, max_concurrency=3)
    await here.world.operator.expect(200, "PUT", f"{EXTERNALS}/openai", named("openai", external(kept)))


async def test_a_new_credential_is_not_sent_where_the_one_before_was(
    here: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address and credential change at once, just between the reading of the one and of the other."""
    moved = upstream(url="https://new.example/v1", auth={"credential": f"{HIDDEN}new"})
    vault = type(here.worker.services.vault)

    def changed_before(name: str) -> None:
        read, changes = getattr(vault, name), [named("openai", external(moved))]

        async def late(*args: Any) -> Any:
            while changes:
                await here.world.operator.expect(200, "PUT", f"{EXTERNALS}/openai", changes.pop())
            return await read(*args)

        monkeypatch.setattr(vault, name, late)

    await made(here)
    changed_before("get_many")
    async with here.worker.transaction(system_actor("test")) as ctx:
        [(found, kept)] = (await routing.list_declared(ctx)).externals
    assert (found.spec.upstreams[0].url, list(kept.values())) == ("https://new.example/v1", [f"{HIDDEN}new"])

    await here.world.operator.expect(200, "PUT", f"{EXTERNALS}/openai", named("openai", external()))
    changed_before("get")
    await here.reconcile()
    seen = {(probe.url, probe.credential) for probe in here.prober.seen}
    assert ("https://new.example/v1", f"{HIDDEN}new") in seen
    assert ("https://api.provider.example/v1", f"{HIDDEN}new") not in seen


# --- addresses ---------------------------------------------------------------------------------------------------

BAD_URLS = [
    ("http://127.0.0.1:8080/v1", "not a public address"),
    ("http://[::1]/v1", "not a public address"),
    ("http://[::ffff:10.0.0.1]/v1", "not a public address"),
    ("http://169.254.169.254/latest", "not a public address"),
    ("http://2130706433/v1", "no address"),
    ("http://0x7f.1/v1", "no address"),
    ("ftp://host/v1", "http:// or https://"),
    ("https://user:pass@host/v1", "user name or password"),
    ("https://host/v1?key=1", "no query"),
    ("https://host/v1#x", "no query"),
    ("https://host/a/../b", "path"),
    ("https://", "no host"),
    ("https://ho st/", "character"),
]


@pytest.mark.parametrize(("url", "told"), BAD_URLS)
async def test_addresses_that_no_upstream_may_have(here: Routing, url: str, told: str) -> None:
    answer = await here.world.operator.call("POST", EXTERNALS, named("bad", external(upstream(url=url))))
    assert fields(answer) == ["spec.upstreams[0].url"]
    assert told in answer.text
    assert HIDDEN not in answer.text


BAD_SPECS: list[tuple[dict[str, Any], str]] = [
    ({"upstreams": []}, "spec.upstreams"),
    (external(upstream(), upstream()), "spec"),
    (external(upstream(model_mapping={})), "spec.upstreams[0].model_mapping"),
    (external(upstream(dialect="cohere")), "spec.upstreams[0].dialect"),
    (external(upstream(auth={"credential": "a\r\nx-evil: 1"})), "spec.upstreams[0].auth.credential"),
    (external(upstream(auth={"credential": "***"})), "spec.upstreams[eu].auth.credential"),
    ({**external(), "timeout_seconds": 0}, "spec.timeout_seconds"),
]


@pytest.mark.parametrize(("spec", "field"), BAD_SPECS)
async def test_a_bad_external_endpoint_is_refused_by_its_field(here: Routing, spec: dict[str, Any], field: str) -> None:
    answer = await here.world.operator.call("POST", EXTERNALS, named("bad", spec))
    assert fields(answer)[0] == field
    assert "x-evil" not in answer.text


# --- routes ------------------------------------------------------------------------------------------------------


async def with_targets(here: Routing) -> None:
    await made(here)
    for name in ("chat", "other"):
        await here.world.operator.create("endpoints", TENANT, name, ENDPOINT)


def route(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"targets": list(targets) or [{"endpoint": "chat"}], **more}


EXTERNAL_TARGET = {"external": f"{PLACE}/openai", "model": "gpt-4o"}


async def test_references_in_lists_hold_what_they_name(here: Routing) -> None:
    operator = here.world.operator
    await with_targets(here)
    await operator.create("routes", TENANT, "best", route({"endpoint": "chat"}, EXTERNAL_TARGET, {"endpoint": "chat"}))
    for plural, path in (("endpoints", f"{TENANT}/endpoints/chat"), ("external", f"{PLACE}/external-endpoints/openai")):
        answer = await operator.call("DELETE", f"scopes/{path}")
        assert answer.status_code == 409, plural
        assert envelope(answer)["details"]["referrers"] == [f"Route {TENANT}/best"]
    await operator.expect(200, "DELETE", f"scopes/{TENANT}/endpoints/other")
    await operator.expect(200, "PUT", f"{ROUTES}/best", named("best", route(EXTERNAL_TARGET)))
    await operator.expect(200, "DELETE", f"scopes/{TENANT}/endpoints/chat")
    gone = await operator.call("PUT", f"{ROUTES}/best", named("best", route(EXTERNAL_TARGET, {"endpoint": "chat"})))
    assert fields(gone) == ["spec.targets[1].endpoint"]
    assert "being deleted" in gone.text
    await operator.expect(200, "DELETE", f"{ROUTES}/best")
    await here.reconcile()
    await operator.expect(200, "DELETE", f"{EXTERNALS}/openai")


BAD_ROUTES: list[tuple[dict[str, Any], str]] = [
    ({"targets": []}, "spec.targets"),
    (route({"endpoint": "nope"}), "spec.targets[0].endpoint"),
    (route({"endpoint": "chat"}, {"external": "nope", "model": "m"}), "spec.targets[1].external"),
    (route({}), "spec.targets[0]"),
    (route({"endpoint": "chat", "external": "x", "model": "m"}), "spec.targets[0]"),
    (route({"external": f"{PLACE}/openai"}), "spec.targets[0]"),
    (route({"endpoint": "chat", "model": "m"}), "spec.targets[0]"),
    (route({**EXTERNAL_TARGET, "model": "gpt-5"}), "spec.targets[0].model"),
    (route({"endpoint": "chat", "weight": -1}), "spec.targets[0].weight"),
    (route(strategy="fastest"), "spec.strategy"),
    (route(model="two words"), "spec.model"),
    (route(tries=0), "spec.tries"),
    (route(cache={"ttl_seconds": 0}), "spec.cache.ttl_seconds"),
]


@pytest.mark.parametrize(("spec", "field"), BAD_ROUTES)
async def test_a_bad_route_is_refused_by_its_field(here: Routing, spec: dict[str, Any], field: str) -> None:
    await with_targets(here)
    answer = await here.world.operator.call("POST", ROUTES, named("best", spec))
    assert fields(answer) == [field]


async def test_a_rule_of_ours_is_told_in_its_own_words(here: Routing) -> None:
    answer = await here.world.operator.call("POST", ROUTES, named("none", {"targets": [{}]}))
    [problem] = envelope(answer)["details"]["fields"]
    assert problem["problem"] == "names none or two of 'endpoint' and 'external'; name one"


async def test_a_public_name_is_one_route_s(here: Routing) -> None:
    operator = here.world.operator
    await with_targets(here)
    await operator.create("routes", TENANT, "one", route(model="gpt-4o.mini"))
    for name, spec in (("two", route(model="gpt-4o.mini")), ("three", route(model="one-more"))):
        answer = await operator.call("POST", ROUTES, named(name, spec))
        assert answer.status_code == (409 if name == "two" else 201), answer.text
        if name == "two":
            assert "'gpt-4o.mini' is the name of the route 'one'" in answer.text
    assert (await operator.call("POST", ROUTES, named("one-more", route()))).status_code == 409
    assert (await operator.call("POST", ROUTES, named("one", route()))).status_code == 409
    assert (await operator.call("PATCH", f"{ROUTES}/three", {"spec": {"model": "gpt-4o.mini"}})).status_code == 409
    await operator.create("routes", PLACE, "two", route(EXTERNAL_TARGET, model="gpt-4o.mini"))


async def test_prices_and_mappings_need_rights_of_their_own(here: Routing) -> None:
    await with_targets(here)
    world = here.world
    eve = await world.subject(TENANT, "eve", "-/tenant-admin")
    await eve.create("routes", TENANT, "mine", route({"endpoint": "chat", "served_as": "lora-1"}, EXTERNAL_TARGET))
    for target, field, permission in (
        ({"endpoint": "chat", "price_as": "cheap"}, "price_as", "price:create"),
        ({**EXTERNAL_TARGET, "served_as": "gpt-5-pro"}, "served_as", "external-endpoint:update"),
    ):
        answer = await eve.call("POST", ROUTES, named("other", route(target)))
        assert answer.status_code == 403, answer.text
        assert envelope(answer)["details"]["permission"] == permission
        assert f"spec.targets[0].{field}" in answer.text
    priced = route({"endpoint": "chat", "price_as": "cheap"}, strategy="least_loaded")
    await world.operator.create("routes", TENANT, "priced", priced)
    await eve.expect(200, "PATCH", f"{ROUTES}/priced", {"spec": {"strategy": "weighted", "tries": 2}})
    swapped = route({"endpoint": "other", "price_as": "cheap"})
    assert (await eve.call("PUT", f"{ROUTES}/priced", named("priced", swapped))).status_code == 403


async def test_a_route_calls_nothing_that_its_writer_may_not(here: Routing) -> None:
    await with_targets(here)
    world = here.world
    await world.scope(f"{PLACE}.us")
    await world.operator.create("endpoints", f"{PLACE}.us", "chat", ENDPOINT)
    await world.operator.create("roles", "-", "reader", {"permissions": ["endpoint:read"]})
    eve = await world.subject(PLACE, "eve")  # a key reaches no further than where it lives
    await world.grant(f"service-account:{PLACE}/eve", "-/tenant-admin", TENANT)
    foreign = route({"endpoint": f"{PLACE}.us/chat"})
    assert fields(await eve.call("POST", ROUTES, named("mine", foreign))) == ["spec.targets[0].endpoint"]
    await world.grant(f"service-account:{PLACE}/eve", "-/reader", f"{PLACE}.us")
    answer = await eve.call("POST", ROUTES, named("mine", foreign))
    assert answer.status_code == 403
    assert envelope(answer)["details"]["permission"] == "endpoint:invoke"
    await eve.create("routes", TENANT, "handed-down", route(EXTERNAL_TARGET))


# --- status ------------------------------------------------------------------------------------------------------


async def test_phases_tell_how_upstreams_and_targets_stand(here: Routing) -> None:
    operator = here.world.operator
    us = upstream("us", url="https://us.example/v1")
    await made(here, "openai", upstream("eu"), us)
    await operator.create("endpoints", TENANT, "chat", ENDPOINT)
    await operator.create("routes", TENANT, "best", route(EXTERNAL_TARGET, {"endpoint": "chat"}))
    await here.reconcile()
    await here.reconcile()
    one = await operator.get(f"{EXTERNALS}/openai")
    assert one["status"]["phase"] == "Running"
    assert one["status"]["upstream_status"][0] == {
        "name": "eu", "url": "https://api.provider.example/v1", "models": ["gpt-4o", "small"], "phase": "Ready",
        "error_message": "",
    }  # fmt: skip
    best = (await operator.get(f"{ROUTES}/best"))["status"]
    assert best["phase"] == "Degraded"
    assert [(t["target"], t["healthy"]) for t in best["targets"]] == [
        (f"external {PLACE}/openai: gpt-4o", True),
        ("endpoint chat", False),
    ]
    assert "Pending" in best["targets"][1]["message"]
    here.prober.findings["https://us.example/v1"] = Finding(problem="it refuses the credential (status 401)")
    await here.reconcile()
    degraded = (await operator.get(f"{EXTERNALS}/openai"))["status"]
    assert degraded["phase"] == "Degraded"
    [ready] = [c for c in degraded["conditions"] if c["type"] == "Ready"]
    assert ready["reason"] == "UpstreamFailed"
    assert "us: it refuses the credential" in ready["message"]
    here.prober.findings["https://api.provider.example/v1"] = Finding(problem="it answers with status 500")
    await here.reconcile()
    await here.reconcile()
    assert (await operator.get(f"{EXTERNALS}/openai"))["status"]["phase"] == "Failed"
    assert (await operator.get(f"{ROUTES}/best"))["status"]["phase"] == "Failed"
    here.prober.findings.clear()
    here.prober.findings["https://us.example/v1"] = Finding(frozenset({"gpt-4o-mini"}))
    await here.reconcile()
    running = (await operator.get(f"{EXTERNALS}/openai"))["status"]
    assert running["phase"] == "Running"
    assert running["upstream_status"][1]["error_message"] == "it does not list gpt-4o-2024-08-06"


# --- checks ------------------------------------------------------------------------------------------------------


def serve_with(here: Routing, **injected: Any) -> None:
    """The API with another prober and policy."""
    given = {routing.Prober: here.prober, routing.AddressPolicy: routing.AddressPolicy(), **injected}
    api = dataclasses.replace(here.world.api, injected={**here.world.api.injected, **given})
    here.world.client._transport = httpx.ASGITransport(api)  # type: ignore[arg-type]


async def test_a_spec_is_checked_before_it_is_stored(here: Routing) -> None:
    serve_with(here)
    here.prober.findings["https://us.example/v1"] = Finding(problem="it refuses the credential (status 401)")
    here.prober.findings["https://api.provider.example/v1"] = Finding(frozenset({"gpt-b", "gpt-a"}))
    spec = external(upstream("eu"), upstream("us", url="https://us.example/v1"))
    counted = await here.world.counts()
    report = await here.world.operator.expect(200, "POST", f"{EXTERNALS}:test", {"spec": spec})
    assert [(u["name"], u["phase"]) for u in report["upstream_status"]] == [("eu", "Ready"), ("us", "Failed")]
    assert [u["offers"] for u in report["upstream_status"]] == [["gpt-a", "gpt-b"], []]
    assert [probe.credential for probe in here.prober.seen] == [f"{HIDDEN}eu", f"{HIDDEN}us"]
    assert HIDDEN not in str(report)
    assert await here.world.counts() == counted, "nothing is stored"
    for bad, field in (
        (upstream(url="http://127.0.0.1/v1"), "spec.upstreams[0].url"),
        (upstream(auth={"credential": "***"}), "spec.upstreams[0].auth.credential"),
        (upstream(url="nonsense"), "spec.upstreams[0].url"),
    ):
        answer = await here.world.operator.call("POST", f"{EXTERNALS}:test", {"spec": external(bad)})
        assert field in fields(answer)[0]
    assert len(here.prober.seen) == 2
    viewer = await here.world.subject(TENANT, "viewer", "-/viewer")
    answer = await viewer.call("POST", f"scopes/{TENANT}/external-endpoints:test", {"spec": spec})
    assert answer.status_code == 403
    assert (await viewer.call("POST", f"{EXTERNALS}:test", {"spec": spec})).status_code == 403


async def test_a_stored_one_is_checked_by_who_may_open_its_credentials(here: Routing) -> None:
    await made(here)
    await here.reconcile()
    here.prober.findings["https://api.provider.example/v1"] = Finding(problem="it answers with status 500")

    async def work() -> None:
        while True:
            await here.runtime.run_until_idle()
            await asyncio.sleep(0.05)

    working = asyncio.create_task(work())
    try:
        report = await here.world.operator.expect(200, "POST", f"{EXTERNALS}/openai:test")
    finally:
        working.cancel()
    assert report["upstream_status"][0]["phase"] == "Failed"
    assert here.prober.seen[-1].credential == f"{HIDDEN}eu"
    assert (await here.world.operator.call("POST", f"{EXTERNALS}/nope:test")).status_code == 404
    below = await here.world.subject(TENANT, "below", "-/tenant-admin")
    assert (await below.get(f"{EXTERNALS}/openai"))["status"]["phase"] == "Failed", "inherited"
    assert (await below.call("POST", f"{EXTERNALS}/openai:test")).status_code in (403, 404)


async def test_a_check_says_when_no_worker_comes(here: Routing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CHECK_WITHIN", 0.6)
    await made(here)
    answer = await here.world.operator.call("POST", f"{EXTERNALS}/openai:test")
    assert answer.status_code == 503
    assert "no worker" in answer.text


# --- references in lists, at once ---------------------------------------------------------------------------------


async def test_a_target_that_is_deleted_while_a_route_is_made(here: Routing) -> None:
    """Whoever comes first, no route is left that refers to something on its way out."""
    operator = here.world.operator
    for number in range(8):
        name = f"e{number}"
        await operator.create("endpoints", TENANT, name, ENDPOINT)
        making = operator.call("POST", ROUTES, named(name, route({"endpoint": name}, {"endpoint": name})))
        deleting = operator.call("DELETE", f"scopes/{TENANT}/endpoints/{name}")
        made_, deleted = await asyncio.gather(making, deleting)
        assert (made_.status_code, deleted.status_code) in ((201, 409), (422, 200)), (made_.text, deleted.text)


async def test_link_tables_are_nobodys_to_read_or_write(here: Routing) -> None:
    for field in ("endpoint", "external"):
        table = f"tokenfactory_routing.route_ref_targets_{field}"
        for role in ("ironworks_api", "ironworks_gateway"):
            query = "select has_any_column_privilege($1, $2, 'select, insert, update')"
            assert not await here.world.admin.fetchval(query, role, table)
        owned = "select relrowsecurity and relforcerowsecurity from pg_class where oid = $1::text::regclass"
        assert await here.world.admin.fetchval(owned, table)


async def test_who_may_change_a_route_may_leave_in_it_what_he_may_not_read(here: Routing) -> None:
    world = here.world
    await with_targets(here)
    await world.scope(f"{PLACE}.us")
    await world.operator.create("endpoints", f"{PLACE}.us", "hidden", ENDPOINT)
    targets = [{"endpoint": f"{PLACE}.us/hidden"}, {"endpoint": "chat"}]
    await world.operator.create("routes", TENANT, "mixed", route(*targets))
    eve = await world.subject(TENANT, "eve", "-/tenant-admin")
    targets[1]["weight"] = 5  # type: ignore[assignment]
    await eve.expect(200, "PUT", f"{ROUTES}/mixed", named("mixed", route(*targets)))
    answer = await world.operator.call("DELETE", f"scopes/{PLACE}.us/endpoints/hidden")
    assert answer.status_code == 409, "still referred to"
    mine = await eve.call("POST", ROUTES, named("mine", route({"endpoint": f"{PLACE}.us/hidden"})))
    assert fields(mine) == ["spec.targets[0].endpoint"]
