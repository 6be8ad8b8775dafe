"""The kind Limit over the API: who may set one where, and what the gateway's role reads of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from ironworks.app.gateway_limits import Limits
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory import limits
from ironworks.shared.context import system_actor
from tests.support.api import ApiWorld, BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server

EU, US = "acme.shop.eu", "acme.shop.us"


@pytest.fixture
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


async def tenants(world: ApiWorld) -> None:
    for path in (EU, US):
        await world.scope(path)


async def views(place: BootstrappedPlace) -> list[limits.LimitView]:
    async with (
        open_process(place.settings, "gateway", connections=1) as process,
        process.database.transaction(system_actor("gateway")) as ctx,
    ):
        return await limits.list_limits(ctx)


async def test_the_gateway_reads_what_was_declared(place: BootstrappedPlace) -> None:
    async with api_world(place) as world:
        await tenants(world)
        key = await world.key(EU, "app")
        spec = {"scope": EU, "key": f"{EU}/app", "route": "chat", "per": ["route", "key", "key"], "burst": 5,
                "requests_per_second": 3, "tokens_per_minute": 7, "allowed_models": ["gpt-*"]}  # fmt: skip
        made = await world.operator.create("limits", "acme", "one", spec)
        assert made["spec"]["per"] == ["key", "route"]
        assert made["status"]["phase"] == "Ready"
        await world.operator.create("limits", "-", "all", {"concurrency": 9})
        everywhere, one = await views(place)
        assert everywhere == limits.LimitView(uid=everywhere.uid, home="", scope="", concurrency=9)
        assert one == limits.LimitView(
            uid=UUID(made["metadata"]["uid"]), home="acme", scope=EU, narrowed=True, key=key.uid, route="chat",
            per=("key", "route"), requests_per_second=3, tokens_per_minute=7, burst=5, allowed_models=("gpt-*",),
        )  # fmt: skip
        assert type(one.uid) is UUID, "the standard library's, which every encoder knows"
        await world.operator.expect(200, "DELETE", "scopes/-/limits/all")
        assert await views(place) == [one]


async def test_a_limit_from_above_is_out_of_its_tenants_reach(place: BootstrappedPlace) -> None:
    async with api_world(place) as world:
        await tenants(world)
        await world.operator.create("limits", "acme", "cap", {"requests_per_minute": 100})
        await world.operator.create("limits", "acme.shop", "eu", {"scope": EU, "requests_per_minute": 10})
        admin = await world.subject(EU, "admin", "-/tenant-admin")
        for one in ("scopes/acme/limits/cap", "scopes/acme.shop/limits/eu"):
            assert (await admin.call("GET", one)).status_code == 404
            assert (await admin.call("DELETE", one)).status_code == 404
            assert (await admin.call("PATCH", one, {"spec": {"requests_per_minute": 1000}})).status_code == 404
        body = {"metadata": {"name": "own"}, "spec": {"requests_per_minute": 5}}
        assert (await admin.call("POST", "scopes/acme/limits", body)).status_code == 403
        await admin.expect(201, "POST", f"scopes/{EU}/limits", body)


async def test_who_develops_sees_limits_and_does_not_change_them(place: BootstrappedPlace) -> None:
    async with api_world(place) as world:
        await tenants(world)
        await world.operator.create("limits", EU, "cap", {"requests_per_minute": 100})
        developer = await world.subject(EU, "dev", "-/developer")
        assert (await developer.get(f"scopes/{EU}/limits/cap"))["spec"]["requests_per_minute"] == 100
        assert (await developer.call("DELETE", f"scopes/{EU}/limits/cap")).status_code == 403


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec"),
        ({"burst": 5, "tokens_per_minute": 1}, "spec"),
        ({"token_burst": 5, "requests_per_second": 1}, "spec"),
        ({"per": ["key"], "allowed_models": []}, "spec"),
        ({"requests_per_minute": 0}, "spec.requests_per_minute"),
        ({"per": ["colour"], "concurrency": 1}, "spec.per[0]"),
        ({"scope": "Not A Path", "concurrency": 1}, "spec.scope"),
        ({"scope": US, "concurrency": 1}, "spec.scope"),
        ({"scope": "acme", "concurrency": 1}, "spec.scope"),
        ({"key": "missing", "concurrency": 1}, "spec.key"),
        ({"key": f"{US}/theirs", "concurrency": 1}, "spec.key"),
    ],
)
async def test_what_could_limit_nothing_is_refused(place: BootstrappedPlace, spec: dict[str, Any], field: str) -> None:
    async with api_world(place) as world:
        await tenants(world)
        await world.operator.create("api-keys", US, "theirs", {})
        body = {"metadata": {"name": "odd"}, "spec": spec}
        answer = await world.operator.expect(422, "POST", f"scopes/{EU}/limits", body)
        assert [problem["field"] for problem in answer["error"]["details"]["fields"]] == [field]


async def test_a_key_with_a_limit_is_not_deleted_before_it(place: BootstrappedPlace) -> None:
    async with api_world(place) as world:
        await tenants(world)
        await world.operator.create("api-keys", EU, "app", {})
        await world.operator.create("limits", EU, "app", {"key": "app", "concurrency": 1})
        refused = await world.operator.expect(409, "DELETE", f"scopes/{EU}/api-keys/app")
        assert refused["error"]["details"]["referrers"] == [f"Limit {EU}/app"]


async def test_hosts_are_counted_while_they_are_seen(place: BootstrappedPlace) -> None:
    async with api_world(place) as world, open_process(place.settings, "gateway", connections=1) as process:

        async def seen(host: UUID) -> int:
            async with process.database.transaction(system_actor("gateway")) as ctx:
                return await limits.count_hosts(ctx, host)

        one, two = uuid4(), uuid4()
        assert [await seen(one), await seen(one), await seen(two), await seen(one)] == [1, 1, 2, 2]
        await world.admin.execute(
            "update tokenfactory_limits.host set seen_at = seen_at - interval '20 seconds' where uid = $1", two
        )
        assert await seen(one) == 1


async def test_the_gateways_source_answers_and_its_rows_survive_a_disk(place: BootstrappedPlace) -> None:
    async with api_world(place) as world, open_process(place.settings, "gateway", connections=1) as process:
        await tenants(world)
        await world.key(EU, "app")
        spec = {"key": "app", "per": ["end_user"], "requests_per_minute": 3, "allowed_models": ["a"]}
        await world.operator.create("limits", EU, "one", spec)
        source = Limits(process.database)
        rows = list(await source.load())
        assert source.kinds == {"Limit"}
        shape = TypeAdapter(list[source.row])  # type: ignore[name-defined]
        assert shape.validate_json(shape.dump_json(rows)) == rows
        assert await source.count_hosts(uuid4()) == 1
