"""Invitations and forgotten passwords: by the mails that really go out, and by those who should not get in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from ironworks.platform import iam, notification
from ironworks.shared.context import Actor
from tests.platform.notification.test_mail import PASSWORD, SENDER, deliver, letters
from tests.support.world import World

EVE, BOSS = "eve@example.com", "boss@acme.example"
Says = Callable[..., Awaitable[tuple[int, Any]]]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def token_of(mail: Any) -> str:
    """What stands behind the `#` of the link."""
    text = str(mail.get_payload(decode=True), "utf-8")
    found = re.search(r"https://iron\.example/link#(iw[ip]_[0-9A-Za-z]{43})\s", text)
    assert found, text
    return found[1]


@pytest.fixture
def says(http: httpx.AsyncClient) -> Says:
    """Calls an operation; status and body."""

    async def call(path: str, body: Any = None, *, by: str = "", method: str = "POST") -> tuple[int, Any]:
        answer = await http.request(method, f"/api/v1/{path}", json=body, headers=bearer(by) if by else {})
        return answer.status_code, answer.json() if answer.content else None

    return call


async def session(world: World, says: Says, email: str, password: str = PASSWORD) -> str:
    """A session of a user who is made where there is none; its access token."""
    found = await world.admin.fetchval("select name from platform_iam.user where spec ->> 'email' = $1", email)
    if found is None:
        actor = await world.user(email)
        found = await world.admin.fetchval("select name from platform_iam.user where uid = $1", actor.uid)
        async with world.acting(world.operator) as ctx:
            await iam.set_password(ctx, found, await world.identity.hashing.hash(password))
    status, tokens = await says("auth:login", {"email": email, "password": password})
    assert status == 200, tokens
    access: str = tokens["access_token"]
    return access


@pytest.fixture
async def boss(world: World, says: Says) -> str:
    """The session of acme's administrator."""
    await world.scope("acme.shop")
    token = await session(world, says, BOSS)
    await world.grant(f"user:{BOSS}", "-/platform-admin", "acme")
    return token


async def invited(world: World, says: Says, by: str, folder: Path, email: str = EVE, role: str = "-/developer") -> str:
    """An invitation's token, out of its mail."""
    status, made = await says("scopes/acme.shop/invitations", {"email": email, "role": role}, by=by)
    assert (status, made["state"]) == (202, "waiting"), made
    before = len(letters(folder)) if folder.exists() else 0
    assert await deliver(world, notification.FileMailer(folder, SENDER)) == 1
    return token_of(letters(folder)[before])


async def held(says: Says, by: str) -> set[tuple[str, str]]:
    status, me = await says("me", by=by, method="GET")
    assert status == 200
    return {(grant["scope"], grant["role"]) for grant in me["grants"]}


# --- invitations ---------------------------------------------------------------------------------------------------


