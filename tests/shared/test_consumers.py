"""Consumers: each entry's effect exactly once, whoever dies, and poison stops no one else."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from ironworks.shared.changelog import LoggedChange, LoggedEvent
from ironworks.shared.consumers import (
    Consumer,
    ConsumerRunner,
    Entry,
    Handler,
    consumer_of,
    consumes,
    forget_consumer,
)
from ironworks.shared.context import Actor, Context
from ironworks.shared.db import Database
from ironworks.shared.dead_letters import (
    list_dead_letters,
    read_dead_letter,
    replay_dead_letter,
    replay_dead_letters,
)
from ironworks.shared.errors import Conflict, Forbidden, NotFound
from tests.shared.shelves import SHELF, Priced, Sawn, Woodshop, open_shop, running, until
from tests.support.postgres import TestDatabase


@pytest.fixture
async def shop(database: TestDatabase) -> AsyncIterator[Woodshop]:
    made = await open_shop(database)
    yield made
    for db in made.databases:
        await db.close()
    await made.admin.close()


async def leave_effect(ctx: Context, consumer: str, entry: Entry) -> None:
    await ctx.db.execute("insert into test_wood.effect values ($1, $2)", consumer, entry.position)


def counting(name: str = "count", *, what: str = "test.wood.*", before: Handler | None = None, **more: Any) -> Consumer:
    """A consumer that leaves one row for each entry; `before` may break it."""

    @consumes(what, name=name, **more)
    async def count(ctx: Context, entry: LoggedEvent) -> None:
        if before:
            await before(ctx, entry)
        await leave_effect(ctx, name, entry)

    found = consumer_of(count)
    assert found is not None
    return found


class Working:
    """A worker process with its own pool and tail."""

    def __init__(self, shop: Woodshop, *consumers: Consumer, **options: Any) -> None:
        self.shop = shop
        self.consumers = consumers
        self.options = {"pause": 0.01, "poll": 0.05, "attempts": 3, **options}

    async def __aenter__(self) -> ConsumerRunner:
        tail = self.shop.tail()
        runner = ConsumerRunner(await self.shop.connect("worker"), self.consumers, tail, **self.options)
        self.background = running(tail.run(), runner.run(), self.shop.sequencer().run())
        await self.background.__aenter__()
        return runner

    async def __aexit__(self, *error: Any) -> None:
        await self.background.__aexit__(*error)


async def caught_up(shop: Woodshop, name: str = "count") -> bool:
    row = await shop.admin.fetchrow(
        "select head, (select position from shared.change_consumer where name = $1),"
        " (select count(*) from shared.change_pending) from shared.change_bounds()",
        name,
    )
    assert row is not None
    return row[0] == row[1] and row[2] == 0


async def test_workers_share_a_consumer_and_leave_each_effect_once(shop: Woodshop) -> None:
    await shop.connect("worker")
    consumer = counting()
    async with Working(shop, consumer, batch=4), Working(shop, consumer, batch=3), Working(shop, consumer):
        await asyncio.gather(*(shop.emit(*(Sawn(board=n) for n in range(10))) for _ in range(4)))
        await until(lambda: caught_up(shop))
    assert await shop.effects("count") == list(range(1, 41))


async def test_what_was_logged_before_a_consumer_existed_reaches_it_unless_it_wants_only_what_comes(
    shop: Woodshop,
) -> None:
    await shop.emit(Sawn(board=1), Sawn(board=2))
    await shop.sequence()
    async with Working(shop, counting("old"), counting("new", start="now")):
        await until(lambda: caught_up(shop, "new"))
        await shop.emit(Sawn(board=3))
        await until(lambda: caught_up(shop, "old"))
        await until(lambda: caught_up(shop, "new"))
    assert (await shop.effects("old"), await shop.effects("new")) == ([1, 2, 3], [3])


async def test_a_consumer_gets_what_it_asked_for_and_no_more(shop: Woodshop) -> None:
    seen: list[Entry] = []

    @consumes(SHELF, "test.wood.priced.*", name="mixed")
    async def note(ctx: Context, entry: Entry) -> None:
        assert ctx.request_id == (entry.correlation_id if isinstance(entry, LoggedEvent) else ctx.request_id)
        seen.append(entry)

    consumer = consumer_of(note)
    assert consumer is not None
    async with Working(shop, consumer):
        uid = await shop.add("a", "acme.shop")
        await shop.emit(Sawn(board=1), Priced(nano=5), scope="acme")
        await shop.add("r", kind="rack")
        await shop.remove(uid)
        await until(lambda: caught_up(shop, "mixed"))
    created, priced, deleted = seen
    assert isinstance(created, LoggedChange)
    assert isinstance(deleted, LoggedChange)
    assert isinstance(priced, LoggedEvent)
    assert (created.op, created.uid, created.scope, created.name) == ("created", uid, "acme.shop", "a")
    assert (deleted.op, deleted.resource_version) == ("deleted", created.resource_version)
    assert priced.payload_as(Priced) == Priced(nano=5)


async def test_a_connection_that_dies_in_the_middle_of_an_effect_leaves_nothing_behind(shop: Woodshop) -> None:
    deaths = 0
    killer = await asyncpg.connect(shop.place.admin)

    async def die(ctx: Context, entry: LoggedEvent) -> None:
        nonlocal deaths
        if deaths < 3 and entry.payload["board"] == deaths:
            deaths += 1
            await leave_effect(ctx, "count", entry)
            await killer.execute("select pg_terminate_backend($1)", ctx.db.get_server_pid())

    await shop.emit(*(Sawn(board=n) for n in range(5)))
    async with Working(shop, counting(before=die)):
        await until(lambda: caught_up(shop))
    await killer.close()
    assert deaths == 3
    assert await shop.effects("count") == [1, 2, 3, 4, 5]
    assert await shop.admin.fetchval("select count(*) from shared.dead_letter") == 0


_WORKER = """
import asyncio, sys
from ironworks.shared.changelog import Tail
from ironworks.shared.consumers import ConsumerRunner, consumer_of, consumes
from ironworks.shared.context import Services
from ironworks.shared.db import Database

