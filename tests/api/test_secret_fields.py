"""Secret fields over HTTP: taken in, never given out, and sent nowhere that an editor could choose.

No kind of today has such fields, so a kind of these tests' own does: a mailbox with a password and upstreams.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field

from ironworks.app.api import GRANT_KINDS, all_routers
from ironworks.app.domains import Catalogue
from ironworks.app.wiring import open_process
from ironworks.platform import iam, registry
from ironworks.shared.context import Services, system_actor
from ironworks.shared.db import Database
from ironworks.shared.declarations import declarations_of_kind
from ironworks.shared.http import RouteTable
from ironworks.shared.kind import ACCOUNT, PLATFORM, TENANT, Key, Kind, Secret, Spec
from ironworks.shared.kind_routes import kind_router
from ironworks.shared.watch import Watches
from tests.support.api import ApiWorld, BootstrappedPlace, Caller, envelope

PLACE = "acme.shop"
MAILBOXES = f"scopes/{PLACE}/mailboxes"
HIDDEN = "hunter2-"
"""Every secret here begins with this; nothing that comes back or is stored may hold it."""


class Auth(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str = ""
    user: str = ""
    password: Annotated[str | None, Secret(sent_to=("url",))] = Field(None, max_length=100)


class Upstream(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Key()]
    url: str
    credential: Annotated[str | None, Secret(sent_to=("url",))] = None


class MailboxSpec(Spec):
    auth: Auth = Field(default_factory=Auth)
    upstreams: list[Upstream] = Field(default_factory=list)
    note: str = ""


MAILBOX = Kind(
    "Mailbox", plural="mailboxes", schema="test_post", levels=(ACCOUNT, PLATFORM, TENANT), spec=MailboxSpec,
    inherited=True, reconciled=False, phases=("Ready",),
)  # fmt: skip
TABLES = """
do $$ begin execute format('grant create on database %I to ironworks_owner', current_database()); end $$;
set role ironworks_owner;
select shared.create_domain_schema('test_post');
select shared.create_kind_table('Mailbox', 'test_post.mailbox', inherited => true, reconciled => false);
reset role;
"""


@dataclasses.dataclass
class Post:
    """The world with mailboxes in it; `worker` may open secrets."""

    world: ApiWorld
    worker: Database

    async def secrets(self, uid: str) -> dict[str, str]:
        async with self.worker.transaction(system_actor("test")) as ctx:
            return await ctx.services.vault.get(ctx, UUID(uid))

    async def leaks(self) -> list[str]:
        """Tables in which a secret can be read as it is."""
        tables = await self.world.admin.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname ~ '^(shared|platform_|test_)'"
        )
        return [t["name"] for t in tables if await self.world.admin.fetchval(
            f"select exists (select from {t['name']} t where t::text like '%{HIDDEN}%')")]  # fmt: skip


@pytest.fixture
async def post(world: ApiWorld, bootstrapped: BootstrappedPlace) -> AsyncIterator[Post]:
    await world.admin.execute(TABLES)
    async with open_process(bootstrapped.settings, "worker", connections=2) as worker:
        await _declare(worker.database, worker.catalogue)
        _serve_mailboxes(world)
        await world.scope(f"{PLACE}.eu")
        yield Post(world, worker.database)


async def _declare(database: Database, catalogue: Catalogue) -> None:
    declared = {**catalogue.declarations, "test.post.mailbox": declarations_of_kind(MAILBOX)}
    async with database.transaction(system_actor("test")) as ctx:
        await registry.sync_registry(ctx, declared.items())
        await iam.sync_presets(ctx, [*catalogue.permissions, *MAILBOX.permissions])


def _serve_mailboxes(world: ApiWorld) -> None:
    watches = Watches(world.process.database, world.process.tail, grant_kinds=GRANT_KINDS)
    routers = [*all_routers(world.process.catalogue, watches.open), kind_router(MAILBOX, watches.open)]
    api = dataclasses.replace(world.api, table=RouteTable([route for router in routers for route in router.routes]))
    world.client._transport = httpx.ASGITransport(api)  # type: ignore[arg-type]
    assert isinstance(world.process.database.services, Services)


def mailbox(name: str = "box", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


AUTH = {"url": "https://a.example", "user": "eve", "password": f"{HIDDEN}a"}
UPSTREAMS = [
    {"name": "eu", "url": "https://eu.example", "credential": f"{HIDDEN}eu"},
    {"name": "us", "url": "https://us.example", "credential": f"{HIDDEN}us"},
]
MASKED = [{**upstream, "credential": "***"} for upstream in UPSTREAMS]


async def made(post: Post) -> Any:
    return await post.world.operator.expect(201, "POST", MAILBOXES, mailbox(auth=AUTH, upstreams=UPSTREAMS))


async def test_a_secret_reads_back_as_stars_and_lies_in_the_vault_alone(post: Post) -> None:
    operator = post.world.operator
    created = await made(post)
    assert created["spec"]["auth"] == {**AUTH, "password": "***"}
    assert created["spec"]["upstreams"] == MASKED
    uid = created["metadata"]["uid"]
    assert await post.secrets(uid) == {
        "auth.password": f"{HIDDEN}a",
        "upstreams[eu].credential": f"{HIDDEN}eu",
        "upstreams[us].credential": f"{HIDDEN}us",
    }
    changed = mailbox(auth={**AUTH, "password": f"{HIDDEN}b"})
    answers = [
        await operator.call("GET", f"{MAILBOXES}/box"),
        await operator.call("GET", MAILBOXES),
        await operator.call("GET", "mailboxes"),
        await operator.call("POST", f"{MAILBOXES}/box:apply?dry_run=true", changed),
        await operator.call("POST", f"{MAILBOXES}/box:apply", changed),
        await operator.call("PATCH", f"{MAILBOXES}/box", {"spec": {"auth": {"password": f"{HIDDEN}c"}}}),
        await operator.call("GET", f"scopes/{PLACE}/audit"),
        await operator.call("DELETE", f"{MAILBOXES}/box"),
    ]
    assert [a.status_code for a in answers] == [200] * len(answers)
    assert not [a.request.url for a in answers if HIDDEN in a.text]
    assert await post.leaks() == []
    assert await post.secrets(uid) == {}, "gone with the resource"


async def test_stars_keep_what_is_stored(post: Post) -> None:
    operator, uid = post.world.operator, (await made(post))["metadata"]["uid"]
    before = await post.secrets(uid)
    read = await operator.get(f"{MAILBOXES}/box")
    assert await operator.expect(200, "PUT", f"{MAILBOXES}/box", read) == read
    await operator.expect(200, "PATCH", f"{MAILBOXES}/box", {"spec": {"note": "n", "auth": {"user": "mallory"}}})
    assert await post.secrets(uid) == before
    spec = {"auth": {**AUTH, "password": "***"}, "upstreams": MASKED[::-1]}
    applied = await operator.expect(200, "POST", f"{MAILBOXES}/box:apply", mailbox(**spec))
    assert applied["action"] == "updated"
    assert await post.secrets(uid) == before, "elements are known by their key, not by their place"
    spec["upstreams"] = MASKED[1:]
    await operator.expect(200, "PUT", f"{MAILBOXES}/box", mailbox(**spec))
    assert set(await post.secrets(uid)) == {"auth.password", "upstreams[us].credential"}
    await operator.expect(200, "PATCH", f"{MAILBOXES}/box", {"spec": {"auth": {"password": None}}})
    assert set(await post.secrets(uid)) == {"upstreams[us].credential"}
    await operator.expect(200, "PATCH", f"{MAILBOXES}/box", {"spec": {"auth": {"password": f"{HIDDEN}new"}}})
    assert (await post.secrets(uid))["auth.password"] == f"{HIDDEN}new"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"auth": {**AUTH, "url": "https://mallory.example", "password": "***"}}, "spec.auth.password"),
    ({"upstreams": [{**MASKED[0], "url": "https://mallory.example"}, MASKED[1]]}, "spec.upstreams[eu].credential"),
    ({"upstreams": [{**MASKED[0], "url": MASKED[1]["url"]}]}, "spec.upstreams[eu].credential"),
    ({"upstreams": [{**MASKED[0], "name": "new"}]}, "spec.upstreams[new].credential"),
    ({"upstreams": [MASKED[0], {"name": "eu", "url": "https://mallory.example"}]}, "spec.upstreams[eu].credential"),
    ({"auth": {**AUTH, "password": HIDDEN * 20}}, "spec.auth.password"),
    ({"auth": {**AUTH, "password": ["a", HIDDEN]}}, "spec.auth.password"),
    ({"auth": {**AUTH, "pass": HIDDEN}}, "spec.auth.pass"),
]


async def test_nobody_has_a_secret_sent_to_himself(post: Post) -> None:
    """Whoever may edit the address must not thereby receive what is stored; and no refusal repeats a secret."""
    operator, uid = post.world.operator, (await made(post))["metadata"]["uid"]
    before = await post.secrets(uid)
    for spec, field in REFUSED:
        for method, url in (("PUT", f"{MAILBOXES}/box"), ("POST", f"{MAILBOXES}/box:apply")):
            answer = await operator.call(method, url, mailbox(**spec))
            assert answer.status_code == 422, answer.text
            assert [p["field"] for p in envelope(answer)["details"]["fields"]] == [field]
            assert HIDDEN not in answer.text
    fresh = await operator.call("POST", MAILBOXES, mailbox("other", auth={**AUTH, "password": "***"}))
    assert [p["field"] for p in envelope(fresh)["details"]["fields"]] == ["spec.auth.password"]
    assert await post.secrets(uid) == before
    moved = {"auth": {**AUTH, "url": "https://b.example", "password": f"{HIDDEN}again"}}
    await operator.expect(200, "PATCH", f"{MAILBOXES}/box", {"spec": moved})
    assert (await post.secrets(uid))["auth.password"] == f"{HIDDEN}again"


async def test_what_is_inherited_shows_no_secret(post: Post) -> None:
    await made(post)
    eve: Caller = await post.world.subject(f"{PLACE}.eu", "eve", "-/developer")
    seen = await eve.get(f"{MAILBOXES}/box")
    assert seen["spec"]["auth"]["password"] == "***"
    assert (await eve.call("PATCH", f"{MAILBOXES}/box", {"spec": {"note": "mine"}})).status_code == 403


async def test_a_secret_that_was_sent_with_an_idempotency_key_is_not_kept(post: Post) -> None:
    body = mailbox(auth=AUTH)
    for _ in range(2):
        answer = await post.world.operator.call("POST", MAILBOXES, body, headers={"idempotency-key": "k"})
        assert answer.status_code == 201
    assert await post.leaks() == []
