"""A kind of its own for the tests of the change log: shelves anywhere in the tree, and subjects with plain grants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias
from uuid import UUID, uuid4

import asyncpg

from ironworks.shared.changelog import Sequencer, Tail
from ironworks.shared.context import Actor, Context, Event, Services, system_actor
from ironworks.shared.db import Database
from ironworks.shared.http import Call
from ironworks.shared.kind import EVERYWHERE, Kind, Resource, Spec, Status
from ironworks.shared.listing import ListQuery, list_resources
from ironworks.shared.view import look
from ironworks.shared.watch import Watches
from tests.support.postgres import Role, TestDatabase

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class ShelfSpec(Spec):
    boards: int = 1


SHELF = Kind("Shelf", plural="shelves", schema="test_wood", levels=EVERYWHERE, spec=ShelfSpec)
RACK = Kind("Rack", plural="racks", schema="test_wood", levels=EVERYWHERE, spec=ShelfSpec, inherited=True)
Shelf: TypeAlias = Resource[ShelfSpec, Status]

_SETUP = """
set role ironworks_owner;
select shared.create_domain_schema('test_wood');
select shared.create_kind_table('Shelf', 'test_wood.shelf', reconciled => false);
select shared.create_kind_table('Rack', 'test_wood.rack', reconciled => false, inherited => true);
create or replace function shared.scope_open(scope ltree) returns boolean language sql return true;
create table test_wood.effect (consumer text not null, position bigint not null, note text not null default '');
grant select, insert on test_wood.effect to ironworks_worker;
reset role;
create table public.test_grant (subject uuid not null, permission text not null, scope ltree not null);
create or replace function shared.granted(permission text) returns ltree[] language plpgsql stable security definer as
$$ begin return (select coalesce(array_agg(g.scope), '{}') from public.test_grant g
                 where g.subject = shared.subject() and g.permission = granted.permission); end $$;
alter function shared.granted(text) owner to current_user;
create or replace function shared.sees(scope ltree) returns boolean language sql stable
  return shared.subject() is not null;
create or replace function shared.registry_version() returns bigint language sql stable return 7;
"""


class Sawn(Event):
    """What the tests publish."""

    type: ClassVar[str] = "test.wood.sawn.v2"
    board: int


class Priced(Event):
    """A governed one."""

    type: ClassVar[str] = "test.wood.priced.v1"
    governed: ClassVar[bool] = True
    nano: int


@dataclass
class Woodshop:
    """One database with shelves; what it opens it closes."""

    place: TestDatabase
    admin: Admin
    databases: list[Database] = field(default_factory=list)
    audited: list[tuple[Any, ...]] = field(default_factory=list)

    async def connect(self, role: Role, size: int = 8) -> Database:
        """A pool, as another process would have."""

        async def audit(_: Context, *record: Any) -> None:
            self.audited.append(record)

        services = Services(audit=audit, vault=None)  # type: ignore[arg-type]
        db = await Database.connect(self.place.url(role), services, max_size=size, name=f"test-{role}")
        self.databases.append(db)
        return db

    async def subject(self, *grants: tuple[str, str]) -> Actor:
        """Somebody who holds (permission, path) pairs."""
        actor = Actor(uuid4(), "user", "somebody")
        for permission, path in grants:
            await self.grant(actor, permission, path)
        return actor

    async def grant(self, actor: Actor, permission: str, path: str) -> None:
        await self.admin.execute(
            "insert into public.test_grant values ($1, $2, $3::text::ltree)", actor.uid, permission, path
        )

    async def revoke(self, actor: Actor) -> None:
        await self.admin.execute("delete from public.test_grant where subject = $1", actor.uid)

    async def add(
        self, name: str, scope: str = "", *, kind: str = "shelf", labels: dict[str, str] | None = None
    ) -> UUID:
        uid: UUID = await self.admin.fetchval(
            f"insert into test_wood.{kind} (scope, name, spec, labels)"
            " values ($1::text::ltree, $2, '{\"boards\": 1}', $3) returning uid",
            scope, name, json.dumps(labels or {}),
        )  # fmt: skip
        return uid

    async def change(self, uid: UUID, boards: int, *, kind: str = "shelf") -> None:
        await self.admin.execute(
            f"update test_wood.{kind} set spec = $2 where uid = $1", uid, json.dumps({"boards": boards})
        )

    async def label(self, uid: UUID, labels: dict[str, str]) -> None:
        await self.admin.execute("update test_wood.shelf set labels = $2 where uid = $1", uid, json.dumps(labels))

    async def remove(self, uid: UUID, *, kind: str = "shelf") -> None:
        await self.admin.execute(f"delete from test_wood.{kind} where uid = $1", uid)

    async def emit(self, *events: Event, scope: str = "") -> None:
        """Publish, each in a transaction of its own."""
        db = self.databases[0] if self.databases else await self.connect("worker")
        for event in events:
            async with db.transaction(system_actor("test")) as ctx:
                await ctx.emit(event, scope)

    async def sequence(self) -> int:
        moved: int = await self.admin.fetchval("select shared.sequence_changes(100000)")
        return moved

    async def log(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.admin.fetch("select * from shared.change_log order by position")]

    async def effects(self, consumer: str) -> list[int]:
        rows = await self.admin.fetch("select position from test_wood.effect where consumer = $1 order by 1", consumer)
        return [row["position"] for row in rows]

    def sequencer(self, **options: Any) -> Sequencer:
        return Sequencer(self.place.url("worker"), **{"poll": 0.01, "standby": 0.02, **options})

    def tail(self, role: Role = "worker", **options: Any) -> Tail:
        return Tail(self.place.url(role), **{"poll": 0.02, **options})


@asynccontextmanager
async def running(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Background tasks for the length of the block; one that ends by itself fails the test."""
    tasks = [asyncio.create_task(one) for one in endless]
    try:
        yield
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
        raise AssertionError(f"{task} ended")


