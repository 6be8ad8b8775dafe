"""Proving who one is: passwords and lock-out, sessions and stolen tokens, keys, passes between processes."""

from __future__ import annotations

import asyncio
from dataclasses import astuple
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import jwt
import pytest
from argon2 import PasswordHasher, extract_parameters
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ironworks.platform import iam, tenancy
from ironworks.platform.iam import authentication, tokens
from ironworks.platform.iam.authentication import log_in, log_out, refresh_session
from ironworks.platform.iam.model import new_key
from ironworks.platform.iam.passwords import THREADS, WAITING
from ironworks.shared.context import Actor
from ironworks.shared.errors import Forbidden, NotFound, Unauthenticated, Unavailable
from tests.support.world import CHEAP, World

EMAIL, PASSWORD = "alice@example.com", "correct horse battery"


async def signed_up(world: World, email: str = EMAIL) -> Actor:
    """A user with a password."""
    user = await world.user(email)
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", user.uid)
    async with world.acting(world.operator) as ctx:
        await iam.set_password(ctx, name, await world.identity.hashing.hash(PASSWORD))
    return user


async def audited(world: World) -> list[str]:
    rows = await world.admin.fetch("select action from platform_audit.pending where action like 'iam.%'")
    return [row["action"] for row in rows]


# --- passwords ---------------------------------------------------------------------------------------------------


async def test_the_right_password_opens_a_session(world: World) -> None:
    user = await signed_up(world)
    session = await log_in(await world.call(), world.identity, "ALICE@example.com", PASSWORD)
    actor = await iam.BearerAuthenticator(world.identity)(
        await world.database(), f"Bearer {session.access_token}", "192.0.2.1"
    )
    assert (actor.uid, actor.kind, actor.name) == (user.uid, "user", EMAIL)


@pytest.mark.parametrize(
    "email", [EMAIL, "nobody@example.com", "disabled@example.com", "without@example.com", "' or 1=1 --"]
)
async def test_every_wrong_sign_in_is_answered_alike(world: World, email: str) -> None:
    await signed_up(world)
    await signed_up(world, "disabled@example.com")
    await world.user("without@example.com")
    name = await world.admin.fetchval(
        "select name from platform_iam.user where spec ->> 'email' = 'disabled@example.com'"
    )
    await world.change(iam.USER, "", name, {"disabled": True})
    password = PASSWORD if email.startswith("disabled") else "wrong"
    with pytest.raises(iam.WrongCredentials, match=r"^wrong e-mail address or password$"):
        await log_in(await world.call(), world.identity, email, password)


async def test_an_unknown_address_takes_the_work_of_a_known_one() -> None:
    """One verification of a hash at the same cost: counted, since a busy machine's clock says little."""
    costs = []

    class Counting(PasswordHasher):
        def verify(self, *args: Any) -> Literal[True]:
            costs.append(astuple(extract_parameters(args[0])))
            return super().verify(*args)

    hashing = iam.PasswordHashing(Counting())
    stored = await hashing.hash(PASSWORD)
    for known in (None, stored, None):
        assert not await hashing.verify(known, "wrong")
    assert len(costs) == 3
    assert len(set(costs)) == 1
    hashing.close()


async def test_guessing_is_slowed_down_twice_as_much_each_time_and_then_forgiven(world: World) -> None:
    await signed_up(world)
    waits = []
    for attempt in range(11):
        try:
            await log_in(await world.call(address=f"198.51.100.{attempt}"), world.identity, EMAIL, "wrong")
        except iam.TooManyAttempts as refused:
            waits.append(refused.details["retry_after"])
            world.ahead += timedelta(seconds=refused.details["retry_after"])
        except iam.WrongCredentials:
            pass
    assert waits == [1, 2, 4]
    with pytest.raises(iam.TooManyAttempts):
        await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    world.ahead += timedelta(seconds=20)
    await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(), world.identity, EMAIL, "wrong")
    assert {"iam.login.failure", "iam.login.blocked", "iam.login.success"} <= set(await audited(world))


