"""The log's promise: every committed change once, without gaps, each object's in the order of its commits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from ironworks.shared.changelog import Lagged, Notice, prune_changes
from ironworks.shared.context import system_actor
from ironworks.shared.notify import CHANGED, LOGGED, Notifier, dedicated, listen
from tests.shared.shelves import Priced, Sawn, Woodshop, open_shop, running, until
from tests.support.postgres import Role, TestDatabase


@pytest.fixture
async def shop(database: TestDatabase) -> AsyncIterator[Woodshop]:
    made = await open_shop(database)
    yield made
    for db in made.databases:
        await db.close()
    await made.admin.close()


async def write_at_random(url: str, seed: int, shelves: list[UUID], rounds: int) -> None:
    """Transactions over several shelves that hold on to them for a while, and are sometimes given up."""
    chance = random.Random(seed)
    connection = await asyncpg.connect(url)
    try:
        for _ in range(rounds):
            transaction = connection.transaction()
            await transaction.start()
            for uid in sorted(chance.sample(shelves, 2)):  # in one order, so that none waits in a circle
                await connection.execute(
                    "update test_wood.shelf set spec = jsonb_build_object('boards', $2::int) where uid = $1",
                    uid, chance.randrange(1_000_000),
                )  # fmt: skip
                await asyncio.sleep(chance.choice((0, 0, 0.002, 0.01)))
            await (transaction.rollback() if chance.random() < 0.2 else transaction.commit())
    finally:
        await connection.close()


async def test_writers_that_commit_out_of_order_leave_no_gap_and_keep_each_objects_order(shop: Woodshop) -> None:
    shelves = [await shop.add(f"s{n}") for n in range(5)]
    tail, told = shop.tail(), list[Notice]()
    await shop.sequence()
    async with running(tail.run(), shop.sequencer(batch=3).run(), shop.sequencer(batch=3).run()):
        await tail.ready()
        with tail.subscribe(lambda _: True) as news:
            await asyncio.gather(*(write_at_random(shop.place.admin, seed, shelves, 12) for seed in range(6)))

            async def drained() -> bool:
                told.extend(news.take()[0])
                left = await shop.admin.fetchval("select count(*) from shared.change_pending")
                head = await shop.admin.fetchval("select position from shared.change_head")
                return left == 0 and tail.position == head

            await until(drained)
            told.extend(news.take()[0])
    log = await shop.log()
    assert [row["position"] for row in log] == list(range(1, len(log) + 1))
    assert [(n.position, n.uid, n.resource_version) for n in told] == [
        (row["position"], row["uid"], row["resource_version"]) for row in log[5:]
    ]
    versions = defaultdict(list)
    for row in log:
        versions[row["uid"]].append(row["resource_version"])
    for uid, seen in versions.items():
        assert seen == sorted(set(seen))
        assert seen[-1] == await shop.admin.fetchval("select resource_version from test_wood.shelf where uid = $1", uid)


async def test_a_transaction_that_commits_late_comes_later(shop: Woodshop) -> None:
    slow = await asyncpg.connect(shop.place.admin)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("insert into test_wood.shelf (scope, name, spec) values ('', 'late', '{}')")
    await shop.add("early")
    assert await shop.sequence() == 1
    await transaction.commit()
    assert await shop.sequence() == 1
    assert [row["name"] for row in await shop.log()] == ["early", "late"]
    await slow.close()


async def test_two_sequencers_at_once_give_no_position_twice(shop: Woodshop) -> None:
    for n in range(40):
        await shop.add(f"s{n}")
    others = [await asyncpg.connect(shop.place.url("worker")) for _ in range(4)]
    moved = await asyncio.gather(
        *(other.fetchval("select shared.sequence_changes(7)") for other in others for _ in (other,))
    )
    while count := await shop.sequence():
        moved.append(count)
    assert sum(moved) == 40
    assert [row["name"] for row in await shop.log()] == [f"s{n}" for n in range(40)]
    for other in others:
        await other.close()


_LEADER = """
import asyncio, sys
from ironworks.shared.changelog import Sequencer
sequencer = Sequencer(sys.argv[1], poll=0.01, patience=1)
async def main():
    task = asyncio.create_task(sequencer.run())
    while not sequencer.leading:
        await asyncio.sleep(0.01)
    print("leading", flush=True)
    await task
