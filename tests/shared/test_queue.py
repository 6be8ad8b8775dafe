"""The work queue: nothing is lost, nothing is done by two at once, and one bad item slows no other."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.shared import queue
from ironworks.shared.context import Services, system_actor
from ironworks.shared.db import Database
from ironworks.shared.queue import Item, Job, QueueRunner, backoff
from tests.shared.boxes import Boxes


class Lane:
    """A lane whose jobs do what `act` says and finish; remembers whom it saw."""

    def __init__(self, boxes: Boxes, kind: str, act: Any = None, concurrency: int = 4) -> None:
        self.boxes = boxes
        self.kind = kind
        self.concurrency = concurrency
        self.act = act
        self.seen: list[Item] = []

    async def take(self, items: Sequence[Item]) -> Sequence[Job]:
        return [partial(self._run, item) for item in items]

    async def _run(self, item: Item) -> float | None:
        self.seen.append(item)
        if self.act is not None:
            await self.act(item)
        async with asyncio.timeout(60):
            await queue.finish(self.boxes.dbs[0], item, None)
        return None


async def runner(boxes: Boxes, *lanes: Lane, **options: Any) -> QueueRunner:
    db = await Database.connect(boxes.database.url("worker"), boxes_services(boxes), max_size=5)
    boxes.dbs.append(db)
    return QueueRunner(db, lanes, **options)


def boxes_services(boxes: Boxes) -> Services:
    async def audit(*_: Any) -> None: ...

    return Services(audit=audit, vault=boxes.vault)


async def put(boxes: Boxes, kind: str, uid: UUID | None = None, due_in: str = "0") -> UUID:
    uid = uid or uuid4()
    await boxes.admin.execute(f"select shared.enqueue($1, $2, '{due_in}')", kind, uid)
    return uid


async def test_any_login_role_enqueues_and_only_the_worker_reads_and_claims(boxes: Boxes) -> None:
    for role in ("api", "gateway", "worker"):
        conn = await asyncpg.connect(boxes.database.url(role))  # type: ignore[arg-type]
        await conn.execute("select shared.enqueue('Thing', $1)", uuid4())
        if role != "worker":
            for forbidden in (
                "select * from shared.work_item",
                "delete from shared.work_item",
                "select shared.claim_work(gen_random_uuid(), '', array['Thing'], array[1])",
                "select shared.take_over_work('0')",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(forbidden)
        await conn.close()
    assert len(await boxes.items()) == 3


async def test_oldest_first_and_no_more_than_there_is_room_for(boxes: Boxes) -> None:
    uids = [await put(boxes, "Thing", due_in=f"-{100 - n} s") for n in range(10)]
    await put(boxes, "Thing", due_in="1 h")
    lane = Lane(boxes, "Thing", concurrency=3)
    run = await runner(boxes, lane)
    await run.run_until_idle()
    assert [i.uid for i in lane.seen] == uids
    assert len(await boxes.items()) == 1


@pytest.mark.parametrize("host", ["", "east"])
async def test_a_long_queue_is_worked_off_without_waiting_for_a_poll(boxes: Boxes, host: str) -> None:
    await boxes.admin.execute("select shared.enqueue('Thing', gen_random_uuid()) from generate_series(1, 200)")
    lane = Lane(boxes, "Thing", concurrency=4)
    run = await runner(boxes, lane, runner=host, poll=60)
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        while len(lane.seen) < 200:
            await asyncio.sleep(0.01)
    run.stop()
    await running


async def test_an_item_enqueued_again_is_due_at_the_earlier_time(boxes: Boxes) -> None:
    uid = await put(boxes, "Thing", due_in="1 h")
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane)
    await run.run_until_idle()
    assert lane.seen == []
    await put(boxes, "Thing", uid)
    await put(boxes, "Thing", uid, "2 h")
    await run.run_until_idle()
    assert [i.wanted for i in lane.seen] == [3]


async def test_a_dead_workers_items_are_taken_over_and_the_attempt_counts(boxes: Boxes) -> None:
    uid = await put(boxes, "Thing")
    dead = uuid4()
    await boxes.admin.execute("select shared.beat($1, 'gone')", dead)
    assert (
        await boxes.admin.fetchval("select count(*) from shared.claim_work($1, '', array['Thing'], array[5])", dead)
        == 1
    )
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane, lease=1.0, poll=0.05)
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        while not lane.seen:
            await asyncio.sleep(0.02)
    run.stop()
    await running
    assert [(i.uid, i.attempts) for i in lane.seen] == [(uid, 1)]
    assert await boxes.admin.fetchval("select count(*) from shared.queue_worker") == 0


async def test_a_live_workers_items_are_left_alone_however_long_it_takes(boxes: Boxes) -> None:
    await put(boxes, "Thing")
    first = Lane(boxes, "Thing", act=lambda _: asyncio.sleep(2.5))
    second = Lane(boxes, "Thing")
    runs = [await runner(boxes, lane, lease=1.0, poll=0.05) for lane in (first, second)]
    running = [asyncio.create_task(runs[0].run())]
    await asyncio.sleep(0.2)
    running.append(asyncio.create_task(runs[1].run()))
    async with asyncio.timeout(60):
        while await boxes.items():
            await asyncio.sleep(0.05)
    for run in runs:
        run.stop()
    await asyncio.gather(*running)
    assert (len(first.seen), len(second.seen)) == (1, 0)


async def test_an_item_that_kills_its_worker_again_and_again_is_retried_ever_later(boxes: Boxes) -> None:
    uid = await put(boxes, "Thing")
    waits = []
    for _ in range(4):
        await boxes.hurry()
        await boxes.admin.execute("select shared.claim_work(gen_random_uuid(), '', array['Thing'], array[1])")
        await boxes.admin.execute("select shared.take_over_work('1 s')")
        item = await boxes.item(uid)
        assert item is not None
        waits.append(await boxes.admin.fetchval("select round(extract(epoch from $1 - now()))::int", item["due_at"]))
    assert waits == [0, 1, 4, 9]


async def test_a_worker_that_stops_leaves_its_items_to_the_next_at_once(boxes: Boxes) -> None:
    uid = await put(boxes, "Thing")
    started = asyncio.Event()

    async def hang(_: Item) -> None:
        started.set()
        await asyncio.sleep(60)

    run = await runner(boxes, Lane(boxes, "Thing", act=hang))
    running = asyncio.create_task(run.run())
    await asyncio.wait_for(started.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    item = await boxes.item(uid)
    assert item is not None
    assert item["token"] is None
    lane = Lane(boxes, "Thing")
    await (await runner(boxes, lane)).run_until_idle()
    assert [i.uid for i in lane.seen] == [uid]


async def test_hanging_items_of_one_kind_do_not_hold_up_another(boxes: Boxes) -> None:
    for _ in range(20):
        await put(boxes, "Poison", due_in="-1 h")
    for _ in range(20):
        await put(boxes, "Thing")
    poison = Lane(boxes, "Poison", act=lambda _: asyncio.sleep(60), concurrency=2)
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, poison, lane)
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        while len(lane.seen) < 20:
            await asyncio.sleep(0.01)
    assert len(poison.seen) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_items_whose_job_raises_are_freed_and_slow_no_other(boxes: Boxes) -> None:
    bad = await put(boxes, "Thing", due_in="-1 h")

    async def act(item: Item) -> None:
        if item.uid == bad:
            raise ValueError("poison")

    lane = Lane(boxes, "Thing", act=act, concurrency=1)
    run = await runner(boxes, lane, poll=0.05)
    running = asyncio.create_task(run.run())
    good = [await put(boxes, "Thing") for _ in range(30)]
    async with asyncio.timeout(60):
        while len({i.uid for i in lane.seen} & set(good)) < 30:
            await asyncio.sleep(0.01)
        while len([i for i in lane.seen if i.uid == bad]) < 2:  # freed, and tried again
            await asyncio.sleep(0.01)
    run.stop()
    await running


async def test_an_item_that_a_writer_holds_is_left_for_later_and_holds_up_nobody(boxes: Boxes) -> None:
    held, free = await put(boxes, "Thing", due_in="-1 h"), await put(boxes, "Thing")
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane)
    writer = await asyncpg.connect(boxes.database.url("api"))
    async with writer.transaction():
        await writer.execute("select shared.enqueue('Thing', $1)", held)
        await run.run_until_idle()
        assert [i.uid for i in lane.seen] == [free]
    await run.run_until_idle()
    assert [i.uid for i in lane.seen] == [free, held]
    await writer.close()


async def test_a_wake_up_is_heard_at_once(boxes: Boxes) -> None:
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane, poll=30, url=boxes.database.url("worker"))
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        await asyncio.sleep(0.5)
        for n in range(1, 6):
            await put(boxes, "Thing")
            await boxes.admin.execute("notify ironworks_queue")
            while len(lane.seen) < n:
                await asyncio.sleep(0.001)
    run.stop()
    await running


async def test_a_database_that_goes_away_is_outlived(boxes: Boxes) -> None:
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane, poll=0.05, lease=0.8, url=boxes.database.url("worker"))
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        for n in range(1, 4):
            await put(boxes, "Thing")
            while len(lane.seen) < n:
                await asyncio.sleep(0.02)
            await boxes.admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'ironworks_worker' and datname = current_database()"
            )
    run.stop()
    await running


async def test_an_answer_that_got_lost_strands_no_item(boxes: Boxes) -> None:
    """The claim was committed and the connection died before we learned of it."""
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane, poll=0.05)
    await put(boxes, "Thing")
    await boxes.admin.fetch("select * from shared.claim_work($1, '', array['Thing'], array[1])", run.worker)
    run._unsure = True
    running = asyncio.create_task(run.run())
    async with asyncio.timeout(60):
        while not lane.seen:
            await asyncio.sleep(0.02)
    run.stop()
    await running


async def test_enqueueing_belongs_to_the_callers_transaction(boxes: Boxes) -> None:
    db = await Database.connect(boxes.database.url("api"), boxes_services(boxes))
    boxes.dbs.append(db)

    async def enqueue_and_fail() -> None:
        async with db.transaction(system_actor("test")) as ctx:
            await queue.enqueue(ctx, "Thing", uuid4())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await enqueue_and_fail()
    assert await boxes.items() == []
    async with db.transaction(system_actor("test")) as ctx:
        await queue.enqueue(ctx, "Thing", uuid4(), due_in=60)
    assert len(await boxes.items()) == 1


async def test_depth_tells_what_the_queue_holds(boxes: Boxes) -> None:
    await put(boxes, "Thing")
    await put(boxes, "Thing", due_in="1 h")
    await put(boxes, "Other")
    run = await runner(boxes, Lane(boxes, "Thing"))
    await boxes.admin.execute("select shared.claim_work(gen_random_uuid(), '', array['Other'], array[1])")
    assert await queue.depth(run.db) == {
        "Other": {"due": 0, "held": 1, "failing": 0, "waiting": 0},
        "Thing": {"due": 1, "held": 0, "failing": 0, "waiting": 1},
    }


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_last_enqueue_is_looked_at_by_one_holder_of_a_valid_token(
    boxes: Boxes, seed: int
) -> None:
    """Random enqueues, claims, finishes and deaths against a model of what each worker has seen."""
    chance = random.Random(seed)
    uids = [uuid4() for _ in range(4)]
    version: dict[UUID, int] = defaultdict(int)
    looked: dict[UUID, int] = defaultdict(int)
    held: dict[UUID, tuple[asyncpg.Record, int]] = {}
    stale: list[asyncpg.Record] = []
    worker = uuid4()

    async def claim() -> None:
        for row in await boxes.admin.fetch("select * from shared.claim_work($1, '', array['Thing'], array[2])", worker):
            assert row["uid"] not in held
            held[row["uid"]] = (row, version[row["uid"]])

    async def finish(row: asyncpg.Record, failed: bool = False) -> bool:
        done: bool = await boxes.admin.fetchval(
            "select shared.finish_work('Thing', $1, $2, $3, $4, $5, null)",
            row["uid"], row["token"], row["wanted"], None if not failed else _zero(), failed,
        )  # fmt: skip
        return done

    for _ in range(250):
        match chance.randrange(6):
            case 0 | 1:
                uid = chance.choice(uids)
                version[uid] += 1
                await put(boxes, "Thing", uid)
            case 2 | 3:
                await claim()
            case 4 if held:
                uid, (row, seen) = held.popitem()
                failed = chance.random() < 0.3
                assert await finish(row, failed)
                if not failed:
                    looked[uid] = max(looked[uid], seen)
            case 5 if held and chance.random() < 0.3:
                worker = uuid4()
                await boxes.admin.execute("select shared.take_over_work('0')")
                await boxes.hurry()
                stale += [row for row, _ in held.values()]
                held.clear()
        if stale:
            assert not await finish(stale.pop())
    for row, seen in held.values():
        assert await finish(row)
        looked[row["uid"]] = max(looked[row["uid"]], seen)
    held.clear()
    for _ in range(len(uids)):
        await boxes.hurry()
        await claim()
        for row, seen in held.values():
            assert await finish(row)
            looked[row["uid"]] = max(looked[row["uid"]], seen)
        held.clear()
    assert looked == version
    assert await boxes.items() == []


def _zero() -> Any:
    from datetime import timedelta

    return timedelta(0)


@given(st.integers(1, 10_000))
def test_backoff_stays_within_its_bounds(attempts: int) -> None:
    longest = min(300.0, 0.25 * 2 ** min(attempts - 1, 40))
    assert longest / 2 <= backoff(attempts) <= longest


async def test_claims_stay_fast_behind_a_host_that_is_gone(boxes: Boxes) -> None:
    """Items pinned to a dead host are not walked over by everyone else's claims."""
    await boxes.admin.execute(
        "insert into shared.work_item (kind, uid, due_at, runner)"
        " select 'Thing', gen_random_uuid(), now() - interval '1 h', 'gone' from generate_series(1, 20000)"
    )
    await boxes.admin.execute("analyze shared.work_item")
    await put(boxes, "Thing")
    lane = Lane(boxes, "Thing")
    run = await runner(boxes, lane)
    began = time.monotonic()
    await run.run_until_idle()
    assert len(lane.seen) == 1
    plan = await boxes.admin.fetchval("select count(*) from shared.work_item where runner = 'gone' and token is null")
    assert plan == 20_000
    assert time.monotonic() - began < 5
