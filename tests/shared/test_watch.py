"""Watches: a client that lists and follows holds in the end what a new list would show, and is told of nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ironworks.shared.changelog import Tail, prune_changes
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.errors import Gone, Invalid, RateLimited, Unavailable
from ironworks.shared.listing import ListQuery
from ironworks.shared.view import Cursor
from ironworks.shared.watch import Watches
from tests.shared.shelves import RACK, Client, Woodshop, following, open_shop, running, until
from tests.support.postgres import TestDatabase

READ = "shelf:read"


@dataclass
class Api:
    """An API process: a pool, a tail, and the watches it serves."""

    shop: Woodshop
    db: Database
    tail: Tail
    watches: Watches

    async def client(self, *grants: tuple[str, str], **options: Any) -> Client:
        """A subject's client that has listed."""
        return await self.client_of(await self.shop.subject(*grants), **options)

    async def client_of(self, actor: Actor, **options: Any) -> Client:
        made = Client(self.watches, self.db, actor, **options)
        await made.list()
        return made

    async def settled(self) -> None:
        """Everything committed has been told to the tail."""

        async def done() -> bool:
            row = await self.shop.admin.fetchrow("select head, (select count(*) from shared.change_pending)"
                                                 " from shared.change_bounds()")  # fmt: skip
            assert row is not None
            return row[1] == 0 and row[0] == self.tail.position

        await until(done)


@pytest.fixture
async def shop(database: TestDatabase) -> AsyncIterator[Woodshop]:
    made = await open_shop(database)
    yield made
    for db in made.databases:
        await db.close()
    await made.admin.close()


@pytest.fixture
async def api(shop: Woodshop) -> AsyncIterator[Api]:
    db, tail = await shop.connect("api"), shop.tail("api")
    watches = Watches(db, tail, grant_kinds=["Rack"], heartbeat=0.2)
    async with running(tail.run(), shop.sequencer().run()):
        await tail.ready()
        yield Api(shop, db, tail, watches)


def told(client: Client) -> list[tuple[str, str]]:
    return [(word, data["metadata"]["name"]) for word, data in client.events if word != "relist"]


async def test_a_client_is_told_of_additions_changes_and_deletions(api: Api) -> None:
    uid = await api.shop.add("a", "acme")
    await api.settled()
    client = await api.client((READ, "acme"))
    async with following(client):
        await api.shop.change(uid, 2)
        await until(lambda: client.boards == {"a": 2})
        other = await api.shop.add("b", "acme.shop")
        await until(lambda: "b" in client.boards)
        await api.shop.remove(uid)
        await until(lambda: client.boards == {"b": 1})
    assert told(client) == [("modified", "a"), ("added", "b"), ("deleted", "a")]
    _, deleted = client.events[-1]
    assert deleted["metadata"]["uid"] == str(uid)
    assert deleted["metadata"]["scope"] == "acme"
    assert str(other) in client.held


async def test_the_object_in_an_event_is_the_object_that_is_read(api: Api) -> None:
    client = await api.client((READ, ""))
    async with following(client):
        await api.shop.add("a", "acme", labels={"note": 'line\nbreak "and" quotes'})
        await until(lambda: client.events)
    again = await api.client_of(client.actor)
    assert client.held == again.held


async def test_others_learn_neither_of_changes_nor_of_deletions(api: Api) -> None:
    mine, foreign = await api.client((READ, "acme")), await api.client((READ, "acme-two"))
    nobody = await api.client()
    async with following(mine, foreign, nobody):
        uid = await api.shop.add("a", "acme.shop")
        await until(lambda: mine.boards)
        await api.shop.remove(uid)
        await until(lambda: not mine.boards)
        await api.shop.add("end", "acme-two")
        await until(lambda: foreign.boards)
    assert told(foreign) == [("added", "end")]
    assert nobody.events == []


async def test_a_watch_of_a_scope_shows_that_scope_and_below(api: Api) -> None:
    client = await api.client((READ, ""), query=ListQuery("acme.shop"))
    async with following(client):
        for scope in ("", "acme", "acme.shop", "acme.shop.eu", "acme.shopping"):
            await api.shop.add("a", scope)
        await until(lambda: len(client.held) == 2)
        await api.settled()
    assert {found["metadata"]["scope"] for found in client.held.values()} == {"acme.shop", "acme.shop.eu"}