async def test_a_stranger_is_invited_by_mail_and_comes_in_with_a_password_of_his_own(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    token = await invited(world, says, boss, tmp_path, "Eve@Example.com")
    [mail] = letters(tmp_path)
    assert (mail["To"], mail["Subject"]) == (EVE, f"{BOSS} invites you to acme.shop")
    assert await world.admin.fetchval("select count(*) from platform_iam.user where spec ->> 'email' ~* 'eve'") == 0
    status, told = await says("invitations:read", {"token": token})
    assert (status, told["scope"], told["role"], told["email"], told["inviter"], told["known"]) == (
        200, "acme.shop", "-/developer", EVE, BOSS, False,
    )  # fmt: skip
    assert [i["email"] for i in (await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"]] == [
        EVE
    ]

    joined = await says("invitations:join", {"token": token, "password": PASSWORD, "display_name": "Eve"})
    assert joined == (200, {"scope": "acme.shop", "role": "-/developer", "email": EVE})
    eve = await session(world, says, EVE)
    assert await held(says, eve) == {("acme.shop", "-/developer")}
    assert (await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"] == []

    for operation in ("read", "join"):  # once
        body = {"token": token} | ({"password": PASSWORD} if operation == "join" else {})
        assert (await says(f"invitations:{operation}", body))[0] == 422
    actions = await world.admin.fetch("select action from platform_audit.pending where action ~ '^iam.invitation'")
    assert [row["action"] for row in actions] == ["iam.invitation.send", "iam.invitation.accept"]


async def test_who_has_a_user_accepts_in_his_own_session_and_no_other(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    eve, mallory = await session(world, says, EVE), await session(world, says, "mallory@example.com")
    token = await invited(world, says, boss, tmp_path)
    assert (await says("invitations:read", {"token": token}))[1]["known"] is True
    status, refused = await says("invitations:join", {"token": token, "password": "an attacker's password"})
    assert (status, "sign in" in refused["error"]["message"]) == (409, True)
    assert (await says("invitations:accept", {"token": token}))[0] == 401
    status, refused = await says("invitations:accept", {"token": token}, by=mallory)
    assert (status, "another address" in refused["error"]["message"]) == (403, True)
    assert (await says("invitations:accept", {"token": token}, by=world.operator_key))[0] == 403
    assert await held(says, mallory) == set()

    for _ in range(2):  # the answer may be lost
        assert (await says("invitations:accept", {"token": token}, by=eve))[0] == 200
    assert await held(says, eve) == {("acme.shop", "-/developer")}
    assert (await says("invitations:accept", {"token": token}, by=mallory))[0] == 422
    await session(world, says, EVE)  # with the password that it was
    status, refused = await says("scopes/acme.shop/invitations", {"email": EVE, "role": "-/developer"}, by=boss)
    assert (status, "already" in refused["error"]["message"]) == (409, True)


async def test_inviting_twice_is_one_invitation_and_the_mail_after_ends_the_link_before(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    first = await invited(world, says, boss, tmp_path)
    body = {"email": EVE.upper(), "role": "-/developer"}
    one = (await says("scopes/acme.shop/invitations", body, by=boss))[1]
    assert await deliver(world, notification.FileMailer(tmp_path, SENDER)) == 0, "not twice within a minute"
    world.ahead = timedelta(minutes=2)
    boss = await session(world, says, BOSS)
    second = await invited(world, says, boss, tmp_path)
    [listed] = (await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"]
    assert (one["uid"], listed["state"]) == (listed["uid"], "waiting")
    assert (await says("invitations:read", {"token": first}))[0] == 422
    assert (await says("invitations:read", {"token": second}))[0] == 200
    other = await invited(world, says, boss, tmp_path, role="-/viewer")
    assert len((await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"]) == 2
    for token in (second, other):
        await says("invitations:join", {"token": token, "password": PASSWORD})
    eve = await session(world, says, EVE)
    assert await held(says, eve) == {("acme.shop", "-/developer")}, "the second one asks her to sign in"
    assert (await says("invitations:accept", {"token": other}, by=eve))[0] == 200


async def test_an_invitation_ends_after_a_week_and_when_it_is_taken_back(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    late, gone = (
        await invited(world, says, boss, tmp_path),
        await invited(world, says, boss, tmp_path, "finn@example.com"),
    )
    items = (await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"]
    uid = next(i["uid"] for i in items if i["email"].startswith("finn"))
    assert (await says(f"scopes/acme/invitations/{uid}", by=boss, method="DELETE"))[0] == 404, "it is at acme.shop"
    assert (await says(f"scopes/acme.shop/invitations/{uid}", by=boss, method="DELETE"))[0] == 204
    assert (await says(f"scopes/acme.shop/invitations/{uid}", by=boss, method="DELETE"))[0] == 404
    assert (await says("scopes/acme.shop/invitations/x", by=boss, method="DELETE"))[0] == 404
    assert (await says("invitations:join", {"token": gone, "password": PASSWORD}))[0] == 422
    world.ahead = timedelta(days=7, minutes=1)
    boss = await session(world, says, BOSS)
    [old] = (await says("scopes/acme.shop/invitations", by=boss, method="GET"))[1]["items"]
    assert (old["email"], old["state"]) == (EVE, "expired")
    assert (await says("invitations:join", {"token": late, "password": PASSWORD}))[0] == 422
    again = await invited(world, says, boss, tmp_path)
    assert (await says("invitations:join", {"token": again, "password": PASSWORD}))[0] == 200


async def test_nobody_invites_to_what_he_may_not_give(world: World, says: Says, boss: str) -> None:
    await world.scope("rival")
    viewer = await session(world, says, "viewer@acme.example")
    await world.grant("user:viewer@acme.example", "-/viewer", "acme")
    secret = await world.role("rival", "own", ["tenant:read"])
    cases = [
        (boss, "acme.shop", "-/operator", 403), (boss, "rival", "-/viewer", 404), (boss, "-", "-/viewer", 404),
        (viewer, "acme.shop", "-/viewer", 403), (boss, "acme.shop", secret, 422), (boss, "acme.shop", "-/none", 422),
        (boss, "acme.nothing", "-/viewer", 404), (world.operator_key, "acme.nothing", "-/viewer", 404),
    ]  # fmt: skip
    for by, scope, role, wanted in cases:
        status, refused = await says(f"scopes/{scope}/invitations", {"email": EVE, "role": role}, by=by)
        assert status == wanted or (status, wanted) == (403, 404), (scope, role, refused)
    assert (await says("scopes/acme.shop/invitations", {"email": "x\r\nBcc: y@z", "role": "-/viewer"}, by=boss))[
        0
    ] == 422
    assert await world.admin.fetchval("select count(*) from platform_iam.link") == 0


async def test_others_do_not_see_invitations_nor_take_them_back(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    token = await invited(world, says, boss, tmp_path)
    await world.scope("rival")
    rival = await session(world, says, "rival@rival.example")
    await world.grant("user:rival@rival.example", "-/platform-admin", "rival")
    uid = await world.admin.fetchval("select uid from platform_iam.link")
    for path, method in (("invitations", "GET"), (f"invitations/{uid}", "DELETE")):
        assert (await says(f"scopes/acme.shop/{path}", by=rival, method=method))[0] in (403, 404)
    assert (await says(f"scopes/rival/invitations/{uid}", by=rival, method="DELETE"))[0] == 404
    assert (await says("scopes/rival/invitations", by=rival, method="GET"))[1]["items"] == []
    assert (await says("invitations:read", {"token": token}))[0] == 200


async def test_an_invitation_is_worth_what_its_inviter_may_give_when_it_is_accepted(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    token = await invited(world, says, boss, tmp_path)
    uid, name = await world.admin.fetchrow("select uid, name from platform_iam.user where spec ->> 'email' = $1", BOSS)
    await world.change(iam.USER, "", name, {"disabled": True})
    status, refused = await says("invitations:join", {"token": token, "password": PASSWORD})
    assert (status, "may no longer give" in refused["error"]["message"]) == (409, True)
    assert await world.admin.fetchval("select count(*) from platform_iam.user where spec ->> 'email' = $1", EVE) == 0
    listed = await says("scopes/acme.shop/invitations", by=world.operator_key, method="GET")
    assert [i["state"] for i in listed[1]["items"]] == ["lapsed"]

    # who still may sends it again, and it is his
    status, made = await says(
        "scopes/acme.shop/invitations", {"email": EVE, "role": "-/developer"}, by=world.operator_key
    )
    assert (status, made["state"], made["inviter"]) == (202, "waiting", "operator@localhost")
    assert (await says("invitations:join", {"token": token, "password": PASSWORD}))[0] == 200

    await world.change(iam.USER, "", name, {"disabled": False})
    again = await session(world, says, BOSS)
    token = await invited(world, says, again, tmp_path, "finn@example.com")
    await world.delete(iam.USER, "", name)
    assert (await says("invitations:join", {"token": token, "password": PASSWORD}))[0] == 422
    assert await world.admin.fetchval("select count(*) from platform_iam.invitation where inviter = $1", uid) == 0


async def test_a_key_invites_for_its_owner_within_what_it_holds(
    world: World, says: Says, boss: str, tmp_path: Path
) -> None:
    uid = await world.admin.fetchval("select uid from platform_iam.user where spec ->> 'email' = $1", BOSS)
    owner = Actor(uid, "user", BOSS)
    narrow = await world.key("acme.shop", "narrow", owner, permissions=["role-assignment:create", "role:read"])
    wide = await world.key("acme.shop", "wide", owner)
    for key, wanted in ((narrow, 403), (wide, 202)):
        async with world.acting(owner) as ctx:
            text = (await iam.rotate_key(ctx, "acme.shop", key.name.partition("/")[2])).text
        status, made = await says("scopes/acme.shop/invitations", {"email": EVE, "role": "-/developer"}, by=text)
        assert status == wanted, made
    assert made["inviter"] == BOSS
    await world.delete(iam.API_KEY, "acme.shop", "wide")
    await deliver(world, notification.FileMailer(tmp_path, SENDER))
    [mail] = letters(tmp_path)
    assert (await says("invitations:join", {"token": token_of(mail), "password": PASSWORD}))[0] == 200


async def test_a_scope_that_is_gone_takes_nobody(world: World, says: Says, boss: str, tmp_path: Path) -> None:
    from ironworks.platform import tenancy

    token = await invited(world, says, boss, tmp_path)
    await world.delete(tenancy.PLATFORM, "acme", "shop")
    await world.settle()
    assert (await says("invitations:join", {"token": token, "password": PASSWORD}))[0] == 404
    assert await world.admin.fetchval("select count(*) from platform_iam.user where spec ->> 'email' = $1", EVE) == 0


async def test_inviting_again_and_again_is_slowed_down(world: World, says: Says, boss: str) -> None:
    statuses = []
    for n in range(52):
        body = {"email": f"u{n}@example.com", "role": "-/viewer"}
        statuses.append((await says("scopes/acme.shop/invitations", body, by=boss))[0])
    assert statuses == [202] * 50 + [429] * 2
    listed = (await says("scopes/acme.shop/invitations?limit=40", by=boss, method="GET"))[1]
    rest = await says(f"scopes/acme.shop/invitations?cursor={listed['next_cursor']}", by=boss, method="GET")
    assert len({i["uid"] for i in listed["items"] + rest[1]["items"]}) == 50


# --- forgotten passwords -------------------------------------------------------------------------------------------


async def forgotten(world: World, says: Says, folder: Path, email: str = EVE) -> str:
    before = len(letters(folder)) if folder.exists() else 0
    assert (await says("password:forgot", {"email": email}))[0] == 202
    assert await deliver(world, notification.FileMailer(folder, SENDER)) == 1
    return token_of(letters(folder)[before])


async def test_a_forgotten_password_is_set_anew_once_and_ends_all_sessions(
    world: World, says: Says, tmp_path: Path
) -> None:
    await session(world, says, EVE)
    tokens = (await says("auth:login", {"email": EVE, "password": PASSWORD}))[1]
    for _ in range(6):  # a thief who guesses does not keep her out
        await says("auth:login", {"email": EVE, "password": "wrong"})
    token = await forgotten(world, says, tmp_path, "EVE@example.com")
    assert await says("password:reset", {"token": token, "password": "another long one"}) == (200, {"email": EVE})
    assert (await says("password:reset", {"token": token, "password": "the thief's own"}))[0] == 422
    assert (await says("auth:refresh", {"refresh_token": tokens["refresh_token"]}))[0] == 401
    assert (await says("auth:login", {"email": EVE, "password": "another long one"}))[0] == 200
    actions = await world.admin.fetch("select action from platform_audit.pending where action ~ '^iam.password'")
    assert [row["action"] for row in actions] == ["iam.password.change", "iam.password.link", "iam.password.reset"]


async def test_asking_tells_nobody_whether_an_address_is_known(world: World, says: Says, tmp_path: Path) -> None:
    disabled, known, unknown = "off@example.com", EVE, "nobody@example.com"
    for email in (known, disabled):
        await session(world, says, email)
    name = await world.admin.fetchval("select name from platform_iam.user where spec ->> 'email' = $1", disabled)
    await world.change(iam.USER, "", name, {"disabled": True})
    answers = [await says("password:forgot", {"email": email}) for email in (known, disabled, unknown)]
    assert answers[0] == answers[1] == answers[2]
    rows = await world.admin.fetch("select count(*) as n from platform_iam.link group by email, purpose")
    assert [row["n"] for row in rows] == [1, 1, 1]
    assert await deliver(world, notification.FileMailer(tmp_path, SENDER)) == 1
    assert await world.admin.fetchval("select count(*) from shared.change_log where event_type ~ 'link_requested'") == 3
    assert [mail["To"] for mail in letters(tmp_path)] == [known]
    refusals = [[(await says("password:forgot", {"email": email}))[0] for _ in range(5)] for email in (known, unknown)]
    assert refusals[0] == refusals[1] == [202, 202, 202, 202, 429], "counted before anybody looks"


async def test_asking_does_the_same_for_every_address(
    world: World, says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it takes the same time: the worker alone looks whether somebody is there."""
    await world.user(EVE)
    run: list[str] = []
    plain = asyncpg.connection.Connection._execute

    async def noted(self: Any, query: str, *arguments: Any, **more: Any) -> Any:
        run.append(query)
        return await plain(self, query, *arguments, **more)

    await says("password:forgot", {"email": "first@example.com"})  # what a connection does once is done
    monkeypatch.setattr(asyncpg.connection.Connection, "_execute", noted)
    seen = []
    for email in (EVE, "nobody@example.com"):
        run.clear()
        assert (await says("password:forgot", {"email": email}))[0] == 202
        seen.append(list(run))
    assert seen[0] == seen[1]
    assert any("ask_password" in query for query in seen[0])


async def test_a_link_for_a_password_ends_after_an_hour_and_with_the_next_one(
    world: World, says: Says, tmp_path: Path
) -> None:
    await session(world, says, EVE)
    first = await forgotten(world, says, tmp_path)
    assert (await says("password:forgot", {"email": EVE}))[0] == 202
    assert await deliver(world, notification.FileMailer(tmp_path, SENDER)) == 0, "not twice within a minute"
    world.ahead = timedelta(minutes=2)
    second = await forgotten(world, says, tmp_path)
    assert (await says("password:reset", {"token": first, "password": PASSWORD}))[0] == 422
    world.ahead = timedelta(minutes=63)
    assert (await says("password:reset", {"token": second, "password": PASSWORD}))[0] == 422
    assert (await says("password:reset", {"token": second, "password": "short"}))[0] == 422
    third = await forgotten(world, says, tmp_path)
    name = await world.admin.fetchval("select name from platform_iam.user where spec ->> 'email' = $1", EVE)
    await world.change(iam.USER, "", name, {"disabled": True})
    assert (await says("password:reset", {"token": third, "password": PASSWORD}))[0] == 422


async def test_tokens_do_only_what_they_are_for(world: World, says: Says, boss: str, tmp_path: Path) -> None:
    invitation, password = await invited(world, says, boss, tmp_path), await forgotten(world, says, tmp_path, BOSS)
    assert (await says("password:reset", {"token": invitation, "password": PASSWORD}))[0] == 422
    assert (await says("signup:verify", {"token": invitation}))[0] == 422
    assert (await says("signup:verify", {"token": password}))[0] == 422
    assert (await says("invitations:join", {"token": password, "password": PASSWORD}))[0] == 422
    assert (await says("invitations:accept", {"token": password}, by=boss))[0] == 422


async def test_tokens_are_in_no_event_record_or_table(world: World, says: Says, boss: str, tmp_path: Path) -> None:
    tokens = [await invited(world, says, boss, tmp_path), await forgotten(world, says, tmp_path, BOSS)]
    tables = ("shared.change_log", "platform_audit.pending", "platform_iam.link", "platform_iam.invitation")
    for table in (*tables, "shared.idempotency"):
        rows = await world.admin.fetch(f"select t::text as row from {table} t")
        assert not any(token in row["row"] for row in rows for token in tokens), table
    assert await world.admin.fetchval("select count(*) from platform_notification.mail where variables <> '{}'") == 0


async def test_trying_tokens_is_slowed_down(says: Says) -> None:
    body = {"token": "iwp_unknown", "password": PASSWORD}
    assert [(await says("password:reset", body))[0] for _ in range(21)] == [422] * 20 + [429]


async def test_an_operator_makes_a_link_to_hand_over(world: World, says: Says, boss: str) -> None:
    await session(world, says, EVE)
    name = await world.admin.fetchval("select name from platform_iam.user where spec ->> 'email' = $1", EVE)
    path = f"users/{name}:make-password-link"
    assert (await says(path, by=boss))[0] == 403
    assert (await says("users/nobody:make-password-link", by=world.operator_key))[0] == 404
    first = (await says(path, by=world.operator_key))[1]["link"]
    status, made = await says(path, by=world.operator_key)
    assert (status, made["link"].partition("#")[0]) == (200, "https://iron.example/link")
    old, new = (link.partition("#")[2] for link in (first, made["link"]))
    assert (await says("password:reset", {"token": old, "password": "another long one"}))[0] == 422
    assert (await says("password:reset", {"token": new, "password": "another long one"}))[0] == 200

    # who may set passwords and holds less than the other makes none
    await world.role("", "helper", ["user:set-password", "user:read"])
    helper = await session(world, says, "helper@example.com")
    await world.grant("user:helper@example.com", "-/helper", "")
    assert (await says(path, by=helper))[0] == 200
    await world.grant(f"user:{EVE}", "-/viewer", "acme")
    assert (await says(path, by=helper))[0] == 403


async def test_what_was_done_with_is_forgotten(world: World, says: Says, boss: str, tmp_path: Path) -> None:
    await invited(world, says, boss, tmp_path)
    await forgotten(world, says, tmp_path, BOSS)

    async def kept() -> set[str]:
        async with world.system() as ctx:
            await ctx.db.execute("select platform_iam.purge($1)", ctx.now())
        return {row["purpose"] for row in await world.admin.fetch("select purpose from platform_iam.link")}

    assert await kept() == {"invitation", "password"}
    world.ahead = timedelta(days=2)
    assert await kept() == {"invitation"}
    world.ahead = timedelta(days=38)
    assert await kept() == set()