async def test_guesses_sent_at_once_count_too(world: World) -> None:
    await signed_up(world)
    call = await world.call()

    async def guess(n: int) -> str:
        try:
            await log_in(call, world.identity, EMAIL, f"guess {n}")
        except (iam.WrongCredentials, iam.TooManyAttempts) as refused:
            return refused.code
        return "in"

    outcomes = await asyncio.gather(*(guess(n) for n in range(25)))
    assert outcomes.count("WRONG_CREDENTIALS") == 5
    assert outcomes.count("TOO_MANY_ATTEMPTS") == 20


async def test_one_address_that_tries_many_accounts_is_slowed_down(world: World) -> None:
    for n in range(30):
        with pytest.raises(iam.WrongCredentials):
            await log_in(await world.call(), world.identity, f"user{n}@example.com", "wrong")
    with pytest.raises(iam.TooManyAttempts):
        await log_in(await world.call(), world.identity, "another@example.com", "wrong")
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(address="203.0.113.5"), world.identity, "another@example.com", "wrong")


async def test_no_guessed_password_is_kept_anywhere(world: World) -> None:
    with pytest.raises(iam.WrongCredentials):
        await log_in(await world.call(), world.identity, "my secret passphrase", "wrong")
    for table in ("platform_audit.pending", "platform_iam.login_guard"):
        rows = await world.admin.fetch(f"select t::text as row from {table} t")
        assert not any("passphrase" in row["row"] for row in rows)


async def test_too_many_who_wait_are_turned_away() -> None:
    hashing = iam.PasswordHashing(CHEAP)
    hashing._under_way = THREADS + WAITING
    with pytest.raises(Unavailable):
        await hashing.hash("x")
    hashing.close()


async def test_changing_the_password_ends_every_session(world: World) -> None:
    user = await signed_up(world)
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    call = await world.call(user)
    with pytest.raises(iam.WrongCredentials):
        await authentication.change_password(call, world.identity, "wrong", "a new password")
    await authentication.change_password(call, world.identity, PASSWORD, "a new password")
    with pytest.raises(iam.SessionEnded):
        await refresh_session(await world.call(), world.identity, session.refresh_token)
    await log_in(await world.call(), world.identity, EMAIL, "a new password")
    call = await world.call(await world.key("", "k", world.operator))
    with pytest.raises(Forbidden):
        await authentication.change_password(call, world.identity, "x", "a new password")


# --- sessions ----------------------------------------------------------------------------------------------------


async def test_a_refresh_token_works_once_and_its_second_use_ends_the_session(world: World) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    second = await refresh_session(await world.call(), world.identity, first.refresh_token)
    third = await refresh_session(await world.call(), world.identity, second.refresh_token)
    with pytest.raises(iam.SessionEnded):
        await refresh_session(await world.call(), world.identity, first.refresh_token)
    with pytest.raises(iam.SessionEnded):
        await refresh_session(await world.call(), world.identity, third.refresh_token)
    assert "iam.session.reuse" in await audited(world)


async def test_two_who_refresh_at_once_both_go_on(world: World) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    call = await world.call()
    tabs = await asyncio.gather(*(refresh_session(call, world.identity, first.refresh_token) for _ in range(2)))
    assert tabs[0].refresh_token != tabs[1].refresh_token
    world.ahead = timedelta(minutes=9)  # the browser keeps whichever cookie came last
    kept = await refresh_session(call, world.identity, tabs[0].refresh_token)
    world.ahead = timedelta(minutes=18)
    await refresh_session(call, world.identity, kept.refresh_token)
    assert "iam.session.reuse" not in await audited(world)


@pytest.mark.parametrize("after", [timedelta(seconds=5), timedelta(hours=8)])
async def test_a_lost_answer_signs_nobody_out(world: World, after: timedelta) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    for _ in range(3):
        await refresh_session(await world.call(), world.identity, first.refresh_token)  # nobody hears this
        world.ahead += after
    following = await refresh_session(await world.call(), world.identity, first.refresh_token)
    await refresh_session(await world.call(), world.identity, following.refresh_token)
    assert "iam.session.reuse" not in await audited(world)


