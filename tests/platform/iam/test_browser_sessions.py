"""Sessions of browsers: the cookie, who may send it, what people see of their sign-ins, and the first start."""

from __future__ import annotations

import re
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from ironworks.platform import iam
from ironworks.platform.iam.headers import SESSION, refuse_cross_site
from ironworks.platform.iam.model import CrossSite
from ironworks.shared.topics import read_touched
from tests.support.world import World

EMAIL, PASSWORD = "alice@example.com", "correct horse battery"
COOKIE = SESSION.plain_name
PAGE = {"sec-fetch-site": "same-origin", "origin": "http://api.test"}


async def signed_up(world: World, email: str = EMAIL) -> None:
    user = await world.user(email)
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", user.uid)
    async with world.acting(world.operator) as ctx:
        await iam.set_password(ctx, name, await world.identity.hashing.hash(PASSWORD))


async def sign_in(http: httpx.AsyncClient, email: str = EMAIL, **headers: str) -> dict[str, str]:
    """Headers with the access token; the cookie is kept by the client."""
    answer = await http.post(
        "/api/v1/session", json={"email": email, "password": PASSWORD}, headers={**PAGE, **headers}
    )
    assert answer.status_code == 200, answer.text
    return bearer(answer)


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- the cookie ------------------------------------------------------------------------------------------------------


async def test_a_browser_signs_in_goes_on_and_leaves(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    answer = await http.post("/api/v1/session", json={"email": EMAIL, "password": PASSWORD}, headers=PAGE)
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "expires_at"}
    assert (answer.json()["expires_in"], answer.headers["cache-control"]) == (600, "no-store")
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/api/v1/session", True, "Strict")
    assert (cookie["max-age"], cookie["secure"], cookie["domain"]) == (str(30 * 86400), "", "")
    assert cookie.value not in answer.text
    assert (await http.get("/api/v1/me", headers=bearer(answer))).json()["name"] == EMAIL

    again = await http.post("/api/v1/session/token", headers=PAGE)
    assert again.status_code == 200
    assert SimpleCookie(again.headers["set-cookie"])[COOKIE].value != cookie.value
    assert (await http.get("/api/v1/me", headers=bearer(again))).status_code == 200

    left = await http.delete("/api/v1/session", headers=PAGE)
    assert (left.status_code, left.content) == (204, b"")
    assert SimpleCookie(left.headers["set-cookie"])[COOKIE]["max-age"] == "0"
    assert code(await http.post("/api/v1/session/token", headers=PAGE)) == (401, "SESSION_ENDED")
    http.cookies.set(COOKIE, cookie.value, path="/api/v1/session")
    assert code(await http.post("/api/v1/session/token", headers=PAGE)) == (401, "SESSION_ENDED")
    assert (await http.delete("/api/v1/session", headers=PAGE)).status_code == 204  # twice is no error


async def test_the_cookie_alone_opens_nothing_else(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    await sign_in(http)
    http.cookies.set(COOKIE, next(iter(http.cookies.jar)).value or "", path="/")
    assert (await http.get("/api/v1/me", headers=PAGE)).status_code == 401


async def test_over_tls_the_cookie_is_secure_and_one_without_is_not_read(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    body = {"email": EMAIL, "password": PASSWORD}
    answer = await http.post("https://api.test/api/v1/session", json=body, headers=PAGE)
    cookie = SimpleCookie(answer.headers["set-cookie"])[f"__Secure-{COOKIE}"]
    assert cookie["secure"]
    planted = {**PAGE, "cookie": f"{COOKIE}={cookie.value}"}
    http.cookies.clear()
    assert (await http.post("https://api.test/api/v1/session/token", headers=planted)).status_code == 401
    http.cookies.clear()
    sent = {**PAGE, "cookie": f"other=1; __Secure-{COOKIE}={cookie.value}"}
    assert (await http.post("https://api.test/api/v1/session/token", headers=sent)).status_code == 200


@pytest.mark.parametrize(
    "text", ["", "x", f"{COOKIE}=", f"{COOKIE}={'x' * 101}", f"{COOKIE}=é", f"not{COOKIE}=x", ";;="]
)
def test_what_is_no_cookie_of_ours_is_none(text: str) -> None:
    assert SESSION.read({"cookie": text}, secure=False) is None


def test_a_cookie_is_read_as_it_was_written() -> None:
    for secure in (True, False):
        pair = SESSION.write("iwr_x", secure=secure).partition(";")[0]
        assert SESSION.read({"cookie": f"a=b; {pair}; c=d"}, secure=secure) == "iwr_x"
        assert SESSION.read({"cookie": pair}, secure=not secure) is None


# --- who may send it -------------------------------------------------------------------------------------------------

OURS: list[dict[str, str]] = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:5173"},  # a development server that passes on to us
    {"origin": "http://api.test", "host": "api.test"},
    {"origin": "https://console.example", "host": "10.0.0.7:7070"},
    {},
]
FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://api.test", "host": "api.test"},
    {"sec-fetch-site": "none"},
    {"origin": "http://evil.example", "host": "api.test"},
    {"origin": "http://api.test:81", "host": "api.test"},
    {"origin": "null", "host": "api.test"},
]