async def test_what_is_inherited_is_watched_from_below(api: Api) -> None:
    api.watches.grant_kinds = frozenset()
    grants = (("rack:read", "acme.shop"),)
    below = await api.client(*grants, kind=RACK, query=ListQuery("acme.shop", inherited=True))
    own = await api.client(*grants, kind=RACK, query=ListQuery("acme.shop"))
    async with following(below, own):
        top = await api.shop.add("top", "", kind="rack")
        await api.shop.add("beside", "acme.other", kind="rack")
        await api.shop.add("own", "acme.shop", kind="rack")
        await until(lambda: set(below.boards) == {"top", "own"} and set(own.boards) == {"own"})
        await api.shop.remove(top, kind="rack")
        await until(lambda: set(below.boards) == {"own"})
    assert told(own) == [("added", "own")]


async def test_several_kinds_are_told_in_one_stream_each_by_its_own_rights(api: Api) -> None:
    api.watches.grant_kinds = frozenset()
    both = await api.client((READ, "acme"), ("rack:read", "acme.shop"), others=(RACK,))
    one = await api.client((READ, "acme"), others=(RACK,))
    async with following(both, one):
        await api.shop.add("a", "acme.shop")
        rack = await api.shop.add("b", "acme.shop", kind="rack")
        await api.shop.add("c", "acme", kind="shelf")
        await api.shop.add("d", "other", kind="rack")
        await until(lambda: len(both.held) == 3 and len(one.held) == 2)
        await api.shop.remove(rack, kind="rack")
        await until(lambda: len(both.held) == 2)
    kinds = [(word, data["kind"], data["metadata"]["name"]) for word, data in both.events]
    assert kinds == [
        ("added", "Shelf", "a"), ("added", "Rack", "b"), ("added", "Shelf", "c"), ("deleted", "Rack", "b"),
    ]  # fmt: skip
    assert told(one) == [("added", "a"), ("added", "c")]
    assert not api.watches.streams


async def test_a_stream_of_several_kinds_goes_on_where_it_was_and_fits_no_other_set(api: Api) -> None:
    client = await api.client((READ, ""), ("rack:read", ""), others=(RACK,))
    await api.shop.add("a", "acme")
    await api.shop.add("b", "acme", kind="rack")
    await api.settled()
    await client.follow(events=1)
    await client.follow(events=1)
    assert [name for _, name in told(client)] == ["a", "b"]
    client.others = ()
    with pytest.raises(Gone, match="list again"):
        await client.open()


async def test_what_enters_and_leaves_a_filter_is_added_and_deleted(api: Api) -> None:
    uid = await api.shop.add("a", labels={"tier": "gold"})
    client = await api.client((READ, ""), query=ListQuery(labels={"tier": "gold"}))
    assert set(client.boards) == {"a"}
    async with following(client):
        await api.shop.label(uid, {"tier": "iron"})
        await until(lambda: not client.held)
        await api.shop.change(uid, 7)
        await api.settled()
        await api.shop.label(uid, {"tier": "gold"})
        await until(lambda: client.boards == {"a": 7})
    assert told(client) == [("deleted", "a"), ("added", "a")]


async def test_a_client_goes_on_with_the_last_event_it_saw(api: Api) -> None:
    client = await api.client((READ, ""))
    for n in range(5):
        await api.shop.add(f"s{n}")
    await api.settled()
    for n in range(5):
        await client.follow(events=1)
        assert len(client.events) == n + 1
    assert told(client) == [("added", f"s{n}") for n in range(5)]


async def test_what_happened_between_the_list_and_the_watch_is_told(api: Api) -> None:
    client = await api.client((READ, ""))
    uids = [await api.shop.add(f"s{n}") for n in range(3)]
    await api.shop.remove(uids[0])
    await api.settled()
    async with following(client):
        await until(lambda: set(client.boards) == {"s1", "s2"})


async def test_a_silent_stream_lives_and_its_cursor_moves_on(api: Api) -> None:
    client = await api.client((READ, "acme"))
    before = client.cursor
    assert before is not None
    async with following(client):
        for n in range(3):
            await api.shop.add(f"s{n}", "elsewhere")
        await api.settled()
        await until(lambda: client.cursor and Cursor.decode(client.cursor).position == api.tail.position)
    assert client.events == []
    assert client.cursor != before