async def refused_as_stolen(world: World, token: str, *others: str) -> None:
    """`token` is refused and the session is over for `others` too."""
    for shown in (token, *others):
        with pytest.raises(iam.SessionEnded):
            await refresh_session(await world.call(), world.identity, shown)
    assert "iam.session.reuse" in await audited(world)


async def test_a_thief_who_is_first_is_found_when_the_owner_comes(world: World) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    stolen = await refresh_session(await world.call(), world.identity, first.refresh_token)
    world.ahead = timedelta(minutes=8)
    owners = await refresh_session(await world.call(), world.identity, first.refresh_token)  # as if an answer was lost
    await refused_as_stolen(world, stolen.refresh_token, owners.refresh_token)


async def test_a_thief_who_goes_on_is_found_when_the_owner_comes(world: World) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    stolen = await refresh_session(await world.call(), world.identity, first.refresh_token)
    more = await refresh_session(await world.call(), world.identity, stolen.refresh_token)
    await refused_as_stolen(world, first.refresh_token, more.refresh_token)


async def test_a_thief_who_comes_with_the_owner_is_found_at_the_next_refresh(world: World) -> None:
    await signed_up(world)
    first = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    owners = await refresh_session(await world.call(), world.identity, first.refresh_token)
    thiefs = await refresh_session(await world.call(), world.identity, first.refresh_token)
    world.ahead = timedelta(minutes=9)
    owners = await refresh_session(await world.call(), world.identity, owners.refresh_token)
    world.ahead = timedelta(minutes=10)
    await refused_as_stolen(world, thiefs.refresh_token, owners.refresh_token)


@pytest.mark.parametrize("how", ["unknown", "logged out", "expired", "disabled", "deleted"])
async def test_a_session_that_is_over_is_not_refreshed(world: World, how: str) -> None:
    user = await signed_up(world)
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    token = session.refresh_token
    name = await world.admin.fetchval("select name from platform_iam.user where uid = $1", user.uid)
    match how:
        case "unknown":
            token = "iwr_' or '1'='1"
        case "logged out":
            async with world.system("api") as ctx:
                await log_out(ctx, token)
        case "expired":
            world.ahead = timedelta(days=31)
        case "disabled":
            await world.change(iam.USER, "", name, {"disabled": True})
        case "deleted":
            await world.delete(iam.USER, "", name)
    with pytest.raises(iam.SessionEnded):
        await refresh_session(await world.call(), world.identity, token)


async def test_an_access_token_lasts_ten_minutes(world: World) -> None:
    await signed_up(world)
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    ask = iam.BearerAuthenticator(world.identity)
    world.ahead = timedelta(minutes=9)
    await ask(await world.database(), f"Bearer {session.access_token}", "")
    world.ahead = timedelta(minutes=11)
    with pytest.raises(Unauthenticated, match="expired"):
        await ask(await world.database(), f"Bearer {session.access_token}", "")


async def test_another_process_verifies_by_the_published_keys_and_keys_rotate(world: World) -> None:
    await signed_up(world)
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    elsewhere = iam.BearerAuthenticator(iam.Identity(world.identity.hashing))
    await elsewhere(await world.database(), f"Bearer {session.access_token}", "")
    async with world.system("api") as ctx:
        before = await authentication.list_public_keys(ctx)
    world.ahead = timedelta(hours=24, seconds=1)
    later = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    async with world.system("api") as ctx:
        now = await authentication.list_public_keys(ctx)
    assert len(before) == 1
    assert len(now) == 2, "the former key verifies for an hour more"
    assert jwt.get_unverified_header(later.access_token)["kid"] == now[0]["kid"]
    key = jwt.PyJWK(now[0])
    said = jwt.decode(later.access_token, key.key, ["EdDSA"], audience="ironworks:api", options={"verify_iat": False})
    assert said["email"] == EMAIL