asyncio.run(main())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_when_the_leader_is_killed_or_stopped_another_process_goes_on(
    shop: Woodshop, end: signal.Signals
) -> None:
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LEADER, shop.place.url("worker"),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert leader.stdout is not None
    assert await asyncio.wait_for(leader.stdout.readline(), 60) == b"leading\n"
    standby = shop.sequencer()
    async with running(standby.run()):
        await shop.add("before")
        await until(shop.log)
        assert not standby.leading
        leader.send_signal(end)
        await shop.add("after")
        await until(lambda: standby.leading)

        async def both() -> bool:
            return len(await shop.log()) == 2

        await until(both)
    with contextlib.suppress(ProcessLookupError):
        leader.kill()
    await leader.wait()
    assert [row["position"] for row in await shop.log()] == [1, 2]


async def test_a_leader_that_loses_its_session_leads_again(shop: Woodshop) -> None:
    sequencer = shop.sequencer()
    async with running(sequencer.run()):
        await until(lambda: sequencer.leading)
        await shop.admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'ironworks-sequencer' and datname = current_database()"
        )
        await shop.add("a")
        await until(shop.log)


async def test_what_runs_beside_the_sequencer_runs_while_there_is_more_and_may_fail(shop: Woodshop) -> None:
    await shop.admin.execute(
        """
        create table public.sealed (n int);
        grant select, insert on public.sealed to ironworks_worker;
        create function public.seal(most int) returns int language sql as
        $$ with more as (insert into public.sealed select 1 where (select count(*) from public.sealed) < 5 returning 1)
           select case when exists (select from more) then most else 0 end $$;
        grant execute on function public.seal(int) to ironworks_worker;
        """
    )
    also = ("select no_such_function($1)", "select public.seal($1)")
    async with running(shop.sequencer(also=also, poll=60).run()):

        async def five() -> bool:
            return bool(await shop.admin.fetchval("select count(*) = 5 from public.sealed"))

        await until(five)
        await shop.add("a")
        notifier = Notifier(shop.place.url("worker"))
        async with running(notifier.run()):
            notifier.poke(CHANGED)
            await until(shop.log)


async def test_wake_ups_are_sent_together_and_end_polling_early(shop: Woodshop) -> None:
    notifier = Notifier(shop.place.url("worker"))
    async with dedicated(shop.place.url("api"), "test") as listener, running(notifier.run()):
        wake = await listen(listener, LOGGED)
        for _ in range(100):
            notifier.poke(LOGGED)
        assert await wake.wait(10)


async def test_an_event_is_logged_in_its_envelope_with_its_transaction_or_not_at_all(shop: Woodshop) -> None:
    db = await shop.connect("api")

    async def give_up() -> None:
        async with db.transaction(system_actor("test")) as ctx:
            await ctx.emit(Sawn(board=1))
            raise RuntimeError("given up")

    with pytest.raises(RuntimeError, match="given up"):
        await give_up()
    async with db.transaction(system_actor("test"), "req_1") as ctx:
        await ctx.emit(Sawn(board=2), "acme.shop")
        await ctx.emit(Priced(nano=3))
    await shop.sequence()
    sawn, priced = await shop.log()
    assert (sawn["event_type"], sawn["version"], sawn["scope"], sawn["payload"]) == (
        "test.wood.sawn.v2", 2, "acme.shop", '{"board": 2}',
    )  # fmt: skip
    assert (sawn["correlation_id"], sawn["registry_version"]) == ("req_1", None)
    assert priced["registry_version"] == 7
    assert sawn["event_id"] != priced["event_id"]