@pytest.mark.parametrize("headers", OURS)
def test_the_consoles_own_pages_may(headers: dict[str, str]) -> None:
    refuse_cross_site(headers, "https://console.example")


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_pages_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(CrossSite):
        refuse_cross_site(headers, "https://console.example")


async def test_every_operation_of_the_session_refuses_other_sites(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    await sign_in(http)
    foreign = {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}
    login = {"email": EMAIL, "password": PASSWORD}
    setup = {"operator_key": world.operator_key, "email": "eve@example.com", "password": PASSWORD}
    answers = [
        await http.post("/api/v1/session", json=login, headers=foreign),
        await http.post("/api/v1/session/token", headers=foreign),
        await http.delete("/api/v1/session", headers=foreign),
        await http.post("/api/v1/setup", json=setup, headers=foreign),
    ]
    assert [code(answer) for answer in answers] == [(403, "CROSS_SITE")] * 4
    assert (await http.post("/api/v1/session/token", headers=PAGE)).status_code == 200


async def test_guessing_is_slowed_down_as_at_any_sign_in(http: httpx.AsyncClient) -> None:
    wrong = {"email": "nobody@example.com", "password": "wrong"}
    answers = [await http.post("/api/v1/session", json=wrong, headers=PAGE) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert all("set-cookie" not in answer.headers for answer in answers)


# --- one's own sessions ----------------------------------------------------------------------------------------------


async def listed(http: httpx.AsyncClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = await http.get("/api/v1/me/sessions", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_people_see_and_end_their_own_sessions(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    await signed_up(world, "bob@example.com")
    others = await sign_in(http, "bob@example.com")
    old = await sign_in(http, **{"user-agent": "Firefox" + "x" * 300})
    world.ahead = timedelta(minutes=1)
    mine = await sign_in(http, **{"user-agent": "Chromium"})
    found = await listed(http, mine)
    assert [(s["user_agent"][:8], s["current"], s["address"]) for s in found] == [
        ("Chromium", True, "192.0.2.1"),
        ("Firefoxx", False, "192.0.2.1"),
    ]
    assert all(len(s["user_agent"]) <= 200 for s in found)
    [foreign] = await listed(http, others)
    for unknown in (foreign["id"], "no-id"):
        assert (await http.delete(f"/api/v1/me/sessions/{unknown}", headers=mine)).status_code == 404
    assert (await http.delete(f"/api/v1/me/sessions/{found[1]['id']}", headers=mine)).status_code == 204
    assert [s["id"] for s in await listed(http, old)] == [found[0]["id"]]
    assert len(await listed(http, others)) == 1


async def test_what_is_somebody_s_own_is_told_as_his(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    api = await world.database()
    me = (await http.get("/api/v1/me", headers=await sign_in(http))).json()["uid"]
    old = await sign_in(http)
    for act in (
        lambda: sign_in(http),
        lambda: http.post("/api/v1/session/token", headers=PAGE),
        lambda: http.patch("/api/v1/me", json={"display_name": "Alice"}, headers=old),
        lambda: http.post("/api/v1/me/sessions:end-others", headers=old),
    ):
        await world.admin.execute("delete from shared.touched")
        await act()
        assert {place for place in (await read_touched(api, 0)).places if place[0] == "me"} == {("me", me)}


async def test_signing_out_elsewhere_and_everywhere(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    for _ in range(3):
        mine = await sign_in(http)
    assert (await http.post("/api/v1/me/sessions:end-others", headers=mine)).json() == {"ended": 2}
    assert [s["current"] for s in await listed(http, mine)] == [True]
    assert (await http.post("/api/v1/me/sessions:end-all", headers=mine)).json() == {"ended": 1}
    assert code(await http.post("/api/v1/session/token", headers=PAGE)) == (401, "SESSION_ENDED")


async def test_a_key_has_no_sessions(http: httpx.AsyncClient, world: World) -> None:
    answer = await http.get("/api/v1/me/sessions", headers={"authorization": f"Bearer {world.operator_key}"})
    assert code(answer) == (403, "FORBIDDEN")


async def test_people_say_how_they_are_called(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    mine = await sign_in(http)
    for name in ("Alice Liddell", "Alice Liddell", None):
        answer = await http.patch("/api/v1/me", json={"display_name": name}, headers=mine)
        assert (answer.status_code, answer.json()["display_name"]) == (200, name), answer.text
        assert (await http.get("/api/v1/me", headers=mine)).json()["display_name"] == name
    records = await world.admin.fetch("select 1 from platform_audit.pending where action = 'iam.profile.change'")
    assert len(records) == 2
    assert (await http.patch("/api/v1/me", json={}, headers=mine)).status_code == 422
    others = await world.admin.fetch("select name from platform_iam.user where display_name ~ 'Alice'")
    assert others == []


async def test_pages_remember_what_people_like(http: httpx.AsyncClient, world: World) -> None:
    await signed_up(world)
    await signed_up(world, "bob@example.com")
    mine, others = await sign_in(http), await sign_in(http, "bob@example.com")
    path = "/api/v1/me/preferences"
    nothing = {"preferences": dict.fromkeys(("theme", "density", "utc", "scope", "pages"))}
    assert (await http.get(path, headers=mine)).json() == nothing
    pages = {"endpoints": {"columns": ["name", "phase"]}}
    liked = {"preferences": {"theme": "dark", "density": None, "utc": True, "scope": "acme.shop", "pages": pages}}
    assert (await http.put(path, json=liked, headers=mine)).json() == liked
    assert (await http.get(path, headers=mine)).json() == liked
    assert (await http.get(path, headers=others)).json() == nothing
    for bad in (
        {"pages": {"x": "y" * 16 * 1024}}, {"theme": "pink"}, {"utc": "perhaps"}, {"scope": "x" * 601}, {"else": 1}, [],
    ):  # fmt: skip
        assert (await http.put(path, json={"preferences": bad}, headers=mine)).status_code == 422
    assert (await http.put(path, json={}, headers=mine)).status_code == 422
    assert (await http.get(path, headers=mine)).json() == liked
    await world.admin.execute('update platform_iam.preference set document = \'{"theme": 5, "old": 1}\'')
    assert (await http.get(path, headers=mine)).json() == nothing, "older than the schema"
    key = {"authorization": f"Bearer {world.operator_key}"}
    for answer in (
        await http.get(path, headers=key), await http.put(path, json=liked, headers=key),
        await http.patch("/api/v1/me", json={"display_name": "x"}, headers=key),
    ):  # fmt: skip
        assert code(answer) == (403, "FORBIDDEN")
    name = await world.admin.fetchval("select name from platform_iam.user where spec ->> 'email' = $1", EMAIL)
    await world.delete(iam.USER, "", name)
    assert await world.admin.fetchval("select count(*) from platform_iam.preference") == 0


# --- the first start -------------------------------------------------------------------------------------------------


async def test_who_holds_the_operators_key_becomes_the_first_operator_once(
    http: httpx.AsyncClient, world: World
) -> None:
    async with world.system("api") as ctx:
        assert await iam.is_setup_needed(ctx)
    body = {"operator_key": world.operator_key, "email": "Root@example.com", "password": PASSWORD}
    answer = await http.post("/api/v1/setup", json=body, headers=PAGE)
    assert answer.status_code == 201, answer.text
    me = (await http.get("/api/v1/me", headers=bearer(answer))).json()
    assert (me["name"], [(g["scope"], g["role"]) for g in me["grants"]]) == ("root@example.com", [("-", "-/operator")])
    assert (await http.post("/api/v1/session/token", headers=PAGE)).status_code == 200
    await sign_in(http, "root@example.com")
    async with world.system("api") as ctx:
        assert not await iam.is_setup_needed(ctx)
    again = await http.post("/api/v1/setup", json={**body, "email": "second@example.com"}, headers=PAGE)
    assert code(again) == (409, "SET_UP_ALREADY")
    assert not await world.admin.fetchval("select count(*) from platform_iam.user where spec ->> 'email' ~ 'second'")


async def test_without_the_operators_key_nothing_is_set_up(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme")
    await world.key("acme", "weak", world.operator)
    operator = {"authorization": f"Bearer {world.operator_key}"}
    weak = (await http.post("/api/v1/scopes/acme/api-keys/weak:rotate", json={}, headers=operator)).json()["key"]
    for key, expected in (
        ("", (401, "WRONG_OPERATOR_KEY")),
        (re.sub(r".$", "?", world.operator_key), (401, "WRONG_OPERATOR_KEY")),
        (weak, (403, "FORBIDDEN")),
    ):
        body = {"operator_key": key, "email": "eve@example.com", "password": PASSWORD}
        assert code(await http.post("/api/v1/setup", json=body, headers=PAGE)) == expected
    body = {"operator_key": world.operator_key, "email": "operator@localhost", "password": PASSWORD}
    assert (await http.post("/api/v1/setup", json=body, headers=PAGE)).status_code == 409
    assert await world.admin.fetchval("select count(*) from platform_iam.user") == 1