async def test_a_key_published_right_after_a_look_is_found_by_the_next(world: World) -> None:
    """Though somebody just came with a made-up token: who signed in elsewhere a moment ago is not sent away for it."""
    await signed_up(world)
    elsewhere = iam.BearerAuthenticator(iam.Identity(world.identity.hashing))
    made_up = tokens.sign_session(
        tokens.SigningKey.new(world.now()), uuid4(), EMAIL, uuid4(), world.now(), timedelta(minutes=1)
    )
    with pytest.raises(Unauthenticated):
        await elsewhere(await world.database(), f"Bearer {made_up}", "")
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    token = f"Bearer {session.access_token}"
    answers = await asyncio.gather(*[elsewhere(await world.database(), token, "") for _ in range(3)])
    assert {actor.name for actor in answers} == {EMAIL}


async def test_forged_tokens_are_refused(world: World) -> None:
    user = await signed_up(world)
    session = await log_in(await world.call(), world.identity, EMAIL, PASSWORD)
    kid = jwt.get_unverified_header(session.access_token)["kid"]
    said = jwt.decode(session.access_token, options={"verify_signature": False})
    own = Ed25519PrivateKey.generate()
    head, body, signature = session.access_token.split(".")
    service = await iam.issue_service_token(world.identity, await world.database(), "api", "gateway")
    forged = [
        jwt.encode(said, own, "EdDSA", {"kid": kid}),
        jwt.encode(said, own, "EdDSA", {"kid": "unknown"}),
        jwt.encode(said, None, "none", {"kid": kid}),
        jwt.encode(said, "x" * 64, "HS256", {"kid": kid}),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}..{signature}",
        service,
        "x",
        "é",
        "a" * 5000,
    ]
    ask = iam.BearerAuthenticator(world.identity)
    for token in forged:
        with pytest.raises(Unauthenticated):
            await ask(await world.database(), f"Bearer {token}", "")
    for header in (None, "", "Basic YTpi", "Bearer", "Bearer  ", f"Token {session.access_token}"):
        with pytest.raises(Unauthenticated):
            await ask(await world.database(), header, "")
    assert user.uid == UUID(said["sub"])


# --- keys --------------------------------------------------------------------------------------------------------


async def rotated(world: World, path: str, name: str, grace: int = 0, actor: Actor | None = None) -> str:
    async with world.acting(actor or world.operator) as ctx:
        return (await iam.rotate_key(ctx, path, name, timedelta(seconds=grace))).text


async def enters(world: World, key: str) -> bool:
    """Whether a key is let in, asked without a cache."""
    try:
        await iam.BearerAuthenticator(world.identity, remember=0)(await world.database(), f"Bearer {key}", "")
    except Unauthenticated:
        return False
    return True


async def test_a_key_is_issued_replaced_and_overlaps_if_wished(world: World) -> None:
    await world.scope("acme.shop")
    made = await world.key("acme.shop", "k", world.operator)
    first = await rotated(world, "acme.shop", "k")
    assert iam.key_owner(first) == made.uid
    second = await rotated(world, "acme.shop", "k")
    assert [await enters(world, k) for k in (first, second)] == [False, True]
    third = await rotated(world, "acme.shop", "k", grace=60)
    assert [await enters(world, k) for k in (first, second, third)] == [False, True, True]
    await world.admin.execute(
        "update platform_iam.key_material set previous_until = now() - interval '1 s' where previous_hash is not null"
    )
    assert [await enters(world, k) for k in (second, third)] == [False, True]
    stored = await world.admin.fetchval(
        "select row_to_json(m)::text from platform_iam.key_material m where key = $1", made.uid
    )
    assert third not in stored
    assert not await enters(world, new_key(uuid4()))


async def test_the_operators_first_key_opens_everything(world: World) -> None:
    actor = await iam.BearerAuthenticator(world.identity)(await world.database(), f"Bearer {world.operator_key}", "")
    async with world.acting(actor) as ctx:
        told = await iam.describe_caller(ctx)
    assert told["kind"] == "api_key"
    assert told["owner"] == "user:operator@localhost"
    assert [(g["scope"], g["role"]) for g in told["grants"]] == [("-", "-/operator")]


