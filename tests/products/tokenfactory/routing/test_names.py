"""What can be called at a scope, as the API tells it, is what the gateway tells a key there."""

from __future__ import annotations

import json
from typing import Any

from ironworks.app.gateway_limits import Limits
from ironworks.app.gateway_routes import Routes
from ironworks.app.wiring import open_process
from ironworks.products.tokenfactory import routing
from ironworks.products.tokenfactory.gateway.admission import may_call
from ironworks.products.tokenfactory.limits.plans import Book, Caller
from tests.products.tokenfactory.routing.conftest import ENDPOINT, PLACE, Routing, external, named
from tests.products.tokenfactory.world import key_view

EU = f"{PLACE}.eu"
DEEP = f"{EU}.returns"


async def told(caller: Any, scope: str, **query: Any) -> list[dict[str, Any]]:
    answer: dict[str, Any] = await caller.get(f"scopes/{scope}/models", params=query)
    return answer["items"]


async def at_the_gateway(here: Routing, scope: str, *invoke: str) -> list[str]:
    """The names that `GET /v1/models` tells a key at `scope` whose rights reach from `invoke`."""
    settings = here.world.place.settings
    async with open_process(settings, "gateway", connections=2) as process:
        table = routing.RouteTable(await Routes(process.database, routing.AddressPolicy()).load_routes())
        book = Book(await Limits(process.database).load())
    key = key_view(scope=scope, invoke_scopes=invoke or (scope,))

    def permits(route: routing.Route) -> bool:
        caller = Caller(key.uid, scope, route.uid, route.scope, route.name)
        return all(view.permits(caller) for view in book.applying_to(caller))

    return [name for name, route in table.names(scope) if may_call(key, route) and permits(route)]


async def furnish(here: Routing) -> None:
    """Names that shadow each other on three levels, and one that nobody else may know."""
    operator, world = here.world.operator, here.world
    for scope in (DEEP, f"{PLACE}.us"):
        await world.scope(scope)
    made = [
        (PLACE, "external-endpoints", "openai", external()),
        (EU, "endpoints", "chat", ENDPOINT),
        (EU, "endpoints", "embed", ENDPOINT),
        (DEEP, "endpoints", "chat", ENDPOINT),
        (f"{PLACE}.us", "endpoints", "secret", ENDPOINT),
        (PLACE, "routes", "best", {"model": "gpt-4o.best", "targets": [{"external": "openai", "model": "gpt-4o"}]}),
        (EU, "routes", "best", {"targets": [{"endpoint": "chat"}, {"endpoint": "embed"}]}),
        (EU, "routes", "shadow", {"model": "gpt-4o.best", "targets": [{"endpoint": "embed"}]}),
        (EU, "routes", "chat", {"targets": [{"endpoint": "chat"}]}),
    ]
    for scope, plural, name, spec in made:
        await operator.expect(201, "POST", f"scopes/{scope}/{plural}", named(name, spec))
    served = {"name": "minilm", "version": "1", "task": "text-embedding", "engine_version": "1.0"}
    await world.admin.execute(
        "update inference_endpoints.endpoint set status = status || jsonb_build_object('model', $1::jsonb)"
        " where name = 'embed'",
        json.dumps(served),
    )


async def test_names_are_those_of_the_gateway(here: Routing) -> None:
    await furnish(here)
    operator = here.world.operator
    for scope in (PLACE, EU, DEEP, f"{PLACE}.us"):
        assert [one["id"] for one in await told(operator, scope)] == await at_the_gateway(here, scope), scope
    found = {one["id"]: one for one in await told(operator, EU)}
    assert {name: (one["kind"], one["scope"], one["name"], one["task"]) for name, one in found.items()} == {
        "best": ("route", EU, "best", None),
        "chat": ("route", EU, "chat", "text-generation"),
        "embed": ("endpoint", EU, "embed", "text-embedding"),
        "gpt-4o.best": ("route", EU, "shadow", "text-embedding"),
        "openai/gpt-4o": ("external", PLACE, "openai", None),
        "openai/small": ("external", PLACE, "openai", None),
        f"{DEEP}/chat": ("endpoint", DEEP, "chat", "text-generation"),
    }
    assert all(one["allowed"] for one in found.values())
    assert [one["id"] for one in await told(operator, EU, search="GPT-4o", limit=1)] == ["openai/gpt-4o"]


async def test_limits_leave_out_what_every_key_there_is_refused(here: Routing) -> None:
    await furnish(here)
    operator = here.world.operator
    for name, spec in {
        "few": {"scope": EU, "allowed_models": ["gpt-4o*", "openai/*", "chat", "embed"]},
        "own": {"route": f"{EU}/embed", "allowed_models": ["nothing"]},
        "one-key": {"allowed_models": ["nothing"], "key": f"{EU}/only"},
    }.items():
        if "key" in spec:
            await operator.expect(201, "POST", f"scopes/{EU}/api-keys", named("only", {}))
        await operator.expect(201, "POST", f"scopes/{PLACE}/limits", named(name, spec))
    ann = await here.world.subject(EU, "ann", "-/developer")  # who may not read the limits above
    expected = ["openai/gpt-4o", "openai/small", "chat", "gpt-4o.best", f"{DEEP}/chat"]
    assert [one["id"] for one in await told(ann, EU)] == expected == await at_the_gateway(here, EU)


async def test_a_caller_is_told_what_he_may_read_and_whether_he_may_call_it(here: Routing) -> None:
    await furnish(here)
    viewer = await here.world.subject(EU, "vic", "-/viewer")
    found = await told(viewer, EU)
    assert {one["allowed"] for one in found} == {False}
    assert "secret" not in str(found)
    await here.world.scope("rival.shop.eu")
    rival = await here.world.subject("rival.shop.eu", "eve", "-/tenant-admin")
    await rival.expect(404, "GET", f"scopes/{EU}/models")
    assert await told(rival, "rival.shop.eu") == []
    await here.world.admin.execute("update platform_tenancy.node_path set phase = 'suspended' where path = 'acme.shop'")
    assert await told(here.world.operator, EU) == [] == await at_the_gateway(here, EU)