async def changed_at_random(shop: Woodshop, seed: int, scopes: list[str]) -> None:
    """Creates, changes and deletes, several in one transaction, which commits late or not at all."""
    chance = random.Random(seed)
    connection = await asyncpg.connect(shop.place.admin)
    mine: list[Any] = []
    try:
        for n in range(14):
            transaction = connection.transaction()
            await transaction.start()
            kept = list(mine)
            for step in range(chance.randint(1, 3)):
                act = chance.choice(("create", "create", "change", "delete"))
                if act == "create" or not kept:
                    added = await connection.fetchval(
                        "insert into test_wood.shelf (scope, name, spec)"
                        " values ($1::text::ltree, $2, '{\"boards\": 1}') returning uid",
                        chance.choice(scopes), f"w{seed}-{n}-{step}",
                    )  # fmt: skip
                    kept.append(added)
                elif act == "change":
                    await connection.execute(
                        "update test_wood.shelf set spec = jsonb_build_object('boards', $2::int) where uid = $1",
                        chance.choice(kept), chance.randint(2, 10_000))  # fmt: skip
                else:
                    await connection.execute(
                        "delete from test_wood.shelf where uid = $1", kept.pop(chance.randrange(len(kept)))
                    )
                await asyncio.sleep(chance.choice((0, 0.001, 0.01)))
            if chance.random() < 0.2:
                await transaction.rollback()
            else:
                await transaction.commit()
                mine = kept
    finally:
        await connection.close()


async def reconnect_at_random(client: Client, seed: int, done: Callable[[], bool]) -> None:
    """Follow for moments, be cut off anywhere, come back with the last id; list again where that is refused."""
    chance = random.Random(seed)
    while not done():
        try:
            async with asyncio.timeout(chance.uniform(0.005, 0.08)):
                await client.follow()
        except TimeoutError:
            continue


@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_reconnects_while_writers_commit_out_of_order_misses_nothing(api: Api, seed: int) -> None:
    finished = False
    scopes = ["acme", "acme.shop", "other"]
    client, whole = await api.client((READ, "acme")), await api.client((READ, ""))
    watching = [
        asyncio.create_task(reconnect_at_random(one, seed * 7 + n, lambda: finished))
        for n, one in enumerate((client, whole))
    ]
    await asyncio.gather(*(changed_at_random(api.shop, seed * 100 + n, scopes) for n in range(4)))
    await api.settled()
    finished = True
    await asyncio.gather(*watching)
    async with following(client, whole):
        for one in (client, whole):
            last = await api.client_of(one.actor)
            await until(lambda one=one, last=last: one.held == last.held)
    for one in (client, whole):
        assert one.relisted == 0
        versions = defaultdict(list)
        for word, data in one.events:
            if word != "deleted":
                versions[data["metadata"]["uid"]].append(data["metadata"]["resource_version"])
        assert all(seen == sorted(seen) for seen in versions.values())
    assert all(data["metadata"]["scope"].startswith("acme") for _, data in client.events)


async def test_one_stream_tells_no_version_twice(api: Api) -> None:
    uid = await api.shop.add("a")
    client = await api.client((READ, ""))
    async with following(client):
        for n in range(30):
            await api.shop.change(uid, n + 2)
        await until(lambda: client.boards == {"a": 31})
        await api.settled()
    versions = [data["metadata"]["resource_version"] for _, data in client.events]
    assert versions == sorted(set(versions))


async def test_a_change_of_grants_ends_the_stream_and_the_cursor(api: Api) -> None:
    client = await api.client((READ, "acme"))
    following_ = asyncio.create_task(client.follow())
    await until(lambda: api.watches.streams[client.actor.uid] == 1)
    await api.shop.grant(client.actor, READ, "other")
    await asyncio.wait_for(following_, 60)
    assert client.events == [("relist", {"reason": "grants"})]
    with pytest.raises(Gone) as refused:
        await client.open()
    assert refused.value.details["reason"] == "grants"
    await client.list()
    async with following(client):
        await api.shop.add("a", "other")
        await until(lambda: client.boards)


async def test_a_change_of_a_kind_that_grants_is_noticed_without_waiting_for_a_heartbeat(api: Api) -> None:
    api.watches.heartbeat = 600
    client = await api.client((READ, "acme"))
    following_ = asyncio.create_task(client.follow())
    await until(lambda: api.watches.streams[client.actor.uid] == 1)
    await api.shop.revoke(client.actor)
    await api.shop.add("assignment", kind="rack")
    await asyncio.wait_for(following_, 60)
    assert client.relisted == 1


async def test_nothing_is_told_after_the_right_to_see_it_is_gone(api: Api) -> None:
    api.watches.heartbeat = 600
    uid = await api.shop.add("a", "acme")
    await api.settled()
    client = await api.client((READ, "acme"))
    following_ = asyncio.create_task(client.follow())
    await until(lambda: api.watches.streams[client.actor.uid] == 1)
    await api.shop.revoke(client.actor)
    await api.shop.change(uid, 2)
    await api.shop.remove(uid)
    await asyncio.wait_for(following_, 60)
    assert told(client) == []
    assert client.relisted == 1