@pytest.mark.parametrize(
    ("how", "words"),
    [("disabled", "disabled"), ("expired", "expired"), ("orphaned", "owner is disabled"), ("halted", "suspended")],
)
async def test_a_refused_key_says_why_to_who_holds_it(world: World, how: str, words: str) -> None:
    await world.scope("acme.shop")
    await world.settle()
    await world.service_account("acme.shop", "robot")
    await world.key("acme.shop", "k", world.operator, owner="service-account:acme.shop/robot")
    key = await rotated(world, "acme.shop", "k")
    ask = iam.BearerAuthenticator(world.identity)
    await ask(await world.database(), f"Bearer {key}", "")
    match how:
        case "disabled":
            await world.change(iam.API_KEY, "acme.shop", "k", {"disabled": True})
        case "expired":
            await world.change(iam.API_KEY, "acme.shop", "k", {"expires_at": "2020-01-01T00:00:00Z"})
        case "orphaned":
            await world.change(iam.SERVICE_ACCOUNT, "acme.shop", "robot", {"disabled": True})
        case "halted":
            async with world.acting(world.operator) as ctx:
                await tenancy.suspend_platform(ctx, "acme", "shop", "")
    await asyncio.sleep(1.05)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match=words):
            await ask(await world.database(), f"Bearer {key}", "192.0.2.7")
    refused = "select after ->> 'reason', address from platform_audit.pending where action = 'iam.key.refuse'"
    assert [tuple(row) for row in await world.admin.fetch(refused)] == [(how, "192.0.2.7")], "one, not one a request"
    assert not await enters(world, key[:-1] + ("A" if key[-1] != "A" else "B"))


async def test_a_keys_state_is_shown(world: World) -> None:
    await world.scope("acme.shop")
    await world.key("acme.shop", "k", world.operator)
    await world.settle()
    assert (await world.get(iam.API_KEY, "acme.shop", "k")).status.phase == "Pending"
    assert await enters(world, await rotated(world, "acme.shop", "k"))
    await world.settle()
    shown = (await world.get(iam.API_KEY, "acme.shop", "k")).status
    assert (shown.phase, shown.owner) == ("Ready", "user:operator@localhost")
    assert shown.last_used_at is not None
    await world.change(iam.API_KEY, "acme.shop", "k", {"disabled": True})
    await world.settle()
    assert (await world.get(iam.API_KEY, "acme.shop", "k")).status.phase == "Disabled"
    await world.delete(iam.API_KEY, "acme.shop", "k")
    await world.settle()
    with pytest.raises(NotFound):
        await world.get(iam.API_KEY, "acme.shop", "k")


async def test_the_gateway_learns_what_each_key_may_call(world: World) -> None:
    await world.scope("acme.shop.eu")
    await world.scope("acme.lab")
    await world.settle()
    await world.admin.execute(
        "insert into platform_registry.entry (category, name, source, version, body)"
        " values ('permission', 'endpoint:invoke', 'test', 1, '{}')"
    )
    async with world.system() as ctx:
        await iam.sync_presets(ctx, [*world.catalogue.permissions, "endpoint:invoke"])
    await world.service_account("acme", "robot")
    for path in ("acme.shop", "acme.lab"):
        await world.grant("service-account:acme/robot", "-/developer", path)
    owner = "service-account:acme/robot"
    for path, name, listed in (
        ("acme", "wide", None),
        ("acme.shop.eu", "eu", None),
        ("acme", "reader", ["tenant:read"]),
    ):
        await world.key(path, name, world.operator, owner=owner, permissions=listed)
    texts = {
        name: await rotated(world, path, name)
        for path, name in (("acme", "wide"), ("acme.shop.eu", "eu"), ("acme", "reader"))
    }
    await world.key("acme", "unissued", world.operator, owner=owner)

    async def keys() -> dict[str, iam.GatewayKey]:
        async with world.system("gateway") as ctx:
            return {key.name: key for key in await iam.list_gateway_keys(ctx)}

    found = await keys()
    assert {name: key.paths for name, key in found.items() if name != "-/operator"} == {
        "acme/wide": ("acme.lab", "acme.shop"),
        "acme.shop.eu/eu": ("acme.shop.eu",),
        "acme/reader": (),
    }
    assert found["acme/wide"].hash == iam.token_hash(texts["wide"])
    async with world.acting(world.operator) as ctx:
        await tenancy.suspend_platform(ctx, "acme", "shop", "")
    assert [found.suspended for found in (await keys()).values()].count(True) == 1
    await world.change(iam.SERVICE_ACCOUNT, "acme", "robot", {"disabled": True})
    every = await keys()
    assert every["acme/wide"].disabled
    one, other = every["acme/wide"], every["acme.shop.eu/eu"]
    async with world.system("gateway") as ctx:
        assert await iam.list_gateway_keys(ctx, [one.uid, uuid4()]) == [one]
        assert {key.name for key in await iam.list_gateway_keys(ctx, [one.owner])} == set(every) - {"-/operator"}
        assert other in await iam.list_gateway_keys(ctx, [one.owner, one.uid])
    async with world.system("gateway") as ctx:
        await iam.touch_keys(ctx, [found["acme/wide"].uid])