async def test_an_event_type_without_a_version_is_refused(shop: Woodshop) -> None:
    db = await shop.connect("api")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        async with db.transaction(system_actor("test")) as ctx:
            await ctx.db.execute("select shared.append_event('test.wood.sawn', '', '{}', 'req_1', false)")


_NOT_THEIRS = (
    "select * from shared.change_log",
    "select * from shared.change_pending",
    "insert into shared.change_log (position, scope, occurred_at) values (1, '', now())",
    "update shared.change_head set position = 0",
    "select shared.append_change('Shelf', gen_random_uuid(), '', 'a', 'deleted', 1)",
    "select shared.prune_changes('0', 1)",
)


@pytest.mark.parametrize("role", ["api", "gateway"])
async def test_serving_roles_neither_read_nor_forge_the_log(shop: Woodshop, role: Role) -> None:
    connection = await asyncpg.connect(shop.place.url(role))
    for statement in _NOT_THEIRS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_callers_cannot_reach_the_tail(shop: Woodshop) -> None:
    db = await shop.connect("api")
    await shop.add("a")
    await shop.sequence()
    async with db.transaction(system_actor("tail")) as ctx:
        assert len(await ctx.db.fetch("select * from shared.tail_changes(0, 10)")) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with db.transaction(await shop.subject()) as ctx:
            await ctx.db.fetch("select * from shared.tail_changes(0, 10)")


async def test_retention_keeps_what_a_consumer_needs_and_what_is_set_aside(shop: Woodshop) -> None:
    db = await shop.connect("worker")
    for n in range(10):
        await shop.add(f"s{n}")
    await shop.sequence()
    assert await prune_changes(db) == 0
    await shop.admin.execute(
        """
        insert into shared.change_consumer values ('slow', 8);
        insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)
        values ('slow', 3, 'Shelf created', '', '', 1);
        """
    )
    assert await prune_changes(db, timedelta(0), batch=2) == 7
    assert [row["position"] for row in await shop.log()] == [3, 9, 10]
    assert dict(await shop.admin.fetchrow("select floor, head from shared.change_bounds()") or {}) == {
        "floor": 8, "head": 10,
    }  # fmt: skip
    await shop.admin.execute("update shared.dead_letter set replayed_at = now(); delete from shared.change_consumer")
    assert await prune_changes(db, timedelta(0)) == 3
    await shop.add("new")
    await shop.sequence()
    assert [row["position"] for row in await shop.log()] == [11]


async def test_a_subscriber_that_does_not_keep_up_is_told(shop: Woodshop) -> None:
    tail = shop.tail("gateway")
    async with running(tail.run(), shop.sequencer().run()):
        await tail.ready()
        with tail.subscribe(lambda _: True, limit=2) as slow, tail.subscribe(lambda _: True, kinds=["Shelf"]) as quick:
            for n in range(4):
                await shop.add(f"s{n}")
            await until(lambda: tail.position == 4)
            with pytest.raises(Lagged):
                slow.take()
            assert len(quick.take()[0]) == 4
            await shop.add("next")
            await until(lambda: tail.position == 5)
            assert [notice.name for notice in slow.take()[0]] == ["next"]
        assert tail.age() < 10


async def test_the_tail_goes_on_where_it_was_after_losing_its_session(shop: Woodshop) -> None:
    tail = shop.tail()
    async with running(tail.run(), shop.sequencer().run()):
        await tail.ready()
        with tail.subscribe(lambda _: True) as news:
            await shop.add("a")
            await until(lambda: tail.position == 1)
            await shop.admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'ironworks-tail' and datname = current_database()"
            )
            await shop.add("b")
            await until(lambda: tail.position == 2)
            assert [notice.name for notice in news.take()[0]] == ["a", "b"]


async def test_a_log_that_went_back_in_time_makes_everybody_start_anew(shop: Woodshop) -> None:
    """As after a restored backup."""
    tail = shop.tail()
    tail.position = 1_000
    with tail.subscribe(lambda _: True) as news:
        async with running(tail.run()):
            await until(lambda: tail.position == 0)
        with pytest.raises(Lagged):
            news.take()