async def test_an_expired_cursor_is_gone(api: Api) -> None:
    client = await api.client((READ, ""))
    await api.shop.add("a")
    await api.shop.add("b")
    await api.settled()
    await prune_changes(await api.shop.connect("worker"), timedelta(0))
    with pytest.raises(Gone) as refused:
        await client.open()
    assert refused.value.details["reason"] == "expired"
    await client.list()
    assert set(client.boards) == {"a", "b"}


async def test_a_cursor_from_the_future_is_gone(api: Api) -> None:
    client = await api.client((READ, ""))
    assert client.cursor is not None
    client.cursor = Cursor(10**15, Cursor.decode(client.cursor).grants).encode()
    with pytest.raises(Gone):
        await client.open()


@pytest.mark.parametrize(
    "text", ["", "x", "é", "a" * 500, "MS4wMDAwMDAwMDAwMDAwMDAwLjAwMDAwMDAw", "\0", "....", "%%%="]
)
def test_what_is_no_cursor_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Cursor.decode(text)
    [field] = refused.value.details["fields"]
    assert field["field"] == "resource_cursor"


async def test_somebody_elses_cursor_is_no_use(api: Api) -> None:
    client, other = await api.client((READ, "acme")), await api.client((READ, "acme"))
    other.cursor = client.cursor
    with pytest.raises(Gone):
        await other.open()


async def test_without_a_cursor_a_watch_begins_now(api: Api) -> None:
    await api.shop.add("before")
    await api.settled()
    client = await api.client((READ, ""))
    client.cursor = None
    async with following(client):
        await until(lambda: client.cursor)
        await api.shop.add("after")
        await until(lambda: client.events)
    assert told(client) == [("added", "after")]


async def test_a_client_that_reads_too_slowly_is_told_to_list_again(api: Api) -> None:
    client = await api.client((READ, ""))
    subscribe = api.tail.subscribe
    api.tail.subscribe = lambda match, **options: subscribe(match, **{**options, "limit": 3})  # type: ignore[method-assign]
    stream = await client.open()
    assert (await anext(stream)).startswith(b": alive")
    await api.shop.add("first")
    await api.settled()
    assert b"first" in await anext(stream)
    for n in range(9):
        await api.shop.add(f"s{n}")
    await api.settled()
    rest = b"".join([chunk async for chunk in stream])
    assert rest == b'event: relist\ndata: {"reason":"slow"}\n\n'


async def test_a_stream_ends_after_its_lifetime_and_holds_no_connection_meanwhile(api: Api) -> None:
    api.watches.lifetime = 0.3
    clients = [await api.client((READ, "")) for _ in range(20)]  # more than the pool has connections
    await asyncio.wait_for(asyncio.gather(*(client.follow() for client in clients)), 60)
    assert not api.watches.streams
    assert await api.shop.admin.fetchval(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and usename = 'ironworks_api' and state like 'idle in%'"
    ) == 0  # fmt: skip


async def test_one_subject_cannot_open_streams_without_end(api: Api) -> None:
    api.watches.per_subject = 2
    client = await api.client((READ, ""))
    streams = [await client.open() for _ in range(2)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(RateLimited):
        await client.open()
    await streams[0].aclose()  # type: ignore[attr-defined]
    await anext(await client.open())


async def test_a_process_that_does_not_follow_the_log_yet_says_so(shop: Woodshop) -> None:
    db = await shop.connect("api")
    client = Client(Watches(db, shop.tail("api")), db, await shop.subject((READ, "")))
    await client.list()
    with pytest.raises(Unavailable):
        await client.open()


async def test_a_stream_that_loses_the_database_ends_and_can_be_resumed(api: Api) -> None:
    client = await api.client((READ, ""))
    following_ = asyncio.create_task(client.follow())
    await until(lambda: api.watches.streams[client.actor.uid] == 1)

    async def cut() -> bool:
        await api.shop.admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'ironworks_api' and application_name = 'test-api' and datname = current_database()"
        )
        await api.shop.add(f"s{random.randrange(10**9)}")
        return following_.done()

    with contextlib.suppress(TimeoutError):
        await until(cut, 3)
    following_.cancel()
    await asyncio.gather(following_, return_exceptions=True)
    async with following(client):
        last = await api.client_of(client.actor)
        await until(lambda: client.held == last.held)


def test_events_are_well_formed_for_any_text() -> None:
    from ironworks.shared.watch import _event

    block = _event("modified", json.dumps({"a": "b\nc"}, indent=1), "id").decode()
    assert block.endswith("\n\n")
    assert all(line.startswith(("event: ", "id: ", "data: ")) for line in block.strip().split("\n"))
