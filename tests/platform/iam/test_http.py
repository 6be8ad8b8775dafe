"""The routes as a client meets them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.world import World

PASSWORD = "correct horse battery"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def sign_in(http: httpx.AsyncClient, email: str, password: str = PASSWORD) -> dict[str, Any]:
    answer = await http.post("/api/v1/auth:login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_person_signs_in_looks_around_refreshes_and_leaves(http: httpx.AsyncClient, world: World) -> None:
    alice = await world.user("alice@example.com")
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", alice.uid)
    operator = bearer(world.operator_key)
    set_password = f"/api/v1/users/{name}:set-password"
    assert (await http.post(set_password, json={"password": PASSWORD}, headers=operator)).status_code == 204
    await world.scope("acme")
    await world.grant("user:alice@example.com", "-/viewer", "acme")

    session = await sign_in(http, "alice@example.com")
    assert (session["token_type"], session["expires_in"]) == ("Bearer", 600)
    me = (await http.get("/api/v1/me", headers=bearer(session["access_token"]))).json()
    assert (me["kind"], me["name"], me["scope"]) == ("user", "alice@example.com", None)
    assert [(grant["scope"], grant["role"]) for grant in me["grants"]] == [("acme", "-/viewer")]

    again = await http.post("/api/v1/auth:refresh", json={"refresh_token": session["refresh_token"]})
    last = await http.post("/api/v1/auth:refresh", json={"refresh_token": again.json()["refresh_token"]})
    assert last.status_code == 200
    for token in (session["refresh_token"], last.json()["refresh_token"]):
        refused = await http.post("/api/v1/auth:refresh", json={"refresh_token": token})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "SESSION_ENDED")
    assert (await http.post("/api/v1/auth:logout", json={"refresh_token": "iwr_unknown"})).status_code == 204


async def test_wrong_passwords_get_401_and_then_429_that_says_how_long(http: httpx.AsyncClient) -> None:
    answers = [
        await http.post("/api/v1/auth:login", json={"email": "nobody@example.com", "password": "wrong"})
        for _ in range(6)
    ]
    assert [a.status_code for a in answers] == [401] * 5 + [429]
    assert answers[0].json()["error"]["code"] == "WRONG_CREDENTIALS"
    assert answers[5].headers["retry-after"] == "1"


async def test_a_keys_secret_is_shown_once(http: httpx.AsyncClient, world: World) -> None:
    await world.scope("acme")
    await world.key("acme", "k", world.operator)
    headers = {**bearer(world.operator_key), "idempotency-key": "once"}
    shown = await http.post("/api/v1/scopes/acme/api-keys/k:rotate", json={}, headers=headers)
    assert shown.status_code == 200
    key = shown.json()["key"]
    me = (await http.get("/api/v1/me", headers=bearer(key))).json()
    assert (me["kind"], me["name"], me["scope"], me["owner"]) == (
        "api_key",
        "acme/k",
        "acme",
        "user:operator@localhost",
    )
    replay = await http.post("/api/v1/scopes/acme/api-keys/k:rotate", json={}, headers=headers)
    assert replay.status_code == 409
    assert key not in replay.text
    foreign = await http.post("/api/v1/scopes/nobody/api-keys/k:rotate", json={}, headers=bearer(key))
    assert foreign.status_code == 404


async def test_signing_up_answers_alike_for_everybody(http: httpx.AsyncClient, world: World) -> None:
    await world.user("known@example.com")
    answers = [
        await http.post("/api/v1/signup", json={"email": email, "password": PASSWORD, "account": account})
        for email, account in (("known@example.com", "one"), ("new@example.com", "two"))
    ]
    assert [a.status_code for a in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    again = [
        await http.post("/api/v1/signup:resend", json={"email": email})
        for email in ("new@example.com", "no@example.com")
    ]
    assert again[0].status_code == again[1].status_code == 202
    assert again[0].json() == again[1].json()


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("signup", {"email": "no address", "password": PASSWORD, "account": "one"}, "email"),
    ("signup", {"email": "a@b.example\r\nBcc: x@y.example", "password": PASSWORD, "account": "one"}, "email"),
    ("signup", {"email": "a@b.example", "password": "short", "account": "one"}, "password"),
    ("signup", {"email": "a@b.example", "password": PASSWORD, "account": "'; drop table x"}, "account"),
    ("signup:verify", {"token": "iws_unknown"}, "token"),
    ("signup:verify", {"token": "a\nb"}, "token"),
    ("auth:login", {"email": "a@b.example"}, "password"),
    ("auth:login", {"email": "a@b.example", "password": "x", "admin": True}, "admin"),
    ("auth:refresh", {"refresh_token": ["x"]}, "refresh_token"),
]


async def test_bad_input_is_told_by_its_field(http: httpx.AsyncClient) -> None:
    for verb, body, field in BAD:
        answer = await http.post(f"/api/v1/{verb}", json=body)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["error"]["details"]["fields"][0]["field"]


async def test_the_public_keys_are_where_clients_look(http: httpx.AsyncClient, world: World) -> None:
    await world.identity.signer.key(await world.database())
    answers = [(await http.get(p)).json() for p in ("/api/v1/auth/jwks", "/.well-known/jwks.json")]
    assert answers[0] == answers[1]
    [key] = answers[0]["keys"]
    assert (key["kty"], key["crv"], key["alg"], "d" in key) == ("OKP", "Ed25519", "EdDSA", False)


async def test_a_bad_credential_is_401(http: httpx.AsyncClient) -> None:
    for token in ("", "x", "iwk_x", f"iwk_{'z' * 22}_{'z' * 43}", "a.b.c", "'; drop table x"):
        answer = await http.get("/api/v1/me", headers=bearer(token))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