async def test_ten_thousand_keys_are_listed_quickly(world: World) -> None:
    await world.admin.execute(
        """
        insert into platform_registry.entry (category, name, source, version, body)
          values ('permission', 'endpoint:invoke', 'test', 1, '{}');
        insert into platform_iam.role_permission
          select uid, 'endpoint:invoke' from platform_iam.role where name = 'developer';
        create temp table many as select n, gen_random_uuid() as owner, gen_random_uuid() as key,
          ('acme.p' || n % 100 || '.t' || n)::ltree as place from generate_series(1, 10000) n;
        insert into platform_iam.principal (uid, kind, scope, name, active)
          select owner, 'service_account', place, place::text || '/sa', true from many;
        insert into platform_iam.principal (uid, kind, scope, name, active, owner)
          select key, 'api_key', place, place::text || '/k', true, owner from many;
        insert into platform_iam.binding select gen_random_uuid(), owner, place, r.uid
          from many, platform_iam.role r where r.name = 'developer';
        insert into platform_iam.key_material (key, hash, issued_at)
          select key, sha256(key::text::bytea), now() from many;
        analyze platform_iam.principal; analyze platform_iam.binding; analyze platform_iam.key_material;
        """
    )
    async with world.system("gateway") as ctx:
        found = await iam.list_gateway_keys(ctx)
        few = await iam.list_gateway_keys(ctx, [found[0].uid, found[1].owner])
    assert len([key for key in found if key.paths]) == 10_000
    assert set(few) == set(found[:2])


# --- passes between processes ------------------------------------------------------------------------------------


async def test_a_pass_is_good_for_one_audience_and_one_minute(world: World) -> None:
    worker, gateway = await world.database("worker"), await world.database("gateway")
    mine, theirs = iam.Identity(world.identity.hashing), iam.Identity(world.identity.hashing)
    token = await iam.issue_service_token(mine, worker, "worker", "gateway")
    actor = await iam.verify_service_token(theirs, gateway, token, "gateway")
    assert (actor.kind, actor.name) == ("system", "worker")
    with pytest.raises(Unauthenticated):
        await iam.verify_service_token(theirs, gateway, token, "api")
    world.ahead = timedelta(seconds=61)
    with pytest.raises(Unauthenticated):
        await iam.verify_service_token(theirs, gateway, token, "gateway")


async def test_a_process_cannot_speak_for_another_nor_make_a_users_session(world: World) -> None:
    user = await signed_up(world)
    gateway = await world.database("gateway")
    identity = iam.Identity(world.identity.hashing)
    pretended = await iam.issue_service_token(identity, gateway, "api", "worker")
    with pytest.raises(Unauthenticated, match="another process"):
        await iam.verify_service_token(identity, await world.database("worker"), pretended, "worker")
    key = await identity.signer.key(gateway)
    session = tokens.sign_session(key, user.uid or uuid4(), EMAIL, uuid4(), world.now(), timedelta(minutes=5))
    with pytest.raises(Unauthenticated, match="not made by the API"):
        await iam.BearerAuthenticator(world.identity)(await world.database(), f"Bearer {session}", "")
