"""Why somebody may do something, or why not."""

from __future__ import annotations

from typing import Any

import httpx

from ironworks.platform import iam
from tests.support.world import World


async def explained(http: httpx.AsyncClient, key: str, path: str, subject: str, permission: str) -> httpx.Response:
    return await http.get(
        f"/api/v1/scopes/{path}/access",
        params={"subject": subject, "permission": permission},
        headers={"authorization": f"Bearer {key}"},
    )


async def told(http: httpx.AsyncClient, world: World, path: str, subject: str, permission: str) -> dict[str, Any]:
    """What the operator is told."""
    answer = await explained(http, world.operator_key, path, subject, permission)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_assignment_above_gives_it_and_one_below_does_not_reach(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/viewer", "acme")
    await world.grant("user:alice@example.com", "-/developer", "acme.shop.eu")
    found = await told(http, world, "acme.shop", "user:Alice@example.com", "tenant:read")
    assert (found["allowed"], found["obstacles"], found["subject"]) == (True, [], "user:alice@example.com")
    assert [(a["scope"], a["role"], a["reaches"]) for a in found["assignments"]] == [
        ("acme", "-/viewer", True),
        ("acme.shop.eu", "-/developer", False),
    ]
    assert found["assignments"][0]["assignment"].startswith("acme/")
    denied = await told(http, world, "acme.shop", "user:alice@example.com", "api-key:create")
    assert (denied["allowed"], denied["obstacles"]) == (False, ["no-role"])
    assert [a["reaches"] for a in denied["assignments"]] == [False]
    there = await told(http, world, "acme.shop.eu", "user:alice@example.com", "api-key:create")
    assert (there["allowed"], there["obstacles"]) == (True, [])


async def test_everything_that_stands_against_it_is_told(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("acme.other")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/developer", "acme")
    await world.key("acme.shop", "k", alice, permissions=["tenant:read"])
    key = "api-key:acme.shop/k"
    good = await told(http, world, "acme.shop", key, "tenant:read")
    assert (good["allowed"], good["obstacles"], good["owner"]) == (True, [], "user:alice@example.com")
    for path, permission, obstacles in (
        ("acme.other", "tenant:read", ["outside-of-the-key"]),
        ("acme.shop", "api-key:create", ["key-leaves-it-out"]),
        ("acme.shop", "nothing:at-all", ["permission-unknown-or-disabled", "no-role", "key-leaves-it-out"]),
    ):
        found = await told(http, world, path, key, permission)
        assert (found["allowed"], found["obstacles"]) == (False, obstacles)
    await world.change(iam.API_KEY, "acme.shop", "k", {"disabled": True})
    assert (await told(http, world, "acme.shop", key, "tenant:read"))["obstacles"] == ["key-disabled"]
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", alice.uid)
    await world.change(iam.USER, "", name, {"disabled": True})
    assert (await told(http, world, "acme.shop", key, "tenant:read"))["obstacles"] == ["owner-disabled", "key-disabled"]
    whose = await told(http, world, "acme.shop", "user:alice@example.com", "tenant:read")
    assert (whose["allowed"], whose["obstacles"]) == (False, ["subject-disabled"])


async def test_a_tenants_administrator_learns_nothing_of_what_lies_above(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop")
    await world.scope("other")
    await world.make(iam.SERVICE_ACCOUNT, "acme.shop", "admin")
    await world.grant("service-account:acme.shop/admin", "-/tenant-admin", "acme.shop")
    await world.make(iam.SERVICE_ACCOUNT, "other", "robot")
    body = {"owner": "service-account:acme.shop/admin"}
    await world.make(iam.API_KEY, "acme.shop", "k", body)
    operator = {"authorization": f"Bearer {world.operator_key}"}
    key = (await http.post("/api/v1/scopes/acme.shop/api-keys/k:rotate", json={}, headers=operator)).json()["key"]
    found = (await explained(http, key, "acme.shop", "user:operator@localhost", "tenant:read")).json()
    assert (found["allowed"], found["obstacles"]) == (True, [])
    assert found["assignments"] == [{"assignment": None, "scope": None, "role": None, "reaches": True}]
    for path, subject, status in (
        ("acme.shop", "service-account:other/robot", 404),
        ("acme.shop", "user:nobody@example.com", 404),
        ("acme.shop", "nonsense", 404),
        ("acme", "user:operator@localhost", 403),
        ("other", "service-account:other/robot", 404),
    ):
        assert (await explained(http, key, path, subject, "tenant:read")).status_code == status, subject
    assert (await explained(http, key, "acme.shop", "nonsense", "Everything")).status_code == 422
    bearer = {"authorization": f"Bearer {key}"}
    whose = {"subject": "nonsense"}
    answer = await http.get("/api/v1/scopes/acme.shop/access/permissions", params=whose, headers=bearer)
    assert answer.status_code == 404
    assert (await http.get("/api/v1/scopes/acme/members", headers=bearer)).status_code == 403
    seen = (await http.get("/api/v1/scopes/acme.shop/members", headers=bearer)).json()
    assert [member["subject"] for member in seen["items"]] == ["service-account:acme.shop/admin"]
    assert seen["above"] is True  # the operator, of whom it is told no more


async def asked(http: httpx.AsyncClient, world: World, path: str, **query: Any) -> dict[str, Any]:
    """What the operator is answered at `/api/v1/scopes/<path>`."""
    headers = {"authorization": f"Bearer {world.operator_key}"}
    answer = await http.get(f"/api/v1/scopes/{path}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_members_are_told_with_what_gives_them_their_roles(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("other")
    await world.user("alice@example.com")
    bob = await world.user("bob@example.com")
    await world.user("carol@example.com")
    for subject, role, path in (
        ("user:alice@example.com", "-/viewer", "acme"),
        ("user:alice@example.com", "-/developer", "acme.shop"),
        ("user:bob@example.com", "-/developer", "acme.shop.eu"),
        ("user:carol@example.com", "-/viewer", "other"),
    ):
        await world.grant(subject, role, path)
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", bob.uid)
    await world.change(iam.USER, "", name, {"disabled": True})
    found = await asked(http, world, "acme.shop/members")
    assert [member["subject"] for member in found["items"]] == ["user:alice@example.com", "user:operator@localhost"]
    first = found["items"][0]
    given = [(assignment["scope"], assignment["role"]) for assignment in first["assignments"]]
    assert given == [("acme", "-/viewer"), ("acme.shop", "-/developer")]
    assert (first["kind"], first["active"], found["above"]) == ("user", True, False)
    below = await asked(http, world, "acme.shop/members", below=True)
    assert [(member["subject"], member["active"]) for member in below["items"]] == [("user:bob@example.com", False)]
    everybody: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await asked(http, world, "-/members", below=True, limit=1, **cursor)
        everybody += [member["subject"] for member in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert everybody == ["user:alice@example.com", "user:bob@example.com", "user:carol@example.com"]


async def test_all_that_a_subject_may_do_is_told(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme.shop.eu")
    alice = await world.user("alice@example.com")
    await world.grant("user:alice@example.com", "-/viewer", "acme")
    await world.grant("user:alice@example.com", "-/developer", "acme.shop")
    await world.key("acme.shop.eu", "k", alice, permissions=["tenant:read", "api-key:create"])

    async def held(path: str, subject: str) -> set[str]:
        return set((await asked(http, world, f"{path}/access/permissions", subject=subject))["permissions"])

    presets = iam.preset_permissions(world.catalogue.permissions)
    assert await held("acme", "user:alice@example.com") == set(presets["viewer"])
    assert await held("acme.shop.eu", "user:alice@example.com") == {*presets["viewer"], *presets["developer"]}
    assert await held("-", "user:alice@example.com") == set()
    assert await held("acme.shop.eu", "api-key:acme.shop.eu/k") == {"tenant:read", "api-key:create"}
    assert await held("acme.shop", "api-key:acme.shop.eu/k") == set()
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", alice.uid)
    await world.change(iam.USER, "", name, {"disabled": True})
    assert await held("acme.shop", "user:alice@example.com") == set()