async def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition; `true` may be a coroutine function."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


@dataclass
class Client:
    """A watching client as it should be: keeps what it was told, drops what is not newer, knows where it was."""

    watches: Watches
    db: Database
    actor: Actor
    query: ListQuery = field(default_factory=ListQuery)
    kind: Kind = SHELF
    others: tuple[Kind, ...] = ()
    """Kinds that it watches in the same stream."""
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursor: str | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    relisted: int = 0

    @property
    def boards(self) -> dict[str, int]:
        return {found["metadata"]["name"]: found["spec"]["boards"] for found in self.held.values()}

    @property
    def call(self) -> Call:
        return Call(self.db, self.actor, "req_test")

    async def list(self) -> None:
        kinds = [self.kind, *self.others]
        view = await look(self.call.ask, self.actor, kinds)
        self.cursor = view.cursor
        self.held = {}
        for kind in kinds:
            page = await list_resources(self.call.ask, kind, self.query, view.grants[kind.name])
            self.held |= {found["metadata"]["uid"]: found for found in map(json.loads, page.items)}

    async def open(self) -> AsyncIterator[bytes]:
        return await self.watches.open(self.call, [self.kind, *self.others], self.query, self.cursor)

    async def follow(self, events: int | None = None) -> None:
        """Read the stream to its end, or that many events of it."""
        stream = await self.open()
        async with contextlib.aclosing(stream):  # type: ignore[type-var]
            async for chunk in stream:
                if self._take(chunk) and events is not None:
                    events -= 1
                    if events == 0:
                        return

    def _take(self, chunk: bytes) -> bool:
        fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n") if not line.startswith(":"))
        if "event" not in fields:
            self.cursor = fields.get("id", self.cursor)
            return False
        data = json.loads(fields["data"])
        self.events.append((fields["event"], data))
        if fields["event"] == "relist":
            self.relisted += 1
            return True
        self.cursor = fields["id"]
        uid, version = data["metadata"]["uid"], data["metadata"]["resource_version"]
        known = self.held.get(uid)
        if fields["event"] == "deleted":
            self.held.pop(uid, None)
        elif known is None or version > known["metadata"]["resource_version"]:
            self.held[uid] = data
        return True


class Follower(Protocol):
    async def follow(self) -> None: ...


@asynccontextmanager
async def following(*followers: Follower) -> AsyncIterator[None]:
    """Clients that follow their streams for the length of the block; what one of them raised fails the test."""
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def open_shop(database: TestDatabase) -> Woodshop:
    admin = await asyncpg.connect(database.admin)
    await admin.execute(f"grant create on database {database.name} to ironworks_owner")  # a copy has no grants
    await admin.execute(_SETUP)
    return Woodshop(database, admin)
