"""Topics: whoever listens is told of every commit that touched one where he may read it, and of nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from ironworks.shared.changelog import Tail
from ironworks.shared.context import Actor
from ironworks.shared.db import Database
from ironworks.shared.declarations import OWN, Topic
from ironworks.shared.errors import Gone
from ironworks.shared.http import Call
from ironworks.shared.kind import Kind
from ironworks.shared.listing import ListQuery
from ironworks.shared.topics import cut, forget_touched, read_touched
from ironworks.shared.view import Cursor
from ironworks.shared.watch import Watches
from tests.shared.shelves import SHELF, Woodshop, following, open_shop, running, until
from tests.support.postgres import TestDatabase

READ = "offcut:read"
OFFCUTS = Topic("offcuts", READ, "What is left over")
RULES = Topic("rules", "rule:read", "What holds for all below", inherited=True)
TOOLS = Topic("tools", OWN, "What each has for himself")


@dataclass
class Yard:
    """An API process over a shop that has piles of offcuts, and rules."""

    shop: Woodshop
    db: Database
    tail: Tail
    watches: Watches

    async def cut(self, *scopes: str, connection: asyncpg.Connection[asyncpg.Record] | None = None) -> None:
        await (connection or self.shop.admin).execute(
            "insert into test_wood.offcut (scope) select s::ltree from unnest($1::text[]) s", scopes
        )

    async def touched(self) -> set[tuple[str, str]]:
        """All that a reader who was never here is told of the last seconds."""
        return set((await read_touched(self.db, None)).places)


@dataclass
class Ear:
    """A client that follows topics."""

    yard: Yard
    actor: Actor
    query: ListQuery = field(default_factory=ListQuery)
    kinds: list[Kind] = field(default_factory=lambda: [SHELF])
    topics: list[Topic] = field(default_factory=lambda: [OFFCUTS, RULES, TOOLS])
    heard: list[tuple[str, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    cursor: str | None = None

    async def follow(self) -> None:
        call = Call(self.yard.db, self.actor, "req_test")
        stream = await self.yard.watches.open(call, self.kinds, self.query, self.cursor, self.topics)
        async with contextlib.aclosing(stream):  # type: ignore[type-var]
            async for chunk in stream:
                lines = chunk.decode().strip().split("\n")
                fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
                self.cursor = fields.get("id", self.cursor)
                if fields.get("event") == "changed":
                    data = json.loads(fields["data"])
                    assert data.keys() == {"topic", "scope"}
                    self.heard.append((data["topic"], data["scope"]))
                elif "event" in fields:
                    self.others.append(fields["event"])


@pytest.fixture
async def yard(database: TestDatabase) -> AsyncIterator[Yard]:
    shop = await open_shop(database)
    await shop.admin.execute(
        """
        create table test_wood.offcut (scope ltree not null, n int not null default 0);
        create table test_wood.rule (account text not null);
        create table test_wood.tool (owner uuid not null);
        select shared.tell_changes('offcuts', 'test_wood.offcut');
        select shared.tell_changes('rules', 'test_wood.rule', 'text2ltree(account)', '{insert}');
        select shared.tell_changes('tools', 'test_wood.tool', 'text2ltree(owner::text)', '{insert}');
        """
    )
    db, tail = await shop.connect("api"), shop.tail("api")
    watches = Watches(db, tail, grant_kinds=["Rack"], heartbeat=0.2)
    watches.topics.every = 0.05
    async with running(tail.run(), shop.sequencer().run()):
        await tail.ready()
        yield Yard(shop, db, tail, watches)
    for opened in shop.databases:
        await opened.close()
    await shop.admin.close()


@contextlib.asynccontextmanager
async def listening(*ears: Ear) -> AsyncIterator[None]:
    """Ears that follow, from when each knows where it is."""
    async with following(*ears):
        await until(lambda: all(ear.cursor and Cursor.decode(ear.cursor).oldest for ear in ears))
        yield


async def forget(worker: Database, count: int, *older_than: timedelta) -> None:
    """Forget what so many touched, and no more, once no transaction holds it; those of other databases do, too."""
    gone = 0
    async with asyncio.timeout(60):
        while (gone := gone + await forget_touched(worker, *older_than)) < count:
            await asyncio.sleep(0.05)
    assert gone == count


async def test_a_statement_is_told_once_for_each_scope_that_it_touched(yard: Yard) -> None:
    ear = Ear(yard, await yard.shop.subject((READ, "acme")))
    async with listening(ear):
        await yard.cut("acme", "acme.shop", "acme.shop", "rival")
        await until(lambda: len(ear.heard) == 2)
        for statement in ("update test_wood.offcut set n = 1 where scope = 'acme'",
                          "delete from test_wood.offcut where scope = 'acme'"):  # fmt: skip
            ear.heard.clear()
            await yard.shop.admin.execute(statement)
            await until(lambda: ear.heard)
            assert ear.heard == [("offcuts", "acme")]
        ear.heard.clear()
        await yard.shop.admin.execute("delete from test_wood.offcut where n = 7")  # none
        await yard.cut("acme.shop")
        await until(lambda: ear.heard)
    assert ear.heard == [("offcuts", "acme.shop")]


async def test_who_may_not_read_a_topic_is_told_nothing_of_it(yard: Yard) -> None:
    mine, foreign, above, nobody = [
        Ear(yard, await yard.shop.subject(*grants))
        for grants in ([(READ, "acme.shop")], [(READ, "rival")], [("rule:read", "acme.shop")], [("shelf:read", "")])
    ]
    async with listening(mine, foreign, above, nobody):
        await yard.cut("acme", "acme.shop.eu")
        await yard.shop.admin.execute("insert into test_wood.rule values (''), ('acme'), ('rival')")
        await until(lambda: mine.heard and len(above.heard) == 2)
        await yard.cut("rival")
        await until(lambda: foreign.heard)
    assert mine.heard == [("offcuts", "acme.shop.eu")]
    assert foreign.heard == [("offcuts", "rival")]
    assert above.heard == [("rules", "-"), ("rules", "acme")]
    assert nobody.heard == []


async def test_what_is_one_s_own_is_told_to_nobody_else_whatever_he_may_and_wherever_he_looks(yard: Yard) -> None:
    owner, other = await yard.shop.subject(("shelf:read", "acme")), await yard.shop.subject((READ, ""))
    alone, inside = Ear(yard, owner, kinds=[], topics=[TOOLS]), Ear(yard, owner, ListQuery("acme.shop"))
    around = Ear(yard, other)
    async with listening(alone, inside, around):
        await yard.shop.admin.execute("insert into test_wood.tool values ($1)", owner.uid)
        await until(lambda: alone.heard and inside.heard)
        await yard.cut("rival")
        await until(lambda: around.heard)
    assert alone.heard == inside.heard == [("tools", "-")]
    assert around.heard == [("offcuts", "rival")]


async def test_a_stream_of_a_scope_tells_what_lies_there(yard: Yard) -> None:
    actor = await yard.shop.subject((READ, ""))
    here, around = Ear(yard, actor, ListQuery("acme.shop")), Ear(yard, actor, ListQuery("acme.shop", inherited=True))
    async with listening(here, around):
        await yard.cut("acme", "acme.shop", "acme.shop.eu", "acme.other", "rival")
        await until(lambda: len(here.heard) >= 2 and len(around.heard) >= 3)
    assert here.heard == [("offcuts", "acme.shop"), ("offcuts", "acme.shop.eu")]
    assert around.heard == [("offcuts", "acme"), *here.heard]


async def test_a_commit_is_told_however_late_it_comes_and_a_rollback_never(yard: Yard) -> None:
    ear = Ear(yard, await yard.shop.subject((READ, "")))
    slow, undone = await asyncpg.connect(yard.shop.place.admin), await asyncpg.connect(yard.shop.place.admin)
    async with listening(ear):
        held, dropped = slow.transaction(), undone.transaction()
        await held.start()
        await dropped.start()
        await yard.cut("slow", connection=slow)
        await yard.cut("undone", connection=undone)
        for _ in range(3):  # what others commit meanwhile moves the reader past both
            ear.heard.clear()
            await yard.cut("quick")
            await until(lambda: ear.heard)
            assert ear.heard == [("offcuts", "quick")]
        ear.heard.clear()
        await dropped.rollback()
        await held.commit()
        await until(lambda: ear.heard)
        assert ear.heard == [("offcuts", "slow")]
    await slow.close()
    await undone.close()


async def test_who_comes_back_is_told_what_it_missed_and_what_was_under_way(yard: Yard) -> None:
    ear = Ear(yard, await yard.shop.subject((READ, "")))
    slow = await asyncpg.connect(yard.shop.place.admin)
    held = slow.transaction()
    await held.start()
    await yard.cut("acme.slow", connection=slow)
    async with listening(ear):
        await yard.cut("acme.before")
        await until(lambda: ear.heard)
    ear.heard.clear()
    await yard.cut("acme.missed")
    await held.commit()
    await slow.close()
    async with listening(ear):
        await until(lambda: len(ear.heard) >= 2)
    assert {("offcuts", "acme.missed"), ("offcuts", "acme.slow")} <= set(ear.heard)


async def test_who_was_away_for_too_long_is_told_that_everything_may_have_changed(yard: Yard) -> None:
    ear = Ear(yard, await yard.shop.subject((READ, "acme"), ("rule:read", "acme")), ListQuery("acme"))
    async with listening(ear):
        await yard.cut("acme")
        await until(lambda: ear.heard)
    await yard.shop.admin.execute("update shared.touched set at = at - interval '1 hour'")
    worker = await yard.shop.connect("worker")
    await forget(worker, 1)
    assert await forget_touched(worker) == 0
    assert await yard.touched() == set()
    ear.heard.clear()
    async with listening(ear):
        await until(lambda: len(ear.heard) == 3)
    assert ear.heard == [("offcuts", "acme"), ("rules", "acme"), ("tools", "acme")]


async def test_a_list_s_cursor_knows_no_topics_and_so_tells_them_all(yard: Yard) -> None:
    actor = await yard.shop.subject((READ, "acme"))
    ear = Ear(yard, actor)
    async with listening(ear):
        pass
    held = Cursor.decode(ear.cursor or "")
    ear.cursor = Cursor(held.position, held.grants).encode()
    ear.heard.clear()
    async with listening(ear):
        await until(lambda: ear.heard)
    assert ("offcuts", "-") in ear.heard


async def test_what_a_transaction_under_way_may_be_behind_is_kept(yard: Yard) -> None:
    slow = await asyncpg.connect(yard.shop.place.admin)
    held = slow.transaction()
    await held.start()
    await yard.cut("acme", connection=slow)
    await yard.cut("rival")
    worker = await yard.shop.connect("worker")
    assert await forget_touched(worker, timedelta(0)) == 0
    await held.commit()
    await slow.close()
    await forget(worker, 2, timedelta(0))


async def test_a_taken_grant_ends_the_stream_before_anything_more_is_told(yard: Yard) -> None:
    ear = Ear(yard, await yard.shop.subject((READ, "acme")))
    async with listening(ear):
        await yard.cut("acme")
        await until(lambda: ear.heard)
        await yard.shop.revoke(ear.actor)
        ear.heard.clear()
        await yard.cut("acme")
        await until(lambda: ear.others)
    assert (ear.heard, ear.others) == ([], ["relist"])
    with pytest.raises(Gone, match="what you may see has changed"):
        await ear.follow()


async def test_the_process_alone_may_ask(yard: Yard) -> None:
    async with yard.db.transaction(Actor(uuid4(), "user", "somebody")) as ctx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ctx.db.fetch("select * from shared.touched_since(null, '1 hour')")
    async with yard.db.transaction(Actor(None, "system", "test")) as ctx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ctx.db.fetch("select * from shared.touched")


async def test_nobody_looks_when_nobody_listens(yard: Yard) -> None:
    topics = yard.watches.topics
    first = topics.listen(lambda: None)
    with first, topics.listen(lambda: None) as second:
        await second.ready()
        assert topics.looked.is_set()
    assert not topics.looked.is_set()
    with topics.listen(lambda: None) as again:
        await again.ready()


async def test_what_no_table_holds_can_be_touched_too(yard: Yard) -> None:
    async with yard.db.transaction(Actor(None, "system", "test")) as ctx:
        await ctx.touch("offcuts", "acme.shop")
        await ctx.touch("rules", "")
    assert await yard.touched() == {("offcuts", "acme.shop"), ("rules", "")}


def test_many_places_are_told_by_what_lies_above_them() -> None:
    tenants = [f"acme.p{p}.t{t}" for p in range(3) for t in range(5)]
    assert cut(tenants, 15) == sorted(tenants)
    assert cut(tenants, 14) == ["acme.p0", "acme.p1", "acme.p2"]
    assert cut(tenants, 2) == ["acme"]
    assert cut([*tenants, *(f"a{n}" for n in range(3))], 2) == [""]
    assert cut([], 5) == []