@consumes("test.wood.*", name="count")
async def count(ctx, event):
    await ctx.db.execute("insert into test_wood.effect values ('count', $1)", event.position)
    if event.payload["board"] == 2:
        print("in the middle", flush=True)
        await asyncio.sleep(60)

async def main():
    db = await Database.connect(sys.argv[1], Services(None, None))
    await ConsumerRunner(db, [consumer_of(count)], Tail(sys.argv[1])).run()
asyncio.run(main())
"""


async def test_a_worker_killed_in_the_middle_of_an_effect_is_replaced(shop: Woodshop) -> None:
    await shop.emit(*(Sawn(board=n) for n in range(5)))
    await shop.sequence()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WORKER, shop.place.url("worker"),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert worker.stdout is not None
    assert await asyncio.wait_for(worker.stdout.readline(), 60) == b"in the middle\n"
    async with Working(shop, counting()):
        await asyncio.sleep(0.1)
        assert await shop.effects("count") == []
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await until(lambda: caught_up(shop))
    assert await shop.effects("count") == [1, 2, 3, 4, 5]


def poisonous(board: int = 2) -> tuple[Handler, list[bool]]:
    """Fails on one board, as long as the list holds True."""
    broken = [True]

    async def fail(_: Context, event: LoggedEvent) -> None:
        if event.payload["board"] == board and broken[0]:
            raise ValueError("password=hunter2 does not fit")

    return fail, broken


async def test_poison_is_set_aside_after_its_attempts_and_stops_no_one(shop: Woodshop) -> None:
    fail, _ = poisonous()
    await shop.emit(*(Sawn(board=n) for n in range(5)), scope="acme")
    async with Working(shop, counting(before=fail), counting("other")):
        await until(lambda: caught_up(shop))
        await until(lambda: caught_up(shop, "other"))
    assert await shop.effects("count") == [1, 2, 4, 5]
    assert await shop.effects("other") == [1, 2, 3, 4, 5]
    letter = dict(await shop.admin.fetchrow("select * from shared.dead_letter") or {})
    assert (letter["consumer"], letter["position"], letter["subject"], letter["scope"], letter["attempts"]) == (
        "count", 3, "test.wood.sawn.v2", "acme", 3,
    )  # fmt: skip
    assert letter["error"] == "ValueError: password=*** does not fit"


async def test_an_operator_replays_a_dead_letter_once(shop: Woodshop) -> None:
    fail, broken = poisonous()
    operator = await shop.subject(("dead-letter:read", ""), ("dead-letter:replay", ""))
    api = await shop.connect("api")
    await shop.emit(*(Sawn(board=n) for n in range(4)))
    async with Working(shop, counting(before=fail)), Working(shop, counting(before=fail)):
        await until(lambda: caught_up(shop))
        async with api.transaction(operator) as ctx:
            [letter] = await list_dead_letters(ctx)
            await replay_dead_letter(ctx, letter.id)

        async def came_back() -> bool:
            async with api.transaction(operator) as ctx:
                [again] = await list_dead_letters(ctx, consumer="count")
            return again.attempts == 4 and again.replay_requested_at is None

        await until(came_back)
        async with api.transaction(operator) as ctx:
            _, entry = await read_dead_letter(ctx, letter.id)
        assert entry is not None
        assert (entry["type"], entry["payload"]) == ("test.wood.sawn.v2", {"board": 2})
        broken[0] = False
        async with api.transaction(operator) as ctx:
            await replay_dead_letter(ctx, letter.id)

        async def settled() -> bool:
            async with api.transaction(operator) as ctx:
                return not await list_dead_letters(ctx)

        await until(settled)
    assert await shop.effects("count") == [1, 2, 3, 4]
    assert [record[0] for record in shop.audited] == ["dead-letter.replay"] * 2
    async with api.transaction(operator) as ctx:
        [done] = await list_dead_letters(ctx, replayed=True)
    assert (done.id, done.attempts, done.replayed_at is not None) == (letter.id, 4, True)
    with pytest.raises(NotFound):
        async with api.transaction(operator) as ctx:
            await replay_dead_letter(ctx, letter.id)


class Meanwhile:
    """A database at which `happens` before each transaction but the first: where another worker would come in."""

    def __init__(self, db: Database, happens: Callable[[], Awaitable[object]]) -> None:
        self.db = db
        self.happens = happens
        self.opened = 0

    @asynccontextmanager
    async def transaction(self, actor: Actor) -> AsyncIterator[Context]:
        if self.opened:
            await self.happens()
        self.opened += 1
        async with self.db.transaction(actor) as ctx:
            yield ctx


async def test_a_replay_that_fails_is_filed_before_another_worker_can_look(shop: Woodshop) -> None:
    tried = 0

    async def fail(_: Context, event: LoggedEvent) -> None:
        nonlocal tried
        tried += 1
        raise ValueError("poison")

    consumer = counting(before=fail)
    await shop.emit(Sawn(board=1))
    async with Working(shop, consumer, attempts=1):
        await until(lambda: caught_up(shop))
    await shop.admin.execute("update shared.dead_letter set replay_requested_at = now()")
    one, other = [ConsumerRunner(await shop.connect("worker"), [consumer], shop.tail()) for _ in range(2)]
    one.db = Meanwhile(one.db, lambda: other._replay_one(consumer))  # type: ignore[assignment]
    assert await one._replay_one(consumer)
    assert not await other._replay_one(consumer), "it waits for an operator again"
    assert tried == 2
    (letter,) = await shop.admin.fetch("select attempts, replay_requested_at from shared.dead_letter")
    assert tuple(letter) == (2, None)


async def test_all_that_a_consumer_failed_on_is_replayed_at_once(shop: Woodshop) -> None:
    await shop.admin.execute(
        "insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)"
        " select name, n, 'test.wood.sawn.v2', 'acme', 'x', 1 from unnest(array['count', 'other']) name,"
        " generate_series(1, 3) n"
    )
    api = await shop.connect("api")
    operator = await shop.subject(("dead-letter:read", ""), ("dead-letter:replay", ""))
    reader = await shop.subject(("dead-letter:read", ""))
    with pytest.raises(Forbidden):
        async with api.transaction(reader) as ctx:
            await replay_dead_letters(ctx, "count")
    async with api.transaction(operator) as ctx:
        assert await replay_dead_letters(ctx, "count") == 3
        wanted = {letter.consumer for letter in await list_dead_letters(ctx) if letter.replay_requested_at}
    assert wanted == {"count"}
    assert [record[0] for record in shop.audited] == ["dead-letter.replay"]
    with pytest.raises(NotFound, match="no dead letter"):
        async with api.transaction(operator) as ctx:
            await replay_dead_letters(ctx, "nobody")


async def test_dead_letters_are_the_operators_business(shop: Woodshop) -> None:
    await shop.admin.execute(
        "insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)"
        " values ('count', 1, 'test.wood.sawn.v2', 'acme', 'x', 1)"
    )
    api = await shop.connect("api")
    tenant = await shop.subject(("dead-letter:read", "acme"), ("dead-letter:replay", "acme"))
    reader = await shop.subject(("dead-letter:read", ""))
    async with api.transaction(tenant) as ctx:
        assert await list_dead_letters(ctx) == []
    async with api.transaction(reader) as ctx:
        [letter] = await list_dead_letters(ctx)
        assert await read_dead_letter(ctx, letter.id) == (letter, None)  # the log keeps no such entry
    with pytest.raises(NotFound):
        async with api.transaction(tenant) as ctx:
            await read_dead_letter(ctx, letter.id)
    async with api.transaction(tenant) as ctx:
        assert await ctx.db.fetchval("select shared.dead_letter_entry($1)", letter.id) is None
    with pytest.raises(Forbidden):
        async with api.transaction(reader) as ctx:
            await replay_dead_letter(ctx, letter.id)
    async with api.transaction(reader) as ctx:
        changed = await ctx.db.execute("update shared.dead_letter set replay_requested_at = now()")
    assert changed == "UPDATE 0"


async def test_an_effect_that_only_the_commit_refuses_is_found_and_set_aside(shop: Woodshop) -> None:
    await shop.admin.execute(
        """
        create table test_wood.once (board int unique deferrable initially deferred);
        grant insert on test_wood.once to ironworks_worker;
        insert into test_wood.once values (2);
        """
    )

    async def keep(ctx: Context, event: LoggedEvent) -> None:
        await ctx.db.execute("insert into test_wood.once values ($1)", event.payload["board"])

    await shop.emit(*(Sawn(board=n) for n in range(5)))
    async with Working(shop, counting(before=keep)):
        await until(lambda: caught_up(shop))
    assert await shop.effects("count") == [1, 2, 4, 5]


async def test_the_databases_troubles_are_not_counted_against_an_entry(shop: Woodshop) -> None:
    left = 3

    async def stumble(_: Context, event: LoggedEvent) -> None:
        nonlocal left
        if left:
            left -= 1
            raise asyncpg.DeadlockDetectedError("deadlock detected")

    await shop.emit(Sawn(board=1))
    async with Working(shop, counting(before=stumble), attempts=2):
        await until(lambda: caught_up(shop))
    assert await shop.effects("count") == [1]
    assert await shop.admin.fetchval("select count(*) from shared.dead_letter") == 0


async def test_an_effect_that_hangs_is_a_failure(shop: Woodshop) -> None:
    async def hang(_: Context, event: LoggedEvent) -> None:
        await asyncio.sleep(60 if event.payload["board"] == 1 else 0)

    await shop.emit(Sawn(board=1), Sawn(board=2))
    async with Working(shop, counting(before=hang), attempts=1, limit=0.05):
        await until(lambda: caught_up(shop))
    assert await shop.effects("count") == [2]


async def test_a_consumer_that_is_gone_for_good_is_forgotten(shop: Woodshop) -> None:
    db = await shop.connect("worker")
    async with Working(shop, counting()):
        await until(lambda: caught_up(shop))
    await forget_consumer(db, "count")
    assert await shop.admin.fetchval("select count(*) from shared.change_consumer") == 0


@pytest.mark.parametrize("words", [(), ("",), ("Test.Wood",), ("test wood",), ("test.wood.%",)])
def test_a_consumer_of_nothing_sensible_is_refused_at_import(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="not all event patterns"):
        consumes(*words, name="wrong")


async def test_two_consumers_cannot_share_a_cursor(shop: Woodshop) -> None:
    with pytest.raises(ValueError, match="share a name"):
        ConsumerRunner(await shop.connect("worker"), [counting(), counting()], shop.tail())


async def test_a_handler_may_refuse_in_the_projects_own_words(shop: Woodshop) -> None:
    async def refuse(_: Context, event: LoggedEvent) -> None:
        raise Conflict("not in this state")

    await shop.emit(Sawn(board=1))
    async with Working(shop, counting(before=refuse), attempts=1):
        await until(lambda: caught_up(shop))
    assert await shop.admin.fetchval("select error from shared.dead_letter") == "Conflict: not in this state"
